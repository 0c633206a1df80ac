//! Everything there is in the model, and what may happen next.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Bounds, Rule,
    cluster::{Cluster, Write},
    ledger::{Fate, Ledger, Reply, SENT_TWICE, Sent, family, tokens},
    process::{Doing, Process, hash, rules},
    server::{Server, Token},
    shared::Shared,
    steps::Lag,
};
use crate::{
    credential::{
        decide::Rules,
        record::{AskedUnder, Binding, Issued, Received, StateRecord},
        schedule::later,
    },
    oauth::values::{AccessToken, SecretText},
};

/// What goes wrong with one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No answer. A write may take effect at any later time, or never; a token request was not carried out.
    Unanswered,
    /// The API server forbids it; the token server answers `invalid_grant` although the token is good.
    Refused,
    /// The token server carried it out, and the reply is lost.
    AnswerLost,
    /// The token server has no time (429).
    Busy,
    /// The reply is of no use but for the refresh token.
    Garbled,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A process looks at the credential.
    Pass(usize, Lag),
    /// A process carries out its next effect.
    Effect(usize, Option<Fault>),
    Pause(usize),
    Resume(usize),
    Crash(usize),
    Restart(usize),
    /// Takes the Lease: the other may go on believing that it leads.
    Lead(usize),
    /// Notices that it doesn't lead any more.
    Lose(usize),
    /// An unanswered write takes effect.
    Arrive(usize),
    /// Time goes on to the next event.
    Tick,
    /// A person puts another refresh token into the input Secret.
    Reseed,
    /// A person consents anew, and the state is another lineage's.
    Consent,
    /// Somebody edits the metadata of the state Secret, deletes it, or restores it from a backup.
    Touch,
    Delete,
    Restore,
}

/// What may still go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub faults: u8,
    pub crashes: u8,
    pub pauses: u8,
    pub handovers: u8,
    pub lags: u8,
    pub people: u8,
    pub meddlers: u8,
}

#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub cluster: Cluster,
    pub server: Server,
    pub processes: [Process; 2],
    /// Who holds the Lease.
    pub lease: usize,
    pub left: Left,
    pub ledger: Ledger,
    pub rules: Rules,
    pub lifetime: Duration,
    pub broken_rule: Rule,
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl std::hash::Hash for World {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.parts().hash(hasher);
    }
}

/// In short, for a counterexample.
impl std::fmt::Display for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.cluster.state.as_ref().map(|state| {
            let record = &state.value;
            let intent = record.intent.as_ref().map(|intent| &intent.attempt);
            (&record.lineage, record.revision, tokens(record), intent)
        });
        let output =
            self.cluster.output.as_ref().map(|output| (family(&output.value), output.value.published.revision));
        let status = &self.cluster.status.value;
        let said: Vec<_> = status.conditions.iter().map(|said| (said.type_, said.status, &said.reason)).collect();
        let at = self.now.duration_since(self.start()).as_secs();
        write!(formatter, "{at} s: state {state:?}, output {output:?}, status {:?} {said:?}", status.revision)
    }
}

impl World {
    pub fn new(bounds: &Bounds) -> Self {
        let seed = Token { family: 0, serial: 0 };
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let cluster = Cluster::new(seed);
        let start = |leads| Process { leads, ..Process::start(&cluster, 0, now) };
        Self {
            now,
            processes: [start(true), start(false)],
            cluster,
            server: Server::new(bounds.grace),
            lease: 0,
            left: bounds.left.clone(),
            ledger: Ledger::default(),
            rules: rules(bounds.grace),
            lifetime: Duration::from_secs(300),
            broken_rule: bounds.broken_rule,
        }
    }

