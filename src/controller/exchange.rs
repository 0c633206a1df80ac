//! Asks for a token: builds the request, carries out attempts until one brings a token or there is nothing left to try, and
//! says what it came to.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::{
    Controller,
    attempt::Sending,
    effects::Answer,
    gate::{PATIENCE, Permit},
    key::Key,
    observe::{InputsView, Prepared, SourceView, StateView, View},
};
use crate::{
    api::Reason,
    credential::{
        assertion::{Fresh, Unmade},
        checked::{CertificateSource, Checked, InputKind, InputValues},
        decide::{Exchange, after_refusal, is_under_way},
        failed::{self, Why},
        legs,
        observed::Problem,
        published::Publication,
        record::{AskedUnder, Intent, StateRecord},
        report::{Outcome, is_repeated},
        request::{binding, leg_request, secrets, token_request},
        rotation::{Attempt, Ended, Keeps},
    },
    oauth::{
        encode::EncodedRequest,
        failure::Failure,
        reply::ReplyShape,
        tls::{Identity, Roots},
        transport::Target,
        values::RefreshToken,
    },
    operate::metrics,
};

/// Attempts that one exchange makes at most: with each client secret, after inputs were read again, with the newest refresh token, a
/// candidate, the previous one.
const MOST_TRIES: usize = 12;

/// What an exchange came to.
pub enum Exchanged {
    Outcome(Box<Outcome>),
    /// The state moved on under it: look again.
    Superseded,
    /// The credential is gone.
    Gone,
}

impl Controller {
    /// Asks for a token, and publishes it.
    #[tracing::instrument(level = "debug", skip_all, fields(reason = tracing::field::Empty, otel.status_code = tracing::field::Empty))]
    pub(super) async fn exchange(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        plan: Exchange,
        permit: &mut Permit,
    ) -> Answer<Exchanged> {
        let leg = plan.leg.clone();
        let mut attempts = Box::pin(self.attempts(key, prepared, checked, view, plan));
        let ended = match tokio::time::timeout(PATIENCE, &mut attempts).await {
            Ok(ended) => ended,
            Err(_) => {
                permit.step_aside();
                attempts.await
            }
        };
        let (ended, base) = ended?;
        permit.answered();
        match ended {
            Ended::Issued { issued, saved } => {
                self.refreshed(metrics::Outcome::Success, Reason::Issued);
                let record = saved.map(|(record, _)| record);
                // The main token is published together with the additional ones.
                let waits = record.as_ref().is_some_and(|record| {
                    legs::missing(&checked.rules, &view.observed(prepared, self), record).is_some()
                });
                if waits {
                    return Ok(Exchanged::Superseded);
                }
                let main = record.as_ref().and_then(|record| record.issued.as_ref()).unwrap_or(&issued);
                let token_hash = main.access_token.hash(&key.to_string());
                let fresh = leg.is_none() || !is_repeated(&prepared.status, &token_hash);
                let source = match &view.inputs {
                    InputsView::Read { source: SourceView::Tokens(hash), .. } => Some(&**hash),
                    _ => None,
                };
                let publication = match &record {
                    Some(record) => Publication::of(record, main),
                    None => Publication::unkept(&prepared.seen.uid, main, &token_hash, source, &prepared.status),
                };
                match self.publish(key, prepared, checked, view, publication).await? {
                    Ok(token) => Ok(Exchanged::Outcome(Box::new(Outcome::Published { token, fresh }))),
                    // What was received is in the state, where there is one; else the next attempt brings another.
                    Err(problem) => {
                        let observed = view.observed(prepared, self);
                        let outcome = failed::unpublished(&checked.rules, &observed, problem, Timestamp::now());
                        Ok(Exchanged::Outcome(Box::new(outcome)))
                    }
                }
            }
            Ended::NotSpent { why: Why::Request(Failure::FenceClosed), .. } | Ended::Superseded => {
                self.memory().forget_state(key);
                Ok(Exchanged::Superseded)
            }
            Ended::NotSpent { why, .. } => {
                if let (Why::Request(failure), Some(issuer)) = (&why, &checked.issuer)
                    && failure.may_be_elsewhere()
                {
                    self.discoveries.doubt(issuer, Timestamp::now());
                }
                self.refreshed(metrics::Outcome::Failure, why.reason());
                let observed = view.observed(prepared, self);
                let (rules, now) = (&checked.rules, Timestamp::now());
                Ok(Exchanged::Outcome(Box::new(match &leg {
                    Some(leg) => failed::leg_not_spent(rules, &observed, leg, why, now),
                    None => failed::not_spent(rules, &observed, why, now),
                })))
            }
            Ended::Unknown { why, .. } => {
                self.refreshed(metrics::Outcome::Failure, Reason::OutcomeUnknown);
                let observed = view.observed(prepared, self);
                let published = base.as_deref().and_then(|base| base.issued.as_ref());
                let outcome = failed::unknown(&checked.rules, &observed, why, published, Timestamp::now());
                Ok(Exchanged::Outcome(Box::new(outcome)))
            }
            Ended::Gone => Ok(Exchanged::Gone),
        }
    }

