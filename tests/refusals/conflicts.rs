//! Secrets of somebody else's that stand where the operator's should: left alone, said, and waited for.

use serde_json::{Value, json};

use crate::{
    answers::Answers,
    case::{Case, Expect, client, nothing_leaked, spec},
    objects::{credential, merged, secret},
    support::{Cluster, Namespace, Operator, SOON, namespace::apply, until},
};

fn conflict(secret: &str) -> Expect {
    let what = format!("The Secret {secret} exists and is not this credential's");
    Expect::stalled("SecretConflict", &[&what, "delete it, or choose another spec.secret.name"])
}

async fn prepare(name: &str) -> (Namespace, Answers, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, name, vec![client()]).await.unwrap();
    (namespace, answers, operator)
}

fn seeded(answers: &Answers, name: &str) -> Value {
    let seed = json!({"secretRef": {"name": format!("{name}-seed"), "key": "token"}});
    spec(&answers.url(name), &json!({"grant": {"clientCredentials": null, "refreshToken": seed}}))
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_secret_is_left_alone() {
    let (namespace, answers, operator) = prepare("foreign").await;
    let precious = |name: &str| secret(name, &[("access_token", "precious")]);
    let cases = [
        Case {
            name: "not-kept",
            given: vec![precious("not-kept-token")],
            spec: spec(&answers.url("not-kept"), &json!({})),
            expect: conflict("not-kept-token"),
            cure: vec![],
        },
        Case {
            name: "kept",
            given: vec![precious("kept-token"), secret("kept-seed", &[("token", "first-kept")])],
            spec: seeded(&answers, "kept"),
            expect: conflict("kept-token"),
            cure: vec![],
        },
    ];
    futures::future::join_all(cases.iter().map(async |case| {
        case.goes_wrong(&namespace).await;
        let output = format!("{}-token", case.name);
        assert_eq!(namespace.value(&output, "access_token").await, "precious");
        namespace.delete_secret(&output).await;
        case.recovers(&namespace).await;
        assert_ne!(namespace.value(&output, "access_token").await, "precious");
    }))
    .await;
    // What was received while there was no place for it was kept, where it could be.
    assert_eq!((answers.arrivals("kept").len(), answers.arrivals("not-kept").len()), (1, 2));
    nothing_leaked(&namespace, &operator).await;
}

/// Its own input, or another credential's output.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_serves_two_masters() {
    let (namespace, answers, operator) = prepare("masters").await;
    let first = spec(&answers.url("first"), &json!({"secret": {"name": "shared"}}));
    apply(&namespace.client, "masters", vec![credential("first", &first)]).await.unwrap();
    namespace.ready("first").await;
    let token = namespace.value("shared", "access_token").await;

    let case = |name: &'static str, output: &str| {
        let right = spec(&answers.url(name), &json!({}));
        Case::of_spec(name, merged(&right, &json!({"secret": {"name": output}})), conflict(output), &right)
    };
    let cases = [case("second", "shared"), case("own-input", "client")];
    crate::case::run_all(&namespace, &cases).await;
    assert_eq!(namespace.value("shared", "access_token").await, token);
    assert_eq!(namespace.value("client", "secret").await, "hunter2");
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_secret_of_somebody_elses_is_left_alone() {
    let (namespace, answers, operator) = prepare("foreign-state").await;
    let case = Case {
        name: "it",
        given: vec![secret("it-oauth-state", &[("mine", "precious")]), secret("it-seed", &[("token", "first-it")])],
        spec: seeded(&answers, "it"),
        expect: Expect::stalled(
            "SecretConflict",
            &["A Secret with the state's name exists", "delete it or rename the credential"],
        ),
        cure: vec![],
    };
    case.goes_wrong(&namespace).await;
    assert_eq!(namespace.value("it-oauth-state", "mine").await, "precious");
    assert!(answers.arrivals("it").is_empty(), "nothing is sent that can't be kept");
    namespace.delete_secret("it-oauth-state").await;
    case.recovers(&namespace).await;
    nothing_leaked(&namespace, &operator).await;
}

/// `immutable: true` on the output: nothing can be written there until it is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_output_is_to_be_deleted() {
    let (namespace, answers, operator) = prepare("immutable").await;
    let right = spec(&answers.url("it"), &json!({}));
    apply(&namespace.client, "immutable", vec![credential("it", &right)]).await.unwrap();
    namespace.ready("it").await;
    namespace.patch_secret("it-token", &json!({"immutable": true})).await;

    let other = merged(&right, &json!({"scopes": ["more"]}));
    let expect = Expect::stalled("SecretConflict", &["The Secret it-token is marked immutable", "delete it"]);
    let case = Case { name: "it", given: vec![], spec: other, expect, cure: vec![] };
    case.goes_wrong(&namespace).await;
    namespace.delete_secret("it-token").await;
    case.recovers(&namespace).await;
    until("the new scope", SOON, async || {
        Some(namespace.value("it-token", "scope").await).filter(|scope| scope == "more")
    })
    .await;
    nothing_leaked(&namespace, &operator).await;
}
