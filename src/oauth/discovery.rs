//! An issuer's metadata: where its document is, what in it is used, and how long it is believed (OpenID Connect Discovery
//! 1.0 section 4, RFC 8414). When it is read is decided elsewhere.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    encode::EncodedRequest,
    failure::{self, Failure},
    transport::RawReply,
};
use crate::api::Reason;

#[cfg(test)]
mod tests;

/// How long a document is believed that doesn't say.
const DEFAULT_FRESHNESS: Duration = Duration::from_secs(60 * 60);
/// The bounds of what a document's Cache-Control may say.
const LEAST_FRESHNESS: Duration = Duration::from_secs(5 * 60);
const MOST_FRESHNESS: Duration = Duration::from_secs(24 * 60 * 60);

/// The endpoints that an issuer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub token: Url,
    pub revocation: Option<Url>,
    /// The same for clients with a certificate (RFC 8705 section 5). An endpoint without an alias is its own.
    pub mtls_token: Url,
    pub mtls_revocation: Option<Url>,
    pub consent: ConsentMetadata,
}

/// What metadata say to grants that begin with a person's consent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsentMetadata {
    pub authorization: Option<Url>,
    /// RFC 8628 section 4.
    pub device_authorization: Option<Url>,
    /// RFC 9126 section 5.
    pub pushed_authorization_request: Option<Url>,
    /// The server takes no request that wasn't pushed.
    pub requires_pushed: bool,
    /// The server names itself in each authorization response (RFC 9207 section 3).
    pub names_itself: bool,
    /// Keys that verify ID tokens.
    pub jwks: Option<Url>,
}

/// A document that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub metadata: Metadata,
    /// How long it is believed.
    pub fresh_for: Duration,
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undiscovered {
    /// It could not be asked for, or no answer came.
    Failed(Failure),
    /// Another status than 200, or something that is no metadata.
    NotThere,
    /// It is another issuer's: nothing in it may be believed (RFC 8414 section 3.3).
    OtherIssuer,
    /// It names no token endpoint that can be used.
    NoTokenEndpoint,
}

impl Undiscovered {
    /// Whether the document may be at the issuer's other address.
    pub fn may_be_elsewhere(&self) -> bool {
        match self {
            Self::NotThere | Self::OtherIssuer | Self::NoTokenEndpoint => true,
            Self::Failed(_) => false,
        }
    }

    /// Whether a person must change something first, most likely.
    pub fn stalls(&self) -> bool {
        match self {
            Self::Failed(failure) => matches!(failure, Failure::Egress(_)),
            Self::NotThere => false,
            Self::OtherIssuer | Self::NoTokenEndpoint => true,
        }
    }

    pub fn reason(&self) -> Reason {
        match self {
            Self::Failed(failure) => failure.reason(),
            Self::NotThere | Self::OtherIssuer | Self::NoTokenEndpoint => Reason::InvalidResponse,
        }
    }

    /// How long the server asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed(failure) => failure.retry_after(),
            _ => None,
        }
    }

    /// What happened and what to do next. Stable, and nothing that the server sent.
    pub fn sentence(&self) -> String {
        match self {
            Self::Failed(failure) => format!("Discovery: {}.", failure.sentence_about("the issuer")),
            Self::NotThere => "The issuer has no metadata at its well-known addresses: correct issuer, or set endpoints.token instead.".to_owned(),
            Self::OtherIssuer => "The metadata found there are another issuer's: write issuer exactly as the server's own metadata have it, to the last slash, or set endpoints.token instead.".to_owned(),
            Self::NoTokenEndpoint => "The issuer's metadata name no token endpoint that is a URL: set endpoints.token.".to_owned(),
        }
    }
}

/// Whether a text can be an issuer: a URL with a host, with neither query nor fragment (RFC 8414 section 2).
pub fn is_issuer(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.has_host() && url.query().is_none() && url.fragment().is_none())
}

