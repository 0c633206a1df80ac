use super::*;

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
