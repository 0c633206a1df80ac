//! `kubectl oauth authorize`: begins a person's consent, shows where it is given, and waits for what comes of it. The consent itself is
//! the operator's affair (docs/consent.md); here a Consent Secret is created, and taken away again when nobody finishes.

use std::{convert::Infallible, time::Duration};

use jiff::Timestamp;
use kube::Api;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Verdict, connection::Connection, failure::Failure, flags::Authorize, put, put_as, refresh::title, seen::Seen,
    status, tell, text::relative,
};
use crate::{
    api::{OAuthCredential, OAuthCredentialStatus},
    oauth::values::SecretText,
    operate::shutdown::Shutdown,
};

mod browser;
mod loopback;
mod mailbox;
mod outcome;
mod paste;
mod way;

use mailbox::Mailbox;
use outcome::{Ended, Outcome, after_consent, after_device_code, last_failure};
use way::Way;

/// Between two looks at the cluster.
const PAUSE: Duration = Duration::from_secs(1);
/// After which somebody who waits for the operator is told so.
const LONG: Duration = Duration::from_secs(10);

/// A credential that a person consents for.
struct Consent<'a> {
    connection: &'a Connection,
    asked: &'a Authorize,
    /// As it was before.
    credential: OAuthCredential,
    before: OAuthCredentialStatus,
}

/// Begins a consent, and waits for its end.
pub async fn run(connection: &Connection, asked: &Authorize) -> Result<Verdict, Failure> {
    let deadline = Instant::now() + asked.timeout;
    let stop = Shutdown::on_signal().map_err(Failure::Output)?;
    let credential = status::credential(connection, &asked.name).await?;
    let title = title(&credential);
    let credential = tokio::select! {
        seen = observed(connection, credential) => seen?,
        ended = give_up(deadline, &stop) => return finish(asked, &title, &Outcome::of(connection, asked, None, ended)),
    };
    let before = credential.status.clone().unwrap_or_default();
    let consent = Consent { connection, asked, credential, before };
    let ended = consent.ended(deadline, &stop).await?;
    let seen = consent.api().get_opt(&asked.name).await.ok().flatten();
    finish(asked, &title, &Outcome::of(connection, asked, seen.as_ref(), ended))
}

/// The credential, once the operator has looked at its present spec.
async fn observed(connection: &Connection, mut credential: OAuthCredential) -> Result<OAuthCredential, Failure> {
    let name = credential.metadata.name.clone().unwrap_or_default();
    let since = Instant::now();
    let mut told = false;
    loop {
        let seen = credential.status.as_ref().and_then(|status| status.observed_generation);
        if seen.is_some() && seen >= credential.metadata.generation {
            return Ok(credential);
        }
        told = told || tell_of_waiting(since, "No operator has looked at this credential yet")?;
        sleep(PAUSE).await;
        credential = status::credential(connection, &name).await?;
    }
}

/// Says once, after a while, who is waited for. Whether it did.
fn tell_of_waiting(since: Instant, what: &str) -> Result<bool, Failure> {
    if since.elapsed() < LONG {
        return Ok(false);
    }
    tell(&format!("{what}. If that lasts, `kubectl oauth check` says why.\n")).map(|()| true)
}

async fn give_up(deadline: Instant, stop: &Shutdown) -> Ended {
    tokio::select! {
        () = sleep_until(deadline) => Ended::TimedOut,
        () = stop.wait() => Ended::Interrupted,
    }
}

fn finish(asked: &Authorize, title: &str, outcome: &Outcome) -> Result<Verdict, Failure> {
    match asked.output {
        Some(format) => put_as(format, outcome)?,
        None => put(&format!("{title} {}\n", outcome.message))?,
    }
    Ok(Verdict::of(outcome.authorized))
}

