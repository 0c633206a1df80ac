//! A provider whose redirect lands on a page of its own: the person copies the address.

use oauth_operator::api::ConditionType;
use serde_json::json;

use crate::chromium::Chromium;
use crate::stage::{Stage, free_port};
use crate::support::standin::{Hover, Standin};
use crate::support::{SOON, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_copied_from_another_page() {
    let stage = Stage::set("browser-elsewhere", free_port()).await;
    let namespace = &stage.namespace;
    let hover = Hover { redirect_uri: "https://hover.to/".into(), ..Hover::default() };
    let standin = Standin::start(hover.clone()).await;
    // What answers at https://hover.to, with a page that knows nothing of all this.
    let (home, _) = Standin::start_tls(hover).await;
    let home = url::Url::parse(home.url()).unwrap().port().unwrap();
    namespace
        .apply(&format!(
            r#"
apiVersion: v1
kind: Secret
metadata: {{name: client}}
stringData: {{secret: s3cr3t}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: calendar}}
spec:
  provider:
    endpoints: {{authorization: "{}", token: "{}"}}
    tokenRequest: {{encoding: JSON}}
  client: {{id: "3fc0", secretRef: {{name: client, key: secret}}, authentication: client_secret_post}}
  grant: {{authorizationCode: {{redirectURI: "https://hover.to/", pkce: Disabled}}}}
  scopes: [all]
"#,
            standin.authorize_url(),
            standin.token_url(),
        ))
        .await;
    namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
    let browser = Chromium::start(&[("hover.to:443", home)]).await;

    // On the operator's own page it is said that the address is to be copied.
    let ticket = stage.asked(&browser, "calendar").await;
    browser.follows("main button").await;
    browser.follows("form button").await;
    let copied = until("the other page's address", SOON, async || {
        Some(browser.address().await).filter(|address| address.host_str() == Some("hover.to"))
    })
    .await;
    assert!(copied.scheme() == "https" && copied.query().unwrap().contains("code="), "{copied}");
    let response = json!({"stringData": {"response": copied.as_str()}});
    namespace.patch_secret("calendar-oauth-consent", &response).await;
    namespace.ready("calendar").await;
    stage.nothing_leaked(&browser, &[ticket]).await;
    namespace.request_refresh("calendar", "2026-01-01T00:00:00Z").await;
    namespace.revision("calendar", 2, SOON).await;
    assert_eq!(standin.replays(), 0);
    browser.close().await;
}
