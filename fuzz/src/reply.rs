//! Replies of a token endpoint, and of those that are read by the same rules: device authorization, pushed authorization
//! request, revocation. An input is a letter for the status, one for how to read it, the rest of that line is Retry-After, and
//! after it comes the body.

use std::{sync::OnceLock, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use oauth_operator::{
    api::{ExpiryUnit, ResponseEncoding},
    oauth::{
        authorization, device,
        failure::{Failure, MAX_RETRY_AFTER},
        reply::{Lifetime, ReplyPaths, ReplyRules, ReplyShape, TokenReply},
        revocation,
        transport::{MAX_BODY, RawReply},
        values::RefreshToken,
    },
};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use super::shown::{CANARY, assert_plain, assert_sentence};

const STATUSES: [u16; 12] = [200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503, 599];
const MOST: Duration = Duration::from_secs(12 * 3600);
/// A refresh token of this length may not stand inside a longer text either.
const CONTAINED: usize = 16;

/// Reads one reply.
pub fn run(input: &[u8]) {
    let [status, shape, rest @ ..] = input else { return };
    let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (retry_after, body) = (&rest[..line], rest.get(line + 1..).unwrap_or_default());
    if body.len() > MAX_BODY {
        return;
    }
    let mut headers = HeaderMap::new();
    if let Ok(retry_after) = HeaderValue::from_bytes(retry_after) {
        headers.insert(header::RETRY_AFTER, retry_after);
    }
    let status = StatusCode::from_u16(STATUSES[usize::from(*status) % STATUSES.len()]).unwrap();
    let shape = &shapes()[usize::from(*shape) % shapes().len()];
    let canaried = planted(body);
    for body in [Some(body), canaried.as_deref()].into_iter().flatten() {
        let reply = RawReply {
            status,
            headers: headers.clone(),
            body: Zeroizing::new(body.to_vec()),
            sent_at: sent_at(),
            fence_to_send: Duration::ZERO,
        };
        token(shape, &reply);
        others(&reply);
    }
}

fn sent_at() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

struct Shape {
    reads: ReplyShape,
    /// The access token's lifetime is bounded by `MOST`.
    bounded: bool,
}

fn shapes() -> &'static [Shape] {
    static SHAPES: OnceLock<Vec<Shape>> = OnceLock::new();
    SHAPES.get_or_init(|| {
        let path = |text: &str| Some(text.to_owned());
        let shape = |paths: &ReplyPaths, rules: ReplyRules| Shape {
            bounded: rules.max_lifetime.is_some(),
            reads: ReplyShape::new(paths, rules).unwrap(),
        };
        let usual = ReplyPaths::default();
        let encoded = |encoding| ReplyRules { encoding, ..ReplyRules::default() };
        let odd = ReplyPaths {
            access_token: path("$..access_token"),
            refresh_token: path("$.data[*].refresh"),
            scope: path("$.scope[*]"),
            expires_at: path("$.expires_at"),
            refresh_token_expires_in: path("$.refresh_expires_in"),
            refresh_token_expires_at: path("$.refresh_expires_at"),
            error: path("$.errors"),
            success: Some(("$.ok".to_owned(), vec!["true".to_owned()])),
            ..ReplyPaths::default()
        };
        let listed = ReplyRules {
            permanent_errors: vec!["bad_refresh_token".to_owned(), "12".to_owned()],
            temporary_errors: vec!["busy".to_owned(), "invalid_grant".to_owned()],
            default_lifetime: Lifetime::Never,
            max_lifetime: Some(MOST),
            ..ReplyRules::default()
        };
        vec![
            shape(&usual, ReplyRules::default()),
            shape(&usual, encoded(ResponseEncoding::Json)),
            shape(&usual, encoded(ResponseEncoding::Form)),
            shape(&usual, listed.clone()),
            shape(&odd, ReplyRules { expires_in_unit: ExpiryUnit::Milliseconds, ..ReplyRules::default() }),
            shape(&odd, ReplyRules { expires_in_unit: ExpiryUnit::Minutes, ..listed }),
        ]
    })
}

