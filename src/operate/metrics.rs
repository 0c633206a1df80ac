//! The operator's Prometheus metrics.
//!
//! Every label value here is static: nothing from a user or a server becomes one. What is told of single objects, and ends with them, is
//! in `objects`. They are served by `health`.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};

pub use self::objects::{CredentialSeries, ProviderLabels};
use self::objects::{Credentials, Exchanges};
use crate::api::Reason;

mod objects;
#[cfg(test)]
mod tests;

/// An enum whose every value is one static label value.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label value.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

labels! {
    /// How a refresh ended.
    Outcome { Success = "success", Failure = "failure", }
}
labels! {
    /// What a request asks of the API server.
    Verb {
        Get = "get",
        List = "list",
        Watch = "watch",
        Create = "create",
        Update = "update",
        Patch = "patch",
        Apply = "apply",
        Delete = "delete",
    }
}
labels! {
    /// What a request is about.
    Resource {
        Credentials = "oauthcredentials",
        CredentialStatus = "oauthcredentials/status",
        Providers = "oauthproviders",
        ClusterProviders = "clusteroauthproviders",
        Secrets = "secrets",
        Namespaces = "namespaces",
        Leases = "leases",
        Events = "events",
        ServiceAccounts = "serviceaccounts",
        ConfigMaps = "configmaps",
        Other = "other",
    }
}
labels! {
    /// Where work waits.
    Queue { Reconcile = "reconcile", Exchange = "exchange", }
}
labels! {
    /// Why an Event was not published.
    Dropped { QueueFull = "queue_full", RateLimited = "rate_limited", Refused = "refused", }
}

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All metrics of this process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    refreshes: Family<Labels<2>, Counter>,
    exchanges: Exchanges,
    single_credentials: Credentials,
    fence_to_send: Histogram,
    reply_to_save: Histogram,
    api_requests: Family<Labels<2>, Counter>,
    queue_depth: Family<Labels<1>, Gauge>,
    queue_wait: Family<Labels<1>, Histogram, fn() -> Histogram>,
    credentials: Family<Labels<1>, Gauge>,
    stalled: Gauge,
    overdue: Gauge,
    expiring: Gauge,
    waiting: Gauge,
    orphaned: Gauge,
    leader: Gauge,
    lease_renew_failures: Counter,
    watch_restarts: Family<Labels<1>, Counter>,
    reconcile_errors: Family<Labels<1>, Counter>,
    events_dropped: Family<Labels<1>, Counter>,
}

impl Metrics {
    /// A registry of its own. `version` goes into `oauth_operator_build_info`.
    pub fn new(version: &'static str) -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("oauth_operator"),
            refreshes: Family::default(),
            exchanges: Exchanges::new(),
            single_credentials: Credentials::default(),
            fence_to_send: Histogram::new(FENCE_TO_SEND),
            reply_to_save: Histogram::new(REPLY_TO_SAVE),
            api_requests: Family::default(),
            queue_depth: Family::default(),
            queue_wait: Family::new_with_constructor(seconds),
            credentials: Family::default(),
            stalled: Gauge::default(),
            overdue: Gauge::default(),
            expiring: Gauge::default(),
            waiting: Gauge::default(),
            orphaned: Gauge::default(),
            leader: Gauge::default(),
            lease_renew_failures: Counter::default(),
            watch_restarts: Family::default(),
            reconcile_errors: Family::default(),
            events_dropped: Family::default(),
        };
        inner.register(version);
        inner.start_at_zero();
        Self(Arc::new(inner))
    }

    /// A refresh ended.
    pub fn refreshed(&self, outcome: Outcome, reason: Reason) {
        let labels = [("outcome", outcome.as_str()), ("reason", reason.as_str())];
        self.0.refreshes.get_or_create(&labels).inc();
    }

    /// One request to a token server took this long, from its first byte to the reply's last.
    pub fn exchanged(&self, provider: ProviderLabels, took: Duration) {
        self.0.exchanges.took(provider, took);
    }

    /// Forgets what is known of providers that are gone.
    pub fn retain_providers(&self, exists: impl Fn(&ProviderLabels) -> bool) {
        self.0.exchanges.retain(exists);
    }

    /// Has every scrape tell of single credentials what `source` says of them.
    pub fn tell_of_credentials(&self, source: impl Fn() -> Vec<CredentialSeries> + Send + Sync + 'static) {
        self.0.single_credentials.come_from(Box::new(source));
    }

    /// From the send fence's last look at the clocks to the first byte of an answered request.
    pub fn fence_to_send(&self, took: Duration) {
        self.0.fence_to_send.observe(took.as_secs_f64());
    }

    /// From a reply that is to be kept to its being saved.
    pub fn reply_to_save(&self, took: Duration) {
        self.0.reply_to_save.observe(took.as_secs_f64());
    }

    /// A request to the API server was sent.
    pub fn api_request(&self, verb: Verb, resource: Resource) {
        let labels = [("verb", verb.as_str()), ("resource", resource.as_str())];
        self.0.api_requests.get_or_create(&labels).inc();
    }

    /// This many items wait.
    pub fn queue_depth(&self, queue: Queue, depth: usize) {
        self.0.queue_depth.get_or_create(&[("queue", queue.as_str())]).set(gauge(depth));
    }

    /// An item left its queue; it had been due this long.
    pub fn queue_wait(&self, queue: Queue, waited: Duration) {
        self.0.queue_wait.get_or_create(&[("queue", queue.as_str())]).observe(waited.as_secs_f64());
    }

    /// How many credentials there are, by Ready, and how many of all are Stalled.
    pub fn credentials(&self, ready: usize, not_ready: usize, stalled: usize) {
        self.0.credentials.get_or_create(&[("ready", "true")]).set(gauge(ready));
        self.0.credentials.get_or_create(&[("ready", "false")]).set(gauge(not_ready));
        self.0.stalled.set(gauge(stalled));
    }

    /// How many refreshes are past the time they were due.
    pub fn overdue_refreshes(&self, count: usize) {
        self.0.overdue.set(gauge(count));
    }

    /// How many refresh tokens die soon, with no refresh to put that off.
    pub fn expiring_refresh_tokens(&self, count: usize) {
        self.0.expiring.set(gauge(count));
    }

    /// How many credentials wait for a person's consent, or for a new refresh token.
    pub fn waiting_consents(&self, count: usize) {
        self.0.waiting.set(gauge(count));
    }

    /// How many state Secrets there are whose credential is gone.
    pub fn orphaned_states(&self, count: usize) {
        self.0.orphaned.set(gauge(count));
    }

    /// Whether this process leads.
    pub fn leader(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// A renewal of the Lease failed.
    pub fn lease_renew_failure(&self) {
        self.0.lease_renew_failures.inc();
    }

    /// A watch begins: its restarts are counted from zero.
    pub fn watch_begins(&self, resource: Resource) {
        let _ = self.0.watch_restarts.get_or_create(&[("resource", resource.as_str())]);
    }

    /// A watch broke and starts again.
    pub fn watch_restart(&self, resource: Resource) {
        self.0.watch_restarts.get_or_create(&[("resource", resource.as_str())]).inc();
    }

    /// A reconcile failed. `kind` is one of the error enum's own static labels.
    pub fn reconcile_error(&self, kind: &'static str) {
        self.0.reconcile_errors.get_or_create(&[("kind", kind)]).inc();
    }

    /// An Event was not published.
    pub fn event_dropped(&self, why: Dropped) {
        self.0.events_dropped.get_or_create(&[("reason", why.as_str())]).inc();
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // A String takes whatever is written; half a scrape would be dropped by its missing `# EOF`.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.0.registry);
        text
    }
}

