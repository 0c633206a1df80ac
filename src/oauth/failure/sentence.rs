//! What each failure tells people. Sentences end without a full stop and say what to do next.

use std::borrow::Cow;

use super::{Failure, Field, NotSent};
use crate::oauth::codes::ErrorCode;

const RETRIED: &str = "it is tried again with growing delays";

/// `endpoint` is whose answer it was, such as "the token endpoint".
pub(super) fn sentence(failure: &Failure, endpoint: &str) -> Cow<'static, str> {
    match failure {
        Failure::Unencodable(error) => Cow::Owned(format!("the token request can't be made: {error}")),
        Failure::Egress(denial) => Cow::Owned(denial.to_string()),
        Failure::FenceClosed => "the request was withdrawn before anything was sent, since too much time had passed: it is made again".into(),
        Failure::NotSent(cause) => Cow::Owned(not_sent(*cause, endpoint)),
        Failure::ClientCertificate => "the token endpoint doesn't accept the client's certificate, or wants one: check client.certificateSecretRef, its chain, and which certificates the provider knows of this client".into(),
        Failure::TimedOut => Cow::Owned(format!("{endpoint} did not answer in time: check that it works, and --request-timeout if it is slow")),
        Failure::Cut => Cow::Owned(format!("{endpoint} closed the connection without an answer: check that it works, and what stands between")),
        Failure::Truncated => Cow::Owned(format!("{endpoint}'s reply broke off: check what stands between it and the operator")),
        Failure::Oversized => Cow::Owned(format!("{endpoint}'s reply is larger than 64 KiB: check that the endpoint's URL is right")),
        Failure::NotHttp => Cow::Owned(format!("{endpoint}'s reply is not HTTP/1: check the endpoint's URL and port")),
        Failure::Refused { code, .. } => refused(*code),
        Failure::Permanent { .. } => "the provider answered with a code of its permanentErrors, so the grant is lost: authorize again, or put a new refresh token into the input Secret".into(),
        Failure::Temporary { .. } => Cow::Owned(format!("the provider answered with a code of its temporaryErrors: {RETRIED}")),
        Failure::UnknownCode { .. } => "the provider answered with an error code that is not a registered one: look it up in the provider's log or documentation, and list it in permanentErrors or temporaryErrors".into(),
        Failure::Unauthorized => Cow::Owned(format!("{endpoint} answered 401 Unauthorized: check every parameter (client id and secret, refresh token, redirect URI and the provider's own); when they are right, start again from the authorization code: authorize again, or put a new refresh token into the input Secret")),
        Failure::RateLimited { .. } => "the provider limits how often it is called: the operator waits as long as it was told; set the provider's rateLimit if this lasts".into(),
        Failure::ServerError { .. } => Cow::Owned(format!("{endpoint} failed with a server error: {RETRIED}; check the provider's status if it lasts")),
        Failure::Redirect => Cow::Owned(format!("{endpoint} answered with a redirect, which is never followed: set the endpoint to the URL that answers by itself")),
        Failure::Status(404 | 405 | 410) => "no token endpoint answers at this URL: check endpoints.token, and endpoints.refresh where it is set, and the request's method".into(),
        Failure::Status(403) => Cow::Owned(format!("{endpoint} answered 403 Forbidden without an error code: check the client's permissions, and whether the provider accepts calls from this network")),
        Failure::Status(status) => Cow::Owned(format!("{endpoint} answered with status {status} without an error code: check the endpoint, the request's encoding and its parameters")),
        Failure::Html => Cow::Owned(format!("{endpoint} answered with a web page: check that the endpoint's URL is the token endpoint's and not a login page's")),
        Failure::Unreadable => Cow::Owned(format!("{endpoint}'s reply is neither JSON nor a form: check tokenResponse.encoding and the endpoint's URL")),
        Failure::MissingAccessToken => "the reply has no access token where tokenResponse.accessToken says: correct the path (and refreshResponse, for refreshes)".into(),
        Failure::ControlCharacter(field @ (Field::UserCode | Field::VerificationUri)) => Cow::Owned(format!("the reply's {} is not one to show to people, so it is not used: ask the provider", name(*field))),
        Failure::ControlCharacter(field) => Cow::Owned(format!("the reply's {} has a control character, so it is not used: ask the provider", name(*field))),
    }
}

