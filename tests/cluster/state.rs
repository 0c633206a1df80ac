//! The state Secret lost, restored from a backup, or not one that can be read: nothing spent is sent.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use oauth_operator::api::ConditionType;
use serde_json::json;

use super::manifests::{hover, input};
use crate::support::standin::{Fault, Hover, Standin, Symptom};
use crate::support::{Cluster, Conditions, Namespace, Operator, SOON, throughout};

async fn started(name: &str) -> (Namespace, Standin, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let standin = Standin::start(Hover::default()).await;
    let flags = ["--allow-insecure-http", "--leader-election=false", "--request-timeout=3s"];
    let operator = Operator::start(&namespace, &flags).await;
    (namespace, standin, operator)
}

/// The Secret, as a backup would bring it back.
fn backup(secret: Secret) -> Secret {
    let ObjectMeta { name, labels, annotations, .. } = secret.metadata;
    Secret { metadata: ObjectMeta { name, labels, annotations, ..ObjectMeta::default() }, ..secret }
}

async fn restore(namespace: &Namespace, secret: &Secret) {
    namespace.delete_secret(secret.metadata.name.as_deref().unwrap()).await;
    namespace.secrets().create(&PostParams::default(), secret).await.unwrap();
}

async fn quiet(standin: &Standin) {
    let asked = standin.requests().len();
    throughout("no request", Duration::from_secs(2), async || {
        (standin.requests().len() != asked).then(|| format!("{} requests", standin.requests().len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_state_a_spent_seed_is_not_sent() {
    let (namespace, standin, mut operator) = started("state-lost").await;
    namespace.apply(&hover("lost", &standin, "")).await;
    namespace.ready("lost").await;
    namespace.delete_secret("lost-oauth-state").await;
    operator.restart().await;
    namespace.request_refresh("lost", "2026-01-01T00:00:00Z").await;
    let credential = namespace.reason("lost", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(credential.is(ConditionType::Ready), "the published token still serves");
    quiet(&standin).await;
    assert!(credential.message(ConditionType::Stalled).contains("state Secret is gone"));

    namespace.apply(&input("lost", "s3cr3t", &standin.seed())).await;
    let credential = namespace.revision("lost", 2, SOON).await;
    assert!(!credential.is(ConditionType::Stalled));
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_state_sends_nothing_and_publishes_nothing() {
    let (namespace, standin, mut operator) = started("state-older").await;
    namespace.apply(&hover("older", &standin, "")).await;
    namespace.ready("older").await;
    let first = backup(namespace.secret("older-oauth-state").await.unwrap());
    namespace.request_refresh("older", "2026-01-01T00:00:00Z").await;
    namespace.revision("older", 2, SOON).await;
    let token = namespace.value("older-token", "access_token").await;

    operator.terminate();
    operator.end(SOON).await;
    restore(&namespace, &first).await;
    operator.resume().await;
    namespace.request_refresh("older", "2026-01-01T00:00:01Z").await;
    let credential = namespace.reason("older", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(credential.message(ConditionType::Stalled).contains("backup"));
    quiet(&standin).await;
    assert_eq!(namespace.value("older-token", "access_token").await, token);
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_an_unknown_format_is_not_touched() {
    let (namespace, standin, mut operator) = started("state-newer").await;
    namespace.apply(&hover("newer", &standin, "")).await;
    namespace.ready("newer").await;
    for (format, expected) in [("999", "install the version"), ("rubbish", "can't be read")] {
        namespace.patch_secret("newer-oauth-state", &json!({"stringData": {"format": format}})).await;
        let before = namespace.secret("newer-oauth-state").await.unwrap();
        operator.restart().await;
        namespace.request_refresh("newer", &format!("2026-01-01T00:00:00Z {format}")).await;
        let credential = namespace
            .credential_until("newer", "Stalled for its state", SOON, |credential| {
                credential.message(ConditionType::Stalled).contains(expected)
            })
            .await;
        assert!(credential.is(ConditionType::Ready), "the published token still serves");
        quiet(&standin).await;
        let after = namespace.secret("newer-oauth-state").await.unwrap();
        assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    }
    namespace.patch_secret("newer-oauth-state", &json!({"stringData": {"format": "1"}})).await;
    namespace.revision("newer", 2, SOON).await;
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_secret_in_the_states_place_is_not_touched() {
    let (namespace, standin, _operator) = started("state-foreign").await;
    let foreign = "apiVersion: v1\nkind: Secret\nmetadata: {name: foreign-oauth-state}\nstringData: {theirs: precious}";
    namespace.apply(foreign).await;
    let before = namespace.secret("foreign-oauth-state").await.unwrap();
    namespace.apply(&hover("foreign", &standin, "")).await;
    namespace.reason("foreign", ConditionType::Stalled, "SecretConflict").await;
    let after = namespace.secret("foreign-oauth-state").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
    assert_eq!(standin.requests().len(), 0, "nothing is spent that can't be kept");
    namespace.delete_secret("foreign-oauth-state").await;
    namespace.ready("foreign").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_not_replayed_while_the_token_serves() {
    let (namespace, standin, mut operator) = started("state-unknown").await;
    namespace.apply(&hover("unknown", &standin, "")).await;
    namespace.ready("unknown").await;
    standin.inject(Fault::After(Symptom::Reset));
    namespace.request_refresh("unknown", "2026-01-01T00:00:00Z").await;
    let credential = namespace.reason("unknown", ConditionType::Refreshed, "OutcomeUnknown").await;
    assert!(credential.is(ConditionType::Ready) && !credential.is(ConditionType::Stalled));
    namespace.keep("current", &credential);
    let status = credential.status.unwrap();
    let early = status.expiration_time.unwrap().duration_since(status.next_refresh_time.unwrap()).as_secs();
    assert!((60..=120).contains(&early), "the replay is planned {early} s before the expiry");
    assert!(!namespace.state("unknown").await["intent"].is_null(), "the intent stays open");
    operator.restart().await;
    quiet(&standin).await;
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_sent_to_nobody_but_its_own_server_and_client() {
    let (namespace, standin, _operator) = started("state-binding").await;
    let elsewhere = Standin::start(Hover::default()).await;
    let manifest = hover("bound", &standin, "");
    namespace.apply(&manifest).await;
    namespace.ready("bound").await;
    let token = namespace.value("bound-token", "access_token").await;
    for other in [manifest.replace(&standin.token_url(), &elsewhere.token_url()), manifest.replace("3fc0", "4ad1")] {
        namespace.apply(&other).await;
        let credential = namespace.reason("bound", ConditionType::Stalled, "AuthorizationRequired").await;
        assert!(credential.message(ConditionType::Stalled).contains("another client or another server"));
        assert!(!credential.is(ConditionType::Ready), "its token was not obtained under this spec");
        assert_eq!(namespace.value("bound-token", "access_token").await, token);
        namespace.apply(&manifest).await;
        let credential = namespace.ready("bound").await;
        assert!(!credential.is(ConditionType::Stalled));
    }
    quiet(&standin).await;
    assert_eq!((standin.requests().len(), elsewhere.requests().len()), (1, 0));
}
