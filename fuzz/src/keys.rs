//! Keys and certificates out of a Secret. The first byte of an input says what the rest is: a text as it stands, or DER that is put
//! into PEM here.

use std::time::Duration;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use oauth_operator::{
    api::SigningAlgorithm,
    oauth::{
        jwt::{Assertion, KeyError, SigningKey},
        tls::{Identity, Roots, thumbprint},
    },
};
use serde_json::{Map, Value};

use super::shown::assert_sentence;

const ALGORITHMS: [SigningAlgorithm; 6] = [
    SigningAlgorithm::HS256,
    SigningAlgorithm::RS256,
    SigningAlgorithm::PS512,
    SigningAlgorithm::ES256,
    SigningAlgorithm::ES384,
    SigningAlgorithm::EdDSA,
];

/// Reads a key, and what it can be read as besides.
pub fn run(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let text = match kind {
        b'8' => pem("PRIVATE KEY", rest),
        b'1' => pem("RSA PRIVATE KEY", rest),
        b'5' => pem("EC PRIVATE KEY", rest),
        b'c' => pem("CERTIFICATE", rest),
        _ => match std::str::from_utf8(rest) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
    };
    for id in [None, Some("a")] {
        match SigningKey::parse(&text, id) {
            Ok(key) => signs(&key, usize::from(*kind)),
            Err(error) => assert_sentence(&error.to_string()),
        }
    }
    certificates(&text);
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// What a key that was taken signs. An RSA key whose parts don't belong together may be found out only here.
fn signs(key: &SigningKey, choice: usize) {
    assert_sentence(&format!("{key:?}"));
    let assertion = Assertion {
        issuer: "https://client.example".to_owned(),
        subject: "robot".to_owned(),
        audience: "https://idp.example/token".to_owned(),
        lifetime: Duration::from_secs(300),
        claims: Map::new(),
        key_id: None,
        certificate_thumbprint: None,
    };
    let now = Timestamp::UNIX_EPOCH;
    let signed = match assertion.sign(key, None, now, "1") {
        Ok(signed) => signed,
        Err(error @ KeyError::Rejected) => return assert_sentence(&error.to_string()),
        Err(error) => panic!("{error}"),
    };
    let parts: Vec<Value> = signed.expose().split('.').take(2).map(decoded).collect();
    assert_eq!(signed.expose().split('.').count(), 3);
    assert_eq!((&parts[1]["sub"], &parts[1]["exp"]), (&"robot".into(), &300.into()));
    assert_eq!(parts[0]["kid"].as_str(), key.id());
    match assertion.sign(key, Some(ALGORITHMS[choice % ALGORITHMS.len()]), now, "1") {
        Ok(_) => {}
        Err(error @ (KeyError::Mismatch(_) | KeyError::Rejected)) => assert_sentence(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn certificates(text: &str) {
    if let Err(error) = Roots::parse(text.as_bytes()) {
        assert_sentence(&error.to_string());
    }
    match thumbprint(text.as_bytes()) {
        Ok(thumbprint) => assert_eq!(URL_SAFE_NO_PAD.decode(thumbprint).unwrap().len(), 32),
        Err(error) => assert_sentence(&error.to_string()),
    }
    // One text may hold both.
    match Identity::parse(text.as_bytes(), text.as_bytes()) {
        Ok(identity) => {
            if let Err(error) = identity.check(Timestamp::UNIX_EPOCH) {
                assert_sentence(&error.to_string());
            }
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
}
