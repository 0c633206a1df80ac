//! What a token endpoint's reply means: the tokens in it, or how the request failed.
//!
//! `jsonpath` finds fields, `lifetime` makes sense of times, `fields` keeps what templates may see, `failure` says what
//! follows from a failure. What to do with a reply is decided in `credential/`.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::{
    codes::ErrorCode,
    failure::{self, Failure, Field, Spent},
    fields::Fields,
    jsonpath, lifetime,
    values::{AccessToken, IdToken, RefreshToken},
};
use crate::api::{ExpiryUnit, ResponseEncoding, ResponseSpec};

pub use super::{jsonpath::PathError, lifetime::Lifetime};

mod body;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

/// Where a reply's fields are found, before paths are parsed. None is RFC 6749's name, or none where there is no such
/// name; an empty path ignores what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyPaths {
    pub access_token: Option<String>,
    pub refresh_token: Option<String>,
    pub token_type: Option<String>,
    pub scope: Option<String>,
    pub id_token: Option<String>,
    pub expires_in: Option<String>,
    pub expires_at: Option<String>,
    pub refresh_token_expires_in: Option<String>,
    pub refresh_token_expires_at: Option<String>,
    pub error: Option<String>,
    /// A path, and the values at it that mean success, compared as text.
    pub success: Option<(String, Vec<String>)>,
}

/// The rest of what is to be known of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyRules {
    pub encoding: ResponseEncoding,
    /// Of expires_in, of the refresh token's too.
    pub expires_in_unit: ExpiryUnit,
    /// Codes that are as good as invalid_grant.
    pub permanent_errors: Vec<String>,
    /// Codes that never stall; they win over permanent ones.
    pub temporary_errors: Vec<String>,
    pub default_lifetime: Lifetime,
    /// Caps what is believed, Never included.
    pub max_lifetime: Option<Duration>,
}

/// How to read a reply. Made once for each provider.
#[derive(Clone, Debug)]
pub struct ReplyShape {
    access_token: Option<Arc<JsonPath>>,
    refresh_token: Option<Arc<JsonPath>>,
    token_type: Option<Arc<JsonPath>>,
    scope: Option<Arc<JsonPath>>,
    id_token: Option<Arc<JsonPath>>,
    expires_in: Option<Arc<JsonPath>>,
    expires_at: Option<Arc<JsonPath>>,
    refresh_token_expires_in: Option<Arc<JsonPath>>,
    refresh_token_expires_at: Option<Arc<JsonPath>>,
    error: Option<Arc<JsonPath>>,
    success: Option<(Arc<JsonPath>, Vec<String>)>,
    rules: ReplyRules,
}

/// A successful reply (RFC 6749 section 5.1). `Debug` shows times only.
#[derive(Clone, PartialEq)]
pub struct TokenReply {
    pub access_token: AccessToken,
    /// None when absent or empty: the old one stays.
    pub refresh_token: Option<RefreshToken>,
    pub id_token: Option<IdToken>,
    pub token_type: Option<String>,
    /// Several scopes are joined by spaces.
    pub scope: Option<String>,
    /// None: never.
    pub expires_at: Option<Timestamp>,
    /// None: not named.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// Every field of the reply, without the refresh token.
    pub response: Fields,
}

impl fmt::Debug for TokenReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenReply")
            .field("refresh_token", &self.refresh_token)
            .field("id_token", &self.id_token)
            .field("expires_at", &self.expires_at)
            .field("refresh_token_expires_at", &self.refresh_token_expires_at)
            .finish_non_exhaustive()
    }
}

impl ReplyShape {
    /// Parses the paths.
    ///
    /// # Errors
    /// The first path that can't be used, with its field's name.
    pub fn new(paths: &ReplyPaths, rules: ReplyRules) -> Result<Self, PathError> {
        let path = |field, given: &Option<String>, default| jsonpath::parse(field, given.as_deref().unwrap_or(default));
        let success = match &paths.success {
            Some((at, values)) => jsonpath::parse("success.path", at)?.map(|at| (at, values.clone())),
            None => None,
        };
        Ok(Self {
            access_token: path("accessToken", &paths.access_token, "$.access_token")?,
            refresh_token: path("refreshToken", &paths.refresh_token, "$.refresh_token")?,
            token_type: path("tokenType", &paths.token_type, "$.token_type")?,
            scope: path("scope", &paths.scope, "$.scope")?,
            id_token: path("idToken", &paths.id_token, "$.id_token")?,
            expires_in: path("expiresIn", &paths.expires_in, "$.expires_in")?,
            expires_at: path("expiresAt", &paths.expires_at, "")?,
            refresh_token_expires_in: path("refreshTokenExpiresIn", &paths.refresh_token_expires_in, "")?,
            refresh_token_expires_at: path("refreshTokenExpiresAt", &paths.refresh_token_expires_at, "")?,
            error: path("error", &paths.error, "$.error")?,
            success,
            rules,
        })
    }

