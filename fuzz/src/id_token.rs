//! ID tokens, and the keys that verify them. An input begins with a letter: `c`, the rest is claims, which are signed here; anything
//! else, then a token on the first line and a JWK Set after it.

use std::{collections::BTreeMap, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use oauth_operator::oauth::{
    id_token::{Expected, KeySet, subject},
    transport::MAX_BODY,
    values::IdToken,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json, value::RawValue};

use super::shown::{assert_plain, assert_sentence};

const NOW: i64 = 1_000_000;
const EXPECTED: Expected<'_> =
    Expected { issuer: "https://idp.example", client_id: "c", nonce: Some("n"), now: Timestamp::UNIX_EPOCH };

/// Verifies one token.
pub fn run(input: &[u8]) {
    if input.len() > MAX_BODY {
        return;
    }
    let expected = Expected { now: Timestamp::from_second(NOW).unwrap(), ..EXPECTED };
    let read = |token: &str, keys: &KeySet| subject(&IdToken::new(token), keys, expected);
    let Some((kind, rest)) = input.split_first() else { return };
    let named = if *kind == b'c' {
        let named = read(&signed(rest), own_keys());
        if named.is_ok() {
            believable(rest);
        }
        named
    } else {
        let Some((token, keys)) = std::str::from_utf8(rest).ok().and_then(|text| text.split_once('\n')) else { return };
        let keys = match KeySet::parse(keys.as_bytes()) {
            Ok(keys) => keys,
            Err(failure) => return assert_sentence(&failure.to_string()),
        };
        read(token, &keys)
    };
    match named {
        Ok(subject) => {
            assert!(!subject.is_empty() && subject.len() <= 512);
            assert_plain(&subject);
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
}

/// What claims say that were believed, read in another way. What is in a claim that nobody asks for may be anything between JSON's signs.
fn believable(claims: &[u8]) {
    let claims: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&String::from_utf8_lossy(claims)).unwrap();
    let claim = |name| claims.get(name).map_or(Value::Null, |raw| serde_json::from_str(raw.get()).unwrap());
    assert_eq!(claim("iss"), EXPECTED.issuer);
    assert_eq!(claim("nonce"), "n");
    match claim("aud") {
        Value::Array(names) => assert!(names.contains(&"c".into()) && (names.len() == 1 || claim("azp") == "c")),
        name => assert_eq!(name, "c"),
    }
    assert!(claim("exp").as_f64().is_some_and(|ends| ends > NOW as f64 - 61.0));
}

fn pair() -> &'static Ed25519KeyPair {
    static PAIR: OnceLock<Ed25519KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
}

fn own_keys() -> &'static KeySet {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    KEYS.get_or_init(|| {
        let x = URL_SAFE_NO_PAD.encode(pair().public_key());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]});
        KeySet::parse(set.to_string().as_bytes()).unwrap()
    })
}

fn signed(claims: &[u8]) -> String {
    let message = [br#"{"alg":"EdDSA"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair().sign(message.as_bytes())))
}
