//! What really happened, as nobody in the model can know it: which tokens were sent, received and kept. The invariants are about
//! this.

use jiff::Timestamp;

use super::{
    cluster::{Cluster, Output, Write},
    process::{Doing, Process},
    server::Token,
    world::World,
};
use crate::{
    credential::record::{Candidate, StateRecord},
    oauth::failure::Spent,
};

/// One request that arrived at the token server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sent {
    pub token: Token,
    pub pod: usize,
    pub at: Timestamp,
    pub fate: Fate,
    /// The sender stood still between the fence and the first byte: the second window.
    pub late: bool,
}

/// What became of a request, for who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    UnderWay,
    NotSpent,
    Unknown,
    Received { next: Token, reply: Reply },
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    Held,
    /// The receiver died or stood still before it had saved it: the first window.
    Stopped,
    Saved,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    pub sent: Vec<Sent>,
    /// Received by a process that lives, and not to be lost.
    pub kept: Vec<Token>,
    /// Tokens of which somebody took away every record.
    pub forgotten: Vec<Token>,
    /// Families of which somebody took away the state before the status told of them.
    pub untold: Vec<u8>,
    /// The newest family in the state.
    pub family: u8,
    /// The invariant that doesn't hold.
    pub broken: Option<&'static str>,
}

pub const SENT_TWICE: &str = "no refresh token is sent twice unless the policy allows it";
pub const LOST: &str = "a token that a live operator received is never lost";
pub const OVERWRITTEN: &str = "no reply overwrites a newer consent's token";
pub const WENT_BACK: &str = "the output never goes back to an older token";
pub const STATUS_WENT_BACK: &str = "the status never goes back to an older token";
pub const STRANDED: &str = "every run ends in Ready, or asks for a person";
pub const FALSE_ALARM: &str = "a person is asked for only where no refresh token that is kept works";

impl Ledger {
    pub fn breaks(&mut self, invariant: &'static str) {
        self.broken.get_or_insert(invariant);
    }

    /// The newest request of this pod was answered with a token.
    pub fn received(&mut self, pod: usize, next: Token) {
        self.answer(pod, Fate::Received { next, reply: Reply::Held });
        self.kept.push(next);
    }

    /// The newest request of this pod was answered without a token, or not at all.
    pub fn unanswered(&mut self, pod: usize, spent: Spent) {
        self.answer(pod, if spent == Spent::No { Fate::NotSpent } else { Fate::Unknown });
    }

    fn answer(&mut self, pod: usize, fate: Fate) {
        if let Some(sent) = self.sent.iter_mut().rev().find(|sent| sent.pod == pod) {
            sent.fate = fate;
        }
    }

    /// A process that holds a reply stands still, or dies.
    pub fn stops(&mut self, pod: usize, dies: bool) {
        let newest = self.sent.iter_mut().rev().find(|sent| sent.pod == pod);
        if let Some(Sent { fate: Fate::Received { next, reply }, .. }) = newest {
            *reply = Reply::Stopped;
            if dies {
                self.kept.retain(|kept| kept != next);
            }
        }
    }

    /// A write is about to take effect.
    pub fn writes(&mut self, cluster: &Cluster, write: &Write) {
        match write {
            Write::State { record, .. } => self.saves(cluster, record),
            Write::Output { output, .. } => {
                let newer = |there: &Output| {
                    let of_consents = [there, &**output].map(family);
                    let told = of_consents.iter().all(|family| !self.untold.contains(family));
                    let revisions = [there, &**output].map(|output| output.published.revision);
                    revisions[0] > revisions[1] || told && of_consents[0] > of_consents[1]
                };
                if cluster.output.as_ref().is_some_and(|there| newer(&there.value)) {
                    self.breaks(WENT_BACK);
                }
            }
            Write::Status { after, .. } => {
                if after.revision < cluster.status.value.revision {
                    self.breaks(STATUS_WENT_BACK);
                }
            }
        }
    }

