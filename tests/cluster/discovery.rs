//! Endpoints that are discovered from a real OpenID Connect issuer.

use serde_json::json;

use super::manifests::{MACHINES, input};
use crate::support::{Cluster, Oidc, Operator, SOON};

/// As the example of a discovered provider has it, and a refresh token beside it: both need but the issuer.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_all_that_need_be_said() {
    let namespace = Cluster::shared().await.namespace("discovery").await;
    let oidc = Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let (issuer, input) = (&oidc.issuer, input("person", "web-post-secret", &oidc.seed("web-post").await));
    namespace
        .apply(&format!(
            r#"
{MACHINES}
---
{input}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: machine}}
spec:
  provider: {{issuer: "{issuer}"}}
  client: {{id: machine-basic, secretRef: {{name: machines, key: machine-basic}}}}
  grant: {{clientCredentials: {{}}}}
  scopes: [read, write]
  secret:
    template:
      header: "Authorization: {{{{ token_type }}}} {{{{ access_token }}}}"
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: idp}}
spec: {{issuer: "{issuer}", client: {{authentication: client_secret_post}}}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: person}}
spec:
  providerRef: {{name: idp}}
  client: {{id: web-post, secretRef: {{name: person-input, key: client_secret}}}}
  grant: {{refreshToken: {{secretRef: {{name: person-input, key: refresh_token}}}}}}
"#
        ))
        .await;
    namespace.ready("machine").await;
    namespace.ready("person").await;
    assert!(namespace.value("machine-token", "header").await.starts_with("Authorization: Bearer "));
    assert_eq!(namespace.state("person").await["binding"]["servers"], json!([issuer]));
    namespace.request_refresh("person", "2026-01-01T00:00:00Z").await;
    namespace.revision("person", 2, SOON).await;
    let log = oidc.log().await;
    assert_eq!((log.len(), oidc.replays().await), (3, 0));
}
