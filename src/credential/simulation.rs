//! A credential over simulated time: the real `decide`, `rotation` and `report` in a loop, around a clock, a state Secret and
//! a token server that are plain data. The few lines of glue follow `controller::pass` and `controller::exchange`.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{
    decide::*,
    failed::{self, Why},
    observed::*,
    published::{Publication, PublishedToken},
    record::*,
    report::{self, Outcome, Pass},
    rotation::*,
    schedule::*,
    starts::Starts,
};
use crate::{
    api::{ConditionStatus, ConditionType, OAuthCredentialStatus, SecretStatus},
    oauth::{
        failure::{Class, Failure, NotSent, Spent},
        values::{AccessToken, RefreshToken, SecretText},
    },
};

mod server;
mod tests;

use server::{Answer, Server};

/// One request that reached out to the server.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Timestamp,
    pub failure: Option<Failure>,
}

/// Everything there is: what outlives a restart, and what doesn't.
#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub rules: Rules,
    pub generation: i64,
    pub asked_under: AskedUnder,
    pub seed: String,
    pub requested: Option<String>,
    pub status: OAuthCredentialStatus,
    pub output: OutputSeen,
    pub state: Option<(StateRecord, u64)>,
    pub server: Server,
    pub requests: Vec<Request>,
    /// When the next pass is planned.
    pub wake: Option<Timestamp>,
    /// The process dies before this many more effects.
    pub dies_in: Option<u32>,
    /// Status writes that would have been made.
    pub patches: u32,
    binding: Binding,
    superseded: BTreeSet<String>,
    versions: u64,
    boots: u64,
    state_in_memory: Option<u64>,
    inputs_in_memory: Option<String>,
}

/// The process died.
#[derive(Debug)]
pub struct Died;

impl World {
    pub fn new(keeps: Keeps, policy: RefreshPolicy, lifetime: Option<Duration>, grace: Option<Duration>) -> Self {
        let rules = Rules {
            starts: if keeps == Keeps::Nothing { Starts::Client } else { Starts::RefreshToken },
            keeps,
            policy,
            suspend: false,
            legs: Vec::new(),
            reuse_grace_period: grace,
            grace_ends_on_use: false,
            request_timeout: Duration::from_secs(30),
        };
        let server = Server { lifetime, grace, good: "seed".into(), ..Server::default() };
        let text = |text: &str| text.to_owned();
        Self {
            now: Timestamp::from_millisecond(1_700_000_000_250).unwrap(),
            rules,
            generation: 1,
            asked_under: AskedUnder { spec: text("s1"), provider: text("p1"), inputs: text("i1") },
            seed: text("seed"),
            requested: None,
            status: OAuthCredentialStatus { observed_generation: Some(-1), ..OAuthCredentialStatus::default() },
            output: OutputSeen::Absent,
            state: None,
            server,
            requests: Vec::new(),
            wake: None,
            dies_in: None,
            patches: 0,
            binding: Binding::default(),
            superseded: BTreeSet::new(),
            versions: 0,
            boots: 0,
            state_in_memory: None,
            inputs_in_memory: None,
        }
    }

    /// Everything in memory is lost.
    pub fn restart(&mut self) {
        self.boots += 1;
        (self.state_in_memory, self.inputs_in_memory) = (None, None);
    }

    /// One pass at `now`; a process that dies is started again at once.
    pub fn pass(&mut self) {
        while let Err(Died) = self.try_pass() {
            self.restart();
        }
    }

    pub fn condition(&self, type_: ConditionType) -> Option<(bool, &str)> {
        let found = self.status.conditions.iter().find(|condition| condition.type_ == type_)?;
        Some((found.status == ConditionStatus::True, &found.reason))
    }

