//! Tokens are revoked: when a credential is deleted, where that was asked for, or when a person asks for it. `credential::revoke` says
//! what is next; here it is done. Nothing here may hold a credential that is deleted, and so a namespace, for long.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Controller,
    attempt::Fence,
    discovery::Look,
    effects::{Answer, Fault},
    exchange::identity,
    key::Key,
    observe::{Prepared, input_objects, state_key},
    pass::{Next, Seat, lane},
    report::about,
    seen::CredentialSeen,
};
use crate::{
    api::{FINALIZER, Reason},
    clock::{BootTime, Moment},
    credential::{
        assertion::{Fresh, Unmade},
        checked::{Checked, InputValues, Revocation},
        failed::Why,
        observed::Problem,
        record::StateRecord,
        report::{Outcome, revocation},
        request::{binding, revocation_request, secrets},
        revoke::{Asked, Step, Token, again, asked, is_final, step},
        rotation::{Event, Write},
    },
    oauth::{failure::Failure, revocation as protocol, transport::Target},
    operate::events::EventKind,
};

/// Writes of the finalizers against other writers of the same object.
const MOST_TRIES: u32 = 5;

/// Why tokens are revoked, and so what follows.
#[derive(Clone, Copy)]
enum Cause<'a> {
    /// The credential was deleted then, and goes.
    Deleted(Timestamp),
    /// A person asked for it, by this value of the annotation.
    Requested(&'a str),
}

/// Why tokens were not revoked.
enum Unrevoked {
    Failed(Failure),
    /// The request can't be made; nothing will mend that in time.
    Problem(Problem),
}

/// Names a request's own tries.
fn under(request: &str) -> String {
    format!("revoke {request}")
}

impl Controller {
    /// Sets the finalizer where it is wanted, and takes it off where it no longer is. Says whether it did.
    pub(super) async fn hold(&self, key: &Key, prepared: &Prepared) -> Answer<bool> {
        let Ok(checked) = &prepared.checked else { return Ok(false) };
        let wanted = checked.revokes_on_deletion;
        if wanted == prepared.seen.is_held() {
            return Ok(false);
        }
        self.set_finalizer(key, &prepared.seen, wanted).await.map(|()| true)
    }

