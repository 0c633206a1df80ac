//! Traces: what each pass and its parts took, sent by OTLP (protobuf over HTTP) to the collector that `--otlp-endpoint` names.
//!
//! Spans are made where the work is, by `tracing`; only this crate's own are exported. They are sent in batches by a thread of
//! their own, which nobody waits for: what a collector doesn't take is dropped. Without the flag no span is made at all.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use opentelemetry::{
    KeyValue, global,
    trace::{Span as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use reqwest::dns::{Addrs, Name, Resolving};
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};
use url::Url;

use super::metrics::Queue;
use crate::oauth::{
    resolve::{self, Resolve},
    tls::{Roots, RootsError},
};

/// Also the service's name in every trace.
const NAME: &str = "oauth-operator";
/// For one batch, retries included.
const EXPORT: Duration = Duration::from_secs(10);
/// What is left is sent within this time when the process ends, or never.
const END: Duration = Duration::from_secs(3);

/// Why traces can't be sent; a person must change the flags.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("--ca-file: {0}")]
    CaFile(#[from] RootsError),
    #[error("the system's DNS configuration can't be read")]
    Resolver,
    #[error("the client for --otlp-endpoint can't be set up")]
    Client(#[source] reqwest::Error),
    #[error("--otlp-endpoint: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Where traces go. `end` sends what is left.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Traces for the collector at `endpoint`, whose certificate an authority of the system's or of `ca_files` (PEM) has signed.
    /// Must not be called within a tokio runtime.
    ///
    /// # Errors
    /// The system's or the user's configuration can't be used. That nobody listens there is not an error.
    pub fn to(endpoint: &Url, ca_files: &[Vec<u8>]) -> Result<Self, TracesError> {
        let files: Vec<&[u8]> = ca_files.iter().map(Vec::as_slice).collect();
        let tls = Roots::system(&files)?.config()?;
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(EXPORT)
            .tls_backend_preconfigured((*tls).clone())
            .dns_resolver(Arc::new(Names(resolve::system().map_err(|_| TracesError::Resolver)?)))
            .build()
            .map_err(TracesError::Client)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
            .with_timeout(EXPORT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(NAME)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Told { exporter, fails: AtomicBool::new(false) })
            .with_resource(resource)
            .build();
        global::set_tracer_provider(provider.clone());
        Ok(Self { provider })
    }

    /// Takes the spans and events of this crate, and nobody else's: what libraries say can hold a Secret.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(Targets::new().with_target(env!("CARGO_CRATE_NAME"), Level::DEBUG))
    }

    /// Sends what is left, as far as the collector takes it within three seconds.
    pub fn end(self) {
        // Why it took nothing was said when it did so first.
        let _ = self.provider.shutdown_with_timeout(END);
    }
}

/// Adds to the trace of `pass` that it waited in a queue from `since` to now.
pub fn waited(pass: &Span, queue: Queue, since: Timestamp) {
    if pass.is_disabled() {
        return;
    }
    let tracer = global::tracer(NAME);
    let span = tracer
        .span_builder("queue")
        .with_start_time(SystemTime::from(since))
        .with_attributes([KeyValue::new("queue", queue.as_str())]);
    span.start_with_context(&tracer, &pass.context()).end();
}

/// Says once that the collector takes nothing, and once that it does again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    fails: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) if self.fails.swap(false, Ordering::Relaxed) => tracing::info!("the collector takes traces again"),
            Err(error) if !self.fails.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "the collector of --otlp-endpoint takes no traces: they are dropped until it does");
            }
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The collector's addresses, found as token servers' are.
struct Names(Arc<dyn Resolve>);

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let found = resolver.resolve(name.as_str()).await;
            // The port is the URL's.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
