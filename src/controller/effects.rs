//! The requests to the API server, each a named function: nothing else writes. How each ended is told in terms of what to
//! do about it.

use std::collections::BTreeMap;

use http::{HeaderValue, header::ACCEPT};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, Secret, ServiceAccount},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, DynamicObject, GetParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions, Request},
    core::{ApiResource, GroupVersionKind, PartialObjectMeta},
};
use serde_json::{Value, json};

use super::{
    key::Key,
    watched::{Patched, Watched},
};
use crate::{
    api::{FIELD_MANAGER, OAuthCredential, RolloutTarget},
    credential::checked::ServiceAccountToken,
    oauth::values::SecretText,
    secrets::{consent::consent_name, state_name},
};

/// The answer's metadata are all that is wanted of it.
const METADATA_ONLY: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// The shortest life of a ServiceAccount token that the API server grants, in seconds. It is used at once.
const TOKEN_SECONDS: i64 = 600;

/// Why a request to the API server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    #[error("the object doesn't exist")]
    NotFound,
    /// The object exists already, or is not at the version that was expected.
    #[error("the object was changed meanwhile")]
    Conflict,
    /// Refused for what it says; the same request would be refused again.
    #[error("the API server refuses the object as invalid")]
    Invalid,
    /// No permission, a quota, a namespace that is going.
    #[error("the API server forbids the request")]
    Forbidden,
    /// Whether it took effect isn't known.
    #[error("the API server did not answer")]
    Unanswered,
}

impl Fault {
    /// A static label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Fault::NotFound => "not_found",
            Fault::Conflict => "conflict",
            Fault::Invalid => "invalid",
            Fault::Forbidden => "forbidden",
            Fault::Unanswered => "unanswered",
        }
    }
}

impl From<&kube::Error> for Fault {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Fault::NotFound,
                409 => Fault::Conflict,
                400 | 413 | 422 => Fault::Invalid,
                401 | 403 => Fault::Forbidden,
                _ => Fault::Unanswered,
            },
            _ => Fault::Unanswered,
        }
    }
}

