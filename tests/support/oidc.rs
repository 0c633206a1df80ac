//! oidc-provider as tests/oidc runs it: a real OAuth server with strict rotation and a remote control.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use oauth_operator::operate::requests::install_crypto_provider;
use serde_json::{Value, json};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc");

/// It takes a second; ten times that on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

static INSTALLED: OnceLock<()> = OnceLock::new();

/// A running server. It ends when its standard input closes: when this is dropped, or the test process is gone.
pub struct Oidc {
    pub issuer: String,
    control: String,
    http: reqwest::Client,
    child: Child,
    stdin: Option<ChildStdin>,
    /// Held open: the server's library writes a word there now and then, and would die of a closed pipe.
    _stdout: BufReader<ChildStdout>,
}

impl Oidc {
    /// Starts `server.mjs` with these flags; the clients are those of tests/oidc/provider.mjs.
    pub async fn start(flags: &[&str]) -> Self {
        install_crypto_provider();
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        tokio::task::spawn_blocking(move || Self::launch(&flags)).await.unwrap()
    }

    /// The same with a config file: see tests/oidc/server.mjs.
    pub async fn start_with(config: &Value, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        Self::start(&[&["--config", path.to_str().unwrap()], flags].concat()).await
    }

    fn launch(flags: &[String]) -> Self {
        INSTALLED.get_or_init(install);
        let mut command = Command::new("node");
        command.arg("server.mjs").args(flags).arg("--exit-with-stdin").current_dir(DIR);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is installed");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).map(|_| said.send((line, stdout)))
        });
        let Ok((line, stdout)) = heard.recv_timeout(STARTS_WITHIN) else {
            drop(child.kill());
            panic!("the token server doesn't start: try `node server.mjs` in {DIR}");
        };
        let ready: Value = serde_json::from_str(&line).expect("the line that says where it listens");
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            issuer: text("issuer"),
            control: text("control"),
            http,
            stdin: child.stdin.take(),
            _stdout: stdout,
            child,
        }
    }

    pub fn token_url(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// A call of the remote control: see tests/oidc/control.mjs.
    pub async fn control(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.control)).body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Latency and failures: see `Faults` in tests/oidc/token-endpoint.mjs.
    pub async fn configure(&self, settings: &Value) {
        self.control("/config", settings).await;
    }

    /// A refresh token under a grant of its own, as if a person had consented.
    pub async fn seed(&self, client: &str) -> String {
        self.seeds(client, 1).await.remove(0)
    }

    /// The same with other scopes than openid and offline_access.
    pub async fn seed_scoped(&self, client: &str, scope: &str) -> String {
        let minted = self.control("/seed", &json!({"client_id": client, "scope": scope})).await;
        minted[0]["refresh_token"].as_str().unwrap().to_owned()
    }

    pub async fn seeds(&self, client: &str, count: usize) -> Vec<String> {
        let minted = self.control("/seed", &json!({"client_id": client, "count": count})).await;
        let token = |pair: &Value| pair["refresh_token"].as_str().unwrap().to_owned();
        minted.as_array().unwrap().iter().map(token).collect()
    }

    pub async fn set_client_secret(&self, client: &str, secret: &str) {
        self.control("/client", &json!({"client_id": client, "client_secret": secret})).await;
    }

    /// Every token request so far.
    pub async fn log(&self) -> Vec<Value> {
        let text = self.http.get(format!("{}/log", self.control)).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// How many of them came with a refresh token that had been spent.
    pub async fn replays(&self) -> usize {
        self.log().await.iter().filter(|entry| entry["replay"] == true).count()
    }

    /// The process is gone, and its port refuses.
    pub fn stop(&mut self) {
        drop(self.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Oidc {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn install() {
    if Path::new(DIR).join("node_modules").exists() {
        return;
    }
    let npm = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(DIR).output();
    let npm = npm.expect("npm is installed");
    assert!(npm.status.success(), "npm ci: {}", String::from_utf8_lossy(&npm.stderr));
}
