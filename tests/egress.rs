//! Hundreds of addresses and URLs that the operator must not be made to connect to (`egress/hostile.yaml`), against real sockets: where it
//! says no, nothing arrives; where a flag says yes, the same address is reached, so that the table isn't about nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "egress/hostile.rs"]
mod hostile;
#[path = "egress/spellings.rs"]
mod spellings;
#[path = "egress/stage.rs"]
mod stage;
