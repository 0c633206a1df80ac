//! A token server whose reply is lost, late or broken. On a strict server the refresh token is kept back while the published
//! token serves; within a grace it is sent again, and the refresh comes to its end.

use std::time::Duration;

use oauth_operator::api::ConditionType;

use crate::manifests::hover;
use crate::support::standin::{Delivery, Fault, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Conditions, Namespace, Operator, SOON};

const GRACE: Duration = Duration::from_secs(60);

/// What befalls one refresh. Nobody but the server knows whether it took the token.
fn faults() -> [(&'static str, Fault); 9] {
    let pause = Duration::from_millis(100);
    [
        ("no-reply", Fault::After(Symptom::Hang)),
        ("no-reply-nothing-spent", Fault::Before(Symptom::Hang)),
        ("reset", Fault::After(Symptom::Reset)),
        ("reset-nothing-spent", Fault::Before(Symptom::Reset)),
        ("closed", Fault::After(Symptom::Close)),
        ("slow-head", Fault::After(Symptom::SlowHead(pause))),
        ("slow-body", Fault::Reply(Delivery::Slow(pause))),
        ("cut-body", Fault::Reply(Delivery::Truncated)),
        ("server-error", Fault::After(Symptom::Answer(Reply::html(503, "<h1>Service Unavailable</h1>")))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_reply_has_the_outcome_that_the_server_allows() {
    let namespace = Cluster::shared().await.namespace("broken-replies").await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http", "--request-timeout=2s"]).await;
    let strict = faults().map(|(name, fault)| held_back(&namespace, format!("strict-{name}"), fault));
    let lenient = faults().map(|(name, fault)| sent_again(&namespace, format!("lenient-{name}"), fault));
    tokio::join!(futures::future::join_all(strict), futures::future::join_all(lenient));
}

async fn held_back(namespace: &Namespace, name: String, fault: Fault) {
    let standin = Standin::start(Hover::default()).await;
    namespace.apply(&hover(&name, &standin, "")).await;
    namespace.ready(&name).await;
    standin.inject(fault);
    namespace.request_refresh(&name, "2026-01-01T00:00:00Z").await;
    let credential = namespace.reason(&name, ConditionType::Refreshed, "OutcomeUnknown").await;
    assert!(credential.is(ConditionType::Ready) && !credential.is(ConditionType::Stalled), "{name}");
    let status = credential.status.unwrap();
    let early = status.expiration_time.unwrap().duration_since(status.next_refresh_time.unwrap()).as_secs();
    assert!((60..=120).contains(&early), "{name}: it is sent again {early} s before the expiry");
    assert!(standin.is_live(&namespace.value(&format!("{name}-token"), "access_token").await), "{name}");
    assert!(!namespace.state(&name).await["intent"].is_null(), "{name}");
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0), "{name}");
}

async fn sent_again(namespace: &Namespace, name: String, fault: Fault) {
    let standin = Standin::start(Hover { reuse_grace_period: Some(GRACE), ..Hover::default() }).await;
    let manifest = hover(&name, &standin, "");
    let grace = format!("  provider:\n    refreshTokens: {{reuseGracePeriod: {}s}}\n", GRACE.as_secs());
    namespace.apply(&manifest.replace("  provider:\n", &grace)).await;
    namespace.ready(&name).await;
    standin.inject(fault);
    namespace.request_refresh(&name, "2026-01-01T00:00:00Z").await;
    let credential = namespace.revision(&name, 2, SOON).await;
    assert!(credential.is(ConditionType::Ready) && credential.is(ConditionType::Refreshed), "{name}");
    assert!(standin.is_live(&namespace.value(&format!("{name}-token"), "access_token").await), "{name}");
    assert!(namespace.state(&name).await["intent"].is_null(), "{name}");
    assert_eq!((standin.requests().len(), standin.replays()), (3, 0), "{name}");
}
