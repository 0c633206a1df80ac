//! What a person's browser causes, on any replica: it looks at what a consent is for, begins it, and brings the response. Who has
//! no ticket causes no request to anybody: what is needed to refuse them is in memory.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{
    Controller,
    asking::{Unasked, problem_of},
    consent::{MailboxView, answerer, consent_key},
    effects::Fault,
    key::{InputKey, Key},
    observe::{InputsView, Prepared},
};
use crate::{
    api::OAuthCredentialStatus,
    credential::{
        checked::{Checked, Grant, InputKind, InputValues, Scopes},
        consent::{Mailbox, Received, is_digest},
        observed::Problem,
        record::Binding,
    },
    oauth::authorization::Response,
    secrets::consent as consent_secret,
};

/// For the issuer's metadata, and for a watch that lags behind another replica's write.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);
/// Writes of one Consent Secret against other replicas'.
const MOST_TRIES: usize = 4;

/// What a person is asked to consent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub namespace: String,
    pub name: String,
    /// The provider's host.
    pub provider: String,
    pub client_id: String,
    pub scopes: Vec<String>,
    /// Who must consent.
    pub expected_subject: Option<String>,
    /// Whether the response comes to this operator by itself; else it is to be copied.
    pub returns_here: bool,
}

/// Where a browser goes, and what brings it back.
pub struct Begun {
    pub asked: Asked,
    pub url: String,
    pub state: String,
}

/// What became of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A token was obtained under this consent.
    Linked { subject: Option<String> },
    /// The response was a refusal, or could not be used.
    Failed(String),
    /// It is kept, and nobody has used it yet.
    Waiting,
}

/// Why a browser is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such consent, or its ticket is another: nobody learns which.
    Ticket,
    /// The consent's hour is over.
    Expired,
    /// A response has come already.
    Answered,
    /// The state is not this browser's, or no longer.
    State,
    /// Somebody else than the provider answered (RFC 9207).
    Issuer,
    /// The credential or its provider isn't in order; the sentence says how.
    Problem(String),
    /// The API server or the provider doesn't answer.
    Unavailable,
}

impl From<Fault> for Refused {
    fn from(_: Fault) -> Self {
        Self::Unavailable
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem.message)
    }
}

/// A Consent Secret at one version.
struct Opened {
    mailbox: Arc<Mailbox>,
    uid: String,
    resource_version: String,
}

/// What an authorization request is made of.
struct Material {
    values: InputValues,
    binding: Binding,
}

impl Controller {
    /// Whether every watch has been listed: before that nobody can be told anything.
    pub fn knows_credentials(&self) -> bool {
        *self.synced.borrow()
    }

    /// What the holder of this ticket is asked to consent to.
    ///
    /// # Errors
    /// Why there is nothing to show.
    pub async fn consent_asked(&self, namespace: &str, name: &str, ticket: &str) -> Result<Asked, Refused> {
        let key = Key::new(namespace, name);
        self.admitted(&key, ticket).await?;
        let (prepared, material) = self.material(&key).await?;
        Ok(asked(&key, checked(&prepared)?, &material))
    }

    /// Begins a consent for the browser that holds the cookie `browser`.
    ///
    /// # Errors
    /// Why it can't begin.
    pub async fn begin_consent(
        &self,
        namespace: &str,
        name: &str,
        ticket: &str,
        browser: &str,
    ) -> Result<Begun, Refused> {
        let key = Key::new(namespace, name);
        self.admitted(&key, ticket).await?;
        let (prepared, material) = self.material(&key).await?;
        let checked = checked(&prepared)?;
        let made = self.ask_for_consent(&key, checked, &material.values, &material.binding, Some(browser)).await;
        let (url, state, request) = made.map_err(|unasked| match unasked {
            Unasked::Why(why) => Refused::from(problem_of(&why)),
            Unasked::NotReady => Refused::Unavailable,
        })?;
        for _ in 0..MOST_TRIES {
            let opened = self.admitted(&key, ticket).await?;
            let progress = opened.mailbox.with_request(request.clone());
            if self.write(&key, &opened, &progress).await? {
                return Ok(Begun { asked: asked(&key, checked, &material), url, state });
            }
        }
        Err(Refused::Unavailable)
    }

    /// Takes in what a browser brought back, and waits a while for what the leader makes of it.
    ///
    /// # Errors
    /// Why it isn't taken.
    pub async fn consent_returned(
        &self,
        namespace: &str,
        name: &str,
        browser: &str,
        response: Response,
    ) -> Result<Arrived, Refused> {
        let key = Key::new(namespace, name);
        let before = self.store().credential(&key).map(|seen| seen.status()).ok_or(Refused::State)?;
        let state = response.state.clone().ok_or(Refused::State)?;
        let mut read_afresh = false;
        for _ in 0..MOST_TRIES {
            let opened = self.open(&key).await?.ok_or(Refused::State)?;
            let request = opened.mailbox.request(&state);
            let Some(request) = request else {
                // Another replica may have made the request: the watch may lag. Once, since anybody can bring a wrong state.
                if std::mem::replace(&mut read_afresh, true) || self.afresh.check().is_err() {
                    return Err(Refused::State);
                }
                self.read_mailbox(&key).await?;
                continue;
            };
            let is_the_browser = request.browser_hash.as_ref().is_some_and(|hash| is_digest(hash, browser));
            if !is_the_browser {
                return Err(Refused::State);
            }
            let prepared = self.prepare(&key).ok_or(Refused::State)?;
            let answerer = answerer(checked(&prepared)?);
            if !response.is_from(answerer.issuer, answerer.names_itself) {
                return Err(Refused::Issuer);
            }
            if opened.mailbox.has_response() {
                return Err(Refused::Answered);
            }
            if opened.mailbox.ends() <= Timestamp::now() {
                return Err(Refused::Expired);
            }
            let received = Received {
                state_hash: request.state_hash.clone(),
                outcome: response.outcome.clone(),
                at: Timestamp::now(),
            };
            let progress = opened.mailbox.with_received(received).ok_or(Refused::Answered)?;
            if self.write(&key, &opened, &progress).await? {
                return Ok(match &response.outcome {
                    Err(refusal) => Arrived::Failed(refusal.sentence()),
                    Ok(_) => self.came_of(&key, &before).await,
                });
            }
        }
        Err(Refused::Unavailable)
    }

