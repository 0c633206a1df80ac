//! A herd: credentials whose tokens all expire in the same second. Each is refreshed before that, the soonest to expire first
//! where there is a queue, and the token server sees no more at once than the bulkhead lets through. CHAOS_HERD says how many
//! there are (make chaos: ten thousand).

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use futures::stream;
use oauth_operator::api::OAuthCredential;
use serde_json::Value;

use crate::manifests::hover_seeded;
use crate::support::standin::{Hover, Recorded, Standin};
use crate::support::{Cluster, Namespace, Operator, SOON, say, until};

/// The operator's bound on exchanges with one token server.
const BULKHEAD: usize = 32;

fn herd() -> u32 {
    std::env::var("CHAOS_HERD").ok().and_then(|count| count.parse().ok()).unwrap_or(200)
}

/// Applies so many credentials, some at a time.
async fn apply(namespace: &Namespace, standin: &Standin, names: &[String], spec: &str) {
    let url = standin.token_url();
    stream::iter(names)
        .for_each_concurrent(16, |name| {
            let manifest = hover_seeded(name, &url, &standin.seed(), spec);
            async move { namespace.apply(&manifest).await }
        })
        .await;
}

async fn all(namespace: &Namespace) -> Vec<OAuthCredential> {
    namespace.credentials().list(&kube::api::ListParams::default()).await.unwrap().items
}

fn revision(credential: &OAuthCredential) -> i64 {
    credential.status.as_ref().and_then(|status| status.revision).unwrap_or(0)
}

/// Waits until each of them has obtained so many tokens. Before as many were asked for, it isn't worth a look.
async fn reached(
    namespace: &Namespace,
    standin: &Standin,
    count: usize,
    least: i64,
    within: Duration,
) -> Vec<OAuthCredential> {
    let asked = standin.arrived(count * usize::try_from(least).unwrap());
    tokio::time::timeout(within, asked).await.expect("each asks in time");
    until(&format!("{count} at revision {least}"), within, async || {
        let credentials = all(namespace).await;
        let ready = credentials.iter().filter(|credential| revision(credential) >= least).count();
        (ready == count).then_some(credentials)
    })
    .await
}

/// The refresh token that each of them will send next, and what its status says of when.
async fn plans(namespace: &Namespace, credentials: &[OAuthCredential]) -> HashMap<String, SystemTime> {
    let mut states = HashMap::new();
    for secret in namespace.secrets().list(&kube::api::ListParams::default()).await.unwrap() {
        let Some(state) = secret.data.as_ref().and_then(|data| data.get("state.json")) else { continue };
        let state: Value = serde_json::from_slice(&state.0).unwrap();
        states.insert(secret.metadata.name.unwrap(), state["refreshToken"].as_str().unwrap().to_owned());
    }
    let plan = |credential: &OAuthCredential| {
        let name = credential.metadata.name.as_deref().unwrap();
        let next = credential.status.as_ref().unwrap().next_refresh_time.unwrap();
        (states.remove(&format!("{name}-oauth-state")).unwrap(), next.into())
    };
    credentials.iter().map(plan).collect()
}

fn sent_token(request: &Recorded) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_herd_is_refreshed_before_it_expires() {
    let count = herd();
    // Time for the first tokens, at 15 a second, and as long again for the next.
    let before = Duration::from_secs(12) + Duration::from_secs(1) * count / 15;
    let namespace = Cluster::shared().await.namespace("herd").await;
    let standin = Standin::start(Hover::default()).await;
    let names: Vec<String> = (0..count).map(|at| format!("herd-{at}")).collect();
    apply(&namespace, &standin, &names, &format!("  refresh: {{before: {}s}}", before.as_secs())).await;
    let (began, started) = (Instant::now(), SystemTime::now());
    let expires = started + before * 2;
    standin.reconfigure(Hover { access_tokens_expire: Some(expires), ..Hover::default() });
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let credentials = reached(&namespace, &standin, names.len(), 1, before).await;
    say(&format!("herd of {count}: first tokens within {:.1?}", began.elapsed()));

    // The next tokens live for two hours: each of the herd is refreshed once.
    standin.reconfigure(Hover::default());
    let first = standin.requests().len();
    let plans = plans(&namespace, &credentials).await;
    for credential in &credentials {
        let expiry: SystemTime = credential.status.as_ref().unwrap().expiration_time.unwrap().into();
        let apart = expires.duration_since(expiry).unwrap();
        assert!(apart < Duration::from_secs(3), "they expire in the same second, but for its fractions: {apart:?}");
    }
    reached(&namespace, &standin, names.len(), 2, before * 2).await;

    let requests = standin.requests().split_off(first);
    assert_eq!((requests.len(), standin.replays()), (names.len(), 0), "one refresh each");
    assert!(standin.most_at_once() <= BULKHEAD, "{} at once", standin.most_at_once());
    let arrival = |request: &Recorded| started + request.at.duration_since(began);
    let mut late: Vec<Duration> = requests
        .iter()
        .map(|request| arrival(request).duration_since(plans[&sent_token(request)]).expect("none before its time"))
        .collect();
    late.sort();
    let last = requests.iter().map(arrival).max().unwrap();
    let to_spare = expires.duration_since(last).expect("each is refreshed before its token expires");
    let (earliest, latest) = (plans.values().min().unwrap(), plans.values().max().unwrap());
    say(&format!(
        "herd of {count}: planned over {:?}, late (by status.nextRefreshTime, which has no fractions) p50 {:.2?}, p99 {:.2?}, max {:.2?}; \
         the last one {to_spare:.1?} before the expiry; {} at once at most",
        latest.duration_since(*earliest).unwrap(),
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1],
        standin.most_at_once(),
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_a_queue_the_soonest_to_expire_goes_first() {
    let namespace = Cluster::shared().await.namespace("queue").await;
    let standin = Standin::start(Hover::default()).await;
    let flags = ["--allow-insecure-http", "--max-concurrent-refreshes=1"];
    let _operator = Operator::start(&namespace, &flags).await;
    // So far apart that what is planned, which is spread over a quarter, has their order.
    let hours = [16, 2, 64, 4, 128, 8, 32];
    let names = hours.map(|hours| format!("expires-in-{hours}"));
    for (name, hours) in names.iter().zip(hours) {
        standin.reconfigure(Hover { access_token_lifetime: Duration::from_hours(hours), ..Hover::default() });
        apply(&namespace, &standin, std::slice::from_ref(name), "").await;
        namespace.ready(name).await;
    }
    let plug = ["plug".to_owned()];
    apply(&namespace, &standin, &plug, "").await;
    namespace.ready("plug").await;
    let credentials = all(&namespace).await;
    let tokens = plans(&namespace, &credentials).await;

    // While one is under way, the others come to wait.
    standin.set_latency(Duration::from_secs(6));
    let before = standin.requests().len();
    namespace.request_refresh("plug", "2026-01-01T00:00:00Z").await;
    standin.arrived(before + 1).await;
    standin.set_latency(Duration::ZERO);
    for name in &names {
        namespace.request_refresh(name, "2026-01-01T00:00:00Z").await;
    }
    for name in &names {
        namespace.revision(name, 2, SOON).await;
    }
    let sent = standin.requests().split_off(before + 1);
    let order: Vec<SystemTime> = sent.iter().map(|request| tokens[&sent_token(request)]).collect();
    assert!(order.len() == names.len() && order.is_sorted(), "{order:?}");
    assert_eq!(standin.most_at_once(), 1);
}
