//! Our own kinds as watches and reads bring them. There are many, and each changes often: what nobody looks at isn't decoded, and
//! specs and statuses stay the text that they are kept as.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object of the kind `K`.
#[derive(Clone, Deserialize)]
#[serde(bound = "")]
pub struct Watched<K> {
    /// Without labels, owners and managed fields.
    #[serde(deserialize_with = "of_interest")]
    pub metadata: ObjectMeta,
    pub spec: Option<Box<RawValue>>,
    pub status: Option<Box<RawValue>>,
    #[serde(skip)]
    kind: PhantomData<K>,
}

/// Its name alone: what people write into a spec is nobody's business.
impl<K> fmt::Debug for Watched<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watched").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

/// What a patch answers, as far as it matters.
#[derive(Deserialize)]
pub struct Patched {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    resource_version: String,
}

impl Patched {
    pub fn resource_version(self) -> String {
        self.metadata.resource_version
    }
}

fn of_interest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct OfInterest {
        namespace: Option<String>,
        name: Option<String>,
        uid: Option<String>,
        generation: Option<i64>,
        resource_version: Option<String>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
        finalizers: Option<Vec<String>>,
        annotations: Option<BTreeMap<String, String>>,
    }
    let it = OfInterest::deserialize(deserializer)?;
    Ok(ObjectMeta {
        namespace: it.namespace,
        name: it.name,
        uid: it.uid,
        generation: it.generation,
        resource_version: it.resource_version,
        creation_timestamp: it.creation_timestamp,
        deletion_timestamp: it.deletion_timestamp,
        finalizers: it.finalizers,
        annotations: it.annotations,
        ..ObjectMeta::default()
    })
}

impl<K: Resource<DynamicType = ()>> Resource for Watched<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectList, WatchEvent};
    use serde_json::{Value, json};

    use super::*;
    use crate::api::OAuthCredential;

    fn object(status: &Value) -> Value {
        json!({
            "apiVersion": "oauth-operator.dev/v1alpha1",
            "kind": "OAuthCredential",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"x": "y"}, "annotations": {"k": "v"},
                "managedFields": [{"manager": "m", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": {"client": {"id": "c"}},
            "status": status,
        })
    }

    /// An event and a list are decoded as the API server writes them: the type of an event before its object.
    #[test]
    fn events_and_lists_are_decoded() {
        let status = json!({"revision": 3});
        let event = format!(r#"{{"type":"MODIFIED","object":{}}}"#, object(&status));
        let Ok(WatchEvent::Modified(seen)) = serde_json::from_str::<WatchEvent<Watched<OAuthCredential>>>(&event)
        else {
            panic!("no event");
        };
        let list = json!({
            "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredentialList", "metadata": {"resourceVersion": "9"},
            "items": [object(&status), {"metadata": {"name": "bare"}}],
        });
        let list: ObjectList<Watched<OAuthCredential>> = serde_json::from_str(&list.to_string()).unwrap();
        for seen in [&seen, &list.items[0]] {
            assert_eq!(seen.metadata.name.as_deref(), Some("a"));
            assert_eq!((seen.metadata.generation, seen.metadata.resource_version.as_deref()), (Some(2), Some("7")));
            assert_eq!(seen.metadata.annotations.as_ref().unwrap()["k"], "v");
            assert!(seen.metadata.managed_fields.is_none() && seen.metadata.labels.is_none());
            assert_eq!(seen.spec.as_ref().unwrap().get(), r#"{"client":{"id":"c"}}"#);
            assert_eq!(seen.status.as_ref().unwrap().get(), r#"{"revision":3}"#);
        }
        assert!(list.items[1].spec.is_none() && list.items[1].status.is_none());
        assert!(!format!("{seen:?}").contains("client"));
    }
}
