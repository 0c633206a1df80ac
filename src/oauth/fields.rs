//! A reply's fields: kept for templates and state, without the refresh token, wiped when dropped.

use std::fmt;

use serde_json::Value;
use serde_json_path::JsonPath;
use zeroize::Zeroize;

/// A string that holds the refresh token in a longer text is removed too, when the token is at least this long.
const MIN_CONTAINED: usize = 16;

/// All fields of a reply but its refresh token. `Debug` shows none.
#[derive(Clone, PartialEq, Default)]
pub struct Fields(Value);

impl Fields {
    /// Fields that were kept (as `expose` gave them).
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// The fields: an object, save for the oddest of servers. They hold tokens.
    pub fn expose(&self) -> &Value {
        &self.0
    }

    /// Takes the refresh token out: what stands at its path (under RFC 6749's name in any case), and every string or
    /// number that equals it, or string that holds it, wherever it stands.
    pub(super) fn without_refresh_token(mut self, path: Option<&JsonPath>, token: Option<&str>) -> Self {
        let value = &mut self.0;
        if let Some(path) = path {
            let pointers: Vec<String> = path.query_located(value).locations().map(|at| at.to_json_pointer()).collect();
            pointers.iter().for_each(|pointer| remove(value, pointer));
        }
        if let Value::Object(object) = value
            && let Some(mut removed) = object.remove("refresh_token")
        {
            wipe(&mut removed);
        }
        if let Some(token) = token.filter(|token| !token.is_empty())
            && remove_equal(value, token)
        {
            wipe(value);
            *value = Value::Null;
        }
        self
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fields(…)")
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites every string. Names of fields are no secrets.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(object) => object.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Removes what stands at an RFC 6901 pointer. An item of an array becomes null, so that the others keep their place.
fn remove(value: &mut Value, pointer: &str) {
    if let Some(found) = value.pointer_mut(pointer) {
        wipe(found);
        *found = Value::Null;
    }
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(object)) = value.pointer_mut(parent) {
        object.remove(&name.replace("~1", "/").replace("~0", "~"));
    }
}

/// Whether this value itself is to go. Its parts that are to go are gone by then.
fn remove_equal(value: &mut Value, token: &str) -> bool {
    match value {
        Value::String(text) => text == token || (token.len() >= MIN_CONTAINED && text.contains(token)),
        Value::Number(number) => number.to_string() == token,
        Value::Array(items) => {
            for item in items {
                if remove_equal(item, token) {
                    wipe(item);
                    *item = Value::Null;
                }
            }
            false
        }
        Value::Object(object) => {
            object.retain(|name, item| {
                let goes = name == token || remove_equal(item, token);
                if goes {
                    wipe(item);
                }
                !goes
            });
            false
        }
        Value::Null | Value::Bool(_) => false,
    }
}
