use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::oauth::jwt::{Assertion, SigningKey};

fn identity(expected: Option<&str>) -> Identity {
    Identity {
        keys: KeySet::parse(br#"{"keys": []}"#).ok(),
        issuer: Some("https://idp.example".into()),
        client_id: "c".into(),
        nonce: None,
        expected_subject: expected.map(str::to_owned),
    }
}

#[test]
fn who_it_was_matters_only_where_somebody_is_expected() {
    let token = IdToken::new("opaque");
    let now = Timestamp::UNIX_EPOCH;
    assert_eq!(identity(None).subject(Some(&token), now), Ok(None));
    assert_eq!(identity(None).subject(None, now), Ok(None));
    for (token, words) in [(Some(&token), "can't be believed"), (None, "add the scope openid")] {
        let problem = identity(Some("robot")).subject(token, now).unwrap_err();
        assert!(problem.message.contains(words), "{}", problem.message);
        assert_eq!(problem.reason, Reason::NotAllowed);
    }
    let without_keys = Identity { keys: None, ..identity(Some("robot")) };
    assert!(without_keys.subject(Some(&token), now).unwrap_err().message.contains("endpoints.jwks"));
}

/// RFC 7515 appendix A.3.1.
const EC: &str = r#"{"kty":"EC","crv":"P-256",
 "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
 "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

#[test]
fn only_the_one_who_is_expected_may_consent() {
    let now = Timestamp::from_second(1_000_000).unwrap();
    let assertion = Assertion {
        issuer: "https://idp.example".into(),
        subject: "robot".into(),
        audience: "c".into(),
        lifetime: Duration::from_secs(600),
        claims: Default::default(),
        key_id: Some("k".into()),
        certificate_thumbprint: None,
    };
    let signed = assertion.sign(&SigningKey::parse(EC, None).unwrap(), None, now, "1").unwrap();
    let mut key: Value = serde_json::from_str(EC).unwrap();
    key.as_object_mut().unwrap().remove("d");
    key["kid"] = "k".into();
    let keys = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).ok();
    let by = |expected| {
        let identity = Identity { keys: keys.clone(), ..identity(expected) };
        identity.subject(Some(&IdToken::new(signed.expose())), now)
    };
    assert_eq!(by(Some("robot")), Ok(Some("robot".to_owned())));
    assert_eq!(by(None), Ok(Some("robot".to_owned())), "whoever it was is told");
    let problem = by(Some("somebody else")).unwrap_err();
    assert!(problem.message.starts_with("Another account consented"), "{}", problem.message);
    assert_eq!(problem.reason, Reason::NotAllowed);
}
