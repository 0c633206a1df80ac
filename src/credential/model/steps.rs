//! The steps of a process of the model beside the exchange: a pass up to its first effect, the output, the status. The order
//! follows `controller::{pass, publish, report}`; every decision is the production code's own.

use jiff::Timestamp;

use super::{
    Rule,
    cluster::{Output, Stored, Write},
    process::{CREDENTIAL, Cache, Doing, Publishing, Reporting, StateView, View, notes},
    shared::Shared,
    world::{Fault, World},
};
use crate::{
    api::{OAuthCredentialStatus, Reason, SecretStatus},
    credential::{
        decide::{Plan, decide},
        failed,
        observed::{Problem, Published},
        published::Publication,
        report::{self, Outcome, Pass, is_overtaken},
        schedule::Jitter,
    },
};

/// Tries of one publication, or of one status, against conflicts.
const MOST_TRIES: u8 = 5;

/// Which of its watches lag behind when a process begins a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lag {
    None,
    Credential,
    Secrets,
}

/// How a write to the API server ended.
pub enum Answer {
    Written(u32),
    Conflict,
    Unanswered,
    Refused,
}

impl World {
    /// Looks at the credential, and goes up to the first effect.
    pub fn pass(&mut self, pod: usize, lag: Lag) {
        let fresh = Cache::of(&self.cluster);
        let cache = &mut self.processes[pod].cache;
        if lag != Lag::Credential {
            cache.status = fresh.status;
        }
        if lag != Lag::Secrets {
            (cache.state, cache.output, cache.seed_version) = (fresh.state, fresh.output, fresh.seed_version);
        }
        for _ in 0..8 {
            let now = self.now;
            let process = &mut self.processes[pod];
            let mut view = process.view(pod, now);
            if self.broken_rule == Rule::WaitForOthers {
                view.intent_seen_for = std::time::Duration::MAX;
            }
            let lineage = format!("{pod}.{}.{}", process.boot, process.attempts);
            match decide(&self.rules, &view.observed(), &lineage) {
                Plan::ReadState => self.read_state(pod),
                Plan::ReadInputs => self.read_inputs(pod),
                Plan::Rest { until } => return self.settle(pod, &view, Outcome::Rested, until),
                Plan::Hold { problem, until } => return self.settle(pod, &view, Outcome::Held(problem), until),
                Plan::Publish if self.broken_rule == Rule::Publish => {
                    return self.settle(pod, &view, Outcome::Rested, None);
                }
                Plan::Publish => {
                    let StateView::Read(record, _) = &view.state else { panic!("published unread") };
                    let record = record.clone();
                    let publishing = Publishing { view: Shared::new(view), record, exchanged: false, tries: 0 };
                    self.processes[pod].doing = Doing::Publishing(publishing);
                    return;
                }
                Plan::Exchange(plan) => {
                    let seen = match &view.state {
                        StateView::Read(_, version) => Some(*version),
                        _ => None,
                    };
                    let base = Shared::new(*plan.base.unwrap());
                    return self.begin(pod, Shared::new(view), None, (base, seen), Vec::new(), false);
                }
            }
        }
        panic!("the pass comes to no end");
    }

    pub fn read_state(&mut self, pod: usize) {
        let state = self.cluster.state.clone();
        let process = &mut self.processes[pod];
        process.cache.state = state.as_ref().map(|state| Stored { version: state.version, value: notes(&state.value) });
        process.memory.state = Some((state.as_ref().map(|state| state.version), state.map(|state| state.value)));
    }

    pub fn read_inputs(&mut self, pod: usize) {
        let process = &mut self.processes[pod];
        process.cache.seed_version = self.cluster.seed.version;
        process.memory.seed = Some(self.cluster.seed.clone());
    }

    /// Looks again at once.
    pub fn again(&mut self, pod: usize) {
        self.processes[pod].doing = Doing::Idle { wake: Some(self.now) };
    }

    pub fn write(&mut self, write: Write, fault: Option<Fault>) -> Answer {
        match fault {
            Some(Fault::Unanswered) => {
                self.cluster.under_way.push(write);
                Answer::Unanswered
            }
            Some(Fault::Refused) => Answer::Refused,
            _ if self.cluster.admits(&write) => Answer::Written(self.commit(write)),
            _ => Answer::Conflict,
        }
    }

