//! What is in the Secrets: the state's and the Consent Secret's format, the input's values, the output's rendering and its ownership. The only place
//! outside `oauth` that exposes a secret value. No requests are made here; `controller` makes them.

pub mod consent;
pub mod input;
pub mod metadata;
pub mod output;
pub mod state;

/// What the name of a credential's state Secret ends with.
pub const STATE_SUFFIX: &str = "-oauth-state";
/// What the name of a credential's Consent Secret ends with.
pub const CONSENT_SUFFIX: &str = "-oauth-consent";

/// Name of the state Secret of a credential.
pub fn state_name(credential: &str) -> String {
    format!("{credential}{STATE_SUFFIX}")
}
