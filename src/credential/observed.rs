//! What one pass has seen, as plain data: the whole input of `decide`.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    record::{AskedUnder, Binding, Holder, StateRecord},
    schedule::Jitter,
};
use crate::{
    api::{OAuthCredentialStatus, Reason},
    oauth::values::RefreshToken,
};

/// Why there is no token, or no newer one: a reason, and a sentence that says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub reason: Reason,
    pub message: String,
    /// Whether no token can come before a person changes something.
    pub stalls: bool,
}

impl Problem {
    /// A problem that a person has to solve.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalls: true }
    }

    /// A Secret of somebody else's stands where the output should.
    pub fn foreign_output(name: &str) -> Self {
        let message = format!(
            "The Secret {name} exists and is not this credential's: delete it, or choose another spec.secret.name."
        );
        Self::stalled(Reason::SecretConflict, message)
    }

    /// A problem that may pass, or whose solution is under way.
    pub fn passing(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalls: false }
    }
}

/// The output Secret, seen through its metadata alone.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputSeen {
    Absent,
    Ours(Published),
    /// Somebody else's Secret bears the name.
    Foreign,
}

/// What the output Secret says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Published {
    pub lineage: String,
    pub revision: i64,
    pub asked_under: AskedUnder,
    /// Hash of the output's own spec: template, labels, annotations, type.
    pub output: String,
    /// Whether every field that was applied is still ours alone.
    pub intact: bool,
}

/// The state Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum StateSeen<'a> {
    /// The grant keeps nothing.
    NotKept,
    Absent,
    /// There, and not in memory. Its metadata tell the revision, and whether an intent is open.
    Unread {
        revision: i64,
        open_intent: bool,
    },
    Read(&'a StateRecord),
    /// It can't be used; the sentence says why.
    Unusable(String),
}

/// What a request is made of beside the spec: the input Secrets (client material, seed, values of parameters) and, where
/// endpoints are discovered, the issuer's metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum InputsSeen<'a> {
    /// Not in memory, changed since, or no longer to be believed.
    Unread,
    Read(Inputs<'a>),
    /// Missing, incomplete, or not allowed.
    Problem(Problem),
    /// The issuer's metadata can't be read; they are read again then.
    Undiscovered {
        problem: Problem,
        again: Timestamp,
    },
}

/// What the inputs come down to.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs<'a> {
    pub binding: &'a Binding,
    pub source: Source<'a>,
}

/// What the first request sends from an input Secret, and what tells whether it is another one by now.
#[derive(Clone, Debug, PartialEq)]
pub enum Source<'a> {
    /// Nothing but the client's proof of itself.
    Client,
    /// A refresh token, and its hash.
    Seed(&'a RefreshToken, String),
    /// A person's consent, which the Consent Secret or a device code brings.
    Consent,
    /// Hash of the user's name. A changed password alone makes no other token.
    User(String),
    /// Hash of the tokens to exchange.
    Tokens(String),
}

/// Everything that one pass has seen of one credential.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    pub now: Timestamp,
    pub generation: i64,
    pub status: &'a OAuthCredentialStatus,
    /// The newest value of the annotation oauth-operator.dev/refresh-requested-at.
    pub refresh_requested: Option<&'a str>,
    /// The hashes as they are now.
    pub asked_under: &'a AskedUnder,
    /// Hash of the operator's own settings that a request depends on: its egress rules.
    pub settings_hash: &'a str,
    /// Hash of the output's spec as it is now.
    pub output_hash: &'a str,
    /// Name of the output Secret.
    pub output_name: &'a str,
    pub output: OutputSeen,
    pub state: StateSeen<'a>,
    pub inputs: InputsSeen<'a>,
    /// Another credential, older than this one, that names the same seed.
    pub seed_taken_by: Option<&'a str>,
    pub holder: &'a Holder,
    /// How long the open intent has stood unchanged before this process's own eyes.
    pub intent_seen_for: Duration,
    pub jitter: Jitter,
}

impl Observed<'_> {
    /// Whether a person asked for a refresh that wasn't obeyed yet.
    pub fn refresh_is_requested(&self) -> bool {
        self.refresh_requested.is_some_and(|asked| self.status.last_handled_refresh_request.as_deref() != Some(asked))
    }

    /// Whether the published token is still valid.
    pub fn serves(&self) -> bool {
        matches!(self.output, OutputSeen::Ours(_))
            && self.status.revision.is_some()
            && self.status.expiration_time.is_none_or(|expires| expires > self.now)
    }
}
