//! Carries out what `credential::device` says: asks for a device code, polls with it, and keeps it in the state.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Controller,
    asking::{Unasked, fresh, problem_of, unmade},
    consent::Consented,
    effects::Answer,
    key::Key,
    memory::Pace,
    observe::{InputsView, Prepared, StateView, View},
    pass::{Next, Seat, lane},
};
use crate::{
    credential::{
        checked::Checked,
        device::{self, Polling},
        failed::Why,
        observed::Problem,
        published::Publication,
        record::{Device, StateRecord},
        request::{device_authorization_request, device_request},
        rotation::{Attempt, Ended, Event, Keeps, Write},
        schedule::later,
    },
    oauth::{
        device::{self as protocol, Poll},
        failure::Failure,
        values::{RefreshToken, SecretText},
    },
};

impl Controller {
    /// Looks at what has become of a device code. `needed`: nothing else can bring a token.
    pub(super) async fn device(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        needed: bool,
        seat: &mut Seat,
    ) -> Answer<Consented> {
        let under = view.asked_under.inputs.clone();
        let tries = self.memory().tries(key).filter(|tries| tries.under == under);
        let pace = self.memory().pace(key);
        let hash = |code: &SecretText| RefreshToken::new(code.expose()).hash(&key.to_string());
        let next = {
            let observed = view.observed(prepared, self);
            let (not_before, next_poll) = (tries.map(|tries| tries.next), pace.as_ref().map(|pace| pace.next));
            device::next(&checked.rules, &observed, needed, not_before, next_poll, hash)
        };
        match next {
            device::Next::Nothing => Ok(Consented::Later(None)),
            device::Next::Wait(until) => Ok(Consented::Later(Some(until))),
            device::Next::ReadState => self.read_state(key).await.map(|()| Consented::Go),
            device::Next::ReadInputs => Ok(Consented::ReadInputs),
            device::Next::Start => self.start_device(key, prepared, checked, view, hash).await,
            device::Next::Adopt => {
                let Some((record, device)) = pending(view) else { return Ok(Consented::Go) };
                let code_hash = hash(&device.authorization.device_code);
                let intent = self.intent(&device.lineage, &device.binding, &code_hash);
                self.keep(key, view, StateRecord { intent: Some(intent), ..record }).await
            }
            device::Next::Drop(problem) => self.drop_device(key, prepared, view, &problem).await,
            device::Next::Poll(polling) => self.poll(key, prepared, checked, view, *polling, seat).await,
        }
    }

    async fn start_device(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        hash: impl Fn(&SecretText) -> String,
    ) -> Answer<Consented> {
        let InputsView::Read { values, binding, .. } = &view.inputs else { return Ok(Consented::ReadInputs) };
        let made = match self.mint(key, checked, false).await {
            Err(why) => Err(why),
            Ok(tokens) => match device_authorization_request(checked, values, &fresh(&tokens)).map_err(unmade) {
                Ok(request) => request.encode().map_err(|error| Why::Request(error.into())),
                Err(Unasked::Why(why)) => Err(why),
                Err(Unasked::NotReady) => return Ok(Consented::ReadInputs),
            },
        };
        let asked = match made {
            Ok(request) => self.request_once(checked, values, request).await,
            Err(why) => Err(why),
        };
        match asked.and_then(|reply| protocol::read(&reply).map_err(Why::Request)) {
            Ok(authorization) => {
                let lineage = Uuid::new_v4().to_string();
                let intent = self.intent(&lineage, binding, &hash(&authorization.device_code));
                let first = later(Timestamp::now(), authorization.interval);
                let pace = Pace { attempt: intent.attempt.clone(), interval: authorization.interval, next: first };
                self.memory().hold_pace(key, Some(pace));
                let record = match &view.state {
                    StateView::Read { record, .. } => (**record).clone(),
                    _ => StateRecord::default(),
                };
                let device = Device { authorization, lineage, binding: binding.clone() };
                self.keep(key, view, StateRecord { device: Some(device), intent: Some(intent), ..record }).await
            }
            Err(why) => {
                self.consent_failed(key, prepared, &problem_of(&why)).await?;
                let until = self.put_off(key, view.asked_under.inputs.clone(), &why);
                Ok(Consented::Later(Some(until)))
            }
        }
    }

