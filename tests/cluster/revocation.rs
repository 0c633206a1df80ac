//! Credentials that are deleted: what was issued is revoked where that was asked for, and nothing is held for long.

use std::time::Duration;

use kube::api::DeleteParams;
use oauth_operator::api::{ConditionType, OAuthCredential, RevocationStatus};
use serde_json::{Value, json};

use super::manifests::{hover, web};
use crate::support::proxy::{Fault, Proxy, Write};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, throughout, until};

const FINALIZER: &str = "oauth-operator.dev/revoke";

async fn started(name: &str) -> (Namespace, Oidc, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let oidc = Oidc::start(&[]).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http", "--request-timeout=2s"]).await;
    (namespace, oidc, operator)
}

/// A credential whose endpoints are discovered.
async fn discovered(name: &str, oidc: &Oidc, spec: &str) -> String {
    let given = format!("{{endpoints: {{token: \"{}\"}}}}", oidc.token_url());
    web(name, oidc, &oidc.seed("web-post").await, spec).replace(&given, &format!("{{issuer: \"{}\"}}", oidc.issuer))
}

async fn finalizers(namespace: &Namespace, name: &str) -> Vec<String> {
    namespace.credential(name).await.metadata.finalizers.unwrap_or_default()
}

async fn delete(namespace: &Namespace, name: &str) {
    namespace.credentials().delete(name, &DeleteParams::default()).await.unwrap();
}

