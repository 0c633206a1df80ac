//! Keycloak's own pages. Its distribution is prepared by tests/e2e/keycloak/build, and named by KEYCLOAK.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oauth_operator::operate::requests::install_crypto_provider;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::chromium::Chromium;
use crate::stage::{Person, Stage, free_port};
use crate::support::{get, until};

/// A running server with a realm of its own.
struct Keycloak {
    issuer: String,
    child: Child,
    _home: tempfile::TempDir,
}

impl Keycloak {
    async fn start(callback: &str) -> Self {
        install_crypto_provider();
        let distribution =
            std::env::var_os("KEYCLOAK").expect("KEYCLOAK names its distribution: see tests/browser/run");
        let home = tempfile::tempdir().unwrap();
        let copied =
            Command::new("cp").arg("-r").arg(Path::new(&distribution)).arg(home.path().join("keycloak")).status();
        assert!(copied.unwrap().success());
        let import = home.path().join("keycloak/data/import");
        std::fs::create_dir_all(&import).unwrap();
        std::fs::write(import.join("realm.json"), realm(callback).to_string()).unwrap();
        let port = free_port();
        let child = Command::new("bash")
            .arg(home.path().join("keycloak/bin/kc.sh"))
            .args([
                "start",
                "--optimized",
                "--cache=local",
                "--import-realm",
                "--http-enabled=true",
                "--http-host=127.0.0.1",
            ])
            .arg(format!("--http-port={port}"))
            .arg(format!("--hostname=http://127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let keycloak = Self { issuer: format!("http://127.0.0.1:{port}/realms/acme"), child, _home: home };
        let metadata = format!("{}/.well-known/openid-configuration", keycloak.issuer);
        until("Keycloak", Duration::from_secs(180), async || get(&metadata).await.filter(|(status, _)| *status == 200))
            .await;
        keycloak
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        drop(self.child.wait());
    }
}

fn realm(callback: &str) -> serde_json::Value {
    let alice = json!({
        "username": "alice", "enabled": true, "email": "alice@example.com", "emailVerified": true, "firstName": "Alice", "lastName": "Ames",
        "realmRoles": ["offline_access"], "credentials": [{"type": "password", "value": "alice-password", "temporary": false}],
    });
    let calendar = json!({
        "clientId": "calendar", "secret": "calendar-secret", "publicClient": false, "standardFlowEnabled": true,
        "consentRequired": true, "redirectUris": [callback],
    });
    json!({
        "realm": "acme", "enabled": true, "accessTokenLifespan": 600, "revokeRefreshToken": true, "refreshTokenMaxReuse": 0,
        "users": [alice], "clients": [calendar],
    })
}

struct Alice;

impl Alice {
    /// Who has logged in before is asked for the consent alone.
    async fn logs_in(&self, browser: &Chromium) {
        browser.awaits("#kc-login").await;
        if browser.find("#username").await.is_some() {
            browser.types("#username", "alice").await;
            browser.types("#password", "alice-password").await;
            browser.follows("#kc-login").await;
        }
    }
}

impl Person for Alice {
    async fn denies(&self, browser: &Chromium) {
        self.logs_in(browser).await;
        browser.follows("#kc-cancel").await;
    }

    async fn allows(&self, browser: &Chromium) {
        self.logs_in(browser).await;
        browser.follows("[name=accept]").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_keycloak() {
    let port = free_port();
    let keycloak = Keycloak::start(&format!("http://127.0.0.1:{port}/oauth/callback")).await;
    let stage = Stage::set("browser-keycloak", port).await;
    stage.goes_through(&keycloak.issuer, ("calendar", "calendar-secret"), &Alice).await;
}
