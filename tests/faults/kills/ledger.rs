//! What the proxies saw of every attempt, and the judgement: whether a grant that is lost was lost inside the published window,
//! and whether a refresh token that was sent again might be.

use std::collections::{HashMap, HashSet};

use super::log::Entry;

/// Of the system's monotonic clock, which the token server reads too.
pub type Micros = u64;

pub fn micros() -> Micros {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000 + u64::try_from(now.tv_nsec).unwrap() / 1000
}

/// One attempt.
#[derive(Clone, Debug, Default)]
pub struct Try {
    pub credential: String,
    pub attempt: String,
    /// SHA-256 of the refresh token that it sends, as the token server's log has it.
    pub token: String,
    /// The API server acknowledged the intent.
    pub intended: Option<Micros>,
    /// The request was passed on to the token server.
    pub sent: Option<Micros>,
    pub answered: Option<Micros>,
    /// The write of the reply came to the API server.
    pub saving: Option<Micros>,
    pub saved: Option<Micros>,
    pub published: Option<Micros>,
    pub reported: Option<Micros>,
    /// The intent was taken back.
    pub withdrawn: bool,
    /// Its process was killed.
    pub killed: Option<Micros>,
}

/// How far an attempt had come when its process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    AtRest,
    Reported,
    Published,
    Saved,
    Intent,
    Sent,
    Saving,
    Answered,
}

impl Progress {
    pub fn as_str(self) -> &'static str {
        match self {
            Progress::AtRest => "no attempt under way",
            Progress::Reported => "status written",
            Progress::Published => "output written, not the status",
            Progress::Saved => "reply saved, not published",
            Progress::Intent => "intent written or under way, nothing sent",
            Progress::Sent => "sent, not answered",
            Progress::Answered => "answered, not saved",
            Progress::Saving => "save under way",
        }
    }
}

impl Try {
    /// Whether what came of it is on record in the cluster.
    pub fn is_settled(&self) -> bool {
        self.saved.is_some() || self.withdrawn
    }

    pub fn progress(&self) -> Progress {
        match self {
            _ if self.withdrawn || self.reported.is_some() => Progress::Reported,
            _ if self.published.is_some() => Progress::Published,
            _ if self.saved.is_some() => Progress::Saved,
            _ if self.saving.is_some() => Progress::Saving,
            _ if self.answered.is_some() => Progress::Answered,
            _ if self.sent.is_some() => Progress::Sent,
            _ => Progress::Intent,
        }
    }
}

/// How a grant was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The server had committed, and the reply wasn't saved yet when the process was killed.
    AfterCommit,
    /// The request was on its way when the process was killed, and the server committed after that.
    OnTheWay,
}

#[derive(Default)]
pub struct Ledger {
    tries: Vec<Try>,
    /// By credential: where in `tries` its present grant begins.
    grants: HashMap<String, usize>,
    /// What should never have been seen.
    pub wrong: Vec<String>,
}

impl Ledger {
    pub fn tries(&self) -> &[Try] {
        &self.tries
    }

    pub fn intends(&mut self, credential: &str, attempt: &str, token: String) {
        if self.with(credential, attempt).is_none() {
            self.tries.push(Try {
                credential: credential.to_owned(),
                attempt: attempt.to_owned(),
                token,
                ..Try::default()
            });
        }
    }

    pub fn intended(&mut self, credential: &str) {
        self.note(credential, |seen| seen.intended = Some(micros()));
    }

    /// A request with this refresh token is passed on to the token server.
    pub fn sends(&mut self, token: &str) {
        let found = self.tries.iter_mut().rev().find(|seen| seen.token == token && seen.sent.is_none());
        match found {
            Some(seen) => seen.sent = Some(micros()),
            None => self.wrong.push(format!("the refresh token {token} was sent without an intent")),
        }
    }

    pub fn answered(&mut self, token: &str) {
        if let Some(seen) = self.tries.iter_mut().rev().find(|seen| seen.token == token && seen.answered.is_none()) {
            seen.answered = Some(micros());
        }
    }

    /// A write of the state without an intent: `attempt` is the one whose reply is the newest in it.
    pub fn saves(&mut self, credential: &str, attempt: &str) {
        if let Some(seen) = self.with(credential, attempt) {
            seen.saving.get_or_insert_with(micros);
        }
    }