fn name(field: Field) -> &'static str {
    match field {
        Field::AccessToken => "access token",
        Field::RefreshToken => "refresh token",
        Field::IdToken => "ID token",
        Field::TokenType => "token type",
        Field::Scope => "scope",
        Field::UserCode => "user code",
        Field::VerificationUri => "verification address",
    }
}

fn not_sent(cause: NotSent, endpoint: &str) -> String {
    match cause {
        NotSent::Resolve => {
            format!("{endpoint}'s name can't be resolved: check the host in its URL, and the cluster's DNS")
        }
        NotSent::Connect => {
            format!("{endpoint} accepts no connection: check its host and port, and the network policies between")
        }
        NotSent::TimedOut => {
            format!("no connection to {endpoint} in time: check its host and port, and the network policies between")
        }
        NotSent::Certificate => {
            format!(
                "{endpoint}'s certificate is not trusted: check the host in its URL, and name its authority in tls.caSecretRef, tls.caConfigMapRef or --ca-file"
            )
        }
        NotSent::Tls => {
            format!("{endpoint} refused the TLS handshake: it must speak TLS 1.2 or 1.3 at this host and port")
        }
        NotSent::Proxy => {
            format!("the egress proxy refused the connection to {endpoint}: check the proxy's rules and --egress-proxy")
        }
        NotSent::Cut => {
            format!("{endpoint} closed the connection before anything was sent: it is tried again with growing delays")
        }
    }
}

fn refused(code: ErrorCode) -> Cow<'static, str> {
    let advice = match code {
        ErrorCode::InvalidGrant => {
            "the refresh token, code or assertion is invalid, expired or revoked: authorize again, or put a new refresh token into the input Secret"
        }
        ErrorCode::AccessDenied => {
            "the resource owner or the provider denied access: check the client's permissions, then authorize again"
        }
        ErrorCode::ExpiredToken => "the device code expired before anyone confirmed it: authorize again",
        ErrorCode::InteractionRequired
        | ErrorCode::LoginRequired
        | ErrorCode::ConsentRequired
        | ErrorCode::AccountSelectionRequired => "the provider wants a person to log in or consent: authorize again",
        ErrorCode::InvalidClient => {
            "the provider doesn't accept the client: check the client id, its secret and client.authentication"
        }
        ErrorCode::UnauthorizedClient => {
            "the client may not use this grant: allow the grant type for this client at the provider, or use another grant"
        }
        ErrorCode::InvalidRequest => {
            "a parameter is missing, repeated or malformed: correct the provider's parameters, mapping and encoding"
        }
        ErrorCode::UnsupportedGrantType => {
            "the provider doesn't know this grant type: use another grant, or correct grant_type and the request's encoding"
        }
        ErrorCode::InvalidScope => "a scope is unknown, malformed or not allowed: correct the credential's scopes",
        ErrorCode::InvalidTarget => {
            "the audience or resource is unknown or not allowed: correct the audience and resource parameters"
        }
        ErrorCode::InvalidAuthorizationDetails => "the authorization_details are not accepted: correct that parameter",
        ErrorCode::UnsupportedTokenType => {
            "the provider doesn't support this token type: correct the token type parameters"
        }
        ErrorCode::ServerError => "the provider failed unexpectedly: it is tried again with growing delays",
        ErrorCode::TemporarilyUnavailable => {
            "the provider is overloaded or in maintenance: it is tried again with growing delays"
        }
        ErrorCode::SlowDown => "the provider wants fewer calls: the operator waits",
        ErrorCode::AuthorizationPending => {
            "nobody has confirmed the authorization yet: open the address in status.authorization"
        }
    };
    Cow::Owned(format!("the provider answered {}: {advice}", code.as_str()))
}
