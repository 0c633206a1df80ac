//! A real etcd and kube-apiserver, with the CRDs and the operator's RBAC rules as they are shipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use oauth_operator::operate::{open_files, requests::install_crypto_provider};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::namespace::{Namespace, apply, documents};

const RBAC: &str = include_str!("../../deploy/rbac.yaml");
const CRDS: [&str; 3] = [
    include_str!("../../crds/oauthcredentials.yaml"),
    include_str!("../../crds/oauthproviders.yaml"),
    include_str!("../../crds/clusteroauthproviders.yaml"),
];

static SHARED: OnceCell<Cluster> = OnceCell::const_new();
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// A running control plane. Its data and logs are in `dir`.
pub struct Cluster {
    pub dir: PathBuf,
}

impl Cluster {
    /// The one that all tests of this binary share. It ends with the test process.
    pub async fn shared() -> &'static Cluster {
        SHARED.get_or_init(Cluster::start).await
    }

    /// One more, for a test that counts all requests or turns the API server off. It ends when it is dropped.
    pub async fn start() -> Cluster {
        install_crypto_provider();
        // Servers that hang are here, too: thousands of connections, where a shell's limit is often 1,024.
        open_files::raise_limit().unwrap();
        let cluster = tokio::task::spawn_blocking(Cluster::launch).await.unwrap();
        let client = cluster.client().await;
        for crd in CRDS {
            apply(&client, "default", documents(crd)).await.unwrap();
        }
        apply(&client, "default", documents(RBAC)).await.unwrap();
        cluster.await_crds(&client).await;
        cluster
    }

    fn launch() -> Cluster {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_leftovers(root);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let dir = root.join(format!("cluster-{}-{serial}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let cluster = Cluster { dir };
        cluster.resume();
        cluster
    }

    /// Kills etcd and the API server; their data stay.
    pub fn stop(&self) {
        self.run("stop", &[]);
    }

    /// Starts them, with the same data and at the same address.
    pub fn resume(&self) {
        let parent = std::process::id().to_string();
        let audit = self.audit();
        let audit: Vec<&str> = audit.iter().map(String::as_str).collect();
        self.run("start", &[&["--parent", &parent], audit.as_slice()].concat());
    }

    /// Where AUDIT_LOGS names a directory, the API server notes there who did what: tests/run has it tell which rights nobody used.
    fn audit(&self) -> Vec<String> {
        let Some(logs) = std::env::var_os("AUDIT_LOGS") else { return Vec::new() };
        let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/audit.yaml");
        let log = Path::new(&logs).join(self.dir.file_name().unwrap());
        let flags = [format!("--audit-policy-file={policy}"), format!("--audit-log-path={}.log", log.display())];
        ["--".to_owned()].into_iter().chain(flags).collect()
    }

    fn run(&self, command: &str, arguments: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/run");
        let output = Command::new(script).arg(command).arg(&self.dir).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "controlplane/run {command}: {}\n{said}", output.status);
    }

    /// A CRD that was just applied isn't served yet.
    async fn await_crds(&self, client: &Client) {
        for plural in ["oauthcredentials", "oauthproviders", "clusteroauthproviders"] {
            super::until(plural, super::SOON, async || {
                let path = format!("/apis/oauth-operator.dev/v1alpha1/{plural}");
                client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.ok()
            })
            .await;
        }
    }

    /// An administrator's client. Each test makes its own: a client belongs to the runtime it was made in.
    pub async fn client(&self) -> Client {
        client_of(&self.kubeconfig()).await
    }

    pub fn kubeconfig(&self) -> String {
        std::fs::read_to_string(self.dir.join("kubeconfig")).unwrap()
    }

    /// A new namespace with a ServiceAccount `oauth-operator`, which the rules of deploy/rbac.yaml bind to its role.
    pub async fn namespace(&self, name: &str) -> Namespace {
        let client = self.client().await;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let mut objects = vec![namespace];
        objects.extend(documents(RBAC).into_iter().filter_map(|object| for_namespace(object, name)));
        apply(&client, name, objects).await.unwrap();
        Namespace::new(client, name, self.dir.clone(), self.kubeconfig())
    }
}

/// A client that acts as a kubeconfig says.
pub async fn client_of(kubeconfig: &str) -> Client {
    install_crypto_provider();
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// The object, as it would stand if this namespace were the operator's own. None: it belongs to the whole cluster.
fn for_namespace(mut object: Value, namespace: &str) -> Option<Value> {
    match object["kind"].as_str().unwrap() {
        "Namespace" | "ClusterRole" => return None,
        "ClusterRoleBinding" => object["metadata"]["name"] = format!("oauth-operator-{namespace}").into(),
        _ => object["metadata"]["namespace"] = namespace.into(),
    }
    if let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) {
        subjects.iter_mut().for_each(|subject| subject["namespace"] = namespace.into());
    }
    Some(object)
}

/// Directories of test processes that are gone: the shared cluster's stays for whoever wants to read its logs.
fn remove_leftovers(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(pid) = name.strip_prefix("cluster-").and_then(|rest| rest.split('-').next()) else { continue };
        let alive = Command::new("ps").args(["-p", pid]).output().is_ok_and(|output| output.status.success());
        if !alive {
            // Its own watcher may not have come to it yet, and would find nothing to stop afterwards.
            drop(Cluster { dir: entry.path() });
        }
    }
}
