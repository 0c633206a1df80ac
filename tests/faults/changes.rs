//! Specs that change at random, and are then as they were: so is everything that was made of them. CHAOS_CHANGES says how
//! many changes each credential goes through, CHAOS_SEED which.

use kube::api::PostParams;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::manifests::hover;
use crate::shape::{assert_same, settled};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Namespace, Operator, SOON, say};

const CREDENTIALS: u64 = 6;

/// Valid changes of a spec, some of which can't work: JSON merge patches (RFC 7396), one of which leaves the next as it was.
fn changes() -> Vec<Value> {
    let basic =
        json!({"type": "kubernetes.io/basic-auth", "template": {"username": "x", "password": "{{ access_token }}"}});
    vec![
        json!({"secret": {"template": {"only": "{{ access_token }}"}}}),
        json!({"secret": {"template": {"only": "{{ no_such_thing }}"}}}),
        json!({"secret": {"template": {"only": "{{ broken"}}}),
        json!({"secret": {"name": "elsewhere-NAME"}}),
        json!({"secret": {"name": "NAME-input"}}),
        json!({"secret": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}),
        json!({"secret": {"deletionPolicy": "Retain"}}),
        json!({"secret": basic}),
        json!({"secret": {"type": "example.com/not-allowed"}}),
        json!({"refresh": {"before": "30m"}}),
        json!({"refresh": {"beforePercent": 80}}),
        json!({"scopes": ["all"]}),
        json!({"scopes": ["all", "more"]}),
        json!({"suspend": true}),
        json!({"provider": null, "providerRef": {"name": "same"}}),
        json!({"provider": null, "providerRef": {"name": "missing"}}),
        json!({"provider": {"endpoints": {"token": "http://127.0.0.1:9/elsewhere"}}}),
        json!({"provider": {"tokenResponse": {"accessToken": "$.not_there"}}}),
        json!({"provider": {"refreshTokens": {"singleUse": false}}}),
        json!({"provider": {"defaultLifetime": "30m", "maxLifetime": "1h"}}),
        json!({"client": {"id": "another"}}),
        json!({"client": {"secretRef": {"name": "missing"}}}),
        json!({"grant": {"refreshToken": {"secretRef": {"name": "missing"}}}}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_and_put_back_is_as_it_was() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let (rounds, seed) = (number("CHAOS_CHANGES").unwrap_or(8), number("CHAOS_SEED").unwrap_or_else(rand::random));
    let namespace = Cluster::shared().await.namespace("changes").await;
    let standin = Standin::start(Hover::default()).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let url = standin.token_url();
    namespace
        .apply(&format!(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: same}}
spec: {{endpoints: {{token: "{url}"}}, tokenRequest: {{encoding: JSON}}}}
"#
        ))
        .await;
    namespace.apply(&hover("undisturbed", &standin, "")).await;
    let undisturbed = settled(&namespace, "undisturbed").await;

    say(&format!("{CREDENTIALS} specs changed {rounds} times and put back: CHAOS_SEED={seed}"));
    let lives = (0..CREDENTIALS).map(|at| restless(&namespace, &standin, format!("restless-{at}"), rounds, seed + at));
    for shape in futures::future::join_all(lives).await {
        assert_same(&shape, &undisturbed, &format!("CHAOS_SEED={seed}"));
    }
    assert_eq!(standin.replays(), 0, "CHAOS_SEED={seed}");
}

async fn restless(namespace: &Namespace, standin: &Standin, name: String, rounds: u64, seed: u64) -> Value {
    let mut random = StdRng::seed_from_u64(seed);
    namespace.apply(&hover(&name, standin, "")).await;
    namespace.ready(&name).await;
    let first = json!(namespace.credential(&name).await.spec);
    for _ in 0..rounds {
        let mut spec = first.clone();
        for _ in 0..random.random_range(1..=2) {
            let changes = changes();
            merge(&mut spec, &changes[random.random_range(0..changes.len())]);
        }
        let spec: Value = serde_json::from_str(&spec.to_string().replace("NAME", &name)).unwrap();
        let took = replace_spec(namespace, &name, &spec).await;
        // One of three is overtaken by the next.
        if took && random.random_range(0..3) > 0 {
            namespace
                .credential_until(&name, "looked at", SOON * 2, |credential| {
                    let seen = credential.status.as_ref().and_then(|status| status.observed_generation);
                    seen == credential.metadata.generation
                })
                .await;
        }
    }
    assert!(replace_spec(namespace, &name, &first).await);
    settled(namespace, &name).await
}

/// False: two changes together make a spec that the API server refuses.
async fn replace_spec(namespace: &Namespace, name: &str, spec: &Value) -> bool {
    loop {
        let mut credential = namespace.credential(name).await;
        credential.spec = serde_json::from_value(spec.clone()).unwrap();
        match namespace.credentials().replace(name, &PostParams::default(), &credential).await {
            Ok(_) => return true,
            // The operator has written its status meanwhile.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if status.code == 422 => return false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (name, value) in fields {
                if value.is_null() {
                    target.as_object_mut().unwrap().remove(name);
                } else {
                    merge(&mut target[name], value);
                }
            }
        }
        value => *target = value.clone(),
    }
}
