use serde_json::{Value, json};

use super::*;
use crate::{api::OAuthCredential, plugin::account::row};

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn credential(name: &str, provider: &str, refreshed: (&str, &str)) -> OAuthCredential {
    let (status, reason) = refreshed;
    let condition = |type_| json!({"type": type_, "status": status, "reason": reason, "message": "Do this.", "lastTransitionTime": "2026-11-23T11:00:00Z"});
    from(json!({
        "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential",
        "metadata": {"name": name, "namespace": "a", "generation": 1},
        "spec": {"providerRef": {"kind": "ClusterOAuthProvider", "name": provider}, "grant": {"clientCredentials": {}}},
        "status": {"observedGeneration": 1, "conditions": [condition("Ready"), condition("Refreshed")]},
    }))
}

#[test]
fn kubernetes_may_be_too_old() {
    assert_eq!(judge::api_server("1", "31+", "v1.31.2").level, Level::Ok);
    assert_eq!(judge::api_server("1", "30", "v1.30.0").level, Level::Failed);
    assert_eq!(judge::api_server("2", "0", "v2.0.0").level, Level::Ok);
}

#[test]
fn crds_are_compared_with_this_versions() {
    let (_, expected) = crd::all().unwrap().remove(0);
    let mut seen = expected.clone();
    let judged = |seen: &CustomResourceDefinition| judge::crd(&expected, &Seen::There(seen.clone()));
    assert!(judged(&seen).message.contains("not served yet"));
    seen.status = from(json!({"conditions": [{"type": "Established", "status": "True"}]}));
    assert_eq!(judged(&seen).level, Level::Ok);
    seen.spec.versions[0].schema = None;
    assert_eq!(judged(&seen).level, Level::Note);
    assert_eq!(judge::crd(&expected, &Seen::Absent).level, Level::Failed);
    assert_eq!(judge::crd(&expected, &Seen::Hidden).level, Level::Note);
}

fn deployment(arguments: &[&str], wanted: i32, ready: i32) -> k8s_openapi::api::apps::v1::Deployment {
    from(json!({
        "metadata": {"name": "release"},
        "spec": {
            "replicas": wanted, "selector": {},
            "template": {"spec": {"serviceAccountName": "account", "containers": [{"name": "oauth-operator", "args": arguments}]}},
        },
        "status": {"readyReplicas": ready},
    }))
}

#[test]
fn the_deployment_is_known_by_its_container() {
    let mut other = deployment(&[], 1, 1);
    other.spec.as_mut().unwrap().template.spec.as_mut().unwrap().containers[0].name = "web".to_owned();
    let installed =
        Installed::of(Seen::There(vec![other.clone(), deployment(&["--namespace=a,b", "--namespace=c"], 2, 2)]));
    assert_eq!(
        (installed.namespaces(), installed.service_account()),
        (["a", "b", "c"].map(str::to_owned).to_vec(), "account")
    );
    assert!(installed.elects());
    let findings = judge::deployments(&installed, "oauth-operator");
    assert_eq!((findings.len(), findings[0].level), (1, Level::Ok));
    assert_eq!(judge::deployments(&Installed::of(Seen::There(vec![other])), "x")[0].level, Level::Note);
    for (wanted, ready, level) in [(2, 1, Level::Note), (2, 0, Level::Failed), (0, 0, Level::Failed)] {
        let installed = Installed::of(Seen::There(vec![deployment(&["--leader-election=false"], wanted, ready)]));
        assert_eq!(judge::deployments(&installed, "x")[0].level, level);
        assert!(!installed.elects());
    }
}

