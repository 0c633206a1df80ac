//! What a crash or a fault does to a single-use refresh token: the real binary, killed or stopped at each of its writes, an
//! API server that fails each of them in every way or shows what is long past, a token server whose replies are lost, clocks
//! that jump, and people who change everything meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

#[path = "faults/api.rs"]
mod api;
#[path = "faults/boundaries.rs"]
mod boundaries;
#[path = "faults/changes.rs"]
mod changes;
#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/herd.rs"]
mod herd;
#[path = "faults/kills/mod.rs"]
mod kills;
#[allow(dead_code, reason = "shared with the cluster tests, which use all of it")]
#[path = "cluster/manifests.rs"]
mod manifests;
#[path = "faults/outputs.rs"]
mod outputs;
#[path = "faults/provider.rs"]
mod provider;
#[path = "faults/replicas.rs"]
mod replicas;
#[path = "faults/shape.rs"]
mod shape;
#[path = "faults/watching.rs"]
mod watching;
