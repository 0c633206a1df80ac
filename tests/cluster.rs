//! The operator's real binary against a real API server, a real OAuth server and a strict stand-in. Each test has a
//! namespace and an operator of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

#[path = "cluster/assertions.rs"]
mod assertions;
#[path = "cluster/canary.rs"]
mod canary;
#[path = "cluster/canary_grants.rs"]
mod canary_grants;
#[path = "cluster/certificates.rs"]
mod certificates;
#[path = "cluster/consent.rs"]
mod consent;
#[path = "cluster/control.rs"]
mod control;
#[path = "cluster/counts.rs"]
mod counts;
#[path = "cluster/crowd.rs"]
mod crowd;
#[path = "cluster/discovery.rs"]
mod discovery;
#[path = "cluster/grants.rs"]
mod grants;
#[path = "cluster/lifecycle.rs"]
mod lifecycle;
#[path = "cluster/manifests.rs"]
mod manifests;
#[path = "cluster/output.rs"]
mod output;
#[path = "cluster/pages.rs"]
mod pages;
#[path = "cluster/process.rs"]
mod process;
#[path = "cluster/restart.rs"]
mod restart;
#[path = "cluster/revocation.rs"]
mod revocation;
#[path = "cluster/shapes.rs"]
mod shapes;
#[path = "cluster/state.rs"]
mod state;
#[path = "cluster/targets.rs"]
mod targets;
#[path = "cluster/traces.rs"]
mod traces;
