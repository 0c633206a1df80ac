//! The output Secret: its keys rendered, and the object that is applied. Never a refresh token, never a client secret.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    metadata::{LINEAGE, WRITTEN_UNDER, written_under},
    state::REVISION,
};
use crate::{
    api::{CREDENTIAL_LABEL, GROUP, Reason},
    credential::{
        checked::{Checked, Output, Scopes},
        observed::Problem,
        record::Issued,
    },
    oauth::values::SecretText,
    template::{self, Template, Work},
};

#[cfg(test)]
mod tests;

/// The keys without a template.
const DEFAULT_KEYS: [&str; 4] = ["access_token", "token_type", "expires_at", "scope"];

/// The credential that an output belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
}

/// The token to publish.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub lineage: &'a str,
    pub revision: i64,
    pub issued: &'a Issued,
}

/// The keys that an output Secret has, whatever its token. `additional` names the additional tokens that are in it.
pub fn keys<'a>(output: &'a Output, additional: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    if output.templates.is_empty() {
        // expires_at is left out for a token that never expires: drift of the others is what counts.
        let keys = DEFAULT_KEYS.into_iter().filter(|key| *key != "expires_at").map(Cow::Borrowed);
        return keys.chain(additional.map(|name| additional_key(name).into())).collect();
    }
    output.templates.iter().map(|(key, _)| key.as_str().into()).collect()
}

/// The default key of an additional token.
fn additional_key(name: &str) -> String {
    format!("{name}.access_token")
}

/// Renders every key. `additional` are the additional tokens that there are.
pub fn render(
    checked: &Checked,
    owner: Owner<'_>,
    issued: &Issued,
    additional: &BTreeMap<String, Issued>,
) -> Result<BTreeMap<String, SecretText>, Problem> {
    let output = &checked.output;
    let additional = || {
        let known = checked.legs.iter().filter_map(|leg| additional.get_key_value(&leg.name));
        known.map(|(name, issued)| (name.as_str(), issued))
    };
    if output.templates.is_empty() {
        let mut keys = defaults(checked, issued);
        keys.extend(
            additional().map(|(name, issued)| (additional_key(name), SecretText::new(issued.access_token.expose()))),
        );
        return Ok(keys);
    }
    let context = context(checked, owner, issued, additional())?;
    let (mut size, mut work) = (0, Work::default());
    let render = |(key, source): &(String, Template)| {
        let text = source.render(context.clone(), &mut work).map_err(|error| {
            let message = format!("spec.secret.template, key {key}: {error}.");
            match error.is_syntax() {
                true => Problem::stalled(Reason::InvalidSpec, format!("{message} Correct it.")),
                false => Problem::stalled(
                    Reason::InvalidResponse,
                    format!("{message} Correct the template, or what the provider sends."),
                ),
            }
        })?;
        size += text.len();
        if size > template::MAX_OUTPUT {
            let message = "spec.secret.template renders more than 1 MiB over all its keys, and no Secret holds more: make it shorter.";
            return Err(Problem::stalled(Reason::InvalidSpec, message));
        }
        Ok((key.clone(), SecretText::new(text.as_str())))
    };
    output.templates.iter().map(render).collect()
}

fn defaults(checked: &Checked, issued: &Issued) -> BTreeMap<String, SecretText> {
    let expires_at = issued.expires_at.map(|expires| crate::credential::report::whole_seconds(expires).to_string());
    let keys = [
        ("access_token", Some(issued.access_token.expose().to_owned())),
        ("token_type", Some(token_type(issued))),
        ("expires_at", expires_at),
        ("scope", Some(scope(checked, issued))),
    ];
    keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), SecretText::new(value?)))).collect()
}

