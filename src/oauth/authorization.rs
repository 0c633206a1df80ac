//! The authorization request that a person's browser carries (RFC 6749 section 4.1.1), with PKCE (RFC 7636), pushed first
//! where the server wants that (RFC 9126); and the response that comes back (section 4.1.2, RFC 9207).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::{
    codes::ErrorCode,
    failure::Failure,
    reply::{ReplyPaths, ReplyRules, ReplyShape},
    request::{Client, ParameterValue, RequestShape, TokenRequest},
    transport::RawReply,
    values::SecretText,
};

#[cfg(test)]
mod tests;

/// Parameters that are made here: neither a provider nor a credential may set them.
pub const MADE_HERE: [&str; 10] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

/// The longest authorization code that is taken, in bytes.
const MAX_CODE: usize = 8 * 1024;
/// The longest text that is taken as a response, in bytes.
pub const MAX_RESPONSE: usize = 16 * 1024;

/// The challenge of a PKCE verifier, method S256 (RFC 7636 section 4.2).
pub fn challenge(verifier: &SecretText) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()))
}

/// An authorization request. Its parameters are no secrets to the person who carries it.
#[derive(Clone, Debug, Default)]
pub struct AuthorizationRequest {
    pub client_id: String,
    pub redirect_uri: Option<String>,
    /// Several are joined already.
    pub scope: Option<String>,
    pub state: String,
    /// OpenID Connect Core section 3.1.2.1.
    pub nonce: Option<String>,
    /// PKCE; None: switched off.
    pub verifier: Option<SecretText>,
    /// The provider's and the credential's, in this order. None bears a name of `MADE_HERE`.
    pub added: Vec<(String, ParameterValue)>,
}

impl AuthorizationRequest {
    /// The parameters in order. An added one replaces a standard one of its name.
    pub fn parameters(&self) -> Vec<(String, SecretText)> {
        let challenge = self.verifier.as_ref().map(challenge);
        let standard = [
            ("response_type", Some("code".to_owned())),
            ("client_id", Some(self.client_id.clone())),
            ("redirect_uri", self.redirect_uri.clone()),
            ("scope", self.scope.clone()),
            ("state", Some(self.state.clone())),
            ("nonce", self.nonce.clone()),
            ("code_challenge_method", challenge.as_ref().map(|_| "S256".to_owned())),
            ("code_challenge", challenge),
        ];
        let replaced = |name: &str| self.added.iter().any(|(added, _)| added == name);
        let standard = standard.into_iter().filter(|(name, _)| !replaced(name));
        let standard = standard.filter_map(|(name, value)| Some((name.to_owned(), SecretText::new(value?))));
        let added = self.added.iter().map(|(name, value)| {
            let text = match value {
                ParameterValue::Text(text) => text.clone(),
                ParameterValue::Json(json) => SecretText::new(json.to_string()),
            };
            (name.clone(), text)
        });
        standard.chain(added).collect()
    }

    /// Where the browser goes. The endpoint's own query stays (RFC 6749 section 3.1).
    pub fn url(&self, endpoint: &Url) -> Url {
        with_query(endpoint, self.parameters().iter().map(|(name, value)| (name.as_str(), value.expose())))
    }

    /// The request that pushes the parameters (RFC 9126 section 2.1). The client authenticates as at the token endpoint.
    pub fn pushed(&self, endpoint: &Url, client: Client, shape: &RequestShape) -> TokenRequest {
        let added = self.parameters().into_iter().filter(|(name, _)| name != "client_id").map(|(name, value)| {
            super::request::ExtraParameter {
                name,
                value: ParameterValue::Text(value),
                location: crate::api::ParameterLocation::Body,
            }
        });
        let shape = RequestShape {
            authentication: shape.authentication,
            basic_encoding: shape.basic_encoding,
            ..RequestShape::default()
        };
        TokenRequest { url: endpoint.clone(), shape, client, standard: Vec::new(), additional: added.collect() }
    }

    /// Where the browser goes after the parameters were pushed (RFC 9126 section 4).
    pub fn url_of_pushed(&self, endpoint: &Url, request_uri: &str) -> Url {
        with_query(endpoint, [("client_id", self.client_id.as_str()), ("request_uri", request_uri)])
    }
}

fn with_query<'a>(endpoint: &Url, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Url {
    let mut url = endpoint.clone();
    url.query_pairs_mut().extend_pairs(parameters);
    url
}

/// The request_uri that stands for pushed parameters (RFC 9126 section 2.2).
///
/// # Errors
/// How the request failed.
pub fn read_pushed(reply: &RawReply) -> Result<String, Failure> {
    one_field("$.request_uri")?.read(reply.status, &reply.headers, &reply.body, reply.sent_at).map(|tokens| {
        // A one-time name, worth nothing without the client's own page.
        tokens.access_token.expose().to_owned()
    })
}

/// Reads replies that aren't a token's, by the rules that hold for those: errors, statuses, encodings. `path` stands where the
/// access token would.
pub(super) fn one_field(path: &str) -> Result<ReplyShape, Failure> {
    let paths = ReplyPaths { access_token: Some(path.to_owned()), ..ReplyPaths::default() };
    ReplyShape::new(&paths, ReplyRules::default()).map_err(|_| Failure::Unreadable)
}

