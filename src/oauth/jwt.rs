//! Signed JSON Web Tokens (RFC 7519) as assertions (RFC 7523 section 3): what they say, and the signature. The JOSE library
//! encodes and joins; `provider` lends it ring's signatures, `key` reads keys. Time and random ids are passed in.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

use super::values::{ClientSecret, SecretText};
use crate::api::SigningAlgorithm;

mod jwk;
mod key;
mod provider;
#[cfg(test)]
mod tests;

pub use key::{KeyError, KeyKind, SigningKey};

/// How long an assertion is valid where nothing else is said.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Claims that are made here: a spec's own `claims` may not bear these names.
pub const MADE_HERE: [&str; 6] = ["iss", "sub", "aud", "exp", "iat", "jti"];

/// What an assertion says. `Debug` doesn't show the claims.
#[derive(Clone)]
pub struct Assertion {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    pub lifetime: Duration,
    /// Further claims. None of them bears a name of `MADE_HERE`.
    pub claims: Map<String, Value>,
    /// Header `kid`; absent: the key's own, where it is a JWK that has one.
    pub key_id: Option<String>,
    /// Header `x5t#S256` (RFC 7515 section 4.1.8).
    pub certificate_thumbprint: Option<String>,
}

impl fmt::Debug for Assertion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Assertion").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Assertion {
    /// The assertion, made at `now` and signed by `key`. `id` is its `jti`: never the same twice.
    ///
    /// # Errors
    /// The algorithm doesn't go with the key.
    pub fn sign(
        &self,
        key: &SigningKey,
        algorithm: Option<SigningAlgorithm>,
        now: Timestamp,
        id: &str,
    ) -> Result<SecretText, KeyError> {
        let algorithm = key.algorithm(algorithm)?;
        let mut header = Header::new(algorithm);
        header.kid = self.key_id.clone().or_else(|| key.id().map(str::to_owned));
        header.x5t_s256 = self.certificate_thumbprint.clone();
        let issued = now.as_second();
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let mut claims = self.claims.clone();
        for (name, value) in [
            ("iss", Value::from(self.issuer.as_str())),
            ("sub", self.subject.as_str().into()),
            ("aud", self.audience.as_str().into()),
            ("jti", id.into()),
            ("iat", issued.into()),
            ("exp", issued.saturating_add(lifetime).into()),
        ] {
            claims.insert(name.to_owned(), value);
        }
        encode(&header, &claims, key.encoding())
    }
}

/// The client secret as a key (RFC 7518 section 3.2), for client_secret_jwt.
pub fn secret_key(secret: &ClientSecret) -> SigningKey {
    SigningKey::of_secret(secret.expose().as_bytes())
}

fn encode(header: &Header, claims: &Map<String, Value>, key: &EncodingKey) -> Result<SecretText, KeyError> {
    install_provider();
    jsonwebtoken::encode(header, claims, key).map(SecretText::new).map_err(|_| KeyError::Rejected)
}

/// There is one for the process, and nothing else in it signs or verifies by way of this library: a second call changes nothing.
pub(super) fn install_provider() {
    let _ = provider::RING.install_default();
}

fn jose(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::HS256 => Algorithm::HS256,
        SigningAlgorithm::HS384 => Algorithm::HS384,
        SigningAlgorithm::HS512 => Algorithm::HS512,
        SigningAlgorithm::RS256 => Algorithm::RS256,
        SigningAlgorithm::RS384 => Algorithm::RS384,
        SigningAlgorithm::RS512 => Algorithm::RS512,
        SigningAlgorithm::PS256 => Algorithm::PS256,
        SigningAlgorithm::PS384 => Algorithm::PS384,
        SigningAlgorithm::PS512 => Algorithm::PS512,
        SigningAlgorithm::ES256 => Algorithm::ES256,
        SigningAlgorithm::ES384 => Algorithm::ES384,
        SigningAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}
