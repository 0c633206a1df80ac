//! SIGKILL at each boundary between two effects of a refresh: just before a write reaches the API server, and just after it
//! took effect. What the next process makes of it is in docs/rotation.md.

use oauth_operator::api::ConditionType;

use crate::manifests::hover;
use crate::support::proxy::{Fault, Proxy, Write};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Operator};

/// What the next process finds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// Nothing was sent, and nothing says so: it asks.
    Asks,
    /// What was received is in the state: it publishes that, and asks for nothing.
    Publishes,
    /// An intent is open, and only the dead process knew what became of it: it waits until the token is about to expire.
    Waits,
}

async fn killed_at(write: Write, fault: Fault) {
    let what = format!("{write:?} {fault:?}");
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace(&what.to_lowercase().replace(' ', "-")).await;
    let standin = Standin::start(Hover::default()).await;
    let proxy = Proxy::start(cluster).await;
    let mut operator = Operator::behind(&proxy, &namespace, &["--allow-insecure-http"]).await;
    namespace.apply(&hover("it", &standin, "")).await;
    namespace.ready("it").await;

    proxy.spoil("it", write, fault);
    namespace.request_refresh("it", "2026-01-01T00:00:00Z").await;
    proxy.caught().await;
    operator.kill();
    let sent = standin.requests().len();
    operator.resume().await;
    let then = match (write, fault) {
        (Write::Intent, Fault::StallBefore) => Then::Asks,
        (Write::Intent, _) | (Write::State, Fault::StallBefore) => Then::Waits,
        _ => Then::Publishes,
    };
    assert_eq!(sent, if write == Write::Intent { 1 } else { 2 }, "{what}");
    check(then, &namespace, &what).await;
    assert_eq!(standin.requests().len(), if then == Then::Asks { sent + 1 } else { sent }, "{what}: {then:?}");
    assert_eq!(standin.replays(), 0, "{what}");
    if then != Then::Waits {
        assert!(standin.is_live(&namespace.value("it-token", "access_token").await), "{what}");
    }
}

async fn check(then: Then, namespace: &Namespace, what: &str) {
    if then == Then::Waits {
        let credential = namespace.reason("it", ConditionType::Refreshed, "OutcomeUnknown").await;
        assert!(credential.is(ConditionType::Ready), "{what}: the published token still serves");
        assert!(!credential.is(ConditionType::Stalled), "{what}");
        assert_eq!(credential.status.unwrap().revision, Some(1), "{what}");
    } else {
        let credential = namespace.revision("it", 2, crate::support::SOON).await;
        assert!(credential.is(ConditionType::Ready) && credential.is(ConditionType::Refreshed), "{what}");
        assert_eq!(namespace.state("it").await["intent"], serde_json::Value::Null, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_intent() {
    killed_at(Write::Intent, Fault::StallBefore).await;
    killed_at(Write::Intent, Fault::StallAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_state() {
    killed_at(Write::State, Fault::StallBefore).await;
    killed_at(Write::State, Fault::StallAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_output() {
    killed_at(Write::Output, Fault::StallBefore).await;
    killed_at(Write::Output, Fault::StallAfter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_status() {
    killed_at(Write::Status, Fault::StallBefore).await;
    killed_at(Write::Status, Fault::StallAfter).await;
}
