//! What Hover takes, what it refuses, and what it answers.

use super::*;
use crate::standin::Unauthorized;

const MULTIPART: &str = "multipart/form-data; boundary=XX";

fn multipart(fields: &Value) -> String {
    let part = |(name, value): (&String, &Value)| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{}\r\n", value.as_str().unwrap())
    };
    fields.as_object().unwrap().iter().map(part).collect::<String>() + "--XX--\r\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hover_refresh_has_the_documented_reply_and_spends_the_token() {
    let standin = Standin::start(Hover::default()).await;
    let seed = standin.seed();
    let first = hover_refresh(&standin, &seed);
    assert_eq!(first.status, 200);
    let reply = first.json();
    let documented =
        ["access_token", "token_type", "expires_in", "refresh_token", "scope", "created_at", "owner_id", "owner_type"];
    assert_keys(&reply, &documented);
    assert_eq!((&reply["token_type"], &reply["expires_in"]), (&json!("Bearer"), &json!(7200)));
    assert_eq!((&reply["scope"], &reply["owner_id"]), (&json!("all"), &json!(785)));
    assert_eq!(reply["owner_type"], json!("orgs"));
    assert!(reply["created_at"].as_u64().unwrap() > 1_700_000_000);
    assert!(standin.is_live(&first.text("access_token")));
    assert!(!standin.is_live(&first.text("refresh_token")), "a refresh token is no access token");

    assert_eq!(hover_refresh(&standin, &seed).status, 401);
    assert_eq!(last(&standin).refused.unwrap(), "RefreshToken Spent");
    assert_eq!(standin.replays(), 1);

    let body = with(refresh_body(&first.text("refresh_token")), "redirect_uri", json!(CALLBACK));
    assert_eq!(send(&standin, &hover_raw(JSON, &body)).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_grace_a_spent_refresh_token_works_on() {
    let reuse_grace_period = Some(std::time::Duration::from_millis(400));
    let standin = Standin::start(Hover { reuse_grace_period, ..Hover::default() }).await;
    let seed = standin.seed();
    let tokens: Vec<String> = (0..2).map(|_| hover_refresh(&standin, &seed).text("refresh_token")).collect();
    assert_ne!(tokens[0], tokens[1]);
    // Real time is what is tested here.
    tokio::time::sleep(std::time::Duration::from_millis(450)).await;
    assert_eq!((hover_refresh(&standin, &seed).status, standin.replays()), (401, 1));
    assert!(tokens.iter().all(|token| hover_refresh(&standin, token).status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_hover_refresh_is_a_401_and_spends_nothing() {
    let standin = Standin::start(Hover::default()).await;
    let seed = standin.seed();
    let good = refresh_body(&seed);
    let text = good.to_string();
    let form = format!("grant_type=refresh_token&refresh_token={seed}&client_id=3fc0&client_secret=s3cr3t");
    let refused = [
        (hover_raw(JSON, &with(good.clone(), "grant_type", Value::Null)), "grant_type is missing"),
        (hover_raw(JSON, &with(good.clone(), "grant_type", json!("password"))), "grant_type password"),
        (hover_raw(JSON, &with(good.clone(), "refresh_token", json!(""))), "refresh_token is empty"),
        (hover_raw(JSON, &with(good.clone(), "refresh_token", json!("other"))), "RefreshToken Unknown"),
        (hover_raw(JSON, &with(good.clone(), "client_id", json!("other"))), "no such client"),
        (hover_raw(JSON, &with(good.clone(), "client_secret", Value::Null)), "client_secret is missing"),
        (hover_raw(JSON, &with(good.clone(), "client_secret", json!("wrong"))), "wrong client secret"),
        (hover_raw(JSON, &with(good.clone(), "scope", json!("all"))), "scope is not a field"),
        (hover_raw(JSON, &with(good.clone(), "redirect_uri", json!(""))), "redirect_uri is not https"),
        (hover_raw(JSON, &with(good.clone(), "redirect_uri", json!("https://x.example/"))), "not the registered one"),
        (hover_raw(JSON, &with(good.clone(), "client_id", json!(3))), "invalid type: integer"),
        (hover_raw(JSON, &text.replacen('{', "{\"client_id\":\"3fc0\",", 1)), "client_id is there twice"),
        (hover_raw(JSON, &format!("{text}x")), "trailing characters"),
        (hover_raw(JSON, "[]"), "an object of strings"),
        (hover_raw("application/x-www-form-urlencoded", &form), "Content-Type application/x-www-form-urlencoded"),
        (hover_raw(MULTIPART, &multipart(&good)), "JSON only"),
        (raw("POST", "/oauth/token", "", &text), "one Content-Type"),
        (raw("POST", "/oauth/token?a=b", "Content-Type: application/json\r\n", &text), "not in the query"),
        (hover_raw("application/json\r\nAuthorization: Basic YTpi", &text), "not in a header"),
        (hover_raw("application/json\r\nContent-Type: application/json", &text), "one Content-Type"),
    ];
    for (request, why) in &refused {
        assert_eq!(send(&standin, request).status, 401, "{why}");
        let told = last(&standin).refused.unwrap();
        assert!(told.contains(why), "{told} instead of {why}");
    }
    assert_eq!(send(&standin, &raw("GET", "/oauth/token", "", "")).status, 405);
    assert_eq!(send(&standin, &raw("POST", "/token", "", &text)).status, 404);

    assert_eq!(hover_refresh(&standin, &seed).status, 200);
    assert_eq!(standin.replays(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_taken_once_as_json_or_multipart_with_the_registered_redirect_uri() {
    let standin = Standin::start(Hover::default()).await;
    for (content_type, encode) in [
        (JSON, Value::to_string as fn(&Value) -> String),
        (MULTIPART, multipart),
        ("multipart/form-data; boundary=\"XX\"", multipart),
    ] {
        let good = code_body(&standin.code());
        for redirect_uri in ["https://x.example/", "http://oauth.example.com/oauth/callback"] {
            let body = serde_json::from_str(&with(good.clone(), "redirect_uri", json!(redirect_uri))).unwrap();
            assert_eq!(send(&standin, &hover_raw(content_type, &encode(&body))).status, 401);
        }
        let request = hover_raw(content_type, &encode(&good));
        let tokens = send(&standin, &request);
        assert_eq!(tokens.status, 200);
        assert_eq!(send(&standin, &request).status, 401);
        assert_eq!(last(&standin).refused.unwrap(), "Code Spent");
        assert_eq!(hover_refresh(&standin, &tokens.text("refresh_token")).status, 200);
    }
    for (field, value) in
        [("redirect_uri", Value::Null), ("code_verifier", json!("v")), ("code", json!(standin.seed()))]
    {
        let body = with(code_body(&standin.code()), field, value);
        assert_eq!(send(&standin, &hover_raw(JSON, &body)).status, 401, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn multipart_is_read_strictly() {
    let standin = Standin::start(Hover::default()).await;
    let good = multipart(&code_body(&standin.code()));
    let code = "; name=\"code\"";
    let refused = [
        ("multipart/form-data", good.clone(), "no boundary"),
        ("multipart/form-data; boundary=", good.clone(), "is not one"),
        ("multipart/form-data; charset=utf-8", good.clone(), "parameter charset"),
        ("multipart/form-data; boundary=YY", good.clone(), "begin with the boundary"),
        (MULTIPART, format!("preamble\r\n{good}"), "begin with the boundary"),
        (MULTIPART, format!("{good}epilogue"), "not followed by CRLF"),
        (MULTIPART, good.replace("--XX--\r\n", ""), "no closing boundary"),
        (MULTIPART, good.replace("\r\n", "\n"), "not followed by CRLF"),
        (MULTIPART, good.replacen("\r\n\r\n", "\n\n", 1), "no empty line"),
        (MULTIPART, good.replace(code, "; name=\"code\"; filename=\"code.txt\""), "a part is a file"),
        (MULTIPART, good.replace(code, ""), "a part is not form-data"),
        (MULTIPART, good.replace(code, "; name=code"), "disposition"),
        (MULTIPART, good.replace("Content-Disposition", "Content-Name"), "the header Content-Name"),
        (MULTIPART, good.replace(code, "; name=\"client_id\""), "client_id is there twice"),
        (MULTIPART, multipart(&json!({"grant_type": "authorization_code", "more": ""})), "more is not a field"),
    ];
    for (content_type, body, why) in &refused {
        assert_eq!(send(&standin, &hover_raw(content_type, body)).status, 401, "{why}");
        let told = last(&standin).refused.unwrap();
        assert!(told.contains(why), "{told} instead of {why}");
    }
    let typed = good.replace(code, "; name=\"code\"\r\nContent-Type: text/plain; charset=utf-8");
    assert_eq!(send(&standin, &hover_raw(MULTIPART, &typed)).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_has_the_configured_body() {
    for (unauthorized, content_type, body) in [
        (Unauthorized::Html, Some("text/html; charset=utf-8"), "<!DOCTYPE html>"),
        (Unauthorized::Empty, None, ""),
        (Unauthorized::ForeignJson, Some("application/json; charset=utf-8"), "\"error\":\"Unauthorized\""),
        (Unauthorized::PlainText, Some("text/plain; charset=utf-8"), "HTTP Token: Access denied.\n"),
    ] {
        let standin = Standin::start(Hover { unauthorized, ..Hover::default() }).await;
        let answer = hover_refresh(&standin, "unknown");
        assert_eq!(answer.status, 401);
        assert!(answer.body.contains(body) && answer.body.is_empty() == body.is_empty(), "{unauthorized:?}");
        let found = answer.head.lines().find_map(|line| line.strip_prefix("content-type: "));
        assert_eq!(found, content_type, "{unauthorized:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consent_page_leads_back_with_a_code_and_the_state() {
    let standin = Standin::start(Hover::default()).await;
    let callback = "https%3A%2F%2Foauth.example.com%2Foauth%2Fcallback";
    let page = format!("/oauth/authorize?response_type=code&redirect_uri={callback}&client_id=3fc0&state=a%26b");
    let form = send(&standin, &raw("GET", &page, "", ""));
    assert_eq!(form.status, 200);
    let action = form.body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");

    let redirect = send(&standin, &raw("POST", &action, "", ""));
    assert_eq!(redirect.status, 303);
    let location = redirect.head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    let (code, state) =
        location.strip_prefix("https://oauth.example.com/oauth/callback?code=").unwrap().split_once('&').unwrap();
    assert_eq!(state, "state=a%26b");
    assert_eq!(send(&standin, &hover_raw(JSON, &code_body(code).to_string())).status, 200);

    for extra in ["&code_challenge=c", "&scope=other", "&state=again"] {
        assert_eq!(send(&standin, &raw("GET", &format!("{page}{extra}"), "", "")).status, 400, "{extra}");
    }
    for (from, to) in [("=code&", "=token&"), ("https", "http"), ("3fc0", "other")] {
        assert_eq!(send(&standin, &raw("GET", &page.replace(from, to), "", "")).status, 400, "{to}");
    }
    standin.reconfigure(Hover { integrations: false, ..Hover::default() });
    for method in ["GET", "POST"] {
        let answer = send(&standin, &raw(method, &page, "", ""));
        assert!(answer.body.contains("not available on your plan"), "{method}");
    }
}
