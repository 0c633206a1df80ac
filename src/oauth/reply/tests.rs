use super::*;
use serde_json::json;

const NOW: &str = "2026-01-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn after(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp::from_second(now().as_second() + seconds).unwrap())
}

fn shape() -> ReplyShape {
    ReplyShape::new(&ReplyPaths::default(), ReplyRules::default()).unwrap()
}

fn odd() -> ReplyShape {
    let text = |text: &str| Some(text.to_owned());
    let paths = ReplyPaths {
        access_token: text("$.data.token.access_token"),
        refresh_token: text("$.data.token.refresh_token"),
        expires_in: text("$.data.token.ttl"),
        expires_at: text("$.data.token.expires_at"),
        token_type: text("$.data.token.kind"),
        refresh_token_expires_in: text("$.data.token.refresh_ttl"),
        error: text("$.err.code"),
        success: Some(("$.result".into(), vec!["0000".into()])),
        ..ReplyPaths::default()
    };
    let rules = ReplyRules {
        expires_in_unit: ExpiryUnit::Milliseconds,
        permanent_errors: vec!["token_revoked".into(), "42".into()],
        temporary_errors: vec!["too_soon".into()],
        max_lifetime: Some(Duration::from_secs(12 * 3600)),
        ..ReplyRules::default()
    };
    ReplyShape::new(&paths, rules).unwrap()
}

fn read(shape: &ReplyShape, status: u16, body: &str) -> Result<TokenReply, Failure> {
    shape.read(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes(), now())
}

fn refused(code: ErrorCode, spent: Spent) -> Failure {
    Failure::Refused { code, spent, retry_after: None }
}

#[test]
fn hovers_reply() {
    let body = json!({"access_token": "at", "token_type": "Bearer", "expires_in": 7200, "refresh_token": "rt-2", "scope": "all",
        "created_at": 1_767_225_600, "owner_id": 785, "owner_type": "orgs"});
    let reply = read(&shape(), 200, &body.to_string()).unwrap();
    assert_eq!(reply.access_token.expose(), "at");
    assert_eq!(reply.refresh_token.as_ref().map(RefreshToken::expose), Some("rt-2"));
    assert_eq!((reply.token_type.as_deref(), reply.scope.as_deref()), (Some("Bearer"), Some("all")));
    assert_eq!((reply.expires_at, reply.refresh_token_expires_at), (after(7200), None));
    let mut expected = body;
    expected.as_object_mut().unwrap().remove("refresh_token");
    assert_eq!(reply.response.expose(), &expected);
}

#[test]
fn an_odd_reply() {
    let body = json!({"result": "0000", "err": {"code": 0}, "data": {"token": {"access_token": "at", "refresh_token": "rt-long-enough-to-be-found",
        "ttl": "3600000", "kind": "Bearer", "refresh_ttl": 7_200_000.0}}, "echo": "rt-long-enough-to-be-found",
        "link": "https://x/?r=rt-long-enough-to-be-found&s=1", "list": ["a", "rt-long-enough-to-be-found"]});
    let reply = read(&odd(), 201, &body.to_string()).unwrap();
    assert_eq!((reply.expires_at, reply.refresh_token_expires_at), (after(3600), after(7200)));
    assert_eq!(
        reply.response.expose(),
        &json!({"result": "0000", "err": {"code": 0}, "data": {"token": {"access_token": "at", "ttl": "3600000",
            "kind": "Bearer", "refresh_ttl": 7_200_000.0}}, "list": ["a", null]})
    );
    let capped = json!({"result": "0000", "data": {"token": {"access_token": "at", "expires_at": "2027-01-01T00:00:00Z", "ttl": 1}}});
    assert_eq!(read(&odd(), 200, &capped.to_string()).unwrap().expires_at, after(12 * 3600));
}

#[test]
fn absent_and_empty_refresh_tokens_keep_the_old_one() {
    for body in [
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","refresh_token":""}"#,
        r#"{"access_token":"a","refresh_token":null}"#,
        "access_token=a&refresh_token=",
    ] {
        let reply = read(&shape(), 200, body).unwrap();
        assert_eq!(reply.refresh_token, None, "{body}");
        assert_eq!(reply.response.expose(), &json!({"access_token": "a"}), "{body}");
    }
}

