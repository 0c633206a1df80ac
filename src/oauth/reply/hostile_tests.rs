//! Replies that mean harm: control characters, canaries, depth, noise.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn shape() -> ReplyShape {
    ReplyShape::new(&ReplyPaths::default(), ReplyRules::default()).unwrap()
}

fn read(status: u16, body: &[u8]) -> Result<TokenReply, Failure> {
    let sent_at = "2026-01-01T00:00:00Z".parse().unwrap();
    shape().read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body, sent_at)
}

#[test]
fn control_characters_are_refused_and_the_refresh_token_is_salvaged() {
    for (name, field) in [
        ("access_token", Field::AccessToken),
        ("refresh_token", Field::RefreshToken),
        ("id_token", Field::IdToken),
        ("token_type", Field::TokenType),
        ("scope", Field::Scope),
    ] {
        for control in ["\n", "\r", "\0", "\t", "\u{1b}", "\u{7f}", "\u{85}"] {
            let mut body = json!({"access_token": "a", "refresh_token": "r"});
            body[name] = format!("x{control}y").into();
            let body = body.to_string();
            assert_eq!(read(200, body.as_bytes()), Err(Failure::ControlCharacter(field)), "{name} {control:?}");
            let salvaged = shape().salvage(StatusCode::OK, body.as_bytes());
            let expected = (field != Field::RefreshToken).then(|| RefreshToken::new("r"));
            assert_eq!(salvaged, expected);
        }
    }
    let body = br#"{"refresh_token":"r"}"#;
    assert_eq!(read(200, body), Err(Failure::MissingAccessToken));
    assert_eq!(shape().salvage(StatusCode::OK, body), Some(RefreshToken::new("r")));
    assert_eq!(shape().salvage(StatusCode::BAD_REQUEST, body), None);
}

#[test]
fn nothing_of_a_reply_shows() {
    const CANARY: &str = "s3cr3t-canary";
    let all = json!({"access_token": CANARY, "refresh_token": format!("{CANARY}-r"), "id_token": CANARY, "scope": CANARY,
        "token_type": CANARY, "more": {"deep": [CANARY]}});
    let reply = read(200, all.to_string().as_bytes()).unwrap();
    assert!(!format!("{reply:?} {:#?} {:?}", reply.response, shape()).contains(CANARY));
    for body in [
        json!({"error": CANARY}).to_string(),
        json!({"error": {"code": CANARY, "message": CANARY}}).to_string(),
        json!({"error": "invalid_grant", "error_description": CANARY}).to_string(),
        json!({"access_token": format!("{CANARY}\n")}).to_string(),
        format!("<html>{CANARY}"),
        CANARY.to_owned(),
    ] {
        for status in [200, 302, 400, 401, 404, 429, 500] {
            let failure = read(status, body.as_bytes()).unwrap_err();
            let shown =
                format!("{failure:?} {failure} {} {:?} {}", failure.sentence(), failure.code(), failure.label());
            assert!(!shown.contains(CANARY), "{shown}");
        }
    }
}

#[test]
fn the_refresh_token_stands_nowhere_in_the_fields() {
    let token = "rt-0123456789abcdef";
    let body = json!({"access_token": "a", "refresh_token": token, "a": token, "b": [token, {"c": token, token: 1}],
        "d": format!("prefix {token} suffix"), "keep": "rt-0123456789abcde"});
    let reply = read(200, body.to_string().as_bytes()).unwrap();
    assert_eq!(reply.response.expose(), &json!({"access_token": "a", "b": [null, {}], "keep": "rt-0123456789abcde"}));
    let short = read(200, br#"{"access_token":"abc","refresh_token":"b","n":"b"}"#).unwrap();
    assert_eq!(short.response.expose(), &json!({"access_token": "abc"}));
    let number = read(200, br#"{"access_token":"abc","refresh_token":77,"n":77,"m":"77"}"#).unwrap();
    assert_eq!(number.refresh_token, Some(RefreshToken::new("77")));
    assert_eq!(number.response.expose(), &json!({"access_token": "abc"}));
}

#[test]
fn depth_and_noise() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(read(200, deep.as_bytes()), Err(Failure::Unreadable));
    let within = format!(r#"{{"access_token":"a","x":{}1{}}}"#, "[".repeat(120), "]".repeat(120));
    assert!(read(200, within.as_bytes()).is_ok());
    assert_eq!(read(200, b"\xff\xfe{\0}\0"), Err(Failure::Unreadable));
    assert_eq!(read(200, br#"{"access_token":"a","n":1e999}"#), Err(Failure::Unreadable));
    assert_eq!(read(200, b"{\"access_token\":\"a\0\"}"), Err(Failure::Unreadable));
}

#[test]
fn escapes_that_end_too_soon() {
    let shape = |path: &str| {
        ReplyShape::new(&ReplyPaths { access_token: Some(path.into()), ..ReplyPaths::default() }, ReplyRules::default())
    };
    for path in ["$['\\u", "$['\\u12']", "$['a\\ud800\\u", "$[\"\\\\\\u\"]", "$[?@.a=='\\u0']"] {
        assert!(matches!(shape(path), Err(PathError::Syntax { .. })), "{path}");
    }
    for path in ["$['\\u0061']", "$['\\\\u']"] {
        assert!(shape(path).is_ok(), "{path}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
        "(invalid_grant|server_error|[0-9]{1,30}|-?[0-9]e[0-9]{1,3}|nan|inf)".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let name = "(access_token|refresh_token|expires_in|expires_at|error|scope|code|type|data|.{0,4})";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes(status in 100_u16..600, body: Vec<u8>) {
        let _ = read(status, &body);
    }

    #[test]
    fn any_fields(status in 100_u16..600, body in any_json()) {
        let paths = ReplyPaths {
            expires_at: Some("$.expires_at".into()),
            refresh_token_expires_in: Some("$..expires_in".into()),
            success: Some(("$.type".into(), vec!["1".into()])),
            ..ReplyPaths::default()
        };
        let odd = ReplyShape::new(&paths, ReplyRules::default()).unwrap();
        let sent_at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for shape in [shape(), odd] {
            let read = shape.read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.to_string().as_bytes(), sent_at);
            if let Ok(reply) = read {
                prop_assert!(!reply.access_token.expose().is_empty());
                if let Some(token) = &reply.refresh_token {
                    prop_assert!(!reply.response.expose().to_string().contains(&json!(token.expose()).to_string()) || token.expose().is_empty());
                }
            }
        }
    }

    #[test]
    fn any_path(path in "\\$[.\\[\\]'a-z0-9*?@:,=<>!&|$()-]{0,24}", body in any_json()) {
        let paths = ReplyPaths { access_token: Some(path), ..ReplyPaths::default() };
        if let Ok(shape) = ReplyShape::new(&paths, ReplyRules::default()) {
            let _ = shape.read(StatusCode::OK, &HeaderMap::new(), body.to_string().as_bytes(), Timestamp::UNIX_EPOCH);
        }
    }
}
