//! The three wire shapes, byte for byte, against the stand-in over TLS.

use std::time::Duration;

use jiff::Timestamp;
use oauth_operator::api::ConditionType;
use serde_json::json;

use crate::support::standin::{Hover, NextRefreshToken, Partner, Recorded, Standin, Unauthorized};
use crate::support::{Cluster, Conditions, Namespace, Operator, throughout, until};

const CALLBACK: &str = "https://oauth.example.com/oauth/callback";

/// The provider and the credential of the example manifest; `redirect` goes into the grant.
fn hover(standin: &Standin, ca: &str, provider: &str, redirect: &str) -> String {
    let ca = ca.replace('\n', "\n    ");
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: hover-ca}}
stringData:
  ca.crt: |
    {ca}
---
apiVersion: v1
kind: Secret
metadata: {{name: hover-client}}
stringData: {{client_id: "3fc0", client_secret: "s3cr3t", refresh_token: "{seed}"}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: ClusterOAuthProvider
metadata: {{name: {provider}}}
spec:
  endpoints: {{authorization: "{authorize}", token: "{token}"}}
  client: {{authentication: client_secret_post}}
  tokenRequest: {{encoding: JSON}}
  refreshRequest:
    mapping:
    - {{parameter: redirect_uri, in: Body}}
  refreshTokens: {{singleUse: true}}
  tls: {{caSecretRef: {{name: hover-ca, key: ca.crt}}}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: hover}}
spec:
  providerRef: {{kind: ClusterOAuthProvider, name: {provider}}}
  client:
    idSecretRef: {{name: hover-client, key: client_id}}
    secretRef: {{name: hover-client, key: client_secret}}
  grant:
    refreshToken:
      secretRef: {{name: hover-client, key: refresh_token}}
      {redirect}
  refresh: {{before: 15m}}
  secret:
    name: hover-access
    template:
      token: "{{{{ access_token }}}}"
      owner: "{{{{ response.owner_id }}}}"
"#,
        seed = standin.seed(),
        authorize = standin.authorize_url(),
        token = standin.token_url(),
    )
}

fn partner(standin: &Standin, ca: &str, seed: &str) -> String {
    let ca = ca.replace('\n', "\n    ");
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: partner-seed}}
stringData:
  refresh_token: "{seed}"
  ca.crt: |
    {ca}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: partner-api}}
spec:
  endpoints: {{token: "{token}"}}
  client: {{id: "42", authentication: none}}
  tokenRequest:
    encoding: JSON
    mapping:
    - {{parameter: grant_type, in: Header, as: grantType}}
    - {{parameter: client_id, in: Header, as: partnerId}}
    - {{parameter: refresh_token, in: Body, as: refreshToken}}
  tls: {{caSecretRef: {{name: partner-seed, key: ca.crt}}}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: partner}}
spec:
  providerRef: {{name: partner-api}}
  grant: {{refreshToken: {{secretRef: {{name: partner-seed, key: refresh_token}}}}}}
"#,
        token = standin.token_url(),
    )
}

/// Name and value of every header, less those that every request has with the same meaning.
fn headers(request: &Recorded) -> Vec<(String, &str)> {
    let common = ["host", "connection", "user-agent", "content-length"];
    let named = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
    let mut own: Vec<_> = named.filter(|(name, _)| !common.contains(&name.as_str())).collect();
    own.sort();
    own
}

