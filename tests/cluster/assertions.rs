//! The cluster's own signature as an assertion, and an assertion that is the grant: what arrives at the token server, and who may
//! have it.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use oauth_operator::api::ConditionType;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::standin::{Fault, Hover, Recorded, Reply, Standin, Symptom};
use crate::support::{Cluster, Conditions, Namespace, Operator, certificates};

const TOKENS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tokens}
rules:
- {apiGroups: [""], resources: [serviceaccounts/token], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tokens}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tokens}
"#;

fn answers(standin: &Standin, count: usize) {
    for number in 0..count {
        let token = json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": 3600});
        standin.inject(Fault::Before(Symptom::Answer(Reply::json(200, &token))));
    }
}

pub fn form(request: &Recorded) -> BTreeMap<String, String> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

pub fn account(allowed: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: reports\n  annotations: {{oauth-operator.dev/allowed-audiences: \"{allowed}\"}}\n"
    )
}

fn credential(name: &str, standin: &Standin, rest: &str) -> String {
    format!(
        "apiVersion: oauth-operator.dev/v1alpha1\nkind: OAuthCredential\nmetadata: {{name: {name}}}\nspec:\n  provider: {{endpoints: {{token: \"{}\"}}}}\n{rest}\n",
        standin.token_url()
    )
}

pub async fn allow_tokens(namespace: &Namespace) {
    let subjects =
        format!("subjects:\n- {{kind: ServiceAccount, name: oauth-operator, namespace: {}}}\n", namespace.name);
    namespace.apply(&format!("{TOKENS}{subjects}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_signs_for_those_audiences_that_it_allows() {
    let namespace = Cluster::shared().await.namespace("assertion-account").await;
    let standin = Standin::start(Hover::default()).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http", "--log-level=trace"]).await;
    let federated = |name: &str, audiences: &str| {
        credential(
            name,
            &standin,
            &format!(
                "  client: {{id: federated, authentication: private_key_jwt, serviceAccountRef: {{name: reports, audiences: [{audiences}]}}}}\n  grant: {{clientCredentials: {{}}}}"
            ),
        )
    };

    namespace.apply(&account("acme")).await;
    answers(&standin, 2);
    namespace.apply(&federated("federated", "acme, \"api://exchange\"")).await;
    let refused = namespace.reason("federated", ConditionType::Stalled, "NotAllowed").await;
    assert!(refused.message(ConditionType::Stalled).contains("doesn't allow the audience api://exchange"));
    namespace.apply(&account("acme,api://exchange")).await;
    let refused = namespace.reason("federated", ConditionType::Refreshed, "NotAllowed").await;
    let _ = refused;
    namespace
        .credential_until("federated", "told to grant tokens", crate::support::SOON, |credential| {
            credential.message(ConditionType::Ready).contains("grant it create on serviceaccounts/token")
        })
        .await;
    assert!(standin.requests().is_empty(), "nothing was sent");
    allow_tokens(&namespace).await;
    namespace.ready("federated").await;
    namespace.request_refresh("federated", "2026-01-01T00:00:00Z").await;
    namespace.revision("federated", 2, crate::support::SOON).await;

    let requests = standin.requests();
    assert_eq!(requests.len(), 2);
    let mut tokens = Vec::new();
    for request in &requests {
        let form = form(request);
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert_eq!((form["client_id"].as_str(), form["grant_type"].as_str()), ("federated", "client_credentials"));
        let token = form["client_assertion"].clone();
        assert_eq!(claims(&token)["aud"], json!(["acme", "api://exchange"]));
        assert_eq!(claims(&token)["sub"], format!("system:serviceaccount:{}:reports", namespace.name));
        tokens.push(token);
    }
    assert_ne!(tokens[0], tokens[1], "a new one for each request");

    // The API server's own audience is refused before anything is asked for.
    let own = claims(&token_of(&namespace).await)["aud"][0].as_str().unwrap().to_owned();
    namespace.apply(&federated("login", &format!("\"{own}\""))).await;
    let refused = namespace.reason("login", ConditionType::Stalled, "NotAllowed").await;
    assert!(refused.message(ConditionType::Stalled).contains("an audience of the API server itself"));
    for token in tokens {
        assert!(!operator.log().contains(&token), "a token is in the log");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!operator.log().contains(signature), "a signature is in the log");
    }
}

/// The operator's own.
async fn token_of(namespace: &Namespace) -> String {
    let kubeconfig: Value = serde_json::from_str(&namespace.operator_kubeconfig(None).await).unwrap();
    kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned()
}

/// RFC 7523 section 2.1, as Google's service accounts use it.
#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_the_grant() {
    let namespace = Cluster::shared().await.namespace("assertion-grant").await;
    let standin = Standin::start(Hover::default()).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http", "--log-level=trace"]).await;
    answers(&standin, 2);
    let key = certificates::key().serialize_pem();
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "robot-key"}, "stringData": {"key": key}});
    let grant = "  client: {authentication: none}\n  grant:\n    jwtBearer:\n      privateKeySecretRef: {name: robot-key, key: key}\n      issuer: robot@acme.example\n      audience: https://idp.example.com/token\n      lifetime: 10m\n      claims: {scope: \"drive.readonly\"}";
    namespace.apply(&format!("{secret}\n---\n{}", credential("robot", &standin, grant))).await;
    namespace.ready("robot").await;
    namespace.request_refresh("robot", "2026-01-01T00:00:00Z").await;
    namespace.revision("robot", 2, crate::support::SOON).await;

    let said: Vec<Value> = standin
        .requests()
        .iter()
        .map(|request| {
            let form = form(request);
            assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
            assert_eq!(form.len(), 2, "nothing else: {:?}", form.keys());
            assert!(!operator.log().contains(&form["assertion"]), "an assertion is in the log");
            claims(&form["assertion"])
        })
        .collect();
    assert_eq!(said.len(), 2);
    for claims in &said {
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("robot@acme.example"), &json!("robot@acme.example")));
        assert_eq!(
            (&claims["aud"], &claims["scope"]),
            (&json!("https://idp.example.com/token"), &json!("drive.readonly"))
        );
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    }
    assert_ne!(said[0]["jti"], said[1]["jti"]);
    let inner: String = key.lines().nth(1).unwrap().to_owned();
    assert!(!operator.log().contains(&inner), "the key is in the log");
}

