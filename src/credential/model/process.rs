//! One operator process of the model: what its watches have shown it, what it remembers, what it is doing. How it sees a
//! credential follows `controller::observe`.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    cluster::{Cluster, Output, Stored},
    server::Token,
    shared::Shared,
};
use crate::{
    api::OAuthCredentialStatus,
    credential::{
        decide::Rules,
        failed::Why,
        observed::{Inputs, InputsSeen, Observed, OutputSeen, Source, StateSeen},
        record::{AskedUnder, Binding, Holder, StateRecord},
        report::Outcome,
        rotation::{Attempt, Keeps},
        schedule::{Jitter, RefreshPolicy},
        starts::Starts,
    },
    oauth::values::RefreshToken,
};

/// What the watches have shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cache {
    pub status: Stored<Shared<OAuthCredentialStatus>>,
    /// The state's metadata: revision, and whether an intent is open.
    pub state: Option<Stored<(i64, bool)>>,
    pub output: Option<Stored<Shared<Output>>>,
    pub seed_version: u32,
}

impl Cache {
    pub fn of(cluster: &Cluster) -> Self {
        Self {
            status: cluster.status.clone(),
            state: cluster.state.as_ref().map(|state| Stored { version: state.version, value: notes(&state.value) }),
            output: cluster.output.clone(),
            seed_version: cluster.seed.version,
        }
    }
}

/// What the metadata of a state Secret tell.
pub fn notes(record: &StateRecord) -> (i64, bool) {
    (record.revision, record.intent.is_some())
}

/// What is remembered between passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// The state as it was last read or written, None within: there was none, and its resourceVersion.
    pub state: Option<(Option<u32>, Option<Shared<StateRecord>>)>,
    pub seed: Option<Stored<Token>>,
    /// The open intent's attempt, and since when it has been seen.
    pub intent: Option<(String, Timestamp)>,
}

/// What a process is doing: what comes next is one effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Doing {
    /// Nothing, until then (None: until something changes).
    Idle {
        wake: Option<Timestamp>,
    },
    Exchanging(Exchanging),
    Publishing(Publishing),
    Reporting(Reporting),
}

/// An attempt under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchanging {
    pub view: Shared<View>,
    /// The state that the exchange began with, and the one that this attempt goes on from.
    pub begun: Shared<StateRecord>,
    pub base: Shared<StateRecord>,
    pub attempt: Shared<Attempt<Why>>,
    pub name: String,
    pub send_by: Timestamp,
    /// The fence was found open: the bytes leave next.
    pub fenced: bool,
    /// Hashes of the refresh tokens that were refused in this exchange.
    pub refused: Vec<String>,
    pub reread: bool,
}

/// A token on its way into the output Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publishing {
    pub view: Shared<View>,
    pub record: Shared<StateRecord>,
    /// Brought by this pass, and not written again from the state.
    pub exchanged: bool,
    pub tries: u8,
}

/// A status on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reporting {
    pub now: Timestamp,
    pub outcome: Shared<Outcome>,
    pub current: bool,
    pub next: Option<Timestamp>,
    /// The status that the pass saw, and the one that is written over.
    pub seen: Shared<OAuthCredentialStatus>,
    pub before: Stored<Shared<OAuthCredentialStatus>>,
    /// Afterwards it looks again at once.
    pub again: bool,
    pub tries: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// How often the pod's process was started anew.
    pub boot: u8,
    pub alive: bool,
    pub paused: bool,
    /// It was paused between the fence and the first byte.
    pub stalled: bool,
    pub leads: bool,
    pub attempts: u8,
    /// For the invariants alone: whether its attempt's token might be sent when that was decided, and what had been sent by then.
    pub permitted: bool,
    pub judged: usize,
    pub cache: Cache,
    pub memory: Memory,
    pub doing: Doing,
}

/// What one pass has seen.
#[derive(Debug, Hash)]
pub struct View {
    pub now: Timestamp,
    pub status: Stored<Shared<OAuthCredentialStatus>>,
    pub asked_under: AskedUnder,
    pub output: Option<Stored<Shared<Output>>>,
    pub state: StateView,
    /// The input, where it is in memory.
    pub seed: Option<(RefreshToken, String)>,
    pub holder: Holder,
    pub intent_seen_for: Duration,
    binding: Binding,
}

#[derive(Debug, Hash)]
pub enum StateView {
    Absent,
    Unread(i64, bool),
    Read(Shared<StateRecord>, u32),
}