    /// Applies the output once.
    pub fn publish(&mut self, pod: usize, fault: Option<Fault>) {
        let Doing::Publishing(publishing) = &self.processes[pod].doing else { panic!("nothing to publish") };
        let publishing = publishing.clone();
        let record = &publishing.record;
        let issued = Shared::new(record.issued.clone().unwrap());
        let published = Published {
            lineage: record.lineage.clone(),
            revision: record.revision,
            asked_under: issued.asked_under.clone(),
            output: "o".into(),
            intact: true,
        };
        let output = Shared::new(Output { published, issued });
        let replaces = match self.broken_rule {
            Rule::OutputPrecondition => self.cluster.output.as_ref().map(|output| output.version),
            _ => publishing.view.output.as_ref().map(|seen| seen.version),
        };
        match self.write(Write::Output { output: output.clone(), replaces }, fault) {
            Answer::Written(version) => {
                self.processes[pod].cache.output = Some(Stored { version, value: output });
                self.published(pod, &publishing, version);
            }
            Answer::Refused => {
                let problem = Problem::passing(Reason::SecretConflict, "Refused.");
                let outcome = failed::unpublished(&self.rules, &publishing.view.observed(), problem, self.now);
                self.settle(pod, &publishing.view, outcome, None);
            }
            Answer::Conflict | Answer::Unanswered => {
                let found = self.cluster.output.clone();
                let process = &mut self.processes[pod];
                process.cache.output.clone_from(&found);
                match &found {
                    Some(found) if found.value == output => self.published(pod, &publishing, found.version),
                    found if *found == publishing.view.output && publishing.tries + 1 < MOST_TRIES => {
                        let tries = publishing.tries + 1;
                        process.doing = Doing::Publishing(Publishing { tries, ..publishing });
                    }
                    _ => {
                        process.memory.state = None;
                        self.again(pod);
                    }
                }
            }
        }
    }

    fn published(&mut self, pod: usize, publishing: &Publishing, version: u32) {
        let (record, view) = (&publishing.record, &publishing.view);
        let issued = record.issued.as_ref().unwrap();
        let secret = SecretStatus { name: "token".into(), uid: "u".into(), resource_version: version.to_string() };
        let token_hash = issued.access_token.hash(CREDENTIAL);
        let token = Publication::of(record, issued).written(&self.rules, token_hash, &[], secret);
        let status = &view.status.value;
        let (fresh, next) = match publishing.exchanged {
            true => (true, token.next_refresh(&self.rules.policy, status, Jitter::from_bits(0))),
            false => (record.revision > status.revision.unwrap_or(0), status.next_refresh_time),
        };
        self.settle(pod, view, Outcome::Published { token, fresh }, next);
        // Written again from the state, it goes on with the same pass.
        if !publishing.exchanged {
            match &mut self.processes[pod].doing {
                Doing::Reporting(reporting) => reporting.again = true,
                _ => self.again(pod),
            }
        }
    }

    /// Records what a pass came to.
    pub fn settle(&mut self, pod: usize, view: &View, outcome: Outcome, next: Option<Timestamp>) {
        let process = &mut self.processes[pod];
        // What was received and can't be published is looked at again at once.
        let held = matches!(process.doing, Doing::Publishing(_)) && matches!(outcome, Outcome::Held(_));
        let current = matches!(outcome, Outcome::Published { .. }) || view.is_current(process.cache.output.as_ref());
        let reporting = Reporting {
            now: self.now,
            outcome: Shared::new(outcome),
            current,
            next,
            seen: view.status.value.clone(),
            before: view.status.clone(),
            again: held,
            tries: 0,
        };
        self.go_on_reporting(pod, reporting);
    }

    fn go_on_reporting(&mut self, pod: usize, reporting: Reporting) {
        let after = self.after(&reporting);
        self.processes[pod].doing = match after == *reporting.before.value {
            true => Doing::Idle { wake: self.wake(&reporting, &after) },
            false => Doing::Reporting(reporting),
        };
    }

    fn after(&self, reporting: &Reporting) -> OAuthCredentialStatus {
        let pass = Pass {
            now: reporting.now,
            generation: 1,
            current: reporting.current,
            outcome: (*reporting.outcome).clone(),
            next: reporting.next,
            restarts: Some(&[]),
            authorization: Default::default(),
            handled: None,
            output_name: "token",
        };
        report::status(&reporting.before.value, &pass)
    }

    fn wake(&self, reporting: &Reporting, after: &OAuthCredentialStatus) -> Option<Timestamp> {
        let expiry = after.expiration_time.filter(|expires| *expires > self.now);
        if reporting.again { Some(self.now) } else { [reporting.next, expiry].into_iter().flatten().min() }
    }

    /// Patches the status once.
    pub fn report(&mut self, pod: usize, fault: Option<Fault>) {
        let Doing::Reporting(reporting) = self.processes[pod].doing.clone() else { panic!("nothing to report") };
        let after = Shared::new(self.after(&reporting));
        match self.write(Write::Status { after: after.clone(), replaces: reporting.before.version }, fault) {
            Answer::Written(version) => {
                let wake = self.wake(&reporting, &after);
                let process = &mut self.processes[pod];
                process.cache.status = Stored { version, value: after };
                process.doing = Doing::Idle { wake };
            }
            Answer::Conflict if reporting.tries + 1 < MOST_TRIES => {
                let before = self.cluster.status.clone();
                self.processes[pod].cache.status = before.clone();
                if is_overtaken(&reporting.seen, &before.value) && self.broken_rule != Rule::Overtaken {
                    return self.again(pod);
                }
                let tries = reporting.tries + 1;
                self.go_on_reporting(pod, Reporting { before, tries, ..reporting });
            }
            Answer::Conflict | Answer::Unanswered | Answer::Refused => self.again(pod),
        }
    }
}