    fn saves(&mut self, cluster: &Cluster, record: &StateRecord) {
        let newest = record.refresh_token.as_ref().map_or(0, |token| Token::of(token).family);
        if newest < self.family {
            self.breaks(OVERWRITTEN);
        }
        if newest > self.family {
            // What a newer consent replaces is over.
            let over = cluster.state.as_ref().map(|state| tokens(&state.value)).unwrap_or_default();
            self.kept.retain(|kept| !over.contains(kept));
        }
        self.family = newest;
        let saved = tokens(record);
        for sent in &mut self.sent {
            if let Fate::Received { next, reply } = &mut sent.fate
                && saved.contains(next)
            {
                *reply = Reply::Saved;
            }
        }
    }

    /// Somebody else takes the state away, or puts an old one in its place: what only it held is gone.
    pub fn taken_away(&mut self, cluster: &Cluster, restored: Option<&StateRecord>) {
        let Some(state) = &cluster.state else { return };
        let there = tokens(&state.value);
        self.kept.retain(|kept| !there.contains(kept));
        self.family =
            restored.and_then(|record| record.refresh_token.as_ref()).map_or(0, |token| Token::of(token).family);
        // The status still tells which seed was spent, and how old the state must be.
        let status = &cluster.status.value;
        let told = status.revision == Some(state.value.revision) && status.seed_hash == state.value.seed_hash;
        if !told {
            self.untold.extend(there.iter().map(|token| token.family).max());
        }
        if !told || state.value.intent.is_some() || restored.is_some_and(|old| old.revision == state.value.revision) {
            self.forgotten.extend(self.sent.iter().map(|sent| sent.token));
        }
    }

    /// Whether each token that was received is still somewhere.
    pub fn check_kept(&mut self, cluster: &Cluster, processes: &[Process]) {
        let there = cluster.state.as_ref().map(|state| tokens(&state.value)).unwrap_or_default();
        let held = |token: &Token| {
            self.sent.iter().any(|sent| {
                matches!(sent.fate, Fate::Received { next, .. } if next == *token) && processes[sent.pod].holds_reply()
            })
        };
        let used = |token: &Token| self.sent.iter().any(|sent| sent.token == *token);
        let lost = self.kept.iter().any(|token| !there.contains(token) && !held(token) && !used(token));
        if lost {
            self.breaks(LOST);
        }
    }
}

/// What is looked for in the explored states.
impl World {
    pub fn record(&self) -> Option<&StateRecord> {
        self.cluster.state.as_ref().map(|state| &*state.value)
    }

    pub fn resolved(&self) -> bool {
        let sent = &self.ledger.sent;
        let answered =
            |token| sent.iter().any(|later| later.token == token && matches!(later.fate, Fate::Received { .. }));
        sent.iter().any(|sent| sent.fate == Fate::Unknown && answered(sent.token))
    }

    pub fn first_window(&self) -> bool {
        self.ledger.sent.iter().enumerate().any(|(at, sent)| {
            let again = self.ledger.sent[at + 1..].iter().any(|later| later.token == sent.token && !later.late);
            again && !sent.late && matches!(sent.fate, Fate::Received { .. })
        })
    }

    /// Whether a process goes on from a candidate: the state as it will write it is ahead of the one that is there.
    pub fn adopts(&self) -> bool {
        let there = self.record().map_or(0, |record| record.revision);
        self.processes
            .iter()
            .any(|process| matches!(&process.doing, Doing::Exchanging(exchanging) if exchanging.base.revision > there))
    }
}

/// The family of a published token.
pub fn family(output: &Output) -> u8 {
    output.issued.response.expose().split('.').next().and_then(|family| family.parse().ok()).unwrap()
}

/// Every refresh token in a state.
pub fn tokens(record: &StateRecord) -> Vec<Token> {
    let strays = record.candidates.iter().chain(&record.aside);
    let strays = strays.filter_map(|Candidate { received, .. }| received.refresh_token());
    let main = record.refresh_token.iter().chain(&record.previous_refresh_token);
    main.chain(strays).map(Token::of).collect()
}
