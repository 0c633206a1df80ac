//! Where a reply's field is found: an RFC 9535 path, bounded in what it may cost.
//!
//! A path is a user's and a reply is a server's, and together they could keep a processor busy for hours (`$..*..*..*`).
//! So a path may branch twice at most, and filters may neither start again at the root nor call functions.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use serde_json::Value;
use serde_json_path::JsonPath;

/// The RFCs' own names. Nearly all replies are read by them: they are parsed once.
static STANDARD: LazyLock<HashMap<&str, Arc<JsonPath>>> = LazyLock::new(|| {
    ["$.access_token", "$.refresh_token", "$.token_type", "$.scope", "$.id_token", "$.expires_in", "$.error"]
        .into_iter()
        .filter_map(|path| Some((path, Arc::new(JsonPath::parse(path).ok()?))))
        .collect()
});

/// How often a path may branch: `..`, `*`, `?`, `,` and `:` outside quotes.
const MAX_BRANCHES: usize = 2;

/// Why a path can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("{field} is no JSONPath (RFC 9535): see position {position}")]
    Syntax { field: &'static str, position: usize },
    #[error(
        "{field} searches too widely: use at most two of `..`, `*`, a filter, a slice and a list, with no function and no `$` inside"
    )]
    TooWide { field: &'static str },
}

/// The path of `field`; None is an empty one, which ignores what is there.
pub(super) fn parse(field: &'static str, path: &str) -> Result<Option<Arc<JsonPath>>, PathError> {
    if path.is_empty() {
        return Ok(None);
    }
    if let Some(standard) = STANDARD.get(path) {
        return Ok(Some(standard.clone()));
    }
    if is_too_wide(path) {
        return Err(PathError::TooWide { field });
    }
    if let Some(position) = broken_escape(path) {
        return Err(PathError::Syntax { field, position });
    }
    let syntax = |error: serde_json_path::ParseError| PathError::Syntax { field, position: error.position() };
    JsonPath::parse(path).map(|path| Some(Arc::new(path))).map_err(syntax)
}

/// The first value at the path that is not null.
pub(super) fn find<'a>(path: Option<&JsonPath>, reply: &'a Value) -> Option<&'a Value> {
    path?.query(reply).into_iter().find(|value| !value.is_null())
}

/// A value as text: of a string, number or boolean.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Where a `\u` stands that ends before its four digits do: the library panics at one.
fn broken_escape(path: &str) -> Option<usize> {
    let mut escaped = false;
    path.char_indices().find_map(|(index, character)| {
        let broken = escaped && character == 'u' && path[index + 1..].chars().take(4).count() < 4;
        escaped = !escaped && character == '\\';
        broken.then_some(index)
    })
}

fn is_too_wide(path: &str) -> bool {
    let (mut branches, mut quote, mut escaped, mut previous) = (0, None, false, ' ');
    for (index, character) in path.chars().enumerate() {
        match (quote, character) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(') => return true,
            (None, '$') if index > 0 => return true,
            (None, '*' | '?' | ',' | ':') => branches += 1,
            (None, '.') if previous == '.' => branches += 1,
            (None, _) => {}
        }
        previous = character;
    }
    branches > MAX_BRANCHES
}
