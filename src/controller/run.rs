//! Ties the phases together: while this process leads and its watches have synced, it takes keys from the queue and passes
//! over them; when asked to end, it takes no more, and lets what is under way come to its end.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{Quota, RateLimiter};
use jiff::Timestamp;
use kube::Client;
use tokio::{
    sync::{Notify, Semaphore, watch as signal},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tracing::Instrument;

use super::{
    Controller, Settings,
    accounts::Accounts,
    discovery::{Discoveries, discover_wanted},
    effects::Cluster,
    gate::Gate,
    key::Key,
    memory::Memory,
    on_demand::OnDemand,
    pass::{Next, Seat},
    queue::Queue,
    read::Turns,
    store::Store,
    watch,
};
use crate::{
    clock::Moment,
    credential::schedule::{between, later},
    oauth::transport::Transport,
    operate::{
        events::Events,
        health::Readiness,
        leader::Leadership,
        metrics::{self, Metrics},
        shutdown::Shutdown,
        traces,
    },
};

/// Passes at once that make no exchange.
const PASSES: usize = 64;
/// Exchanges at once with one token server.
const PER_ORIGIN: usize = 32;
/// The pause after a pass that panicked: a defect of ours, which trying at once won't mend.
const AFTER_PANIC: Duration = Duration::from_secs(60);
/// A wall clock that is set back by more than this leaves what was planned by it for too long.
const SET_BACK: Duration = Duration::from_secs(1);
/// Reads a second, at most, that people's browsers cause.
const AFRESH: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// Workloads restarted a second, over all, so that a herd of new tokens doesn't restart a cluster at once.
const RESTARTS: NonZeroU32 = NonZeroU32::new(1).unwrap();
const RESTARTS_BURST: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// How often the counts of credentials are taken.
const CENSUS: Duration = Duration::from_secs(10);

/// What a controller is made of.
pub struct Parts {
    pub client: Client,
    pub transport: Transport,
    pub leadership: Leadership,
    pub metrics: Metrics,
    pub events: Events,
    pub settings: Settings,
    pub max_concurrent_refreshes: usize,
}

impl Controller {
    pub fn new(parts: Parts) -> Arc<Self> {
        let total = parts.max_concurrent_refreshes;
        Arc::new(Self {
            cluster: Cluster::new(parts.client),
            transport: parts.transport,
            leadership: parts.leadership,
            metrics: parts.metrics,
            events: parts.events,
            gate: Gate::new(total, total.min(PER_ORIGIN)),
            discoveries: Discoveries::default(),
            accounts: Accounts::default(),
            config_maps: OnDemand::default(),
            store: Store::new(parts.settings.operator_namespace.clone()).into(),
            memory: Memory::default().into(),
            queue: Queue::default().into(),
            queued: Notify::new(),
            turns: Turns::default(),
            afresh: RateLimiter::direct(Quota::per_second(AFRESH)),
            restarts: RateLimiter::direct(Quota::per_second(RESTARTS).allow_burst(RESTARTS_BURST)),
            synced: signal::channel(false).0,
            settings: parts.settings,
        })
    }

    /// Works until `shutdown`, and until what was under way then has ended.
    pub async fn run(
        self: Arc<Self>,
        client: Client,
        namespaces: Vec<String>,
        readiness: Readiness,
        shutdown: Shutdown,
    ) {
        if self.settings.credential_metrics {
            let controller = Arc::downgrade(&self);
            self.metrics.tell_of_credentials(move || {
                let leads = controller.upgrade().filter(|controller| controller.leadership.held().is_some());
                leads.map_or_else(Vec::new, |controller| controller.store().series())
            });
        }
        let watches = tokio::spawn(watch::watch(self.clone(), client, namespaces, readiness));
        let admissions = tokio::spawn(admit(self.clone()));
        let discovery = tokio::spawn(discover_wanted(self.clone()));
        let census = tokio::spawn(take_census(self.clone()));
        let mut passes = JoinSet::new();
        let mut synced = self.synced.subscribe();
        tokio::select! {
            // The sender lives as long as this controller.
            _ = synced.wait_for(|synced| *synced) => {}
            () = shutdown.wait() => {}
        }
        while !shutdown.requested() {
            tokio::select! {
                _ = self.leadership.acquired() => {}
                () = shutdown.wait() => break,
            }
            tracing::info!("leading");
            // Another leader may have written since.
            self.memory().forget_states();
            let keys = self.store().keys();
            self.wake(&keys);
            self.lead(&mut passes, &shutdown).await;
        }
        admissions.abort();
        census.abort();
        tracing::info!(under_way = passes.len(), "no more work is begun");
        while passes.join_next().await.is_some() {}
        discovery.abort();
        watches.abort();
    }

    /// Passes over what is due, until the Lease is lost or the process is asked to end.
    async fn lead(self: &Arc<Self>, passes: &mut JoinSet<()>, shutdown: &Shutdown) {
        let room = Arc::new(Semaphore::new(PASSES));
        let mut looked = Moment::now();
        loop {
            while passes.try_join_next().is_some() {}
            let permit = tokio::select! {
                permit = room.clone().acquire_owned() => permit,
                () = self.leadership.lost() => break,
                () = shutdown.wait() => return,
            };
            // The semaphore is never closed.
            let Ok(permit) = permit else { return };
            let moment = Moment::now();
            if moment.set_back_since(std::mem::replace(&mut looked, moment)) > SET_BACK {
                tracing::warn!("the wall clock was set back: every credential is looked at again");
                let keys = self.store().keys();
                self.wake(&keys);
            }
            let now = moment.wall;
            let (taken, due) = {
                let mut queue = self.queue();
                (queue.take(now), queue.next_due())
            };
            let Some((key, since)) = taken else {
                drop(permit);
                let until = due.map_or(Duration::from_secs(60), |due| between(now, due));
                tokio::select! {
                    () = self.queued.notified() => {}
                    // A clock that was set is noticed within a second.
                    () = sleep_until(Instant::now() + until.min(Duration::from_secs(1))) => {}
                    () = self.leadership.lost() => break,
                    () = shutdown.wait() => return,
                }
                continue;
            };
            self.metrics.queue_wait(metrics::Queue::Reconcile, between(since, now));
            let controller = self.clone();
            passes.spawn(async move {
                controller.pass_and_finish(key, since, Some(permit)).await;
            });
        }
        tracing::warn!("no longer leading");
    }

    /// Looks at `key`, which has been due since then.
    async fn pass_and_finish(&self, key: Key, since: Timestamp, mut seat: Seat) {
        let mut look = Look { controller: self, key: Some(key.clone()) };
        // Kept until the new span stands: the id of a span that is closed names nothing any more.
        let parked = self.memory().take_trace(&key);
        let parent = parked.as_ref().and_then(|(span, _)| span.id());
        let span = tracing::debug_span!(parent: parent, "pass", credential = %key);
        if let Some((_, since)) = parked {
            traces::waited(&span, metrics::Queue::Exchange, since);
        }
        traces::waited(&span, metrics::Queue::Reconcile, since);
        let next = self.pass(&key, &mut seat).instrument(span.clone()).await;
        let now = Timestamp::now();
        let at = match next {
            Ok(Next::At(at)) => {
                self.memory().clear_faults(&key);
                at
            }
            Ok(Next::Parked(at)) => {
                if !span.is_disabled() {
                    self.memory().hold_trace(&key, span, now);
                }
                at
            }
            Ok(Next::Again) => Some(now),
            Ok(Next::Gone) => None,
            Err(fault) => {
                self.gate.leave(&key);
                self.metrics.reconcile_error(fault.label());
                let pause = self.memory().count_fault(&key);
                tracing::warn!(credential = %key, %fault, "the pass is repeated");
                Some(later(now, pause))
            }
        };
        look.finish(at);
    }
}

/// A look at a credential that is under way. Should it panic, the credential is looked at again all the same.
struct Look<'a> {
    controller: &'a Controller,
    key: Option<Key>,
}