    /// Reads a reply. `sent_at` is when the request's first byte left: lifetimes count from there, and a Retry-After date
    /// is seen from there.
    ///
    /// An error code counts at any status. `temporary_errors` and `permanent_errors` come before everything else, then
    /// status 429, then registered codes, then the status.
    ///
    /// # Errors
    /// How the request failed.
    pub fn read(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        sent_at: Timestamp,
    ) -> Result<TokenReply, Failure> {
        let reply = body::parse(body, self.rules.encoding).map(Fields::new);
        self.judge(status, headers, reply.as_ref().ok().map(Fields::expose), sent_at)?;
        match reply {
            Ok(fields) => self.tokens(fields, sent_at),
            Err(body::NotAReply::Html) => Err(Failure::Html),
            Err(body::NotAReply::Unreadable) => Err(Failure::Unreadable),
        }
    }

    /// The refresh token of a successful reply that `read` had to refuse for another field: it may be the only one that
    /// still works, so it is worth keeping.
    pub fn salvage(&self, status: StatusCode, body: &[u8]) -> Option<RefreshToken> {
        let reply = body::parse(body, self.rules.encoding).ok().filter(|_| status.is_success()).map(Fields::new)?;
        self.text(&self.refresh_token, reply.expose(), Field::RefreshToken).ok().flatten().map(RefreshToken::new)
    }

    /// Whether the reply is a success, which leaves only its fields to be looked at.
    fn judge(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        reply: Option<&Value>,
        sent_at: Timestamp,
    ) -> Result<(), Failure> {
        let retry_after = failure::retry_after(headers, sent_at);
        let by_status = || Failure::of_status(status, retry_after);
        let codes = reply.map(|reply| self.error_codes(reply, status)).unwrap_or_default();
        let Some(code) = codes.first() else {
            return if status.is_success() { Ok(()) } else { Err(by_status()) };
        };
        let listed = |list: &[String]| codes.iter().any(|code| list.contains(code));
        let too_many = status == StatusCode::TOO_MANY_REQUESTS;
        let spent = |is_refusal| self.spent(status, is_refusal, reply);
        Err(if listed(&self.rules.temporary_errors) && !too_many {
            Failure::Temporary { spent: spent(false), retry_after }
        } else if listed(&self.rules.permanent_errors) && !listed(&self.rules.temporary_errors) {
            Failure::Permanent { spent: spent(true) }
        } else if too_many {
            by_status()
        } else if let Some(code) = ErrorCode::parse(code) {
            let spent = if code == ErrorCode::ServerError && status != StatusCode::UNAUTHORIZED {
                Spent::Unknown
            } else {
                spent(!matches!(code, ErrorCode::TemporarilyUnavailable | ErrorCode::SlowDown))
            };
            Failure::Refused { code, spent, retry_after }
        } else if status.is_success() {
            Failure::UnknownCode { spent: Spent::Unknown }
        } else if status.is_client_error() && status != StatusCode::UNAUTHORIZED {
            Failure::UnknownCode { spent: spent(false) }
        } else {
            by_status()
        })
    }

    /// What a reply with an error code may have spent. A refusal says that nothing was, whatever the status; other codes
    /// at status 5xx may hide that the request was carried out after all, and so does any code beside a token.
    fn spent(&self, status: StatusCode, is_refusal: bool, reply: Option<&Value>) -> Spent {
        let holds =
            |path: &Option<Arc<JsonPath>>| reply.is_some_and(|reply| jsonpath::find(path.as_deref(), reply).is_some());
        if holds(&self.access_token) || holds(&self.refresh_token) {
            Spent::Unknown
        } else if is_refusal || !status.is_server_error() {
            Spent::No
        } else {
            Spent::Unknown
        }
    }

    /// The error code, then the value that a miss of `success` found. Empty: there is no error, or the status says it all.
    /// A failure without a code has the code "".
    fn error_codes(&self, reply: &Value, status: StatusCode) -> Vec<String> {
        let error = jsonpath::find(self.error.as_deref(), reply).and_then(error_code);
        let missed = self.success.as_ref().and_then(|(path, values)| {
            let found = jsonpath::find(Some(path), reply).and_then(jsonpath::scalar);
            let found = found.or_else(|| status.is_success().then(String::new))?;
            (!values.contains(&found)).then_some(found)
        });
        error.into_iter().chain(missed).collect()
    }

