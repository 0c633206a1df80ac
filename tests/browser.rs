//! A person at a real Chromium consents at the operator's own pages and at those of real OAuth servers: oidc-provider's and Keycloak's login
//! and consent, and the stand-in for Hover, whose redirect lands elsewhere. `tests/browser/run` runs these; `make e2e` calls it.
//!
//! With SCREENSHOTS=docs/images the pictures that the docs show are taken anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

#[path = "browser/chromium.rs"]
mod chromium;
#[path = "browser/elsewhere.rs"]
mod elsewhere;
#[path = "browser/keycloak.rs"]
mod keycloak;
#[path = "browser/pages.rs"]
mod pages;
#[path = "browser/stage.rs"]
mod stage;
