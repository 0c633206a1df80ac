//! `kubectl oauth`: the plugin's real binary against a real API server, with the operator's beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

#[path = "plugin/authorize.rs"]
mod authorize;
#[path = "plugin/check.rs"]
mod check;
#[path = "plugin/completion.rs"]
mod completion;
#[path = "plugin/new.rs"]
mod new;
#[path = "plugin/person.rs"]
mod person;
#[path = "plugin/prune.rs"]
mod prune;
#[path = "plugin/refresh.rs"]
mod refresh;
#[path = "plugin/revoke.rs"]
mod revoke;
#[path = "plugin/status.rs"]
mod status;
