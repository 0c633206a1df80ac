//! The API server of the model: the credential's status, the three Secrets, and writes whose answer was lost.

use super::{server::Token, shared::Shared};
use crate::{
    api::OAuthCredentialStatus,
    credential::{
        observed::Published,
        record::{Issued, StateRecord},
    },
};

/// An object at a resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stored<T> {
    pub version: u32,
    pub value: T,
}

/// The output Secret.
#[derive(Debug, Hash)]
pub struct Output {
    pub published: Published,
    pub issued: Shared<Issued>,
}

/// A write, with its precondition: the resourceVersion that it replaces (None: it creates).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    State { record: Shared<StateRecord>, replaces: Option<u32> },
    Output { output: Shared<Output>, replaces: Option<u32> },
    Status { after: Shared<OAuthCredentialStatus>, replaces: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    pub status: Stored<Shared<OAuthCredentialStatus>>,
    pub state: Option<Stored<Shared<StateRecord>>>,
    pub output: Option<Stored<Shared<Output>>>,
    /// The input Secret.
    pub seed: Stored<Token>,
    /// The state as it was before its newest revision.
    pub backup: Option<Shared<StateRecord>>,
    /// Writes that were not answered, and may take effect at any later time.
    pub under_way: Vec<Write>,
    state_versions: u32,
    output_versions: u32,
}

impl Cluster {
    pub fn new(seed: Token) -> Self {
        let status = OAuthCredentialStatus { observed_generation: Some(-1), ..OAuthCredentialStatus::default() };
        Self {
            status: Stored { version: 1, value: Shared::new(status) },
            state: None,
            output: None,
            seed: Stored { version: 1, value: seed },
            backup: None,
            under_way: Vec::new(),
            state_versions: 1,
            output_versions: 1,
        }
    }

    /// Whether the write's precondition holds.
    pub fn admits(&self, write: &Write) -> bool {
        match write {
            Write::State { replaces, .. } => self.state.as_ref().map(|state| state.version) == *replaces,
            Write::Output { replaces, .. } => self.output.as_ref().map(|output| output.version) == *replaces,
            Write::Status { replaces, .. } => self.status.version == *replaces,
        }
    }

    /// Carries out a write; gives the new resourceVersion.
    pub fn commit(&mut self, write: Write) -> u32 {
        match write {
            Write::State { record, .. } => self.put_state(record),
            Write::Output { output, .. } => {
                self.output_versions += 1;
                self.output = Some(Stored { version: self.output_versions, value: output });
                self.output_versions
            }
            Write::Status { after, .. } => {
                self.status = Stored { version: self.status.version + 1, value: after };
                self.status.version
            }
        }
    }

    pub fn put_state(&mut self, record: Shared<StateRecord>) -> u32 {
        let former = self.state.take().map(|former| former.value);
        if let Some(former) = former.filter(|former| former.revision < record.revision) {
            self.backup = Some(former);
        }
        self.state_versions += 1;
        self.state = Some(Stored { version: self.state_versions, value: record });
        self.state_versions
    }

    /// Forgets writes that can't take effect any more: resourceVersions don't come back.
    pub fn drop_stale(&mut self, may_be_deleted: bool) {
        let mut under_way = std::mem::take(&mut self.under_way);
        under_way.retain(|write| match write {
            // What creates may wait for a deletion.
            Write::State { replaces: None, .. } => may_be_deleted || self.admits(write),
            _ => self.admits(write),
        });
        self.under_way = under_way;
    }
}
