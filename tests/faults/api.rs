//! Every write of a refresh, failed in every way that an API server or the way to it can fail: each refresh comes to its end
//! all the same, the token server is asked once, and no refresh token is sent twice.

use crate::manifests::hover;
use crate::support::proxy::{Fault, Proxy, Write};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Operator, SOON};
use oauth_operator::api::ConditionType;

const WRITES: [Write; 4] = [Write::Intent, Write::State, Write::Output, Write::Status];
const FAULTS: [Fault; 6] = [
    Fault::Answer(409),
    Fault::Answer(429),
    Fault::Answer(500),
    Fault::Answer(504),
    Fault::ResetBefore,
    Fault::ResetAfter,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_write_survives_every_fault() {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace("api-faults").await;
    let standin = Standin::start(Hover::default()).await;
    let proxy = Proxy::start(cluster).await;
    let _operator = Operator::behind(&proxy, &namespace, &["--allow-insecure-http"]).await;
    let cases = || WRITES.into_iter().flat_map(|write| FAULTS.map(|fault| (write, fault)));
    let name = |(write, fault): (Write, Fault)| {
        format!("{write:?}-{fault:?}").to_lowercase().replace(['(', ')'], "-").trim_end_matches('-').to_owned()
    };
    for case in cases() {
        namespace.apply(&hover(&name(case), &standin, "")).await;
    }
    for case in cases() {
        namespace.ready(&name(case)).await;
    }
    let asked = standin.requests().len();

    for case in cases() {
        proxy.spoil(&name(case), case.0, case.1);
        namespace.request_refresh(&name(case), "2026-01-01T00:00:00Z").await;
    }
    for case in cases() {
        let name = name(case);
        let credential = namespace.revision(&name, 2, SOON).await;
        let status = credential.status.as_ref().unwrap();
        assert_eq!(status.revision, Some(2), "{case:?}");
        assert!(credential.is(ConditionType::Ready) && credential.is(ConditionType::Refreshed), "{case:?}");
        let state = namespace.state(&name).await;
        assert_eq!((&state["revision"], &state["intent"]), (&2.into(), &serde_json::Value::Null), "{case:?}");
        assert!(standin.is_live(&namespace.value(&format!("{name}-token"), "access_token").await), "{case:?}");
    }
    assert_eq!(proxy.left(), 0, "every fault was met");
    assert_eq!(standin.requests().len() - asked, cases().count(), "one request each");
    assert_eq!(standin.replays(), 0);
}
