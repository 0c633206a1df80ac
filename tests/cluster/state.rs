//! The state Secret lost, restored from a backup, or not one that can be read: nothing spent is sent.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use oauth_operator::api::ConditionType;
use serde_json::json;

use super::manifests::{hover, hover_seeded, input};
use crate::support::standin::{Fault, Hover, Standin, Symptom};
use crate::support::{Cluster, Conditions, Namespace, Operator, SOON, throughout, until};

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
    for name in ["while-it-runs", "while-it-is-away"] {
        namespace.apply(&hover(name, &standin, "")).await;
        namespace.ready(name).await;
    }
    namespace.delete_secret("while-it-runs-oauth-state").await;
    still_lost(&namespace, &standin, "while-it-runs").await;
    operator.kill();
    namespace.delete_secret("while-it-is-away-oauth-state").await;
    operator.resume().await;
    still_lost(&namespace, &standin, "while-it-is-away").await;
    still_lost(&namespace, &standin, "while-it-runs").await;

    for name in ["while-it-runs", "while-it-is-away"] {
        namespace.apply(&input(name, "s3cr3t", &standin.seed())).await;
        let credential = namespace.revision(name, 2, SOON).await;
        assert!(!credential.is(ConditionType::Stalled));
    }
    assert_eq!((standin.requests().len(), standin.replays()), (4, 0));
}