async fn is_gone(namespace: &Namespace, name: &str, within: Duration) {
    until("the credential is gone", within, async || {
        namespace.credentials().get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}

/// What the server says of a refresh with this token.
async fn refresh(oidc: &Oidc, token: &str) -> Value {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", "web-post"),
        ("client_secret", "web-post-secret"),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(oidc.token_url()).form(&form).send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_is_revoked_when_its_credential_is_deleted() {
    let (namespace, oidc, operator) = started("revocation").await;
    namespace.apply(&discovered("revoked", &oidc, "  revocationPolicy: OnDelete").await).await;
    namespace.apply(&discovered("kept", &oidc, "").await).await;
    for name in ["revoked", "kept"] {
        namespace.ready(name).await;
    }
    assert_eq!(finalizers(&namespace, "revoked").await, [FINALIZER]);
    assert!(finalizers(&namespace, "kept").await.is_empty(), "only when asked for");
    let [revoked, kept] = ["revoked", "kept"].map(|name| namespace.state(name));
    let token = |state: Value| state["refreshToken"].as_str().unwrap().to_owned();
    let (revoked, kept) = (token(revoked.await), token(kept.await));

    for name in ["revoked", "kept"] {
        delete(&namespace, name).await;
        is_gone(&namespace, name, SOON).await;
    }
    assert!(namespace.secret("revoked-oauth-state").await.is_none());
    assert!(namespace.secret("kept-oauth-state").await.is_some(), "a grant outlives its credential");
    assert_eq!(refresh(&oidc, &revoked).await["error"], "invalid_grant");
    assert!(refresh(&oidc, &kept).await["access_token"].is_string());
    assert!(!operator.log().contains(&revoked));
}

/// A finalizer that is no longer asked for goes, and so does another's stay.
#[tokio::test(flavor = "multi_thread")]
async fn the_finalizer_follows_the_policy() {
    let (namespace, oidc, _operator) = started("revocation-policy").await;
    namespace.apply(&discovered("it", &oidc, "  revocationPolicy: OnDelete").await).await;
    namespace.ready("it").await;
    let foreign = "example.com/other";
    namespace.patch_credential("it", &json!({"metadata": {"finalizers": [FINALIZER, foreign]}})).await;
    namespace.patch_credential("it", &json!({"spec": {"revocationPolicy": "Never"}})).await;
    until("the finalizer is taken off", SOON, async || (finalizers(&namespace, "it").await == [foreign]).then_some(()))
        .await;
    namespace.patch_credential("it", &json!({"spec": {"revocationPolicy": "OnDelete"}})).await;
    until("it is back", SOON, async || (finalizers(&namespace, "it").await == [foreign, FINALIZER]).then_some(()))
        .await;
    delete(&namespace, "it").await;
    until("ours goes, and theirs stays", SOON, async || {
        (finalizers(&namespace, "it").await == [foreign]).then_some(())
    })
    .await;
    namespace.patch_credential("it", &json!({"metadata": {"finalizers": null}})).await;
    is_gone(&namespace, "it", SOON).await;
}

/// The client's Secret is deleted first, as `kubectl delete -f` may do: what was read of it still serves.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_go_first_are_no_hindrance() {
    let (namespace, oidc, mut operator) = started("revocation-secrets").await;
    for name in ["remembered", "forgotten"] {
        namespace.apply(&discovered(name, &oidc, "  revocationPolicy: OnDelete").await).await;
        namespace.ready(name).await;
    }
    let token = namespace.state("remembered").await["refreshToken"].as_str().unwrap().to_owned();
    namespace.delete_secret("remembered-input").await;
    delete(&namespace, "remembered").await;
    is_gone(&namespace, "remembered", SOON).await;
    assert_eq!(refresh(&oidc, &token).await["error"], "invalid_grant");

    // A new process has read nothing, and can't: the credential goes all the same, and that is said.
    operator.terminate();
    operator.end(SOON).await;
    namespace.delete_secret("forgotten-input").await;
    delete(&namespace, "forgotten").await;
    operator.resume().await;
    is_gone(&namespace, "forgotten", SOON).await;
    assert!(namespace.secret("forgotten-oauth-state").await.is_none());
    let told = |note: &str| note.contains("An input Secret is gone") && note.contains("Revoke them at the provider");
    namespace
        .event_where("an Event says so", |event| {
            event.reason.as_deref() == Some("NotRevoked") && event.note.as_deref().is_some_and(told)
        })
        .await;
}

/// A server that is down is tried again, and the credential waits for it; one that refuses is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_tried_again() {
    let (namespace, mut oidc, operator) = started("revocation-down").await;
    namespace.apply(&discovered("down", &oidc, "  revocationPolicy: OnDelete").await).await;
    namespace.ready("down").await;
    oidc.stop();
    delete(&namespace, "down").await;
    until("it was tried twice", SOON, async || (operator.log().matches("not revoked yet").count() >= 2).then_some(()))
        .await;
    assert_eq!(finalizers(&namespace, "down").await, [FINALIZER]);
    assert!(!namespace.state("down").await["revoking"].is_null(), "marked before it is sent");

    let standin = Standin::start(Hover::default()).await;
    let revocation = format!("token: \"{}\", revocation: \"{}/nowhere\"", standin.token_url(), standin.url());
    let refusing = hover("refusing", &standin, "  revocationPolicy: OnDelete")
        .replace(&format!("token: \"{}\"", standin.token_url()), &revocation);
    namespace.apply(&refusing).await;
    namespace.ready("refusing").await;
    delete(&namespace, "refusing").await;
    is_gone(&namespace, "refusing", SOON).await;
    assert!(namespace.secret("refusing-oauth-state").await.is_none());
    let request = standin.requests().pop().unwrap();
    assert_eq!(request.path, "/nowhere");
    assert!(String::from_utf8_lossy(&request.body).contains("token_type_hint=refresh_token"));
    // For those whose operator is gone as well.
    namespace.patch_credential("down", &json!({"metadata": {"finalizers": null}})).await;
    is_gone(&namespace, "down", SOON).await;
}

/// A credential of the same name doesn't take up what was being revoked.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_revoked_is_not_taken_up_again() {
    let (namespace, mut oidc, mut operator) = started("revocation-again").await;
    let manifest = discovered("again", &oidc, "  revocationPolicy: OnDelete").await;
    namespace.apply(&manifest).await;
    namespace.ready("again").await;
    oidc.stop();
    delete(&namespace, "again").await;
    until("the state is marked", SOON, async || (!namespace.state("again").await["revoking"].is_null()).then_some(()))
        .await;
    operator.kill();
    namespace.patch_credential("again", &json!({"metadata": {"finalizers": null}})).await;
    is_gone(&namespace, "again", SOON).await;
    let (second, given) = (Oidc::start(&[]).await, format!("issuer: \"{}\"", oidc.issuer));
    namespace.apply(&manifest.replace(&given, &format!("issuer: \"{}\"", second.issuer))).await;
    operator.resume().await;
    let said = namespace.reason("again", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(said.message(ConditionType::Stalled).contains("was being revoked"));
    assert!(second.log().await.is_empty());
}

async fn request(namespace: &Namespace, name: &str, at: &str) {
    let annotation = json!({"metadata": {"annotations": {"oauth-operator.dev/revoke-requested-at": at}}});
    namespace.patch_credential(name, &annotation).await;
}

/// What was said of the request, once it was dealt with.
async fn dealt_with(namespace: &Namespace, name: &str, at: &str) -> RevocationStatus {
    let last = |it: &OAuthCredential| it.status.as_ref()?.last_revocation.clone().filter(|last| last.request == at);
    let credential = namespace.credential_until(name, "the request is dealt with", SOON, |it| last(it).is_some()).await;
    last(&credential).unwrap()
}

/// A person asks for it: once for each value, and never by a manifest of before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_revoked_when_a_person_asks() {
    let (namespace, oidc, mut operator) = started("revocation-asked").await;
    let manifest = discovered("it", &oidc, "").await;
    namespace.apply(&manifest).await;
    namespace.ready("it").await;
    let token = namespace.state("it").await["refreshToken"].as_str().unwrap().to_owned();
    // Who suspends it first, in an emergency, is obeyed too.
    namespace.patch_credential("it", &json!({"spec": {"suspend": true}})).await;
    namespace.reason("it", ConditionType::Refreshed, "Suspended").await;
    let at = jiff::Timestamp::now().to_string();
    request(&namespace, "it", &at).await;
    let last = dealt_with(&namespace, "it", &at).await;
    assert!(last.revoked, "{last:?}");
    namespace.patch_credential("it", &json!({"spec": {"suspend": false}})).await;
    let lost = namespace.reason("it", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(!lost.is(ConditionType::Ready) && lost.message(ConditionType::Ready).contains("Put a new refresh token"));
    assert_eq!(refresh(&oidc, &token).await["error"], "invalid_grant");
    let state = namespace.state("it").await;
    assert!(state["refreshToken"].is_null() && state["issued"].is_null() && !state["revoking"].is_null(), "{state}");
    namespace.event("Revoked").await;
    assert!(!operator.log().contains(&token));

    // Neither a restart nor a refresh that is asked for takes it up again.
    let before = oidc.log().await.len();
    operator.restart().await;
    namespace.request_refresh("it", "2026-01-01T00:00:00Z").await;
    throughout("nobody is asked", Duration::from_secs(2), async || {
        let status = namespace.credential("it").await;
        let quiet = oidc.log().await.len() == before && !status.is(ConditionType::Ready);
        (!quiet).then(|| format!("{:?}", status.status))
    })
    .await;

    let seed = oidc.seed("web-post").await;
    namespace.patch_secret("it-input", &json!({"stringData": {"refresh_token": seed}})).await;
    namespace.ready("it").await;
    let kept = namespace.state("it").await["refreshToken"].as_str().unwrap().to_owned();

    // The manifest is applied again, annotation and all.
    let annotated = namespace.credential("it").await.metadata.annotations.unwrap();
    namespace.delete_credential("it").await;
    let spec = credential_alone(&manifest, &annotated["oauth-operator.dev/revoke-requested-at"]);
    until("it is another second", SOON, async || {
        (jiff::Timestamp::now().as_second() > at.parse::<jiff::Timestamp>().unwrap().as_second()).then_some(())
    })
    .await;
    namespace.try_apply(&spec).await.unwrap();
    let last = dealt_with(&namespace, "it", &at).await;
    assert!(!last.revoked && last.message.contains("older than the credential"), "{last:?}");
    namespace.ready("it").await;
    assert_eq!(namespace.state("it").await["refreshToken"].as_str(), Some(kept.as_str()));
}

/// The credential of a manifest alone, with the annotation.
fn credential_alone(manifest: &str, at: &str) -> String {
    let credential = manifest.split("---").find(|document| document.contains("kind: OAuthCredential")).unwrap();
    let annotated = format!("metadata: {{annotations: {{oauth-operator.dev/revoke-requested-at: \"{at}\"}}, ");
    credential.replace("metadata: {", &annotated)
}

/// Without an endpoint nothing changes; a server that is down is tried again, and its tokens aren't used meanwhile; one that refuses isn't.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_not_be_obeyed_is_told_of() {
    let (namespace, mut oidc, operator) = started("revocation-told").await;
    let standin = Standin::start(Hover::default()).await;
    namespace.apply(&hover("nowhere", &standin, "")).await;
    let given = format!("token: \"{}\"", standin.token_url());
    let revocation = format!("{given}, revocation: \"{}/nowhere\"", standin.url());
    namespace.apply(&hover("refusing", &standin, "").replace(&given, &revocation)).await;
    namespace.apply(&discovered("down", &oidc, "").await).await;
    for name in ["nowhere", "refusing", "down"] {
        namespace.ready(name).await;
    }
    let at = jiff::Timestamp::now().to_string();
    request(&namespace, "nowhere", &at).await;
    let last = dealt_with(&namespace, "nowhere", &at).await;
    assert!(!last.revoked && last.message.contains("set endpoints.revocation"), "{last:?}");
    let still = namespace.credential("nowhere").await;
    assert!(still.is(ConditionType::Ready) && !still.is(ConditionType::Stalled));
    namespace.request_refresh("nowhere", "2026-01-01T00:00:00Z").await;
    namespace.revision("nowhere", 2, SOON).await;

    request(&namespace, "refusing", &at).await;
    let last = dealt_with(&namespace, "refusing", &at).await;
    assert!(!last.revoked && last.message.contains("Revoke them at the provider"), "{last:?}");
    let stalled = namespace.reason("refusing", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(stalled.is(ConditionType::Ready), "its token wasn't revoked");
    assert_eq!(standin.replays(), 0);

    request(&namespace, "nowhere", "now").await;
    assert!(dealt_with(&namespace, "nowhere", "now").await.message.contains("RFC 3339"));

    oidc.stop();
    request(&namespace, "down", &at).await;
    let stalled = namespace.reason("down", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(stalled.is(ConditionType::Ready) && stalled.message(ConditionType::Stalled).contains("It is tried again"));
    until("it was tried twice", SOON, async || (operator.log().matches("not revoked yet").count() >= 2).then_some(()))
        .await;
    assert!(namespace.status("down").await.last_revocation.is_none());
}

/// The operator dies with the state marked, and again when the server has revoked and nothing says so: it is done once more.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_outlives_the_operator() {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace("revocation-killed").await;
    let (oidc, proxy) = (Oidc::start(&[]).await, Proxy::start(cluster).await);
    let mut operator = Operator::behind(&proxy, &namespace, &["--allow-insecure-http"]).await;
    namespace.apply(&discovered("it", &oidc, "").await).await;
    namespace.ready("it").await;
    let token = namespace.state("it").await["refreshToken"].as_str().unwrap().to_owned();

    proxy.spoil("it", Write::State, Fault::StallAfter);
    let at = jiff::Timestamp::now().to_string();
    request(&namespace, "it", &at).await;
    proxy.caught().await;
    assert!(!namespace.state("it").await["revoking"].is_null(), "marked before it is sent");
    proxy.spoil("it", Write::State, Fault::StallBefore);
    operator.restart().await;
    proxy.caught().await;
    assert_eq!(refresh(&oidc, &token).await["error"], "invalid_grant");
    assert_eq!(namespace.state("it").await["refreshToken"].as_str(), Some(token.as_str()), "nothing says so");
    operator.restart().await;
    assert!(dealt_with(&namespace, "it", &at).await.revoked);
    let lost = namespace.reason("it", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(!lost.is(ConditionType::Ready));
    assert!(namespace.state("it").await["refreshToken"].is_null());
}

/// Uninstalling: the finalizer goes, others' stay, and nothing is revoked; but not while an operator leads.
#[tokio::test(flavor = "multi_thread")]
async fn finalizers_are_taken_off_once_nobody_leads() {
    let (namespace, oidc, mut operator) = started("revocation-uninstall").await;
    namespace.apply(&discovered("it", &oidc, "  revocationPolicy: OnDelete").await).await;
    namespace.apply(&discovered("other", &oidc, "").await).await;
    for name in ["it", "other"] {
        namespace.ready(name).await;
    }
    let foreign = "example.com/mine";
    namespace.patch_credential("it", &json!({"metadata": {"finalizers": [FINALIZER, foreign]}})).await;

    let mut removing = operator.run(&["remove-finalizers"]);
    throughout("it waits for the leader", Duration::from_secs(3), async || {
        let are = finalizers(&namespace, "it").await;
        (are != [FINALIZER, foreign]).then(|| format!("{are:?}"))
    })
    .await;
    operator.kill();
    let ended = until("it has ended", Duration::from_secs(60), async || removing.try_wait().unwrap()).await;
    assert!(ended.success());
    assert_eq!(finalizers(&namespace, "it").await, [foreign]);
    let again = operator.run(&["remove-finalizers"]).wait().unwrap();
    assert!(again.success(), "there is nothing left to do");
    namespace.patch_credential("it", &json!({"metadata": {"finalizers": null}})).await;
    assert!(oidc.log().await.iter().all(|entry| entry["grant_type"] == "refresh_token"), "nothing is revoked");
}
