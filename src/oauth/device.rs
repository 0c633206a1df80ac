//! The device authorization request and its reply (RFC 8628 sections 3.1 and 3.2), and how its polls are paced (3.5).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    authorization::one_field,
    codes::ErrorCode,
    failure::{Failure, Field},
    request::{Client, ExtraParameter, ParameterValue, RequestShape, TokenRequest},
    transport::RawReply,
    values::SecretText,
};
use crate::shown::is_disruptive;

#[cfg(test)]
mod tests;

/// `grant_type` of a poll.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Between two polls where the server says nothing (RFC 8628 section 3.2), and what `slow_down` adds (3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// The longest interval that is believed.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The bounds of a code's life, whatever the server says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Lengths, in bytes, of what is shown to people.
const MAX_USER_CODE: usize = 128;
const MAX_URI: usize = 2048;

/// What a person needs to approve on another device, and what the operator polls with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub struct DeviceAuthorization {
    pub device_code: SecretText,
    pub user_code: String,
    pub verification_uri: String,
    pub expires_at: Timestamp,
    /// Between two polls.
    pub interval: Duration,
}

/// The device authorization request.
pub fn request(
    endpoint: &url::Url,
    client: Client,
    shape: &RequestShape,
    scope: Option<ParameterValue>,
    added: Vec<ExtraParameter>,
) -> TokenRequest {
    let shape = RequestShape {
        authentication: shape.authentication,
        basic_encoding: shape.basic_encoding,
        ..RequestShape::default()
    };
    let standard = scope.into_iter().map(|scope| ("scope", scope)).collect();
    TokenRequest { url: endpoint.clone(), shape, client, standard, additional: added }
}

/// Reads the reply to a device authorization request.
///
/// # Errors
/// How the request failed.
pub fn read(reply: &RawReply) -> Result<DeviceAuthorization, Failure> {
    let tokens = one_field("$.device_code")?.read(reply.status, &reply.headers, &reply.body, reply.sent_at)?;
    let fields = tokens.response.expose();
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let user_code = text("user_code").ok_or(Failure::Unreadable)?;
    // Google's name for it, from before the RFC.
    let uri = text("verification_uri").or_else(|| text("verification_url")).ok_or(Failure::Unreadable)?;
    if user_code.len() > MAX_USER_CODE || user_code.contains(is_disruptive) {
        return Err(Failure::ControlCharacter(Field::UserCode));
    }
    let is_web = url::Url::parse(uri).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    // The URL parser skips line breaks and blanks, so that a text with them is a URL to it.
    if uri.len() > MAX_URI || uri.contains(is_disruptive) || !is_web {
        return Err(Failure::ControlCharacter(Field::VerificationUri));
    }
    let interval = fields.get("interval").and_then(Value::as_u64).map_or(INTERVAL, Duration::from_secs);
    let ends = tokens.expires_at.unwrap_or(Timestamp::MAX);
    Ok(DeviceAuthorization {
        device_code: SecretText::new(tokens.access_token.expose()),
        user_code: user_code.to_owned(),
        verification_uri: uri.to_owned(),
        expires_at: ends.min(after(reply.sent_at, LONGEST_LIFE)),
        interval: interval.clamp(Duration::from_secs(1), LONGEST_INTERVAL),
    })
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// What a poll's failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Nobody has confirmed yet, or the server can't be reached: again after this interval.
    Again(Duration),
    /// The code is of no use any more.
    Over,
}

/// What follows from the failure of a poll made at `interval` (RFC 8628 section 3.5).
pub fn after_poll(failure: &Failure, interval: Duration) -> Poll {
    let slower = |by: Duration| Poll::Again((interval + by).min(LONGEST_INTERVAL));
    match failure {
        Failure::Refused { code: ErrorCode::AuthorizationPending, .. } => Poll::Again(interval),
        Failure::Refused { code: ErrorCode::SlowDown, .. } => slower(INTERVAL),
        Failure::Refused {
            code: ErrorCode::AccessDenied | ErrorCode::ExpiredToken | ErrorCode::InvalidGrant, ..
        }
        | Failure::Permanent { .. } => Poll::Over,
        failure => match failure.retry_after() {
            Some(asked) => Poll::Again(asked.max(interval)),
            // "On encountering a connection timeout, clients MUST unilaterally reduce their polling frequency."
            None => Poll::Again((interval * 2).min(LONGEST_INTERVAL)),
        },
    }
}
