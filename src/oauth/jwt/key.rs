//! Keys that sign: from PEM (PKCS#8, PKCS#1, SEC1), from a JWK or a JWK Set, or a client secret. The formats are read by
//! libraries; what comes out is the few bytes that `provider` signs with.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey};
use pkcs8::{
    ObjectIdentifier, PrivateKeyInfoRef,
    der::{Decode, asn1::OctetStringRef},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::{jose, jwk, provider};
use crate::api::SigningAlgorithm;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a key can't sign. The words end without a full stop and hold nothing of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it is neither PEM nor a JWK: put a private key there, in PEM (PKCS#8, PKCS#1 or SEC1) or as a JWK")]
    Unreadable,
    #[error("it holds no private key: a public key or a certificate can't sign")]
    NotPrivate,
    #[error("the private key is encrypted: put it there unencrypted, as `openssl pkey -in key.pem` writes it")]
    Encrypted,
    #[error("keys of this kind are not supported: use RSA of 2048 to 4096 bits, P-256, P-384 or Ed25519")]
    Unsupported,
    #[error(
        "the key lacks a part that is needed to sign: write it anew with `openssl pkey -in key.pem`, or take a JWK with all its members"
    )]
    Incomplete,
    #[error(
        "the key can't be used: its parts don't belong together, or it is an RSA key that doesn't have 2048 to 4096 bits"
    )]
    Rejected,
    #[error("the JWK Set holds no private key that bears keyID: correct keyID, or put the key into the set")]
    NoSuchKey,
    #[error("the JWK Set holds several private keys: say by keyID which one signs")]
    Ambiguous,
    #[error("signingAlgorithm doesn't go with this key, {0}")]
    Mismatch(KeyKind),
}

/// What a key can sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    Secret,
    Rsa,
    /// An RSA key that says of itself that it is for RSASSA-PSS only.
    RsaPss,
    P256,
    P384,
    Ed25519,
}

impl KeyKind {
    /// Those that it can be used with, the default one first.
    fn algorithms(self) -> &'static [Algorithm] {
        match self {
            KeyKind::Secret => &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
            KeyKind::Rsa => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            KeyKind::RsaPss => &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512],
            KeyKind::P256 => &[Algorithm::ES256],
            KeyKind::P384 => &[Algorithm::ES384],
            KeyKind::Ed25519 => &[Algorithm::EdDSA],
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            KeyKind::Secret => "a client secret: use HS256, HS384 or HS512",
            KeyKind::Rsa => "an RSA key: use RS256, RS384, RS512, PS256, PS384 or PS512",
            KeyKind::RsaPss => "an RSA key for RSASSA-PSS: use PS256, PS384 or PS512",
            KeyKind::P256 => "a P-256 key: use ES256, or leave signingAlgorithm out",
            KeyKind::P384 => "a P-384 key: use ES384, or leave signingAlgorithm out",
            KeyKind::Ed25519 => "an Ed25519 key: use EdDSA, or leave signingAlgorithm out",
        })
    }
}

/// A key that signs. Wiped when dropped; `Debug` shows its kind.
#[derive(Clone)]
pub struct SigningKey {
    kind: KeyKind,
    key: EncodingKey,
    id: Option<String>,
    /// What the key itself says it is for (`alg` of a JWK).
    meant_for: Option<Algorithm>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({:?})", self.kind)
    }
}

impl SigningKey {
    /// Reads a private key. `id` picks one of a JWK Set.
    ///
    /// # Errors
    /// The text is no private key, or none that can sign here.
    pub fn parse(text: &str, id: Option<&str>) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with('{') { jwk::parse(text, id) } else { pem(text) }
    }

    pub(super) fn of_secret(secret: &[u8]) -> Self {
        Self { kind: KeyKind::Secret, key: EncodingKey::from_secret(secret), id: None, meant_for: None }
    }

    /// PKCS#1 DER.
    pub(super) fn rsa(der: &[u8]) -> Result<Self, KeyError> {
        Self::checked(KeyKind::Rsa, EncodingKey::from_rsa_der(der))
    }

    /// The private number, and the public point uncompressed.
    pub(super) fn ec(kind: KeyKind, private: &[u8], public: &[u8]) -> Result<Self, KeyError> {
        let joined = Zeroizing::new([private, public].concat());
        Self::checked(kind, EncodingKey::from_ec_der(&joined))
    }

    pub(super) fn ed25519(seed: &[u8]) -> Result<Self, KeyError> {
        Self::checked(KeyKind::Ed25519, EncodingKey::from_ed_der(seed))
    }

    fn checked(kind: KeyKind, key: EncodingKey) -> Result<Self, KeyError> {
        provider::check(kind.algorithms()[0], &key).map_err(|_| KeyError::Rejected)?;
        Ok(Self { kind, key, id: None, meant_for: None })
    }

    pub(super) fn described(self, id: Option<String>, meant_for: Option<Algorithm>) -> Self {
        Self { id, meant_for, ..self }
    }

    /// The `kid` that it bears itself.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn encoding(&self) -> &EncodingKey {
        &self.key
    }

    /// `wanted`; else what the key says it is for; else the first of its kind.
    pub(super) fn algorithm(&self, wanted: Option<SigningAlgorithm>) -> Result<Algorithm, KeyError> {
        let possible = self.kind.algorithms();
        let meant_for = self.meant_for.filter(|algorithm| possible.contains(algorithm));
        match wanted.map(jose).or(meant_for) {
            None => Ok(possible[0]),
            Some(algorithm) if possible.contains(&algorithm) => Ok(algorithm),
            Some(_) => Err(KeyError::Mismatch(self.kind)),
        }
    }
}

fn pem(text: &str) -> Result<SigningKey, KeyError> {
    if !text.contains("-----BEGIN") {
        return Err(KeyError::Unreadable);
    }
    if text.contains("ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    if !text.contains("PRIVATE KEY-----") {
        return Err(KeyError::NotPrivate);
    }
    match PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| KeyError::Unreadable)? {
        PrivateKeyDer::Pkcs1(der) => SigningKey::rsa(der.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(der) => sec1(der.secret_sec1_der(), None),
        PrivateKeyDer::Pkcs8(der) => pkcs8(der.secret_pkcs8_der()),
        _ => Err(KeyError::Unsupported),
    }
}

fn pkcs8(der: &[u8]) -> Result<SigningKey, KeyError> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| KeyError::Unreadable)?;
    let private = info.private_key.as_bytes();
    match info.algorithm.oid {
        RSA_ENCRYPTION => SigningKey::rsa(private),
        RSASSA_PSS => Ok(SigningKey { kind: KeyKind::RsaPss, ..SigningKey::rsa(private)? }),
        EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Unsupported)?;
            sec1(private, Some(curve))
        }
        ED25519 => {
            let seed = <&OctetStringRef>::from_der(private).map_err(|_| KeyError::Unreadable)?;
            SigningKey::ed25519(seed.as_bytes())
        }
        _ => Err(KeyError::Unsupported),
    }
}

/// RFC 5915. `curve`: where what is around it names one.
fn sec1(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<SigningKey, KeyError> {
    let key = EcPrivateKey::try_from(der).map_err(|_| KeyError::Unreadable)?;
    let own = key.parameters.and_then(|parameters| parameters.named_curve());
    let kind = match curve.or(own) {
        Some(P256) => KeyKind::P256,
        Some(P384) => KeyKind::P384,
        _ => return Err(KeyError::Unsupported),
    };
    SigningKey::ec(kind, key.private_key, key.public_key.ok_or(KeyError::Incomplete)?)
}
