//! From a reply's bytes to its fields, whatever the reply calls itself.

use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::api::ResponseEncoding;

/// Why a body holds no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAReply {
    Html,
    Unreadable,
}

/// The body's fields. A name that repeats has its last value; a form's values are texts.
pub(super) fn parse(body: &[u8], encoding: ResponseEncoding) -> Result<Value, NotAReply> {
    let text = std::str::from_utf8(body).map_err(|_| NotAReply::Unreadable)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    let fields = match encoding {
        ResponseEncoding::Json => json(text),
        ResponseEncoding::Form => form(text),
        ResponseEncoding::Auto => json(text).or_else(|| form(text)),
    };
    fields.ok_or(if text.starts_with('<') { NotAReply::Html } else { NotAReply::Unreadable })
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// A form is one line of `name=value` with nothing in it that a form would have encoded away.
fn form(text: &str) -> Option<Value> {
    let is_form = !text.starts_with(['<', '{', '[', '"']) && text.contains('=');
    if !is_form || text.contains(|character: char| character.is_control() || character == ' ') {
        return None;
    }
    let pairs = form_urlencoded::parse(text.as_bytes());
    Some(Value::Object(
        pairs.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect::<Map<_, _>>(),
    ))
}
