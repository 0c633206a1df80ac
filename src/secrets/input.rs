//! Input Secrets: the values that a request needs, taken out of a Secret and nothing else. Read, never written.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use zeroize::Zeroize;

use crate::{api::Reason, credential::observed::Problem, oauth::values::SecretText};

#[cfg(test)]
mod tests;

/// A label that an input Secret must bear (`--require-input-label`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredLabel {
    pub key: String,
    /// None: any value.
    pub value: Option<String>,
}

/// The values of `keys` in a Secret that was just read, each by itself: what is wrong with one is nothing to those who use
/// another. The Secret's own bytes are wiped.
pub fn values<'a>(
    name: &str,
    secret: Option<Secret>,
    keys: impl IntoIterator<Item = &'a str>,
    required: Option<&RequiredLabel>,
) -> BTreeMap<String, Result<SecretText, Problem>> {
    let (mut data, unusable) = match secret {
        None => {
            let message = format!("The Secret {name} doesn't exist: create it, or correct the reference.");
            (BTreeMap::new(), Some(missing(message)))
        }
        Some(secret) => {
            let unlabelled = required.filter(|label| !bears(&secret, label)).map(|label| unlabelled(name, label));
            (secret.data.unwrap_or_default(), unlabelled)
        }
    };
    let value = |key: &str| {
        if let Some(problem) = &unusable {
            return Err(problem.clone());
        }
        let absent = || missing(format!("The Secret {name} has no key {key}: add it, or correct the reference."));
        text(name, key, &data.get(key).ok_or_else(absent)?.0)
    };
    let values = keys.into_iter().map(|key| (key.to_owned(), value(key))).collect();
    data.values_mut().for_each(|bytes| bytes.0.zeroize());
    values
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
/// server's answer would never say so.
fn text(name: &str, key: &str, bytes: &[u8]) -> Result<SecretText, Problem> {
    let invalid =
        |what: &str| Problem::stalled(Reason::InvalidSpec, format!("The key {key} of the Secret {name} {what}"));
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("is not UTF-8 text: correct its value."))?;
    if text.is_empty() {
        return Err(invalid("is empty: put the value there."));
    }
    let single_line = text.trim_end_matches(['\r', '\n']);
    if single_line.len() < text.len() && !single_line.contains('\n') {
        return Err(invalid("ends with a line break: write it without one (printf or echo -n)."));
    }
    Ok(SecretText::new(text))
}