impl Consent<'_> {
    fn api(&self) -> Api<OAuthCredential> {
        self.connection.namespaced(&self.connection.namespace)
    }

    async fn ended(&self, deadline: Instant, stop: &Shutdown) -> Result<Ended, Failure> {
        if let Some(sentence) = way::obstacle(&self.credential) {
            return Ok(Ended::Failed(sentence));
        }
        if self.credential.spec.grant.device_code.is_some() {
            return tokio::select! {
                ended = self.by_device_code() => ended,
                ended = give_up(deadline, stop) => Ok(ended),
            };
        }
        let way = way::choose(&self.credential, self.asked)?;
        // Before anything is written: the port may be taken.
        let listener = match &way {
            Way::Loopback(address) => Some(loopback::listen(address).await?),
            Way::Page(_) | Way::Paste(_) => None,
        };
        let mailbox = match Mailbox::create(self.connection, &self.asked.name).await? {
            Ok(mailbox) => mailbox,
            Err(sentence) => return Ok(Ended::Failed(sentence)),
        };
        let ended = tokio::select! {
            never = self.persons_part(&way, listener, &mailbox) => never.map(|never| match never {}),
            ended = self.operators_part(&mailbox) => ended,
            ended = give_up(deadline, stop) => Ok(ended),
        };
        if !matches!(ended, Ok(Ended::Authorized)) {
            mailbox.remove().await?;
        }
        ended
    }

    /// Shows where to consent, and brings what came back. What becomes of it isn't told here.
    async fn persons_part(
        &self,
        way: &Way,
        listener: Option<loopback::Listener>,
        mailbox: &Mailbox<'_>,
    ) -> Result<Infallible, Failure> {
        let _opened = match way {
            Way::Page(page) => {
                let address = SecretText::new(format!("{page}#{}", mailbox.ticket().expose()));
                tell(&format!(
                    "Open this address within an hour, and go on there:\n\n  {}\n\nWhat follows the # is a one-time ticket: whoever has it may consent in your place.\n",
                    address.expose()
                ))?;
                self.open(address.expose())?
            }
            Way::Paste(redirect) => {
                let url = self.prepared(mailbox).await?;
                let where_to = match redirect {
                    Some(uri) => format!("an address that begins with {uri} and has a code in it"),
                    None => "an address with a code in it".to_owned(),
                };
                tell(&format!(
                    "Open this address, log in, and allow what is asked for:\n\n  {}\n\nYou end up at {where_to}. Copy it as a whole, whatever the page says.\n",
                    url.expose()
                ))?;
                let opened = self.open(url.expose())?;
                mailbox.respond(&paste::read().await?).await?;
                opened
            }
            Way::Loopback(address) => {
                let url = self.prepared(mailbox).await?;
                tell(&format!(
                    "Open this address on this machine, log in, and allow what is asked for:\n\n  {}\n\n",
                    url.expose()
                ))?;
                let opened = self.open(url.expose())?;
                if let Some(listener) = listener {
                    mailbox.respond(&listener.response(address, &url).await?).await?;
                }
                opened
            }
        };
        std::future::pending().await
    }

    /// Opens a browser, where there is one. The file lasts as long as what is returned.
    fn open(&self, address: &str) -> Result<Option<browser::Opened>, Failure> {
        if self.asked.no_browser {
            return Ok(None);
        }
        let opened = browser::open(address);
        if opened.is_some() {
            tell("A browser was asked to open it.\n")?;
        }
        Ok(opened)
    }

    /// Where a person goes who can read the Consent Secret, once the operator has said so.
    async fn prepared(&self, mailbox: &Mailbox<'_>) -> Result<SecretText, Failure> {
        let since = Instant::now();
        let mut told = false;
        loop {
            if let Some(url) = mailbox.authorization_url().await? {
                return Ok(url);
            }
            told = told || tell_of_waiting(since, "The operator has made no authorization request yet")?;
            sleep(PAUSE).await;
        }
    }

    /// Waits for what the operator makes of the consent.
    async fn operators_part(&self, mailbox: &Mailbox<'_>) -> Result<Ended, Failure> {
        let mut told = last_failure(&self.before);
        loop {
            // The operator writes the status first, and then takes the Secret away.
            let secret = settled(mailbox.look().await)?.unwrap_or(Seen::There(()));
            if let Some(seen) = self.look().await? {
                if let Some(ended) = after_consent(&self.before, seen.as_ref(), &secret) {
                    return Ok(ended);
                }
                let failure = seen.and_then(|seen| last_failure(&seen.status.unwrap_or_default()));
                if let Some(failure) = &failure
                    && Some(failure) != told.as_ref()
                {
                    tell(&format!("Not yet: {} It is tried again.\n", failure.message))?;
                    told = Some(failure.clone());
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Shows each device code, and waits for what becomes of it.
    async fn by_device_code(&self) -> Result<Ended, Failure> {
        if outcome::needs_nobody(&self.credential) {
            return Ok(Ended::NotNeeded);
        }
        let since = Instant::now();
        let (mut told, mut shown, mut _opened) = (false, None, None);
        loop {
            if let Some(seen) = self.look().await? {
                if let Some(ended) = after_device_code(&self.before, seen.as_ref(), shown.as_deref()) {
                    return Ok(ended);
                }
                let authorization = seen.and_then(|seen| seen.status?.authorization).unwrap_or_default();
                let code = authorization.verification_uri.zip(authorization.user_code);
                match code {
                    Some((uri, code)) if shown.is_none() => {
                        let now = Timestamp::now();
                        let ends = authorization
                            .expiration_time
                            .map_or_else(String::new, |ends| format!(" It expires {}.", relative(ends, now)));
                        tell(&format!("Open {uri} and enter the code {code}.{ends}\n"))?;
                        _opened = self.open(&uri)?;
                        shown = Some(code);
                    }
                    Some(_) => {}
                    None => told = told || tell_of_waiting(since, "The provider has given no code yet")?,
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// The credential as it is now. None: the API server could not be reached just now.
    async fn look(&self) -> Result<Option<Option<OAuthCredential>>, Failure> {
        let read = self.api().get_opt(&self.asked.name).await;
        settled(read.map_err(|error| Failure::of(format!("read the OAuthCredential {}", self.asked.name), error)))
    }
}

/// A connection that breaks while a person is away is no reason to end what they do. None: look again.
fn settled<T>(read: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match read {
        Ok(seen) => Ok(Some(seen)),
        Err(Failure::Unreachable(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}
