//! How a token request failed, and what follows: whether to retry, what may have been consumed, and what to tell people.
//!
//! Failures hold no text from a server or a Secret: known codes, statuses and names from the spec alone. Which reply is
//! which failure is decided in `reply`; what the outcome means for a credential in `credential/`.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

use super::{codes::ErrorCode, egress::EgressDenial, request::EncodeError};
use crate::api::Reason;

mod sentence;
#[cfg(test)]
mod tests;

/// The longest time a server's Retry-After is believed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// What a device flow's `slow_down` adds to the interval (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Retry with backoff.
    Backoff,
    /// Retry, at most hourly; Stalled meanwhile, since most likely only a person can help.
    Hourly,
    /// No further call until a person changes something. (A grant that consumes nothing may still retry hourly.)
    Person,
}

/// Whether what the request consumes (refresh token, code) may be spent (design.md, Rotation, rule 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spent {
    No,
    Unknown,
}

/// Why a request failed before its first byte left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// The name has no address, or DNS doesn't answer.
    Resolve,
    /// No address accepts a connection.
    Connect,
    /// Nothing answered in time.
    TimedOut,
    /// The server's certificate is not one to trust for this name.
    Certificate,
    /// The TLS handshake failed for another reason.
    Tls,
    /// The egress proxy refused to connect.
    Proxy,
    /// The connection broke after it stood.
    Cut,
}

/// A field of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    AccessToken,
    RefreshToken,
    IdToken,
    TokenType,
    Scope,
    UserCode,
    VerificationUri,
}

/// How a token request failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The request could not be made from spec and Secrets.
    Unencodable(EncodeError),
    /// Egress rules forbid the endpoint.
    Egress(EgressDenial),
    /// The send fence was closed: the intent is too old or the Lease too near its end.
    FenceClosed,
    /// Failed before the first byte left.
    NotSent(NotSent),
    /// The server accepts no connection with the client's certificate, or wants one.
    ClientCertificate,
    /// No whole reply in time.
    TimedOut,
    /// The connection broke before a reply came.
    Cut,
    /// The reply's head came, but not the whole of its body.
    Truncated,
    /// The reply is larger than 64 KiB.
    Oversized,
    /// What came is not HTTP/1.
    NotHttp,
    /// A registered error code, at any status.
    Refused { code: ErrorCode, spent: Spent, retry_after: Option<Duration> },
    /// A code that the provider's permanentErrors list.
    Permanent { spent: Spent },
    /// A code that the provider's temporaryErrors list.
    Temporary { spent: Spent, retry_after: Option<Duration> },
    /// A code that is in no list, or a miss of `success`.
    UnknownCode { spent: Spent },
    /// Status 401 without a registered code.
    Unauthorized,
    /// Status 429.
    RateLimited { retry_after: Option<Duration> },
    /// Status 5xx without a code that decides.
    ServerError { retry_after: Option<Duration> },
    /// Status 3xx. Redirects are never followed.
    Redirect,
    /// Another status that is no success, without an error code.
    Status(u16),
    /// A web page, where a token was due.
    Html,
    /// Neither JSON nor a form.
    Unreadable,
    /// No access token where one was due.
    MissingAccessToken,
    /// A token with a control character, which could inject a line somewhere.
    ControlCharacter(Field),
}

