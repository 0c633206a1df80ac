//! Objects to apply, as JSON.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// RFC 7396: `patch` over `base`.
pub fn merged(base: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut result = base.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        match value {
            Value::Null => drop(result.remove(key)),
            value => drop(result.insert(key.clone(), merged(base.get(key).unwrap_or(&Value::Null), value))),
        }
    }
    Value::Object(result)
}

/// An OAuthCredential.
pub fn credential(name: &str, spec: &Value) -> Value {
    object("OAuthCredential", name, json!({"spec": spec}))
}

/// An object of our group, with what `content` has beside its metadata.
pub fn object(kind: &str, name: &str, content: Value) -> Value {
    let head = json!({"apiVersion": "oauth-operator.dev/v1alpha1", "kind": kind, "metadata": {"name": name}});
    merged(&head, &content)
}

/// A Secret.
pub fn secret(name: &str, values: &[(&str, &str)]) -> Value {
    let data = values.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into())).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": Value::Object(data)})
}
