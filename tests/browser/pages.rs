//! oidc-provider's own pages, and ours.

use crate::chromium::Chromium;
use crate::stage::{Person, Stage, free_port};
use crate::support::Oidc;

struct Robot;

impl Person for Robot {
    async fn denies(&self, browser: &Chromium) {
        browser.follows("a[href$='/abort']").await;
    }

    /// Who has logged in before is asked for the consent alone.
    async fn allows(&self, browser: &Chromium) {
        browser.awaits("form button[type=submit]").await;
        if browser.find("input[name=login]").await.is_some() {
            browser.types("input[name=login]", "robot").await;
            browser.types("input[name=password]", "any").await;
            browser.follows("button[type=submit]").await;
        }
        browser.follows("form button[type=submit]").await;
    }

    fn is_photographed(&self) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_oidc_provider() {
    let port = free_port();
    let stage = Stage::set("browser-oidc", port).await;
    let callback = format!("{}/oauth/callback", stage.pages);
    let oidc = Oidc::start(&["--redirect-uri", &callback, "--access-token-ttl", "600"]).await;
    stage.goes_through(&oidc.issuer, ("web-post", "web-post-secret"), &Robot).await;
    assert_eq!(oidc.replays().await, 0);
}

/// Without a ticket there is nothing to be had but a page that asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_start_page() {
    let stage = Stage::set("browser-start", free_port()).await;
    let oidc = Oidc::start(&["--redirect-uri", &format!("{}/oauth/callback", stage.pages)]).await;
    stage.credential(&oidc.issuer, "web-post", "web-post-secret").await;
    let browser = Chromium::start(&[]).await;
    browser.open(&format!("{}/consent/browser-start/calendar", stage.pages)).await;
    browser.reads("Give your consent", "Kubernetes cluster").await;
    browser.photographs("start").await;
    browser.types("#ticket", "a-ticket-of-nobody-here").await;
    browser.follows("main button").await;
    browser.reads("The ticket doesn't fit", "Ask for a new one").await;
    // By hand, as it is read from the Secret.
    let ticket = stage.ticket("calendar").await;
    let page = format!("{}/consent/browser-start/calendar", stage.pages);
    crate::support::until("the page that asks", crate::support::SOON, async || {
        browser.open(&page).await;
        browser.types("#ticket", &ticket).await;
        browser.follows("main button").await;
        let heading = browser.awaits("h1").await.text().await.ok()?;
        (heading == "This is what you are asked for").then_some(())
    })
    .await;
    browser.close().await;
}