    fn tokens(&self, fields: Fields, sent_at: Timestamp) -> Result<TokenReply, Failure> {
        let reply = fields.expose();
        let at = |path: &Option<Arc<JsonPath>>| jsonpath::find(path.as_deref(), reply);
        let unit = self.rules.expires_in_unit;
        let named = lifetime::named(at(&self.expires_at), at(&self.expires_in), unit, sent_at);
        let refresh_token_expires_at =
            lifetime::named(at(&self.refresh_token_expires_at), at(&self.refresh_token_expires_in), unit, sent_at);
        let access_token = self.text(&self.access_token, reply, Field::AccessToken)?;
        let refresh_token = self.text(&self.refresh_token, reply, Field::RefreshToken)?.map(RefreshToken::new);
        let id_token = self.text(&self.id_token, reply, Field::IdToken)?.map(IdToken::new);
        let token_type = self.text(&self.token_type, reply, Field::TokenType)?;
        let scope = self.text(&self.scope, reply, Field::Scope)?;
        let access_token = AccessToken::new(access_token.ok_or(Failure::MissingAccessToken)?);
        let secret = refresh_token.as_ref().map(RefreshToken::expose);
        let response = fields.without_refresh_token(self.refresh_token.as_deref(), secret);
        let ReplyRules { default_lifetime, max_lifetime, .. } = self.rules;
        let expires_at = lifetime::expiry(named, default_lifetime, max_lifetime, sent_at);
        // Where the access token is the next credential, a refresh after its expiry comes too late.
        let same = secret == Some(access_token.expose());
        let refresh_token_expires_at = refresh_token_expires_at.or(expires_at.filter(|_| same));
        Ok(TokenReply {
            access_token,
            refresh_token,
            id_token,
            token_type,
            scope,
            expires_at,
            refresh_token_expires_at,
            response,
        })
    }

    /// A field's text; None when it is absent, empty, or neither text nor number. Several scopes may be a list.
    fn text(&self, path: &Option<Arc<JsonPath>>, reply: &Value, field: Field) -> Result<Option<String>, Failure> {
        let text = match jsonpath::find(path.as_deref(), reply) {
            Some(Value::Array(items)) if field == Field::Scope => {
                Some(items.iter().filter_map(jsonpath::scalar).collect::<Vec<_>>().join(" "))
            }
            Some(Value::Bool(_)) | None => None,
            Some(value) => jsonpath::scalar(value),
        };
        match text.filter(|text| !text.is_empty()) {
            Some(text) if text.chars().any(char::is_control) => Err(Failure::ControlCharacter(field)),
            text => Ok(text),
        }
    }
}

/// The code in what stands at the error path; None when that is no error: null, false, 0, "", also as text, and an empty
/// object or list. An object's code is its `code`, `type` or `status`, the first that is one; a list's, its first item's.
fn error_code(value: &Value) -> Option<String> {
    match value {
        Value::Object(object) if !object.is_empty() => {
            let code = ["code", "type", "status"].iter().find_map(|name| object.get(*name).and_then(scalar_code));
            Some(code.unwrap_or_default())
        }
        Value::Array(items) => items.first().and_then(error_code),
        value => scalar_code(value),
    }
}

fn scalar_code(value: &Value) -> Option<String> {
    let is_zero = value.as_f64() == Some(0.0);
    jsonpath::scalar(value).filter(|text| !is_zero && !matches!(text.trim(), "" | "0" | "false" | "null"))
}

impl From<&ResponseSpec> for ReplyPaths {
    fn from(spec: &ResponseSpec) -> Self {
        let text = |path: &Option<crate::api::JsonPathText>| path.as_ref().map(|path| path.to_string());
        let success = spec.success.as_ref();
        Self {
            access_token: text(&spec.access_token),
            refresh_token: text(&spec.refresh_token),
            token_type: text(&spec.token_type),
            scope: text(&spec.scope),
            id_token: text(&spec.id_token),
            expires_in: text(&spec.expires_in),
            expires_at: text(&spec.expires_at),
            refresh_token_expires_in: text(&spec.refresh_token_expires_in),
            refresh_token_expires_at: text(&spec.refresh_token_expires_at),
            error: text(&spec.error),
            success: success.map(|it| (it.path.to_string(), it.values.iter().map(|value| value.to_string()).collect())),
        }
    }
}
