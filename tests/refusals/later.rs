//! What goes wrong while there is a valid token: Ready stays as it is, and everything else says what has happened.

use oauth_operator::api::{ConditionType, OAuthCredential};
use serde_json::{Value, json};

use crate::{
    answers::error,
    case::{nothing_leaked, spec},
    objects::{credential, merged, object, secret},
    replies::{prepare, seed, seeded},
    support::{Conditions, Namespace, SOON, namespace::apply},
};

/// A refresh that fails while the token is valid: Ready stays, Refreshed says what happened, and a lost grant stalls at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_outlives_a_failed_refresh() {
    let (namespace, answers, operator) = prepare("outlives").await;
    let (first, grant) = seeded("it");
    let spec = spec(&answers.url("it"), &grant);
    apply(&namespace.client, "outlives", vec![first, credential("it", &spec)]).await.unwrap();
    namespace.ready("it").await;

    answers.set("it", error("400 Bad Request", "temporarily_unavailable"));
    namespace.request_refresh("it", "2026-01-01T00:00:00Z").await;
    let failed = namespace.reason("it", ConditionType::Refreshed, "ProviderUnavailable").await;
    assert!(failed.is(ConditionType::Ready) && !failed.is(ConditionType::Refreshed));
    assert!(failed.message(ConditionType::Refreshed).starts_with("The provider answered temporarily_unavailable"));
    let abnormal = [ConditionType::Stalled, ConditionType::Reconciling];
    assert!(abnormal.iter().all(|type_| failed.condition(*type_).is_none()));
    namespace.keep("current", &failed);

    answers.set("it", error("400 Bad Request", "invalid_grant"));
    namespace.request_refresh("it", "2026-01-01T00:00:01Z").await;
    let lost = namespace.reason("it", ConditionType::Refreshed, "InvalidGrant").await;
    assert!(lost.is(ConditionType::Ready) && lost.is(ConditionType::Stalled));
    assert_eq!(lost.reason(ConditionType::Stalled), Some("AuthorizationRequired"));
    namespace.keep("failed", &lost);

    answers.set("it", None);
    apply(&namespace.client, "outlives", vec![seed("it", "another-token")]).await.unwrap();
    let cured = namespace.revision("it", 2, SOON).await;
    assert!(cured.is(ConditionType::Refreshed) && cured.condition(ConditionType::Stalled).is_none());
    nothing_leaked(&namespace, &operator).await;
    for reason in ["Issued", "ProviderUnavailable", "InvalidGrant"] {
        namespace.event(reason).await;
    }
}

/// Ready, and not refreshed for this reason; stalled or not.
async fn serves_but(namespace: &Namespace, name: &str, reason: &str, stalled: bool) -> OAuthCredential {
    let said = namespace.reason(name, ConditionType::Refreshed, reason).await;
    assert!(said.is(ConditionType::Ready) && !said.is(ConditionType::Refreshed), "{name}");
    assert_eq!(said.reason(ConditionType::Stalled), stalled.then_some(reason), "{name}");
    assert!(said.condition(ConditionType::Reconciling).is_none(), "{name}");
    namespace.keep(if stalled { "failed" } else { "current" }, &said);
    said
}

/// Nothing is left of what was wrong.
async fn is_well(namespace: &Namespace, name: &str) {
    let well = |credential: &OAuthCredential| {
        credential.is(ConditionType::Ready)
            && credential.is(ConditionType::Refreshed)
            && credential.condition(ConditionType::Stalled).is_none()
    };
    namespace.credential_until(name, "well again", SOON, well).await;
}

