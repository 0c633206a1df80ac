//! Carries out what `credential::consent` says of a Consent Secret: reads it, writes into it where a person goes, has the code that came
//! exchanged, and deletes it. The leader's part; what browsers cause on any replica is in `browser`.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;
use uuid::Uuid;

use super::{
    Controller,
    asking::{Unasked, problem_of},
    effects::{Answer, Fault},
    key::Key,
    memory::{HeldMailbox, Tries},
    observe::{InputsView, Prepared, View},
    pass::{Next, Seat},
    seen::SecretSeen,
};
use crate::{
    api::{AuthorizationStatus, Reason},
    credential::{
        checked::{Checked, Grant},
        consent::{self, Answerer, Mailbox, MailboxSeen},
        failed::Why,
        observed::Problem,
        record::{Binding, Intent},
        report::{consent_failed, whole_seconds},
        schedule::{Jitter, later, retry_at},
    },
    oauth::values::{RefreshToken, SecretText},
    secrets::consent::{self as consent_secret, ConsentError, consent_name},
};

/// A Consent Secret as it is known.
pub enum MailboxView {
    Absent,
    Unread,
    Unusable(ConsentError),
    Read { mailbox: Arc<Mailbox>, uid: String, resource_version: String },
}

/// What a look at a consent came to.
pub enum Consented {
    /// Something was done: look again.
    Go,
    Done(Next),
    /// What a request is made of has to be read first.
    ReadInputs,
    /// Nothing is to be done before then.
    Later(Option<Timestamp>),
}

/// The key of a credential's Consent Secret.
pub fn consent_key(key: &Key) -> Key {
    Key::new(&key.namespace, &consent_name(&key.name))
}

pub fn answerer(checked: &Checked) -> Answerer<'_> {
    Answerer { issuer: checked.consent.issuer.as_deref(), names_itself: checked.consent.names_itself }
}

impl Controller {
    /// The Consent Secret, as the watch and earlier reads tell.
    pub(super) fn mailbox_view(&self, key: &Key) -> MailboxView {
        let (store, mut memory) = (self.store(), self.memory());
        let Some(seen) = store.secret(&consent_key(key)) else {
            memory.forget_mailbox(key);
            return MailboxView::Absent;
        };
        let held = memory.mailbox(key).filter(|held| *held.resource_version == *seen.resource_version);
        match held {
            None => MailboxView::Unread,
            Some(HeldMailbox { content: Err(error), .. }) => MailboxView::Unusable(*error),
            Some(HeldMailbox { content: Ok(mailbox), uid, resource_version }) => MailboxView::Read {
                mailbox: mailbox.clone(),
                uid: uid.clone(),
                resource_version: resource_version.clone(),
            },
        }
    }

    /// Reads the Consent Secret into memory, uncached.
    pub(super) async fn read_mailbox(&self, key: &Key) -> Answer<()> {
        let concerned = match self.cluster.read_consent(key).await? {
            None => {
                self.memory().forget_mailbox(key);
                self.store().remove_secret(&consent_key(key), None)
            }
            Some(secret) => {
                let seen = SecretSeen::of(&secret.metadata);
                let held = HeldMailbox {
                    uid: secret.metadata.uid.clone().unwrap_or_default(),
                    resource_version: secret.metadata.resource_version.clone().unwrap_or_default(),
                    content: consent_secret::read(secret).map(Arc::new),
                };
                self.memory().hold_mailbox(key, held);
                self.store().put_secret(&consent_key(key), seen)
            }
        };
        // What a browser brought is the leader's to use, and the watch will have nothing new to tell.
        self.wake(&concerned);
        Ok(())
    }

    /// Looks at what a person's consent has come to, and does what is to be done about it.
    pub(super) async fn consent(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        seat: &mut Seat,
    ) -> Answer<Consented> {
        let mailbox = self.mailbox_view(key);
        let seen = match &mailbox {
            MailboxView::Absent => MailboxSeen::None,
            MailboxView::Unread => MailboxSeen::Unread,
            MailboxView::Unusable(error) => {
                let problem = Problem::passing(Reason::InvalidSpec, error.to_string());
                self.consent_failed(key, prepared, &problem).await?;
                MailboxSeen::None
            }
            MailboxView::Read { mailbox, .. } => MailboxSeen::Read(mailbox),
        };
        let under = under(view, &mailbox);
        let tries = self.memory().tries(key).filter(|tries| tries.under == under);
        let hash = |code: &SecretText| RefreshToken::new(code.expose()).hash(&key.to_string());
        let fresh = Uuid::new_v4().to_string();
        let next = {
            let observed = view.observed(prepared, self);
            let not_before = tries.as_ref().map(|tries| tries.next);
            consent::next(&checked.rules, &observed, seen, answerer(checked), not_before, hash, &fresh)
        };
        match next {
            consent::Next::Nothing => Ok(Consented::Later(None)),
            consent::Next::Wait(until) => Ok(Consented::Later(Some(until))),
            consent::Next::ReadMailbox => self.read_mailbox(key).await.map(|()| Consented::Go),
            consent::Next::ReadState => self.read_state(key).await.map(|()| Consented::Go),
            consent::Next::ReadInputs => Ok(Consented::ReadInputs),
            consent::Next::Prepare => self.prepare_consent(key, prepared, checked, view, &mailbox).await,
            consent::Next::Discard(problem) => {
                if let Some(problem) = problem {
                    self.consent_failed(key, prepared, &problem).await?;
                }
                self.discard(key, &mailbox).await.map(|()| Consented::Go)
            }
            consent::Next::Exchange(exchanging) => {
                self.exchange_code(key, prepared, checked, view, *exchanging, seat, &mailbox).await
            }
        }
    }

