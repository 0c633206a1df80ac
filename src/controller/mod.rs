//! The effects. A pass over one credential goes observe → (validate → decide, in `credential`) → apply → report; `watch`
//! feeds the store, `queue` and `gate` say what is next, `run` ties them together.

mod accounts;
mod asking;
mod attempt;
pub mod browser;
mod code;
mod consent;
mod device;
mod discovery;
pub mod effects;
mod exchange;
mod gate;
mod index;
mod key;
mod memory;
mod observe;
mod on_demand;
mod packed;
mod pass;
mod publish;
mod queue;
mod read;
mod report;
mod restart;
mod revoke;
pub mod run;
mod seen;
mod store;
mod watch;
mod watched;

use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::DefaultDirectRateLimiter;
use tokio::sync::{Notify, watch as signal};
use url::Url;

use self::{
    accounts::Accounts, discovery::Discoveries, effects::Cluster, gate::Gate, key::Key, memory::Memory,
    on_demand::OnDemand, queue::Queue, read::Turns, store::Store,
};
use crate::{
    credential::{record::Holder, validate::Limits},
    oauth::transport::Transport,
    operate::{events::Events, leader::Leadership, metrics::Metrics},
    secrets::input::RequiredLabel,
};

/// What the flags and the process itself settle once and for all.
pub struct Settings {
    pub limits: Limits,
    /// Where Secrets of ClusterOAuthProviders are.
    pub operator_namespace: String,
    /// Where people's browsers reach this operator. None: they don't.
    pub public_url: Option<Url>,
    pub required_label: Option<RequiredLabel>,
    /// Whether metrics tell of single credentials.
    pub credential_metrics: bool,
    /// Hash of the egress rules: a change is a reason to try again.
    pub settings_hash: String,
    pub holder: Holder,
    /// Keys the hashes by which two credentials on one seed are found. Never leaves the process.
    pub seed_key: [u8; 32],
}

/// Everything a pass works with.
pub struct Controller {
    settings: Settings,
    cluster: Cluster,
    transport: Transport,
    leadership: Leadership,
    metrics: Metrics,
    events: Events,
    gate: Gate,
    discoveries: Discoveries,
    accounts: Accounts,
    /// Of those that hold authorities.
    config_maps: OnDemand,
    store: Mutex<Store>,
    memory: Mutex<Memory>,
    queue: Mutex<Queue<Key>>,
    queued: Notify,
    turns: Turns,
    /// Reads that anybody's browser can cause.
    afresh: DefaultDirectRateLimiter,
    /// Restarts of workloads, over all.
    restarts: DefaultDirectRateLimiter,
    /// Whether every watch has been listed once.
    synced: signal::Sender<bool>,
}

// A panic elsewhere leaves whole entries behind in each of these, so a poisoned lock is as good as any.
impl Controller {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue<Key>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has credentials looked at now.
    fn wake<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) {
        let now = jiff::Timestamp::now();
        let mut queue = self.queue();
        for key in keys {
            queue.wake(key, now);
        }
        drop(queue);
        self.queued.notify_one();
    }
}
