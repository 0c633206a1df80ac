//! One exchange of a process of the model: an attempt, one effect at a time, and what follows from its end. The order follows
//! `controller::{exchange, attempt}`; every decision is the production code's own.

use super::{
    Rule,
    cluster::{Stored, Write},
    process::{Doing, Exchanging, Publishing, View, hash, notes, retry_of},
    server::Token,
    shared::Shared,
    steps::Answer,
    world::{Fault, World},
};
use crate::{
    api::Reason,
    credential::{
        decide::{FENCE, after_refusal, is_under_way},
        failed::{self, Why},
        observed::Problem,
        record::{Intent, Issued, StateRecord},
        rotation::{Attempt, Effect, Ended, Event, Keeps, NoToken, Step, Write as StateWrite},
        schedule::later,
    },
    oauth::{
        codes::ErrorCode,
        failure::{Class, Failure, Spent},
        values::{AccessToken, SecretText},
    },
};

impl World {
    /// Begins an attempt, and connects.
    pub fn begin(
        &mut self,
        pod: usize,
        view: Shared<View>,
        begun: Option<Shared<StateRecord>>,
        (base, seen): (Shared<StateRecord>, Option<u32>),
        refused: Vec<String>,
        reread: bool,
    ) {
        let now = self.now;
        let permitted = base.refresh_token.as_ref().is_some_and(|token| self.may_send(Token::of(token)));
        let process = &mut self.processes[pod];
        (process.permitted, process.judged) = (permitted, self.ledger.sent.len());
        process.attempts += 1;
        process.stalled = false;
        let name = format!("{pod}.{}.{}", process.boot, process.attempts);
        let intent = Intent {
            attempt: name.clone(),
            holder: view.holder.clone(),
            lineage: base.lineage.clone(),
            leg: String::new(),
            token_hash: base.refresh_token.as_ref().map(hash).unwrap_or_default(),
            binding: base.binding.clone(),
            started_at: now,
            send_by: now,
        };
        let seen = seen.map(|version| version.to_string());
        let attempt = Attempt::stateful(Keeps::SingleUse, (*base).clone(), seen, intent);
        assert_eq!(attempt.effect(), Effect::Connect);
        let send_by = later(now, FENCE);
        let event = match process.leads {
            true => Event::Connected { now, send_by },
            false => Event::Failed(NoToken::NotSpent(Why::Request(Failure::FenceClosed))),
        };
        let attempt = Shared::new(attempt);
        let begun = begun.unwrap_or_else(|| base.clone());
        process.doing =
            Doing::Exchanging(Exchanging { view, begun, base, attempt, name, send_by, fenced: false, refused, reread });
        self.on(pod, event);
    }

    /// Tells the attempt how its effect ended.
    fn on(&mut self, pod: usize, event: Event<Why>) {
        let Doing::Exchanging(exchanging) = &mut self.processes[pod].doing else { panic!("no attempt") };
        match (*exchanging.attempt).clone().on(event) {
            Step::Next(next) => exchanging.attempt = Shared::new(*next),
            Step::End(ended) => {
                let exchanging = exchanging.clone();
                self.ended(pod, exchanging, ended);
            }
        }
    }

    /// Carries out the attempt's next effect.
    pub fn exchange(&mut self, pod: usize, fault: Option<Fault>) {
        let Doing::Exchanging(exchanging) = &self.processes[pod].doing else { panic!("no attempt") };
        let exchanging = exchanging.clone();
        let event = match exchanging.attempt.effect() {
            Effect::Connect => panic!("connected already"),
            Effect::WriteIntent(write) if self.broken_rule == Rule::Intent => {
                Event::Written { resource_version: write.replaces.unwrap_or("0".into()) }
            }
            Effect::SaveReply { mut write, .. } if self.broken_rule == Rule::SavePrecondition => {
                write.replaces = self.cluster.state.as_ref().map(|state| state.version.to_string());
                self.write_state(pod, *write, fault)
            }
            Effect::SaveReply { .. } if self.broken_rule == Rule::KeepReply && fault.is_some() => {
                Event::Written { resource_version: "0".into() }
            }
            Effect::WriteIntent(write) | Effect::ClearIntent(write) | Effect::SaveReply { write, .. } => {
                self.write_state(pod, *write, fault)
            }
            Effect::ReadState { .. } if fault == Some(Fault::Unanswered) => Event::ReadFailed,
            Effect::ReadState { .. } => {
                self.read_state(pod);
                let state = self.cluster.state.as_ref().map(|state| {
                    let mut record = (*state.value).clone();
                    if let Some(intent) = &mut record.intent
                        && self.broken_rule == Rule::IsOurs
                    {
                        intent.attempt.clone_from(&exchanging.name);
                    }
                    (Box::new(record), state.version.to_string())
                });
                Event::Read { state, credential_exists: true }
            }
            Effect::Send if !exchanging.fenced => {
                let process = &mut self.processes[pod];
                if (process.leads && self.now < exchanging.send_by) || self.broken_rule == Rule::Fence {
                    process.doing = Doing::Exchanging(Exchanging { fenced: true, ..exchanging });
                    return;
                }
                Event::Failed(NoToken::NotSpent(Why::Request(Failure::FenceClosed)))
            }
            Effect::Send => self.send(pod, &exchanging, fault),
        };
        self.on(pod, event);
    }

