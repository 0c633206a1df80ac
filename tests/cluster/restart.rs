//! Workloads that are restarted after a new token. No controllers run here: what is looked at is the pod template.

use std::time::Duration;

use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use oauth_operator::api::{ConditionType, OAuthCredential};
use serde_json::{Value, json};

use super::manifests::hover;
use crate::support::namespace::{apply, documents};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Operator, SOON, throughout, until};

/// The right to restart workloads, as docs/outputs.md has it.
async fn allow_restarts(namespace: &Namespace) {
    let docs = include_str!("../../docs/outputs.md");
    let at = docs.find("kind: Role\nmetadata: {name: oauth-operator-rollout-restart").unwrap();
    let start = docs[..at].rfind("```yaml\n").unwrap() + "```yaml\n".len();
    let yaml = docs[start..].split("```").next().unwrap();
    let yaml = yaml.replace("namespace: team-a", &format!("namespace: {}", namespace.name));
    let yaml = yaml.replace("namespace: oauth-operator}", &format!("namespace: {}}}", namespace.name));
    apply(&namespace.client, &namespace.name, documents(&yaml)).await.unwrap();
}

/// A workload that nobody runs.
fn workload(kind: &str, name: &str) -> Value {
    let labels = json!({"app": name});
    let container = json!({"name": "app", "image": "example.com/app:1"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
    let mut spec = json!({"selector": {"matchLabels": labels}, "template": template});
    if kind == "StatefulSet" {
        spec["serviceName"] = name.into();
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn targets(of: &[(&str, &str)]) -> String {
    let listed: Vec<String> = of.iter().map(|(kind, name)| format!("{{kind: {kind}, name: {name}}}")).collect();
    format!("  rolloutRestart: [{}]", listed.join(", "))
}

/// Its generation, and the annotations of its pod template.
async fn look(namespace: &Namespace, kind: &str, name: &str) -> (i64, Value) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(namespace.client.clone(), &namespace.name, &resource);
    let object = api.get(name).await.unwrap();
    let annotations = object.data.pointer("/spec/template/metadata/annotations").cloned().unwrap_or_default();
    (object.metadata.generation.unwrap(), annotations)
}

/// The annotations of its pod template, once it is at this generation.
async fn restarted(namespace: &Namespace, kind: &str, name: &str, generation: i64) -> Value {
    until("a restart", SOON, async || {
        Some(look(namespace, kind, name).await)
            .filter(|(now, _)| *now >= generation)
            .map(|(_, annotations)| annotations)
    })
    .await
}

async fn stays(namespace: &Namespace, kind: &str, name: &str, generation: i64, time: Duration) {
    throughout("no restart", time, async || {
        let (now, _) = look(namespace, kind, name).await;
        (now != generation).then(|| format!("generation {now}"))
    })
    .await;
}

fn records(credential: &OAuthCredential) -> &[oauth_operator::api::RolloutRestartStatus] {
    &credential.status.as_ref().unwrap().rollout_restarts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_restarts_what_is_named_and_a_restart_of_the_operator_does_not() {
    let namespace = Cluster::shared().await.namespace("restart").await;
    allow_restarts(&namespace).await;
    let standin = Standin::start(Hover::default()).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let named = [("Deployment", "web"), ("StatefulSet", "store"), ("DaemonSet", "agent"), ("Deployment", "web")];
    let objects = named.iter().map(|(kind, name)| workload(kind, name)).chain([workload("Deployment", "other")]);
    apply(&namespace.client, &namespace.name, objects.collect()).await.unwrap();
    namespace.apply(&hover("app", &standin, &targets(&named))).await;
    namespace.ready("app").await;
    assert_eq!(namespace.status("app").await.rollout_restarts, [], "a first token restarts nothing");

    namespace.request_refresh("app", "2026-01-01T00:00:00Z").await;
    for (kind, name) in &named[..3] {
        let annotations = restarted(&namespace, kind, name, 2).await;
        let annotation = annotations["rollout.oauth-operator.dev/app"].as_str().unwrap();
        assert!(annotation.starts_with("revision 2, "), "{annotation}");
        assert_eq!(annotations.as_object().unwrap().len(), 1, "and nothing else");
    }
    assert_eq!(look(&namespace, "Deployment", "other").await, (1, Value::Null));
    let done = namespace
        .credential_until("app", "the status says so", SOON, |it| {
            records(it).len() == 3 && records(it).iter().all(|record| record.revision == Some(2))
        })
        .await;
    assert!(records(&done).iter().all(|record| record.pending_since.is_none() && record.message.is_none()));
    assert!(done.condition(ConditionType::RestartFailed).is_none());
    namespace.event("Restarted").await;

    operator.restart().await;
    stays(&namespace, "Deployment", "web", 2, Duration::from_secs(3)).await;

    // It died after the restart, and before it could note that: what it does again changes nothing.
    let before = records(&done)[0].clone();
    operator.terminate();
    operator.end(SOON).await;
    let annotations = look(&namespace, &format!("{:?}", before.kind), &before.name).await.1;
    let since = annotations["rollout.oauth-operator.dev/app"].as_str().unwrap().split_once(", ").unwrap().1.to_owned();
    let unnoted: Vec<Value> = records(&done)
        .iter()
        .map(|record| json!({"kind": record.kind, "name": record.name, "pendingSince": since}))
        .collect();
    let patch = Patch::Merge(json!({"status": {"rolloutRestarts": unnoted}}));
    namespace.credentials().patch_status("app", &PatchParams::default(), &patch).await.unwrap();
    operator.resume().await;
    namespace
        .credential_until("app", "it is noted", SOON, |it| {
            records(it).iter().all(|record| record.pending_since.is_none())
        })
        .await;
    for (kind, name) in &named[..3] {
        assert_eq!(look(&namespace, kind, name).await.0, 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_restart_serves_all_that_changed() {
    let namespace = Cluster::shared().await.namespace("restart-shared").await;
    allow_restarts(&namespace).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, &namespace.name, vec![workload("Deployment", "app")]).await.unwrap();
    let mut standins = Vec::new();
    for name in ["mail", "files"] {
        let standin = Standin::start(Hover::default()).await;
        namespace.apply(&hover(name, &standin, &targets(&[("Deployment", "app")]))).await;
        standins.push(standin);
        namespace.ready(name).await;
    }
    for name in ["mail", "files"] {
        namespace.request_refresh(name, "2026-01-01T00:00:00Z").await;
        namespace.revision(name, 2, SOON).await;
    }
    let annotations = restarted(&namespace, "Deployment", "app", 2).await;
    let keys: Vec<&String> = annotations.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["rollout.oauth-operator.dev/files", "rollout.oauth-operator.dev/mail"]);
    // A further token waits for its turn.
    namespace.request_refresh("mail", "2026-01-02T00:00:00Z").await;
    namespace
        .credential_until("mail", "it is to be restarted", SOON, |it| {
            records(it).iter().any(|record| record.pending_since.is_some() && record.revision == Some(2))
        })
        .await;
    stays(&namespace, "Deployment", "app", 2, Duration::from_secs(13)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restarted_is_told_of_and_refreshed_all_the_same() {
    let namespace = Cluster::shared().await.namespace("restart-failed").await;
    let standin = Standin::start(Hover::default()).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, &namespace.name, vec![workload("Deployment", "app")]).await.unwrap();
    namespace.apply(&hover("app", &standin, &targets(&[("Deployment", "app"), ("DaemonSet", "gone")]))).await;
    namespace.ready("app").await;
    namespace.request_refresh("app", "2026-01-01T00:00:00Z").await;
    let failed = namespace.reason("app", ConditionType::RestartFailed, "NotAllowed").await;
    let message = failed.message(ConditionType::RestartFailed);
    assert!(message.contains("may not restart the Deployment app: grant it patch on deployments"), "{message}");
    assert!(failed.is(ConditionType::Ready) && failed.is(ConditionType::Refreshed));
    assert!(failed.condition(ConditionType::Stalled).is_none());
    namespace.keep("current", &failed);
    let warns =
        |event: &Event| event.reason.as_deref() == Some("NotAllowed") && event.type_.as_deref() == Some("Warning");
    namespace.event_where("a Warning", warns).await;
    namespace.request_refresh("app", "2026-01-02T00:00:00Z").await;
    namespace.revision("app", 3, SOON).await;

    // Once it may, and looks again, what exists is restarted; what is missing is said to be.
    allow_restarts(&namespace).await;
    operator.restart().await;
    let annotations = restarted(&namespace, "Deployment", "app", 2).await;
    assert!(annotations["rollout.oauth-operator.dev/app"].as_str().unwrap().starts_with("revision 3, "));
    let missing = namespace.reason("app", ConditionType::RestartFailed, "WorkloadNotFound").await;
    let message = missing.message(ConditionType::RestartFailed);
    assert!(message.contains("no DaemonSet gone") && !message.contains("Deployment app"), "{message}");
    assert!(records(&missing).iter().all(|record| record.pending_since.is_none()));

    // It is no longer named, and nothing is wrong any more.
    let named = json!([{"kind": "Deployment", "name": "app"}]);
    namespace.patch_credential("app", &json!({"spec": {"rolloutRestart": named}})).await;
    namespace
        .credential_until("app", "it is in order", SOON, |it| it.condition(ConditionType::RestartFailed).is_none())
        .await;
    let deployments: Api<Deployment> = Api::namespaced(namespace.client.clone(), &namespace.name);
    assert_eq!(deployments.get("app").await.unwrap().metadata.generation, Some(2));
}
