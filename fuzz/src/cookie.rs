//! The cookie that binds a consent to a browser, among whatever else a browser sends. The first line of an input is a state, each further
//! one a Cookie header.

use http::{HeaderMap, HeaderValue, header};
use oauth_operator::consent::cookie::{Cookie, clear, find};

/// As long as the secret in a cookie is.
const SECRET: usize = 43;

/// Looks for the cookie of that state.
pub fn run(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(state) = lines.next().and_then(|line| std::str::from_utf8(line).ok()) else { return };
    let mut sent = HeaderMap::new();
    for value in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        sent.append(header::COOKIE, value);
    }
    let secret = "s".repeat(SECRET);
    comes_back(&Cookie { namespace: "team-a", name: "hover", browser: &secret }, state, &sent);
    let Some(value) = find(&sent, state) else { return };
    assert!(!value.contains(';'), "one cookie is not several");
    let Some(cookie) = Cookie::parse(&value) else { return };
    for name in [cookie.namespace, cookie.name] {
        assert!((1..=63).contains(&name.len()));
        assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')), "it may be shown");
    }
    assert_eq!(cookie.browser.len(), SECRET);
    comes_back(&cookie, state, &sent);
}

/// What is set is found again by its state, whatever is sent beside it, and by no other; and is taken away by its name.
fn comes_back(cookie: &Cookie<'_>, state: &str, beside: &HeaderMap) {
    let set = cookie.set(state);
    assert!(HeaderValue::from_str(&set).is_ok(), "it can be set");
    let attributes: Vec<&str> = set.split("; ").collect();
    let ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] = attributes[2..] else { panic!("{set}") };
    let (pair, cleared) = (attributes[0], clear(state));
    assert_eq!(pair.split('=').next(), cleared.split('=').next());
    assert!(cleared.contains("=; Max-Age=0; "));

    let mut sent = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).unwrap())]);
    assert_eq!(find(&sent, &format!("{state}x")), None, "of another state");
    for value in beside.values() {
        sent.append(header::COOKIE, value.clone());
    }
    let found = find(&sent, state).unwrap();
    assert_eq!(Cookie::parse(&found).as_ref(), Some(cookie));
}