    fn write_state(&mut self, pod: usize, write: StateWrite, fault: Option<Fault>) -> Event<Why> {
        let replaces = write.replaces.map(|version| version.parse().unwrap());
        let record = Shared::new(write.record);
        match self.write(Write::State { record: record.clone(), replaces }, fault) {
            Answer::Written(version) => {
                let process = &mut self.processes[pod];
                process.cache.state = Some(Stored { version, value: notes(&record) });
                process.memory.state = Some((Some(version), Some(record)));
                Event::Written { resource_version: version.to_string() }
            }
            Answer::Refused => {
                self.processes[pod].memory.state = None;
                Event::WriteRefused(Why::Problem(Problem::passing(Reason::SecretConflict, "Refused.")))
            }
            Answer::Conflict | Answer::Unanswered => {
                self.processes[pod].memory.state = None;
                Event::WriteInDoubt
            }
        }
    }

    /// The bytes leave.
    fn send(&mut self, pod: usize, exchanging: &Exchanging, fault: Option<Fault>) -> Event<Why> {
        let token = Token::of(exchanging.base.refresh_token.as_ref().unwrap());
        let refusal = Failure::Refused { code: ErrorCode::InvalidGrant, spent: Spent::No, retry_after: None };
        let failed = match fault {
            Some(Fault::Busy) => Some(Failure::RateLimited { retry_after: None }),
            Some(Fault::Refused) => Some(refusal.clone()),
            Some(Fault::Unanswered) => Some(Failure::TimedOut),
            _ => None,
        };
        self.sending(pod, token);
        let next = match failed {
            Some(_) => None,
            None => self.server.refresh(token, self.now),
        };
        let event = match (fault, failed, next) {
            (_, Some(failure), _) => Err(failure),
            (_, None, None) => Err(refusal),
            (Some(Fault::AnswerLost), None, Some(_)) => Err(Failure::Cut),
            (_, None, Some(next)) => Ok(next),
        };
        match event {
            Ok(next) => {
                self.ledger.received(pod, next);
                if fault == Some(Fault::Garbled) {
                    let why = Why::Request(Failure::MissingAccessToken);
                    return Event::Salvaged { refresh_token: next.text(), why };
                }
                Event::Received(Box::new(Issued {
                    leg: String::new(),
                    access_token: AccessToken::new(format!("a {next:?}")),
                    refresh_token: Some(next.text()),
                    id_token: None,
                    token_type: None,
                    scope: None,
                    obtained_at: self.now,
                    expires_at: Some(later(self.now, self.lifetime)),
                    refresh_token_expires_at: None,
                    response: SecretText::new(format!("{}.{}", next.family, next.serial)),
                    asked_under: exchanging.view.asked_under.clone(),
                }))
            }
            Err(failure) => {
                let spent = failure.spent();
                self.ledger.unanswered(pod, spent);
                Event::Failed(match spent {
                    Spent::No => NoToken::NotSpent(Why::Request(failure)),
                    Spent::Unknown => NoToken::Unknown(Why::Request(failure)),
                })
            }
        }
    }

    /// An attempt has ended.
    fn ended(&mut self, pod: usize, exchanging: Exchanging, ended: Ended<Why>) {
        let view = exchanging.view.clone();
        let now = self.now;
        match ended {
            Ended::Issued { saved, .. } => {
                let (record, _) = saved.unwrap();
                let record = Shared::new(*record);
                let publishing = Publishing { view, record, exchanged: true, tries: 0 };
                self.processes[pod].doing = Doing::Publishing(publishing);
            }
            Ended::NotSpent { why: Why::Request(Failure::FenceClosed), .. } | Ended::Superseded | Ended::Gone => {
                self.processes[pod].memory.state = None;
                self.again(pod);
            }
            Ended::NotSpent { why, .. } => self.not_spent(pod, exchanging, why),
            Ended::Unknown { why, .. } => {
                let published = exchanging.base.issued.as_ref();
                let outcome = failed::unknown(&self.rules, &view.observed(), why, published, now);
                let retry = retry_of(&outcome);
                self.settle(pod, &view, outcome, retry);
            }
        }
    }

    /// Rules 3 and 6: inputs are read again, then other refresh tokens are looked for.
    fn not_spent(&mut self, pod: usize, exchanging: Exchanging, why: Why) {
        let view = exchanging.view.clone();
        let (mut refused, mut reread) = (exchanging.refused, exchanging.reread);
        if let Why::Request(failure) = &why {
            if failure.may_be_stale_input() && !reread {
                reread = true;
                self.read_inputs(pod);
                if self.cluster.seed.version.to_string() != view.asked_under.inputs {
                    self.processes[pod].memory.state = None;
                    return self.again(pod);
                }
            }
            if failure.class() == Class::Person {
                refused.push(exchanging.base.refresh_token.as_ref().map(hash).unwrap_or_default());
                self.read_state(pod);
                if self.record().is_some_and(|record| is_under_way(&exchanging.begun, record, &refused)) {
                    self.processes[pod].memory.state = None;
                    return self.again(pod);
                }
                if let Some(state) = self.cluster.state.clone()
                    && let Some(next) =
                        after_refusal(&self.rules, &exchanging.begun, &state.value, &refused, hash, self.now, "unused")
                {
                    let from = (Shared::new(next), Some(state.version));
                    return self.begin(pod, view, Some(exchanging.begun), from, refused, reread);
                }
            }
        }
        let outcome = failed::not_spent(&self.rules, &view.observed(), why, self.now);
        let retry = retry_of(&outcome);
        self.settle(pod, &view, outcome, retry);
    }
}
