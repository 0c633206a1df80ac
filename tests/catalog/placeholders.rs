//! What stands in the tables for a value that differs from client to client.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

pub const CLIENT_ID: &str = "client+id/1";
pub const CLIENT_SECRET: &str = "s3cr+t/~%41=";
pub const REDIRECT_URI: &str = "https://oauth.example.com/oauth/callback";

/// The longer of two that begin alike comes first.
pub const PLACEHOLDERS: [(&str, &str); 10] = [
    ("$client_id", CLIENT_ID),
    ("$client_secret", CLIENT_SECRET),
    ("$new_refresh_token", "new+refresh/token=="),
    ("$refresh_token", "old+refresh/token=="),
    ("$access_token", "new.access-token_"),
    ("$redirect_uri", REDIRECT_URI),
    ("$code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ("$code", "the+code/="),
    ("$username", "user@example.com"),
    ("$password", "p&ss w+rd"),
];

/// The value of a placeholder.
pub fn value(placeholder: &str) -> &'static str {
    let found = PLACEHOLDERS.iter().find(|(name, _)| *name == placeholder);
    found.unwrap_or_else(|| panic!("there is no placeholder {placeholder}")).1
}

/// With its placeholders filled in. `form(…)` around one encodes it as a form does; `base64(…)` around a text comes last.
pub fn fill(text: &str) -> String {
    let mut filled = text.to_owned();
    for (name, value) in PLACEHOLDERS {
        let encoded: String = byte_serialize(value.as_bytes()).collect();
        filled = filled.replace(&format!("form({name})"), &encoded).replace(name, value);
    }
    let Some((before, rest)) = filled.split_once("base64(") else { return filled };
    let (inner, after) = rest.rsplit_once(')').unwrap_or_else(|| panic!("{text}: base64( is not closed"));
    format!("{before}{}{after}", STANDARD.encode(inner))
}

/// The same in every string of `value`.
pub fn fill_json(value: &Value) -> Value {
    match value {
        Value::String(text) => fill(text).into(),
        Value::Array(items) => items.iter().map(fill_json).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), fill_json(value))).collect(),
        other => other.clone(),
    }
}