impl Failure {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Unencodable(_) | Self::Permanent { .. } => Class::Person,
            Self::Egress(_) | Self::Unauthorized | Self::ClientCertificate => Class::Hourly,
            Self::Refused { .. } => match self.reason() {
                Reason::InvalidGrant => Class::Person,
                Reason::ProviderUnavailable | Reason::RateLimited | Reason::Pending => Class::Backoff,
                _ => Class::Hourly,
            },
            _ => Class::Backoff,
        }
    }

    /// Whether what the request consumes may be spent.
    pub fn spent(&self) -> Spent {
        match self {
            Self::Unencodable(_) | Self::Egress(_) | Self::FenceClosed | Self::NotSent(_) => Spent::No,
            Self::Unauthorized | Self::ClientCertificate | Self::RateLimited { .. } => Spent::No,
            Self::Refused { spent, .. }
            | Self::Permanent { spent }
            | Self::Temporary { spent, .. }
            | Self::UnknownCode { spent } => *spent,
            _ => Spent::Unknown,
        }
    }

    /// The reason for the condition `Refreshed`.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unencodable(_) => Reason::InvalidSpec,
            Self::Egress(_) => Reason::EgressDenied,
            Self::FenceClosed => Reason::Pending,
            Self::NotSent(_) | Self::TimedOut | Self::Cut => Reason::ProviderUnavailable,
            Self::Temporary { .. } | Self::ServerError { .. } => Reason::ProviderUnavailable,
            Self::Permanent { .. } => Reason::InvalidGrant,
            Self::Unauthorized | Self::ClientCertificate => Reason::InvalidClient,
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::Refused { code, .. } => match code {
                ErrorCode::InvalidGrant
                | ErrorCode::AccessDenied
                | ErrorCode::ExpiredToken
                | ErrorCode::InteractionRequired
                | ErrorCode::LoginRequired
                | ErrorCode::ConsentRequired
                | ErrorCode::AccountSelectionRequired => Reason::InvalidGrant,
                ErrorCode::InvalidClient | ErrorCode::UnauthorizedClient => Reason::InvalidClient,
                ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => Reason::ProviderUnavailable,
                ErrorCode::SlowDown => Reason::RateLimited,
                ErrorCode::AuthorizationPending => Reason::Pending,
                ErrorCode::InvalidRequest
                | ErrorCode::UnsupportedGrantType
                | ErrorCode::InvalidScope
                | ErrorCode::InvalidTarget
                | ErrorCode::InvalidAuthorizationDetails
                | ErrorCode::UnsupportedTokenType => Reason::InvalidSpec,
            },
            _ => Reason::InvalidResponse,
        }
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { code: ErrorCode::SlowDown, retry_after, .. } => retry_after.or(Some(SLOW_DOWN)),
            Self::Refused { retry_after, .. }
            | Self::Temporary { retry_after, .. }
            | Self::RateLimited { retry_after }
            | Self::ServerError { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// Whether an endpoint fails like this that has moved.
    pub fn may_be_elsewhere(&self) -> bool {
        matches!(self, Self::NotSent(_) | Self::Redirect | Self::Status(404 | 405 | 410) | Self::Html)
    }

    /// The error code, when it is a registered one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Refused { code, .. } => Some(code.as_str()),
            _ => None,
        }
    }

    /// Whether one uncached re-read of the inputs may mend it: `invalid_client`, `invalid_grant` and their like.
    pub fn may_be_stale_input(&self) -> bool {
        matches!(self.reason(), Reason::InvalidClient | Reason::InvalidGrant)
    }

    /// Whether another secret or key of the client may mend it.
    pub fn doubts_the_client(&self) -> bool {
        matches!(self, Self::Refused { code: ErrorCode::InvalidClient, .. } | Self::Unauthorized)
    }

    /// What happened and what to do next, for a condition. Stable: no counters, times, ids or server text.
    pub fn sentence(&self) -> Cow<'static, str> {
        self.sentence_about("the token endpoint")
    }

    /// The same of a request to another endpoint, such as "the issuer".
    pub fn sentence_about(&self, endpoint: &str) -> Cow<'static, str> {
        sentence::sentence(self, endpoint)
    }

    /// A static label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unencodable(_) => "unencodable",
            Self::Egress(_) => "egress_denied",
            Self::FenceClosed => "fence_closed",
            Self::NotSent(NotSent::Resolve) => "resolve",
            Self::NotSent(NotSent::Connect) => "connect",
            Self::NotSent(NotSent::TimedOut) => "connect_timed_out",
            Self::NotSent(NotSent::Certificate | NotSent::Tls) => "tls",
            Self::NotSent(NotSent::Proxy) => "proxy",
            Self::NotSent(NotSent::Cut) => "not_sent",
            Self::ClientCertificate => "client_certificate",
            Self::TimedOut => "timed_out",
            Self::Cut => "cut",
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::NotHttp => "not_http",
            Self::Refused { code, .. } => code.as_str(),
            Self::Permanent { .. } => "permanent_code",
            Self::Temporary { .. } => "temporary_code",
            Self::UnknownCode { .. } => "unknown_code",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited { .. } => "rate_limited",
            Self::ServerError { .. } => "server_error_status",
            Self::Redirect => "redirect",
            Self::Status(_) => "status",
            Self::Html => "html",
            Self::Unreadable => "unreadable",
            Self::MissingAccessToken => "missing_access_token",
            Self::ControlCharacter(_) => "control_character",
        }
    }

    /// What a status says by itself, when no error code was found in its body. A success is never given here.
    pub(super) fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorized,
            429 => Self::RateLimited { retry_after },
            300..=399 => Self::Redirect,
            500..=599 => Self::ServerError { retry_after },
            other => Self::Status(other),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.sentence())
    }
}

impl std::error::Error for Failure {}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::Unencodable(error)
    }
}

impl From<EgressDenial> for Failure {
    fn from(denial: EgressDenial) -> Self {
        Self::Egress(denial)
    }
}

/// How long Retry-After asks to wait (RFC 9110 section 10.2.3): seconds, or a date seen from `now`. At most 24 hours; a
/// date in the past is no wait; anything else is as if it were absent.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}
