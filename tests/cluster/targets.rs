//! What a token is for, by parameters: resources (RFC 8707) and authorization_details (RFC 9396), as oidc-provider understands them.

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use super::consent::Stage;
use super::manifests::{MACHINES, machine};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator};

const API: &str = "https://api.example.com/v1";

/// What the server says of the token under this key of `<name>-token` (RFC 7662).
async fn introspected(oidc: &Oidc, namespace: &Namespace, name: &str, key: &str) -> Value {
    let token = namespace.value(&format!("{name}-token"), key).await;
    let request =
        reqwest::Client::builder().no_proxy().build().unwrap().post(format!("{}/token/introspection", oidc.issuer));
    let request = request.basic_auth("web-basic", Some("web-basic-secret")).form(&[("token", token)]);
    serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_asks_for_a_resource_and_for_authorization_details() {
    let namespace = Cluster::shared().await.namespace("targets").await;
    let oidc = Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let details = json!([{"type": "payment", "limit": 500, "currency": "EUR"}]);
    let asks = |name: &str, value: &str| {
        let spec = format!(
            "  scopes: [api:read]\n  parameters:\n  - {{name: resource, value: \"{API}\"}}\n  - {{name: authorization_details, {value}}}\n  \
             secret: {{template: {{token: \"{{{{ access_token }}}}\", details: \"{{{{ response.authorization_details | tojson }}}}\"}}}}"
        );
        machine(name, "basic", &oidc.token_url(), &spec)
    };
    namespace.apply(MACHINES).await;
    namespace.apply(&asks("as-json", &format!("jsonValue: {details}"))).await;
    namespace.apply(&asks("as-text", &format!("value: '{details}'"))).await;
    for name in ["as-json", "as-text"] {
        namespace.ready(name).await;
        let token = introspected(&oidc, &namespace, name, "token").await;
        assert_eq!((&token["aud"], &token["scope"]), (&json!(API), &json!("api:read")), "{name}: {token}");
        assert_eq!(token["authorization_details"], details, "{name}");
        let told: Value = serde_json::from_str(&namespace.value(&format!("{name}-token"), "details").await).unwrap();
        assert_eq!(told, details, "{name}: RFC 9396 section 7");
    }

    // Sections 5 and 2: what the server doesn't grant is said, and what to do about it.
    let elsewhere = "  parameters: [{name: resource, value: \"https://elsewhere.example.com\"}]";
    let unknown = "  parameters: [{name: authorization_details, jsonValue: [{type: unheard-of}]}]";
    for (name, spec, says) in
        [("elsewhere", elsewhere, "invalid_target"), ("unknown", unknown, "invalid_authorization_details")]
    {
        namespace.apply(&machine(name, "basic", &oidc.token_url(), spec)).await;
        let refused = namespace.reason(name, ConditionType::Refreshed, "InvalidSpec").await;
        let message = refused.message(ConditionType::Refreshed);
        assert!(message.contains(says) && refused.is(ConditionType::Stalled), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_consents_to_a_resource_and_to_authorization_details() {
    let stage = Stage::set("targets-consent", &[], &[]).await;
    let details = json!([{"type": "payment", "limit": 20}]);
    let issuer = &stage.oidc.issuer;
    stage
        .namespace
        .apply(&format!(
            r#"
apiVersion: v1
kind: Secret
metadata: {{name: web-post}}
stringData: {{secret: web-post-secret}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: payer}}
spec:
  provider:
    issuer: "{issuer}"
    authorizationRequest: {{parameters: [{{name: prompt, value: consent}}]}}
  client: {{id: web-post, secretRef: {{name: web-post, key: secret}}, authentication: client_secret_post}}
  grant: {{authorizationCode: {{}}}}
  scopes: [openid, offline_access, "api:read"]
  parameters:
  - {{name: resource, value: "{API}"}}
  - {{name: authorization_details, jsonValue: {details}}}
  additionalTokens:
  - {{name: api, parameters: [{{name: resource, value: "{API}"}}]}}
"#
        ))
        .await;
    stage.consent("payer", "robot").await.says(200, "Your consent has arrived");
    stage.namespace.ready("payer").await;
    let own = introspected(&stage.oidc, &stage.namespace, "payer", "access_token").await;
    assert_eq!(own["authorization_details"], details, "{own}");
    // A refresh names one resource of those that were consented to (RFC 8707 section 2.2).
    let api = introspected(&stage.oidc, &stage.namespace, "payer", "api.access_token").await;
    assert_eq!((&api["aud"], &api["scope"]), (&json!(API), &json!("api:read")), "{api}");
}
