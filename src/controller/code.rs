//! Exchanges the code that a person's consent brought: under the rotation protocol, over a grant that stays as it is until a reply has
//! come.

use super::{
    Controller,
    asking::{Unasked, fresh, problem_of, unmade},
    consent::{Consented, MailboxView, under},
    effects::Answer,
    key::Key,
    observe::{InputsView, Prepared, StateView, View},
    pass::{Next, Seat, lane},
};
use crate::{
    api::Reason,
    credential::{
        checked::Checked,
        consent::Exchanging,
        failed::Why,
        observed::Problem,
        published::Publication,
        report::Outcome,
        request::code_request,
        rotation::{Attempt, Ended, Keeps},
    },
    oauth::failure::{Class, Failure},
    operate::metrics,
};

impl Controller {
    #[allow(clippy::too_many_arguments)]
    #[tracing::instrument(name = "exchange", level = "debug", skip_all, fields(reason = tracing::field::Empty, otel.status_code = tracing::field::Empty))]
    pub(super) async fn exchange_code(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        exchanging: Exchanging,
        seat: &mut Seat,
        mailbox: &MailboxView,
    ) -> Answer<Consented> {
        let InputsView::Read { values, binding, .. } = &view.inputs else { return Ok(Consented::ReadInputs) };
        let Some(lane) = lane(checked, false) else { return Ok(Consented::ReadInputs) };
        let Some(_permit) = self.gate.enter(key, &lane, view.now) else {
            return self.wait_in_line(key, prepared, view).await.map(Consented::Done);
        };
        drop(seat.take());
        let Exchanging { code, code_hash, base, begun } = exchanging;
        let identity = match self.identity(checked, values, &binding.client_id, code.nonce.clone()).await {
            Ok(identity) => identity,
            Err(why) => return self.code_failed(key, prepared, view, (&why, false), mailbox).await,
        };
        let tokens = match self.mint(key, checked, false).await {
            Ok(tokens) => tokens,
            Err(why) => return self.code_failed(key, prepared, view, (&why, false), mailbox).await,
        };
        let made = match code_request(checked, values, &code, &fresh(&tokens)).map_err(unmade) {
            Ok(request) => request.encode().map_err(|error| Why::Request(error.into())),
            Err(Unasked::Why(why)) => Err(why),
            Err(Unasked::NotReady) => return Ok(Consented::ReadInputs),
        };
        let reply = &checked.first.reply;
        let mut sending =
            match made.and_then(|request| self.sending((key, ""), checked, view, values, (request, reply))) {
                Ok(sending) => sending,
                Err(why) => return self.code_failed(key, prepared, view, (&why, false), mailbox).await,
            };
        sending.consent = Some(&identity);
        let seen = match &view.state {
            StateView::Read { resource_version, .. } => Some(resource_version.clone()),
            _ => None,
        };
        let intent = self.intent(&begun.lineage, &begun.binding, &code_hash);
        let attempt = Attempt::consenting(Keeps::SingleUse, base, begun, seen, intent);
        match self.carry_out(attempt, sending).await {
            Ended::Issued { issued, saved: Some((record, _)) } => {
                self.memory().hold_tries(key, None);
                let publication = Publication::of(&record, &issued);
                self.consented(key, prepared, checked, view, publication).await
            }
            Ended::Issued { saved: None, .. } | Ended::Superseded => {
                self.memory().forget_state(key);
                Ok(Consented::Go)
            }
            Ended::NotSpent { why: Why::Request(Failure::FenceClosed), .. } => {
                self.memory().forget_state(key);
                Ok(Consented::Done(Next::Again))
            }
            // A refresh token was saved out of a reply that is of no other use.
            Ended::NotSpent { state: Some((record, _)), .. } if record.is_spent(&code_hash) => Ok(Consented::Go),
            Ended::NotSpent { why, .. } => {
                self.refreshed(metrics::Outcome::Failure, why.reason());
                // A problem of the state's own is no problem of the code's.
                let sent = why.reason() == Reason::NotAllowed;
                self.code_failed(key, prepared, view, (&why, sent), mailbox).await
            }
            Ended::Unknown { why, .. } => {
                self.refreshed(metrics::Outcome::Failure, Reason::OutcomeUnknown);
                let cause = problem_of(&why).message;
                let problem = Problem::passing(
                    Reason::OutcomeUnknown,
                    format!("The code was sent and its outcome is not known: it is sent again. {cause}"),
                );
                self.consent_failed(key, prepared, &problem).await?;
                let until = self.put_off(key, under(view, mailbox), &why);
                Ok(Consented::Later(Some(until)))
            }
            Ended::Gone => Ok(Consented::Done(Next::Gone)),
        }
    }

    /// Publishes what a consent brought, and records it.
    pub(super) async fn consented(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        publication: Publication<'_>,
    ) -> Answer<Consented> {
        self.refreshed(metrics::Outcome::Success, Reason::Issued);
        let (outcome, next) = match self.publish(key, prepared, checked, view, publication).await? {
            Ok(token) => {
                let next = self.next_refresh(prepared, checked, &token);
                (Outcome::Published { token, fresh: true }, next)
            }
            Err(problem) => (Outcome::Held(problem), None),
        };
        self.settle(key, prepared, outcome, next).await?;
        Ok(Consented::Done(Next::Again))
    }

    /// A code that can't be used any more goes, and its Secret with it; another is tried again. `sent`: it was sent, and what is
    /// wrong is what came of it.
    async fn code_failed(
        &self,
        key: &Key,
        prepared: &Prepared,
        view: &View,
        (why, sent): (&Why, bool),
        mailbox: &MailboxView,
    ) -> Answer<Consented> {
        self.gate.leave(key);
        self.consent_failed(key, prepared, &problem_of(why)).await?;
        let over = match why {
            Why::Request(failure) => failure.class() == Class::Person,
            Why::Problem(_) => sent,
        };
        if over {
            return self.discard(key, mailbox).await.map(|()| Consented::Go);
        }
        if matches!(why, Why::Request(failure) if failure.may_be_stale_input())
            && let Ok(checked) = &prepared.checked
        {
            self.read_inputs(checked, true).await?;
        }
        let until = self.put_off(key, under(view, mailbox), why);
        Ok(Consented::Later(Some(until)))
    }
}
