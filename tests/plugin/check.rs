//! `check`: against the CRDs and rules as they are shipped, with an operator and without.

use serde_json::Value;

use crate::person::{Person, credential};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Operator, SOON, until};

fn finding<'a>(findings: &'a [Value], about: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["about"] == about);
    found.unwrap_or_else(|| panic!("nothing about {about}: {findings:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_order_is_told_from_what_is_not() {
    let namespace = Cluster::shared().await.namespace("check").await;
    let standin = Standin::start(Hover::default()).await;
    namespace.apply(&credential("calendar", &standin, "")).await;
    let person = Person::admin(&namespace);
    let arguments = ["check", "--operator-namespace", "check", "-o", "json"];
    let findings = |status: i32| -> Vec<Value> {
        let ran = person.runs(&arguments);
        ran.ended(status);
        serde_json::from_str(&ran.stdout).unwrap()
    };

    let without = findings(1);
    let lease = finding(&without, "Lease oauth-operator");
    assert!(
        lease["level"] == "failed" && lease["message"].as_str().unwrap().contains("no operator has run"),
        "{lease}"
    );
    assert_eq!(finding(&without, "credential check/calendar")["level"], "failed");

    let mut operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.ready("calendar").await;
    let with = findings(0);
    for about in [
        "Kubernetes",
        "CRD oauthcredentials",
        "CRD oauthproviders",
        "CRD clusteroauthproviders",
        "Lease oauth-operator",
        "operator's rights",
        "your rights",
        "credentials",
        &format!("egress to {}", standin.token_url()),
    ] {
        assert_eq!(finding(&with, about)["level"], "ok", "{about}: {with:?}");
    }
    assert_eq!(finding(&with, "operator")["level"], "note");
    let text = person.runs(&arguments[..3]).ended(0);
    assert!(text.ends_with("\nEverything is in order.\n"), "{text}");

    operator.kill();
    // Its Lease stands for a while.
    until("the Lease runs out", 2 * SOON, async || (person.runs(&arguments).status == 1).then_some(())).await;
    let dead = findings(1);
    let lease = finding(&dead, "Lease oauth-operator");
    assert!(lease["message"].as_str().unwrap().contains("not renewed any more"), "{lease}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_named() {
    let namespace = Cluster::shared().await.namespace("check-rights").await;
    let ours = "oauth-operator.dev";
    let rights = [(ours, "oauthcredentials", &["get", "list", "watch"][..])];
    let viewer = Person::with_rights(&namespace, "viewer", &rights).await;
    // No such ServiceAccount has any rights.
    let nowhere = ["check", "--operator-namespace", "nowhere"];
    let said = viewer.runs(&nowhere).ended(0);
    for sentence in [
        "you may not read CRDs",
        "you may not list the Deployments of namespace nowhere",
        "you may not read Leases of namespace nowhere",
        "you may not create SubjectAccessReviews",
        "you may not: get oauthproviders in check-rights (status), get secrets in check-rights (status), patch oauthcredentials in check-rights (refresh)",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    let said = Person::admin(&namespace).runs(&nowhere).ended(1);
    assert!(said.contains("ServiceAccount oauth-operator may not: get oauthcredentials, "), "{said}");
}

/// An API server that has no CRDs of ours.
#[tokio::test(flavor = "multi_thread")]
async fn missing_crds_are_named() {
    let cluster = Cluster::start().await;
    let namespace = cluster.namespace("bare").await;
    let person = Person::admin(&namespace);
    let crds: kube::Api<kube::core::DynamicObject> = kube::Api::all_with(
        namespace.client.clone(),
        &kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        )),
    );
    crds.delete_collection(&kube::api::DeleteParams::default(), &kube::api::ListParams::default()).await.unwrap();
    until("status names them", SOON, async || {
        let said = person.runs(&["status"]);
        (said.status == 3 && said.stderr.contains("the CRDs of oauth-operator are not installed")).then_some(())
    })
    .await;
    until("check names all three", SOON, async || {
        let said = person.runs(&["check", "--operator-namespace", "bare"]).ended(1);
        (said.matches("not installed: install the chart").count() == 3).then_some(())
    })
    .await;
}