/// What a request to the API server brings.
pub type Answer<T> = Result<T, Fault>;

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn credentials(&self, namespace: &str) -> Api<Watched<OAuthCredential>> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Reads a Secret, uncached. None: there is none.
    pub async fn read_secret(&self, key: &Key) -> Answer<Option<Secret>> {
        answered(self.secrets(&key.namespace).get_opt(&key.name).await)
    }

    /// Reads a Secret as it was at this resourceVersion, which a watch has told of, or as it became later: from the API server's own
    /// cache, without a read of etcd.
    pub async fn read_seen_secret(&self, key: &Key, resource_version: &str) -> Answer<Secret> {
        answered(self.secrets(&key.namespace).get_with(&key.name, &GetParams::at(resource_version)).await)
    }

    /// Reads a ConfigMap, uncached. None: there is none.
    pub async fn read_config_map(&self, key: &Key) -> Answer<Option<ConfigMap>> {
        answered(Api::namespaced(self.client.clone(), &key.namespace).get_opt(&key.name).await)
    }

    /// Reads a Secret's metadata, uncached. None: there is none.
    pub async fn read_secret_metadata(&self, key: &Key) -> Answer<Option<ObjectMeta>> {
        let read = self.secrets(&key.namespace).get_metadata_opt(&key.name).await;
        Ok(answered(read)?.map(|object| object.metadata))
    }

    /// Reads the state Secret of a credential, uncached.
    pub async fn read_state(&self, credential: &Key) -> Answer<Option<Secret>> {
        self.read_secret(&Key::new(&credential.namespace, &state_name(&credential.name))).await
    }

    /// Reads a credential, uncached.
    pub async fn read_credential(&self, key: &Key) -> Answer<Option<Watched<OAuthCredential>>> {
        answered(self.credentials(&key.namespace).get_opt(&key.name).await)
    }

    /// Creates a state Secret, or replaces the version `replaces` of it. Gives its new resourceVersion.
    pub async fn write_state(&self, mut secret: Secret, replaces: Option<&str>) -> Answer<ObjectMeta> {
        let namespace = secret.metadata.namespace.clone().unwrap_or_default();
        let name = secret.metadata.name.clone().unwrap_or_default();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        secret.metadata.resource_version = replaces.map(str::to_owned);
        let Ok(body) = serde_json::to_vec(&secret) else { return Err(Fault::Invalid) };
        let url = Request::new(Secret::url_path(&(), Some(&namespace)));
        let request = match replaces {
            None => url.create(&parameters, body),
            Some(_) => url.replace(&name, &parameters, body),
        };
        let Ok(mut request) = request else { return Err(Fault::Invalid) };
        // Not what was just written: refresh tokens needn't travel twice.
        request.headers_mut().insert(ACCEPT, METADATA_ONLY);
        let written = self.client.request::<PartialObjectMeta<Secret>>(request).await;
        answered(written).map(|secret| secret.metadata)
    }

    /// Applies an output Secret. The object carries its own precondition.
    pub async fn apply_output(&self, key: &Key, object: &Value) -> Answer<ObjectMeta> {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.secrets(&key.namespace).patch_metadata(&key.name, &parameters, &Patch::Apply(object)).await;
        answered(applied).map(|object| object.metadata)
    }

    /// A new token of a ServiceAccount, valid for ten minutes.
    pub async fn create_token(&self, token: &ServiceAccountToken) -> Answer<SecretText> {
        let spec = TokenRequestSpec {
            audiences: token.audiences.clone(),
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &token.namespace);
        let answer = accounts.create_token_request(&token.name, &PostParams::default(), &request).await;
        let status = answered(answer)?.status.ok_or(Fault::Invalid)?;
        Ok(SecretText::new(status.token))
    }

    /// Reads the Consent Secret of a credential, uncached.
    pub async fn read_consent(&self, credential: &Key) -> Answer<Option<Secret>> {
        self.read_secret(&Key::new(&credential.namespace, &consent_name(&credential.name))).await
    }

    /// Merges `patch` into a Secret. It carries the resourceVersion that it was made for.
    pub async fn patch_secret(&self, key: &Key, patch: &Value) -> Answer<ObjectMeta> {
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched = self.secrets(&key.namespace).patch_metadata(&key.name, &parameters, &Patch::Merge(patch)).await;
        answered(patched).map(|object| object.metadata)
    }

    /// Deletes a Secret, if it is still this very one.
    pub async fn delete_secret(&self, key: &Key, uid: &str, resource_version: Option<&str>) -> Answer<()> {
        let preconditions =
            Preconditions { uid: Some(uid.to_owned()), resource_version: resource_version.map(str::to_owned) };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        answered(self.secrets(&key.namespace).delete(&key.name, &parameters).await).map(drop)
    }

    /// Replaces a credential's finalizers, if it is still at this version. Gives the new one.
    pub async fn patch_finalizers(
        &self,
        key: &Key,
        uid: &str,
        resource_version: &str,
        finalizers: &[&str],
    ) -> Answer<String> {
        let metadata = json!({"uid": uid, "resourceVersion": resource_version, "finalizers": finalizers});
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let patched = self.credentials(&key.namespace).patch_metadata(&key.name, &parameters, &patch).await;
        answered(patched).map(|object| object.metadata.resource_version.unwrap_or_default())
    }

    /// Annotates a workload's pod template, which restarts its pods where that changes anything.
    pub async fn annotate_pods(
        &self,
        namespace: &str,
        workload: &RolloutTarget,
        annotations: &BTreeMap<String, String>,
    ) -> Answer<()> {
        let plural = workload.kind.plural().to_owned();
        let kind = GroupVersionKind::gvk("apps", "v1", workload.kind.name());
        let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
        let workloads: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}));
        answered(workloads.patch_metadata(&workload.name.0, &parameters, &patch).await).map(drop)
    }

    /// Merges `patch` into a credential's status. It carries the resourceVersion that it was made for. Gives the new one.
    pub async fn patch_status(&self, key: &Key, patch: &Value) -> Answer<String> {
        let url = OAuthCredential::url_path(&(), Some(&key.namespace));
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(url).patch_subresource("status", &key.name, &parameters, &Patch::Merge(patch));
        let Ok(mut request) = request else { return Err(Fault::Invalid) };
        request.headers_mut().insert(ACCEPT, METADATA_ONLY);
        answered(self.client.request::<Patched>(request).await).map(Patched::resource_version)
    }
}

fn answered<T>(answer: kube::Result<T>) -> Answer<T> {
    answer.map_err(|error| {
        let fault = Fault::from(&error);
        // An API error's message names objects, not their contents; any other may hold what was being decoded.
        match &error {
            kube::Error::Api(status) => {
                tracing::debug!(code = status.code, reason = %status.reason, "API request failed")
            }
            _ => tracing::debug!(fault = fault.label(), "API request failed"),
        }
        fault
    })
}