/// Asks for one more refresh, and waits for it.
async fn refresh(namespace: &Namespace, name: &str) {
    let revision = namespace.status(name).await.revision.unwrap();
    namespace.request_refresh(name, &Timestamp::now().to_string()).await;
    namespace.revision(name, revision + 1, Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hovers_refresh_is_json_with_exactly_the_documented_fields() {
    let namespace = Cluster::shared().await.namespace("shape-hover").await;
    let (standin, ca) = Standin::start_tls(Hover::default()).await;
    let _operator = Operator::start(&namespace, &[]).await;
    let manifest = hover(&standin, &ca, "hover-plain", "");
    namespace.apply(&manifest).await;

    let credential = namespace.ready("hover").await;
    namespace.keep("current", &credential);
    refresh(&namespace, "hover").await;
    let requests = standin.requests();
    assert_eq!(requests.len(), 2);
    let state = namespace.state("hover").await;
    let tokens = [&state["previousRefreshToken"], &state["refreshToken"]].map(|token| token.as_str().unwrap());
    assert!(standin.is_live(&namespace.value("hover-access", "token").await));
    for request in &requests {
        assert_eq!((request.method.as_str(), request.path.as_str(), &request.query), ("POST", "/oauth/token", &None));
        let expected = [("accept", "application/json"), ("content-type", "application/json")];
        assert_eq!(headers(request), expected.map(|(name, value)| (name.to_owned(), value)));
        assert_eq!(request.header("content-length"), Some(request.body.len().to_string().as_str()));
        assert_eq!(request.header("host"), standin.url().strip_prefix("https://"));
    }
    let body = |token: &str| {
        format!(
            r#"{{"grant_type":"refresh_token","refresh_token":"{token}","client_id":"3fc0","client_secret":"s3cr3t"}}"#
        )
    };
    // The second request spent what the first one's reply brought.
    assert_eq!(String::from_utf8_lossy(&requests[1].body), body(tokens[0]));
    assert!(!String::from_utf8_lossy(&requests[0].body).contains(tokens[1]));
    assert_eq!(requests[0].body.len(), requests[1].body.len());
    assert_eq!(namespace.value("hover-access", "owner").await, "785");
    assert_eq!(standin.replays(), 0);
    assert!(requests.iter().all(|request| request.refused.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn hovers_refresh_carries_the_redirect_uri_where_it_is_mapped() {
    let namespace = Cluster::shared().await.namespace("shape-hover-redirect").await;
    let (standin, ca) = Standin::start_tls(Hover::default()).await;
    let _operator = Operator::start(&namespace, &[]).await;
    namespace.apply(&hover(&standin, &ca, "hover-redirect", &format!("redirectURI: {CALLBACK}"))).await;

    namespace.ready("hover").await;
    let requests = standin.requests();
    let body: serde_json::Value = serde_json::from_slice(&requests[0].body).unwrap();
    let seed = namespace.value("hover-client", "refresh_token").await;
    assert_eq!(
        String::from_utf8_lossy(&requests[0].body),
        format!(
            r#"{{"grant_type":"refresh_token","refresh_token":"{seed}","redirect_uri":"{CALLBACK}","client_id":"3fc0","client_secret":"s3cr3t"}}"#
        ),
        "{body}"
    );
    assert_eq!((requests.len(), standin.replays()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partners_refresh_is_two_headers_and_one_field() {
    let namespace = Cluster::shared().await.namespace("shape-partner").await;
    let (standin, ca) = Standin::start_tls(Partner::default()).await;
    let _operator = Operator::start(&namespace, &[]).await;
    let seed = standin.seed();
    namespace.apply(&partner(&standin, &ca, &seed)).await;

    namespace.ready("partner").await;
    let request = &standin.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str(), &request.query), ("POST", "/v1/auth/token", &None));
    let expected = [
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("granttype", "refresh_token"),
        ("partnerid", "42"),
    ];
    assert_eq!(headers(request), expected.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(String::from_utf8_lossy(&request.body), format!(r#"{{"refreshToken":"{seed}"}}"#));

    // A reply without a refresh token, or with an empty one, keeps the old one.
    let kept = namespace.state("partner").await["refreshToken"].as_str().unwrap().to_owned();
    for next in [NextRefreshToken::Absent, NextRefreshToken::Empty, NextRefreshToken::Present] {
        standin.reconfigure(Partner { next_refresh_token: next, ..Partner::default() });
        let access_token = namespace.value("partner-token", "access_token").await;
        refresh(&namespace, "partner").await;
        let request = standin.requests().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&request.body), json!({"refreshToken": kept}).to_string());
        assert_ne!(namespace.value("partner-token", "access_token").await, access_token);
        let now = namespace.state("partner").await["refreshToken"].as_str().unwrap().to_owned();
        assert_eq!(now == kept, next != NextRefreshToken::Present, "{next:?}");
    }
    assert_eq!((standin.requests().len(), standin.replays()), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn hovers_401_stalls_with_the_documented_cure_and_is_not_hammered() {
    let namespace = Cluster::shared().await.namespace("shape-hover-401").await;
    let hover_config = Hover { client_secret: "another".to_owned(), ..Hover::default() };
    for (at, unauthorized) in [Unauthorized::Html, Unauthorized::ForeignJson].into_iter().enumerate() {
        let (standin, ca) = Standin::start_tls(Hover { unauthorized, ..hover_config.clone() }).await;
        let _operator = Operator::start(&namespace, &["--leader-election=false"]).await;
        namespace.apply(&hover(&standin, &ca, &format!("hover-401-{at}"), "")).await;

        let credential = namespace.reason("hover", ConditionType::Stalled, "InvalidClient").await;
        namespace.keep("failed", &credential);
        for condition in [ConditionType::Ready, ConditionType::Refreshed, ConditionType::Stalled] {
            let message = credential.message(condition);
            assert!(message.contains("check every parameter"), "{message}");
            assert!(message.contains("start again from the authorization code"), "{message}");
            assert!(!message.to_lowercase().contains("html"), "the server's words: {message}");
        }
        let next = credential.status.unwrap().next_refresh_time.unwrap();
        let wait = next.duration_since(Timestamp::now());
        assert!((3500..=4000).contains(&wait.as_secs()), "{wait}");

        let asked = standin.requests().len();
        assert!(asked <= 2, "{asked} requests");
        // Also when it is looked at again: any other change of the object is no reason to ask.
        namespace.patch_credential("hover", &json!({"metadata": {"labels": {"touched": at.to_string()}}})).await;
        throughout("no further request", Duration::from_secs(3), async || {
            (standin.requests().len() != asked).then(|| format!("{} requests", standin.requests().len()))
        })
        .await;
        namespace.delete_credential("hover").await;
        until("the state is deleted", Duration::from_secs(10), async || {
            if namespace.secret("hover-oauth-state").await.is_some() {
                namespace.delete_secret("hover-oauth-state").await;
            }
            Some(())
        })
        .await;
    }
}