    async fn set_finalizer(&self, key: &Key, seen: &CredentialSeen, wanted: bool) -> Answer<()> {
        let mut seen = seen.clone();
        for _ in 0..MOST_TRIES {
            let others = seen.finalizers.iter().map(|finalizer| &**finalizer).filter(|other| *other != FINALIZER);
            let finalizers: Vec<&str> = others.chain(wanted.then_some(FINALIZER)).collect();
            match self.cluster.patch_finalizers(key, &seen.uid, &seen.resource_version, &finalizers).await {
                Ok(resource_version) => {
                    self.store().update_credential(key, seen.with_finalizers(&finalizers, &resource_version));
                    return Ok(());
                }
                Err(Fault::NotFound) => return Ok(()),
                Err(Fault::Conflict) => {
                    let Some(object) = self.cluster.read_credential(key).await? else { return Ok(()) };
                    let fresh = CredentialSeen::of(object);
                    self.store().update_credential(key, fresh.clone());
                    if fresh.uid != seen.uid || fresh.is_held() == wanted {
                        return Ok(());
                    }
                    seen = fresh;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Conflict)
    }

    /// Does what is to be done before a deleted credential may go.
    pub(super) async fn let_go(&self, key: &Key, prepared: &Prepared, seat: &mut Seat) -> Answer<Next> {
        let seen = &prepared.seen;
        let cause = Cause::Deleted(seen.deleted.unwrap_or_else(Timestamp::now));
        match &prepared.checked {
            _ if !seen.is_held() => {
                self.gate.leave(key);
                Ok(Next::At(None))
            }
            Ok(checked) => self.revoke_kept(key, prepared, checked, cause, seat).await,
            Err(problem) => self.give_up(key, prepared, cause, &problem.message).await,
        }
    }

    /// Obeys a person who asks for revocation. None: nobody does.
    pub(super) async fn revoke_as_asked(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        seat: &mut Seat,
    ) -> Answer<Option<Next>> {
        let seen = prepared.seen.clone();
        let handled = prepared.status.last_revocation.as_ref().map(|last| last.request.as_str());
        let request = match asked(seen.revoke_requested.as_deref(), handled, seen.created) {
            Asked::Nothing => return Ok(None),
            Asked::Refused(request, why) => {
                return self.not_revoked(key, prepared, request, why.to_owned()).await.map(Some);
            }
            Asked::Revoke(request) => request,
        };
        let tries = self.memory().tries(key).filter(|tries| tries.under == under(request));
        if let Some(until) = tries.map(|tries| tries.next).filter(|until| *until > Timestamp::now()) {
            return Ok(Some(Next::At(Some(until))));
        }
        let cause = Cause::Requested(request);
        match &checked.revocation {
            Revocation::Nowhere(why) => self.give_up(key, prepared, cause, why).await,
            Revocation::Undiscovered => {
                self.read_inputs(checked, false).await?;
                match (self.discover(key, checked), self.look_at_issuer(checked)) {
                    (false, Some(Look::Failed { again, .. })) => Ok(Next::At(Some(again))),
                    (true, _) => Ok(Next::Parked(None)),
                    (false, _) => Ok(Next::Again),
                }
            }
            Revocation::At(_) => self.revoke_kept(key, prepared, checked, cause, seat).await,
        }
        .map(Some)
    }

    async fn revoke_kept(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        cause: Cause<'_>,
        seat: &mut Seat,
    ) -> Answer<Next> {
        self.read_state(key).await?;
        let Some(held) = self.memory().state(key).cloned() else { return Ok(Next::Again) };
        let record = match &held.content {
            Ok(record) => record.clone(),
            Err(error) => return self.give_up(key, prepared, cause, &error.to_string()).await,
        };
        let Some(values) = self.values_at_hand(key, checked).await? else {
            return self.give_up(key, prepared, cause, "An input Secret is gone.").await;
        };
        let attempt = record.as_ref().and_then(|record| record.intent.as_ref());
        let seen_for = self.memory().intent_seen_for(key, attempt.map(|it| it.attempt.as_str()), BootTime::now());
        let Some(bound) = binding(checked, &values) else {
            return self.give_up(key, prepared, cause, "An input Secret is gone.").await;
        };
        let timeout = self.settings.limits.request_timeout;
        match step(record.as_deref(), &bound, &self.settings.holder, seen_for, timeout, Timestamp::now()) {
            Step::Nothing => match cause {
                Cause::Deleted(_) => self.release(key, prepared).await,
                Cause::Requested(_) => self.give_up(key, prepared, cause, "There is nothing kept.").await,
            },
            Step::Wait(until) => Ok(Next::At(Some(until))),
            Step::Foreign => {
                let why = "They belong to another client or server than the spec names.";
                self.give_up(key, prepared, cause, why).await
            }
            Step::Mark(record) => {
                let replaces = Some(held.resource_version);
                match self.write_state(key, Write { record: *record, replaces }).await {
                    Event::WriteRefused(_) => self.give_up(key, prepared, cause, "The state can't be written.").await,
                    _ => Ok(Next::Again),
                }
            }
            Step::Revoke(tokens) => {
                let revoked = self.revoke_all(key, prepared, checked, &values, &tokens, cause, seat).await?;
                match (revoked, cause, record) {
                    (Some(next), ..) => Ok(next),
                    (None, Cause::Requested(request), Some(record)) => {
                        self.forget_tokens(key, prepared, request, &record, held.resource_version).await
                    }
                    (None, ..) => {
                        self.delete_state(key).await?;
                        self.release(key, prepared).await
                    }
                }
            }
        }
    }

    /// Revokes each of them. None: that is done.
    #[allow(clippy::too_many_arguments)]
    async fn revoke_all(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        values: &InputValues,
        tokens: &[Token],
        cause: Cause<'_>,
        seat: &mut Seat,
    ) -> Answer<Option<Next>> {
        let since = match cause {
            Cause::Deleted(deleted) => deleted,
            Cause::Requested(_) => Timestamp::now(),
        };
        let (Revocation::At(endpoint), Some(lane)) = (&checked.revocation, lane(checked, true)) else {
            // The issuer's metadata say where, and this is woken when they have been read.
            let reading = self.discover(key, checked);
            let until = match self.look_at_issuer(checked) {
                Some(Look::Failed { again: at, .. }) if !reading => again(since, None, at).map(|_| at),
                _ => again(since, None, Timestamp::now()),
            };
            return match until {
                Some(until) => Ok(Some(Next::At(Some(until)))),
                None => self.give_up(key, prepared, cause, "The issuer's metadata can't be read.").await.map(Some),
            };
        };
        let Some(_permit) = self.gate.enter(key, &lane, since) else { return Ok(Some(Next::Parked(None))) };
        drop(seat.take());
        for token in tokens {
            let failure = match self.revoke(key, checked, values, endpoint, token).await {
                Ok(()) => continue,
                Err(Unrevoked::Problem(problem)) => {
                    return self.give_up(key, prepared, cause, &problem.message).await.map(Some);
                }
                Err(Unrevoked::Failed(Failure::FenceClosed)) => return Ok(Some(Next::Again)),
                Err(Unrevoked::Failed(failure)) => failure,
            };
            return self.again_later(key, prepared, cause, failure).await.map(Some);
        }
        tracing::info!(credential = %key, tokens = tokens.len(), "revoked");
        Ok(None)
    }

    /// A token could not be revoked: it is tried again, unless only a person could mend it.
    async fn again_later(&self, key: &Key, prepared: &Prepared, cause: Cause<'_>, failure: Failure) -> Answer<Next> {
        let sentence = failure.sentence_about("the revocation endpoint");
        let until = match cause {
            Cause::Deleted(deleted) => again(deleted, Some(&failure), Timestamp::now()),
            Cause::Requested(_) if is_final(&failure) => None,
            Cause::Requested(request) => Some(self.put_off(key, under(request), &Why::Request(failure))),
        };
        let Some(until) = until else {
            return self.give_up(key, prepared, cause, &format!("It was tried, but {sentence}.")).await;
        };
        tracing::warn!(credential = %key, "not revoked yet: {sentence}");
        match cause {
            Cause::Deleted(_) => Ok(Next::At(Some(until))),
            Cause::Requested(_) => {
                let problem = Problem::stalled(
                    Reason::AuthorizationRequired,
                    format!(
                        "The tokens are to be revoked, as was asked for, and are not refreshed any more. It is tried again, for {sentence}."
                    ),
                );
                self.settle(key, prepared, Outcome::Held(problem), Some(until)).await
            }
        }
    }

    /// What was revoked as asked for is dropped; what is known of it stays, so that it isn't taken up again.
    async fn forget_tokens(
        &self,
        key: &Key,
        prepared: &Prepared,
        request: &str,
        record: &StateRecord,
        resource_version: String,
    ) -> Answer<Next> {
        self.gate.leave(key);
        self.memory().hold_tries(key, None);
        let emptied = record.emptied();
        if emptied != *record {
            match self.write_state(key, Write { record: emptied, replaces: Some(resource_version) }).await {
                Event::Written { .. } => {}
                // Something was saved meanwhile, which is to be revoked too.
                _ => return Ok(Next::Again),
            }
        }
        let note = "What was kept is revoked, as was asked for.";
        self.events.send(about(key, &prepared.seen), EventKind::Normal, "Revoked", note.to_owned());
        self.write_status(key, prepared, |before| revocation(before, request, Ok(()), Timestamp::now())).await?;
        Ok(Next::Again)
    }

    /// Says that a request was not obeyed, and isn't any more.
    async fn not_revoked(&self, key: &Key, prepared: &Prepared, request: &str, note: String) -> Answer<Next> {
        self.gate.leave(key);
        self.memory().hold_tries(key, None);
        tracing::warn!(credential = %key, "not revoked: {note}");
        self.write_status(key, prepared, |before| revocation(before, request, Err(&note), Timestamp::now())).await?;
        self.events.send(about(key, &prepared.seen), EventKind::Warning, "NotRevoked", note);
        Ok(Next::Again)
    }

    async fn revoke(
        &self,
        key: &Key,
        checked: &Checked,
        values: &InputValues,
        endpoint: &url::Url,
        token: &Token,
    ) -> Result<(), Unrevoked> {
        let why = |why| match why {
            Why::Request(failure) => Unrevoked::Failed(failure),
            Why::Problem(problem) => Unrevoked::Problem(problem),
        };
        let tokens = self.mint(key, checked, true).await.map_err(why)?;
        let mut refused = None;
        for secret in 0..secrets(checked, values).len().max(1) {
            let fresh = Fresh {
                now: Timestamp::now(),
                client_assertion_id: Uuid::new_v4().to_string(),
                grant_assertion_id: Uuid::new_v4().to_string(),
                tokens: &tokens,
                secret,
            };
            let request = revocation_request(checked, values, endpoint, (&token.text, token.hint), &fresh);
            let request = request.map_err(|unmade| match unmade {
                Unmade::Problem(problem) => Unrevoked::Problem(problem),
                Unmade::Missing => {
                    Unrevoked::Problem(Problem::passing(Reason::SourceSecretNotFound, "An input Secret is gone."))
                }
            })?;
            let request = request.encode().map_err(|error| Unrevoked::Failed(error.into()))?;
            let ca = match &checked.ca {
                Some(input) => {
                    Some(self.roots(input.kind, values.get(input).map_or("", |pem| pem.expose())).map_err(why)?)
                }
                None => None,
            };
            let certificate = checked.client.certificate.as_ref();
            let identity = certificate.map(|certificate| identity(certificate, values)).transpose().map_err(why)?;
            let allowed_addresses = checked.allowed_addresses.clone();
            let target = Target { url: endpoint.clone(), ca, identity, allowed_addresses };
            let connection = self.transport.connect(&target).await.map_err(Unrevoked::Failed)?;
            let fence = Fence::close_by(&self.leadership, Moment::now());
            let fence = fence.ok_or(Unrevoked::Failed(Failure::FenceClosed))?;
            let reply = connection.send(request, move |now| fence.is_open(now)).await.map_err(Unrevoked::Failed)?;
            match protocol::read(&reply) {
                Ok(()) => return Ok(()),
                Err(failure) if failure.doubts_the_client() => refused = Some(failure),
                Err(failure) => return Err(Unrevoked::Failed(failure)),
            }
        }
        Err(Unrevoked::Failed(refused.unwrap_or(Failure::FenceClosed)))
    }

    /// The input values as they are, or as they were when they last brought a token: a credential often goes together with its
    /// Secrets. None: some are gone, and nobody remembers them.
    async fn values_at_hand(&self, key: &Key, checked: &Checked) -> Answer<Option<InputValues>> {
        self.read_inputs(checked, false).await?;
        Ok(self.values_read(checked).or_else(|| self.memory().working_values(key).cloned()))
    }

    fn values_read(&self, checked: &Checked) -> Option<InputValues> {
        let memory = self.memory();
        let mut values = InputValues::new();
        for (object, inputs) in input_objects(&checked.inputs) {
            for input in inputs {
                let value = memory.input(&object).and_then(|held| held.values.get(&input.key)?.as_ref().ok().cloned());
                // The first refresh token isn't needed any more.
                match value {
                    Some(value) => drop(values.insert(input.clone(), value)),
                    None if checked.is_seed(input) => {}
                    None => return None,
                }
            }
        }
        Some(values)
    }

    async fn delete_state(&self, key: &Key) -> Answer<()> {
        let state = state_key(key);
        let known = self.store().secret(&state).cloned();
        let Some(known) = known else { return Ok(()) };
        match self.cluster.delete_secret(&state, &known.uid, Some(&known.resource_version)).await {
            Ok(()) | Err(Fault::NotFound) => {
                self.store().remove_secret(&state, Some(&known.uid));
                self.memory().forget_state(key);
                Ok(())
            }
            // Something was saved meanwhile, which is to be revoked too: the pass is repeated.
            Err(fault) => Err(fault),
        }
    }

    /// Says that tokens can't be revoked, and lets a credential go that was deleted.
    async fn give_up(&self, key: &Key, prepared: &Prepared, cause: Cause<'_>, why: &str) -> Answer<Next> {
        if let Cause::Requested(request) = cause {
            let note = format!("The tokens are not revoked. {why} Revoke them at the provider.");
            return self.not_revoked(key, prepared, request, note).await;
        }
        let note =
            format!("The tokens are not revoked, and the credential is let go. {why} Revoke them at the provider.");
        tracing::warn!(credential = %key, "{note}");
        self.events.send(about(key, &prepared.seen), EventKind::Warning, "NotRevoked", note);
        let is_ours = self.memory().state(key).is_some_and(|state| matches!(state.content, Ok(Some(_))));
        if is_ours {
            self.delete_state(key).await?;
        }
        self.release(key, prepared).await
    }

    async fn release(&self, key: &Key, prepared: &Prepared) -> Answer<Next> {
        self.gate.leave(key);
        self.set_finalizer(key, &prepared.seen, false).await?;
        Ok(Next::At(None))
    }
}