fn token(shape: &Shape, reply: &RawReply) {
    let read = shape.reads.read(reply.status, &reply.headers, &reply.body, reply.sent_at);
    let salvaged = shape.reads.salvage(reply.status, &reply.body);
    if let Some(token) = &salvaged {
        assert!(reply.status.is_success());
        assert_token(token.expose());
    }
    match read {
        Ok(tokens) => {
            assert_eq!(tokens.refresh_token, salvaged);
            accepted(&tokens, shape.bounded);
        }
        Err(failure) => told(&failure),
    }
}

fn accepted(tokens: &TokenReply, bounded: bool) {
    assert!(!format!("{tokens:?} {:?}", tokens.response).contains(CANARY));
    assert_token(tokens.access_token.expose());
    let others = [&tokens.token_type, &tokens.scope].into_iter().flatten().map(String::as_str);
    others.chain(tokens.id_token.as_ref().map(|token| token.expose())).for_each(assert_token);
    match tokens.expires_at {
        Some(expires_at) => assert!(expires_at > Timestamp::UNIX_EPOCH),
        None => assert!(!bounded),
    }
    if bounded {
        assert!(tokens.expires_at.is_some_and(|at| at <= sent_at() + SignedDuration::try_from(MOST).unwrap()));
    }
    let kept = serde_json::to_string(tokens.response.expose()).unwrap();
    let kept: Value = serde_json::from_str(&kept).expect("what is kept can be read again");
    if let Some(token) = &tokens.refresh_token {
        assert_token(token.expose());
        assert!(!holds(&kept, token), "the refresh token is among the fields");
    }
}

fn assert_token(text: &str) {
    assert!(!text.is_empty() && !text.contains(char::is_control));
}

fn holds(value: &Value, token: &RefreshToken) -> bool {
    let token = token.expose();
    match value {
        Value::String(text) => text == token || (token.len() >= CONTAINED && text.contains(token)),
        Value::Number(number) => number.to_string() == token,
        Value::Array(items) => items.iter().any(|item| holds(item, &RefreshToken::new(token))),
        Value::Object(fields) => {
            fields.iter().any(|(name, item)| name == token || holds(item, &RefreshToken::new(token)))
        }
        Value::Null | Value::Bool(_) => false,
    }
}

/// Everything that people may be told of a failure.
fn told(failure: &Failure) {
    for text in [
        failure.to_string(),
        failure.sentence_about("the issuer").into_owned(),
        format!("{failure:?} {:?} {} {:?}", failure.code(), failure.label(), failure.reason()),
    ] {
        assert_sentence(&text);
    }
    assert!(failure.retry_after().is_none_or(|wait| wait <= MAX_RETRY_AFTER));
    // What follows from it is always told.
    let _ = (failure.class(), failure.spent());
}

fn others(reply: &RawReply) {
    match device::read(reply) {
        Ok(asked) => {
            let longest = sent_at() + SignedDuration::from_hours(24);
            assert!(asked.expires_at <= longest);
            assert!((Duration::from_secs(1)..=Duration::from_secs(300)).contains(&asked.interval));
            assert!(asked.user_code.len() <= 128 && asked.verification_uri.len() <= 2048);
            assert_plain(&asked.user_code);
            assert_plain(&asked.verification_uri);
            let uri = Url::parse(&asked.verification_uri).unwrap();
            assert!(matches!(uri.scheme(), "https" | "http") && uri.has_host(), "{uri}");
            assert_token(asked.device_code.expose());
        }
        Err(failure) => {
            told(&failure);
            let device::Poll::Again(wait) = device::after_poll(&failure, Duration::from_secs(5)) else { return };
            assert!(wait >= Duration::from_secs(5) && wait <= MAX_RETRY_AFTER);
        }
    }
    match authorization::read_pushed(reply) {
        Ok(request_uri) => assert_token(&request_uri),
        Err(failure) => told(&failure),
    }
    if let Err(failure) = revocation::read(reply) {
        told(&failure);
    }
}

/// The same body with the canary in every value: what a server says of itself may come out in no sentence.
fn planted(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            plant(&mut value);
            Some(value.to_string().into_bytes())
        }
        Err(_) => Some(text.replace('=', &format!("={CANARY}")).into_bytes()),
    }
}

fn plant(value: &mut Value) {
    match value {
        Value::String(text) => text.push_str(CANARY),
        Value::Array(items) => items.iter_mut().for_each(plant),
        Value::Object(fields) => fields.values_mut().for_each(plant),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
