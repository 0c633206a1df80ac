//! Reads issuers' metadata: each issuer once for all credentials that wait for it, no sooner than what is known of it has to
//! be read again, and with growing delays while that fails. What was read goes on being used then. No pass waits here:
//! it is woken when there is an answer. Each namespace has its turn (`lines`).

mod lines;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::timeout;
use url::Url;

use self::lines::{Lines, Place};

use super::{
    Controller,
    gate::PATIENCE,
    key::{InputKey, Key},
};
use crate::{
    credential::{
        checked::{Checked, Issuer},
        failed::Why,
        observed::Problem,
        schedule::{Jitter, later, retry_at},
    },
    oauth::{
        discovery::{self, Found, Metadata, Undiscovered},
        failure::Failure,
        tls::Roots,
        transport::Target,
    },
};

#[cfg(test)]
mod tests;

/// Issuers that are asked at once. One that takes longer than `PATIENCE` no longer counts.
const AT_ONCE: usize = 64;
/// For both addresses of one issuer together.
const LONGEST_READ: Duration = Duration::from_secs(20);
/// The least age of metadata that a failing endpoint casts doubt on.
const LEAST_DOUBTED: Duration = Duration::from_secs(60);
/// Issuers that are remembered. More than a cluster has in use: what is beyond them is no longer used.
const MOST_ISSUERS: usize = 10_000;

/// What is known of issuers.
pub struct Discoveries {
    issuers: Mutex<HashMap<Issuer, Known>>,
    /// What is to be read, in the lines of all namespaces that wait for it: the first of them has it read.
    wanted: Lines<Wanted>,
}

impl Default for Discoveries {
    fn default() -> Self {
        Self { issuers: Mutex::default(), wanted: Lines::new(AT_ONCE) }
    }
}

/// What is known of one issuer.
#[derive(Default)]
struct Known {
    metadata: Option<Arc<Metadata>>,
    read_at: Timestamp,
    /// Until then nothing is read.
    until: Timestamp,
    failed: Option<Failed>,
    /// Who waits for a read that is to come, or under way.
    waiting: Option<BTreeSet<Key>>,
    is_being_read: bool,
}

struct Failed {
    problem: Problem,
    times: i64,
    /// The version of the authorities that it failed under: others may mend it.
    under: String,
}

/// A read that somebody waits for.
struct Wanted {
    issuer: Issuer,
    roots: Option<Arc<Roots>>,
    under: String,
}

/// What a pass sees of an issuer.
#[derive(Debug, PartialEq)]
pub enum Look {
    /// Its metadata are known, and to be believed.
    Known,
    /// They are to be read first.
    Wanted,
    /// They can't be had; they are read again then.
    Failed { problem: Problem, again: Timestamp },
}

impl Discoveries {
    fn issuers(&self) -> MutexGuard<'_, HashMap<Issuer, Known>> {
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest metadata, however old.
    pub fn metadata(&self, issuer: &Issuer) -> Option<Arc<Metadata>> {
        self.issuers().get(issuer)?.metadata.clone()
    }

    /// `under` is the version of the authorities that are trusted now.
    pub fn look(&self, issuer: &Issuer, under: &str, now: Timestamp) -> Look {
        let issuers = self.issuers();
        let Some(known) = issuers.get(issuer).filter(|known| known.waiting.is_none() && known.until > now) else {
            return Look::Wanted;
        };
        match &known.failed {
            Some(failed) if failed.under != under => Look::Wanted,
            Some(failed) if known.metadata.is_none() => {
                Look::Failed { problem: failed.problem.clone(), again: known.until }
            }
            _ => Look::Known,
        }
    }

    /// Has an issuer's metadata read for `key`, which is woken afterwards.
    fn want(&self, wanted: Wanted, key: &Key) {
        let mut issuers = self.issuers();
        if issuers.len() >= MOST_ISSUERS {
            issuers.retain(|_, known| known.waiting.is_some());
        }
        let known = issuers.entry(wanted.issuer.clone()).or_default();
        let waiting = known.waiting.get_or_insert_default();
        let in_line = waiting.range(key.beside("")..).next().is_some_and(|other| other.namespace == key.namespace);
        waiting.insert(key.clone());
        let stands_in_line = in_line || known.is_being_read;
        drop(issuers);
        if !stands_in_line {
            self.wanted.push(&key.namespace, wanted);
        }
    }

    /// Whether `key` waits for this issuer's metadata.
    pub fn awaited_by(&self, issuer: &Issuer, key: &Key) -> bool {
        self.issuers().get(issuer).and_then(|known| known.waiting.as_ref()).is_some_and(|keys| keys.contains(key))
    }

    /// What is to be read next. Waits until there is something, and room for it.
    async fn next(&self) -> (Wanted, Place<Wanted>) {
        loop {
            let (wanted, place) = self.wanted.next().await;
            // Another namespace's turn may have come sooner.
            let mut issuers = self.issuers();
            if let Some(known) = issuers.get_mut(&wanted.issuer).filter(|it| it.waiting.is_some() && !it.is_being_read)
            {
                known.is_being_read = true;
                return (wanted, place);
            }
        }
    }

    /// Takes in what a read brought. Gives those who waited for it.
    fn settle(
        &self,
        issuer: &Issuer,
        under: &str,
        read: Result<Found, Problem>,
        asked: Option<Duration>,
        now: Timestamp,
    ) -> BTreeSet<Key> {
        let mut issuers = self.issuers();
        let known = issuers.entry(issuer.clone()).or_default();
        match read {
            Ok(found) => {
                known.metadata = Some(Arc::new(found.metadata));
                (known.read_at, known.until, known.failed) = (now, later(now, found.fresh_for), None);
            }
            Err(problem) => {
                let times = known.failed.as_ref().map_or(0, |failed| failed.times) + 1;
                known.until = retry_at(now, times, None, asked, Jitter::from_bits(rand::random()));
                known.failed = Some(Failed { problem, times, under: under.to_owned() });
            }
        }
        known.is_being_read = false;
        known.waiting.take().unwrap_or_default()
    }

