//! Certificates that change while the operator runs: the authorities that a provider names, and a client's own.

use jiff::Timestamp;
use oauth_operator::api::{ConditionType, OAuthCredential};
use serde_json::{Value, json};

use crate::support::certificates::{Authority, expired};
use crate::support::standin::{Fault, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, until};

fn authorities(pem: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authorities"}, "data": {"ca.crt": pem}})
        .to_string()
}

/// How often the operator has sent this request.
async fn sent(operator: &Operator, verb: &str) -> u64 {
    let line = format!("oauth_operator_api_requests_total{{verb=\"{verb}\",resource=\"configmaps\"}} ");
    let metrics = operator.metrics().await;
    metrics.lines().find_map(|metric| metric.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_in_a_config_map_are_followed_without_reads() {
    let namespace = Cluster::shared().await.namespace("authorities").await;
    let (standin, pem) = Standin::start_tls(Hover::default()).await;
    for number in 0..50 {
        let token = json!({"access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": 3600});
        standin.inject(Fault::Before(Symptom::Answer(Reply::json(200, &token))));
    }
    let mut operator = Operator::start(&namespace, &[]).await;
    assert_eq!(sent(&operator, "list").await, 0, "nobody has named one");

    let credential = format!(
        r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: internal}}
spec:
  provider:
    endpoints: {{token: "{}"}}
    tls: {{caConfigMapRef: {{name: authorities, key: ca.crt}}}}
  client: {{id: internal, authentication: none}}
  grant: {{clientCredentials: {{}}}}
"#,
        standin.token_url()
    );
    namespace.apply(&credential).await;
    namespace.reason("internal", ConditionType::Ready, "SourceSecretNotFound").await;
    namespace.apply(&authorities(&pem)).await;
    namespace.ready("internal").await;
    let reads = sent(&operator, "get").await;
    assert!((1..=2).contains(&reads), "{reads}: once while it was absent, once since");
    for revision in 2..=3 {
        namespace.request_refresh("internal", &format!("2026-01-01T00:00:0{revision}Z")).await;
        namespace.revision("internal", revision, SOON).await;
    }
    assert_eq!(sent(&operator, "get").await, reads, "a refresh reads nothing");

    // Another authority is another server's.
    namespace.apply(&authorities(&Authority::new("another").pem())).await;
    refused(&namespace, "internal", "certificate is not trusted").await;
    let revision = namespace.status("internal").await.revision.unwrap();
    assert_eq!(standin.requests().len(), usize::try_from(revision).unwrap(), "nothing was sent");
    namespace.apply(&authorities(&pem)).await;
    namespace.revision("internal", revision + 1, SOON).await;

    // After a restart they are listed once, and not read before they are needed.
    operator.restart().await;
    assert_eq!((sent(&operator, "list").await, sent(&operator, "get").await), (1, 0));
    let revision = namespace.status("internal").await.revision.unwrap();
    namespace.request_refresh("internal", &Timestamp::now().to_string()).await;
    namespace.revision("internal", revision + 1, SOON).await;
    assert_eq!(sent(&operator, "get").await, 1);
}

/// Asks for refreshes until one fails with this sentence: a change may be seen after the first request for one.
async fn refused(namespace: &Namespace, name: &str, sentence: &str) -> OAuthCredential {
    until(sentence, SOON, async || {
        let credential = namespace.credential(name).await;
        if credential.message(ConditionType::Refreshed).contains(sentence) {
            return Some(credential);
        }
        namespace.request_refresh(name, &Timestamp::now().to_string()).await;
        None
    })
    .await
}

/// A server with mutual TLS that knows one client, by a name that its certificate must have.
async fn mutual(servers: &Authority, clients: &Authority) -> Oidc {
    let client = json!({
        "client_id": "mutual", "redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "client.example.com",
    });
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let server = servers.issue("127.0.0.1");
    let certificate = file("tls.crt", server.certificate.pem());
    let key = file("tls.key", server.key.serialize_pem());
    let client_ca = file("ca.crt", clients.pem());
    let flags = ["--cert", &certificate, "--key", &key, "--client-ca", &client_ca];
    Oidc::start_with(&json!({"clients": [client]}), &flags).await
}

fn credential(name: &str, oidc: &Oidc, authorities: &str) -> String {
    format!(
        r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider:
    endpoints: {{token: "{}"}}
    tls: {{caConfigMapRef: {{name: {authorities}, key: ca.crt}}}}
  client: {{id: mutual, authentication: tls_client_auth, certificateSecretRef: {{name: client-tls}}}}
  grant: {{clientCredentials: {{}}}}
"#,
        oidc.token_url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_used_as_it_is_now() {
    let namespace = Cluster::shared().await.namespace("client-certificate").await;
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let oidc = mutual(&servers, &clients).await;
    let operator = Operator::start(&namespace, &["--log-level=trace"]).await;
    let statuses = async || -> Vec<Value> { oidc.log().await.iter().map(|entry| entry["status"].clone()).collect() };

    // A server that isn't the one it should be sees neither certificate nor request.
    let other = Authority::new("another").pem();
    namespace.apply(&authorities(&other).replace("\"authorities\"", "\"others\"")).await;
    namespace.apply(&authorities(&servers.pem())).await;
    namespace.apply(&clients.issue("client.example.com").secret("client-tls")).await;
    namespace.apply(&credential("elsewhere", &oidc, "others")).await;
    let untrusted = namespace.reason("elsewhere", ConditionType::Ready, "ProviderUnavailable").await;
    assert!(untrusted.message(ConditionType::Ready).contains("certificate is not trusted"));
    assert!(statuses().await.is_empty());
    namespace.delete_credential("elsewhere").await;

    namespace.apply(&credential("mutual", &oidc, "authorities")).await;
    namespace.ready("mutual").await;
    // One that has expired is not shown to anybody.
    let old = expired("client.example.com");
    namespace.apply(&old.secret("client-tls")).await;
    let said = refused(&namespace, "mutual", "the client certificate has expired").await;
    assert_eq!(said.reason(ConditionType::Refreshed), Some("InvalidSpec"));
    assert!(said.message(ConditionType::Refreshed).contains("The Secret client-tls: "));
    assert!(said.is(ConditionType::Ready), "the token there is valid still");
    let before = statuses().await;
    assert!(before.iter().all(|status| *status == 200), "{before:?}");
    let revision = namespace.status("mutual").await.revision.unwrap();
    // A new one is, without a restart; so is one of another name, which the server refuses.
    let next = clients.issue("client.example.com");
    namespace.apply(&next.secret("client-tls")).await;
    namespace.revision("mutual", revision + 1, SOON).await;
    let after = statuses().await;
    assert!(after.len() > before.len() && after.iter().all(|status| *status == 200), "{after:?}");
    namespace.apply(&clients.issue("somebody.example.com").secret("client-tls")).await;
    let said = refused(&namespace, "mutual", "the provider doesn't accept the client:").await;
    assert_eq!(said.reason(ConditionType::Refreshed), Some("InvalidClient"));
    assert_eq!(statuses().await.last(), Some(&json!(401)));

    let log = operator.log();
    for issued in [old, next] {
        let key = issued.key.serialize_pem();
        assert!(!log.contains(key.lines().nth(1).unwrap()), "a key is in the log");
    }
}
