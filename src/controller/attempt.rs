//! Carries out one attempt: the state machine of `credential::rotation` names the effects, this performs them, one named
//! function each, and tells it how they ended. Nothing is decided here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Controller, effects::Fault, key::Key, memory::HeldState, observe::state_key, seen::SecretSeen};
use crate::{
    api::Reason,
    clock::Moment,
    credential::{
        decide::FENCE,
        failed::Why,
        identity::Identity,
        observed::Problem,
        record::{AskedUnder, Issued, StateRecord},
        rotation::{Attempt, Effect, Ended, Event, NoToken, Step, Write},
        schedule::later,
    },
    oauth::{
        encode::EncodedRequest,
        failure::{Failure, Spent},
        reply::ReplyShape,
        transport::{Connection, Target},
        values::SecretText,
    },
    operate::{leader::Leadership, metrics::ProviderLabels},
    secrets::state,
};

/// What an attempt sends, and to whom.
pub struct Sending<'a> {
    pub key: &'a Key,
    /// Which token is asked for; empty: the main one.
    pub leg: &'a str,
    pub request: EncodedRequest,
    pub target: Target,
    pub reply: &'a ReplyShape,
    pub asked_under: AskedUnder,
    /// Where a person's consent is spent: who that may have been.
    pub consent: Option<&'a Identity>,
}

/// Until when bytes may leave: both clocks must be before their own end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence {
    until: Moment,
}

impl Fence {
    /// The earlier of now + 5 s and the end of the Lease's renewal, less its margin. None: this process doesn't lead.
    pub(super) fn close_by(leadership: &Leadership, now: Moment) -> Option<Self> {
        let renewal = leadership.held_at(now)?;
        let boot = now.boot.plus(FENCE).min(renewal.valid_until);
        let wall = later(now.wall, FENCE).min(renewal.valid_until_wall);
        Some(Self { until: Moment { wall, boot } })
    }

    pub(super) fn is_open(self, now: Moment) -> bool {
        now.boot < self.until.boot && now.wall < self.until.wall
    }
}

impl Controller {
    /// Carries `attempt` to its end.
    pub(super) async fn carry_out(&self, mut attempt: Attempt<Why>, sending: Sending<'_>) -> Ended<Why> {
        let mut connection: Option<(Connection, Fence)> = None;
        let mut answered = None;
        loop {
            let event = match attempt.effect() {
                Effect::Connect => match self.connect(&sending).await {
                    Ok((connected, fence, event)) => {
                        connection = Some((connected, fence));
                        event
                    }
                    Err(failure) => Event::Failed(NoToken::NotSpent(Why::Request(failure))),
                },
                Effect::WriteIntent(write) | Effect::ClearIntent(write) => self.write_state(sending.key, *write).await,
                Effect::Send => match connection.take() {
                    Some((connection, fence)) => self.send(&sending, connection, fence, &mut answered).await,
                    None => Event::Failed(NoToken::NotSpent(Why::Request(Failure::FenceClosed))),
                },
                Effect::ReadState { after } => self.read_back(sending.key, after).await,
                Effect::SaveReply { write, after } => {
                    pause(after).await;
                    self.write_state(sending.key, *write).await
                }
            };
            let held = attempt.holds_reply();
            match attempt.on(event) {
                Step::Next(next) => attempt = *next,
                Step::End(ended) => {
                    if held && !matches!(ended, Ended::Gone) {
                        self.saved(answered);
                    }
                    return ended;
                }
            }
        }
    }

    #[tracing::instrument(level = "debug", skip_all, fields(server.address = sending.target.url.host_str()))]
    async fn connect(&self, sending: &Sending<'_>) -> Result<(Connection, Fence, Event<Why>), Failure> {
        let connection = self.transport.connect(&sending.target).await?;
        let now = Moment::now();
        let fence = Fence::close_by(&self.leadership, now).ok_or(Failure::FenceClosed)?;
        Ok((connection, fence, Event::Connected { now: now.wall, send_by: fence.until.wall }))
    }

