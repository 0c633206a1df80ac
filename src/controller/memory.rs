//! What this process remembers between passes, so that a refresh in steady state reads nothing: values of input Secrets and
//! states, each good while its resourceVersion stands. Secret values are wiped when they go.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tracing::Span;

use super::key::{InputKey, Key};
use crate::{
    clock::BootTime,
    credential::{
        checked::{InputRef, InputValues},
        consent::Mailbox,
        observed::Problem,
        record::StateRecord,
    },
    oauth::{tls::Roots, values::SecretText},
    secrets::{consent::ConsentError, state::StateError},
};

/// A state as it was last read or written.
#[derive(Clone, Debug)]
pub struct HeldState {
    /// Empty: it was read, and there was none.
    pub resource_version: String,
    pub content: Result<Option<Arc<StateRecord>>, StateError>,
}

/// Values of one input Secret or ConfigMap.
#[derive(Clone, Debug)]
pub struct HeldInput {
    pub resource_version: String,
    /// By key: its value, or why there is none. What is wrong with one key is nothing to those who use another.
    pub values: BTreeMap<String, Result<SecretText, Problem>>,
}

/// A Consent Secret as it was last read.
#[derive(Clone, Debug)]
pub struct HeldMailbox {
    pub uid: String,
    pub resource_version: String,
    pub content: Result<Arc<Mailbox>, ConsentError>,
}

/// Tries to do something for a consent, or to get a device code, that have failed in a row.
#[derive(Clone, Debug)]
pub struct Tries {
    pub failed: i64,
    pub next: Timestamp,
    /// Hash of the inputs that they read.
    pub under: String,
}

/// How one process polls with a device code.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The intent under which it polls.
    pub attempt: String,
    pub interval: Duration,
    pub next: Timestamp,
}

/// The memory.
#[derive(Default)]
pub struct Memory {
    mailboxes: HashMap<Key, HeldMailbox>,
    tries: HashMap<Key, Tries>,
    paces: HashMap<Key, Pace>,
    states: HashMap<Key, HeldState>,
    inputs: HashMap<InputKey, HeldInput>,
    intents: HashMap<Key, (String, BootTime)>,
    faults: HashMap<Key, u32>,
    roots: HashMap<[u8; 32], Arc<Roots>>,
    traces: HashMap<Key, (Span, Timestamp)>,
    working_values: HashMap<Key, InputValues>,
    restarts: HashMap<Key, Timestamp>,
    working_secrets: HashMap<Key, (String, InputRef)>,
}

impl Memory {
    pub fn state(&self, credential: &Key) -> Option<&HeldState> {
        self.states.get(credential)
    }

    pub fn hold_state(&mut self, credential: &Key, state: HeldState) {
        self.states.insert(credential.clone(), state);
    }

    pub fn forget_state(&mut self, credential: &Key) {
        self.states.remove(credential);
    }

    pub fn mailbox(&self, credential: &Key) -> Option<&HeldMailbox> {
        self.mailboxes.get(credential)
    }

    pub fn hold_mailbox(&mut self, credential: &Key, mailbox: HeldMailbox) {
        self.mailboxes.insert(credential.clone(), mailbox);
    }

    /// Forgets a Consent Secret that is gone.
    pub fn forget_mailbox(&mut self, credential: &Key) {
        self.mailboxes.remove(credential);
    }

    pub fn tries(&self, credential: &Key) -> Option<Tries> {
        self.tries.get(credential).cloned()
    }

    pub fn hold_tries(&mut self, credential: &Key, tries: Option<Tries>) {
        match tries {
            Some(tries) => self.tries.insert(credential.clone(), tries),
            None => self.tries.remove(credential),
        };
    }

    pub fn pace(&self, credential: &Key) -> Option<Pace> {
        self.paces.get(credential).cloned()
    }

    pub fn hold_pace(&mut self, credential: &Key, pace: Option<Pace>) {
        match pace {
            Some(pace) => self.paces.insert(credential.clone(), pace),
            None => self.paces.remove(credential),
        };
    }

    pub fn input(&self, object: &InputKey) -> Option<&HeldInput> {
        self.inputs.get(object)
    }

