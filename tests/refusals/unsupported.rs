//! What the schema has and this version doesn't carry out yet: said in so many words, and never half done.

use oauth_operator::api::{ConditionType, Reason};
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    case::{Case, Expect, client, nothing_leaked, run_all, spec},
    manifests::promised,
    objects::object,
    support::{Cluster, Operator, namespace::apply},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_feature_that_is_not_there_yet_is_named() {
    let namespace = Cluster::shared().await.namespace("unsupported").await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, "unsupported", vec![client()]).await.unwrap();

    let case = |name: &'static str, patch: Value, feature: &str, instead: &str| {
        let url = answers.url(name);
        let says = [&*format!("does not carry out {feature} yet"), instead, "or install a version that does"];
        Case::of_spec(name, spec(&url, &patch), Expect::stalled("InvalidSpec", &says), &spec(&url, &json!({})))
    };
    let cases = [case(
        "restart",
        json!({"rolloutRestart": [{"kind": "Deployment", "name": "a"}]}),
        "rolloutRestart",
        "leave it out",
    )];
    run_all(&namespace, &cases).await;
    for case in &cases {
        assert_eq!(answers.arrivals(case.name).len(), 1, "{}", case.name);
    }
    nothing_leaked(&namespace, &operator).await;
}

/// The promised manifests that need one of these: each credential says which.
#[tokio::test(flavor = "multi_thread")]
async fn promised_manifests_say_what_they_lack() {
    let namespace = Cluster::shared().await.namespace("unsupported-manifests").await;
    let operator = Operator::start(&namespace, &[]).await;
    let gitlab = json!({"spec": {"endpoints": {"token": "https://gitlab.example.com/oauth/token"}}});
    // The provider `more` asks for this label.
    let labels = json!({"name": namespace.name, "labels": {"oauth": "yes"}});
    let labelled = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": labels});
    let mut objects = vec![object("ClusterOAuthProvider", "gitlab", gitlab), labelled];
    objects.extend(promised(&namespace.name).into_iter().map(|(_, object)| object));
    apply(&namespace.client, &namespace.name, objects).await.unwrap();

    let lacking = [("reports", "rolloutRestart")];
    for (name, feature) in lacking {
        let sentence = format!("This version of oauth-operator does not carry out {feature} yet");
        let what = format!("Stalled: {sentence}");
        let stalled = |credential: &oauth_operator::api::OAuthCredential| {
            use crate::support::Conditions;
            credential.is(ConditionType::Stalled)
                && credential.reason(ConditionType::Ready) == Some(Reason::InvalidSpec.as_str())
                && credential.message(ConditionType::Stalled).starts_with(&sentence)
        };
        let credential = namespace.credential_until(name, &what, crate::support::SOON, stalled).await;
        namespace.keep("failed", &credential);
    }
    drop(operator);
}
