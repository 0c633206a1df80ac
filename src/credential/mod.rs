//! The decisions. Pure: no I/O, no clock, no random source, no client. A pass goes observe → validate → decide → apply →
//! report; `validate`, `decide` and the pure half of `report` live here, and the state machine that orders an attempt's
//! effects.

pub mod assertion;
pub mod checked;
pub mod consent;
pub mod decide;
pub mod device;
pub mod failed;
pub mod fingerprint;
pub mod identity;
pub mod legs;
pub mod lifetimes;
mod merge;
#[cfg(test)]
mod model;
pub mod observed;
pub mod published;
pub mod record;
pub mod references;
pub mod report;
pub mod request;
pub mod restart;
pub mod revoke;
pub mod rotation;
pub mod schedule;
#[cfg(test)]
mod simulation;
pub mod starts;
pub mod upstream;
pub mod validate;