    pub fn hold_input(&mut self, object: &InputKey, input: HeldInput) {
        self.inputs.insert(object.clone(), input);
    }

    /// How long this process has seen this very intent open.
    pub fn intent_seen_for(&mut self, credential: &Key, attempt: Option<&str>, now: BootTime) -> Duration {
        let Some(attempt) = attempt else {
            self.intents.remove(credential);
            return Duration::ZERO;
        };
        match self.intents.get(credential) {
            Some((known, since)) if known == attempt => now.0.saturating_sub(since.0),
            _ => {
                self.intents.insert(credential.clone(), (attempt.to_owned(), now));
                Duration::ZERO
            }
        }
    }

    /// Counts a pass that the API server made fail; gives the pause before the next: 0.5 s, doubling to a minute.
    pub fn count_fault(&mut self, credential: &Key) -> Duration {
        let count = self.faults.entry(credential.clone()).or_default();
        *count = (*count + 1).min(8);
        (Duration::from_millis(250) * (1 << *count)).min(Duration::from_secs(60))
    }

    pub fn clear_faults(&mut self, credential: &Key) {
        self.faults.remove(credential);
    }

    /// The authorities of a PEM text: the same for the same text, so that TLS sessions resume.
    pub fn roots(&self, pem_hash: [u8; 32]) -> Option<Arc<Roots>> {
        self.roots.get(&pem_hash).cloned()
    }

    pub fn hold_roots(&mut self, pem_hash: [u8; 32], roots: Arc<Roots>) {
        // A provider has one; a few hundred different texts mean that old ones are no longer used.
        if self.roots.len() >= 256 {
            self.roots.clear();
        }
        self.roots.insert(pem_hash, roots);
    }

    /// The client secret that worked last, where it is one to fall back on. `inputs` is the hash of the inputs as they are now:
    /// another one makes a fresh start.
    pub fn working_secret(&self, credential: &Key, inputs: &str) -> Option<&InputRef> {
        self.working_secrets.get(credential).filter(|(under, _)| under == inputs).map(|(_, secret)| secret)
    }

    /// The input values that last brought a token, of a credential whose tokens are to be revoked: it often goes together with
    /// its Secrets.
    pub fn working_values(&self, credential: &Key) -> Option<&InputValues> {
        self.working_values.get(credential)
    }

    pub fn hold_working_values(&mut self, credential: &Key, values: InputValues) {
        self.working_values.insert(credential.clone(), values);
    }

    pub fn hold_working_secret(&mut self, credential: &Key, secret: Option<(String, InputRef)>) {
        match secret {
            Some(secret) => self.working_secrets.insert(credential.clone(), secret),
            None => self.working_secrets.remove(credential),
        };
    }

    /// Until when no restart is tried again for this credential.
    pub fn restarts_rest_until(&self, credential: &Key) -> Option<Timestamp> {
        self.restarts.get(credential).copied()
    }

    pub fn rest_restarts(&mut self, credential: &Key, until: Option<Timestamp>) {
        match until {
            Some(until) => self.restarts.insert(credential.clone(), until),
            None => self.restarts.remove(credential),
        };
    }

    /// Keeps the trace of a pass that waits at the gate since then: the pass that is let through goes on with it.
    pub fn hold_trace(&mut self, credential: &Key, span: Span, since: Timestamp) {
        self.traces.insert(credential.clone(), (span, since));
    }

    pub fn take_trace(&mut self, credential: &Key) -> Option<(Span, Timestamp)> {
        self.traces.remove(credential)
    }

    /// Forgets a credential that is gone.
    pub fn forget(&mut self, credential: &Key) {
        self.states.remove(credential);
        self.mailboxes.remove(credential);
        self.tries.remove(credential);
        self.paces.remove(credential);
        self.intents.remove(credential);
        self.faults.remove(credential);
        self.traces.remove(credential);
        self.working_secrets.remove(credential);
        self.working_values.remove(credential);
        self.restarts.remove(credential);
    }

    /// Forgets everything that another leader may have changed.
    pub fn forget_states(&mut self) {
        self.states.clear();
        self.intents.clear();
    }
}
