//! What the metadata of an output or state Secret tell without its data: whose it is, which token it holds, and whether
//! somebody else has written one of its fields since (managedFields, kept by the API server itself).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::ObjectMeta;

use super::state::{ATTEMPT, REVISION, REVOKING};
use crate::{
    api::{CREDENTIAL_LABEL, FIELD_MANAGER},
    credential::{
        checked::Checked,
        observed::Published,
        record::{AskedUnder, Issued},
    },
};

#[cfg(test)]
mod tests;

/// Annotation: the lineage of the token.
pub const LINEAGE: &str = "oauth-operator.dev/lineage";
/// Annotation: hashes of what the token was asked for under, and of the output's own spec; see `written_under`.
pub const WRITTEN_UNDER: &str = "oauth-operator.dev/written-under";

/// The value of the annotation `WRITTEN_UNDER`.
pub fn written_under(asked: &AskedUnder, output: &str) -> String {
    format!("{}.{}.{}.{}", asked.spec, asked.provider, asked.inputs, output)
}

/// What is kept of the metadata of a Secret of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    pub lineage: Box<str>,
    pub revision: i64,
    /// Something is open that the data tell of: an attempt, or a revocation.
    pub open_intent: bool,
    written_under: Box<str>,
    /// The data keys that our last apply still owns, each with a line break behind it; empty if it lost the label or its revision.
    owned_keys: Box<str>,
}

impl Notes {
    pub fn of(metadata: &ObjectMeta) -> Self {
        let annotation = |name: &str| metadata.annotations.as_ref().and_then(|annotations| annotations.get(name));
        let text = |name: &str| annotation(name).map(String::as_str).unwrap_or_default().into();
        Self {
            lineage: text(LINEAGE),
            revision: annotation(REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0),
            open_intent: annotation(ATTEMPT).or(annotation(REVOKING)).is_some(),
            written_under: text(WRITTEN_UNDER),
            owned_keys: owned_keys(metadata.managed_fields.as_deref().unwrap_or_default()).into(),
        }
    }

    /// Whether this is what was written for `issued` in this form of the output.
    pub fn is_written_under(&self, issued: &Issued, checked: &Checked) -> bool {
        *self.written_under == written_under(&issued.asked_under, &checked.output.hash)
    }

    /// What an output Secret says of itself. `keys` are the keys it should have.
    pub fn published<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Published {
        let mut under = self.written_under.split('.').map(str::to_owned);
        let mut next = || under.next().unwrap_or_default();
        let asked_under = AskedUnder { spec: next(), provider: next(), inputs: next() };
        let output = next();
        let owned = |key: &str| self.owned_keys.split_terminator('\n').any(|owned| owned == key);
        Published {
            lineage: self.lineage.clone().into(),
            revision: self.revision,
            asked_under,
            output,
            intact: !self.owned_keys.is_empty() && keys.into_iter().all(owned),
        }
    }
}

/// The keys that our last apply still owns: who changes a field takes it over. None where that befell what says whose token it
/// is, and which.
fn owned_keys(managed: &[ManagedFieldsEntry]) -> String {
    let ours = managed.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
    });
    let Some(fields) = ours.and_then(|entry| entry.fields_v1.as_ref()) else { return String::new() };
    let owns = |kind: &str, name: &str| {
        fields.0.pointer(&format!("/f:metadata/f:{kind}")).is_some_and(|owned| owned.get(format!("f:{name}")).is_some())
    };
    if !owns("labels", CREDENTIAL_LABEL) || !owns("annotations", REVISION) {
        return String::new();
    }
    let data = fields.0.get("f:data").and_then(serde_json::Value::as_object);
    let keys = data.into_iter().flat_map(|data| data.keys()).filter_map(|field| field.strip_prefix("f:"));
    keys.map(|key| format!("{key}\n")).collect()
}
