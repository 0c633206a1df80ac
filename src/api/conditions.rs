//! Conditions, and the reasons they give. The list of reasons may grow.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The conditions of a credential; `Reconciling` and `Stalled` are kstatus's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// An unexpired token, obtained under this generation's token-relevant spec, is in the output Secret.
    Ready,
    /// How the last attempt ended.
    Refreshed,
    /// Not Ready yet: retrying, or waiting for the first consent.
    Reconciling,
    /// No token can come before a person changes something.
    Stalled,
    /// The refresh token dies soon, and no refresh is going to put that off. Absent otherwise.
    RefreshTokenExpiring,
    /// A workload of spec.rolloutRestart could not be restarted. Absent otherwise.
    RestartFailed,
}

/// metav1.ConditionStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// Why a condition is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    Issued,
    Pending,
    AuthorizationRequired,
    InvalidGrant,
    InvalidClient,
    ProviderUnavailable,
    RateLimited,
    InvalidResponse,
    OutcomeUnknown,
    EgressDenied,
    ProviderNotFound,
    NotAllowed,
    SourceSecretNotFound,
    SecretConflict,
    InvalidSpec,
    Expired,
    Suspended,
    ExpiresSoon,
    WorkloadNotFound,
}

impl Reason {
    /// Every reason, for metrics and docs.
    pub const ALL: [Reason; 19] = [
        Reason::Issued,
        Reason::Pending,
        Reason::AuthorizationRequired,
        Reason::InvalidGrant,
        Reason::InvalidClient,
        Reason::ProviderUnavailable,
        Reason::RateLimited,
        Reason::InvalidResponse,
        Reason::OutcomeUnknown,
        Reason::EgressDenied,
        Reason::ProviderNotFound,
        Reason::NotAllowed,
        Reason::SourceSecretNotFound,
        Reason::SecretConflict,
        Reason::InvalidSpec,
        Reason::Expired,
        Reason::Suspended,
        Reason::ExpiresSoon,
        Reason::WorkloadNotFound,
    ];

    /// The reason as it stands in a condition; a static metric label too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Issued => "Issued",
            Reason::Pending => "Pending",
            Reason::AuthorizationRequired => "AuthorizationRequired",
            Reason::InvalidGrant => "InvalidGrant",
            Reason::InvalidClient => "InvalidClient",
            Reason::ProviderUnavailable => "ProviderUnavailable",
            Reason::RateLimited => "RateLimited",
            Reason::InvalidResponse => "InvalidResponse",
            Reason::OutcomeUnknown => "OutcomeUnknown",
            Reason::EgressDenied => "EgressDenied",
            Reason::ProviderNotFound => "ProviderNotFound",
            Reason::NotAllowed => "NotAllowed",
            Reason::SourceSecretNotFound => "SourceSecretNotFound",
            Reason::SecretConflict => "SecretConflict",
            Reason::InvalidSpec => "InvalidSpec",
            Reason::Expired => "Expired",
            Reason::Suspended => "Suspended",
            Reason::ExpiresSoon => "ExpiresSoon",
            Reason::WorkloadNotFound => "WorkloadNotFound",
        }
    }
}

/// metav1.Condition, with our types and reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What this condition is about.
    #[serde(rename = "type")]
    pub type_: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Generation of the spec that this was said of.
    #[serde(default)]
    pub observed_generation: i64,
    /// Moves when status flips, not otherwise.
    #[schemars(with = "super::crd::Time")]
    pub last_transition_time: Timestamp,
    /// Why, in one word (docs/status.md lists them).
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// What to do next. Stable: no counters, times or request ids.
    #[schemars(length(max = 2048))]
    pub message: String,
}
