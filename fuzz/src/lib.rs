//! What hostile input may do to the code that reads it, as properties: one module a target. `make fuzz` runs them with
//! libFuzzer, `tests/fuzz.rs` over the inputs that are kept in `corpus/`, which is this same code.
//!
//! An input is text wherever it can be. A panic is a finding.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "here a panic is the message")]

pub mod callback;
pub mod cookie;
pub mod discovery;
pub mod egress;
pub mod id_token;
pub mod jsonpath;
pub mod keys;
pub mod reply;
pub mod shown;
pub mod state;
pub mod template;

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. Each has a binary in `targets/` and inputs in `corpus/`.
pub const TARGETS: [Target; 10] = [
    ("callback", callback::run),
    ("cookie", cookie::run),
    ("discovery", discovery::run),
    ("egress", egress::run),
    ("id_token", id_token::run),
    ("jsonpath", jsonpath::run),
    ("keys", keys::run),
    ("reply", reply::run),
    ("state", state::run),
    ("template", template::run),
];
