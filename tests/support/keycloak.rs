//! Keycloak with a realm of a test's own. Its distribution is prepared by tests/e2e/keycloak/build, and named by KEYCLOAK.

use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use oauth_operator::operate::requests::install_crypto_provider;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::certificates::Issued;
use super::{free_port, until};

/// Administrator of all realms.
const ADMIN: (&str, &str) = ("admin", "admin-password");

/// What a server with TLS needs. It asks its clients for certificates, and takes those without one as well.
pub struct Tls<'a> {
    pub server: &'a Issued,
    /// PEM, of whom the server's certificate is.
    pub authority: &'a str,
    /// PEM, of whom the clients' certificates are.
    pub clients: &'a str,
}

/// A running server.
pub struct Keycloak {
    /// Of the realm `acme`.
    pub issuer: String,
    pub http: reqwest::Client,
    child: Child,
    home: TempDir,
}

impl Keycloak {
    /// Starts it with this realm, which is called `acme`; over plain http, or with TLS.
    pub async fn start(realm: &Value, tls: Option<Tls<'_>>) -> Self {
        install_crypto_provider();
        let distribution =
            std::env::var_os("KEYCLOAK").expect("KEYCLOAK names its distribution: see tests/e2e/keycloak/build");
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("keycloak");
        assert!(Command::new("cp").arg("-r").arg(Path::new(&distribution)).arg(&root).status().unwrap().success());
        std::fs::create_dir_all(root.join("data/import")).unwrap();
        std::fs::write(root.join("data/import/realm.json"), realm.to_string()).unwrap();
        let port = free_port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://127.0.0.1:{port}");
        let mut http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30));
        let mut command = Command::new("bash");
        command.arg(root.join("bin/kc.sh")).args(["start", "--optimized", "--cache=local", "--import-realm"]);
        command.args(["--http-host=127.0.0.1", &format!("--{scheme}-port={port}"), &format!("--hostname={origin}")]);
        match &tls {
            None => {
                command.arg("--http-enabled=true");
            }
            Some(tls) => {
                let authority = reqwest::Certificate::from_pem_bundle(tls.authority.as_bytes()).unwrap();
                http = http.tls_certs_only(authority);
                let file = |flag: &str, name: &str, content: &str| {
                    let path = home.path().join(name);
                    std::fs::write(&path, content).unwrap();
                    format!("--{flag}={}", path.display())
                };
                command.args([
                    file("https-certificate-file", "tls.crt", &tls.server.certificate.pem()),
                    file("https-certificate-key-file", "tls.key", &tls.server.key.serialize_pem()),
                    file("truststore-paths", "clients.pem", tls.clients),
                ]);
            }
        }
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        // It doesn't live long enough for the best of compilers to be worth it.
        command.env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1");
        let child = command
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN.0)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN.1)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let keycloak = Self { issuer: format!("{origin}/realms/acme"), http: http.build().unwrap(), child, home };
        until("Keycloak", Duration::from_secs(600), async || keycloak.is_up().await.then_some(())).await;
        keycloak
    }

    async fn is_up(&self) -> bool {
        let metadata = format!("{}/.well-known/openid-configuration", self.issuer);
        self.http.get(metadata).send().await.is_ok_and(|it| it.status().is_success())
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    /// The reply to a token request of this realm, which must be granted.
    pub async fn token(&self, form: &[(&str, &str)]) -> Value {
        self.ask_token(&self.issuer, form).await
    }

    async fn ask_token(&self, issuer: &str, form: &[(&str, &str)]) -> Value {
        let request = self.http.post(format!("{issuer}/protocol/openid-connect/token")).form(form);
        let (status, text) = answer(request).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Changes a client, of which `id` is the realm's own name, by the administrator's interface.
    pub async fn update_client(&self, id: &str, client: &Value) {
        let (origin, _) = self.issuer.split_once("/realms/").unwrap();
        let form =
            [("grant_type", "password"), ("client_id", "admin-cli"), ("username", ADMIN.0), ("password", ADMIN.1)];
        let token = self.ask_token(&format!("{origin}/realms/master"), &form).await;
        let request = self.http.put(format!("{origin}/admin/realms/acme/clients/{id}")).json(client);
        let (status, text) = answer(request.bearer_auth(token["access_token"].as_str().unwrap())).await;
        assert_eq!(status, 204, "{id}: {text}");
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(self.child.wait());
    }
}

/// A user of a realm, who may have refresh tokens that outlive a session.
pub fn user(name: &str, password: &str) -> Value {
    json!({
        "username": name, "enabled": true, "email": format!("{name}@example.com"), "emailVerified": true,
        "firstName": name, "lastName": "Ames", "realmRoles": ["offline_access"],
        "credentials": [{"type": "password", "value": password, "temporary": false}],
    })
}
