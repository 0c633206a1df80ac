//! `refresh`: asked for, obeyed, waited for.

use oauth_operator::api::ConditionType;

use crate::person::{Person, credential};
use crate::support::standin::{Fault, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Operator};

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_obeyed_and_waited_for() {
    let namespace = Cluster::shared().await.namespace("refresh").await;
    let standin = Standin::start(Hover::default()).await;
    namespace.apply(&credential("calendar", &standin, "")).await;
    let person = Person::admin(&namespace);
    let title = "oauthcredential.oauth-operator.dev/calendar";

    let alone = person.runs(&["refresh", "calendar", "--wait", "--timeout", "1s"]).ended(1);
    assert!(
        alone.contains(&format!("{title} not obeyed within 1 s")) && alone.contains("kubectl oauth check"),
        "{alone}"
    );

    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let before = namespace.ready("calendar").await.status.unwrap().revision.unwrap();
    let done = person.runs(&["refresh", "calendar", "--wait"]).ended(0);
    assert!(
        done.starts_with(&format!("{title} refresh requested\n{title} refreshed: the token expires in ")),
        "{done}"
    );
    assert_eq!(namespace.status("calendar").await.revision.unwrap(), before + 1);
    // Twice within a second is twice.
    person.runs(&["refresh", "-l", "team=billing", "--wait"]).ended(0);
    assert_eq!(namespace.status("calendar").await.revision.unwrap(), before + 2);
    assert_eq!(standin.replays(), 0);

    let json = person.runs(&["refresh", "calendar", "--wait", "-o", "json"]).ended(0);
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&told[0]["name"], &told[0]["succeeded"]), (&"calendar".into(), &true.into()), "{json}");
    assert_eq!(person.runs(&["refresh", "-l", "team=other", "-o", "json"]).ended(0), "[]\n");
    let none = person.runs(&["refresh", "-l", "team=other"]).ended(0);
    assert!(none.contains("nothing was asked for"), "{none}");
    let absent = person.runs(&["refresh", "nothing"]).ended(3);
    assert!(absent.contains("there is no OAuthCredential nothing"), "{absent}");

    let refused = Reply::json(401, &serde_json::json!({"error": "invalid_client"}));
    standin.inject(Fault::Before(Symptom::Answer(refused.clone())));
    standin.inject(Fault::Before(Symptom::Answer(refused)));
    let failed = person.runs(&["refresh", "--all", "--wait"]).ended(1);
    assert!(failed.contains(&format!("{title} not refreshed: InvalidClient: ")), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_refreshed_is_not_asked() {
    let namespace = Cluster::shared().await.namespace("futile").await;
    let standin = Standin::start(Hover::default()).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.apply(&credential("suspended", &standin, "  suspend: true")).await;
    let lost = Reply::json(400, &serde_json::json!({"error": "invalid_grant"}));
    standin.inject(Fault::Before(Symptom::Answer(lost)));
    namespace.apply(&credential("lost", &standin, "")).await;
    namespace.reason("lost", ConditionType::Stalled, "AuthorizationRequired").await;

    let said = Person::admin(&namespace).runs(&["refresh", "--all", "--wait"]).ended(1);
    assert!(said.contains("/suspended not asked: it is suspended; set spec.suspend to false first."), "{said}");
    assert!(said.contains("/lost not asked: it waits for a person: "), "{said}");
    let annotations = namespace.credential("lost").await.metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key("oauth-operator.dev/refresh-requested-at"), "{annotations:?}");
}