/// The provider is deleted, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_goes_and_comes_back() {
    let (namespace, answers, operator) = prepare("deleted-provider").await;
    let provider = object("OAuthProvider", "idp", json!({"spec": {"endpoints": {"token": answers.url("it")}}}));
    let credential = credential("it", &spec("", &json!({"provider": null, "providerRef": {"name": "idp"}})));
    apply(&namespace.client, &namespace.name, vec![provider.clone(), credential]).await.unwrap();
    namespace.ready("it").await;

    let providers: kube::Api<oauth_operator::api::OAuthProvider> =
        kube::Api::namespaced(namespace.client.clone(), &namespace.name);
    providers.delete("idp", &kube::api::DeleteParams::default()).await.unwrap();
    let said = serves_but(&namespace, "it", "ProviderNotFound", false).await;
    assert!(said.message(ConditionType::Refreshed).contains("The OAuthProvider idp doesn't exist: create it"));
    apply(&namespace.client, &namespace.name, vec![provider]).await.unwrap();
    is_well(&namespace, "it").await;
    nothing_leaked(&namespace, &operator).await;
}

/// What is wrong with a spec, a permission or an input does not take away the token that is there.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_leave_the_token_that_is_there() {
    let (namespace, answers, operator) = prepare("mistakes").await;
    let label = |value: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mistakes", "labels": {"oauth": value}}});
    let selective =
        json!({"endpoints": {"token": answers.url("allowed")}, "allowedNamespaces": {"matchLabels": {"oauth": "yes"}}});
    let selective = object("ClusterOAuthProvider", "refusals-mistakes", json!({"spec": selective}));
    let allowed = spec(
        "",
        &json!({"provider": null, "providerRef": {"kind": "ClusterOAuthProvider", "name": "refusals-mistakes"}}),
    );
    let own = |name: &str, patch: &Value| spec(&answers.url(name), patch);
    let reading = own("input", &json!({"client": {"secretRef": {"name": "own"}}}));
    let objects = vec![
        label("yes"),
        selective,
        secret("own", &[("secret", "hunter2")]),
        credential("allowed", &allowed),
        credential("input", &reading),
        credential("template", &own("template", &json!({}))),
        credential("endpoint", &own("endpoint", &json!({}))),
    ];
    apply(&namespace.client, "mistakes", objects).await.unwrap();
    for name in ["allowed", "input", "template", "endpoint"] {
        namespace.ready(name).await;
    }

    apply(&namespace.client, "mistakes", vec![label("no")]).await.unwrap();
    serves_but(&namespace, "allowed", "NotAllowed", true).await;
    apply(&namespace.client, "mistakes", vec![label("yes")]).await.unwrap();
    is_well(&namespace, "allowed").await;

    // Nobody reads an input before it is needed.
    namespace.delete_secret("own").await;
    namespace.request_refresh("input", "2026-01-01T00:00:00Z").await;
    serves_but(&namespace, "input", "SourceSecretNotFound", false).await;
    apply(&namespace.client, "mistakes", vec![secret("own", &[("secret", "hunter2")])]).await.unwrap();
    is_well(&namespace, "input").await;

    let broken = own("template", &json!({"secret": {"template": {"token": "{{"}}}));
    apply(&namespace.client, "mistakes", vec![credential("template", &broken)]).await.unwrap();
    serves_but(&namespace, "template", "InvalidSpec", true).await;
    let before = namespace.value("template-token", "access_token").await;
    assert!(before.starts_with("access-"), "the output is as it was");
    let mended = own("template", &json!({"secret": {"template": {"token": "{{ access_token }}"}}}));
    apply(&namespace.client, "mistakes", vec![credential("template", &mended)]).await.unwrap();
    is_well(&namespace, "template").await;
    namespace
        .secret_until("template-token", "its new key", |secret| crate::support::text(secret, "token").is_some())
        .await;

    // Another server is another token: the one that is there isn't what the spec asks for.
    let elsewhere = merged(
        &own("endpoint", &json!({})),
        &json!({"provider": {"endpoints": {"token": "https://169.254.169.254/"}}}),
    );
    apply(&namespace.client, "mistakes", vec![credential("endpoint", &elsewhere)]).await.unwrap();
    let said = namespace.reason("endpoint", ConditionType::Ready, "EgressDenied").await;
    assert!(!said.is(ConditionType::Ready) && said.is(ConditionType::Stalled));
    apply(&namespace.client, "mistakes", vec![credential("endpoint", &own("endpoint", &json!({})))]).await.unwrap();
    is_well(&namespace, "endpoint").await;
    nothing_leaked(&namespace, &operator).await;
}