impl Inner {
    /// Registers them. The library appends `_total`, `_info` and the unit to the names.
    fn register(&mut self, version: &'static str) {
        let registry = &mut self.registry;
        registry.register("build", "The operator's version", Info::new([("version", version)]));
        registry.register("refreshes", "Refreshes by how they ended", self.refreshes.clone());
        registry.register_with_unit(
            "exchange_duration",
            "Time of one request to a token server",
            Unit::Seconds,
            self.exchanges.durations.clone(),
        );
        registry.register_with_unit(
            "fence_to_send",
            "Time from the send fence's check to a token request's first byte",
            Unit::Seconds,
            self.fence_to_send.clone(),
        );
        registry.register_with_unit(
            "reply_to_save",
            "Time from a token reply to its being saved in the state Secret",
            Unit::Seconds,
            self.reply_to_save.clone(),
        );
        registry.register("api_requests", "Requests sent to the Kubernetes API server", self.api_requests.clone());
        registry.register("queue_depth", "Items that wait in a queue", self.queue_depth.clone());
        registry.register_with_unit(
            "queue_wait",
            "Time from due to taken out of a queue",
            Unit::Seconds,
            self.queue_wait.clone(),
        );
        registry.register("credentials", "OAuthCredentials by Ready", self.credentials.clone());
        registry.register("stalled_credentials", "OAuthCredentials that wait for a person", self.stalled.clone());
        registry.register("overdue_refreshes", "Refreshes past the time they were due", self.overdue.clone());
        registry.register(
            "expiring_refresh_tokens",
            "Refresh tokens that die soon unless a person acts",
            self.expiring.clone(),
        );
        registry.register(
            "waiting_consents",
            "OAuthCredentials that wait for a person's consent, or for a new refresh token",
            self.waiting.clone(),
        );
        registry.register("orphaned_states", "State Secrets whose OAuthCredential is gone", self.orphaned.clone());
        registry.register("leader", "1 where this process leads, else 0", self.leader.clone());
        registry.register(
            "lease_renew_failures",
            "Renewals of the Lease that failed while leading",
            self.lease_renew_failures.clone(),
        );
        registry.register("watch_restarts", "Watches that broke and started again", self.watch_restarts.clone());
        registry.register("reconcile_errors", "Reconciles that failed", self.reconcile_errors.clone());
        registry.register("events_dropped", "Kubernetes Events not published", self.events_dropped.clone());
        registry.register_collector(Box::new(self.single_credentials.clone()));
    }

    /// Makes what is always there visible from the first scrape, so that `rate()` and alerts see the first step.
    fn start_at_zero(&self) {
        for queue in Queue::ALL {
            let _ = self.queue_depth.get_or_create(&[("queue", queue.as_str())]);
            let _ = self.queue_wait.get_or_create(&[("queue", queue.as_str())]);
        }
        for ready in ["true", "false"] {
            let _ = self.credentials.get_or_create(&[("ready", ready)]);
        }
        let _ = self.exchanges.durations.get_or_create(&ProviderLabels::inline());
        for why in Dropped::ALL {
            let _ = self.events_dropped.get_or_create(&[("reason", why.as_str())]);
        }
        let _ = self.reconcile_errors.get_or_create(&[("kind", "panic")]);
        let issued = [("outcome", Outcome::Success.as_str()), ("reason", Reason::Issued.as_str())];
        let _ = self.refreshes.get_or_create(&issued);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// From microseconds to what another replica waits before it judges an intent.
const FENCE_TO_SEND: [f64; 13] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.01, 0.1, 1.0, 5.0, 10.0, 40.0];

/// From a quick API server's answer to an outage.
const REPLY_TO_SAVE: [f64; 14] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0];

/// From a local server's milliseconds to a time-out's minute.
fn seconds() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
