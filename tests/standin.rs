//! The stand-in is as strict as the documents it stands for: its own tests.

#[path = "support/standin/mod.rs"]
mod standin;
#[path = "support/standin/tests.rs"]
mod tests;
