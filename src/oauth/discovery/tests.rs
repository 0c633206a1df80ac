use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::*;

const ISSUER: &str = "https://idp.example.com/tenant";

fn reply(status: u16, body: &str) -> RawReply {
    RawReply {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
        fence_to_send: std::time::Duration::ZERO,
        sent_at: Timestamp::UNIX_EPOCH,
    }
}

fn document(patch: &[(&str, Value)]) -> RawReply {
    let mut document = json!({"issuer": ISSUER, "token_endpoint": "https://idp.example.com/token", "jwks_uri": 7});
    for (name, value) in patch {
        document[*name] = value.clone();
    }
    reply(200, &document.to_string())
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// OpenID Connect Discovery 1.0 section 4.1 and RFC 8414 sections 3 and 3.1, with their own examples.
#[test]
fn the_well_known_paths_are_those_of_the_specifications() {
    let cases = [
        (
            "https://example.com",
            "https://example.com/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server",
        ),
        (
            "https://example.com/",
            "https://example.com/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server",
        ),
        (
            "https://example.com/issuer1",
            "https://example.com/issuer1/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server/issuer1",
        ),
        (
            "https://example.com:8443/realms/acme/",
            "https://example.com:8443/realms/acme/.well-known/openid-configuration",
            "https://example.com:8443/.well-known/oauth-authorization-server/realms/acme",
        ),
    ];
    for (issuer, openid, oauth) in cases {
        assert_eq!(addresses(&url(issuer)), [url(openid), url(oauth)], "{issuer}");
    }
}

#[test]
fn an_issuer_has_neither_query_nor_fragment() {
    assert!(is_issuer("https://idp.example.com/a"));
    for text in ["https://idp.example.com/?a=b", "https://idp.example.com/#a", "urn:a", "nothing", ""] {
        assert!(!is_issuer(text), "{text}");
    }
}

#[test]
fn a_request_asks_for_json_and_carries_nothing() {
    let request = request(url("https://idp.example.com/.well-known/openid-configuration"));
    assert_eq!((request.method(), request.body().len()), (&http::Method::GET, 0));
    let headers: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(headers, ["accept", "user-agent"]);
}

#[test]
fn endpoints_are_those_of_the_document() {
    let found = read(ISSUER, &document(&[("revocation_endpoint", json!("https://idp.example.com/revoke"))])).unwrap();
    let (token, revocation) = (url("https://idp.example.com/token"), Some(url("https://idp.example.com/revoke")));
    assert_eq!(
        found.metadata,
        Metadata {
            token: token.clone(),
            revocation: revocation.clone(),
            mtls_token: token,
            mtls_revocation: revocation,
            consent: ConsentMetadata::default(),
        }
    );
}

#[test]
fn what_a_consent_needs() {
    let endpoint = |name: &str| json!(format!("https://idp.example.com/{name}"));
    let found = read(
        ISSUER,
        &document(&[
            ("authorization_endpoint", endpoint("authorize")),
            ("device_authorization_endpoint", endpoint("device")),
            ("pushed_authorization_request_endpoint", endpoint("par")),
            ("require_pushed_authorization_requests", json!(true)),
            ("authorization_response_iss_parameter_supported", json!(true)),
            ("jwks_uri", endpoint("jwks")),
        ]),
    );
    let endpoint = |name: &str| Some(url(&format!("https://idp.example.com/{name}")));
    let expected = ConsentMetadata {
        authorization: endpoint("authorize"),
        device_authorization: endpoint("device"),
        pushed_authorization_request: endpoint("par"),
        requires_pushed: true,
        names_itself: true,
        jwks: endpoint("jwks"),
    };
    assert_eq!(found.unwrap().metadata.consent, expected);
    let odd = [("authorization_endpoint", json!(["x"])), ("require_pushed_authorization_requests", json!("true"))];
    assert_eq!(read(ISSUER, &document(&odd)).unwrap().metadata.consent, ConsentMetadata::default());
}

/// RFC 8705 section 5: an endpoint without an alias is its own.
#[test]
fn aliases_for_certificates_are_honoured_one_by_one() {
    let aliases = json!({"token_endpoint": "https://mtls.example.com/token"});
    let revocation = json!("https://idp.example.com/revoke");
    let found = read(ISSUER, &document(&[("mtls_endpoint_aliases", aliases), ("revocation_endpoint", revocation)]));
    let metadata = found.unwrap().metadata;
    assert_eq!(metadata.token, url("https://idp.example.com/token"));
    assert_eq!(metadata.mtls_token, url("https://mtls.example.com/token"));
    assert_eq!(metadata.mtls_revocation, metadata.revocation);
}

#[test]
fn only_this_very_issuer_is_believed() {
    for other in
        [json!("https://idp.example.com/tenant/"), json!("https://IDP.example.com/tenant"), Value::Null, json!(7)]
    {
        let found = read(ISSUER, &document(&[("issuer", other.clone())]));
        let expected = if other == json!(7) { Undiscovered::NotThere } else { Undiscovered::OtherIssuer };
        assert_eq!(found, Err(expected), "{other}");
    }
}

#[test]
fn what_is_no_document_is_looked_for_at_the_other_address() {
    for (status, body) in [(404, "{}"), (200, "<html>"), (200, ""), (200, "[]"), (403, "{}"), (204, "")] {
        let found = read(ISSUER, &reply(status, body)).unwrap_err();
        assert_eq!(found, Undiscovered::NotThere, "{status} {body}");
        assert!(found.may_be_elsewhere());
    }
    for endpoint in [Value::Null, json!("token"), json!("urn:token")] {
        let found = read(ISSUER, &document(&[("token_endpoint", endpoint)]));
        assert_eq!(found, Err(Undiscovered::NoTokenEndpoint));
    }
}

#[test]
fn a_server_that_is_ill_is_not_asked_twice() {
    for (status, reason) in [
        (500, Reason::ProviderUnavailable),
        (503, Reason::ProviderUnavailable),
        (429, Reason::RateLimited),
        (302, Reason::InvalidResponse),
    ] {
        let mut reply = reply(status, "");
        reply.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("17"));
        let failed = read(ISSUER, &reply).unwrap_err();
        assert_eq!((failed.reason(), failed.may_be_elsewhere()), (reason, false), "{status}");
        let asked = failed.retry_after();
        assert_eq!(asked, (status != 302).then_some(Duration::from_secs(17)), "{status}");
        assert!(failed.sentence().starts_with("Discovery: the "), "{}", failed.sentence());
    }
}

#[test]
fn cache_control_is_respected_within_bounds() {
    let cases = [
        (None, 3600),
        (Some("max-age=600"), 600),
        (Some("public, Max-Age=7200, must-revalidate"), 7200),
        (Some("max-age=1"), 300),
        (Some("max-age=31536000"), 86_400),
        (Some("max-age=99999999999999999999999"), 3600),
        (Some("max-age=7200, no-store"), 300),
        (Some("no-cache"), 300),
        (Some("private"), 3600),
    ];
    for (value, seconds) in cases {
        let mut reply = document(&[]);
        if let Some(value) = value {
            reply.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
        }
        assert_eq!(read(ISSUER, &reply).unwrap().fresh_for, Duration::from_secs(seconds), "{value:?}");
    }
}
