//! What the partner API takes, what it refuses, and what it answers.

use super::*;
use crate::standin::NextRefreshToken;

fn partner_raw(headers: &str, body: &str) -> String {
    raw("POST", "/v1/auth/token", &format!("Content-Type: application/json\r\n{headers}"), body)
}

fn partner_refresh(standin: &Standin, token: &str) -> Answer {
    let body = json!({"refreshToken": token}).to_string();
    send(standin, &partner_raw("partnerId: 42\r\ngrantType: refresh_token\r\n", &body))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partner_replies_with_a_refresh_token_only_if_applicable() {
    let standin = Standin::start(Partner::default()).await;
    let seed = standin.seed();
    let reply = partner_refresh(&standin, &seed);
    assert_eq!(reply.status, 200);
    assert_keys(&reply.json(), &["access_token", "expires_in", "token_type", "refresh_token"]);
    assert_eq!(reply.json()["expires_in"], json!(3600));
    let spent = partner_refresh(&standin, &seed);
    assert_eq!((spent.status, spent.text("error").as_str()), (400, "invalid_grant"));

    let kept = reply.text("refresh_token");
    standin.reconfigure(Partner { next_refresh_token: NextRefreshToken::Absent, ..Partner::default() });
    assert_keys(&partner_refresh(&standin, &kept).json(), &["access_token", "expires_in", "token_type"]);
    standin.reconfigure(Partner { next_refresh_token: NextRefreshToken::Empty, ..Partner::default() });
    for _ in 0..2 {
        assert_eq!(partner_refresh(&standin, &kept).json()["refresh_token"], json!(""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partner_refuses_what_is_not_documented() {
    let standin = Standin::start(Partner::default()).await;
    let seed = standin.seed();
    let good = json!({"refreshToken": seed}).to_string();
    let grant = "grantType: refresh_token\r\n";
    let headers = format!("partnerId: 42\r\n{grant}");
    let refused = [
        (partner_raw(grant, &good), "one header partnerId"),
        (partner_raw(&format!("partnerId: 42\r\n{headers}"), &good), "one header partnerId"),
        (partner_raw(&format!("partnerId: 2147483648\r\n{grant}"), &good), "partnerId 2147483648"),
        (partner_raw(&format!("partnerId: +42\r\n{grant}"), &good), "partnerId +42"),
        (partner_raw(&format!("partnerId: 3fc0\r\n{grant}"), &good), "partnerId 3fc0"),
        (partner_raw(&format!("partnerId: 43\r\n{grant}"), &good), "RefreshToken Foreign"),
        (partner_raw("partnerId: 42\r\n", &good), "grantType None"),
        (partner_raw("partnerId: 42\r\ngrantType: password\r\n", &good), "grantType Some(\"password\")"),
        (partner_raw(&format!("{headers}Authorization: Basic YTpi\r\n"), &good), "no Authorization"),
        (
            partner_raw(&headers, &with(json!({"refreshToken": seed}), "grant_type", json!("refresh_token"))),
            "grant_type is",
        ),
        (partner_raw(&headers, &json!({"refresh_token": seed}).to_string()), "refresh_token is not a field"),
        (partner_raw(&headers, ""), "EOF"),
        (raw("POST", "/v1/auth/token", &headers, &good), "Content-Type None"),
        (raw("POST", "/v1/auth/token?partnerId=42", &headers, &good), "no query"),
    ];
    for (request, why) in &refused {
        assert_eq!(send(&standin, request).status, 400, "{why}");
        let told = last(&standin).refused.unwrap();
        assert!(told.contains(why), "{told} instead of {why}");
    }
    for body in ["{}", "{\"refreshToken\":\"\"}"] {
        let answer = send(&standin, &partner_raw(&headers, body));
        let documented = json!({"error": "invalid_request", "error_description": "Missing refresh token."});
        assert_eq!((answer.status, answer.json()), (400, documented));
    }
    assert_eq!(partner_refresh(&standin, &seed).status, 200);
}
