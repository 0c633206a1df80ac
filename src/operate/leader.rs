//! Leadership by a Lease (coordination.k8s.io/v1): the requests, the loop around them, and the handle that others ask.
//!
//! What to do when is decided in `lease`. A Lease fences nothing by itself, as a token server never sees it: whoever
//! sends something consumable checks `Leadership::held` against its clocks just before.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

pub use super::lease::{MARGIN, Renewal};
use super::{
    lease::{Election, LeaseAction, Record, Seen, Terms},
    metrics::Metrics,
    shutdown::Shutdown,
};
use crate::{
    api::FIELD_MANAGER,
    clock::{BootTime, Moment},
};

/// The longest sleep: tokio's clock stands still while the machine sleeps, so look at ours now and then.
const TICK: Duration = Duration::from_secs(1);

/// Which Lease, for whom, for how long.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    pub namespace: String,
    /// `LeaseConfig::NAME`, but for tests and shards.
    pub name: String,
    /// Unique to this start of this process: see `identity`.
    pub identity: String,
    /// More than `MARGIN`; from 10 s it is useful.
    pub duration: Duration,
}

impl LeaseConfig {
    /// The Lease's usual name.
    pub const NAME: &str = "oauth-operator";
}

/// `<pod name or host name>_<a UUID of this start>`. `POD_NAME` names the pod.
pub fn identity() -> String {
    let pod = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    let host = pod.or_else(|| hostname::get().ok().and_then(|name| name.into_string().ok()));
    format!("{}_{}", host.as_deref().unwrap_or("oauth-operator"), uuid::Uuid::new_v4())
}

/// Says whether this process leads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    renewal: watch::Receiver<Option<Renewal>>,
    release: Arc<watch::Sender<bool>>,
}

impl Leadership {
    /// For `--leader-election=false`: it is held for ever, by the caller's word.
    pub fn always() -> Self {
        let now = BootTime::now();
        let renewal = Renewal {
            since: now,
            last_renewed: now,
            valid_until: BootTime(Duration::MAX),
            valid_until_wall: Timestamp::MAX,
        };
        Self { renewal: watch::channel(Some(renewal)).1, release: Arc::new(watch::channel(false).0) }
    }

    /// The newest renewal, if it stands now.
    pub fn held(&self) -> Option<Renewal> {
        self.held_at(Moment::now())
    }

    /// The newest renewal, if it stands at `now`.
    pub fn held_at(&self, now: Moment) -> Option<Renewal> {
        self.renewal.borrow().filter(|renewal| renewal.stands(now))
    }

