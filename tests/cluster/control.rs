//! What a person, the clock and a limiting server make of the schedule.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use oauth_operator::api::ConditionType;
use serde_json::json;

use super::manifests::{MACHINES, hover, hover_seeded, input, machine, web};
use crate::support::standin::{Fault, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, throughout, until};

async fn started(name: &str) -> (Namespace, Standin, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let standin = Standin::start(Hover::default()).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http", "--leader-election=false"]).await;
    (namespace, standin, operator)
}

/// For a while no request comes beyond the first `asked`.
async fn quiet(standin: &Standin, asked: usize) {
    throughout("no further request", Duration::from_secs(3), async || {
        let requests = standin.requests().len();
        (requests != asked).then(|| format!("{requests} requests, not {asked}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_credential_asks_for_nothing() {
    let (namespace, standin, _operator) = started("suspend").await;
    namespace.apply(&hover("still", &standin, "  suspend: true")).await;
    let credential = namespace.reason("still", ConditionType::Refreshed, "Suspended").await;
    assert!(!credential.is(ConditionType::Ready) && !credential.is(ConditionType::Stalled));
    namespace.keep("inprogress", &credential);
    quiet(&standin, 0).await;

    namespace.patch_credential("still", &json!({"spec": {"suspend": false}})).await;
    namespace.ready("still").await;
    namespace.patch_credential("still", &json!({"spec": {"suspend": true}})).await;
    let credential = namespace.reason("still", ConditionType::Refreshed, "Suspended").await;
    assert!(credential.is(ConditionType::Ready), "Ready follows the token");
    namespace.keep("current", &credential);
    namespace.request_refresh("still", "2026-01-01T00:00:00Z").await;
    quiet(&standin, 1).await;
    // The wish is obeyed once there is no reason against it any more.
    namespace.patch_credential("still", &json!({"spec": {"suspend": false}})).await;
    namespace.revision("still", 2, SOON).await;
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_request_is_obeyed_once_also_across_a_restart() {
    let (namespace, standin, mut operator) = started("requested").await;
    namespace.apply(&hover("asked", &standin, "")).await;
    namespace.ready("asked").await;
    namespace.request_refresh("asked", "2026-01-01T00:00:00Z").await;
    let credential = namespace.revision("asked", 2, SOON).await;
    assert_eq!(credential.status.unwrap().last_handled_refresh_request.unwrap(), "2026-01-01T00:00:00Z");
    quiet(&standin, 2).await;
    operator.restart().await;
    quiet(&standin, 2).await;
    namespace.request_refresh("asked", "2026-01-01T00:00:01Z").await;
    namespace.revision("asked", 3, SOON).await;
    assert_eq!((standin.requests().len(), standin.replays()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_client_secret_is_used_within_seconds() {
    let (namespace, standin, _operator) = started("corrected").await;
    let seed = standin.seed();
    let manifest = hover_seeded("fixed", &standin.token_url(), &seed, "");
    namespace.apply(&manifest.replace("s3cr3t", "mistyped")).await;
    namespace.reason("fixed", ConditionType::Stalled, "InvalidClient").await;
    quiet(&standin, 1).await;
    namespace.apply(&input("fixed", "s3cr3t", &seed)).await;
    namespace.credential_until("fixed", "Ready", Duration::from_secs(10), |c| c.is(ConditionType::Ready)).await;
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));

    // A server that takes the new secret only, while the old one is in memory: one re-read finds it.
    standin.reconfigure(Hover { client_secret: "rotated".to_owned(), ..Hover::default() });
    namespace.apply(&input("fixed", "rotated", &seed)).await;
    namespace.request_refresh("fixed", "2026-01-01T00:00:00Z").await;
    namespace.revision("fixed", 2, SOON).await;
    assert_eq!(standin.replays(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_waits_for_its_provider_and_its_secret() {
    let (namespace, standin, _operator) = started("order").await;
    let (url, seed) = (standin.token_url(), standin.seed());
    namespace
        .apply(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: early}
spec:
  providerRef: {name: late}
  client: {id: "3fc0", secretRef: {name: early-input, key: client_secret}}
  grant: {refreshToken: {secretRef: {name: early-input, key: refresh_token}}}
"#,
        )
        .await;
    let credential = namespace.reason("early", ConditionType::Ready, "ProviderNotFound").await;
    assert!(credential.is(ConditionType::Reconciling) && !credential.is(ConditionType::Stalled));
    namespace.keep("inprogress", &credential);
    namespace
        .apply(&format!(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: late}}
spec:
  endpoints: {{token: "{url}"}}
  client: {{authentication: client_secret_post}}
  tokenRequest: {{encoding: JSON}}
"#
        ))
        .await;
    namespace.reason("early", ConditionType::Ready, "SourceSecretNotFound").await;
    namespace.apply(&input("early", "s3cr3t", &seed)).await;
    namespace.credential_until("early", "Ready", Duration::from_secs(10), |c| c.is(ConditionType::Ready)).await;
    assert_eq!(standin.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_flips_at_the_expiry_itself() {
    let namespace = Cluster::shared().await.namespace("expiry").await;
    let mut oidc = Oidc::start(&["--access-token-ttl", "8"]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.apply(MACHINES).await;
    namespace.apply(&machine("expires", "post", &oidc.token_url(), "")).await;
    namespace.ready("expires").await;
    oidc.stop();
    let failed = namespace
        .credential_until("expires", "a failed refresh beside a valid token", SOON, |credential| {
            credential.is(ConditionType::Ready)
                && credential.reason(ConditionType::Refreshed) == Some("ProviderUnavailable")
        })
        .await;
    namespace.keep("current", &failed);
    let expires = failed.status.unwrap().expiration_time.unwrap();
    let expired = namespace.reason("expires", ConditionType::Ready, "Expired").await;
    let late = Timestamp::now().duration_since(expires).as_secs_f64();
    assert!((0.0..3.0).contains(&late), "Ready flipped {late} s after the expiry");
    assert!(expired.is(ConditionType::Reconciling) && !expired.is(ConditionType::Stalled));
    namespace.keep("inprogress", &expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backoff_outlives_a_restart() {
    let (namespace, standin, mut operator) = started("backoff").await;
    for _ in 0..3 {
        standin.inject(Fault::Before(Symptom::Answer(Reply::html(503, "<h1>down</h1>"))));
    }
    namespace.apply(&hover("backs", &standin, "  refresh: {before: 15m}\n")).await;
    namespace.apply(MACHINES).await;
    let failed = |attempts: i64| {
        move |credential: &oauth_operator::api::OAuthCredential| {
            credential.status.as_ref().and_then(|status| status.failed_attempts) == Some(attempts)
        }
    };
    let first = namespace.credential_until("backs", "one failure", SOON, failed(1)).await;
    namespace.keep("inprogress", &first);
    let first = first.status.unwrap();
    let asked = standin.requests().len();
    operator.restart().await;
    let second = namespace.credential_until("backs", "two failures", SOON, failed(2)).await.status.unwrap();
    assert!(Timestamp::now() >= first.next_refresh_time.unwrap(), "the restart did not make it ask sooner");
    assert_eq!(standin.requests().len(), asked + 1);
    let pause = |status: &oauth_operator::api::OAuthCredentialStatus| {
        status.next_refresh_time.unwrap().duration_since(status.last_failure_time.unwrap()).as_secs()
    };
    assert!((2..=6).contains(&pause(&first)), "{} s", pause(&first));
    assert!((5..=11).contains(&pause(&second)), "{} s", pause(&second));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed_and_a_wish_does_not_override_it() {
    let (namespace, standin, mut operator) = started("limited").await;
    let limited = Reply::empty(429).header("retry-after", "8");
    standin.inject(Fault::Before(Symptom::Answer(limited)));
    let began = Timestamp::now();
    namespace.apply(&hover("limits", &standin, "")).await;
    let credential = namespace.reason("limits", ConditionType::Refreshed, "RateLimited").await;
    namespace.keep("inprogress", &credential);
    namespace.request_refresh("limits", "2026-01-01T00:00:00Z").await;
    operator.restart().await;
    namespace.ready("limits").await;
    let took = Timestamp::now().duration_since(began).as_secs_f64();
    assert!(took >= 8.0, "it waited {took} s only");
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_seed_starts_a_new_lineage() {
    let (namespace, standin, _operator) = started("reseeded").await;
    let (first, second) = (standin.seed(), standin.seed());
    namespace.apply(&hover_seeded("seeded", &standin.token_url(), &first, "")).await;
    namespace.ready("seeded").await;
    let before = namespace.state("seeded").await;
    namespace.apply(&input("seeded", "s3cr3t", &second)).await;
    namespace.revision("seeded", 2, SOON).await;
    let after = namespace.state("seeded").await;
    assert_ne!(after["lineage"], before["lineage"]);
    let requests = standin.requests();
    assert!(String::from_utf8_lossy(&requests[1].body).contains(&second));

    // The old seed again: it is spent, so it isn't sent, and the lineage goes on.
    namespace.apply(&input("seeded", "s3cr3t", &first)).await;
    quiet(&standin, 2).await;
    namespace.request_refresh("seeded", "2026-01-01T00:00:00Z").await;
    namespace.revision("seeded", 3, SOON).await;
    assert_eq!(namespace.state("seeded").await["lineage"], after["lineage"]);
    assert_eq!((standin.requests().len(), standin.replays()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_grant_stalls_at_once_until_a_person_brings_another() {
    let namespace = Cluster::shared().await.namespace("lost").await;
    let oidc = Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.apply(&web("grant", &oidc, "no-such-token", "")).await;
    let credential = namespace.reason("grant", ConditionType::Stalled, "AuthorizationRequired").await;
    assert_eq!(credential.reason(ConditionType::Refreshed), Some("InvalidGrant"));
    namespace.keep("failed", &credential);
    let asked = oidc.log().await.len();
    throughout("no further request", Duration::from_secs(3), async || {
        let now = oidc.log().await.len();
        (now != asked).then(|| format!("{now} requests"))
    })
    .await;
    namespace.apply(&input("grant", "web-post-secret", &oidc.seed("web-post").await)).await;
    namespace.ready("grant").await;
    until("one good request", SOON, async || (oidc.log().await.len() == asked + 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_rate_limit_holds_over_all_its_credentials() {
    let (namespace, standin, _operator) = started("rate").await;
    let url = standin.token_url();
    namespace
        .apply(&format!(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: limited}}
spec:
  endpoints: {{token: "{url}"}}
  client: {{authentication: client_secret_post}}
  tokenRequest: {{encoding: JSON}}
  rateLimit: {{requests: 1, per: 1s}}
"#
        ))
        .await;
    let inline = format!("  provider:\n    endpoints: {{token: \"{url}\"}}\n    tokenRequest: {{encoding: JSON}}\n");
    let began = Instant::now();
    for name in ["one", "two", "three", "four"] {
        let manifest = hover(name, &standin, "");
        assert!(manifest.contains(&inline));
        namespace.apply(&manifest.replace(&inline, "  providerRef: {name: limited}\n")).await;
    }
    for name in ["one", "two", "three", "four"] {
        namespace.ready(name).await;
    }
    let arrivals: Vec<_> = standin.requests().iter().map(|request| request.at).collect();
    assert_eq!(arrivals.len(), 4);
    for (arrived, before) in arrivals.iter().zip(0..) {
        let after = *arrived - began;
        assert!(after >= Duration::from_secs(before), "{before} before it, one a second: {after:?}");
    }
    // Two at once would be one second less than the two that three take.
    for three in arrivals.windows(3) {
        let took = three[2] - three[0];
        assert!(took > Duration::from_millis(1100), "{took:?}");
    }
}
