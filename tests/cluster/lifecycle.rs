//! From a first token through its refreshes, against oidc-provider with strict rotation.

use std::time::Duration;

use crate::support::{Cluster, Namespace, Oidc, Operator};

const HTTP: [&str; 2] = ["--allow-insecure-http", "--lease-duration=10s"];

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_rotated_and_never_replayed() {
    let namespace = Cluster::shared().await.namespace("rotates").await;
    let oidc = Oidc::start(&["--access-token-ttl", "6"]).await;
    let operator = Operator::start(&namespace, &HTTP).await;
    apply_seeded(&namespace, &oidc, "rotates", &oidc.seed("web-post").await).await;

    namespace.ready("rotates").await;
    let first = namespace.value("rotates-token", "access_token").await;
    let credential = namespace.revision("rotates", 4, Duration::from_secs(60)).await;
    assert_ne!(namespace.value("rotates-token", "access_token").await, first);
    namespace.keep("current", &credential);

    let log = oidc.log().await;
    assert!(log.iter().all(|entry| entry["status"] == 200 && entry["rotated"] == true && entry["replay"] == false));
    drop(operator);
}

pub async fn apply_seeded(namespace: &Namespace, oidc: &Oidc, name: &str, seed: &str) {
    let token_url = oidc.token_url();
    namespace
        .apply(&format!(
            r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}-input}}
stringData: {{client_secret: web-post-secret, refresh_token: "{seed}"}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider: {{endpoints: {{token: "{token_url}"}}}}
  client:
    id: web-post
    secretRef: {{name: {name}-input, key: client_secret}}
    authentication: client_secret_post
  grant: {{refreshToken: {{secretRef: {{name: {name}-input, key: refresh_token}}}}}}
"#
        ))
        .await;
}
