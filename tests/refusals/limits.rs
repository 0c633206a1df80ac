//! What a tenant can't have more of, whatever is written into a spec and however often: requests, and room in the status.

use std::time::Duration;

use serde_json::json;

use crate::{
    answers::{Answers, answer},
    case::{client, spec},
    objects::credential,
    support::{Cluster, Operator, namespace::apply},
};

/// What a credential with one token may ask for at once, and after that every `EACH`.
pub const BURST: usize = 32;
pub const EACH: Duration = Duration::from_secs(2);

/// Somebody asks for a refresh as fast as the API server takes it. No stretch of time sees more requests than the limit allows, and a neighbour
/// gets a token meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn one_credential_asks_for_no_more_than_so_many_tokens_a_minute() {
    let namespace = Cluster::shared().await.namespace("pace").await;
    let answers = Answers::start().await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, "pace", vec![client(), credential("greedy", &spec(&answers.url("greedy"), &json!({})))])
        .await
        .unwrap();
    namespace.ready("greedy").await;
    let mut wishes = 0;
    while answers.arrivals("greedy").len() < BURST + 8 {
        wishes += 1;
        namespace
            .request_refresh(
                "greedy",
                &format!("2026-01-01T{:02}:{:02}:{:02}Z", wishes / 3600, wishes / 60 % 60, wishes % 60),
            )
            .await;
        if wishes == 200 {
            apply(&namespace.client, "pace", vec![credential("modest", &spec(&answers.url("modest"), &json!({})))])
                .await
                .unwrap();
            namespace.ready("modest").await;
        }
    }
    let arrivals = answers.arrivals("greedy");
    for (first, began) in arrivals.iter().enumerate() {
        for (last, ended) in arrivals.iter().enumerate().skip(first) {
            let allowed = BURST as f64 + (*ended - *began).as_secs_f64() / EACH.as_secs_f64() + 1.0;
            assert!((last - first + 1) as f64 <= allowed, "{} requests in {:?}", last - first + 1, *ended - *began);
        }
    }
}

/// A server that says as much as a reply may hold: the token is used, and the status stays small.
#[tokio::test(flavor = "multi_thread")]
async fn no_reply_makes_the_status_large() {
    let namespace = Cluster::shared().await.namespace("large").await;
    let answers = Answers::start().await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, "large", vec![client()]).await.unwrap();
    let replies = [
        ("many-scopes", "s ".repeat(20_000)),
        ("long-scope", "s".repeat(40_000)),
        ("long-scopes", format!("{} ", "s".repeat(512)).repeat(80)),
    ];
    for (name, scope) in &replies {
        let body =
            json!({"access_token": "access-x", "token_type": "Bearer", "expires_in": 3600, "scope": scope}).to_string();
        answers.set(name, answer("200 OK", "application/json", &body));
        apply(&namespace.client, "large", vec![credential(name, &spec(&answers.url(name), &json!({})))]).await.unwrap();
    }
    for (name, scope) in &replies {
        let status = serde_json::to_string(&namespace.ready(name).await.status).unwrap();
        assert!(status.len() < 72 * 1024, "{name}: {} bytes", status.len());
        // The workload gets what the server said.
        assert_eq!(namespace.value(&format!("{name}-token"), "scope").await, *scope);
    }
}