fn lease(holder: &str, renewed: &str, version: &str) -> Seen<Lease> {
    Seen::There(from(json!({
        "metadata": {"resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
    })))
}

#[test]
fn a_lease_is_judged_by_its_time_and_in_doubt_by_its_being_renewed() {
    let fresh = lease("pod", "2026-11-23T11:59:50.000000Z", "1");
    assert_eq!(judge::lease_in_doubt(&fresh, now()), None);
    assert_eq!(judge::lease(&fresh, None, "x").level, Level::Ok);
    let old = lease("pod", "2026-11-23T11:00:00.000000Z", "1");
    assert_eq!(judge::lease_in_doubt(&old, now()).unwrap().as_secs(), 15);
    assert_eq!(judge::lease(&old, Some(&old), "x").level, Level::Failed);
    let renewed = lease("pod", "2026-11-23T11:00:05.000000Z", "2");
    assert_eq!(judge::lease(&renewed, Some(&old), "x").level, Level::Ok);
    let released = lease("", "2026-11-23T11:59:50.000000Z", "1");
    assert_eq!(judge::lease_in_doubt(&released, now()), None);
    assert_eq!(judge::lease(&released, None, "x").level, Level::Failed);
    assert_eq!(judge::lease(&Seen::Absent, None, "x").level, Level::Failed);
    assert_eq!(judge::lease(&Seen::Hidden, None, "x").level, Level::Note);
}

#[test]
fn the_operators_rights_are_those_of_the_shipped_rules() {
    let everywhere = rights::of_operator("own", &[]).unwrap();
    let texts: Vec<_> = everywhere.iter().map(ToString::to_string).collect();
    for right in
        ["patch oauthcredentials/status", "delete secrets", "list clusteroauthproviders", "update leases in own"]
    {
        assert!(texts.iter().any(|text| text == right), "{right}: {texts:?}");
    }
    let some = rights::of_operator("own", &["a".to_owned(), "b".to_owned()]).unwrap();
    let texts: Vec<_> = some.iter().map(ToString::to_string).collect();
    for right in ["delete secrets in b", "list clusteroauthproviders", "get secrets in own", "create events in a"] {
        assert!(texts.iter().any(|text| text == right), "{right}: {texts:?}");
    }
    assert!(!texts.iter().any(|text| text == "delete secrets" || text == "delete secrets in own"));

    assert_eq!(judge::operators_rights("a", &[]).level, Level::Ok);
    let lacking = judge::operators_rights("a", &[&everywhere[0]]);
    assert_eq!(lacking.level, Level::Failed);
    assert!(lacking.message.contains("get oauthcredentials"), "{}", lacking.message);
    let commands = rights::of_commands(Some("a"));
    assert_eq!(judge::own_rights(&[&commands[2]]).message, "you may not: get secrets in a (status)");
}

#[test]
fn credentials_that_need_somebody_are_named() {
    let rows = |credentials: &[OAuthCredential]| credentials.iter().map(|c| row(c, now())).collect::<Vec<_>>();
    let good = credential("good", "google", ("True", "Issued"));
    assert_eq!(judge::credentials(&rows(std::slice::from_ref(&good)))[0].message, "1, all Ready");
    let bad = credential("bad", "google", ("False", "InvalidClient"));
    let findings = judge::credentials(&rows(&[good, bad]));
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].about.as_str(), findings[0].level), ("credential a/bad", Level::Failed));
    assert_eq!(findings[0].message, "InvalidClient: Do this.");
    assert!(judge::unreadable(&[]).is_none() && judge::unreadable(&["a/b".to_owned()]).is_some());
}

#[test]
fn egress_is_what_the_operators_own_attempts_tell() {
    let told = judge::servers(&[
        credential("a", "google", ("True", "Issued")),
        credential("b", "google", ("False", "InvalidClient")),
        credential("c", "inside", ("False", "EgressDenied")),
        credential("d", "inside", ("True", "Issued")),
        credential("e", "never", ("False", "SourceSecretNotFound")),
    ]);
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].level, told[1].level), (Level::Ok, Level::Failed));
    assert_eq!(told[0].message, "the last attempt of 2 credentials got an answer");
    assert_eq!(told[1].about, "egress to ClusterOAuthProvider inside");
}

#[test]
fn the_answer_ends_with_the_sum() {
    let findings = [Finding::new(Level::Ok, "a", "fine"), Finding::new(Level::Failed, "b", "do this")];
    assert_eq!(
        text(&findings, 1),
        "RESULT   WHAT   FOUND\nok       a      fine\nFAILED   b      do this\n\n1 check failed.\n"
    );
    assert!(text(&findings[..1], 0).ends_with("\nEverything is in order.\n"));
}