    pub fn jitter(&self) -> Jitter {
        let seed = (self.status.revision.unwrap_or(0) as u64) << 32 | self.status.failed_attempts.unwrap_or(0) as u64;
        Jitter::from_bits((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn look<T>(&self, then: impl FnOnce(&Observed<'_>) -> T) -> T {
        let seed = RefreshToken::new(self.seed.clone());
        let holder = Holder { pod: "pod".into(), boot: self.boots.to_string() };
        let inputs = match self.inputs_in_memory.as_ref() == Some(&self.asked_under.inputs) {
            true => InputsSeen::Read(Inputs {
                binding: &self.binding,
                source: match self.rules.starts {
                    Starts::RefreshToken => Source::Seed(&seed, hash(&seed)),
                    _ => Source::Client,
                },
            }),
            false => InputsSeen::Unread,
        };
        let state = match &self.state {
            _ if self.rules.keeps == Keeps::Nothing => StateSeen::NotKept,
            None => StateSeen::Absent,
            Some((record, version)) if self.state_in_memory == Some(*version) => StateSeen::Read(record),
            Some((record, _)) => StateSeen::Unread { revision: record.revision, open_intent: record.intent.is_some() },
        };
        then(&Observed {
            now: self.now,
            generation: self.generation,
            status: &self.status,
            refresh_requested: self.requested.as_deref(),
            asked_under: &self.asked_under,
            settings_hash: "",
            output_hash: "o",
            output_name: "o-token",
            output: self.output.clone(),
            state,
            inputs,
            seed_taken_by: None,
            holder: &holder,
            intent_seen_for: Duration::ZERO,
            jitter: self.jitter(),
        })
    }

    pub fn plan(&self) -> Plan {
        self.look(|seen| decide(&self.rules, seen, &format!("lineage {}", self.seed)))
    }

    fn try_pass(&mut self) -> Result<(), Died> {
        for _ in 0..8 {
            match self.plan() {
                Plan::ReadState => self.state_in_memory = self.state.as_ref().map(|(_, version)| *version),
                Plan::ReadInputs => self.inputs_in_memory = Some(self.asked_under.inputs.clone()),
                Plan::Rest { until } => return self.settle(Outcome::Rested, until),
                Plan::Hold { problem, until } => return self.settle(Outcome::Held(problem), until),
                Plan::Publish => {
                    let (record, _) = self.state.clone().unwrap();
                    let fresh = record.revision > self.status.revision.unwrap_or(0);
                    let issued = record.issued.clone().unwrap();
                    let token = self.publish(Publication::of(&record, &issued))?;
                    self.settle(Outcome::Published { token, fresh }, self.status.next_refresh_time)?;
                }
                Plan::Exchange(plan) => return self.exchange(plan),
            }
        }
        panic!("the pass comes to no end: {:?}", self.plan());
    }

    fn settle(&mut self, outcome: Outcome, next: Option<Timestamp>) -> Result<(), Died> {
        let attempted = matches!(outcome, Outcome::Published { fresh: true, .. } | Outcome::Failed { .. });
        let is_current = matches!(&self.output, OutputSeen::Ours(published)
            if published.asked_under.spec == self.asked_under.spec && Some(published.revision) == self.status.revision);
        let pass = Pass {
            now: self.now,
            generation: self.generation,
            current: matches!(outcome, Outcome::Published { .. }) || is_current,
            outcome,
            next,
            handled: self.requested.as_deref().filter(|_| attempted),
            restarts: Some(&[]),
            authorization: Default::default(),
            output_name: "token",
        };
        let after = report::status(&self.status, &pass);
        if after != self.status {
            self.effect()?;
            self.patches += 1;
            self.status = after;
        }
        let expiry = self.status.expiration_time.filter(|expires| *expires > self.now);
        self.wake = [next, expiry].into_iter().flatten().min();
        Ok(())
    }

    fn publish(&mut self, publication: Publication<'_>) -> Result<PublishedToken, Died> {
        self.effect()?;
        let Publication { lineage, revision, issued, .. } = publication;
        self.output = OutputSeen::Ours(Published {
            lineage: lineage.to_owned(),
            revision,
            asked_under: issued.asked_under.clone(),
            output: "o".into(),
            intact: true,
        });
        let token_hash = issued.access_token.hash("simulated");
        Ok(publication.written(&self.rules, token_hash, &[], SecretStatus::default()))
    }

    fn exchange(&mut self, plan: Exchange) -> Result<(), Died> {
        let begun = plan.base;
        let (mut base, mut refused) = (begun.clone(), Vec::new());
        loop {
            let sent = base.as_ref().and_then(|base| base.refresh_token.clone());
            match self.attempt(base.as_deref())? {
                Ended::Issued { issued, saved } => {
                    let token_hash = issued.access_token.hash("simulated");
                    let token = self.publish(match &saved {
                        Some((record, _)) => Publication::of(record, &issued),
                        None => Publication::unkept("uid", &issued, &token_hash, None, &self.status.clone()),
                    })?;
                    let jitter = World { status: status_of(token.revision), ..self.clone() }.jitter();
                    let next = token.next_refresh(&self.rules.policy, &self.status, jitter);
                    return self.settle(Outcome::Published { token, fresh: true }, next);
                }
                Ended::NotSpent { why, .. } => {
                    let again = sent.filter(|_| why.class() == Class::Person).and_then(|sent| {
                        refused.push(hash(&sent));
                        let (record, _) = self.state.clone()?;
                        after_refusal(&self.rules, begun.as_deref()?, &record, &refused, hash, self.now, "anew")
                    });
                    match again {
                        Some(next) => base = Some(Box::new(next)),
                        None => return self.fail(why, None),
                    }
                }
                Ended::Unknown { why, .. } => {
                    return self.fail(why, Some(base.and_then(|base| base.issued)));
                }
                ended @ (Ended::Superseded | Ended::Gone) => panic!("nobody else writes here: {ended:?}"),
            }
        }
    }

    fn fail(&mut self, why: Failure, unknown: Option<Option<Issued>>) -> Result<(), Died> {
        let (rules, now, why) = (self.rules.clone(), self.now, Why::Request(why));
        let outcome = self.look(|seen| match &unknown {
            None => failed::not_spent(&rules, seen, why.clone(), now),
            Some(published) => failed::unknown(&rules, seen, why.clone(), published.as_ref(), now),
        });
        let Outcome::Failed { retry, .. } = &outcome else { panic!("{outcome:?}") };
        let retry = *retry;
        self.settle(outcome, retry)
    }

    fn attempt(&mut self, base: Option<&StateRecord>) -> Result<Ended<Failure>, Died> {
        self.versions += 1;
        let name = format!("attempt {}", self.versions);
        let sent = base.and_then(|base| base.refresh_token.clone());
        let mut attempt = match base {
            None => Attempt::stateless(name),
            Some(base) => {
                let intent = Intent {
                    attempt: name,
                    holder: Holder { pod: "pod".into(), boot: self.boots.to_string() },
                    lineage: base.lineage.clone(),
                    leg: String::new(),
                    token_hash: sent.as_ref().map(hash).unwrap_or_default(),
                    binding: base.binding.clone(),
                    started_at: self.now,
                    send_by: self.now,
                };
                let seen = self.state.as_ref().map(|(_, version)| version.to_string());
                Attempt::stateful(self.rules.keeps, base.clone(), seen, intent)
            }
        };
        loop {
            self.effect()?;
            let event = match attempt.effect() {
                Effect::Connect if self.server.script.front() == Some(&Answer::Unreachable) => {
                    self.server.script.pop_front();
                    let failure = Failure::NotSent(NotSent::Connect);
                    self.requests.push(Request { at: self.now, failure: Some(failure.clone()) });
                    Event::Failed(NoToken::NotSpent(failure))
                }
                Effect::Connect => Event::Connected { now: self.now, send_by: later(self.now, FENCE) },
                Effect::WriteIntent(write) | Effect::ClearIntent(write) | Effect::SaveReply { write, .. } => {
                    self.write(*write)
                }
                Effect::Send => self.send(sent.as_ref()),
                Effect::ReadState { .. } => panic!("every write is answered here"),
            };
            match attempt.on(event) {
                Step::Next(next) => attempt = *next,
                Step::End(ended) => return Ok(ended),
            }
        }
    }

    fn write(&mut self, write: Write) -> Event<Failure> {
        assert_eq!(write.replaces, self.state.as_ref().map(|(_, version)| version.to_string()));
        if let Some(former) = self.state.as_ref().and_then(|(record, _)| record.refresh_token.as_ref())
            && write.record.refresh_token.as_ref() != Some(former)
        {
            self.superseded.insert(former.expose().to_owned());
        }
        self.versions += 1;
        self.state = Some((write.record, self.versions));
        self.state_in_memory = Some(self.versions);
        Event::Written { resource_version: self.versions.to_string() }
    }

    fn send(&mut self, token: Option<&RefreshToken>) -> Event<Failure> {
        if let Some(token) = token {
            let superseded = self.superseded.contains(token.expose()) && self.server.grace.is_none();
            assert!(!superseded, "a token was sent although a newer one had been saved");
            let open = self.state.as_ref().is_some_and(|(record, _)| record.intent.is_some());
            assert!(open || self.rules.keeps != Keeps::SingleUse, "sent without an intent");
        }
        let failure = match self.server.answer(token.map(RefreshToken::expose), self.now) {
            Ok(next) => {
                self.requests.push(Request { at: self.now, failure: None });
                return Event::Received(Box::new(Issued {
                    leg: String::new(),
                    access_token: AccessToken::new(format!("a {}", self.requests.len())),
                    refresh_token: token.map(|_| RefreshToken::new(next)),
                    id_token: None,
                    token_type: None,
                    scope: None,
                    obtained_at: self.now,
                    expires_at: self.server.lifetime.map(|lifetime| later(self.now, lifetime)),
                    refresh_token_expires_at: None,
                    response: SecretText::new("{}"),
                    asked_under: self.asked_under.clone(),
                }));
            }
            Err(failure) => failure,
        };
        self.requests.push(Request { at: self.now, failure: Some(failure.clone()) });
        Event::Failed(match failure.spent() {
            Spent::No => NoToken::NotSpent(failure),
            Spent::Unknown => NoToken::Unknown(failure),
        })
    }

    fn effect(&mut self) -> Result<(), Died> {
        match &mut self.dies_in {
            Some(0) => {
                self.dies_in = None;
                Err(Died)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn hash(token: &RefreshToken) -> String {
    token.hash("uid")
}

fn status_of(revision: i64) -> OAuthCredentialStatus {
    OAuthCredentialStatus { revision: Some(revision), ..OAuthCredentialStatus::default() }
}