    /// Counts a refresh that ended, and says in its trace how.
    pub(super) fn refreshed(&self, outcome: metrics::Outcome, reason: Reason) {
        self.metrics.refreshed(outcome, reason);
        let exchange = tracing::Span::current();
        exchange.record("reason", reason.as_str());
        if outcome == metrics::Outcome::Failure {
            exchange.record("otel.status_code", "ERROR");
        }
    }

    /// Attempts, until one ends in anything but a refusal that another refresh token or a re-read input may mend.
    async fn attempts(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        plan: Exchange,
    ) -> Answer<(Ended<Why>, Option<Box<StateRecord>>)> {
        let InputsView::Read { values, .. } = &view.inputs else { return Ok((Ended::Superseded, None)) };
        let mut values = values.clone();
        let begun = plan.base;
        let mut base = begun.clone();
        let leg = plan.leg.as_deref().and_then(|name| checked.legs.iter().find(|leg| leg.name == name));
        let mut seen = match &view.state {
            StateView::Read { resource_version, .. } => Some(resource_version.clone()),
            _ => None,
        };
        let hash = |token: &RefreshToken| token.hash(&key.to_string());
        let mut refused = Vec::new();
        let mut reread = false;
        let mut secret = self.working_secret(key, checked, &values, &view.asked_under);
        let mut doubted = BTreeSet::new();
        for _ in 0..MOST_TRIES {
            let token = base.as_ref().and_then(|base| base.refresh_token.clone());
            let tokens = match self.mint(key, checked, token.is_some()).await {
                Ok(tokens) => tokens,
                Err(why) => return Ok((Ended::NotSpent { why, state: None }, base)),
            };
            let fresh = Fresh {
                now: Timestamp::now(),
                client_assertion_id: Uuid::new_v4().to_string(),
                grant_assertion_id: Uuid::new_v4().to_string(),
                tokens: &tokens,
                secret,
            };
            let reply = &checked.request(token.is_some()).reply;
            // Where a password begins anew, it is with the main token.
            let leg = leg.filter(|_| token.is_some());
            let name = leg.map_or("", |leg| leg.name.as_str());
            let made = match (leg, &token) {
                (Some(leg), Some(token)) => leg_request(checked, &values, token, leg, &fresh),
                _ => token_request(checked, &values, token.as_ref(), &fresh),
            };
            let request = match made {
                Ok(request) => request.encode().map_err(|error| Why::Request(error.into())),
                Err(Unmade::Problem(problem)) => Err(Why::Problem(problem)),
                Err(Unmade::Missing) => return Ok((Ended::Superseded, base)),
            };
            let sending =
                match request.and_then(|request| self.sending((key, name), checked, view, &values, (request, reply))) {
                    Ok(sending) => sending,
                    Err(why) => return Ok((Ended::NotSpent { why, state: None }, base)),
                };
            let attempt = self.attempt(checked, base.as_deref(), name, token.as_ref().map(&hash), seen.clone());
            let ended = self.carry_out(attempt, sending).await;
            if let Ended::Issued { .. } = &ended {
                self.note_working_secret(key, checked, &values, secret, &view.asked_under);
                if checked.revokes_on_deletion {
                    self.memory().hold_working_values(key, values.clone());
                }
            }
            let Ended::NotSpent { why: Why::Request(failure), state } = &ended else { return Ok((ended, base)) };
            if let Some((_, resource_version)) = state {
                seen = Some(resource_version.clone());
            }
            // Rule 3: one uncached re-read of the inputs.
            if failure.may_be_stale_input() && !reread {
                reread = true;
                self.read_inputs(checked, true).await?;
                let now = self.view(key, prepared, checked);
                let InputsView::Read { values: fresh, .. } = now.inputs else { return Ok((Ended::Superseded, base)) };
                if fresh != values {
                    // A new client secret goes with the same grant; a new seed or client id is another decision.
                    if binding(checked, &fresh) != binding(checked, &values)
                        || base.is_some() && now.asked_under != view.asked_under
                    {
                        return Ok((Ended::Superseded, base));
                    }
                    values = fresh;
                    (secret, doubted) = (0, BTreeSet::new());
                    continue;
                }
            }
            // The client may have another secret, which a server that refused this one has not seen: nothing was spent.
            if failure.doubts_the_client() {
                doubted.insert(secret);
                let untried = (0..secrets(checked, &values).len()).find(|other| !doubted.contains(other));
                if let Some(other) = untried {
                    secret = other;
                    continue;
                }
            }
            // Rule 6: a refresh token that is refused is looked for in the state, as it is now.
            let mends = checked.rules.starts.has_another_way(failure.class());
            let Some(token) = token.filter(|_| mends) else { return Ok((ended, base)) };
            refused.push(hash(&token));
            self.read_state(key).await?;
            let StateView::Read { record, resource_version } = self.view(key, prepared, checked).state else {
                return Ok((ended, base));
            };
            if begun.as_deref().is_some_and(|begun| is_under_way(begun, &record, &refused)) {
                return Ok((Ended::Superseded, base));
            }
            let fresh = Uuid::new_v4().to_string();
            let next = begun.as_deref().and_then(|begun| {
                after_refusal(&checked.rules, begun, &record, &refused, hash, Timestamp::now(), &fresh)
            });
            let Some(next) = next else { return Ok((ended, base)) };
            (base, seen) = (Some(Box::new(next)), Some(resource_version));
        }
        Ok((Ended::Superseded, base))
    }

