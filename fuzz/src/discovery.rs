//! An issuer's metadata. An input is the issuer, a line break, the value of Cache-Control, a line break, and the document.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use oauth_operator::oauth::{
    discovery::{self, Found},
    transport::{MAX_BODY, RawReply},
};
use serde_json::Value;
use zeroize::Zeroizing;

use super::shown::assert_sentence;

/// Reads the document.
pub fn run(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let (Some(issuer), Some(cache), Some(body)) = (parts.next(), parts.next(), parts.next()) else { return };
    let Ok(issuer) = std::str::from_utf8(issuer) else { return };
    if body.len() > MAX_BODY {
        return;
    }
    let cache = HeaderValue::from_bytes(cache).ok();
    let reply = RawReply {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter(cache.map(|value| (header::CACHE_CONTROL, value))),
        body: Zeroizing::new(body.to_vec()),
        sent_at: Timestamp::UNIX_EPOCH,
        fence_to_send: Duration::ZERO,
    };
    match discovery::read(issuer, &reply) {
        Ok(found) => believed(issuer, body, &found),
        Err(undiscovered) => assert_sentence(&undiscovered.sentence()),
    }
}

fn believed(issuer: &str, body: &[u8], found: &Found) {
    // A number that no f64 holds is skipped where it says nothing.
    if let Ok(document) = serde_json::from_slice::<Value>(body) {
        assert_eq!(document["issuer"], issuer, "another issuer's");
    }
    let hour = Duration::from_secs(3600);
    assert!(found.fresh_for >= hour / 12 && found.fresh_for <= hour * 24);
    let metadata = &found.metadata;
    let consent = &metadata.consent;
    let optional = [
        &metadata.revocation,
        &metadata.mtls_revocation,
        &consent.authorization,
        &consent.device_authorization,
        &consent.pushed_authorization_request,
        &consent.jwks,
    ];
    for url in [&metadata.token, &metadata.mtls_token].into_iter().chain(optional.into_iter().flatten()) {
        assert!(url.has_host(), "{url}");
    }
}
