//! The documentation that is made from the resources' types: every field is described, and `docs/reference.md` says of each what the
//! CRDs say. Nothing here opens a connection. (That the examples of docs/providers.md are accepted is `refusals::examples`.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "docs/fields.rs"]
mod fields;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/schema.rs"]
mod schema;
#[path = "docs/security.rs"]
mod security;
