//! The RFCs' own examples, word by word as they are printed there (each bears its section's number): a credential that says the same sends
//! the same, and what comes back is understood.
//! (Those of RFC 7515, 7523, 7636 and 8628 are tested beside the code that they are about.)

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use oauth_operator::{
    api::{OAuthCredentialSpec, ProviderSpec, Reason},
    credential::{
        assertion::{Fresh, ServiceAccountTokens},
        checked::Checked,
        request::token_request,
        validate::{GivenProvider, Limits, validate},
    },
    oauth::{
        reply::TokenReply,
        request::ParameterValue,
        values::{RefreshToken, SecretText},
    },
};
use serde_json::{Value, json};
use url::form_urlencoded;

const RFC_6749_4_1_3: &str = "\
POST /token HTTP/1.1
Host: server.example.com
Authorization: Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW
Content-Type: application/x-www-form-urlencoded

grant_type=authorization_code&code=SplxlOBeZQQYbYS6WxSbIA
&redirect_uri=https%3A%2F%2Fclient%2Eexample%2Ecom%2Fcb";

const RFC_6749_4_3_2: &str = "\
POST /token HTTP/1.1
Host: server.example.com
Authorization: Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW
Content-Type: application/x-www-form-urlencoded

grant_type=password&username=johndoe&password=A3ddj3w";

const RFC_6749_4_4_2: &str = "\
POST /token HTTP/1.1
Host: server.example.com
Authorization: Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW
Content-Type: application/x-www-form-urlencoded

grant_type=client_credentials";

const RFC_6749_6: &str = "\
POST /token HTTP/1.1
Host: server.example.com
Authorization: Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW
Content-Type: application/x-www-form-urlencoded

grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA";

const RFC_6749_2_3_1: &str = "\
POST /token HTTP/1.1
Host: server.example.com
Content-Type: application/x-www-form-urlencoded

grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA
&client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw";

const RFC_8693_2_3: &str = "\
POST /as/token.oauth2 HTTP/1.1
Host: as.example.com
Authorization: Basic cnMwODpsb25nLXNlY3VyZS1yYW5kb20tc2VjcmV0
Content-Type: application/x-www-form-urlencoded

grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange
&resource=https%3A%2F%2Fbackend.example.com%2Fapi
&subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC
&subject_token_type=
 urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";

const RFC_6749_5_1: &str = r#"HTTP/1.1 200 OK
Content-Type: application/json;charset=UTF-8
Cache-Control: no-store
Pragma: no-cache

{
  "access_token":"2YotnFZFEjr1zCsicMWpAA",
  "token_type":"example",
  "expires_in":3600,
  "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
  "example_parameter":"example_value"
}"#;

const RFC_6749_4_4_3: &str = r#"HTTP/1.1 200 OK
Content-Type: application/json;charset=UTF-8
Cache-Control: no-store
Pragma: no-cache

{
  "access_token":"2YotnFZFEjr1zCsicMWpAA",
  "token_type":"example",
  "expires_in":3600,
  "example_parameter":"example_value"
}"#;

const RFC_6749_5_2: &str = r#"HTTP/1.1 400 Bad Request
Content-Type: application/json;charset=UTF-8
Cache-Control: no-store
Pragma: no-cache

{
  "error":"invalid_request"
}"#;

const RFC_8693_2_3_REPLY: &str = r#"HTTP/1.1 200 OK
Content-Type: application/json
Cache-Control: no-cache, no-store

{
 "access_token":"eyJhbGciOiJFUzI1NiIsImtpZCI6IjllciJ9.eyJhdWQiOiJo
   dHRwczovL2JhY2tlbmQuZXhhbXBsZS5jb20iLCJpc3MiOiJodHRwczovL2FzLmV
   4YW1wbGUuY29tIiwiZXhwIjoxNDQxOTE3NTkzLCJpYXQiOjE0NDE5MTc1MzMsIn
   N1YiI6ImJkY0BleGFtcGxlLmNvbSIsInNjb3BlIjoiYXBpIn0.40y3ZgQedw6rx
   f59WlwHDD9jryFOr0_Wh3CGozQBihNBhnXEQgU85AI9x3KmsPottVMLPIWvmDCM
   y5-kdXjwhw",
 "issued_token_type":
   "urn:ietf:params:oauth:token-type:access_token",
 "token_type":"Bearer",
 "expires_in":60
}"#;

/// Start line, headers by name in small letters, and body; line breaks in a form or a token are the RFCs', and none of the message's.
fn message(text: &str) -> (&str, BTreeMap<String, &str>, &str) {
    let (head, body) = text.split_once("\n\n").unwrap();
    let (start, headers) = head.split_once('\n').unwrap();
    let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
    (start, headers.map(|(name, value)| (name.to_lowercase(), value)).collect(), body)
}

