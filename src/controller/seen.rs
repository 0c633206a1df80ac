//! Projections of watched objects: what of each is kept.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::ObjectMeta;

use super::{key::Key, packed::Packed, watched::Watched};
use crate::{
    api::{
        CREDENTIAL_LABEL, ClusterOAuthProviderSpec, FIELD_MANAGER, FINALIZER, NamespaceSelector, OAuthCredential,
        OAuthCredentialSpec, OAuthCredentialStatus, OAuthProviderSpec, ProviderKind, ProviderSpec,
        REFRESH_REQUESTED_AT, REVOKE_REQUESTED_AT,
    },
    credential::fingerprint,
    operate::metrics::CredentialSeries,
    secrets::metadata,
};

/// A credential.
#[derive(Clone, Debug)]
pub struct CredentialSeen {
    pub uid: Arc<str>,
    pub generation: i64,
    pub resource_version: Box<str>,
    pub created: Timestamp,
    pub deleting: bool,
    /// When it was deleted, should it be.
    pub deleted: Option<Timestamp>,
    pub finalizers: Box<[Box<str>]>,
    pub refresh_requested: Option<Box<str>>,
    pub revoke_requested: Option<Box<str>>,
    spec: Arc<Packed>,
    status: Packed,
    ready: bool,
    stalled: bool,
    expiring: bool,
    waiting: bool,
    expires: Option<Timestamp>,
    next_refresh: Option<Timestamp>,
    refresh_token_expires: Option<Timestamp>,
}

impl CredentialSeen {
    pub fn of(object: Watched<OAuthCredential>) -> Self {
        let Watched { metadata, spec, status, .. } = object;
        // An RFC 3339 time; what is longer can't be one, and would not fit in the status.
        let requested = |name: &str| -> Option<Box<str>> {
            let annotation = metadata.annotations.as_ref().and_then(|annotations| annotations.get(name));
            annotation.filter(|value| value.len() <= 64).map(|value| value.as_str().into())
        };
        let (refresh_requested, revoke_requested) = (requested(REFRESH_REQUESTED_AT), requested(REVOKE_REQUESTED_AT));
        let (spec, status_text) = (spec.unwrap_or_default(), status.unwrap_or_default());
        let mut seen = Self {
            uid: metadata.uid.unwrap_or_default().into(),
            generation: metadata.generation.unwrap_or(0),
            resource_version: metadata.resource_version.unwrap_or_default().into(),
            created: metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            deleting: metadata.deletion_timestamp.is_some(),
            deleted: metadata.deletion_timestamp.map(|time| time.0),
            finalizers: metadata.finalizers.unwrap_or_default().into_iter().map(String::into_boxed_str).collect(),
            refresh_requested,
            revoke_requested,
            spec: Packed::of(spec.get().as_bytes()).into(),
            status: Packed::of(status_text.get().as_bytes()),
            ready: false,
            stalled: false,
            expiring: false,
            waiting: false,
            expires: None,
            next_refresh: None,
            refresh_token_expires: None,
        };
        seen.note(&serde_json::from_str(status_text.get()).unwrap_or_default());
        seen
    }

    /// The same object with a status that this process has just written.
    pub fn with_status(&self, status: &OAuthCredentialStatus, resource_version: &str) -> Self {
        let mut next = self.clone();
        next.status = Packed::of(&serde_json::to_vec(status).unwrap_or_default());
        next.resource_version = resource_version.into();
        next.note(status);
        next
    }

    /// The same object with other finalizers, which this process has just written.
    pub fn with_finalizers(&self, finalizers: &[&str], resource_version: &str) -> Self {
        let mut next = self.clone();
        next.finalizers = finalizers.iter().map(|finalizer| (*finalizer).into()).collect();
        next.resource_version = resource_version.into();
        next
    }

    /// Whether it bears our finalizer.
    pub fn is_held(&self) -> bool {
        self.finalizers.iter().any(|finalizer| **finalizer == *FINALIZER)
    }

    fn note(&mut self, status: &OAuthCredentialStatus) {
        use crate::api::{ConditionStatus, ConditionType, Reason};
        let holds = |type_| status.conditions.iter().any(|c| c.type_ == type_ && c.status == ConditionStatus::True);
        (self.ready, self.stalled) = (holds(ConditionType::Ready), holds(ConditionType::Stalled));
        self.expiring = holds(ConditionType::RefreshTokenExpiring);
        self.waiting = status.conditions.iter().any(|c| {
            let waits = [ConditionType::Reconciling, ConditionType::Stalled].contains(&c.type_);
            waits && c.status == ConditionStatus::True && c.reason == Reason::AuthorizationRequired.as_str()
        });
        self.expires = status.expiration_time;
        self.next_refresh = status.next_refresh_time;
        self.refresh_token_expires = status.refresh_token_expiration_time;
    }

