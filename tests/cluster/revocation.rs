//! Credentials that are deleted: what was issued is revoked where that was asked for, and nothing is held for long.

use std::time::Duration;

use kube::api::DeleteParams;
use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use super::manifests::{hover, web};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, until};

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
    until("an Event says so", SOON, async || {
        let events = namespace.events().await;
        let told =
            |note: &str| note.contains("An input Secret is gone") && note.contains("Revoke them at the provider");
        let mut notes = events.iter().filter(|event| event.reason.as_deref() == Some("NotRevoked"));
        notes.any(|event| event.note.as_deref().is_some_and(told)).then_some(())
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
