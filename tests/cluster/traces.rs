//! Traces: one refresh is one trace, from the queue over the exchange to the writes; and a collector that takes nothing is in nobody's
//! way. (That no secret is in them is `canary`'s to see to.)

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use oauth_operator::api::ConditionType;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;

use super::manifests::hover;
use crate::support::collector::attribute;
use crate::support::standin::{Fault, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Collector, Namespace, Operator, SOON, free_port, until};

/// The spans of each trace, by trace id.
fn traces(collector: &Collector) -> BTreeMap<Vec<u8>, Vec<Span>> {
    let mut traces = BTreeMap::<_, Vec<Span>>::new();
    for span in collector.spans() {
        traces.entry(span.trace_id.clone()).or_default().push(span);
    }
    traces
}

/// The traces of this credential in which an exchange was made, the oldest first.
fn refreshes(collector: &Collector, namespace: &Namespace, credential: &str) -> Vec<Vec<Span>> {
    let of_it = format!("{}/{credential}", namespace.name);
    let is_refresh = |spans: &Vec<Span>| {
        spans.iter().any(|span| attribute(span, "credential") == of_it) && !named(spans, "exchange").is_empty()
    };
    let mut refreshes: Vec<_> = traces(collector).into_values().filter(is_refresh).collect();
    refreshes.sort_by_key(|spans| spans.iter().map(|span| span.start_time_unix_nano).min());
    refreshes
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refresh_is_one_trace() {
    let namespace = Cluster::shared().await.namespace("traces").await;
    let (standin, collector) = (Standin::start(Hover::default()).await, Collector::start().await);
    // One at a time: the other waits at the gate.
    standin.set_latency(Duration::from_millis(300));
    for name in ["first", "second"] {
        namespace.apply(&hover(name, &standin, "")).await;
    }
    let flags = ["--allow-insecure-http", "--max-concurrent-refreshes=1", "--leader-election=false", &collector.flag()];
    let mut operator = Operator::start(&namespace, &flags).await;
    for name in ["first", "second"] {
        namespace.ready(name).await;
    }
    standin.inject(Fault::Before(Symptom::Answer(Reply::new(400, "application/json", r#"{"error":"invalid_grant"}"#))));
    namespace.request_refresh("first", "2026-01-01T00:00:00Z").await;
    namespace.reason("first", ConditionType::Refreshed, "InvalidGrant").await;
    operator.terminate();
    assert!(operator.end(SOON).await.success());

    let mut waited = 0;
    for name in ["first", "second"] {
        let refresh = &refreshes(&collector, &namespace, name)[0];
        let names: BTreeSet<&str> = refresh.iter().map(|span| span.name.as_str()).collect();
        let wanted = ["connect", "exchange", "pass", "publish", "queue", "report", "send", "write_state"];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), wanted);
        // The intent, and the reply.
        assert_eq!(named(refresh, "write_state").len(), 2);
        let [exchange] = named(refresh, "exchange")[..] else { panic!("one exchange") };
        assert_eq!(attribute(exchange, "reason"), "Issued");
        let [send] = named(refresh, "send")[..] else { panic!("one request") };
        assert_eq!(attribute(send, "http.response.status_code"), "200");
        assert!(send.end_time_unix_nano - send.start_time_unix_nano >= 300_000_000, "what it took");
        assert_eq!(attribute(named(refresh, "connect")[0], "server.address"), "127.0.0.1");
        let ids: BTreeSet<_> = refresh.iter().map(|span| &span.span_id).collect();
        let roots: Vec<_> = refresh.iter().filter(|span| !ids.contains(&span.parent_span_id)).collect();
        assert!(
            roots.len() == 1 && roots[0].name == "pass" && roots[0].parent_span_id.is_empty(),
            "one trace, one root"
        );
        let gate = named(refresh, "queue").into_iter().filter(|span| attribute(span, "queue") == "exchange");
        waited += gate.filter(|span| span.end_time_unix_nano - span.start_time_unix_nano > 100_000_000).count();
    }
    assert_eq!(waited, 1, "one of the two waited at the gate for the other");

    let failed = refreshes(&collector, &namespace, "first");
    let exchange = named(failed.last().unwrap(), "exchange")[0];
    assert_eq!(attribute(exchange, "reason"), "InvalidGrant");
    assert_eq!(exchange.status.as_ref().unwrap().code, 2, "STATUS_CODE_ERROR");
    for resource in collector.received() {
        let attributes = resource.resource.unwrap().attributes;
        let service = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
        assert!(format!("{service:?}").contains("\"oauth-operator\""));
    }
}

/// Refreshes, and ends, with a collector at this address that takes nothing: that is said once.
async fn nobody_waits(collector: SocketAddr, name: &str) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let standin = Standin::start(Hover::default()).await;
    let flag = format!("--otlp-endpoint=http://{collector}");
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http", "--leader-election=false", &flag]).await;
    namespace.apply(&hover("acme", &standin, "")).await;
    namespace.ready("acme").await;
    let said = || operator.log().matches("takes no traces").count();
    until("a word about the collector", Duration::from_secs(60), async || (said() > 0).then_some(())).await;
    // A second batch, which the end of the process sends.
    namespace.request_refresh("acme", "2026-01-01T00:00:00Z").await;
    namespace.revision("acme", 2, SOON).await;
    assert_eq!(said(), 1);
    let began = Instant::now();
    operator.terminate();
    assert!(operator.end(SOON).await.success());
    assert!(began.elapsed() < Duration::from_secs(10), "it ended after {:?}", began.elapsed());
    assert_eq!(operator.log().matches("takes no traces").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector_that_is_not_there() {
    nobody_waits(SocketAddr::from(([127, 0, 0, 1], free_port())), "traces-refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector_that_hangs() {
    // The kernel makes the connections, and nobody reads from them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    nobody_waits(listener.local_addr().unwrap(), "traces-hang").await;
}
