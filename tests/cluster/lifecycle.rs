//! From a first token through its refreshes, against oidc-provider with strict rotation.

use std::time::Duration;

use jiff::Timestamp;
use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use super::manifests::{MACHINES, hover, machine, web};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Oidc, Operator, SOON, throughout, until};

const MINUTE: Duration = Duration::from_secs(60);

/// Every request was answered with a token, and none came with a spent one.
fn assert_clean(log: &[Value]) {
    for entry in log {
        assert!(entry["status"] == 200 && entry["replay"] == false, "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_rotated_and_never_replayed() {
    let namespace = Cluster::shared().await.namespace("rotates").await;
    let oidc = Oidc::start(&["--access-token-ttl", "6"]).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let seed = oidc.seed("web-post").await;
    namespace.apply(&web("rotates", &oidc, &seed, "")).await;

    namespace.ready("rotates").await;
    let first = namespace.value("rotates-token", "access_token").await;
    let credential = namespace.revision("rotates", 4, MINUTE).await;
    assert_ne!(namespace.value("rotates-token", "access_token").await, first);
    namespace.keep("current", &credential);

    let log = oidc.log().await;
    assert_clean(&log);
    assert!(log.iter().all(|entry| entry["rotated"] == true));
    // What a person put in stays as it is; what workloads mount holds no refresh token.
    assert_eq!(namespace.value("rotates-input", "refresh_token").await, seed);
    let output = namespace.secret("rotates-token").await.unwrap();
    let keys: Vec<String> = output.data.unwrap().into_keys().collect();
    assert_eq!(keys, ["access_token", "expires_at", "scope", "token_type"]);
    assert_eq!(namespace.secret("rotates-oauth-state").await.unwrap().type_.unwrap(), "oauth-operator.dev/state");
    drop(operator);
}

/// A grant of half a minute, with access tokens of five seconds: a person is told in its last six seconds, not before, and
/// a new refresh token takes the word back.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_grant_is_told_of_ahead() {
    let namespace = Cluster::shared().await.namespace("grant-ends").await;
    let oidc = Oidc::start(&["--access-token-ttl", "5"]).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let provider = json!({
        "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthProvider", "metadata": {"name": "ends"},
        "spec": {"endpoints": {"token": oidc.token_url()}, "refreshTokens": {"lifetime": "30s"}},
    });
    namespace.apply(&provider.to_string()).await;
    let inline = format!("provider: {{endpoints: {{token: \"{}\"}}}}", oidc.token_url());
    let manifest = web("ends", &oidc, &oidc.seed("web-post").await, "").replace(&inline, "providerRef: {name: ends}");
    let before = Timestamp::now();
    namespace.apply(&manifest).await;

    let first = namespace.ready("ends").await;
    assert_eq!(first.reason(ConditionType::RefreshTokenExpiring), None);
    let told = namespace.reason("ends", ConditionType::RefreshTokenExpiring, "ExpiresSoon").await;
    namespace.keep("current", &told);
    let status = told.status.as_ref().unwrap();
    let ends = status.refresh_token_expiration_time.unwrap();
    assert_eq!(Some(ends), first.status.unwrap().refresh_token_expiration_time, "refreshing doesn't move it");
    assert!((before.as_second() + 30..=before.as_second() + 40).contains(&ends.as_second()), "{ends} after {before}");
    let since = told.condition(ConditionType::RefreshTokenExpiring).unwrap().last_transition_time;
    assert!(since.as_second() >= ends.as_second() - 7, "no sooner than a fifth of the whole");
    assert!(told.is(ConditionType::Ready), "it is a warning");
    namespace.event("ExpiresSoon").await;
    until("the metric", SOON, async || {
        (operator.metric("oauth_operator_expiring_refresh_tokens", &[]).await == 1.0).then_some(())
    })
    .await;

    let seed = oidc.seed("web-post").await;
    namespace.patch_secret("ends-input", &json!({"stringData": {"refresh_token": seed}})).await;
    namespace
        .credential_until("ends", "a new grant", SOON, |credential| {
            credential.reason(ConditionType::RefreshTokenExpiring).is_none()
        })
        .await;
    assert_clean(&oidc.log().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_credentials_work_with_basic_and_post() {
    let namespace = Cluster::shared().await.namespace("machines").await;
    let oidc = Oidc::start(&["--access-token-ttl", "6"]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.apply(MACHINES).await;
    for how in ["basic", "post"] {
        namespace.apply(&machine(how, how, &oidc.token_url(), "  scopes: [read, write]")).await;
    }
    for how in ["basic", "post"] {
        let credential = namespace.revision(how, 3, MINUTE).await;
        assert_eq!(credential.status.unwrap().scopes, ["read", "write"]);
        assert_eq!(namespace.value(&format!("{how}-token"), "scope").await, "read write");
        assert!(namespace.secret(&format!("{how}-oauth-state")).await.is_none(), "there is nothing to keep");
    }
    let log = oidc.log().await;
    assert_clean(&log);
    assert!(log.iter().all(|entry| entry["grant_type"] == "client_credentials"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_operator_goes_on_where_it_was() {
    let namespace = Cluster::shared().await.namespace("restarts").await;
    let oidc = Oidc::start(&["--access-token-ttl", "8"]).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http", "--lease-duration=10s"]).await;
    namespace.apply(&web("restarts", &oidc, &oidc.seed("web-post").await, "")).await;

    for _ in 0..2 {
        let revision = namespace.ready("restarts").await.status.unwrap().revision.unwrap();
        operator.restart().await;
        namespace.revision("restarts", revision + 2, MINUTE).await;
    }
    assert_clean(&oidc.log().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_applied_again_goes_on_from_its_state() {
    let namespace = Cluster::shared().await.namespace("reapplied").await;
    let oidc = Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let manifest = web("again", &oidc, &oidc.seed("web-post").await, "");
    namespace.apply(&manifest).await;
    namespace.ready("again").await;

    for _ in 0..2 {
        let before = namespace.state("again").await;
        namespace.delete_credential("again").await;
        assert!(namespace.secret("again-token").await.is_none());
        namespace.apply(&manifest).await;
        namespace.ready("again").await;
        let after = namespace.state("again").await;
        assert_eq!(after["lineage"], before["lineage"]);
    }
    throughout("it stays Ready", Duration::from_secs(2), async || {
        let log = oidc.log().await;
        log.iter().find(|entry| entry["status"] != 200 || entry["replay"] == true).map(Value::to_string)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_a_credential_that_was_deleted_meanwhile_is_kept() {
    let namespace = Cluster::shared().await.namespace("deleted-meanwhile").await;
    let standin = Standin::start(Hover::default()).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    standin.set_latency(Duration::from_secs(3));
    let manifest = hover("gone", &standin, "");
    namespace.apply(&manifest).await;
    standin.arrived(1).await;
    namespace.delete_credential("gone").await;
    until("the reply is saved", SOON, async || (namespace.state("gone").await["revision"] == 1).then_some(())).await;
    standin.set_latency(Duration::ZERO);
    namespace.apply(&manifest).await;
    namespace.ready("gone").await;
    assert_eq!((standin.requests().len(), standin.replays()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_changed_while_a_reply_was_awaited_holds_in_the_end() {
    let namespace = Cluster::shared().await.namespace("changed-meanwhile").await;
    let standin = Standin::start(Hover::default()).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    standin.set_latency(Duration::from_secs(2));
    namespace.apply(&hover("turned", &standin, "")).await;
    standin.arrived(1).await;
    let changed = json!({"spec": {"scopes": ["all"], "secret": {"template": {"only": "{{ access_token }}"}}}});
    namespace.patch_credential("turned", &changed).await;
    namespace.ready("turned").await;
    let output = namespace.secret("turned-token").await.unwrap();
    assert_eq!(output.data.unwrap().into_keys().collect::<Vec<_>>(), ["only"]);
    assert!(standin.is_live(&namespace.value("turned-token", "only").await));
    assert_eq!(standin.replays(), 0);
    let requests = standin.requests().len();
    assert!((1..=2).contains(&requests), "{requests} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_may_be_used_again_is() {
    let namespace = Cluster::shared().await.namespace("reusable").await;
    let oidc = Oidc::start(&["--rotation", "none", "--access-token-ttl", "6"]).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http", "--leader-election=false"]).await;
    let seed = oidc.seed("web-post").await;
    let manifest = web("reused", &oidc, &seed, "");
    let manifest = manifest.replace("/token\"}}", "/token\"}, refreshTokens: {singleUse: false}}");
    namespace.apply(&manifest).await;
    namespace.revision("reused", 2, MINUTE).await;
    // Nothing is spent by a failure, so it is simply tried again; nor by a crash.
    oidc.configure(&json!({"fail": {"status": 503, "when": "after"}})).await;
    namespace.reason("reused", oauth_operator::api::ConditionType::Refreshed, "ProviderUnavailable").await;
    namespace.revision("reused", 3, MINUTE).await;
    operator.restart().await;
    namespace.revision("reused", 5, MINUTE).await;
    let state = namespace.state("reused").await;
    assert_eq!((state["refreshToken"].as_str(), &state["intent"]), (Some(seed.as_str()), &Value::Null));
    let log = oidc.log().await;
    assert_eq!(log.iter().filter(|entry| entry["status"] != 200).count(), 1);
}
