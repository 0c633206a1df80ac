//! Inputs: the values that a request needs, taken out of a Secret or ConfigMap and nothing else. Read, never written.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use zeroize::Zeroize;

use crate::{
    api::Reason,
    credential::{checked::InputKind, observed::Problem},
    oauth::values::SecretText,
};

#[cfg(test)]
mod tests;

/// A label that an input Secret must bear (`--require-input-label`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredLabel {
    pub key: String,
    /// None: any value.
    pub value: Option<String>,
}

/// Values by key, or why there is none: what is wrong with one is nothing to those who use another.
pub type Values = BTreeMap<String, Result<SecretText, Problem>>;

/// The values of `keys` in a Secret that was just read. The Secret's own bytes are wiped.
pub fn values<'a>(
    name: &str,
    secret: Option<Secret>,
    keys: impl IntoIterator<Item = &'a str>,
    required: Option<&RequiredLabel>,
) -> Values {
    let object = Object { kind: InputKind::Secret, name };
    let mut data = match secret {
        None => Err(object.absent()),
        Some(secret) => match required.filter(|label| !bears(&secret, label)) {
            Some(label) => Err(unlabelled(name, label)),
            None => Ok(secret.data.unwrap_or_default()),
        },
    };
    let values = object.values(&data, |bytes| &bytes.0, keys);
    data.iter_mut().flat_map(BTreeMap::values_mut).for_each(|bytes| bytes.0.zeroize());
    values
}

/// The values of `keys` in a ConfigMap that was just read, or why it could not be.
pub fn public_values<'a>(
    name: &str,
    config_map: Result<Option<ConfigMap>, Problem>,
    keys: impl IntoIterator<Item = &'a str>,
) -> Values {
    let object = Object { kind: InputKind::ConfigMap, name };
    let found = config_map.and_then(|found| found.ok_or_else(|| object.absent()));
    object.values(&found.map(|found| found.data.unwrap_or_default()), String::as_bytes, keys)
}

/// What holds inputs, for sentences.
#[derive(Clone, Copy)]
struct Object<'a> {
    kind: InputKind,
    name: &'a str,
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            InputKind::Secret => "Secret",
            InputKind::ConfigMap => "ConfigMap",
        };
        write!(formatter, "{kind} {}", self.name)
    }
}

impl Object<'_> {
    fn absent(self) -> Problem {
        missing(format!("The {self} doesn't exist: create it, or correct the reference."))
    }

    fn values<'a, V>(
        self,
        data: &Result<BTreeMap<String, V>, Problem>,
        bytes: impl Fn(&V) -> &[u8],
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Values {
        let value = |key: &str| {
            let data = data.as_ref().map_err(Problem::clone)?;
            let absent = || missing(format!("The {self} has no key {key}: add it, or correct the reference."));
            text(self, key, bytes(data.get(key).ok_or_else(absent)?))
        };
        keys.into_iter().map(|key| (key.to_owned(), value(key))).collect()
    }
}

fn unlabelled(name: &str, label: &RequiredLabel) -> Problem {
    let key = &label.key;
    let message =
        format!("The Secret {name} lacks the label {key}, which this operator requires of every input: add it.");
    Problem::stalled(Reason::NotAllowed, message)
}

fn missing(message: String) -> Problem {
    Problem::passing(Reason::SourceSecretNotFound, message)
}

fn bears(secret: &Secret, label: &RequiredLabel) -> bool {
    let found = secret.metadata.labels.as_ref().and_then(|labels| labels.get(&label.key));
    found.is_some_and(|found| label.value.as_ref().is_none_or(|value| value == found))
}

/// A value is text. An accidental line break at its end (`echo` without -n) would be sent as part of the secret, and the
/// server's answer would never say so. Around a JSON object (a key as a JWK) white space says nothing: it goes.
fn text(object: Object<'_>, key: &str, bytes: &[u8]) -> Result<SecretText, Problem> {
    let invalid = |what: &str| Problem::stalled(Reason::InvalidSpec, format!("The key {key} of the {object} {what}"));
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("is not UTF-8 text: correct its value."))?;
    if text.is_empty() {
        return Err(invalid("is empty: put the value there."));
    }
    if text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Ok(SecretText::new(text.trim_end()));
    }
    let single_line = text.trim_end_matches(['\r', '\n']);
    if single_line.len() < text.len() && !single_line.contains('\n') {
        return Err(invalid("ends with a line break: write it without one (printf or echo -n)."));
    }
    Ok(SecretText::new(text))
}
