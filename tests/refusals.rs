//! That bad input gets a clear answer: what `kubectl apply` refuses and with which sentence, and what the operator says, in
//! conditions and Events, of everything that only it can judge. And that every such state ends by itself, once its cause
//! has gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "support/mod.rs"]
mod support;

// What the API server judges.
#[path = "refusals/apply.rs"]
mod apply;
#[path = "refusals/catalog.rs"]
mod catalog;
#[path = "refusals/compatible.rs"]
mod compatible;
#[path = "refusals/crds.rs"]
mod crds;
#[path = "refusals/examples.rs"]
mod examples;
#[path = "refusals/manifests.rs"]
mod manifests;
#[path = "refusals/policies.rs"]
mod policies;

// What the operator judges.
#[path = "refusals/answers.rs"]
mod answers;
#[path = "refusals/case.rs"]
mod case;
#[path = "refusals/codes.rs"]
mod codes;
#[path = "refusals/conflicts.rs"]
mod conflicts;
#[path = "refusals/discovery.rs"]
mod discovery;
#[path = "refusals/inputs.rs"]
mod inputs;
#[path = "refusals/later.rs"]
mod later;
#[path = "refusals/limits.rs"]
mod limits;
#[path = "refusals/network.rs"]
mod network;
#[path = "refusals/objects.rs"]
mod objects;
#[path = "refusals/repeated.rs"]
mod repeated;
#[path = "refusals/replies.rs"]
mod replies;
#[path = "refusals/seeds.rs"]
mod seeds;
#[path = "refusals/specs.rs"]
mod specs;
#[path = "refusals/tenants.rs"]
mod tenants;
#[path = "refusals/times.rs"]
mod times;