    /// An endpoint fails as one does that has moved: metadata that aren't quite new are read again before it is used again.
    pub fn doubt(&self, issuer: &Issuer, now: Timestamp) {
        if let Some(known) = self.issuers().get_mut(issuer)
            && known.failed.is_none()
            && later(known.read_at, LEAST_DOUBTED) <= now
        {
            known.until = known.until.min(now);
        }
    }
}

impl Controller {
    /// What is known of the issuer that endpoints are to be discovered from. None: there is none.
    pub(super) fn look_at_issuer(&self, checked: &Checked) -> Option<Look> {
        let issuer = checked.issuer.as_ref()?;
        Some(self.discoveries.look(issuer, &self.authorities_version(issuer), Timestamp::now()))
    }

    /// How long `key` has to wait before it may have its issuer's metadata read: it has asked too often. A read counts as a token request
    /// does, or a spec that names another issuer each time would have as many read as it is changed.
    pub(super) fn discovery_pause(&self, key: &Key, checked: &Checked) -> Option<Duration> {
        let issuer = checked.issuer.as_ref()?;
        let is_new = self.look_at_issuer(checked) == Some(Look::Wanted) && !self.discoveries.awaited_by(issuer, key);
        is_new.then(|| self.gate.pause(key, checked.tokens())).flatten()
    }

    /// Has the issuer's metadata read if they are wanted. False: there is nothing to wait for.
    pub(super) fn discover(&self, key: &Key, checked: &Checked) -> bool {
        let (Some(issuer), Some(Look::Wanted)) = (&checked.issuer, self.look_at_issuer(checked)) else { return false };
        let under = self.authorities_version(issuer);
        let pem = issuer.ca.as_ref().map(|ca| {
            let held = self.memory().input(&InputKey::of(ca)).and_then(|held| held.values.get(&ca.key).cloned());
            (ca.kind, held)
        });
        let roots = match pem {
            None => None,
            // What is wrong with the Secret is said by those who look at the inputs.
            Some((_, None | Some(Err(_)))) => return false,
            Some((kind, Some(Ok(pem)))) => match self.roots(kind, pem.expose()) {
                Ok(roots) => Some(roots),
                Err(Why::Problem(problem)) => {
                    self.discoveries.settle(issuer, &under, Err(problem), None, Timestamp::now());
                    return false;
                }
                Err(Why::Request(_)) => return false,
            },
        };
        self.discoveries.want(Wanted { issuer: issuer.clone(), roots, under }, key);
        true
    }

    fn authorities_version(&self, issuer: &Issuer) -> String {
        let store = self.store();
        issuer.ca.iter().map(|ca| store.input_version(&InputKey::of(ca)).to_owned()).collect()
    }

    async fn read_issuer(&self, wanted: &Wanted) -> Result<Found, Undiscovered> {
        // It was checked to be a URL.
        let Ok(issuer) = Url::parse(&wanted.issuer.identifier) else { return Err(Undiscovered::NotThere) };
        let [first, second] = discovery::addresses(&issuer);
        match self.read_document(wanted, first).await {
            Err(missing) if missing.may_be_elsewhere() => match self.read_document(wanted, second).await {
                // What is wrong with a document that is there says more than that the other isn't.
                Err(Undiscovered::NotThere) => Err(missing),
                read => read,
            },
            read => read,
        }
    }

    async fn read_document(&self, wanted: &Wanted, address: Url) -> Result<Found, Undiscovered> {
        let target = Target {
            url: address.clone(),
            ca: wanted.roots.clone(),
            identity: None,
            allowed_addresses: wanted.issuer.allowed_addresses.clone(),
        };
        let connection = self.transport.connect(&target).await.map_err(Undiscovered::Failed)?;
        let reply = connection.send(discovery::request(address), |_| true).await.map_err(Undiscovered::Failed)?;
        discovery::read(&wanted.issuer.identifier, &reply)
    }
}

/// Reads what is wanted. Runs for ever.
pub async fn discover_wanted(controller: Arc<Controller>) {
    loop {
        let (wanted, place) = controller.discoveries.next().await;
        tokio::spawn(discover(controller.clone(), wanted, place));
    }
}

async fn discover(controller: Arc<Controller>, wanted: Wanted, place: Place<Wanted>) {
    let (issuer, under) = (wanted.issuer.clone(), wanted.under.clone());
    let reader = controller.clone();
    let reading = tokio::spawn(async move {
        let mut read = Box::pin(timeout(LONGEST_READ, reader.read_issuer(&wanted)));
        let read = match timeout(PATIENCE, &mut read).await {
            Ok(read) => read,
            Err(_) => {
                drop(place);
                read.await
            }
        };
        read.unwrap_or(Err(Undiscovered::Failed(Failure::TimedOut)))
    });
    // A read that panicked is as good as one without an answer: those who wait must not wait for ever.
    let read = reading.await.unwrap_or(Err(Undiscovered::Failed(Failure::Cut)));
    let asked = read.as_ref().err().and_then(Undiscovered::retry_after);
    let read = read.map_err(|missing| {
        tracing::warn!(
            issuer = issuer.identifier,
            reason = missing.reason().as_str(),
            "the issuer's metadata can't be read"
        );
        Problem { reason: missing.reason(), message: missing.sentence(), stalls: missing.stalls() }
    });
    let waiting = controller.discoveries.settle(&issuer, &under, read, asked, Timestamp::now());
    controller.wake(&waiting);
}
