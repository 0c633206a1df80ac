//! Odd times in a reply make neither the status unwritable nor the token useless, and nobody is asked in a frenzy.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use oauth_operator::api::{ConditionStatus, ConditionType};
use serde_json::{Value, json};

use crate::{
    answers::{Answers, answer},
    case::{client, nothing_leaked, spec},
    objects::credential,
    support::{Cluster, Conditions, Operator, SOON, namespace::apply, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn odd_times_are_made_sense_of() {
    let namespace = Cluster::shared().await.namespace("times").await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, "times", vec![client()]).await.unwrap();
    let now = Timestamp::now();
    let (hour, endless) = (now + 1.hour(), "9999-01-01T00:00:00Z".parse().unwrap());
    // What stands at expiresAt, and the earliest and latest expiry that may be made of it.
    let odd = [
        ("before-christ", json!("-009999-01-02T00:00:00Z"), (hour, hour + 1.minute())),
        ("year-zero", json!("0000-01-01T00:00:00Z"), (hour, hour + 1.minute())),
        ("negative", json!(-5), (hour, hour + 1.minute())),
        ("zero", json!("0"), (hour, hour + 1.minute())),
        ("no-time", json!({"at": "noon"}), (hour, hour + 1.minute())),
        ("endless", json!(1e300), (endless, Timestamp::MAX)),
        ("milliseconds", json!((now + 2.hours()).as_millisecond()), (now + 119.minutes(), now + 121.minutes())),
    ];
    let patch = json!({"provider": {"tokenResponse": {"expiresAt": "$.at", "expiresIn": ""}}});
    let replies = |name: &str, at: &Value| {
        let body = json!({"access_token": "access-x", "token_type": "Bearer", "at": at}).to_string();
        answers.set(name, answer("200 OK", "application/json", &body));
        vec![credential(name, &spec(&answers.url(name), &patch))]
    };
    for (name, at, (earliest, latest)) in &odd {
        apply(&namespace.client, "times", replies(name, at)).await.unwrap();
        let expires = namespace.ready(name).await.status.unwrap().expiration_time.unwrap();
        assert!(expires.as_second() >= earliest.as_second() && expires <= *latest, "{name}: {expires}");
    }
    for (name, ..) in &odd {
        assert_eq!(answers.arrivals(name).len(), 1, "{name}");
    }

    // A token that has expired when it comes: asked for again, with a pause, and never called Ready.
    apply(&namespace.client, "times", replies("past", &json!("2001-01-01T00:00:00Z"))).await.unwrap();
    let expired = namespace.reason("past", ConditionType::Ready, "Expired").await;
    assert_eq!(expired.condition(ConditionType::Ready).map(|ready| ready.status), Some(ConditionStatus::False));
    assert!(expired.is(ConditionType::Reconciling) && expired.condition(ConditionType::Stalled).is_none());
    let arrivals =
        until("three requests", SOON, async || Some(answers.arrivals("past")).filter(|all| all.len() >= 3)).await;
    let pauses: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Times in the status have whole seconds.
    assert!(pauses.iter().all(|pause| *pause >= Duration::from_secs(4)), "{pauses:?}");
    nothing_leaked(&namespace, &operator).await;
}