fn pairs(form: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn key(key: &str) -> Value {
    json!({"name": "inputs", "key": key})
}

/// What a credential of this grant comes to at `url`.
fn checked(url: &str, authentication: &str, id: &str, spec: Value) -> Checked {
    let provider = json!({"endpoints": {"token": url}});
    let provider: ProviderSpec = serde_json::from_value(provider).unwrap();
    let mut whole = json!({"client": {"id": id, "secretRef": key("secret"), "authentication": authentication}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let spec: OAuthCredentialSpec = serde_json::from_value(whole).unwrap();
    let given = GivenProvider {
        spec: &provider,
        namespace: "default",
        allowed_addresses: &[],
        id: "rfc".into(),
        hash: String::new(),
        metadata: None,
    };
    let limits = Limits {
        request_timeout: Duration::from_secs(30),
        secret_types: Vec::new(),
        api_audiences: Vec::new(),
        callback: None,
    };
    validate("default", "rfc", &spec, &given, &limits).unwrap()
}

#[test]
fn requests_are_the_rfcs() {
    let (example, exchange) = ("https://server.example.com/token", "https://as.example.com/as/token.oauth2");
    let machine = json!({"grant": {"clientCredentials": {}}});
    let seeded = json!({"grant": {"refreshToken": {"secretRef": key("seed")}}});
    let password = json!({"usernameSecretRef": key("username"), "passwordSecretRef": key("password")});
    let exchanged = json!({
        "subjectToken": {"secretRef": key("subject")}, "subjectTokenType": "urn:ietf:params:oauth:token-type:access_token",
    });
    let exchanged = json!({
        "grant": {"tokenExchange": exchanged},
        "parameters": [{"name": "resource", "value": "https://backend.example.com/api"}],
    });
    let code: &[(&'static str, &str)] = &[
        ("grant_type", "authorization_code"),
        ("code", "SplxlOBeZQQYbYS6WxSbIA"),
        ("redirect_uri", "https://client.example.com/cb"),
    ];
    let basic = "client_secret_basic";
    for (name, text, url, authentication, (id, secret), spec, standard) in [
        ("4.1.3", RFC_6749_4_1_3, example, basic, ("s6BhdRkqt3", "gX1fBat3bV"), machine.clone(), code),
        (
            "4.3.2",
            RFC_6749_4_3_2,
            example,
            basic,
            ("s6BhdRkqt3", "gX1fBat3bV"),
            json!({"grant": {"password": password}}),
            &[],
        ),
        ("4.4.2", RFC_6749_4_4_2, example, basic, ("s6BhdRkqt3", "gX1fBat3bV"), machine, &[]),
        ("6", RFC_6749_6, example, basic, ("s6BhdRkqt3", "gX1fBat3bV"), seeded.clone(), &[]),
        ("2.3.1", RFC_6749_2_3_1, example, "client_secret_post", ("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"), seeded, &[]),
        ("8693, 2.3", RFC_8693_2_3, exchange, basic, ("rs08", "long-secure-random-secret"), exchanged, &[]),
    ] {
        let refreshes = text.contains("=refresh_token");
        let checked = checked(url, authentication, id, spec);
        let input = |key: &str| match key {
            "secret" => secret,
            "username" => "johndoe",
            "password" => "A3ddj3w",
            "subject" => "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC",
            _ => "tGzv3JOkF0XG5Qx2TlKWIA",
        };
        let values = checked
            .inputs
            .iter()
            .map(|reference| (reference.clone(), SecretText::new(input(&reference.key))))
            .collect();
        let tokens = ServiceAccountTokens::new();
        let fresh = Fresh {
            now: Timestamp::UNIX_EPOCH,
            client_assertion_id: String::new(),
            grant_assertion_id: String::new(),
            tokens: &tokens,
            secret: 0,
        };
        let spent = RefreshToken::new("tGzv3JOkF0XG5Qx2TlKWIA");
        let mut request = token_request(&checked, &values, refreshes.then_some(&spent), &fresh).unwrap();
        if !standard.is_empty() {
            request.standard = standard.iter().map(|(name, value)| (*name, ParameterValue::text(*value))).collect();
        }
        let sent = request.encode().unwrap();

        let (start, headers, body) = message(text);
        let target = sent.url().path();
        assert_eq!(format!("{} {target} HTTP/1.1", sent.method()), start, "{name}");
        assert_eq!(sent.url().host_str(), Some(headers["host"]), "{name}");
        for header in ["authorization", "content-type"] {
            let sent = sent.headers().get(header).map(|value| value.to_str().unwrap());
            assert_eq!(sent, headers.get(header).copied(), "{name}: {header}");
        }
        let body: String = body.split_whitespace().collect();
        assert_eq!(pairs(sent.body()), pairs(body.as_bytes()), "{name}");
    }
}

#[test]
fn replies_are_understood_as_the_rfcs_mean_them() {
    let checked = checked(
        "https://server.example.com/token",
        "client_secret_basic",
        "s6BhdRkqt3",
        json!({"grant": {"refreshToken": {"secretRef": key("seed")}}}),
    );
    let read = |text: &str| {
        let (start, headers, body) = message(text);
        let status: StatusCode = start.split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HeaderMap = headers
            .into_iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let body: String = body.split_whitespace().collect();
        checked.refresh.reply.read(status, &headers, body.as_bytes(), Timestamp::UNIX_EPOCH)
    };
    let expires = |reply: &TokenReply| reply.expires_at.map(Timestamp::as_second);

    let whole = read(RFC_6749_5_1).unwrap();
    assert_eq!((whole.access_token.expose(), expires(&whole)), ("2YotnFZFEjr1zCsicMWpAA", Some(3600)));
    assert_eq!(whole.token_type.as_deref(), Some("example"));
    assert_eq!(whole.refresh_token.as_ref().map(RefreshToken::expose), Some("tGzv3JOkF0XG5Qx2TlKWIA"));
    assert_eq!(whole.response.expose()["example_parameter"], "example_value");
    let bare = read(RFC_6749_4_4_3).unwrap();
    assert!(bare.refresh_token.is_none() && bare.access_token.expose() == whole.access_token.expose());
    let refused = read(RFC_6749_5_2).err().unwrap();
    assert_eq!(refused.reason(), Reason::InvalidSpec);
    let exchanged = read(RFC_8693_2_3_REPLY).unwrap();
    assert_eq!((exchanged.token_type.as_deref(), expires(&exchanged)), (Some("Bearer"), Some(60)));
    assert!(exchanged.access_token.expose().ends_with("vmDCMy5-kdXjwhw"));
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(exchanged.response.expose()["issued_token_type"], kind);
}