    #[tracing::instrument(level = "debug", skip_all, fields(http.response.status_code = tracing::field::Empty))]
    async fn send(
        &self,
        sending: &Sending<'_>,
        connection: Connection,
        fence: Fence,
        answered: &mut Option<Instant>,
    ) -> Event<Why> {
        let provider = self.store().provider_labels_of(sending.key).unwrap_or_else(ProviderLabels::inline);
        let began = Instant::now();
        let reply = connection.send(sending.request.clone(), move |now| fence.is_open(now)).await;
        *answered = Some(Instant::now());
        self.metrics.exchanged(provider, began.elapsed());
        let shape = sending.reply;
        let reply = match reply {
            Ok(reply) => reply,
            Err(failure) => return failed(failure),
        };
        tracing::Span::current().record("http.response.status_code", reply.status.as_u16());
        self.metrics.fence_to_send(reply.fence_to_send);
        tracing::debug!(fence_to_send_us = reply.fence_to_send.as_micros(), "answered");
        let sent_at = reply.sent_at;
        match shape.read(reply.status, &reply.headers, &reply.body, sent_at) {
            Ok(tokens) => {
                let subject = match sending.consent {
                    None => None,
                    Some(identity) => match identity.subject(tokens.id_token.as_ref(), sent_at) {
                        Ok(subject) => Some(subject),
                        // Somebody else's tokens: they aren't kept.
                        Err(problem) => return Event::Failed(NoToken::NotSpent(Why::Problem(problem))),
                    },
                };
                let issued = Box::new(Issued {
                    leg: sending.leg.to_owned(),
                    access_token: tokens.access_token,
                    refresh_token: tokens.refresh_token,
                    id_token: tokens.id_token,
                    token_type: tokens.token_type,
                    scope: tokens.scope,
                    obtained_at: sent_at,
                    expires_at: tokens.expires_at,
                    refresh_token_expires_at: tokens.refresh_token_expires_at,
                    response: SecretText::new(tokens.response.expose().to_string()),
                    asked_under: sending.asked_under.clone(),
                });
                match subject {
                    Some(subject) => Event::Consented { issued, subject },
                    None => Event::Received(issued),
                }
            }
            Err(failure) => match shape.salvage(reply.status, &reply.body) {
                Some(refresh_token) => Event::Salvaged { refresh_token, why: Why::Request(failure) },
                None => failed(failure),
            },
        }
    }

    /// What was received is safe; since `answered` it was in this process's memory alone.
    fn saved(&self, answered: Option<Instant>) {
        let Some(took) = answered.map(|answered| answered.elapsed()) else { return };
        self.metrics.reply_to_save(took);
        tracing::debug!(reply_to_save_us = took.as_micros(), "saved");
    }

    /// Writes the state under its precondition. What was written is what is remembered.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn write_state(&self, key: &Key, write: Write) -> Event<Why> {
        let Ok(secret) = state::write(&write.record, &key.namespace, &key.name) else {
            return Event::WriteRefused(Why::Problem(refused(Fault::Invalid)));
        };
        match self.cluster.write_state(secret, write.replaces.as_deref()).await {
            Ok(metadata) => {
                let resource_version = metadata.resource_version.clone().unwrap_or_default();
                self.store().put_secret(&state_key(key), SecretSeen::of(&metadata));
                self.remember_state(key, Some(write.record), &resource_version);
                Event::Written { resource_version }
            }
            Err(fault @ (Fault::Invalid | Fault::Forbidden)) => {
                self.memory().forget_state(key);
                Event::WriteRefused(Why::Problem(refused(fault)))
            }
            Err(Fault::NotFound | Fault::Conflict | Fault::Unanswered) => {
                self.memory().forget_state(key);
                Event::WriteInDoubt
            }
        }
    }

    fn remember_state(&self, key: &Key, record: Option<StateRecord>, resource_version: &str) {
        let held = HeldState { resource_version: resource_version.to_owned(), content: Ok(record.map(Arc::new)) };
        self.memory().hold_state(key, held);
    }

    /// Reads the state uncached, and whether the credential is still there.
    #[tracing::instrument(level = "debug", skip_all)]
    async fn read_back(&self, key: &Key, after: Duration) -> Event<Why> {
        pause(after).await;
        let (state, credential) = tokio::join!(self.cluster.read_state(key), self.cluster.read_credential(key));
        let (Ok(state), Ok(credential)) = (state, credential) else { return Event::ReadFailed };
        let credential_exists = credential.is_some_and(|object| object.metadata.deletion_timestamp.is_none());
        // The watch may not have told of it: one that was there before its name was in use wasn't kept.
        let Some(secret) = state else {
            self.store().remove_secret(&state_key(key), None);
            return Event::Read { state: None, credential_exists };
        };
        self.store().put_secret(&state_key(key), SecretSeen::of(&secret.metadata));
        let resource_version = secret.metadata.resource_version.clone().unwrap_or_default();
        match state::read(secret) {
            Ok(record) => Event::Read { state: Some((Box::new(record), resource_version)), credential_exists },
            // Somebody put something else there. Nothing received may be dropped: wait for it to be put right.
            Err(_) => Event::ReadFailed,
        }
    }
}

/// Sleeps; no time at all is not a millisecond, as it would be for the timer, while a reply waits to be saved.
async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

fn failed(failure: Failure) -> Event<Why> {
    Event::Failed(match failure.spent() {
        Spent::No => NoToken::NotSpent(Why::Request(failure)),
        Spent::Unknown => NoToken::Unknown(Why::Request(failure)),
    })
}

fn refused(fault: Fault) -> Problem {
    let what = match fault {
        Fault::Forbidden => {
            "The API server forbids writing the state Secret: check quotas, and that the namespace is not being deleted."
        }
        _ => "The API server refuses the state Secret as invalid: check admission policies and quotas.",
    };
    Problem::passing(Reason::SecretConflict, what)
}
