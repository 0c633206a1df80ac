use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::oauth::{request::Authentication, values::ClientSecret};

fn request() -> AuthorizationRequest {
    AuthorizationRequest {
        client_id: "s6BhdRkqt3".into(),
        redirect_uri: Some("https://client.example.org/cb".into()),
        scope: Some("openid offline_access".into()),
        state: "xyz".into(),
        nonce: Some("n-0S6".into()),
        // RFC 7636 appendix B.
        verifier: Some(SecretText::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")),
        added: Vec::new(),
    }
}

fn query(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_request_as_rfc_7636_has_it() {
    let url = request().url(&"https://server.example.com/authorize?tenant=a".parse().unwrap());
    assert_eq!(
        query(&url),
        [
            pair("tenant", "a"),
            pair("response_type", "code"),
            pair("client_id", "s6BhdRkqt3"),
            pair("redirect_uri", "https://client.example.org/cb"),
            pair("scope", "openid offline_access"),
            pair("state", "xyz"),
            pair("nonce", "n-0S6"),
            pair("code_challenge_method", "S256"),
            pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ]
    );
}

#[test]
fn without_pkce_and_with_parameters_of_ones_own() {
    let request = AuthorizationRequest {
        verifier: None,
        nonce: None,
        redirect_uri: None,
        added: vec![
            ("scope".into(), ParameterValue::text("everything")),
            ("resource".into(), ParameterValue::text("https://a.example")),
            ("resource".into(), ParameterValue::text("https://b.example")),
            ("authorization_details".into(), ParameterValue::Json(json!([{"type": "x"}]))),
        ],
        ..request()
    };
    let url = request.url(&"https://server.example.com/authorize".parse().unwrap());
    assert_eq!(
        query(&url),
        [
            pair("response_type", "code"),
            pair("client_id", "s6BhdRkqt3"),
            pair("state", "xyz"),
            pair("scope", "everything"),
            pair("resource", "https://a.example"),
            pair("resource", "https://b.example"),
            pair("authorization_details", r#"[{"type":"x"}]"#),
        ]
    );
}

#[test]
fn a_pushed_request_leaves_nothing_to_the_browser() {
    let (request, endpoint) = (request(), "https://server.example.com/par".parse().unwrap());
    let client =
        Client { id: Some("s6BhdRkqt3".into()), secret: Some(ClientSecret::new("gX1fBat3bV")), assertion: None };
    let shape = RequestShape { authentication: Authentication::ClientSecretPost, ..RequestShape::default() };
    let encoded = request.pushed(&endpoint, client, &shape).encode().unwrap();
    let body = String::from_utf8(encoded.body().to_vec()).unwrap();
    for part in
        ["response_type=code", "client_id=s6BhdRkqt3", "client_secret=gX1fBat3bV", "state=xyz", "code_challenge="]
    {
        assert_eq!(body.matches(part).count(), 1, "{part} in {body}");
    }
    let reply = |status, body: &str| RawReply {
        status,
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec().into(),
        sent_at: Timestamp::UNIX_EPOCH,
        fence_to_send: Duration::ZERO,
    };
    let pushed = reply(StatusCode::CREATED, r#"{"request_uri": "urn:example:bwc4JK", "expires_in": 60}"#);
    let request_uri = read_pushed(&pushed).unwrap();
    let url = request.url_of_pushed(&"https://server.example.com/authorize".parse().unwrap(), &request_uri);
    assert_eq!(query(&url), [pair("client_id", "s6BhdRkqt3"), pair("request_uri", "urn:example:bwc4JK")]);
    let refused = read_pushed(&reply(StatusCode::BAD_REQUEST, r#"{"error": "invalid_request"}"#)).unwrap_err();
    assert_eq!(refused.code(), Some("invalid_request"));
    assert_eq!(read_pushed(&reply(StatusCode::CREATED, "{}")), Err(Failure::MissingAccessToken));
}

fn code(response: Result<Response, NoResponse>) -> (Option<String>, String) {
    let response = response.unwrap();
    (response.state, response.outcome.unwrap().expose().to_owned())
}

#[test]
fn responses() {
    let query = "code=Splx%2FlO&state=xyz&iss=https%3A%2F%2Fa.example&scope=x";
    assert_eq!(code(Response::in_query(query)), (Some("xyz".into()), "Splx/lO".into()));
    assert_eq!(Response::in_query(query).unwrap().issuer.as_deref(), Some("https://a.example"));
    let refused = |query: &str| Response::in_query(query).unwrap().outcome.unwrap_err();
    assert_eq!(refused("error=access_denied&error_description=no&state=xyz"), Refusal::Denied);
    assert_eq!(refused("error=invalid_scope"), Refusal::Code(ErrorCode::InvalidScope));
    assert_eq!(refused("error=%3Cb%3E&code=x"), Refusal::Unknown);
    for (query, why) in [
        ("state=xyz", NoResponse::Nothing),
        ("code=&state=xyz", NoResponse::Nothing),
        ("code=a&code=b", NoResponse::Repeated),
        ("code=a&state=b&state=b", NoResponse::Repeated),
        ("code=a%0Ab", NoResponse::Characters),
        ("code=%C3%BC", NoResponse::Characters),
        (&format!("code={}", "a".repeat(MAX_CODE + 1)), NoResponse::TooLong),
        (&format!("x={}", "a".repeat(MAX_RESPONSE)), NoResponse::TooLong),
    ] {
        assert_eq!(Response::in_query(query), Err(why), "{query:.40}");
    }
}

#[test]
fn what_people_paste() {
    let state = || Some("xyz".to_owned());
    for (pasted, expected) in [
        ("https://hover.to/?code=abc&state=xyz", (state(), "abc")),
        (" https://hover.to/#code=abc&state=xyz\n", (state(), "abc")),
        ("http://127.0.0.1:8085/callback?state=xyz&code=4%2F0AX", (state(), "4/0AX")),
        ("?code=abc&state=xyz", (state(), "abc")),
        ("code=abc", (None, "abc")),
        ("4/0AX4+x", (None, "4/0AX4+x")),
        ("4%2F0AX4+x", (None, "4/0AX4+x")),
        ("  abc\r\n", (None, "abc")),
        ("abc=", (None, "abc=")),
    ] {
        assert_eq!(code(Response::in_pasted(pasted)), (expected.0, expected.1.to_owned()), "{pasted}");
    }
    for (pasted, why) in [
        ("", NoResponse::Empty),
        ("\n", NoResponse::Empty),
        ("https://hover.to/", NoResponse::Nothing),
        ("https://hover.to/?state=xyz", NoResponse::Nothing),
        ("two\nlines", NoResponse::Characters),
    ] {
        assert_eq!(Response::in_pasted(pasted), Err(why), "{pasted}");
    }
    let denied = Response::in_pasted("https://hover.to/?error=access_denied&state=xyz").unwrap();
    assert_eq!(denied.outcome, Err(Refusal::Denied));
}

#[test]
fn who_answers() {
    let from =
        |iss: Option<&str>| Response { state: None, issuer: iss.map(str::to_owned), outcome: Err(Refusal::Denied) };
    let here = Some("https://a.example");
    for (named, issuer, promised, is_from) in [
        (here, here, true, true),
        (here, here, false, true),
        (Some("https://b.example"), here, false, false),
        (Some("https://a.example/"), here, false, false),
        (None, here, false, true),
        (None, here, true, false),
        (here, None, false, true),
        (None, None, false, true),
    ] {
        assert_eq!(from(named).is_from(issuer, promised), is_from, "{named:?} {issuer:?} {promised}");
    }
}

#[test]
fn sentences_repeat_nothing_of_the_servers() {
    for refusal in
        [Refusal::Denied, Refusal::Unknown].into_iter().chain(ErrorCode::ALL.iter().copied().map(Refusal::Code))
    {
        assert!(refusal.sentence().ends_with('.'), "{}", refusal.sentence());
    }
    assert_eq!(Refusal::of("<script>"), Refusal::Unknown);
}