/// What came back from the authorization endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// None: a code alone was pasted.
    pub state: Option<String>,
    /// RFC 9207.
    pub issuer: Option<String>,
    pub outcome: Result<SecretText, Refusal>,
}

/// An error response (RFC 6749 section 4.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The person, or the server for them, said no.
    Denied,
    /// A registered code.
    Code(ErrorCode),
    /// Any other code. Its text is the server's own and not repeated.
    Unknown,
}

impl Refusal {
    /// From the value of `error`.
    pub fn of(code: &str) -> Self {
        match ErrorCode::parse(code) {
            Some(ErrorCode::AccessDenied) => Self::Denied,
            Some(code) => Self::Code(code),
            None => Self::Unknown,
        }
    }

    /// What happened and what to do next.
    pub fn sentence(self) -> String {
        match self {
            Self::Denied => {
                "The provider answered access_denied: whoever was asked did not allow it. Start again when they will."
                    .to_owned()
            }
            Self::Code(code) => format!(
                "The provider refused the authorization request with {}: {} Then start again.",
                code.as_str(),
                match code {
                    ErrorCode::InvalidScope => "correct the credential's scopes.",
                    ErrorCode::UnauthorizedClient =>
                        "allow the authorization code grant for this client at the provider.",
                    ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => "wait until the provider works.",
                    ErrorCode::InvalidRequest =>
                        "check the redirect URI, grant.authorizationCode.pkce, and the provider's authorizationRequest.parameters.",
                    ErrorCode::InvalidTarget => "correct the audience and resource parameters.",
                    _ => "see what the provider wants of the person who consents.",
                }
            ),
            Self::Unknown => "The provider refused the authorization request with an error code that is not a registered one: look it up in the provider's documentation or log, then start again.".to_owned(),
        }
    }
}

/// Why a text is no authorization response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoResponse {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than any authorization response")]
    TooLong,
    #[error("the address has neither a code nor an error")]
    Nothing,
    #[error("a parameter stands in it twice")]
    Repeated,
    #[error("it has characters that no code has")]
    Characters,
}

impl Response {
    /// The response in the query of a redirected address.
    ///
    /// # Errors
    /// It is none. A parameter that repeats makes it none (RFC 6749 section 3.1).
    pub fn in_query(query: &str) -> Result<Self, NoResponse> {
        if query.len() > MAX_RESPONSE {
            return Err(NoResponse::TooLong);
        }
        let (mut code, mut state, mut issuer, mut error) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "code" => &mut code,
                "state" => &mut state,
                "iss" => &mut issuer,
                "error" => &mut error,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(NoResponse::Repeated);
            }
        }
        let outcome = match (code, error) {
            (_, Some(error)) => Err(Refusal::of(&error)),
            (Some(code), None) => Ok(checked_code(code)?),
            (None, None) => return Err(NoResponse::Nothing),
        };
        Ok(Self { state, issuer, outcome })
    }

    /// The response in what a person pasted: a whole redirected address, its query, or the code alone.
    ///
    /// # Errors
    /// It is none.
    pub fn in_pasted(text: &str) -> Result<Self, NoResponse> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NoResponse::Empty);
        }
        if text.len() > MAX_RESPONSE {
            return Err(NoResponse::TooLong);
        }
        let address = Url::parse(text).ok().filter(|url| url.scheme().starts_with("http"));
        if let Some(address) = address {
            // Some servers answer in the fragment whatever was asked for.
            return match Self::in_query(address.query().unwrap_or_default()) {
                Err(NoResponse::Nothing) => Self::in_query(address.fragment().unwrap_or_default()),
                response => response,
            };
        }
        let names = ["code=", "error=", "state=", "iss="];
        let query = text.trim_start_matches('?');
        if names.iter().any(|name| query.starts_with(name) || query.contains(&format!("&{name}"))) {
            return Self::in_query(query);
        }
        // Out of an address bar it comes percent-encoded.
        let encoded = text.as_bytes().windows(3).any(|it| it[0] == b'%' && it[1..].iter().all(u8::is_ascii_hexdigit));
        let code = if encoded { decode(text) } else { text.to_owned() };
        Ok(Self { state: None, issuer: None, outcome: Ok(checked_code(code)?) })
    }

    /// Whether the response is from `issuer`, as far as it can be told (RFC 9207 section 2.4). `promised`: the server's metadata
    /// say that it names itself in each response. None: it isn't known who answers there.
    pub fn is_from(&self, issuer: Option<&str>, promised: bool) -> bool {
        match (&self.issuer, issuer) {
            (Some(named), Some(issuer)) => named == issuer,
            (None, Some(_)) => !promised,
            (_, None) => true,
        }
    }
}

/// `+` stays: in an address bar's code it means itself.
fn decode(text: &str) -> String {
    let escaped = text.replace('+', "%2B");
    form_urlencoded::parse(escaped.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// RFC 6749 appendix A.11: visible ASCII and space.
fn checked_code(code: String) -> Result<SecretText, NoResponse> {
    match code {
        code if code.is_empty() => Err(NoResponse::Nothing),
        code if code.len() > MAX_CODE => Err(NoResponse::TooLong),
        code if !code.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) => Err(NoResponse::Characters),
        code => Ok(SecretText::new(code)),
    }
}