#[test]
fn empty_paths_ignore_what_is_there() {
    let empty = || Some(String::new());
    let paths = ReplyPaths {
        refresh_token: empty(),
        expires_in: empty(),
        error: empty(),
        scope: empty(),
        ..ReplyPaths::default()
    };
    let shape = ReplyShape::new(&paths, ReplyRules::default()).unwrap();
    let reply =
        read(&shape, 200, r#"{"access_token":"a","refresh_token":"r","expires_in":5,"error":"x","scope":"s\n"}"#)
            .unwrap();
    assert_eq!((reply.refresh_token, reply.scope, reply.expires_at), (None, None, after(3600)));
    assert_eq!(reply.response.expose().get("refresh_token"), None, "templates never see it");
}

#[test]
fn encodings_are_judged_by_the_body() {
    let json = r#"{"access_token":"a"}"#;
    let form = "access_token=a&scope=x%20y&expires_in=60";
    let with =
        |encoding| ReplyShape::new(&ReplyPaths::default(), ReplyRules { encoding, ..ReplyRules::default() }).unwrap();
    for (encoding, body, expected) in [
        (ResponseEncoding::Auto, json, Ok("a")),
        (ResponseEncoding::Auto, form, Ok("a")),
        (ResponseEncoding::Auto, "\u{feff} {\"access_token\":\"a\"}\r\n", Ok("a")),
        (ResponseEncoding::Auto, "access_token=a\n", Ok("a")),
        (ResponseEncoding::Json, form, Err(Failure::Unreadable)),
        (ResponseEncoding::Form, json, Err(Failure::Unreadable)),
        (ResponseEncoding::Auto, "<!doctype html><a href=?access_token=a>", Err(Failure::Html)),
        (ResponseEncoding::Form, " <html>=", Err(Failure::Html)),
        (ResponseEncoding::Auto, r#"{"access_token":"a""#, Err(Failure::Unreadable)),
        (ResponseEncoding::Auto, "", Err(Failure::Unreadable)),
        (ResponseEncoding::Auto, "OK", Err(Failure::Unreadable)),
        (ResponseEncoding::Auto, "ok = yes", Err(Failure::Unreadable)),
        (ResponseEncoding::Auto, "[]", Err(Failure::MissingAccessToken)),
        (ResponseEncoding::Auto, "null", Err(Failure::MissingAccessToken)),
        (ResponseEncoding::Auto, r#"{"access_token":{}}"#, Err(Failure::MissingAccessToken)),
        (ResponseEncoding::Auto, r#"{"access_token":true}"#, Err(Failure::MissingAccessToken)),
        (ResponseEncoding::Auto, r#"{"access_token":"b","access_token":"a"}"#, Ok("a")),
        (ResponseEncoding::Auto, r#"{"access_token":12}"#, Ok("12")),
    ] {
        let read = read(&with(encoding), 200, body);
        assert_eq!(read.as_ref().map(|reply| reply.access_token.expose()), expected.as_ref().copied(), "{body}");
    }
    let reply = read(&with(ResponseEncoding::Auto), 200, form).unwrap();
    assert_eq!((reply.scope.as_deref(), reply.expires_at), (Some("x y"), after(60)));
}

#[test]
fn lifetimes() {
    let max = Timestamp::MAX;
    for (value, expected) in [
        (json!(3600), after(3600)),
        (json!("3600"), after(3600)),
        (json!(" 60 "), after(60)),
        (json!(59.5), Some(now() + Duration::from_millis(59_500))),
        (json!(u64::MAX), Some(max)),
        (json!(1e300), Some(max)),
        (json!("1e300"), Some(max)),
        (json!(0), after(1800)),
        (json!(1e-300), after(1800)),
        (json!(-1), after(1800)),
        (json!("-1"), after(1800)),
        (json!("NaN"), after(1800)),
        (json!("inf"), after(1800)),
        (json!("soon"), after(1800)),
        (json!(true), after(1800)),
        (json!([60]), after(1800)),
        (json!(null), after(1800)),
    ] {
        let rules = ReplyRules { default_lifetime: Lifetime::For(Duration::from_secs(1800)), ..ReplyRules::default() };
        let shape = ReplyShape::new(&ReplyPaths::default(), rules).unwrap();
        let body = json!({"access_token": "a", "expires_in": value}).to_string();
        assert_eq!(read(&shape, 200, &body).unwrap().expires_at, expected, "{body}");
    }
}

/// What a reply calls itself means nothing: forms have been seen as web pages, and JSON as text.
#[test]
fn a_reply_may_call_itself_anything() {
    for encoding in [ResponseEncoding::Auto, ResponseEncoding::Form] {
        let shape = ReplyShape::new(&ReplyPaths::default(), ReplyRules { encoding, ..ReplyRules::default() }).unwrap();
        for content_type in ["text/html; charset=utf-8", "text/plain", "application/json", "nonsense"] {
            let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, content_type.parse().unwrap())]);
            let reply = shape.read(StatusCode::OK, &headers, b"access_token=a&expires_in=60", now()).unwrap();
            assert_eq!((reply.access_token.expose(), reply.expires_at), ("a", after(60)), "{content_type}");
        }
    }
}

#[test]
fn absolute_times_win() {
    let paths = ReplyPaths { expires_at: Some("$.expires_at".into()), ..ReplyPaths::default() };
    let shape = ReplyShape::new(&paths, ReplyRules::default()).unwrap();
    let seconds = now().as_second() + 90;
    for (value, expected) in [
        (json!(seconds), after(90)),
        (json!(seconds.to_string()), after(90)),
        (json!(seconds * 1000), after(90)),
        (json!((seconds * 1000) as f64), after(90)),
        (json!("2026-01-01T00:01:30Z"), after(90)),
        (json!("2026-01-01T01:01:30+01:00"), after(90)),
        (json!("2026-01-01t00:01:30.000z"), after(90)),
        (json!(99_999_999_999_i64), Some(Timestamp::from_second(99_999_999_999).unwrap())),
        (json!(1e300), Some(Timestamp::MAX)),
        (json!(1), Some(Timestamp::from_second(1).unwrap())),
        (json!(0), after(60)),
        (json!(1e-300), after(60)),
        (json!(-5), after(60)),
        (json!("tomorrow"), after(60)),
        (json!("2026-01-01T00:01:30"), after(60)),
        (json!({}), after(60)),
    ] {
        let body = json!({"access_token": "a", "expires_in": 60, "expires_at": value}).to_string();
        assert_eq!(read(&shape, 200, &body).unwrap().expires_at, expected, "{body}");
    }
}

#[test]
fn default_and_longest_lifetime() {
    let hour = Duration::from_secs(3600);
    for (default_lifetime, max_lifetime, expires_in, expected) in [
        (Lifetime::default(), None, None, after(3600)),
        (Lifetime::Never, None, None, None),
        (Lifetime::Never, Some(hour), None, after(3600)),
        (Lifetime::Never, None, Some(60), after(60)),
        (Lifetime::For(2 * hour), Some(hour), None, after(3600)),
        (Lifetime::default(), Some(hour), Some(60), after(60)),
        (Lifetime::default(), Some(hour), Some(7200), after(3600)),
        (Lifetime::For(Duration::MAX), None, None, Some(Timestamp::MAX)),
    ] {
        let shape = ReplyShape::new(
            &ReplyPaths::default(),
            ReplyRules { default_lifetime, max_lifetime, ..ReplyRules::default() },
        );
        let body = json!({"access_token": "a", "expires_in": expires_in}).to_string();
        assert_eq!(read(&shape.unwrap(), 200, &body).unwrap().expires_at, expected);
    }
    let minutes = ReplyRules { expires_in_unit: ExpiryUnit::Minutes, ..ReplyRules::default() };
    let shape = ReplyShape::new(&ReplyPaths::default(), minutes).unwrap();
    assert_eq!(read(&shape, 200, r#"{"access_token":"a","expires_in":1.5}"#).unwrap().expires_at, after(90));
}

#[test]
fn scopes_may_be_a_list() {
    let scope =
        |scope: Value| read(&shape(), 200, &json!({"access_token": "a", "scope": scope}).to_string()).unwrap().scope;
    assert_eq!(scope(json!(["a", "b"])).as_deref(), Some("a b"));
    assert_eq!(scope(json!([])), None);
    assert_eq!(scope(json!({"a": 1})), None);
}

#[test]
fn errors() {
    use Failure as F;
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_grant","error_description":"x"}"#, refused(ErrorCode::InvalidGrant, Spent::No)),
        (200, r#"{"error":"invalid_grant"}"#, refused(ErrorCode::InvalidGrant, Spent::No)),
        (500, r#"{"error":"invalid_grant"}"#, refused(ErrorCode::InvalidGrant, Spent::No)),
        (401, r#"{"error":"invalid_grant"}"#, refused(ErrorCode::InvalidGrant, Spent::No)),
        (401, r#"{"error":"invalid_client"}"#, refused(ErrorCode::InvalidClient, Spent::No)),
        (400, "error=invalid_request&error_description=x", refused(ErrorCode::InvalidRequest, Spent::No)),
        (400, r#"{"error":{"code":"invalid_scope","type":"x"}}"#, refused(ErrorCode::InvalidScope, Spent::No)),
        (400, r#"{"error":{"message":"x","type":"invalid_scope"}}"#, refused(ErrorCode::InvalidScope, Spent::No)),
        (400, r#"{"error":[{"status":"invalid_scope"}]}"#, refused(ErrorCode::InvalidScope, Spent::No)),
        (400, r#"{"error":"temporarily_unavailable"}"#, refused(ErrorCode::TemporarilyUnavailable, Spent::No)),
        (503, r#"{"error":"temporarily_unavailable"}"#, refused(ErrorCode::TemporarilyUnavailable, Spent::Unknown)),
        (400, r#"{"error":"server_error"}"#, refused(ErrorCode::ServerError, Spent::Unknown)),
        (200, r#"{"error":"invalid_grant","access_token":"a"}"#, refused(ErrorCode::InvalidGrant, Spent::Unknown)),
        (400, r#"{"error":"INVALID_GRANT"}"#, F::UnknownCode { spent: Spent::No }),
        (400, r#"{"error":{"message":"no code"}}"#, F::UnknownCode { spent: Spent::No }),
        (400, r#"{"error":true}"#, F::UnknownCode { spent: Spent::No }),
        (200, r#"{"error":"bad_verification_code"}"#, F::UnknownCode { spent: Spent::Unknown }),
        (401, r#"{"error":"nope"}"#, F::Unauthorized),
        (401, "<html>", F::Unauthorized),
        (401, "", F::Unauthorized),
        (401, r#"{"error":{"message":"x"}}"#, F::Unauthorized),
        (429, "", F::RateLimited { retry_after: None }),
        (429, r#"{"error":"invalid_grant"}"#, F::RateLimited { retry_after: None }),
        (500, "<html>", F::ServerError { retry_after: None }),
        (502, r#"{"error":"nope"}"#, F::ServerError { retry_after: None }),
        (302, "", F::Redirect),
        (304, "", F::Redirect),
        (404, "<html>", F::Status(404)),
        (400, "{}", F::Status(400)),
        (400, r#"{"error":null}"#, F::Status(400)),
        (101, "", F::Status(101)),
        (200, "{}", F::MissingAccessToken),
        (204, "", F::Unreadable),
    ] {
        assert_eq!(read(&shape(), status, body).unwrap_err(), expected, "{status} {body}");
    }
    for no_error in ["null", "false", "0", "0.0", "-0", r#""""#, r#""0""#, r#""false""#, "{}", "[]"] {
        assert!(read(&shape(), 200, &format!(r#"{{"access_token":"a","error":{no_error}}}"#)).is_ok(), "{no_error}");
    }
}

#[test]
fn configured_codes_come_first() {
    use Failure as F;
    let temporary = |spent| F::Temporary { spent, retry_after: None };
    for (status, body, expected) in [
        (400, r#"{"err":{"code":"token_revoked"}}"#, F::Permanent { spent: Spent::No }),
        (200, r#"{"result":"9999","err":{"code":"token_revoked"}}"#, F::Permanent { spent: Spent::No }),
        (429, r#"{"err":{"code":"token_revoked"}}"#, F::Permanent { spent: Spent::No }),
        (400, r#"{"err":{"code":42}}"#, F::Permanent { spent: Spent::No }),
        (200, r#"{"result":"token_revoked"}"#, F::Permanent { spent: Spent::No }),
        (200, r#"{"result":"too_soon"}"#, temporary(Spent::No)),
        (200, r#"{"result":"too_soon","err":{"code":"token_revoked"}}"#, temporary(Spent::No)),
        (401, r#"{"err":{"code":"too_soon"}}"#, temporary(Spent::No)),
        (503, r#"{"err":{"code":"too_soon"}}"#, temporary(Spent::Unknown)),
        (429, r#"{"err":{"code":"too_soon"}}"#, F::RateLimited { retry_after: None }),
        (200, r#"{"result":"9999"}"#, F::UnknownCode { spent: Spent::Unknown }),
        (200, r#"{"result":"0","data":{"token":{"access_token":"a"}}}"#, F::UnknownCode { spent: Spent::Unknown }),
        (200, r#"{"data":{"token":{"access_token":"a"}}}"#, F::UnknownCode { spent: Spent::Unknown }),
        (404, r#"{"message":"no such thing"}"#, F::Status(404)),
    ] {
        assert_eq!(read(&odd(), status, body).unwrap_err(), expected, "{status} {body}");
    }
}

#[test]
fn retry_after_reaches_the_failure() {
    let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "30".parse().unwrap())]);
    for (status, body) in [(429, ""), (503, ""), (503, r#"{"error":"temporarily_unavailable"}"#)] {
        let failure =
            shape().read(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), now()).unwrap_err();
        assert_eq!(failure.retry_after(), Some(Duration::from_secs(30)));
    }
}

#[test]
fn bad_paths_name_their_field() {
    let error = |path: &str| {
        let paths = ReplyPaths { id_token: Some(path.into()), ..ReplyPaths::default() };
        ReplyShape::new(&paths, ReplyRules::default()).unwrap_err()
    };
    assert!(matches!(error("$.a["), PathError::Syntax { field: "idToken", .. }));
    assert!(matches!(error("a.b"), PathError::Syntax { field: "idToken", .. }));
    for wide in ["$..*..*", "$[*,*,*]", "$[?$..a]", "$[?search(@, 'x')]", "$.*.*.*", "$[0:1,1:2]"] {
        assert_eq!(error(wide), PathError::TooWide { field: "idToken" }, "{wide}");
    }
    for fine in ["$..token", "$['a:,*?$(']", "$.list[?@.kind=='x'].token", "$[0]", "$.a.*"] {
        let paths = ReplyPaths { id_token: Some(fine.into()), ..ReplyPaths::default() };
        assert!(ReplyShape::new(&paths, ReplyRules::default()).is_ok(), "{fine}");
    }
}

/// Some providers have no refresh tokens: the access token itself is the next credential, and dies at its expiry.
#[test]
fn an_access_token_may_be_the_refresh_credential() {
    let paths = ReplyPaths { refresh_token: Some("$.access_token".into()), ..ReplyPaths::default() };
    let shape = ReplyShape::new(&paths, ReplyRules::default()).unwrap();
    let read =
        |body: &str| shape.read(StatusCode::OK, &HeaderMap::new(), body.as_bytes(), Timestamp::UNIX_EPOCH).unwrap();
    let reply = read(r#"{"access_token":"only-one","expires_in":60}"#);
    assert_eq!(reply.refresh_token.map(|token| token.expose().to_owned()).as_deref(), Some("only-one"));
    assert_eq!(reply.access_token.expose(), "only-one");
    assert_eq!(
        (reply.refresh_token_expires_at, reply.expires_at.map(Timestamp::as_second)),
        (reply.expires_at, Some(60))
    );
}
