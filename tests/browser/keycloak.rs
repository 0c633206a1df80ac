//! Keycloak's own pages.

use serde_json::json;

use crate::chromium::Chromium;
use crate::stage::{Person, Stage, free_port};
use crate::support::keycloak::{Keycloak, user};

fn realm(callback: &str) -> serde_json::Value {
    let calendar = json!({
        "clientId": "calendar", "secret": "calendar-secret", "publicClient": false, "standardFlowEnabled": true,
        "consentRequired": true, "redirectUris": [callback],
    });
    json!({
        "realm": "acme", "enabled": true, "accessTokenLifespan": 600, "revokeRefreshToken": true, "refreshTokenMaxReuse": 0,
        "users": [user("alice", "alice-password")], "clients": [calendar],
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
    let keycloak = Keycloak::start(&realm(&format!("http://127.0.0.1:{port}/oauth/callback")), None).await;
    let stage = Stage::set("browser-keycloak", port).await;
    stage.goes_through(&keycloak.issuer, ("calendar", "calendar-secret"), &Alice).await;
}
