//! The shape of a token reply: where each field is found, and how a failure looks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JsonPathText, ShortText};

/// Encoding of the reply's body, whatever it calls itself; Auto judges by the body: JSON, else a form. Default: Auto.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ResponseEncoding {
    /// Judged by the body itself: JSON, else form.
    #[default]
    Auto,
    #[serde(rename = "JSON")]
    Json,
    Form,
}

/// Unit of `expiresIn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ExpiryUnit {
    #[default]
    Seconds,
    Milliseconds,
    Minutes,
}

/// Where a provider tells success rather than failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuccessSpec {
    /// Where the value is, as JSONPath (RFC 9535). Example: $.result
    pub path: JsonPathText,
    /// The values that mean success, compared as text. Example: ["0000"]
    #[schemars(length(min = 1, max = 16))]
    pub values: Vec<ShortText>,
}

/// The shape of a token reply. Paths are RFC 9535 JSONPath; an empty path ignores what is there. Default paths are the
/// names of RFC 6749 section 5.1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResponseSpec {
    /// Encoding of the body, whatever it calls itself. Default: Auto.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<ResponseEncoding>,
    /// Where the access token is, as JSONPath (RFC 9535). Default: $.access_token. Example: $.data.token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<JsonPathText>,
    /// Where the refresh token is; empty: ignore what is there. Default: $.refresh_token. Example: $.data.refresh
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<JsonPathText>,
    /// Where the token type is; empty: ignore what is there. Default: $.token_type. Example: $.data.kind
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<JsonPathText>,
    /// Where the granted scopes are; empty: ignore what is there. Default: $.scope. Example: $.data.permissions
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<JsonPathText>,
    /// Where the ID token is; empty: ignore what is there. Default: $.id_token. Example: $.data.id_token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<JsonPathText>,
    /// Where the access token's lifetime is; empty: ignore what is there. Default: $.expires_in. Example: $.data.ttl
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<JsonPathText>,
    /// Unit of expiresIn and refreshTokenExpiresIn. Default: Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_unit: Option<ExpiryUnit>,
    /// Where the access token's expiry is: unix seconds or milliseconds, or RFC 3339. Wins over expiresIn. Default: not read.
    /// Example: $.data.expires_at
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<JsonPathText>,
    /// Where the refresh token's lifetime is. Default: not read. Example: $.refresh_token_expires_in
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_in: Option<JsonPathText>,
    /// Where the refresh token's expiry is, in a form as of expiresAt. Default: not read. Example: $.data.refresh_expires_at
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_at: Option<JsonPathText>,
    /// Where an error code is found, at any status. null, false, 0 and "" are no error. Default: $.error.
    /// Example: $.err.code
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JsonPathText>,
    /// Where the provider tells success rather than failure. Default: an access token is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<SuccessSpec>,
    /// Error codes that are as good as invalid_grant (RFC 6749 section 5.2). Default: none. Example: [token_revoked]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub permanent_errors: Option<Vec<ShortText>>,
    /// Error codes that are never a reason to stall. Default: none. Example: [too_soon]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub temporary_errors: Option<Vec<ShortText>>,
}
