//! `prune`: state whose credential is gone, and nothing else.

use serde_json::json;

use crate::person::Person;
use crate::support::{Cluster, Namespace};

async fn state(namespace: &Namespace, name: &str, credential: &str, type_: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": type_,
        "metadata": {
            "name": name, "labels": {"oauth-operator.dev/credential": credential},
            "annotations": {"oauth-operator.dev/revision": "4"},
        },
        "stringData": {"format": "1", "state.json": "{}"},
    });
    namespace.apply(&secret.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphaned_state_is_deleted_once_a_person_agrees() {
    let namespace = Cluster::shared().await.namespace("prune").await;
    let person = Person::admin(&namespace);
    assert!(person.runs(&["prune"]).ended(0).contains("No state Secret is orphaned"));

    let kept = json!({
        "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "metadata": {"name": "kept"},
        "spec": {"provider": {"endpoints": {"token": "https://a.example/t"}}, "grant": {"clientCredentials": {}}},
    });
    namespace.apply(&kept.to_string()).await;
    let own = "oauth-operator.dev/state";
    state(&namespace, "kept-oauth-state", "kept", own).await;
    state(&namespace, "gone-oauth-state", "gone", own).await;
    // Others' Secrets, whatever they are called.
    state(&namespace, "other-oauth-state", "other", "Opaque").await;
    state(&namespace, "backup", "gone", own).await;

    let shown = person.runs(&["prune", "--dry-run"]).ended(0);
    assert!(shown.contains("prune       gone-oauth-state   gone                4"), "{shown}");
    assert!(shown.ends_with("1 state Secret would be deleted.\n"), "{shown}");
    let unasked = person.runs(&["prune"]).ended(2);
    assert!(unasked.contains("--yes") && unasked.contains("refresh tokens in them are lost"), "{unasked}");
    assert!(namespace.secret("gone-oauth-state").await.is_some());

    let deleted = person.runs(&["prune", "--yes"]).ended(0);
    assert!(deleted.contains("secret/gone-oauth-state in namespace prune deleted"), "{deleted}");
    assert!(namespace.secret("gone-oauth-state").await.is_none());
    for name in ["kept-oauth-state", "other-oauth-state", "backup"] {
        assert!(namespace.secret(name).await.is_some(), "{name}");
    }
    assert!(person.runs(&["prune", "-A", "--dry-run"]).stdout.lines().all(|line| !line.contains("kept-oauth-state")));
}
