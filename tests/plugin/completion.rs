//! By way of kubectl: the plugin found in the PATH, and its completions; and what the docs have people do without the plugin.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::person::{Person, Ran, run};
use crate::support::{Cluster, Namespace};

/// A folder with kubectl, the plugin, and the script that `completion kubectl` prints.
struct Shell {
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Shell {
    fn new(namespace: &Namespace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/build");
        let built = Command::new(script).output().unwrap();
        assert!(built.status.success());
        let programs = String::from_utf8(built.stdout).unwrap().lines().last().unwrap().to_owned();
        symlink(PathBuf::from(programs).join("kubectl"), folder.path().join("kubectl")).unwrap();
        symlink(env!("CARGO_BIN_EXE_kubectl-oauth"), folder.path().join("kubectl-oauth")).unwrap();
        let completer = folder.path().join("kubectl_complete-oauth");
        std::fs::write(&completer, Person::admin(namespace).runs(&["completion", "kubectl"]).stdout).unwrap();
        std::fs::set_permissions(&completer, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, kubeconfig: namespace.dir.join("kubeconfig") }
    }

    fn kubectl(&self, arguments: &[&str]) -> Ran {
        self.runs("kubectl", arguments)
    }

    /// A program that finds kubectl in its PATH.
    fn runs(&self, program: &str, arguments: &[&str]) -> Ran {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("env");
        command.env("PATH", path).env("KUBECONFIG", &self.kubeconfig).arg(program).args(arguments);
        run(command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_the_plugin_and_completes_its_words() {
    let namespace = Cluster::shared().await.namespace("completes").await;
    for name in ["calendar", "reports"] {
        let credential = json!({
            "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "metadata": {"name": name},
            "spec": {"provider": {"endpoints": {"token": "https://a.example/t"}}, "grant": {"clientCredentials": {}}},
        });
        namespace.apply(&credential.to_string()).await;
    }
    let shell = Shell::new(&namespace);
    let status = shell.kubectl(&["oauth", "status", "-n", "completes"]).ended(1);
    assert!(status.contains("calendar   False"), "{status}");
    let completed = |words: &[&str]| shell.kubectl(&[&["__complete", "oauth"], words].concat()).ended(0);
    let commands = completed(&[""]);
    assert!(commands.contains("refresh\tAsk the operator") && commands.contains("\n:4\n"), "{commands}");
    let names = completed(&["status", "-n", "completes", "c"]);
    assert!(names.contains("calendar\n:4\n") && !names.contains("reports"), "{names}");
    let namespaces = completed(&["status", "--namespace", "compl"]);
    assert!(namespaces.contains("completes\n"), "{namespaces}");
}

#[test]
fn scripts_are_for_each_shell() {
    for (shell, word) in
        [("bash", "complete -F"), ("zsh", "#compdef kubectl-oauth"), ("fish", "complete -c kubectl-oauth")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-oauth"));
        command.args(["completion", shell]);
        assert!(run(command).ended(0).contains(word), "{shell}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_docs_have_people_do_lets_credentials_go_without_an_operator() {
    let namespace = Cluster::shared().await.namespace("uninstalled").await;
    for name in ["going", "staying"] {
        let credential = json!({
            "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential",
            "metadata": {"name": name, "finalizers": ["oauth-operator.dev/revoke"]},
            "spec": {"provider": {"endpoints": {"token": "https://a.example/t"}}, "grant": {"clientCredentials": {}}},
        });
        namespace.apply(&credential.to_string()).await;
    }
    namespace.credentials().delete("going", &Default::default()).await.unwrap();
    assert!(namespace.credentials().get_opt("going").await.unwrap().is_some(), "its finalizer holds it");

    let page = include_str!("../../docs/operate.md").split("### Credentials that do not go").nth(1).unwrap();
    let command = page.split("```sh plugin\n").nth(1).unwrap().split("```").next().unwrap();
    // In this namespace: the cluster has others.
    let command = command.replace("--all-namespaces", "--namespace uninstalled");
    let said = Shell::new(&namespace).runs("bash", &["-euo", "pipefail", "-c", &command]).ended(0);
    assert_eq!(said, "oauthcredential.oauth-operator.dev/going patched\n");
    assert!(namespace.credentials().get_opt("going").await.unwrap().is_none());
    assert!(namespace.credential("staying").await.metadata.finalizers.is_some_and(|them| them.len() == 1));
}