/// What a template sees.
fn context<'a>(
    checked: &Checked,
    owner: Owner<'_>,
    issued: &Issued,
    additional: impl Iterator<Item = (&'a str, &'a Issued)>,
) -> Result<template::Value, Problem> {
    let token = |(name, issued): (&str, &Issued)| {
        let mut token = json!({"access_token": issued.access_token.expose(), "token_type": token_type(issued)});
        for (field, value) in [
            ("expires_at", issued.expires_at.map(|at| at.as_second().into())),
            ("scope", issued.scope.clone().map(Value::from)),
        ] {
            if let Some(value) = value {
                token[field] = value;
            }
        }
        (name.to_owned(), token)
    };
    let tokens: serde_json::Map<String, Value> = additional.map(token).collect();
    // The text was serialized by us; it can't fail to parse, and if it did, a missing field says so.
    let response: Value = serde_json::from_str(issued.response.expose()).unwrap_or(Value::Null);
    let mut context = json!({
        "access_token": issued.access_token.expose(),
        "token_type": token_type(issued),
        "scope": scope(checked, issued),
        "response": response,
        "tokens": tokens,
        "credential": {"name": owner.name, "namespace": owner.namespace},
    });
    if let Some(context) = context.as_object_mut() {
        if let Some(expires) = issued.expires_at {
            context.insert("expires_at".into(), expires.as_second().into());
        }
        if let Some(id_token) = &issued.id_token {
            context.insert("id_token".into(), id_token.expose().into());
        }
    }
    Ok(template::value(&context))
}

/// RFC 6749 section 7.1 knows one type that everybody means when they name none.
fn token_type(issued: &Issued) -> String {
    issued.token_type.clone().unwrap_or_else(|| "Bearer".to_owned())
}

/// RFC 6749 section 5.1: a reply without scope grants what was asked for.
fn scope(checked: &Checked, issued: &Issued) -> String {
    issued.scope.clone().unwrap_or_else(|| match &checked.scopes {
        Scopes::None => String::new(),
        Scopes::Joined(scopes) => scopes.clone(),
        Scopes::Array(scopes) => scopes.join(" "),
    })
}

/// The precondition of an apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It must not exist. (The API server creates on apply with resourceVersion "1" when there is none, and answers 409 when
    /// there is one: no read is needed to own only what we made.)
    Absent,
    Is {
        uid: String,
        resource_version: String,
    },
}

/// The object to apply.
pub fn applied(
    output: &Output,
    owner: Owner<'_>,
    token: Token<'_>,
    rendered: &BTreeMap<String, SecretText>,
    precondition: &Precondition,
) -> Value {
    let mut labels: BTreeMap<&str, &str> =
        output.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    labels.insert(CREDENTIAL_LABEL, owner.name);
    let revision = token.revision.to_string();
    let under = written_under(&token.issued.asked_under, &output.hash);
    let mut annotations: BTreeMap<&str, &str> =
        output.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    annotations.extend([(REVISION, revision.as_str()), (LINEAGE, token.lineage), (WRITTEN_UNDER, under.as_str())]);
    let mut metadata = json!({
        "name": output.name,
        "namespace": owner.namespace,
        "labels": labels,
        "annotations": annotations,
    });
    if output.owned {
        metadata["ownerReferences"] = json!([{
            "apiVersion": format!("{GROUP}/v1alpha1"),
            "kind": "OAuthCredential",
            "name": owner.name,
            "uid": owner.uid,
        }]);
    }
    match precondition {
        Precondition::Absent => metadata["resourceVersion"] = "1".into(),
        Precondition::Is { uid, resource_version } => {
            metadata["uid"] = uid.as_str().into();
            metadata["resourceVersion"] = resource_version.as_str().into();
        }
    }
    let data: BTreeMap<&str, Zeroizing<String>> =
        rendered.iter().map(|(key, value)| (key.as_str(), Zeroizing::new(STANDARD.encode(value.expose())))).collect();
    let data: BTreeMap<&str, &str> = data.iter().map(|(key, value)| (*key, value.as_str())).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": output.type_, "data": data})
}

/// Whether a token has expired.
pub fn has_expired(issued: &Issued, now: Timestamp) -> bool {
    issued.expires_at.is_some_and(|expires| expires <= now)
}
