//! What any operator needs around its work: flags, logs, metrics, health, API requests, leadership, Events and shutdown.
//!
//! Nothing here knows what a credential is or when a token is refreshed.

pub mod certificate;
pub mod core_dumps;
pub mod deadline;
pub mod events;
mod flag_values;
pub mod flags;
pub mod health;
pub mod leader;
mod lease;
pub mod metrics;
pub mod open_files;
pub mod paces;
pub mod requests;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod traces;
pub mod uninstall;
