//! ID tokens (OpenID Connect Core section 2): whom a verified one names. The JOSE library verifies; time is passed in.

use http::{HeaderMap, HeaderValue, Method, header};
use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;
use url::Url;

use super::{
    encode::EncodedRequest,
    failure::{self, Failure},
    jwt,
    transport::RawReply,
    values::IdToken,
};
use crate::shown::is_disruptive;

#[cfg(test)]
mod tests;

/// What verifies here: asymmetric signatures, never `none`, never a shared secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// What clocks may differ by, in seconds.
const LEEWAY: i64 = 60;
/// The longest `sub` (OpenID Connect Core section 2 has 255 ASCII characters), in bytes.
const MAX_SUBJECT: usize = 512;

/// A server's public keys (RFC 7517).
#[derive(Clone, Debug)]
pub struct KeySet(JwkSet);

impl KeySet {
    /// Reads a JWK Set. A key that can't be read is as good as absent.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(json: &[u8]) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| Failure::Unreadable)?;
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()).collect();
        Ok(Self(JwkSet { keys }))
    }

    /// The keys that may have signed a token with this header.
    fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Jwk> {
        self.0.keys.iter().filter(move |key| {
            let common = &key.common;
            let named = id.is_none() || common.key_id.as_deref() == id;
            let signs = !matches!(common.public_key_use, Some(PublicKeyUse::Encryption));
            let meant = common.key_algorithm.is_none_or(|meant| is_for(meant, algorithm));
            named && signs && meant
        })
    }
}

fn is_for(meant: KeyAlgorithm, algorithm: Algorithm) -> bool {
    meant.to_string().parse::<Algorithm>().is_ok_and(|meant| meant == algorithm)
}

/// The request for a JWK Set.
pub fn request(address: Url) -> EncodedRequest {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    EncodedRequest::without_body(Method::GET, address, headers)
}

/// Reads the reply to it.
///
/// # Errors
/// How the request failed.
pub fn read(reply: &RawReply) -> Result<KeySet, Failure> {
    match reply.status {
        http::StatusCode::OK => KeySet::parse(&reply.body),
        status => Err(Failure::of_status(status, failure::retry_after(&reply.headers, reply.sent_at))),
    }
}

/// What an ID token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    /// As it was sent in the authorization request.
    pub nonce: Option<&'a str>,
    pub now: Timestamp,
}

/// Why an ID token can't be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    #[error("it is no signed JWT, or signed by an algorithm that proves nothing")]
    NotSigned,
    #[error("none of the provider's keys verifies it")]
    Signature,
    #[error("another issuer made it")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it has expired, or the clocks differ")]
    Expired,
    #[error("it belongs to another authorization request")]
    Nonce,
    #[error("it names nobody")]
    Subject,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self) -> &[String] {
        match self {
            Audience::One(name) => std::slice::from_ref(name),
            Audience::Several(names) => names,
        }
    }
}

/// The `sub` of an ID token that is verified as OpenID Connect Core section 3.1.3.7 has it.
///
/// # Errors
/// It can't be believed.
pub fn subject(token: &IdToken, keys: &KeySet, expected: Expected<'_>) -> Result<String, IdTokenError> {
    jwt::install_provider();
    let header = jsonwebtoken::decode_header(token.expose()).map_err(|_| IdTokenError::NotSigned)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(IdTokenError::NotSigned);
    }
    // The library looks at the signature; the claims are looked at here, by the time that was passed in.
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    let claims = keys
        .candidates(header.kid.as_deref(), header.alg)
        .filter_map(|key| DecodingKey::from_jwk(key).ok())
        .find_map(|key| jsonwebtoken::decode::<Claims>(token.expose(), &key, &validation).ok())
        .ok_or(IdTokenError::Signature)?
        .claims;
    check(claims, expected)
}

fn check(claims: Claims, expected: Expected<'_>) -> Result<String, IdTokenError> {
    let audience = claims.aud.names();
    let is_client = |name: &str| name == expected.client_id;
    let is_nonce =
        |nonce: &str| bool::from(claims.nonce.as_deref().unwrap_or_default().as_bytes().ct_eq(nonce.as_bytes()));
    let is_other_party = match &claims.azp {
        Some(azp) => !is_client(azp),
        None => audience.len() > 1,
    };
    if claims.iss != expected.issuer {
        Err(IdTokenError::Issuer)
    } else if is_other_party || !audience.iter().any(|name| is_client(name)) {
        Err(IdTokenError::Audience)
    } else if (claims.exp as i64).saturating_add(LEEWAY) <= expected.now.as_second() {
        Err(IdTokenError::Expired)
    } else if expected.nonce.is_some_and(|nonce| !is_nonce(nonce)) {
        Err(IdTokenError::Nonce)
    } else if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT || claims.sub.contains(is_disruptive) {
        Err(IdTokenError::Subject)
    } else {
        Ok(claims.sub)
    }
}
