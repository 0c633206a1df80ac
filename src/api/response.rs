//! The shape of a token reply: where each field is found, and how a failure looks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JsonPathText, ShortText};

/// How the reply's body is encoded.
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
    /// JSONPath of the value.
    pub path: JsonPathText,
    /// The values that mean success, compared as text.
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
    /// Default: $.access_token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<JsonPathText>,
    /// Default: $.refresh_token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<JsonPathText>,
    /// Default: $.token_type
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<JsonPathText>,
    /// Default: $.scope
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<JsonPathText>,
    /// Default: $.id_token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<JsonPathText>,
    /// Default: $.expires_in
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<JsonPathText>,
    /// Unit of expiresIn and refreshTokenExpiresIn. Default: Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_unit: Option<ExpiryUnit>,
    /// An absolute time: unix seconds or milliseconds, or RFC 3339. Wins over expiresIn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<JsonPathText>,
    /// How long the refresh token lives. Default: not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_in: Option<JsonPathText>,
    /// An absolute time, as expiresAt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_at: Option<JsonPathText>,
    /// Where an error code is found, at any status. null, false, 0 and "" are no error. Default: $.error
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JsonPathText>,
    /// Where the provider tells success rather than failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<SuccessSpec>,
    /// Error codes that are as good as invalid_grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub permanent_errors: Option<Vec<ShortText>>,
    /// Error codes that are never a reason to stall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub temporary_errors: Option<Vec<ShortText>>,
}