    /// Returns once this process leads; never, once the election has ended without it.
    pub async fn acquired(&self) -> Renewal {
        let mut renewal = self.renewal.clone();
        loop {
            renewal.mark_unchanged();
            if let Some(renewal) = self.held() {
                return renewal;
            }
            if renewal.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns once the leadership of the time of the call is over, even where the next has begun; at once, if there
    /// is none.
    pub async fn lost(&self) {
        let mut renewal = self.renewal.clone();
        let first = self.held().map(|renewal| renewal.since);
        while let Some(held) = self.held().filter(|renewal| Some(renewal.since) == first) {
            let left = held.valid_until.0.saturating_sub(BootTime::now().0).min(TICK);
            // The time-out is the point: a renewal that comes is seen by `held`, as is one that doesn't.
            if let Ok(Err(_)) = timeout(left, renewal.changed()).await {
                tokio::time::sleep(left).await;
            }
        }
    }

    /// Gives the Lease up, so that another replica needn't wait for it to run out, and ends the election: await its
    /// task to see it done. Only when nothing is under way any more.
    pub fn release(&self) {
        self.release.send_replace(true);
    }
}

/// Contends for the Lease, and renews it, until `release` is called, or until `shutdown` while not leading: a leader
/// that is asked to end goes on leading, as it may have replies to save.
pub fn lead(client: Client, config: LeaseConfig, shutdown: Shutdown, metrics: Metrics) -> (Leadership, JoinHandle<()>) {
    let (publish, renewal) = watch::channel(None);
    let (release, released) = watch::channel(false);
    let contender = Contender {
        api: Api::namespaced(client, &config.namespace),
        name: config.name,
        election: Election::new(Terms { identity: config.identity, duration: config.duration }),
        last: None,
        publish,
        metrics,
    };
    let task = tokio::spawn(contender.run(shutdown, released));
    (Leadership { renewal, release: Arc::new(release) }, task)
}

/// The effects.
struct Contender {
    api: Api<Lease>,
    name: String,
    election: Election,
    /// The object last seen, whose other fields a write keeps.
    last: Option<Lease>,
    publish: watch::Sender<Option<Renewal>>,
    metrics: Metrics,
}

impl Contender {
    async fn run(mut self, shutdown: Shutdown, mut released: watch::Receiver<bool>) {
        loop {
            let now = Moment::now();
            let leads = self.publish(now);
            if *released.borrow_and_update() {
                self.release().await;
                return;
            }
            if !leads && shutdown.requested() {
                return;
            }
            match self.election.next(now.boot) {
                LeaseAction::Wait { until } => {
                    let left = until.0.saturating_sub(now.boot.0).min(TICK);
                    tokio::select! {
                        () = tokio::time::sleep(left) => {}
                        Ok(()) = released.changed() => {}
                        () = shutdown.wait(), if !leads => {}
                    }
                }
                LeaseAction::Read => self.read().await,
                LeaseAction::Create => self.create(leads).await,
                LeaseAction::Update => self.update(leads).await,
            }
        }
    }

    /// Tells the handles; true while leading.
    fn publish(&self, now: Moment) -> bool {
        let renewal = self.election.renewal().filter(|renewal| renewal.stands(now));
        let before = self.publish.send_replace(renewal).is_some();
        self.metrics.leader(renewal.is_some());
        match (before, renewal.is_some()) {
            (false, true) => tracing::info!(identity = self.election.terms().identity, "leading"),
            (true, false) => tracing::warn!(identity = self.election.terms().identity, "leading no more"),
            _ => {}
        }
        renewal.is_some()
    }

    async fn read(&mut self) {
        match self.timed(self.api.get_opt(&self.name)).await {
            Ok(found) => {
                self.election
                    .saw(found.as_ref().map_or(Seen::Absent, |lease| Seen::Present(record(lease))), BootTime::now());
                self.last = found;
            }
            Err(error) => self.fail(&error, false),
        }
    }

    async fn create(&mut self, leads: bool) {
        let sent = Moment::now();
        let lease = claim(self.new_lease(), self.election.terms(), sent.wall);
        let answer = self.timed(self.api.create(&params(), &lease)).await;
        self.written(answer, sent, leads);
    }

    async fn update(&mut self, leads: bool) {
        let Some(last) = self.last.clone() else { return self.election.conflicted() };
        let sent = Moment::now();
        let lease = claim(last, self.election.terms(), sent.wall);
        let answer = self.timed(self.api.replace(&self.name, &params(), &lease)).await;
        self.written(answer, sent, leads);
    }

    fn written(&mut self, answer: Result<Lease, LeaseError>, sent: Moment, leads: bool) {
        match answer {
            Ok(lease) => {
                self.election.wrote(record(&lease), sent, Moment::now());
                self.last = Some(lease);
            }
            Err(error) if error.is_conflict() => self.election.conflicted(),
            Err(error) => self.fail(&error, leads),
        }
    }

    fn fail(&mut self, error: &LeaseError, leads: bool) {
        tracing::warn!(%error, leads, "a request for the Lease failed");
        if leads {
            self.metrics.lease_renew_failure();
        }
        self.election.failed(BootTime::now());
    }

    /// Empties the Lease, if it is still ours. Best effort: it runs out anyway.
    async fn release(&mut self) {
        // Before the write: nobody here may believe in it once others may take it.
        self.election.resign();
        self.publish.send_replace(None);
        self.metrics.leader(false);
        if !self.election.is_ours() {
            self.read().await;
        }
        let Some(mut lease) = self.last.clone().filter(|_| self.election.is_ours()) else { return };
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match self.timed(self.api.replace(&self.name, &params(), &lease)).await {
            Ok(_) => tracing::info!("released the Lease"),
            Err(error) => tracing::warn!(%error, "the Lease was not released; it will run out"),
        }
    }

    async fn timed<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
        match timeout(self.election.terms().look_every(), request).await {
            Ok(answer) => answer.map_err(LeaseError::Refused),
            Err(_) => Err(LeaseError::TimedOut),
        }
    }

    fn new_lease(&self) -> Lease {
        Lease { metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }, spec: None }
    }
}

/// Why a request failed: all of them are retried.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("{0}")]
    Refused(kube::Error),
    #[error("no answer in time")]
    TimedOut,
}

impl LeaseError {
    /// Whether the Lease isn't what the write was meant for: changed, made or deleted meanwhile.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(kube::Error::Api(status)) if [404, 409].contains(&status.code))
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// `lease` with us as the holder from `now`. Fields that aren't ours stay.
fn claim(mut lease: Lease, terms: &Terms, now: Timestamp) -> Lease {
    let made = lease.spec.is_none();
    let spec: &mut LeaseSpec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_ref() != Some(&terms.identity) {
        spec.holder_identity = Some(terms.identity.clone());
        spec.acquire_time = Some(MicroTime(now));
        spec.lease_transitions = Some(if made { 0 } else { spec.lease_transitions.unwrap_or(0).saturating_add(1) });
    }
    spec.lease_duration_seconds = Some(terms.whole_seconds());
    spec.renew_time = Some(MicroTime(now));
    lease
}

pub(super) fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        duration: spec
            .and_then(|spec| spec.lease_duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
        renewed: spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0),
        resource_version: lease.resource_version(),
    }
}

#[cfg(test)]
#[path = "leader_tests.rs"]
mod tests;
