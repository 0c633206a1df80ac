//! Servers that give the token that they gave before, and those whose access token is the next credential.

use std::time::Duration;

use oauth_operator::api::ConditionType;
use serde_json::json;

use crate::{
    answers::{Answers, answer},
    case::{client, nothing_leaked, spec},
    objects::{credential, secret},
    support::{Cluster, Conditions, Namespace, Operator, SOON, namespace::apply, text, throughout, until},
};

async fn prepare(name: &str) -> (Namespace, Answers, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, name, vec![client()]).await.unwrap();
    (namespace, answers, operator)
}

fn token(value: &str, lifetime: u32) -> crate::answers::Answer {
    let body = json!({"access_token": value, "token_type": "Bearer", "expires_in": lifetime}).to_string();
    answer("200 OK", "application/json", &body)
}

/// The same token again is no new revision, and isn't asked for again before its expiry; whether or not there is a state.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_again_moves_nothing_but_the_clock() {
    let (namespace, answers, mut operator) = prepare("repeated").await;
    let keeping =
        json!({"grant": {"clientCredentials": null, "refreshToken": {"secretRef": {"name": "seed", "key": "token"}}}});
    answers.set("machine", token("access-same", 3600));
    answers.set("person", token("access-same", 3600));
    let objects = vec![
        secret("seed", &[("token", "refresh-token-seed")]),
        credential("machine", &spec(&answers.url("machine"), &json!({}))),
        credential("person", &spec(&answers.url("person"), &keeping)),
    ];
    apply(&namespace.client, &namespace.name, objects).await.unwrap();
    for name in ["machine", "person"] {
        let first = namespace.ready(name).await.status.unwrap();
        assert_eq!((first.revision, first.last_unchanged_time), (Some(1), None));
        let planned = first.expiration_time.unwrap().duration_since(first.next_refresh_time.unwrap()).as_secs();
        assert!(planned > 1000, "before its expiry: {planned}");

        namespace.request_refresh(name, "2026-01-01T00:00:00Z").await;
        let again = |credential: &oauth_operator::api::OAuthCredential| {
            credential.status.as_ref().is_some_and(|status| status.last_unchanged_time.is_some())
        };
        let second = namespace.credential_until(name, "asked again", SOON, again).await.status.unwrap();
        assert_eq!((second.revision, second.next_refresh_time), (Some(1), second.expiration_time), "{name}");
        let output = namespace.secret(&format!("{name}-token")).await.unwrap();
        let annotations = output.metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations["oauth-operator.dev/revision"], "1", "{name}");
        assert_eq!(text(&output, "expires_at"), second.expiration_time.map(|time| time.to_string()), "{name}");
    }
    operator.restart().await;
    throughout("no further request", Duration::from_secs(2), async || {
        let asked = [answers.arrivals("machine").len(), answers.arrivals("person").len()];
        (asked != [2, 2]).then(|| format!("{asked:?}"))
    })
    .await;

    // At its expiry it is asked for, and another one is a new revision.
    answers.set("machine", token("access-short", 8));
    namespace.request_refresh("machine", "2026-01-01T00:00:01Z").await;
    namespace.revision("machine", 2, SOON).await;
    let more = until("asked for at each expiry", SOON, async || {
        Some(answers.arrivals("machine")).filter(|arrivals| arrivals.len() >= 6)
    })
    .await;
    let pauses: Vec<u64> = more[3..].windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!(pauses[1..].iter().all(|pause| *pause >= 6), "{pauses:?}");
    assert_eq!(namespace.status("machine").await.revision, Some(2));
    nothing_leaked(&namespace, &operator).await;
}

/// The access token is the refresh token too: said in the status, refreshed early, and sent as it should be.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_that_refreshes_itself() {
    let (namespace, answers, operator) = prepare("self-refreshing").await;
    let patch = json!({
        "provider": {"tokenResponse": {"refreshToken": "$.access_token"}},
        "grant": {"clientCredentials": null, "refreshToken": {"secretRef": {"name": "seed", "key": "token"}}},
    });
    answers.set("it", token("access-one", 7200));
    let seed = secret("seed", &[("token", "access-zero")]);
    let it = credential("it", &spec(&answers.url("it"), &patch));
    apply(&namespace.client, &namespace.name, vec![seed, it]).await.unwrap();
    let ready = namespace.ready("it").await;
    assert!(ready.message(ConditionType::Refreshed).contains("costs a new authorization"));
    let status = ready.status.unwrap();
    assert_eq!(status.refresh_token_expiration_time, status.expiration_time);
    let left = status.expiration_time.unwrap().duration_since(status.next_refresh_time.unwrap()).as_secs();
    assert!((3590..=3610).contains(&left), "at half of its life: {left}");
    assert_eq!(namespace.value("it-token", "access_token").await, "access-one");
    assert_eq!(namespace.state("it").await["refreshToken"], "access-one");
    nothing_leaked(&namespace, &operator).await;
}