    pub fn spec(&self) -> serde_json::Result<OAuthCredentialSpec> {
        serde_json::from_slice(&self.spec.text())
    }

    /// The status; an unreadable one (written by somebody else) is as good as none.
    pub fn status(&self) -> OAuthCredentialStatus {
        serde_json::from_slice(&self.status.text()).unwrap_or_default()
    }

    pub fn same_spec(&self, other: &Self) -> bool {
        self.uid == other.uid && self.generation == other.generation && self.spec == other.spec
    }

    /// Whether `other` asks for anything that this doesn't.
    pub fn asks_other_than(&self, other: &Self) -> bool {
        !self.same_spec(other)
            || self.deleting != other.deleting
            || self.refresh_requested != other.refresh_requested
            || self.revoke_requested != other.revoke_requested
    }

    /// Whether this is later than `other`: of the same object, or of one that bore its name before.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        is_later(&self.resource_version, &other.resource_version)
    }

    /// The older goes first.
    pub fn seniority(&self) -> (Timestamp, Arc<str>) {
        (self.created, self.uid.clone())
    }

    pub fn is_ready(&self) -> bool {
        self.ready
    }

    pub fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// Whether its refresh token dies soon.
    pub fn is_expiring(&self) -> bool {
        self.expiring
    }

    /// Whether it waits for a person's consent, or for a new refresh token.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// What metrics tell of it.
    pub fn series(&self, key: &Key) -> CredentialSeries {
        CredentialSeries {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            ready: self.ready,
            expires: self.expires,
            next_refresh: self.next_refresh,
            refresh_token_expires: self.refresh_token_expires,
        }
    }

    /// Whether its planned refresh is more than a minute late.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let late = std::time::Duration::from_secs(60);
        !self.stalled && self.next_refresh.is_some_and(|next| crate::credential::schedule::later(next, late) < now)
    }
}

/// A provider object.
#[derive(Clone, Debug)]
pub struct ProviderSeen {
    pub uid: String,
    pub generation: i64,
    /// Err: it can't be read as one (an older or newer CRD).
    pub spec: Result<ProviderSpec, String>,
    pub allowed_namespaces: Option<NamespaceSelector>,
    pub allowed_addresses: Vec<String>,
    /// Of the token-relevant spec.
    pub hash: String,
}

impl ProviderSeen {
    pub fn of<K>(kind: ProviderKind, object: Watched<K>) -> Self {
        let spec = object.spec.unwrap_or_default();
        let spec = spec.get();
        let mut seen = Self {
            uid: object.metadata.uid.unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or(0),
            spec: Err(String::new()),
            allowed_namespaces: None,
            allowed_addresses: Vec::new(),
            hash: String::new(),
        };
        seen.spec = match kind {
            ProviderKind::OAuthProvider => serde_json::from_str::<OAuthProviderSpec>(spec).map(ProviderSpec::from),
            ProviderKind::ClusterOAuthProvider => {
                serde_json::from_str::<ClusterOAuthProviderSpec>(spec).map(|mut spec| {
                    seen.allowed_namespaces = spec.allowed_namespaces.take();
                    seen.allowed_addresses = std::mem::take(&mut spec.allowed_addresses);
                    ProviderSpec::from(spec)
                })
            }
        }
        .map_err(|error| error.to_string());
        seen.hash = seen.spec.as_ref().map(fingerprint::provider).unwrap_or_default();
        seen
    }
}

/// A Secret, through its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSeen {
    pub uid: Box<str>,
    pub resource_version: Box<str>,
    /// The credential whose label it bears.
    pub credential: Option<Box<str>>,
    /// Of a Secret of ours only.
    pub notes: Option<Box<metadata::Notes>>,
}

impl SecretSeen {
    pub fn of(metadata: &ObjectMeta) -> Self {
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(CREDENTIAL_LABEL));
        let touched = metadata
            .managed_fields
            .as_deref()
            .unwrap_or_default()
            .iter()
            .any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
        Self {
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            resource_version: metadata.resource_version.as_deref().unwrap_or_default().into(),
            credential: label.map(|label| label.as_str().into()),
            notes: (label.is_some() || touched).then(|| Box::new(metadata::Notes::of(metadata))),
        }
    }

    /// Whether this is later than `other`: of the same object, or of one that bore its name before.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        is_later(&self.resource_version, &other.resource_version)
    }

    /// Whether it bears the label of a credential.
    pub fn is_ours(&self) -> bool {
        self.credential.is_some()
    }
}

/// resourceVersions of one resource are ordered (KEP-5504); where they aren't numbers, nothing is known of their order.
pub fn is_later(version: &str, other: &str) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    number(version).zip(number(other)).is_some_and(|(version, other)| version > other)
}
