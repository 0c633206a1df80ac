//! Logs: their format, the user's filter, what no filter may let through, and what a panic says.
//!
//! Metrics are in `metrics`, traces in `traces`.

use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, ParseError, filter_fn},
    layer::{Filter, SubscriberExt},
    registry::LookupSpan,
    util::{SubscriberInitExt, TryInitError},
};

use super::{flags::LogFormat, traces::Traces};

/// The most verbose level of each target whose messages can hold a Secret, whatever the user's filter says.
/// A target counts with all the modules below it.
///
/// - kube-client prints the whole text of a reply it can't decode, at warn; at debug and trace, headers and replies.
/// - The HTTP and TLS libraries print headers, frames or bodies at debug and trace.
const CAPS: [(&str, Level); 12] = [
    ("kube_client::client", Level::ERROR),
    ("h2", Level::WARN),
    ("hyper", Level::WARN),
    ("hyper_rustls", Level::WARN),
    ("hyper_timeout", Level::WARN),
    ("hyper_util", Level::WARN),
    ("reqwest", Level::WARN),
    ("rustls", Level::WARN),
    ("rustls_platform_verifier", Level::WARN),
    ("tokio_rustls", Level::WARN),
    ("tower", Level::WARN),
    ("tower_http", Level::WARN),
];

/// Why logging can't be set up; a person must change the flags.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("invalid log level: {0}")]
    Filter(#[from] ParseError),
    #[error("logging was set up already: {0}")]
    Twice(#[from] TryInitError),
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// Sends logs to standard error in `format`, filtered by `directives` (an EnvFilter) and `CAPS`, and installs the panic hook. What is traced is
/// sent where `traces` says.
///
/// # Errors
/// `directives` can't be parsed, or this was called before.
pub fn init(format: LogFormat, directives: &str, traces: Option<&Traces>) -> Result<(), TelemetryError> {
    let filter = filter(directives)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(layers(layer, traces)).try_init()?;
    log_panics();
    Ok(())
}

/// What is told, and to whom. Not an Option of a layer: an empty one would have every span made.
fn layers<S>(logs: BoxedLayer<S>, traces: Option<&Traces>) -> Vec<BoxedLayer<S>>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    std::iter::once(logs).chain(traces.map(|traces| traces.layer().boxed())).collect()
}

/// The user's filter and the caps, joined by 'and': no order or precision of the user's directives can lift a cap.
fn filter<S>(directives: &str) -> Result<impl Filter<S> + use<S>, ParseError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // Without a hint of the caps' own the user's would be lost.
    let caps = filter_fn(within_cap).with_max_level_hint(LevelFilter::TRACE);
    Ok(EnvFilter::builder().parse(directives)?.and(caps))
}

/// Whether no cap forbids this event or span.
fn within_cap(metadata: &Metadata<'_>) -> bool {
    CAPS.iter().all(|(module, cap)| metadata.level() <= cap || !is_in(metadata.target(), module))
}

/// Whether `target` is `module` or lies below it.
fn is_in(target: &str, module: &str) -> bool {
    target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A panic's message may quote what it stumbled on (a reply, a Secret): log where it happened and no more.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(
            location,
            thread = thread.name(),
            "a task panicked; its message is withheld, as it may hold data"
        );
    }));
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What `act` logs under `directives`.
    fn logged(directives: &str, act: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .with_filter(filter(directives).unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    const FILTERS: [&str; 7] = [
        "trace",
        "kube_client=trace",
        "kube_client::client=trace",
        "info,kube_client::client=warn",
        "kube_client::client=error,kube_client::client=trace",
        "trace,hyper=trace,h2=trace,rustls=trace,reqwest=trace,tower=trace,tower_http=trace,hyper_util=trace",
        "[held]=trace",
    ];

    #[test]
    fn no_filter_lets_a_reply_through() {
        for directives in FILTERS {
            let text = logged(directives, || {
                tracing::warn!(target: "kube_client::client", "hunter2");
                tracing::trace!(target: "kube_client::client", "hunter2");
                tracing::warn!(target: "kube_client::client::builder", "hunter2");
                tracing::info!(target: "hyper::proto::h1::io", "hunter2");
                tracing::debug!(target: "hyper_util::client::legacy::pool", "hunter2");
                tracing::trace!(target: "h2::codec::framed_write", "hunter2");
                tracing::debug!(target: "rustls::client::hs", "hunter2");
                tracing::trace!(target: "reqwest::connect", "hunter2");
                tracing::debug!(target: "tower_http::trace::on_request", "hunter2");
                tracing::trace!(target: "tower::buffer::worker", "hunter2");
                let _span = tracing::error_span!(target: "unrelated", "held").entered();
                tracing::warn!(target: "kube_client::client", "hunter2");
            });
            assert_eq!(text, "", "{directives}");
        }
    }

    #[test]
    fn spans_are_made_where_traces_are_sent_and_nowhere_else() {
        let endpoint = url::Url::parse("http://127.0.0.1:9").unwrap();
        let traces = Traces::to(&endpoint, &[]).unwrap();
        for (traces, most) in [(None, LevelFilter::INFO), (Some(&traces), LevelFilter::DEBUG)] {
            let logs = tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(filter("info").unwrap());
            let subscriber = tracing_subscriber::registry().with(layers(logs.boxed(), traces));
            assert_eq!(subscriber.max_level_hint(), Some(most));
        }
    }

    #[test]
    fn errors_and_our_own_targets_pass() {
        let text = logged("info,oauth_operator=debug", || {
            tracing::error!(target: "kube_client::client::builder", "one");
            tracing::warn!(target: "hyper::proto", "two");
            tracing::debug!(target: "oauth_operator::controller", "three");
            tracing::warn!(target: "kube_client::client_of_mine", "four");
            tracing::debug!(target: "elsewhere", "five");
        });
        let words: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(words, ["one", "two", "three", "four"]);
    }

    #[test]
    fn a_panic_is_logged_without_its_message() {
        let text = logged("info", || {
            let previous = std::panic::take_hook();
            log_panics();
            let result = std::panic::catch_unwind(|| panic!("hunter2"));
            std::panic::set_hook(previous);
            assert!(result.is_err());
        });
        assert!(text.contains("telemetry.rs") && !text.contains("hunter2"), "{text}");
    }
}