    #[tracing::instrument(name = "exchange", level = "debug", skip_all, fields(reason = tracing::field::Empty, otel.status_code = tracing::field::Empty))]
    async fn poll(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        polling: Polling,
        seat: &mut Seat,
    ) -> Answer<Consented> {
        let InputsView::Read { values, binding, .. } = &view.inputs else { return Ok(Consented::ReadInputs) };
        let StateView::Read { resource_version, .. } = &view.state else { return Ok(Consented::Go) };
        let Some(lane) = lane(checked, false) else { return Ok(Consented::ReadInputs) };
        let Some(_permit) = self.gate.enter(key, &lane, view.now) else {
            return self.wait_in_line(key, prepared, view).await.map(Consented::Done);
        };
        drop(seat.take());
        let Polling { device, base, begun, intent } = polling;
        let pace = self.memory().pace(key).filter(|pace| pace.attempt == intent.attempt);
        let interval = pace.map_or(device.authorization.interval, |pace| pace.interval);
        let attempt_id = intent.attempt.clone();
        let again = |controller: &Self, interval| {
            let next = later(Timestamp::now(), interval);
            let pace = Pace { attempt: attempt_id.clone(), interval, next };
            controller.memory().hold_pace(key, Some(pace));
            controller.gate.leave(key);
            Ok(Consented::Later(Some(next)))
        };
        let identity = match self.identity(checked, values, &binding.client_id, None).await {
            Ok(identity) => identity,
            Err(_) => return again(self, interval),
        };
        let Ok(tokens) = self.mint(key, checked, false).await else { return again(self, interval) };
        let code = &device.authorization.device_code;
        let made = match device_request(checked, values, code, &fresh(&tokens)).map_err(unmade) {
            Ok(request) => request.encode().map_err(|error| Why::Request(error.into())),
            Err(Unasked::Why(why)) => Err(why),
            Err(Unasked::NotReady) => return Ok(Consented::ReadInputs),
        };
        let reply = &checked.first.reply;
        let sending = made.and_then(|request| self.sending((key, ""), checked, view, values, (request, reply)));
        let mut sending = match sending {
            Ok(sending) => sending,
            Err(why) => {
                self.consent_failed(key, prepared, &problem_of(&why)).await?;
                return again(self, interval);
            }
        };
        sending.consent = Some(&identity);
        // Nothing is written before a poll: the state says already who polls.
        let attempt = Attempt::consenting(Keeps::Reusable, base, begun, Some(resource_version.clone()), intent);
        match self.carry_out(attempt, sending).await {
            Ended::Issued { issued, saved: Some((record, _)) } => {
                self.memory().hold_pace(key, None);
                self.memory().hold_tries(key, None);
                let publication = Publication::of(&record, &issued);
                self.consented(key, prepared, checked, view, publication).await
            }
            Ended::NotSpent { why: Why::Request(failure), state } => {
                // A refresh token was saved out of a reply that is of no other use.
                if state.is_some_and(|(record, _)| record.device.is_none()) {
                    return Ok(Consented::Go);
                }
                match protocol::after_poll(&failure, interval) {
                    Poll::Again(interval) => again(self, interval),
                    Poll::Over => self.drop_device(key, prepared, view, &problem_of(&Why::Request(failure))).await,
                }
            }
            // Somebody else approved.
            Ended::NotSpent { why: Why::Problem(problem), .. } => self.drop_device(key, prepared, view, &problem).await,
            Ended::Unknown { .. } => again(self, interval),
            Ended::Issued { saved: None, .. } | Ended::Superseded => {
                self.memory().forget_state(key);
                Ok(Consented::Done(Next::Again))
            }
            Ended::Gone => Ok(Consented::Done(Next::Gone)),
        }
    }

    /// The code is over: another is asked for, after a pause that grows.
    async fn drop_device(&self, key: &Key, prepared: &Prepared, view: &View, problem: &Problem) -> Answer<Consented> {
        self.gate.leave(key);
        self.consent_failed(key, prepared, problem).await?;
        self.put_off(key, view.asked_under.inputs.clone(), &Why::Request(Failure::Unauthorized));
        self.memory().hold_pace(key, None);
        let Some((record, _)) = pending(view) else { return Ok(Consented::Go) };
        let intent = record.refresh_intent().cloned();
        self.keep(key, view, StateRecord { device: None, intent, ..record }).await
    }

    /// Writes the state over what was looked at.
    async fn keep(&self, key: &Key, view: &View, record: StateRecord) -> Answer<Consented> {
        let replaces = match &view.state {
            StateView::Read { resource_version, .. } => Some(resource_version.clone()),
            _ => None,
        };
        match self.write_state(key, Write { record, replaces }).await {
            Event::WriteRefused(why) => {
                let until = self.put_off(key, view.asked_under.inputs.clone(), &why);
                Ok(Consented::Later(Some(until)))
            }
            // What is there now is read next.
            _ => Ok(Consented::Go),
        }
    }
}

/// The device code in the state.
fn pending(view: &View) -> Option<(StateRecord, Device)> {
    let StateView::Read { record, .. } = &view.state else { return None };
    Some(((**record).clone(), record.device.clone()?))
}