    /// Which of the client's secrets to begin with: the one that last worked, while nothing has changed.
    fn working_secret(&self, key: &Key, checked: &Checked, values: &InputValues, under: &AskedUnder) -> usize {
        let memory = self.memory();
        let known = memory.working_secret(key, &under.inputs);
        secrets(checked, values).iter().position(|secret| Some(*secret) == known).unwrap_or(0)
    }

    fn note_working_secret(
        &self,
        key: &Key,
        checked: &Checked,
        values: &InputValues,
        secret: usize,
        under: &AskedUnder,
    ) {
        let known = secrets(checked, values).get(secret).filter(|_| secret > 0).map(|input| (*input).clone());
        self.memory().hold_working_secret(key, known.map(|input| (under.inputs.clone(), input)));
    }

    fn attempt(
        &self,
        checked: &Checked,
        base: Option<&StateRecord>,
        leg: &str,
        token_hash: Option<String>,
        seen: Option<String>,
    ) -> Attempt<Why> {
        let attempt = Uuid::new_v4().to_string();
        let Some(base) = base.filter(|_| checked.rules.keeps != Keeps::Nothing) else {
            return Attempt::stateless(attempt);
        };
        // A request without a refresh token can be repeated: it needs no intent, but its reply is kept.
        let keeps = if token_hash.is_some() { checked.rules.keeps } else { Keeps::Reusable };
        let now = Timestamp::now();
        let intent = Intent {
            attempt,
            holder: self.settings.holder.clone(),
            lineage: base.lineage.clone(),
            leg: leg.to_owned(),
            token_hash: token_hash.unwrap_or_default(),
            binding: base.binding.clone(),
            started_at: now,
            send_by: now,
        };
        let mut base = base.clone();
        base.additional.retain(|name, _| checked.rules.legs.contains(name));
        Attempt::stateful(keeps, base, seen, intent)
    }

    pub(super) fn sending<'a>(
        &self,
        (key, leg): (&'a Key, &'a str),
        checked: &Checked,
        view: &View,
        values: &InputValues,
        (request, reply): (EncodedRequest, &'a ReplyShape),
    ) -> Result<Sending<'a>, Why> {
        let target = self.target(checked, values, request.url())?;
        Ok(Sending { key, leg, request, target, reply, asked_under: view.asked_under.clone(), consent: None })
    }

    /// Where a request of this credential goes, and as whom.
    pub(super) fn target(&self, checked: &Checked, values: &InputValues, url: &Url) -> Result<Target, Why> {
        let ca = match &checked.ca {
            Some(input) => Some(self.roots(input.kind, values.get(input).map_or("", |pem| pem.expose()))?),
            None => None,
        };
        let identity = match &checked.client.certificate {
            Some(certificate) => Some(identity(certificate, values)?),
            None => None,
        };
        let allowed_addresses = checked.allowed_addresses.clone();
        Ok(Target { url: url.clone(), ca, identity, allowed_addresses })
    }

    /// The authorities of a PEM text, which is in an object of this kind.
    pub(super) fn roots(&self, kind: InputKind, pem: &str) -> Result<Arc<Roots>, Why> {
        let hash: [u8; 32] = Sha256::digest(pem).into();
        if let Some(roots) = self.memory().roots(hash) {
            return Ok(roots);
        }
        let field = match kind {
            InputKind::Secret => "caSecretRef",
            InputKind::ConfigMap => "caConfigMapRef",
        };
        let unusable = |error| {
            Why::Problem(Problem::stalled(Reason::InvalidSpec, format!("The provider's tls.{field}: {error}.")))
        };
        let roots = Arc::new(Roots::parse(pem.as_bytes()).map_err(unusable)?);
        self.memory().hold_roots(hash, roots.clone());
        Ok(roots)
    }
}

pub(super) fn identity(certificate: &CertificateSource, values: &InputValues) -> Result<Arc<Identity>, Why> {
    let pem = |input| values.get(input).map_or("", |pem| pem.expose()).as_bytes();
    let identity = Identity::parse(pem(&certificate.chain), pem(&certificate.key));
    let identity = identity.and_then(|identity| identity.check(Timestamp::now()).map(|()| identity));
    identity.map(Arc::new).map_err(|error| {
        let message = format!("The Secret {}: {error}.", certificate.chain.name);
        Why::Problem(Problem::stalled(Reason::InvalidSpec, message))
    })
}
