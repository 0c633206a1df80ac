use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{
    api::SigningAlgorithm,
    oauth::{
        jwt::{Assertion, SigningKey, secret_key},
        values::ClientSecret,
    },
};

/// RFC 7515 appendix A.3.1.
const EC: &str = r#"{"kty":"EC","crv":"P-256",
 "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
 "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
/// RFC 8037 appendix A.1.
const ED: &str = r#"{"kty":"OKP","crv":"Ed25519",
 "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// RFC 7515 appendix A.2.1: a token signed by RS256, with the public part of its key.
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn public(key: &str, id: &str) -> Value {
    let mut key: Value = serde_json::from_str(key).unwrap();
    key.as_object_mut().unwrap().remove("d");
    key["kid"] = id.into();
    key
}

fn keys() -> KeySet {
    let odd = json!({"kty": "unheard-of", "kid": "odd"});
    let set = json!({"keys": [odd, public(EC, "ec"), public(ED, "ed")]});
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

fn token(key: &str, id: &str, claims: Value) -> IdToken {
    let assertion = Assertion {
        issuer: "https://idp.example".into(),
        subject: "robot".into(),
        audience: "c".into(),
        lifetime: Duration::from_secs(600),
        claims: claims.as_object().unwrap().clone(),
        key_id: Some(id.into()),
        certificate_thumbprint: None,
    };
    let signed = assertion.sign(&SigningKey::parse(key, None).unwrap(), None, at(NOW), "1").unwrap();
    IdToken::new(signed.expose())
}

const EXPECTED: Expected<'_> =
    Expected { issuer: "https://idp.example", client_id: "c", nonce: Some("n"), now: Timestamp::UNIX_EPOCH };

fn expected() -> Expected<'static> {
    Expected { now: at(NOW), ..EXPECTED }
}

fn verdict(token: &IdToken, expected: Expected<'_>) -> Result<String, IdTokenError> {
    subject(token, &keys(), expected)
}

#[test]
fn verified_tokens_name_their_subject() {
    for (key, id) in [(EC, "ec"), (ED, "ed")] {
        assert_eq!(verdict(&token(key, id, json!({"nonce": "n"})), expected()), Ok("robot".into()), "{id}");
    }
    let without = Expected { nonce: None, ..expected() };
    assert_eq!(verdict(&token(EC, "ec", json!({})), without), Ok("robot".into()));
    assert_eq!(verdict(&token(EC, "ec", json!({"nonce": "n", "azp": "c"})), expected()), Ok("robot".into()));
}

#[test]
fn what_a_token_must_say() {
    let good = || token(EC, "ec", json!({"nonce": "n"}));
    let with = |claims| verdict(&token(EC, "ec", claims), expected());
    assert_eq!(with(json!({})), Err(IdTokenError::Nonce));
    assert_eq!(with(json!({"nonce": "m"})), Err(IdTokenError::Nonce));
    assert_eq!(with(json!({"nonce": "n", "azp": "d"})), Err(IdTokenError::Audience));
    for sub in ["", "a\nb", "a\u{202e}b", &"x".repeat(513)] {
        let claims = Claims {
            iss: EXPECTED.issuer.into(),
            sub: sub.into(),
            aud: Audience::One("c".into()),
            exp: 2e9,
            azp: None,
            nonce: Some("n".into()),
        };
        assert_eq!(check(claims, expected()), Err(IdTokenError::Subject), "{sub:?}");
    }
    assert_eq!(verdict(&good(), Expected { client_id: "d", ..expected() }), Err(IdTokenError::Audience));
    assert_eq!(verdict(&good(), Expected { issuer: "https://idp.example/", ..expected() }), Err(IdTokenError::Issuer));
    assert_eq!(verdict(&good(), Expected { now: at(NOW + 659), ..expected() }), Ok("robot".into()));
    assert_eq!(verdict(&good(), Expected { now: at(NOW + 660), ..expected() }), Err(IdTokenError::Expired));
}

#[test]
fn forgeries() {
    let good = token(EC, "ec", json!({"nonce": "n"}));
    let parts: Vec<&str> = good.expose().split('.').collect();
    let other = token(EC, "ec", json!({"nonce": "n", "x": "y"}));
    let other: Vec<&str> = other.expose().split('.').collect();
    let spliced = IdToken::new(format!("{}.{}.{}", parts[0], other[1], parts[2]));
    assert_eq!(verdict(&spliced, expected()), Err(IdTokenError::Signature));
    // Another key's signature under this key's name, and a name that nobody has.
    assert_eq!(verdict(&token(ED, "ec", json!({"nonce": "n"})), expected()), Err(IdTokenError::Signature));
    assert_eq!(verdict(&token(EC, "nobody", json!({"nonce": "n"})), expected()), Err(IdTokenError::Signature));
    // {"alg":"none"}, and the public key taken for a shared secret.
    let none = IdToken::new(format!("eyJhbGciOiJub25lIn0.{}.", parts[1]));
    assert_eq!(verdict(&none, expected()), Err(IdTokenError::NotSigned));
    let assertion = Assertion {
        issuer: "https://idp.example".into(),
        subject: "robot".into(),
        audience: "c".into(),
        lifetime: Duration::from_secs(600),
        claims: serde_json::Map::new(),
        key_id: Some("ec".into()),
        certificate_thumbprint: None,
    };
    let secret = secret_key(&ClientSecret::new(public(EC, "ec").to_string()));
    let signed = assertion.sign(&secret, Some(SigningAlgorithm::HS256), at(NOW), "1").unwrap();
    assert_eq!(verdict(&IdToken::new(signed.expose()), expected()), Err(IdTokenError::NotSigned));
    assert_eq!(verdict(&IdToken::new("opaque"), expected()), Err(IdTokenError::NotSigned));
}

#[test]
fn rsa_as_rfc_7515_has_it() {
    let set = |key: Value| KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).unwrap();
    let verdict = |keys: &KeySet| subject(&IdToken::new(RSA_TOKEN), keys, expected());
    // The signature holds; what is signed is no ID token.
    let key = json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"});
    assert_eq!(verdict(&set(key.clone())), Err(IdTokenError::Signature), "it lacks claims");
    jwt::install_provider();
    let jwk: Jwk = serde_json::from_value(key).unwrap();
    let parts: Vec<&str> = RSA_TOKEN.rsplitn(2, '.').collect();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let verify = |signature: &str, algorithm| {
        jsonwebtoken::crypto::verify(signature, parts[1].as_bytes(), &key, algorithm).unwrap_or(false)
    };
    assert!(verify(parts[0], Algorithm::RS256));
    assert!(!verify(parts[0], Algorithm::RS384) && !verify(&parts[0].replace('c', "d"), Algorithm::RS256));
}

#[test]
fn key_sets() {
    assert!(KeySet::parse(b"{}").is_err() && KeySet::parse(b"<html>").is_err());
    let encryption = json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "enc", "x": "AA", "y": "AA", "kid": "a"}]});
    let set = KeySet::parse(encryption.to_string().as_bytes()).unwrap();
    assert_eq!(set.candidates(Some("a"), Algorithm::ES256).count(), 0);
    assert_eq!(keys().candidates(None, Algorithm::EdDSA).count(), 3, "who signed is found by trying");
}