    /// It took effect.
    pub fn saved(&mut self, credential: &str, attempt: &str) {
        self.note(credential, |newest| {
            if newest.attempt == attempt {
                newest.saved.get_or_insert_with(micros);
            } else {
                newest.withdrawn = true;
            }
        });
    }

    pub fn published(&mut self, credential: &str) {
        self.note(credential, |seen| seen.published = seen.saved.map(|_| micros()));
    }

    pub fn reported(&mut self, credential: &str) {
        self.note(credential, |seen| seen.reported = seen.published.map(|_| micros()));
    }

    /// The process is dead. Returns how far the one of its attempts had come that was nearest to a loss.
    pub fn killed(&mut self) -> Progress {
        let now = micros();
        let mut newest = HashSet::new();
        let mut worst = Progress::AtRest;
        for seen in self.tries.iter_mut().rev().filter(|seen| newest.insert(seen.credential.clone())) {
            if seen.killed.is_none() && seen.progress() != Progress::Reported {
                seen.killed = Some(now);
                worst = worst.max(seen.progress());
            }
        }
        worst
    }

    /// A person gave this credential a new refresh token.
    pub fn reseeded(&mut self, credential: &str) {
        self.grants.insert(credential.to_owned(), self.tries.len());
    }

    /// The newest attempt under the present grant.
    pub fn newest(&self, credential: &str) -> Option<&Try> {
        self.under_grant(credential).last()
    }

    fn under_grant(&self, credential: &str) -> impl DoubleEndedIterator<Item = &Try> {
        let from = self.grants.get(credential).copied().unwrap_or(0);
        self.tries[from..].iter().filter(move |seen| seen.credential == credential)
    }

    /// How the grant of this credential was lost: inside the window, if a process was killed between its sending a token that
    /// the server then took, and its own first write of the reply. None: nothing explains it.
    pub fn lost(&self, credential: &str, log: &HashMap<String, Vec<Entry>>) -> Option<Lost> {
        self.under_grant(credential).rev().filter(|seen| !seen.is_settled()).find_map(|seen| {
            let (killed, sent) = (seen.killed?, seen.sent?);
            let committed = log.get(&seen.token)?.iter().filter_map(|entry| entry.committed_us);
            let committed = committed.filter(|committed| *committed >= sent).min()?;
            Some(if committed <= killed { Lost::AfterCommit } else { Lost::OnTheWay })
        })
    }

    /// Every token that was sent again although what had become of it was on record, or its sender lived on.
    pub fn unexplained_replays(&self) -> Vec<String> {
        let mut sent: HashMap<&str, &Try> = HashMap::new();
        let mut wrong = Vec::new();
        for seen in self.tries.iter().filter(|seen| seen.sent.is_some()) {
            if let Some(before) = sent.insert(&seen.token, seen)
                && (before.killed.is_none() || before.is_settled())
            {
                wrong.push(format!("sent again: {before:?}, then {seen:?}"));
            }
        }
        wrong
    }

    /// From the server's commit to the API server's acknowledgement of what was received, where no kill came between, for all
    /// but the first so many attempts.
    pub fn commit_to_save(&self, first: usize, log: &HashMap<String, Vec<Entry>>) -> Vec<Micros> {
        let alive = self.tries[first..].iter().filter(|seen| seen.killed.is_none());
        alive
            .filter_map(|seen| {
                let (sent, saved) = (seen.sent?, seen.saved?);
                let committed = log.get(&seen.token)?.iter().filter_map(|entry| entry.committed_us);
                Some(saved - committed.filter(|committed| (sent..=saved).contains(committed)).max()?)
            })
            .collect()
    }

    fn with(&mut self, credential: &str, attempt: &str) -> Option<&mut Try> {
        self.tries.iter_mut().rev().find(|seen| seen.credential == credential && seen.attempt == attempt)
    }

    fn note(&mut self, credential: &str, note: impl FnOnce(&mut Try)) {
        if let Some(seen) = self.tries.iter_mut().rev().find(|seen| seen.credential == credential) {
            note(seen);
        }
    }
}
