//! Metrics of single objects. No series outlives its object: those of credentials are made anew for each scrape, those of providers are
//! swept when a provider is gone. Their labels name objects, and nothing else.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::{MetricType, family::Family, histogram::Histogram},
    registry::Unit,
};

use super::seconds;

/// What is told of one credential.
#[derive(Clone, Debug)]
pub struct CredentialSeries {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub ready: bool,
    /// Of the access token. None: there is none, or it never expires.
    pub expires: Option<Timestamp>,
    pub next_refresh: Option<Timestamp>,
    /// None: it isn't known.
    pub refresh_token_expires: Option<Timestamp>,
}

type Source = Box<dyn Fn() -> Vec<CredentialSeries> + Send + Sync>;

/// The series of credentials, from a source that is set once.
#[derive(Clone, Default)]
pub(super) struct Credentials(Arc<OnceLock<Source>>);

impl Credentials {
    pub fn come_from(&self, source: Source) {
        // The first stays.
        let _ = self.0.set(source);
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

type Value = fn(&CredentialSeries) -> Option<i64>;

/// Name, what it tells, its unit, and its value.
const SERIES: [(&str, &str, Option<Unit>, Value); 4] = [
    ("credential_ready", "1 where the Secret holds a valid token, else 0", None, |seen| Some(i64::from(seen.ready))),
    ("credential_expiration_timestamp", "When the access token expires", Some(Unit::Seconds), |seen| {
        seen.expires.map(Timestamp::as_second)
    }),
    ("credential_next_refresh_timestamp", "When the next refresh is due", Some(Unit::Seconds), |seen| {
        seen.next_refresh.map(Timestamp::as_second)
    }),
    (
        "credential_refresh_token_expiration_timestamp",
        "When the refresh token expires, where that is known",
        Some(Unit::Seconds),
        |seen| seen.refresh_token_expires.map(Timestamp::as_second),
    ),
];

impl Collector for Credentials {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(source) = self.0.get() else { return Ok(()) };
        let credentials = source();
        for (name, help, unit, value) in &SERIES {
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for seen in &credentials {
                let Some(value) = value(seen) else { continue };
                let labels = [("credential_namespace", &*seen.namespace), ("credential", &*seen.name)];
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

/// Names a provider. One that stands in credentials themselves has neither namespace nor name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderLabels {
    pub provider_kind: &'static str,
    pub provider_namespace: String,
    pub provider: String,
}

impl ProviderLabels {
    /// All providers that stand in credentials themselves.
    pub fn inline() -> Self {
        Self { provider_kind: "Inline", provider_namespace: String::new(), provider: String::new() }
    }
}

/// The time of requests, by provider.
pub(super) struct Exchanges {
    pub durations: Family<ProviderLabels, Histogram, fn() -> Histogram>,
    known: Mutex<HashSet<ProviderLabels>>,
}

impl Exchanges {
    pub fn new() -> Self {
        Self { durations: Family::new_with_constructor(seconds), known: Mutex::default() }
    }

    pub fn took(&self, provider: ProviderLabels, time: Duration) {
        // Under the lock, so that no series is made while the set is swept.
        let mut known = self.known();
        self.durations.get_or_create(&provider).observe(time.as_secs_f64());
        known.insert(provider);
    }

    pub fn retain(&self, exists: impl Fn(&ProviderLabels) -> bool) {
        self.known().retain(|provider| {
            let stays = provider.provider_kind == "Inline" || exists(provider);
            if !stays {
                self.durations.remove(provider);
            }
            stays
        });
    }

    fn known(&self) -> MutexGuard<'_, HashSet<ProviderLabels>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
