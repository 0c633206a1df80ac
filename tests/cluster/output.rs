//! The output Secret: ours alone where it is ours, somebody else's left alone, and put right when it was touched.

use std::time::Duration;

use oauth_operator::api::ConditionType;
use serde_json::json;

use super::manifests::{MACHINES, hover, machine};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, text, throughout, until};

const LABEL: &str = "oauth-operator.dev/credential";

async fn started(name: &str) -> (Namespace, Standin, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let standin = Standin::start(Hover::default()).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    (namespace, standin, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_to_the_secret_is_undone_without_a_token_request() {
    let (namespace, standin, _operator) = started("drift").await;
    namespace.apply(&hover("drift", &standin, "  secret: {labels: {team: reports}}")).await;
    namespace.ready("drift").await;
    let output = namespace.secret("drift-token").await.unwrap();
    let token = text(&output, "access_token").unwrap();
    // Another version of it than `version`, and as it should be.
    let restored = async |version: &str, what: &str| {
        let secret = namespace
            .secret_until("drift-token", what, |secret| {
                secret.metadata.resource_version.as_deref() != Some(version)
                    && text(secret, "access_token").as_ref() == Some(&token)
                    && text(secret, "token_type").as_deref() == Some("Bearer")
                    && secret.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(LABEL))
            })
            .await;
        assert_eq!(secret.metadata.labels.as_ref().unwrap()["team"], "reports");
        secret
    };
    for (what, patch) in [
        ("a key was altered", json!({"stringData": {"access_token": "rubbish"}})),
        ("a key was deleted", json!({"data": {"token_type": null}})),
        ("its label was stripped", json!({"metadata": {"labels": {LABEL: null}}})),
        ("its label was altered", json!({"metadata": {"labels": {LABEL: "another"}}})),
    ] {
        namespace.patch_secret("drift-token", &patch).await;
        let touched = namespace.secret("drift-token").await.unwrap();
        if touched
            .metadata
            .managed_fields
            .unwrap()
            .iter()
            .any(|entry| entry.manager.as_deref() == Some("somebody-else"))
        {
            restored(&touched.metadata.resource_version.unwrap(), what).await;
        } else {
            restored("", what).await;
        }
    }
    namespace.delete_secret("drift-token").await;
    restored("", "it was deleted").await;
    // The status speaks of the new one, too.
    until("the status names the Secret that is there", SOON, async || {
        let uid = namespace.secret("drift-token").await?.metadata.uid?;
        (namespace.status("drift").await.secret?.uid == uid).then_some(())
    })
    .await;
    assert_eq!(namespace.status("drift").await.revision, Some(1));
    assert_eq!(standin.requests().len(), 1, "nothing of this needs a token request");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_while_nobody_looked_is_undone_too() {
    let (namespace, standin, mut operator) = started("drift-meanwhile").await;
    for name in ["altered", "deleted"] {
        namespace.apply(&hover(name, &standin, "")).await;
        namespace.ready(name).await;
    }
    let tokens = [namespace.value("altered-token", "access_token"), namespace.value("deleted-token", "access_token")];
    let tokens = futures::future::join_all(tokens).await;
    operator.terminate();
    operator.end(SOON).await;
    namespace.patch_secret("altered-token", &json!({"stringData": {"access_token": "rubbish"}})).await;
    namespace.delete_secret("deleted-token").await;
    operator.resume().await;
    for (name, token) in ["altered-token", "deleted-token"].into_iter().zip(tokens) {
        let restored =
            |secret: &k8s_openapi::api::core::v1::Secret| text(secret, "access_token").as_ref() == Some(&token);
        namespace.secret_until(name, "restored", restored).await;
    }
    assert_eq!(standin.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_keeps_nothing_restores_with_a_new_token() {
    let namespace = Cluster::shared().await.namespace("drift-machine").await;
    let oidc = Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.apply(MACHINES).await;
    namespace.apply(&machine("machine", "post", &oidc.token_url(), "")).await;
    namespace.ready("machine").await;
    namespace.patch_secret("machine-token", &json!({"stringData": {"access_token": "rubbish"}})).await;
    namespace
        .secret_until("machine-token", "restored", |secret| text(secret, "access_token").as_deref() != Some("rubbish"))
        .await;
    namespace.revision("machine", 2, SOON).await;
    namespace.delete_secret("machine-token").await;
    namespace.secret_until("machine-token", "restored", |_| true).await;
    namespace.revision("machine", 3, SOON).await;
    assert_eq!(oidc.log().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_labels_and_annotations_stay() {
    let (namespace, standin, _operator) = started("foreign-keys").await;
    namespace.apply(&hover("beside", &standin, "")).await;
    namespace.ready("beside").await;
    let theirs = json!({
        "metadata": {"labels": {"theirs": "label"}, "annotations": {"theirs": "annotation"}},
        "stringData": {"theirs": "key"},
    });
    namespace.patch_secret("beside-token", &theirs).await;
    let token = namespace.value("beside-token", "access_token").await;
    namespace.request_refresh("beside", "2026-01-01T00:00:00Z").await;
    namespace.revision("beside", 2, SOON).await;
    let secret = namespace.secret("beside-token").await.unwrap();
    assert_ne!(text(&secret, "access_token").unwrap(), token);
    assert_eq!(text(&secret, "theirs").unwrap(), "key");
    assert_eq!(secret.metadata.labels.unwrap()["theirs"], "label");
    assert_eq!(secret.metadata.annotations.unwrap()["theirs"], "annotation");
    assert_eq!(standin.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_is_left_alone_until_it_goes() {
    let (namespace, standin, _operator) = started("foreign").await;
    let foreign = "apiVersion: v1\nkind: Secret\nmetadata: {name: mine-token}\nstringData: {theirs: precious}";
    namespace.apply(foreign).await;
    let before = namespace.secret("mine-token").await.unwrap();
    namespace.apply(&hover("mine", &standin, "")).await;

    let credential = namespace.reason("mine", ConditionType::Stalled, "SecretConflict").await;
    assert!(!credential.is(ConditionType::Ready) && !credential.is(ConditionType::Reconciling));
    namespace.keep("failed", &credential);
    let after = namespace.secret("mine-token").await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);

    // What was bought before the conflict was found is in the state: it is published then, and not bought again.
    namespace.delete_secret("mine-token").await;
    namespace.ready("mine").await;
    assert_eq!((standin.requests().len(), standin.replays()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_template_is_rendered_from_state() {
    let (namespace, standin, _operator) = started("template").await;
    let spec = |template: &str| format!("  secret: {{template: {{{template}}}}}");
    let manifest = hover("rendered", &standin, &spec(r#"token: "{{ access_token }}", old: "x""#));
    namespace.apply(&manifest).await;
    namespace.ready("rendered").await;
    let token = namespace.value("rendered-token", "token").await;

    let changed = manifest.replace(
        &spec(r#"token: "{{ access_token }}", old: "x""#),
        &spec(r#"header: "Bearer {{ access_token }} of {{ response.owner_type }}""#),
    );
    namespace.apply(&changed).await;
    let secret = namespace.secret_until("rendered-token", "the new key", |s| text(s, "header").is_some()).await;
    assert_eq!(text(&secret, "header").unwrap(), format!("Bearer {token} of orgs"));
    assert_eq!(secret.data.unwrap().len(), 1, "keys that left the template are gone");
    namespace.ready("rendered").await;

    // A field that no reply has: the state is kept, and nothing is asked for.
    let missing = manifest.replace("old: \"x\"", "old: \"{{ response.nonsense }}\"");
    namespace.apply(&missing).await;
    let credential = namespace.reason("rendered", ConditionType::Stalled, "InvalidResponse").await;
    assert!(credential.message(ConditionType::Stalled).contains("old"), "the message names the key");
    namespace.apply(&manifest).await;
    namespace.secret_until("rendered-token", "as at first", |s| text(s, "old").as_deref() == Some("x")).await;
    namespace.ready("rendered").await;
    assert_eq!((standin.requests().len(), standin.replays()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_output_takes_the_old_one_along_or_leaves_it() {
    let (namespace, standin, _operator) = started("renamed").await;
    for (policy, stays) in [("Delete", false), ("Retain", true)] {
        let name = policy.to_lowercase();
        let (first, second) = (format!("{name}-first"), format!("{name}-second"));
        let manifest = hover(&name, &standin, &format!("  secret: {{name: {first}, deletionPolicy: {policy}}}"));
        namespace.apply(&manifest).await;
        namespace.ready(&name).await;
        let owners = namespace.secret(&first).await.unwrap().metadata.owner_references.unwrap_or_default();
        assert_eq!(owners.len(), usize::from(!stays), "an ownerReference under Delete only");

        namespace.apply(&manifest.replace(&first, &second)).await;
        namespace.secret_until(&second, "the new one", |secret| text(secret, "access_token").is_some()).await;
        namespace.ready(&name).await;
        until("the old one follows deletionPolicy", SOON, async || {
            (namespace.secret(&first).await.is_some() == stays).then_some(())
        })
        .await;
    }
    assert_eq!(standin.requests().len(), 2, "one for each credential, none for a rename");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_makes_another_secret() {
    let (namespace, standin, _operator) = started("retyped").await;
    let template = r#"template: {username: oauth2, password: "{{ access_token }}"}"#;
    let manifest = hover("typed", &standin, &format!("  secret: {{type: Opaque, {template}}}"));
    namespace.apply(&manifest).await;
    namespace.ready("typed").await;
    let before = namespace.secret("typed-token").await.unwrap();
    namespace.apply(&manifest.replace("type: Opaque", "type: kubernetes.io/basic-auth")).await;
    let after = namespace
        .secret_until("typed-token", "the new type", |s| s.type_.as_deref() == Some("kubernetes.io/basic-auth"))
        .await;
    assert_ne!(after.metadata.uid, before.metadata.uid);
    assert_eq!(after.data, before.data);
    namespace.ready("typed").await;

    namespace.apply(&manifest.replace("type: Opaque", "type: kubernetes.io/service-account-token")).await;
    let credential = namespace.reason("typed", ConditionType::Stalled, "InvalidSpec").await;
    assert!(credential.message(ConditionType::Stalled).contains("--allow-secret-type"));
    assert_eq!(standin.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_secret_is_a_conflict() {
    let (namespace, standin, _operator) = started("immutable").await;
    namespace.apply(&hover("fixed", &standin, "")).await;
    namespace.ready("fixed").await;
    namespace.patch_secret("fixed-token", &json!({"immutable": true})).await;
    namespace.request_refresh("fixed", "2026-01-01T00:00:00Z").await;
    let credential = namespace.reason("fixed", ConditionType::Stalled, "SecretConflict").await;
    assert!(credential.message(ConditionType::Stalled).contains("immutable"));
    let asked = standin.requests().len();
    throughout("no request while it can't be written", Duration::from_secs(2), async || {
        (standin.requests().len() != asked).then(|| format!("{} requests", standin.requests().len()))
    })
    .await;
    namespace.delete_secret("fixed-token").await;
    namespace.secret_until("fixed-token", "written anew", |secret| secret.immutable.is_none()).await;
    namespace.ready("fixed").await;
    assert_eq!((standin.requests().len(), standin.replays()), (asked, 0));
}
