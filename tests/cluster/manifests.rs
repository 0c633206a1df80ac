//! The manifests that most tests begin with. `spec` is more of the credential's spec, as lines indented by two spaces.

use crate::support::{Oidc, standin::Standin};

/// A credential for the stand-in's Hover (plain http), with its input Secret `<name>-input`.
pub fn hover(name: &str, standin: &Standin, spec: &str) -> String {
    hover_seeded(name, &standin.token_url(), &standin.seed(), spec)
}

pub fn hover_seeded(name: &str, token_url: &str, seed: &str, spec: &str) -> String {
    format!(
        r#"
{input}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider:
    endpoints: {{token: "{token_url}"}}
    tokenRequest: {{encoding: JSON}}
  client:
    id: "3fc0"
    secretRef: {{name: {name}-input, key: client_secret}}
    authentication: client_secret_post
  grant: {{refreshToken: {{secretRef: {{name: {name}-input, key: refresh_token}}}}}}
{spec}
"#,
        input = input(name, "s3cr3t", seed)
    )
}

/// The input Secret of `hover` and `web`.
pub fn input(name: &str, client_secret: &str, seed: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}-input}}
stringData: {{client_secret: "{client_secret}", refresh_token: "{seed}"}}"#
    )
}

/// A credential for oidc-provider's client `web-post`, with its input Secret `<name>-input`.
pub fn web(name: &str, oidc: &Oidc, seed: &str, spec: &str) -> String {
    format!(
        r#"
{input}
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
{spec}
"#,
        input = input(name, "web-post-secret", seed),
        token_url = oidc.token_url(),
    )
}

/// The Secret with the secrets of both machine clients.
pub const MACHINES: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: machines}
stringData: {machine-post: machine-post-secret, machine-basic: machine-basic-secret}
"#;

/// A clientCredentials credential for oidc-provider's client `machine-<how>` (post or basic). Needs `MACHINES`.
pub fn machine(name: &str, how: &str, token_url: &str, spec: &str) -> String {
    format!(
        r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider: {{endpoints: {{token: "{token_url}"}}}}
  client:
    id: machine-{how}
    secretRef: {{name: machines, key: machine-{how}}}
    authentication: client_secret_{how}
  grant: {{clientCredentials: {{}}}}
{spec}
"#
    )
}
