//! A credential that is deleted: its tokens are revoked where that was asked for, then it is let go. `credential::revoke` says
//! what is next; here it is done. Nothing here may hold a credential, and so a namespace, for long.

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
        request::{binding, revocation_request, secrets},
        revoke::{Step, Token, again, step},
        rotation::{Event, Write},
    },
    oauth::{failure::Failure, revocation, transport::Target},
    operate::events::EventKind,
};

/// Writes of the finalizers against other writers of the same object.
const MOST_TRIES: u32 = 5;

/// Why tokens were not revoked.
enum Unrevoked {
    Failed(Failure),
    /// The request can't be made; nothing will mend that in time.
    Problem(Problem),
}

impl Controller {
    /// Sets the finalizer where it is wanted, and takes it off where it no longer is. Says whether it did.
    pub(super) async fn hold(&self, key: &Key, prepared: &Prepared) -> Answer<bool> {
        let Ok(checked) = &prepared.checked else { return Ok(false) };
        let wanted = checked.revocation != Revocation::Never;
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
        let checked = match &prepared.checked {
            _ if !seen.is_held() => {
                self.gate.leave(key);
                return Ok(Next::At(None));
            }
            Ok(checked) => checked,
            Err(problem) => return self.give_up(key, prepared, &problem.message).await,
        };
        self.read_state(key).await?;
        let Some(held) = self.memory().state(key).cloned() else { return Ok(Next::Again) };
        let record = match &held.content {
            Ok(record) => record.clone(),
            Err(error) => return self.give_up(key, prepared, &error.to_string()).await,
        };
        let Some(values) = self.values_at_hand(key, checked).await? else {
            return self.give_up(key, prepared, "An input Secret is gone.").await;
        };
        let attempt = record.as_ref().and_then(|record| record.intent.as_ref());
        let seen_for = self.memory().intent_seen_for(key, attempt.map(|it| it.attempt.as_str()), BootTime::now());
        let Some(bound) = binding(checked, &values) else {
            return self.give_up(key, prepared, "An input Secret is gone.").await;
        };
        let timeout = self.settings.limits.request_timeout;
        match step(record.as_deref(), &bound, &self.settings.holder, seen_for, timeout, Timestamp::now()) {
            Step::Release => self.release(key, prepared).await,
            Step::Wait(until) => Ok(Next::At(Some(until))),
            Step::Foreign => {
                self.give_up(key, prepared, "They belong to another client or server than the spec names.").await
            }
            Step::Mark(record) => {
                let replaces = Some(held.resource_version);
                match self.write_state(key, Write { record: *record, replaces }).await {
                    Event::WriteRefused(_) => self.give_up(key, prepared, "The state can't be written.").await,
                    _ => Ok(Next::Again),
                }
            }
            Step::Revoke(tokens) => self.revoke_all(key, prepared, checked, &values, &tokens, seat).await,
        }
    }

    async fn revoke_all(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        values: &InputValues,
        tokens: &[Token],
        seat: &mut Seat,
    ) -> Answer<Next> {
        let deleted = prepared.seen.deleted.unwrap_or_else(Timestamp::now);
        let (Revocation::At(endpoint), Some(lane)) = (&checked.revocation, lane(checked, true)) else {
            // The issuer's metadata say where, and this is woken when they have been read.
            let reading = self.discover(key, checked);
            let until = match self.look_at_issuer(checked) {
                Some(Look::Failed { again: at, .. }) if !reading => again(deleted, None, at).map(|_| at),
                _ => again(deleted, None, Timestamp::now()),
            };
            return match until {
                Some(until) => Ok(Next::At(Some(until))),
                None => self.give_up(key, prepared, "The issuer's metadata can't be read.").await,
            };
        };
        let Some(_permit) = self.gate.enter(key, &lane, deleted) else { return Ok(Next::Parked(None)) };
        drop(seat.take());
        for token in tokens {
            match self.revoke(key, checked, values, endpoint, token).await {
                Ok(()) => {}
                Err(Unrevoked::Problem(problem)) => return self.give_up(key, prepared, &problem.message).await,
                Err(Unrevoked::Failed(Failure::FenceClosed)) => return Ok(Next::Again),
                Err(Unrevoked::Failed(failure)) => {
                    let sentence = failure.sentence_about("the revocation endpoint");
                    return match again(deleted, Some(&failure), Timestamp::now()) {
                        Some(until) => {
                            tracing::warn!(credential = %key, "not revoked yet: {sentence}");
                            Ok(Next::At(Some(until)))
                        }
                        None => self.give_up(key, prepared, &format!("It was tried, but {sentence}.")).await,
                    };
                }
            }
        }
        tracing::info!(credential = %key, tokens = tokens.len(), "revoked");
        self.delete_state(key).await?;
        self.release(key, prepared).await
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
            match revocation::read(&reply) {
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

    /// Lets a credential go whose tokens can't be revoked, and says so.
    async fn give_up(&self, key: &Key, prepared: &Prepared, why: &str) -> Answer<Next> {
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
