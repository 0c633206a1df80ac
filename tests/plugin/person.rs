//! Somebody at a shell: runs the plugin's binary, with a kubeconfig and no terminal.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::support::Namespace;
use crate::support::standin::Standin;

/// Who runs the commands.
pub struct Person {
    kubeconfig: PathBuf,
    namespace: String,
}

/// What a command came to.
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Person {
    /// An administrator, in this namespace.
    pub fn admin(namespace: &Namespace) -> Self {
        Self { kubeconfig: namespace.dir.join("kubeconfig"), namespace: namespace.name.clone() }
    }

    /// Somebody who may do this with the resources of the API group in the namespace, and nothing else.
    pub async fn with_rights(namespace: &Namespace, name: &str, rights: &[(&str, &str, &[&str])]) -> Self {
        let rules: Vec<_> = rights
            .iter()
            .map(|(group, resource, verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs}))
            .collect();
        let rbac = "rbac.authorization.k8s.io";
        for object in [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": {"name": name}, "rules": rules}),
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}],
            }),
        ] {
            namespace.apply(&object.to_string()).await;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(namespace.client.clone(), &namespace.name);
        let request = TokenRequest::default();
        let token = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
        let admins = std::fs::read_to_string(namespace.dir.join("kubeconfig")).unwrap();
        let mut kubeconfig: Value = serde_yaml_ng::from_str(&admins).unwrap();
        kubeconfig["users"][0]["user"] = json!({"token": token.status.unwrap().token});
        let path = namespace.dir.join(format!("{}-{name}.kubeconfig", namespace.name));
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        Self { kubeconfig: path, namespace: namespace.name.clone() }
    }

    /// `kubectl oauth ARGUMENTS`, in the namespace.
    pub fn runs(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-oauth"));
        command.env("KUBECONFIG", &self.kubeconfig).args(["--namespace", &self.namespace]).args(arguments);
        run(command)
    }
}

/// Runs it without a terminal and without a proxy.
pub fn run(mut command: Command) -> Ran {
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    Ran {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// Both outputs; panics unless the exit status is this one.
    pub fn ended(&self, status: i32) -> String {
        let said = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.status, status, "{said}");
        said
    }
}

/// A credential at the stand-in's, with its input Secret. `spec` is more of its spec, indented by two spaces.
pub fn credential(name: &str, standin: &Standin, spec: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}-input}}
stringData: {{client_secret: "s3cr3t", refresh_token: "{seed}"}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}, labels: {{team: billing}}}}
spec:
  provider:
    endpoints: {{token: "{url}"}}
    tokenRequest: {{encoding: JSON}}
  client:
    id: "3fc0"
    secretRef: {{name: {name}-input, key: client_secret}}
    authentication: client_secret_post
  grant: {{refreshToken: {{secretRef: {{name: {name}-input, key: refresh_token}}}}}}
{spec}
"#,
        seed = standin.seed(),
        url = standin.token_url(),
    )
}