    /// What the leader makes of a response: told by the status, which every replica watches.
    async fn came_of(&self, key: &Key, before: &OAuthCredentialStatus) -> Arrived {
        let end = Instant::now() + PATIENCE * 2;
        let failure = |status: &OAuthCredentialStatus| status.authorization.clone().and_then(|it| it.last_failure);
        while Instant::now() < end {
            let Some(status) = self.store().credential(key).map(|seen| seen.status()) else { break };
            if let Some(by) = status.authorized_by.as_ref().filter(|_| status.authorized_by != before.authorized_by) {
                return Arrived::Linked { subject: by.subject.clone() };
            }
            if let Some(failed) = failure(&status).filter(|failed| failure(before).as_ref() != Some(failed)) {
                return Arrived::Failed(failed.message);
            }
            sleep(PAUSE).await;
        }
        Arrived::Waiting
    }

    /// The Consent Secret, if this is its ticket.
    async fn admitted(&self, key: &Key, ticket: &str) -> Result<Opened, Refused> {
        let opened = self.open(key).await?.filter(|opened| opened.mailbox.admits(ticket)).ok_or(Refused::Ticket)?;
        if opened.mailbox.ends() <= Timestamp::now() {
            return Err(Refused::Expired);
        }
        if opened.mailbox.has_response() {
            return Err(Refused::Answered);
        }
        Ok(opened)
    }

    /// The Consent Secret as it is known: read once for each of its versions. None: there is none, or it can't be used.
    async fn open(&self, key: &Key) -> Result<Option<Opened>, Refused> {
        if matches!(self.mailbox_view(key), MailboxView::Unread) {
            let _turn = self.turns.wait(&InputKey { kind: InputKind::Secret, key: consent_key(key) }).await;
            if matches!(self.mailbox_view(key), MailboxView::Unread) {
                self.read_mailbox(key).await?;
            }
        }
        Ok(match self.mailbox_view(key) {
            MailboxView::Read { mailbox, uid, resource_version } => Some(Opened { mailbox, uid, resource_version }),
            _ => None,
        })
    }

    /// Writes, if nobody else did meanwhile. False: look again.
    async fn write(
        &self,
        key: &Key,
        opened: &Opened,
        progress: &crate::credential::consent::Progress,
    ) -> Result<bool, Refused> {
        let patch = consent_secret::patch(progress, None, &opened.uid, &opened.resource_version);
        let written = self.cluster.patch_secret(&consent_key(key), &patch).await;
        match written {
            Ok(_) | Err(Fault::Conflict | Fault::NotFound | Fault::Unanswered) => self.read_mailbox(key).await?,
            Err(fault) => return Err(fault.into()),
        }
        // A lost answer is settled by what is there.
        Ok(written.is_ok() || self.open(key).await?.is_some_and(|now| now.mailbox.progress == *progress))
    }

    /// Reads what an authorization request is made of.
    async fn material(&self, key: &Key) -> Result<(Box<Prepared>, Material), Refused> {
        let end = Instant::now() + PATIENCE;
        loop {
            let prepared = self.prepare(key).ok_or(Refused::Ticket)?;
            let checked = checked(&prepared)?;
            match self.inputs_view(key, checked) {
                InputsView::Read { values, binding, .. } => return Ok((prepared, Material { values, binding })),
                InputsView::Problem(problem) | InputsView::Undiscovered { problem, .. } => return Err(problem.into()),
                InputsView::Unread if Instant::now() >= end => return Err(Refused::Unavailable),
                InputsView::Unread => {
                    self.read_inputs(checked, false).await?;
                    if self.discover(key, checked) {
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }
}

fn checked(prepared: &Prepared) -> Result<&Checked, Refused> {
    let checked = prepared.checked.as_ref().map_err(|problem| Refused::from(problem.clone()))?;
    match checked.grant {
        Grant::AuthorizationCode { .. } if checked.rules.suspend => {
            Err(Refused::Problem("The credential is suspended: set spec.suspend to false first.".to_owned()))
        }
        Grant::AuthorizationCode { .. } => Ok(checked),
        _ => Err(Refused::Ticket),
    }
}

fn asked(key: &Key, checked: &Checked, material: &Material) -> Asked {
    let redirect_uri = match &checked.grant {
        Grant::AuthorizationCode { redirect_uri, .. } => redirect_uri.clone(),
        _ => None,
    };
    let host = checked.consent.authorization.as_ref().and_then(|url| url.host_str());
    Asked {
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        provider: host.unwrap_or_default().to_owned(),
        client_id: material.binding.client_id.clone(),
        scopes: match &checked.scopes {
            Scopes::None => Vec::new(),
            Scopes::Joined(joined) => joined.split(' ').map(str::to_owned).collect(),
            Scopes::Array(list) => list.clone(),
        },
        expected_subject: checked.grant.expected_subject().map(str::to_owned),
        returns_here: redirect_uri.is_some() && redirect_uri == checked.consent.callback,
    }
}
