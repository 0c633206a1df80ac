//! What a crash or a fault does to a single-use refresh token: the real binary, killed at each of its writes, and an API
//! server that fails each of them in every way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

#[path = "faults/api.rs"]
mod api;
#[path = "faults/boundaries.rs"]
mod boundaries;
#[path = "faults/kills/mod.rs"]
mod kills;
#[allow(dead_code, reason = "shared with the cluster tests, which use all of it")]
#[path = "cluster/manifests.rs"]
mod manifests;
