//! oauth-operator keeps OAuth 2.0 access tokens fresh in Kubernetes Secrets.
//!
//! `api` holds the resources, `oauth` the protocol (it knows no Kubernetes), `credential` the decisions (no I/O and no
//! clock), `secrets` the Secrets' contents, `controller` the effects, `consent` the pages on which a
//! person consents, `operate` what any operator needs. `plugin` is `kubectl oauth`.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod clock;
pub mod consent;
pub mod controller;
pub mod credential;
pub mod duration;
pub mod oauth;
pub mod operate;
#[cfg(feature = "plugin")]
pub mod plugin;
pub mod secrets;
pub mod shown;
pub mod template;
