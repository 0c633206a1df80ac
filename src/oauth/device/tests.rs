use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::*;
use crate::oauth::{failure::Spent, request::Authentication};

fn reply(status: u16, body: Value) -> RawReply {
    RawReply {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes().into(),
        sent_at: Timestamp::UNIX_EPOCH,
        fence_to_send: Duration::ZERO,
    }
}

#[test]
fn the_rfcs_own_reply() {
    let authorization = read(&reply(
        200,
        json!({
            "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS", "user_code": "WDJB-MJHT",
            "verification_uri": "https://example.com/device", "expires_in": 1800, "interval": 7,
            "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
        }),
    ))
    .unwrap();
    assert_eq!(authorization.user_code, "WDJB-MJHT");
    assert_eq!(authorization.verification_uri, "https://example.com/device");
    assert_eq!(authorization.expires_at.as_second(), 1800);
    assert_eq!(authorization.interval, Duration::from_secs(7));
    assert!(!format!("{authorization:?}").contains("GmRh"));
}

#[test]
fn replies_that_say_less_or_too_much() {
    let with = |user_code: &str, uri: &str| {
        let body = json!({"device_code": "d", "user_code": user_code, "verification_url": uri, "expires_in": 60});
        read(&reply(200, body))
    };
    assert_eq!(with("A", "https://a.example/d").unwrap().interval, Duration::from_secs(5));
    assert_eq!(with("A\nB", "https://a.example/d"), Err(Failure::ControlCharacter(Field::UserCode)));
    assert_eq!(with("A\u{202e}B", "https://a.example/d"), Err(Failure::ControlCharacter(Field::UserCode)));
    for uri in
        ["javascript:alert(1)", "https://a.exa\nmple/", "\u{1b}https://a.example", "https://a.example/\u{202e}moc"]
    {
        assert_eq!(with("A", uri), Err(Failure::ControlCharacter(Field::VerificationUri)), "{uri:?}");
    }
    assert_eq!(with("", "https://a.example/d"), Err(Failure::Unreadable));
    assert_eq!(with(&"A".repeat(129), "https://a.example/d"), Err(Failure::ControlCharacter(Field::UserCode)));
    let endless = json!({"device_code": "d", "user_code": "A", "verification_uri": "https://a.example/",
        "expires_in": 99_999_999, "interval": 0});
    let endless = read(&reply(200, endless)).unwrap();
    assert_eq!((endless.expires_at.as_second(), endless.interval.as_secs()), (86_400, 1));
    let refused = read(&reply(401, json!({"error": "invalid_client"}))).unwrap_err();
    assert_eq!(refused.code(), Some("invalid_client"));
    assert_eq!(read(&reply(200, json!({"user_code": "A"}))), Err(Failure::MissingAccessToken));
}

#[test]
fn the_request_is_a_form() {
    let client = Client { id: Some("tv".into()), secret: None, assertion: None };
    let shape = RequestShape {
        authentication: Authentication::None,
        encoding: crate::api::Encoding::Json,
        ..RequestShape::default()
    };
    let url = "https://example.com/device_authorization".parse().unwrap();
    let encoded = request(&url, client, &shape, Some(ParameterValue::text("a b")), Vec::new()).encode().unwrap();
    assert_eq!(encoded.body(), "scope=a+b&client_id=tv".as_bytes());
}

#[test]
fn polls_are_paced() {
    let refused = |code| Failure::Refused { code, spent: Spent::No, retry_after: None };
    let (five, ten) = (Duration::from_secs(5), Duration::from_secs(10));
    assert_eq!(after_poll(&refused(ErrorCode::AuthorizationPending), five), Poll::Again(five));
    assert_eq!(after_poll(&refused(ErrorCode::SlowDown), five), Poll::Again(ten));
    assert_eq!(after_poll(&Failure::TimedOut, five), Poll::Again(ten));
    assert_eq!(after_poll(&Failure::TimedOut, LONGEST_INTERVAL), Poll::Again(LONGEST_INTERVAL));
    assert_eq!(after_poll(&Failure::RateLimited { retry_after: Some(ten) }, five), Poll::Again(ten));
    for over in [ErrorCode::ExpiredToken, ErrorCode::AccessDenied, ErrorCode::InvalidGrant] {
        assert_eq!(after_poll(&refused(over), five), Poll::Over);
    }
}
