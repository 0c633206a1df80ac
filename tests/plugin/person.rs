//! Somebody at a shell: runs the plugin's binary, with a kubeconfig and no terminal.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::support::standin::Standin;
use crate::support::{Namespace, SOON, cluster::client_of, until};

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
        let kubeconfig = kubeconfig.to_string();
        let path = namespace.dir.join(format!("{}-{name}.kubeconfig", namespace.name));
        std::fs::write(&path, &kubeconfig).unwrap();
        // The API server comes to know of a binding a little later.
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client_of(&kubeconfig).await);
        for (group, resource, verb) in
            rights.iter().flat_map(|(group, of, verbs)| verbs.iter().map(move |verb| (group, of, verb)))
        {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let asked = json!({"spec": {"resourceAttributes": {
                "namespace": namespace.name, "group": group, "resource": resource, "subresource": subresource, "verb": verb,
            }}});
            let review = serde_json::from_value(asked).unwrap();
            until("the right holds", SOON, async || {
                let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
                answer.status.unwrap().allowed.then_some(())
            })
            .await;
        }
        Self { kubeconfig: path, namespace: namespace.name.clone() }
    }

    /// `kubectl oauth ARGUMENTS`, in the namespace.
    pub fn runs(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }

    /// The same, and the person goes on with something else meanwhile.
    pub fn begins(&self, arguments: &[&str]) -> Running {
        self.begins_with(arguments, &[])
    }

    /// The same in this environment.
    pub fn begins_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        Running::start(command)
    }

    /// The command line, for something else to run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-oauth"));
        command.env("KUBECONFIG", &self.kubeconfig).args(["--namespace", &self.namespace]).args(arguments);
        without_surroundings(&mut command);
        command
    }
}

/// Neither a proxy nor a desktop.
fn without_surroundings(command: &mut Command) {
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    for desktop in ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"] {
        command.env_remove(desktop);
    }
}

/// A command that is under way.
pub struct Running {
    child: Child,
    stdout: Reader,
    stderr: Reader,
}

type Reader = (Arc<Mutex<String>>, JoinHandle<()>);

fn reader(mut from: impl Read + Send + 'static) -> Reader {
    let text = Arc::new(Mutex::new(String::new()));
    let written = text.clone();
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            written.lock().unwrap().push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
    });
    (text, thread)
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap()));
        Self { child, stdout, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn said(&self) -> String {
        format!("{}{}", self.stdout.0.lock().unwrap(), self.stderr.0.lock().unwrap())
    }

    /// The line of what it has said that begins with this, after blanks.
    pub async fn line(&mut self, begin: &str) -> String {
        until(&format!("a line that begins with {begin:?}"), SOON, async || {
            let said = self.said();
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it has ended, {status}: {said}");
            }
            let whole = said.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
            whole.lines().map(str::trim).find(|line| line.starts_with(begin)).map(str::to_owned)
        })
        .await
    }

    /// Enters a line.
    pub fn types(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// What it came to.
    pub async fn ran(mut self) -> Ran {
        let status = until("the command ends", SOON * 2, async || self.child.try_wait().unwrap()).await;
        for (_, thread) in [&mut self.stdout, &mut self.stderr] {
            std::mem::replace(thread, std::thread::spawn(|| ())).join().unwrap();
        }
        let text = |reader: &Reader| reader.0.lock().unwrap().clone();
        Ran { status: status.code().unwrap(), stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs it without a terminal and without a proxy.
pub fn run(mut command: Command) -> Ran {
    without_surroundings(&mut command);
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
