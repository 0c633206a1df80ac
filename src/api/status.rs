//! What the operator records of a credential. Never a token, never what a server said beyond a known error code.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, ConditionType, RolloutTarget, WorkloadKind};

/// Status of an OAuthCredential.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthCredentialStatus {
    /// Generation of the spec this status speaks of; -1 before the operator has seen the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How things stand: Ready, Refreshed, Reconciling, Stalled, RefreshTokenExpiring, RestartFailed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When the access token in the output Secret expires. Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub expiration_time: Option<Timestamp>,
    /// When the token in the output Secret was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub last_refresh_time: Option<Timestamp>,
    /// When a refresh last brought the very token that was there already; absent after one that brought another. Such a token
    /// isn't asked for again before its expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub last_unchanged_time: Option<Timestamp>,
    /// When the next attempt is planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub next_refresh_time: Option<Timestamp>,
    /// When the refresh token dies if it is not used before, as far as the replies and the provider's refreshTokens tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub refresh_token_expiration_time: Option<Timestamp>,
    /// Counts the tokens that were obtained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Attempts in a row that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i64>,
    /// When the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub last_failure_time: Option<Timestamp>,
    /// The scopes that were granted, where the server says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 512)))]
    pub scopes: Vec<String>,
    /// The additional tokens: how each stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub additional_tokens: Vec<AdditionalTokenStatus>,
    /// The workloads of spec.rolloutRestart for which a token has changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name"]))]
    pub rollout_restarts: Vec<RolloutRestartStatus>,
    /// The output Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretStatus>,
    /// Hash of the refresh token that was given as input, keyed by the credential's namespace and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub seed_hash: Option<String>,
    /// Hash of the access token in the output Secret, keyed by the credential's namespace and name: tells whether a reply
    /// brings another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub token_hash: Option<String>,
    /// Hash of what the last failed attempt read: the provider's generation, its Secrets' resourceVersions, the state's revision. A
    /// change there is a reason to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub failed_inputs_hash: Option<String>,
    /// The value of the annotation oauth-operator.dev/refresh-requested-at that was last obeyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_handled_refresh_request: Option<String>,
    /// What came of the last request to revoke, which the annotation oauth-operator.dev/revoke-requested-at makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_revocation: Option<RevocationStatus>,
    /// Who consented, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorized_by: Option<AuthorizedBy>,
    /// What a person needs to consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<AuthorizationStatus>,
}

impl OAuthCredentialStatus {
    /// The condition of this type, where there is one.
    pub fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }
}

/// One additional token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "camelCase")]
pub struct AdditionalTokenStatus {
    /// Its name in spec.additionalTokens.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it expires. Absent: never, or there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub expiration_time: Option<Timestamp>,
    /// When it was asked for. Absent: there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub last_refresh_time: Option<Timestamp>,
    /// Attempts in a row that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i64>,
    /// When it is asked for again, after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub next_refresh_time: Option<Timestamp>,
    /// Why the last attempt failed; absent when it did not. One of the conditions' reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
    /// Hash of the spec that it was asked for under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub spec_hash: Option<String>,
}

/// One workload that is restarted after a new token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "camelCase")]
pub struct RolloutRestartStatus {
    /// The workload's kind.
    pub kind: WorkloadKind,
    /// The workload's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Since when there is a token that it hasn't been restarted for. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub pending_since: Option<Timestamp>,
    /// When it was last restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub last_restart_time: Option<Timestamp>,
    /// The revision that it was last restarted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Why the last restart failed; absent when it did not. One of the conditions' reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
}

impl RolloutRestartStatus {
    /// Of a workload about which nothing is known yet.
    pub fn of(target: &RolloutTarget) -> Self {
        let (kind, name) = (target.kind, target.name.0.clone());
        Self { kind, name, pending_since: None, last_restart_time: None, revision: None, reason: None, message: None }
    }

    /// Whether it speaks of this workload.
    pub fn is_of(&self, target: &RolloutTarget) -> bool {
        self.kind == target.kind && self.name == target.name.0
    }
}

/// The output Secret as it was last written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "camelCase", default)]
pub struct SecretStatus {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its uid: a Secret of the same name with another one is not ours.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The resourceVersion that it was given then.
    #[schemars(length(max = 64))]
    pub resource_version: String,
}

/// What came of a request to revoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
pub struct RevocationStatus {
    /// The annotation's value, which isn't obeyed again.
    #[schemars(length(max = 64))]
    pub request: String,
    /// When it was dealt with.
    #[schemars(with = "super::crd::Time")]
    pub time: Timestamp,
    /// Whether what was kept is revoked.
    pub revoked: bool,
    /// What happened, and what to do next.
    #[schemars(length(max = 2048))]
    pub message: String,
}

/// Who consented, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
pub struct AuthorizedBy {
    /// Claim `sub` of the ID token, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub subject: Option<String>,
    /// When the code was exchanged.
    #[schemars(with = "super::crd::Time")]
    pub time: Timestamp,
}

/// What a person needs to consent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationStatus {
    /// The operator's start page for this credential. Stable, and no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub url: Option<String>,
    /// The code to enter on the page at verificationURI (RFC 8628 section 3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub user_code: Option<String>,
    /// The page on which to enter userCode (RFC 8628 section 3.2).
    #[serde(skip_serializing_if = "Option::is_none", rename = "verificationURI")]
    #[schemars(length(max = 2048))]
    pub verification_uri: Option<String>,
    /// When the user code expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::crd::Time>")]
    pub expiration_time: Option<Timestamp>,
    /// How the last consent ended that brought nothing. A later one that succeeds takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<AuthorizationFailure>,
}

/// A consent that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Hash))]
pub struct AuthorizationFailure {
    /// Why, in one word: one of the conditions' reasons.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// What happened, and what to do next.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// When it ended.
    #[schemars(with = "super::crd::Time")]
    pub time: Timestamp,
}
