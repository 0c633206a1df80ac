//! A refresh token serves one credential: the younger of two that name the same is refused, and takes over when the older
//! has gone.

use serde_json::{Value, json};

use crate::{
    answers::Answers,
    case::{Case, Expect, client, nothing_leaked, spec},
    objects::{credential, secret},
    support::{Cluster, Namespace, Operator, SOON, namespace::apply, until},
};

fn seeded(url: &str, secret: &str) -> Value {
    let seed = json!({"secretRef": {"name": secret, "key": "token"}});
    spec(url, &json!({"grant": {"clientCredentials": null, "refreshToken": seed}}))
}

/// A credential's age has whole seconds: the next one made is certainly younger.
async fn next_second(namespace: &Namespace, older: &str) {
    let made = namespace.credential(older).await.metadata.creation_timestamp.unwrap();
    until("the next second", SOON, async || (jiff::Timestamp::now().as_second() > made.0.as_second()).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_with_one_seed() {
    let namespace = Cluster::shared().await.namespace("seeds").await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let seeds = [secret("seed", &[("token", "one-refresh-token")]), secret("copy", &[("token", "one-refresh-token")])];
    apply(&namespace.client, "seeds", [vec![client()], seeds.to_vec()].concat()).await.unwrap();
    apply(&namespace.client, "seeds", vec![credential("older", &seeded(&answers.url("older"), "seed"))]).await.unwrap();
    namespace.ready("older").await;
    next_second(&namespace, "older").await;

    let expect = || {
        Expect::stalled(
            "InvalidSpec",
            &[
                "The credential older names the same refresh token",
                "delete one of the two, or give this one a token of its own",
            ],
        )
    };
    let case = |name: &'static str, seed| Case {
        name,
        given: vec![],
        spec: seeded(&answers.url(name), seed),
        expect: expect(),
        cure: vec![secret("copy", &[("token", "another-refresh-token")])],
    };
    let (same, equal) = (case("same-secret", "seed"), case("equal-value", "copy"));
    same.goes_wrong(&namespace).await;
    equal.goes_wrong(&namespace).await;
    assert!(answers.arrivals("same-secret").is_empty() && answers.arrivals("equal-value").is_empty());

    // A token of its own.
    equal.is_cured(&namespace).await;
    // The older one has gone.
    namespace.delete_credential("older").await;
    same.recovers(&namespace).await;
    assert_eq!((answers.arrivals("older").len(), answers.arrivals("same-secret").len()), (1, 1));
    nothing_leaked(&namespace, &operator).await;
}