async fn still_lost(namespace: &Namespace, standin: &Standin, name: &str) {
    namespace.request_refresh(name, "2026-01-01T00:00:00Z").await;
    let credential = namespace.reason(name, ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(credential.is(ConditionType::Ready), "the published token still serves");
    assert!(credential.message(ConditionType::Stalled).contains("state Secret is gone"));
    quiet(standin).await;
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

/// Deletes a credential, and nothing else: an administrator's client, with an output that is to stay.
async fn delete_alone(namespace: &Namespace, name: &str) {
    namespace.credentials().delete(name, &kube::api::DeleteParams::default()).await.unwrap();
    until("the credential is gone", SOON, async || {
        namespace.credentials().get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}

/// As restores are: without a status. What was published since tells that the backup is older.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_credential_and_state_beside_a_newer_output_send_nothing() {
    let (namespace, standin, mut operator) = started("state-beside").await;
    let manifest = hover("beside", &standin, "  secret: {deletionPolicy: Retain}");
    namespace.apply(&manifest).await;
    namespace.ready("beside").await;
    let first = backup(namespace.secret("beside-oauth-state").await.unwrap());
    namespace.request_refresh("beside", "2026-01-01T00:00:00Z").await;
    namespace.revision("beside", 2, SOON).await;
    let token = namespace.value("beside-token", "access_token").await;

    operator.kill();
    delete_alone(&namespace, "beside").await;
    restore(&namespace, &first).await;
    namespace.apply(&manifest).await;
    operator.resume().await;
    let credential = namespace.reason("beside", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(credential.message(ConditionType::Stalled).contains("backup"));
    quiet(&standin).await;
    assert_eq!(namespace.value("beside-token", "access_token").await, token);

    namespace.apply(&input("beside", "s3cr3t", &standin.seed())).await;
    let credential = namespace.ready("beside").await;
    assert_eq!(credential.status.unwrap().revision, Some(3), "revisions go on from the newest that was published");
    assert_eq!((standin.requests().len(), standin.replays()), (3, 0));
}

/// Everything is of the backup: nothing tells that its refresh token is spent, but the server. It is asked once.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_whole_restore_the_server_decides_and_a_new_seed_cures() {
    let (namespace, standin, mut operator) = started("state-whole").await;
    let manifest = hover("whole", &standin, "");
    namespace.apply(&manifest).await;
    namespace.ready("whole").await;
    let secrets = [
        backup(namespace.secret("whole-oauth-state").await.unwrap()),
        backup(namespace.secret("whole-token").await.unwrap()),
    ];
    let token = namespace.value("whole-token", "access_token").await;
    namespace.request_refresh("whole", "2026-01-01T00:00:00Z").await;
    namespace.revision("whole", 2, SOON).await;

    operator.kill();
    delete_alone(&namespace, "whole").await;
    for secret in &secrets {
        restore(&namespace, secret).await;
    }
    namespace.apply(&manifest).await;
    operator.resume().await;
    let credential = namespace.ready("whole").await;
    assert_eq!(credential.status.unwrap().revision, Some(1), "it goes on from the backup, with no request");
    assert_eq!(namespace.value("whole-token", "access_token").await, token);
    assert_eq!(standin.requests().len(), 2);

    namespace.request_refresh("whole", "2026-01-01T00:00:01Z").await;
    let credential = namespace.reason("whole", ConditionType::Stalled, "InvalidClient").await;
    assert!(credential.is(ConditionType::Ready), "the restored token still serves");
    quiet(&standin).await;
    assert_eq!(standin.requests().len(), 3, "the server's answer decides");
    namespace.apply(&input("whole", "s3cr3t", &standin.seed())).await;
    let credential = namespace.revision("whole", 2, SOON).await;
    assert!(!credential.is(ConditionType::Stalled));
    assert_eq!(standin.requests().len(), 4);
}

/// A mistyped refresh token in the input Secret: the server refuses it, and putting the former value back is enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_in_the_input_is_taken_back_without_a_loss() {
    let (namespace, standin, _operator) = started("mistyped").await;
    let seed = standin.seed();
    namespace.apply(&hover_seeded("mistyped", &standin.token_url(), &seed, "")).await;
    namespace.ready("mistyped").await;

    namespace.apply(&input("mistyped", "s3cr3t", "not-a-token")).await;
    let credential = namespace.reason("mistyped", ConditionType::Stalled, "InvalidClient").await;
    assert!(credential.is(ConditionType::Ready), "the published token still serves");
    namespace.apply(&input("mistyped", "s3cr3t", &seed)).await;
    let credential = namespace.revision("mistyped", 2, SOON).await;
    assert!(!credential.is(ConditionType::Stalled));
    assert_eq!(standin.replays(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_to_another_provider_it_begins_anew_with_that_ones_token() {
    let (namespace, standin, _operator) = started("state-moved").await;
    let elsewhere = Standin::start(Hover::default()).await;
    namespace.apply(&hover("moved", &standin, "")).await;
    namespace.ready("moved").await;

    // The credential first: until the other's token is there, nothing is sent.
    let provider = json!({"spec": {"provider": {"endpoints": {"token": elsewhere.token_url()}}}});
    namespace.patch_credential("moved", &provider).await;
    namespace.reason("moved", ConditionType::Stalled, "AuthorizationRequired").await;
    namespace.apply(&input("moved", "s3cr3t", &elsewhere.seed())).await;
    until("a token of the other", SOON, async || {
        let token = namespace.value("moved-token", "access_token").await;
        elsewhere.is_live(&token).then_some(())
    })
    .await;
    let credential = namespace.ready("moved").await;
    assert!(!credential.is(ConditionType::Stalled));
    let sent = |server: &Standin| server.requests().iter().map(|request| request.refused.clone()).collect::<Vec<_>>();
    assert_eq!((sent(&standin), sent(&elsewhere)), (vec![None], vec![None]), "each server got a token of its own");
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

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_token_is_sent_again_when_the_published_one_is_about_to_expire() {
    let (namespace, standin, mut operator) = started("state-crash").await;
    let lifetime = Duration::from_secs(30);
    standin.reconfigure(Hover { access_token_lifetime: lifetime, ..Hover::default() });
    namespace.apply(&hover("crashed", &standin, "")).await;
    let obtained = namespace.ready("crashed").await.status.unwrap().last_refresh_time.unwrap();
    standin.set_latency(Duration::from_secs(2));
    namespace.request_refresh("crashed", "2026-01-01T00:00:00Z").await;
    standin.arrived(2).await;
    operator.kill();
    standin.set_latency(Duration::ZERO);
    operator.resume().await;
    let unknown = namespace.reason("crashed", ConditionType::Refreshed, "OutcomeUnknown").await;
    let planned = unknown.status.unwrap().next_refresh_time.unwrap().duration_since(obtained).as_secs();
    assert!((25..29).contains(&planned), "to be sent again {planned} s after the first, of 30");

    let renewed = namespace.revision("crashed", 2, SOON).await.status.unwrap().last_refresh_time.unwrap();
    let waited = renewed.duration_since(obtained).as_secs();
    assert!((25..30).contains(&waited), "sent again {waited} s after the first, of 30");
    let flips = namespace.credential("crashed").await;
    let ready = flips.condition(ConditionType::Ready).unwrap();
    assert!(ready.last_transition_time <= renewed && flips.is(ConditionType::Ready), "Ready all the time");
    assert_eq!((standin.requests().len(), standin.replays()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pods_open_intent_is_given_time_to_end() {
    let (namespace, standin, mut operator) = started("state-other-pod").await;
    standin.set_latency(Duration::from_secs(2));
    namespace.apply(&hover("intended", &standin, "")).await;
    standin.arrived(1).await;
    operator.kill();
    standin.set_latency(Duration::ZERO);
    let flags = ["--allow-insecure-http", "--leader-election=false", "--request-timeout=3s"];
    let began = Instant::now();
    let _other = Operator::in_pod(&namespace, "another-pod", &flags).await;
    namespace.ready("intended").await;
    // The other process may have sent until 5 s after its intent, waits 3 s for the reply, and has 5 s to save it.
    assert!(began.elapsed() > Duration::from_secs(13), "{:?}", began.elapsed());
    assert_eq!((standin.requests().len(), standin.replays()), (2, 0));
}
