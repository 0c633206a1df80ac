//! `revoke`: what is kept at a real OAuth server is revoked, once, and somebody is needed again.

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use crate::person::Person;
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator};

const TITLE: &str = "oauthcredential.oauth-operator.dev/calendar";

async fn credential(namespace: &Namespace, oidc: &Oidc, grant: &str) {
    namespace
        .apply(&format!(
            r#"
apiVersion: v1
kind: Secret
metadata: {{name: calendar-input}}
stringData: {{client_secret: web-post-secret, refresh_token: "{}"}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: calendar}}
spec:
  provider: {{issuer: "{}"}}
  client:
    id: web-post
    secretRef: {{name: calendar-input, key: client_secret}}
    authentication: client_secret_post
  grant: {{{grant}}}
"#,
            oidc.seed("web-post").await,
            oidc.issuer,
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_revoked_once_a_person_agrees() {
    let namespace = Cluster::shared().await.namespace("revoke").await;
    let oidc = Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    credential(&namespace, &oidc, "refreshToken: {secretRef: {name: calendar-input, key: refresh_token}}").await;
    namespace.ready("calendar").await;
    let person = Person::admin(&namespace);
    let unasked = person.runs(&["revoke", "calendar"]).ended(2);
    assert!(unasked.contains("--yes") && unasked.contains("new refresh token in the input Secret"), "{unasked}");
    assert!(namespace.status("calendar").await.last_revocation.is_none());

    let done = person.runs(&["revoke", "calendar", "--yes", "--wait"]).ended(0);
    assert_eq!(done, format!("{TITLE} revocation requested\n{TITLE} revoked\n"));
    let lost = namespace.reason("calendar", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(!lost.is(ConditionType::Ready));
    let told = person.runs(&["status", "calendar"]).ended(1);
    assert!(
        told.contains("Put a new refresh token into the input Secret")
            && told.contains("the tokens that were kept were revoked"),
        "{told}"
    );
    namespace
        .patch_secret("calendar-input", &json!({"stringData": {"refresh_token": oidc.seed("web-post").await}}))
        .await;
    namespace.ready("calendar").await;

    let absent = person.runs(&["revoke", "nothing", "--yes"]).ended(3);
    assert!(absent.contains("there is no OAuthCredential nothing"), "{absent}");
    let json: Value = serde_json::from_str(&person.runs(&["status", "calendar", "-o", "json"]).ended(0)).unwrap();
    assert_eq!(json["lastRevocation"]["revoked"], true, "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_revoked_is_said_so() {
    let namespace = Cluster::shared().await.namespace("revoke-not").await;
    let oidc = Oidc::start(&[]).await;
    let person = Person::admin(&namespace);
    credential(&namespace, &oidc, "clientCredentials: {}").await;
    let kept = person.runs(&["revoke", "calendar", "--yes"]).ended(1);
    assert!(kept.contains("nothing is kept"), "{kept}");
    let kept: Value =
        serde_json::from_str(&person.runs(&["revoke", "calendar", "--yes", "-o", "json"]).ended(1)).unwrap();
    assert_eq!((&kept["requested"], &kept["name"]), (&json!(false), &json!("calendar")));
    namespace.delete_credential("calendar").await;
    credential(&namespace, &oidc, "refreshToken: {secretRef: {name: calendar-input, key: refresh_token}}").await;
    let alone = person.runs(&["revoke", "calendar", "--yes", "--wait", "--timeout", "1s"]).ended(1);
    assert!(alone.contains("not obeyed within 1 s"), "{alone}");
    // The request was there before anything was kept: it is not obeyed later.
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let ready = namespace.ready("calendar").await;
    let last = ready.status.unwrap().last_revocation.unwrap();
    assert!(!last.revoked && last.message.contains("There is nothing kept."), "{last:?}");
    person.runs(&["revoke", "calendar", "--yes", "--wait"]).ended(0);
}
