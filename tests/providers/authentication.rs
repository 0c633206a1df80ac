//! The client authentications, each with a machine's grant and a person's, against oidc-provider.

use crate::matrix::{Case, Server};
use crate::support::Oidc;

/// What the cases run against, and the cases.
pub async fn cases() -> (Vec<Oidc>, Vec<Case>) {
    let oidc = Oidc::start(&[]).await;
    let mut cases = Vec::new();
    for method in ["basic", "post"] {
        let authentication = match method {
            "basic" => "client_secret_basic",
            _ => "client_secret_post",
        };
        let secret = |client: &str| {
            format!("{{id: {client}, secretRef: {{name: {client}, key: secret}}, authentication: {authentication}}}")
        };
        let machine = format!("machine-{method}");
        cases.push(machines(&oidc, &machine, authentication, &secret(&machine)));
        let web = format!("web-{method}");
        cases.push(persons(&oidc, &web, authentication, &secret(&web)).await);
    }
    cases.push(persons(&oidc, "web-public", "none", "{id: web-public, authentication: none}").await);
    (vec![oidc], cases)
}

fn case(
    oidc: &Oidc,
    name: &str,
    (grant, spec): (&'static str, &str),
    authentication: &'static str,
    client: &str,
    seed: &str,
) -> Case {
    let manifest = format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}}}
stringData: {{secret: {name}-secret, seed: "{seed}"}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider: {{endpoints: {{token: "{}"}}}}
  client: {client}
  grant: {spec}
"#,
        oidc.token_url()
    );
    Case { grant, authentication, encoding: "Form", server: Server::OidcProvider, name: name.to_owned(), manifest }
}

fn machines(oidc: &Oidc, name: &str, authentication: &'static str, client: &str) -> Case {
    case(oidc, name, ("clientCredentials", "{clientCredentials: {}}"), authentication, client, "")
}

async fn persons(oidc: &Oidc, name: &str, authentication: &'static str, client: &str) -> Case {
    let grant = format!("{{refreshToken: {{secretRef: {{name: {name}, key: seed}}}}}}");
    case(oidc, name, ("refreshToken", &grant), authentication, client, &oidc.seed(name).await)
}