impl Process {
    pub fn start(cluster: &Cluster, boot: u8, now: Timestamp) -> Self {
        Self {
            boot,
            alive: true,
            paused: false,
            stalled: false,
            leads: false,
            attempts: 0,
            permitted: false,
            judged: 0,
            cache: Cache::of(cluster),
            memory: Memory::default(),
            doing: Doing::Idle { wake: Some(now) },
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Idle { .. })
    }

    /// Whether it holds a reply that isn't saved.
    pub fn holds_reply(&self) -> bool {
        matches!(&self.doing, Doing::Exchanging(exchanging) if exchanging.attempt.holds_reply())
    }

    /// What this process knows now.
    pub fn view(&mut self, pod: usize, now: Timestamp) -> View {
        let held = self.memory.state.as_ref();
        let state = match (&self.cache.state, held) {
            (None, _) => StateView::Absent,
            (Some(seen), Some((Some(version), Some(record)))) if *version == seen.version => {
                StateView::Read(record.clone(), *version)
            }
            (Some(seen), _) => StateView::Unread(seen.value.0, seen.value.1),
        };
        let mut intent_seen_for = Duration::ZERO;
        if let StateView::Read(record, _) = &state {
            match (&record.intent, &self.memory.intent) {
                (None, _) => self.memory.intent = None,
                (Some(intent), Some((known, since))) if *known == intent.attempt => {
                    intent_seen_for = now.duration_since(*since).unsigned_abs();
                }
                (Some(intent), _) => self.memory.intent = Some((intent.attempt.clone(), now)),
            }
        }
        let seed = self.memory.seed.as_ref().filter(|seed| seed.version == self.cache.seed_version);
        View {
            now,
            status: self.cache.status.clone(),
            asked_under: AskedUnder {
                spec: "s".into(),
                provider: "p".into(),
                inputs: self.cache.seed_version.to_string(),
            },
            output: self.cache.output.clone(),
            state,
            seed: seed.map(|seed| (seed.value.text(), hash(&seed.value.text()))),
            holder: Holder { pod: pod.to_string(), boot: self.boot.to_string() },
            intent_seen_for,
            binding: Binding::default(),
        }
    }
}

impl View {
    /// The input of `decide`.
    pub fn observed(&self) -> Observed<'_> {
        Observed {
            now: self.now,
            generation: 1,
            status: &self.status.value,
            refresh_requested: None,
            asked_under: &self.asked_under,
            settings_hash: "",
            output_hash: "o",
            output_name: "token",
            output: match &self.output {
                Some(output) => OutputSeen::Ours(output.value.published.clone()),
                None => OutputSeen::Absent,
            },
            state: match &self.state {
                StateView::Absent => StateSeen::Absent,
                StateView::Unread(revision, open) => StateSeen::Unread { revision: *revision, open_intent: *open },
                StateView::Read(record, _) => StateSeen::Read(record),
            },
            inputs: match &self.seed {
                None => InputsSeen::Unread,
                Some((token, hash)) => {
                    InputsSeen::Read(Inputs { binding: &self.binding, source: Source::Seed(token, hash.clone()) })
                }
            },
            seed_taken_by: None,
            holder: &self.holder,
            intent_seen_for: self.intent_seen_for,
            jitter: Jitter::from_bits(0),
        }
    }

    /// Whether the output holds the newest token.
    pub fn is_current(&self, output: Option<&Stored<Shared<Output>>>) -> bool {
        output.is_some_and(|output| Some(output.value.published.revision) == self.status.value.revision)
    }
}

/// The credential's key: hashes of its tokens are made with it.
pub const CREDENTIAL: &str = "namespace/name";

pub fn hash(token: &RefreshToken) -> String {
    token.hash(CREDENTIAL)
}

/// The spec of the model's credential.
pub fn rules(grace: Option<Duration>) -> Rules {
    Rules {
        legs: Vec::new(),
        keeps: Keeps::SingleUse,
        starts: Starts::RefreshToken,
        policy: RefreshPolicy::default(),
        suspend: false,
        reuse_grace_period: grace,
        grace_ends_on_use: false,
        request_timeout: Duration::from_secs(30),
    }
}

/// Whether an outcome came of an attempt that failed, and may be said of its view.
pub fn retry_of(outcome: &Outcome) -> Option<Timestamp> {
    match outcome {
        Outcome::Failed { retry, .. } => *retry,
        _ => None,
    }
}