    pub fn start(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    /// What differs between two states of one model.
    fn parts(&self) -> (&Timestamp, &Cluster, &Server, &[Process; 2], &usize, &Left, &Ledger) {
        (&self.now, &self.cluster, &self.server, &self.processes, &self.lease, &self.left, &self.ledger)
    }

    /// What comes of an action.
    pub fn apply(&mut self, action: Action) {
        match action {
            Action::Pass(pod, lag) => {
                self.left.lags -= u8::from(lag != Lag::None);
                self.pass(pod, lag);
            }
            Action::Effect(pod, fault) => {
                self.left.faults -= u8::from(fault.is_some());
                match self.processes[pod].doing {
                    Doing::Idle { .. } => {}
                    Doing::Exchanging(_) => self.exchange(pod, fault),
                    Doing::Publishing(_) => self.publish(pod, fault),
                    Doing::Reporting(_) => self.report(pod, fault),
                }
            }
            Action::Pause(pod) => {
                self.left.pauses -= 1;
                self.stop(pod, false);
                self.processes[pod].paused = true;
            }
            Action::Resume(pod) => self.processes[pod].paused = false,
            Action::Crash(pod) => {
                self.left.crashes -= 1;
                self.stop(pod, true);
                let boot = self.processes[pod].boot;
                let dead = Process { alive: false, ..Process::start(&self.cluster, boot, self.now) };
                self.processes[pod] = dead;
            }
            Action::Restart(pod) => {
                let boot = self.processes[pod].boot + 1;
                let leads = self.lease == pod;
                self.processes[pod] = Process { leads, ..Process::start(&self.cluster, boot, self.now) };
            }
            Action::Lead(pod) => {
                self.left.handovers -= u8::from(self.processes[1 - pod].alive);
                self.lease = pod;
                let process = &mut self.processes[pod];
                process.leads = true;
                (process.memory.state, process.memory.intent) = (None, None);
                if let Doing::Idle { wake } = &mut process.doing {
                    *wake = Some(self.now);
                }
            }
            Action::Lose(pod) => self.processes[pod].leads = false,
            Action::Arrive(at) => {
                let write = self.cluster.under_way.remove(at);
                self.commit(write);
            }
            Action::Tick => self.now = self.next_event().unwrap_or(self.now),
            Action::Reseed => {
                self.left.people -= 1;
                self.cluster.seed.version += 1;
                self.cluster.seed.value = self.server.consent();
            }
            Action::Consent => self.consent(),
            Action::Touch => {
                self.left.meddlers -= 1;
                let record = self.cluster.state.as_ref().map(|state| state.value.clone());
                record.map(|record| self.cluster.put_state(record));
            }
            Action::Delete => {
                self.left.meddlers -= 1;
                self.ledger.taken_away(&self.cluster, None);
                self.cluster.state = None;
            }
            Action::Restore => {
                self.left.meddlers -= 1;
                let backup = self.cluster.backup.clone().unwrap();
                self.ledger.taken_away(&self.cluster, Some(&backup));
                self.cluster.put_state(backup);
            }
        }
        self.cluster.drop_stale(self.left.meddlers > 0);
        self.ledger.check_kept(&self.cluster, &self.processes);
    }

    /// A process dies or stands still: what it was about to do matters.
    fn stop(&mut self, pod: usize, dies: bool) {
        let process = &mut self.processes[pod];
        if process.holds_reply() {
            self.ledger.stops(pod, dies);
        }
        process.stalled |= matches!(&process.doing, Doing::Exchanging(exchanging) if exchanging.fenced);
    }

    pub fn commit(&mut self, write: Write) -> u32 {
        self.ledger.writes(&self.cluster, &write);
        self.cluster.commit(write)
    }

    fn consent(&mut self) {
        self.left.people -= 1;
        let token = self.server.consent();
        let former = self.cluster.state.clone().unwrap().value;
        let seed = hash(&self.cluster.seed.value.text());
        let lineage = format!("consent {}", token.family);
        let published = self.cluster.status.value.revision.unwrap_or(0);
        let record = StateRecord::begin(
            lineage,
            Binding::default(),
            Some(&token.text()),
            seed,
            Some(&former),
            published,
            self.now,
        );
        let inputs = self.cluster.seed.version.to_string();
        let issued = Issued {
            leg: String::new(),
            access_token: AccessToken::new(format!("a {token:?}")),
            refresh_token: None,
            id_token: None,
            token_type: None,
            scope: None,
            obtained_at: self.now,
            expires_at: Some(later(self.now, self.lifetime)),
            refresh_token_expires_at: None,
            response: SecretText::new(format!("{}.0", token.family)),
            asked_under: AskedUnder { spec: "s".into(), provider: "p".into(), inputs },
        };
        let record = record.with_reply("consent", None, Received::Issued(Box::new(issued)));
        let replaces = self.cluster.state.as_ref().map(|state| state.version);
        self.commit(Write::State { record: Shared::new(record), replaces });
        self.ledger.kept.push(token);
    }

    // Sending.

    /// Whether the policy lets a token be sent now, for all that has become of it.
    pub fn may_send(&self, token: Token) -> bool {
        self.ledger.forgotten.contains(&token)
            || self.ledger.sent.iter().filter(|sent| sent.token == token).all(|sent| self.may_repeat(sent))
    }

    fn may_repeat(&self, sent: &Sent) -> bool {
        let in_grace = self.rules.reuse_grace_period.is_some_and(|grace| self.now < later(sent.at, grace));
        let settled = match sent.fate {
            Fate::NotSpent => return true,
            Fate::Unknown | Fate::Received { reply: Reply::Stopped, .. } => true,
            Fate::Received { reply: Reply::Held, .. } => sent.late,
            Fate::UnderWay | Fate::Received { reply: Reply::Saved, .. } => false,
        };
        let serves = self.cluster.output.as_ref().is_some_and(|output| {
            let issued = &output.value.issued;
            let expires = issued.expires_at.unwrap();
            family(&output.value) == sent.token.family
                && self.now < self.rules.policy.last_call(issued.obtained_at, expires)
        });
        in_grace || settled && !serves
    }

    /// A refresh token leaves for the token server.
    pub fn sending(&mut self, pod: usize, token: Token) {
        let process = &self.processes[pod];
        let since = &self.ledger.sent[process.judged..];
        let meanwhile = since.iter().any(|sent| {
            sent.token == token && !sent.late && sent.fate != Fate::NotSpent && !self.ledger.forgotten.contains(&token)
        });
        let late = process.stalled;
        if (meanwhile || !process.permitted) && !late {
            self.ledger.breaks(SENT_TWICE);
        }
        self.ledger.sent.push(Sent { token, pod, at: self.now, fate: Fate::UnderWay, late });
    }
}
