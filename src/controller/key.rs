//! Names of objects, as small as they can be kept a hundred thousand times.

use std::{fmt, ops::Deref, sync::Arc};

use crate::{
    api::{ProviderKind, ProviderRef, RolloutTarget},
    credential::checked::{InputKind, InputRef},
    operate::metrics::ProviderLabels,
};

/// Namespace and name. One pointer, as each stands in half a dozen places.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<Name>);

/// What a `Key` points to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self::within(namespace.into(), name)
    }

    /// A name in this namespace, which is in memory already.
    pub fn within(namespace: Arc<str>, name: &str) -> Self {
        Self(Arc::new(Name { namespace, name: name.into() }))
    }

    /// Another name in the same namespace.
    pub fn beside(&self, name: &str) -> Self {
        Self::within(self.namespace.clone(), name)
    }
}

impl Deref for Key {
    type Target = Name;

    fn deref(&self) -> &Name {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Names an object that holds inputs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputKey {
    pub kind: InputKind,
    pub key: Key,
}

impl InputKey {
    /// Where an input is.
    pub fn of(input: &InputRef) -> Self {
        Self { kind: input.kind, key: Key::within(input.namespace.clone(), &input.name) }
    }
}

/// A Secret by its name alone, which stays as it is in hashes that are kept.
impl fmt::Display for InputKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            InputKind::Secret => self.key.fmt(formatter),
            InputKind::ConfigMap => write!(formatter, "configmap {}", self.key),
        }
    }
}

/// Names a provider object: kind, namespace (empty for the cluster kind), name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderKey {
    pub kind: ProviderKind,
    pub key: Key,
}

impl ProviderKey {
    /// What a credential of `namespace` refers to.
    pub fn of(namespace: &str, reference: &ProviderRef) -> Self {
        let namespace = match reference.kind {
            ProviderKind::OAuthProvider => namespace,
            ProviderKind::ClusterOAuthProvider => "",
        };
        Self { kind: reference.kind, key: Key::new(namespace, &reference.name) }
    }
}

impl From<&ProviderKey> for ProviderLabels {
    fn from(provider: &ProviderKey) -> Self {
        Self {
            provider_kind: match provider.kind {
                ProviderKind::OAuthProvider => "OAuthProvider",
                ProviderKind::ClusterOAuthProvider => "ClusterOAuthProvider",
            },
            provider_namespace: provider.key.namespace.to_string(),
            provider: provider.key.name.to_string(),
        }
    }
}

/// Names a workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    pub namespace: Arc<str>,
    pub target: RolloutTarget,
}

impl WorkloadKey {
    /// What a credential of `namespace` names.
    pub fn of(namespace: &Arc<str>, target: &RolloutTarget) -> Self {
        Self { namespace: namespace.clone(), target: target.clone() }
    }
}