    /// Records how a consent failed, once. The store knows of it afterwards.
    pub(super) async fn consent_failed(&self, key: &Key, prepared: &Prepared, problem: &Problem) -> Answer<()> {
        let known = prepared.status.authorization.as_ref().and_then(|it| it.last_failure.as_ref());
        if known.is_some_and(|known| known.message == problem.message) {
            return Ok(());
        }
        let now = Timestamp::now();
        self.write_status(key, prepared, |before| consent_failed(before, problem, now)).await.map(drop)
    }

    /// Deletes the Consent Secret, if it is still what was looked at.
    pub(super) async fn discard(&self, key: &Key, mailbox: &MailboxView) -> Answer<()> {
        let MailboxView::Read { uid, resource_version, .. } = mailbox else { return Ok(()) };
        match self.cluster.delete_secret(&consent_key(key), uid, Some(resource_version)).await {
            Ok(()) | Err(Fault::NotFound) => {
                self.store().remove_secret(&consent_key(key), Some(uid));
                self.memory().forget_mailbox(key);
                Ok(())
            }
            // It was written meanwhile: look again.
            Err(Fault::Conflict) => self.read_mailbox(key).await,
            Err(fault) => Err(fault),
        }
    }

    /// Writes into the Secret where a person goes who can read it.
    async fn prepare_consent(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        given: &MailboxView,
    ) -> Answer<Consented> {
        let (InputsView::Read { values, binding, .. }, MailboxView::Read { mailbox, uid, resource_version }) =
            (&view.inputs, given)
        else {
            return Ok(Consented::Go);
        };
        match self.ask_for_consent(key, checked, values, binding, None).await {
            Ok((url, _, request)) => {
                let patch = consent_secret::patch(&mailbox.with_request(request), Some(&url), uid, resource_version);
                match self.cluster.patch_secret(&consent_key(key), &patch).await {
                    Ok(_) | Err(Fault::Conflict | Fault::NotFound) => self.read_mailbox(key).await?,
                    Err(fault) => return Err(fault),
                }
                Ok(Consented::Go)
            }
            Err(Unasked::NotReady) => Ok(Consented::ReadInputs),
            Err(Unasked::Why(why)) => {
                let problem = problem_of(&why);
                self.consent_failed(key, prepared, &problem).await?;
                let until = self.put_off(key, under(view, given), &why);
                Ok(Consented::Later(Some(until)))
            }
        }
    }

    /// When something for a consent may be tried again. `under` is what it was tried with: anything else is a reason to try at once.
    pub(super) fn put_off(&self, key: &Key, under: String, why: &Why) -> Timestamp {
        let mut memory = self.memory();
        let failed = memory.tries(key).filter(|tries| tries.under == under).map_or(1, |tries| tries.failed + 1);
        let asked = match why {
            Why::Request(failure) => failure.retry_after(),
            Why::Problem(_) => None,
        };
        let jitter = Jitter::from_bits(rand::random());
        let next = retry_at(Timestamp::now(), failed, None, asked, jitter);
        memory.hold_tries(key, Some(Tries { failed, next, under }));
        next
    }

    /// What a person needs to consent.
    pub(super) fn authorization(&self, key: &Key, prepared: &Prepared) -> AuthorizationStatus {
        let Ok(checked) = &prepared.checked else { return AuthorizationStatus::default() };
        match &checked.grant {
            Grant::AuthorizationCode { .. } => AuthorizationStatus {
                url: self.settings.public_url.as_ref().map(|public| start_page(public, key)),
                ..AuthorizationStatus::default()
            },
            Grant::DeviceCode { .. } => {
                let memory = self.memory();
                let held = memory.state(key).and_then(|held| held.content.as_ref().ok()?.as_ref()?.device.clone());
                held.map_or_else(AuthorizationStatus::default, |device| AuthorizationStatus {
                    user_code: Some(device.authorization.user_code),
                    verification_uri: Some(device.authorization.verification_uri),
                    expiration_time: Some(whole_seconds(device.authorization.expires_at)),
                    ..AuthorizationStatus::default()
                })
            }
            _ => AuthorizationStatus::default(),
        }
    }

    pub(super) fn intent(&self, lineage: &str, binding: &Binding, hash: &str) -> Intent {
        let now = Timestamp::now();
        Intent {
            attempt: Uuid::new_v4().to_string(),
            holder: self.settings.holder.clone(),
            lineage: lineage.to_owned(),
            leg: String::new(),
            token_hash: hash.to_owned(),
            binding: binding.clone(),
            started_at: now,
            send_by: later(now, crate::credential::decide::FENCE),
        }
    }
}

/// The address of a credential's start page.
fn start_page(public: &Url, key: &Key) -> String {
    format!("{}/consent/{}/{}", public.as_str().trim_end_matches('/'), key.namespace, key.name)
}

/// What is tried with.
pub fn under(view: &View, mailbox: &MailboxView) -> String {
    let uid = match mailbox {
        MailboxView::Read { uid, .. } => uid.as_str(),
        _ => "",
    };
    format!("{} {uid}", view.asked_under.inputs)
}