/// RFC 8693, with the cluster's own word for the subject and another account's for the actor.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_token_is_exchanged() {
    let namespace = Cluster::shared().await.namespace("assertion-exchange").await;
    let standin = Standin::start(Hover::default()).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http", "--log-level=trace"]).await;
    allow_tokens(&namespace).await;
    answers(&standin, 3);
    let own = claims(&token_of(&namespace).await)["aud"][0].as_str().unwrap().to_owned();
    let exchanged = |subject: &str| {
        credential(
            "exchanged",
            &standin,
            &format!(
                "  client: {{id: exchanger, authentication: none}}\n  grant:\n    tokenExchange:\n      subjectToken: {{serviceAccountRef: {{name: reports, audiences: [\"{subject}\"]}}}}\n      subjectTokenType: urn:ietf:params:oauth:token-type:jwt\n      actorToken: {{serviceAccountRef: {{name: helper, audiences: [acme]}}}}\n      actorTokenType: urn:ietf:params:oauth:token-type:jwt\n  parameters: [{{name: audience, value: downstream}}]"
            ),
        )
    };
    namespace.apply(&account("acme")).await;
    namespace.apply(&exchanged(&own)).await;
    let refused = namespace.reason("exchanged", ConditionType::Stalled, "NotAllowed").await;
    assert!(refused.message(ConditionType::Stalled).contains("an audience of the API server itself"));
    namespace.apply(&exchanged("acme")).await;
    namespace
        .credential_until("exchanged", "told of the other account", crate::support::SOON, |credential| {
            credential
                .message(ConditionType::Stalled)
                .contains("The ServiceAccount helper doesn't allow the audience acme")
        })
        .await;
    assert!(standin.requests().is_empty(), "nothing was sent");
    namespace.apply(&account("acme").replace("name: reports", "name: helper")).await;
    namespace.ready("exchanged").await;
    namespace.request_refresh("exchanged", "2026-01-01T00:00:00Z").await;
    namespace.revision("exchanged", 2, crate::support::SOON).await;
    // The tokens are others each time, and mean the same: no request is made for that alone.
    operator.restart().await;
    namespace.request_refresh("exchanged", "2026-01-01T00:00:01Z").await;
    namespace.revision("exchanged", 3, crate::support::SOON).await;

    let requests = standin.requests();
    assert_eq!(requests.len(), 3);
    let mut tokens = std::collections::BTreeSet::new();
    for request in &requests {
        let form = form(request);
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
        assert_eq!(form["audience"], "downstream");
        for (name, account) in [("subject", "reports"), ("actor", "helper")] {
            let token = form[&format!("{name}_token")].clone();
            assert_eq!(form[&format!("{name}_token_type")], "urn:ietf:params:oauth:token-type:jwt");
            assert_eq!(claims(&token)["aud"], json!(["acme"]));
            assert_eq!(claims(&token)["sub"], format!("system:serviceaccount:{}:{account}", namespace.name));
            tokens.insert(token);
        }
    }
    assert_eq!(tokens.len(), 6, "new ones for each request");
    for token in tokens {
        assert!(!operator.log().contains(token.rsplit('.').next().unwrap()), "a signature is in the log");
    }
}

/// A client secret that is being replaced: each is tried, the one that works is remembered.
#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_secret_serves_when_the_first_is_refused() {
    let namespace = Cluster::shared().await.namespace("assertion-fallback").await;
    let oidc = crate::support::Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let seed = oidc.seed("web-post").await;
    namespace
        .apply(&format!(
            r#"
apiVersion: v1
kind: Secret
metadata: {{name: client}}
stringData: {{new: "not-yet-known", old: web-post-secret, seed: "{seed}"}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: rotating}}
spec:
  provider: {{endpoints: {{token: "{}"}}}}
  client:
    id: web-post
    authentication: client_secret_post
    secretRef: {{name: client, key: new}}
    fallbackSecretRefs: [{{name: client, key: gone}}, {{name: client, key: old}}]
  grant: {{refreshToken: {{secretRef: {{name: client, key: seed}}}}}}
"#,
            oidc.token_url()
        ))
        .await;
    namespace.ready("rotating").await;
    let statuses =
        async || -> Vec<i64> { oidc.log().await.iter().map(|entry| entry["status"].as_i64().unwrap()).collect() };
    assert_eq!(statuses().await, [401, 200], "the first, then the fallback that is there");
    namespace.request_refresh("rotating", "2026-01-01T00:00:00Z").await;
    namespace.revision("rotating", 2, crate::support::SOON).await;
    assert_eq!(statuses().await, [401, 200, 200], "the one that works is remembered");
    assert_eq!(oidc.replays().await, 0);
}