impl Look<'_> {
    fn finish(&mut self, at: Option<Timestamp>) {
        let Some(key) = self.key.take() else { return };
        self.controller.queue().finish(&key, at);
        self.controller.queued.notify_one();
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.controller.gate.leave(key);
            self.controller.metrics.reconcile_error("panic");
            self.finish(Some(later(Timestamp::now(), AFTER_PANIC)));
        }
    }
}

/// Wakes those whom the gate lets through.
async fn admit(controller: Arc<Controller>) {
    loop {
        let keys = controller.gate.next().await;
        controller.wake(&keys);
    }
}

async fn take_census(controller: Arc<Controller>) {
    let mut ticks = tokio::time::interval(CENSUS);
    loop {
        ticks.tick().await;
        let now = Timestamp::now();
        let census = controller.store().census(now);
        controller.metrics.credentials(census.ready, census.not_ready, census.stalled);
        controller.metrics.overdue_refreshes(census.overdue);
        controller.metrics.expiring_refresh_tokens(census.expiring);
        controller.metrics.waiting_consents(census.waiting);
        controller.metrics.orphaned_states(census.orphaned);
        let providers = controller.store().provider_labels();
        controller.metrics.retain_providers(|labels| providers.contains(labels));
        // Counted one by one, which for each look would be too often.
        let depth = controller.queue().depth(now);
        controller.metrics.queue_depth(metrics::Queue::Reconcile, depth);
        controller.metrics.queue_depth(metrics::Queue::Exchange, controller.gate.waiting());
    }
}
