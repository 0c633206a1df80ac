//! Private keys as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use pkcs1::{
    RsaPrivateKeyRef,
    der::{Encode, asn1::UintRef},
};
use ring::signature::Ed25519KeyPair;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::key::{KeyError, KeyKind, SigningKey};

/// One key. Members that aren't needed are left alone.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
    #[serde(default)]
    d: Option<Zeroizing<String>>,
    #[serde(default)]
    p: Option<Zeroizing<String>>,
    #[serde(default)]
    q: Option<Zeroizing<String>>,
    #[serde(default)]
    dp: Option<Zeroizing<String>>,
    #[serde(default)]
    dq: Option<Zeroizing<String>>,
    #[serde(default)]
    qi: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Set(JwkSet),
    One(Box<Jwk>),
}

/// Reads a JWK, or the one of a JWK Set that is private and bears `id`.
pub fn parse(text: &str, id: Option<&str>) -> Result<SigningKey, KeyError> {
    let jwk = match serde_json::from_str(text).map_err(|_| KeyError::Unreadable)? {
        Given::One(jwk) => *jwk,
        Given::Set(set) => pick(set, id)?,
    };
    if jwk.d.is_none() {
        return Err(if jwk.kty == "oct" { KeyError::Unsupported } else { KeyError::NotPrivate });
    }
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => rsa(&jwk),
        ("EC", Some("P-256")) => ec(&jwk, KeyKind::P256),
        ("EC", Some("P-384")) => ec(&jwk, KeyKind::P384),
        ("OKP", Some("Ed25519")) => ed25519(&jwk),
        _ => Err(KeyError::Unsupported),
    }?;
    let meant_for = jwk.alg.as_deref().and_then(|name| name.parse::<Algorithm>().ok());
    Ok(key.described(jwk.kid, meant_for))
}

fn pick(set: JwkSet, id: Option<&str>) -> Result<Jwk, KeyError> {
    let mut private = set.keys.into_iter().filter(|jwk| jwk.d.is_some() && (id.is_none() || jwk.kid.as_deref() == id));
    match (private.next(), private.next()) {
        (Some(jwk), None) => Ok(jwk),
        (Some(_), Some(_)) => Err(KeyError::Ambiguous),
        (None, _) => Err(if id.is_some() { KeyError::NoSuchKey } else { KeyError::NotPrivate }),
    }
}

fn rsa(jwk: &Jwk) -> Result<SigningKey, KeyError> {
    let (n, e) = (public(&jwk.n)?, public(&jwk.e)?);
    let [d, p, q] = [secret(&jwk.d)?, secret(&jwk.p)?, secret(&jwk.q)?];
    let [dp, dq, qi] = [secret(&jwk.dp)?, secret(&jwk.dq)?, secret(&jwk.qi)?];
    let number = |bytes| UintRef::new(bytes).map_err(|_| KeyError::Rejected);
    let key = RsaPrivateKeyRef {
        modulus: number(&n)?,
        public_exponent: number(&e)?,
        private_exponent: number(&d)?,
        prime1: number(&p)?,
        prime2: number(&q)?,
        exponent1: number(&dp)?,
        exponent2: number(&dq)?,
        coefficient: number(&qi)?,
        other_prime_infos: None,
    };
    SigningKey::rsa(&Zeroizing::new(key.to_der().map_err(|_| KeyError::Rejected)?))
}

fn ec(jwk: &Jwk, kind: KeyKind) -> Result<SigningKey, KeyError> {
    let (x, y) = (public(&jwk.x)?, public(&jwk.y)?);
    // SEC 1 section 2.3.3: an uncompressed point.
    SigningKey::ec(kind, &secret(&jwk.d)?, &[[4].as_slice(), &x, &y].concat())
}

fn ed25519(jwk: &Jwk) -> Result<SigningKey, KeyError> {
    let seed = secret(&jwk.d)?;
    Ed25519KeyPair::from_seed_and_public_key(&seed, &public(&jwk.x)?).map_err(|_| KeyError::Rejected)?;
    SigningKey::ed25519(&seed)
}

fn public(member: &Option<String>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    decode(member.as_deref())
}

fn secret(member: &Option<Zeroizing<String>>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    decode(member.as_ref().map(|text| text.as_str()))
}

fn decode(text: Option<&str>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = text.ok_or(KeyError::Incomplete)?;
    URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| KeyError::Unreadable)
}
