//! What was seen of an object: that it is there, that it isn't, or that this person may not look. Another failure to read is
//! none of these.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use serde::Serialize;
use zeroize::Zeroize;

use super::failure::{Failure, is_forbidden};
use crate::{api::CREDENTIAL_LABEL, secrets::state::REVISION};

/// What was seen of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Seen<T> {
    There(T),
    Absent,
    /// The person has no right to read it.
    Hidden,
}

impl<T> Seen<T> {
    /// What came of reading it, which was to do this.
    pub fn of(doing: String, read: kube::Result<Option<T>>) -> Result<Self, Failure> {
        match read {
            Ok(Some(object)) => Ok(Self::There(object)),
            Ok(None) => Ok(Self::Absent),
            Err(error) if is_forbidden(&error) => Ok(Self::Hidden),
            Err(error) => Err(Failure::of(doing, error)),
        }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::There(object) => Seen::There(change(object)),
            Self::Absent => Seen::Absent,
            Self::Hidden => Seen::Hidden,
        }
    }

    pub fn as_ref(&self) -> Seen<&T> {
        match self {
            Self::There(object) => Seen::There(object),
            Self::Absent => Seen::Absent,
            Self::Hidden => Seen::Hidden,
        }
    }
}

/// What may be told of a Secret: all but its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFacts {
    pub type_: String,
    /// The keys, and whether there is anything under them.
    pub keys: BTreeMap<String, bool>,
    /// The credential whose Secret it is, where the operator made it.
    pub credential: Option<String>,
    pub revision: Option<i64>,
}

impl SecretFacts {
    /// The values are wiped.
    pub fn of(secret: Secret) -> Self {
        let annotations = secret.metadata.annotations.unwrap_or_default();
        let keys = secret.data.unwrap_or_default().into_iter().map(|(key, mut value)| {
            let is_filled = !value.0.is_empty();
            value.0.zeroize();
            (key, is_filled)
        });
        Self {
            type_: secret.type_.unwrap_or_default(),
            keys: keys.collect(),
            credential: secret.metadata.labels.unwrap_or_default().remove(CREDENTIAL_LABEL),
            revision: annotations.get(REVISION).and_then(|revision| revision.parse().ok()),
        }
    }
}