/// Where an issuer's metadata may be, in the order to try. OpenID Connect appends its well-known path to the issuer
/// (section 4.1), RFC 8414 puts its own between host and path (section 3.1). OpenID's goes first: most servers have it, and
/// those that have both say the same in both.
pub fn addresses(issuer: &Url) -> [Url; 2] {
    let path = issuer.path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url
    };
    [
        at(format!("{path}/.well-known/openid-configuration")),
        at(format!("/.well-known/oauth-authorization-server{path}")),
    ]
}

/// The request for a document.
pub fn request(address: Url) -> EncodedRequest {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    EncodedRequest::without_body(Method::GET, address, headers)
}

/// What a reply says of `issuer`.
///
/// # Errors
/// Why it says nothing.
pub fn read(issuer: &str, reply: &RawReply) -> Result<Found, Undiscovered> {
    let status = reply.status;
    if status.is_server_error() || status.is_redirection() || matches!(status.as_u16(), 408 | 429) {
        let retry_after = failure::retry_after(&reply.headers, reply.sent_at);
        return Err(Undiscovered::Failed(Failure::of_status(status, retry_after)));
    }
    if status != http::StatusCode::OK {
        return Err(Undiscovered::NotThere);
    }
    let document: Document = serde_json::from_slice(&reply.body).map_err(|_| Undiscovered::NotThere)?;
    if document.issuer.as_deref() != Some(issuer) {
        return Err(Undiscovered::OtherIssuer);
    }
    let metadata = document.metadata().ok_or(Undiscovered::NoTokenEndpoint)?;
    Ok(Found { metadata, fresh_for: fresh_for(&reply.headers) })
}

#[derive(Deserialize)]
struct Document {
    issuer: Option<String>,
    #[serde(flatten)]
    endpoints: DocumentEndpoints,
    #[serde(default)]
    mtls_endpoint_aliases: DocumentEndpoints,
    #[serde(flatten)]
    consent: DocumentConsent,
}

/// What is odd here costs nothing but itself.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DocumentConsent {
    authorization_endpoint: Value,
    device_authorization_endpoint: Value,
    pushed_authorization_request_endpoint: Value,
    require_pushed_authorization_requests: Value,
    authorization_response_iss_parameter_supported: Value,
    jwks_uri: Value,
}

impl DocumentConsent {
    fn metadata(&self) -> ConsentMetadata {
        let url = |value: &Value| value.as_str().and_then(|text| Url::parse(text).ok()).filter(Url::has_host);
        ConsentMetadata {
            authorization: url(&self.authorization_endpoint),
            device_authorization: url(&self.device_authorization_endpoint),
            pushed_authorization_request: url(&self.pushed_authorization_request_endpoint),
            requires_pushed: self.require_pushed_authorization_requests == true,
            names_itself: self.authorization_response_iss_parameter_supported == true,
            jwks: url(&self.jwks_uri),
        }
    }
}

#[derive(Default, Deserialize)]
struct DocumentEndpoints {
    token_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
}

impl Document {
    fn metadata(&self) -> Option<Metadata> {
        let url = |text: &Option<String>| text.as_deref().and_then(|text| Url::parse(text).ok()).filter(Url::has_host);
        let (own, alias) = (&self.endpoints, &self.mtls_endpoint_aliases);
        let token = url(&own.token_endpoint)?;
        let revocation = url(&own.revocation_endpoint);
        Some(Metadata {
            mtls_token: url(&alias.token_endpoint).unwrap_or_else(|| token.clone()),
            mtls_revocation: url(&alias.revocation_endpoint).or_else(|| revocation.clone()),
            token,
            revocation,
            consent: self.consent.metadata(),
        })
    }
}

/// RFC 9111 section 5.2.2, within bounds.
fn fresh_for(headers: &HeaderMap) -> Duration {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<String> =
        values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase()).collect();
    if directives.iter().any(|directive| matches!(directive.as_str(), "no-store" | "no-cache")) {
        return LEAST_FRESHNESS;
    }
    let age =
        directives.iter().find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    age.map_or(DEFAULT_FRESHNESS, |age| Duration::from_secs(age).clamp(LEAST_FRESHNESS, MOST_FRESHNESS))
}
