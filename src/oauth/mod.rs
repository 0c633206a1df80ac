//! The OAuth 2.0 protocol: requests, replies, failures, egress rules and the one path that every token request takes.
//!
//! Nothing here knows Kubernetes. Grants, client authentication and encodings are data; which request to send, and what
//! to do about its outcome, is decided elsewhere.

pub mod authorization;
pub mod codes;
pub mod device;
pub mod discovery;
pub mod egress;
pub mod encode;
pub mod failure;
pub mod fields;
pub mod id_token;
mod jsonpath;
pub mod jwt;
mod lifetime;
pub mod reply;
pub mod request;
pub mod resolve;
pub mod revocation;
pub mod tls;
pub mod transport;
pub mod values;
