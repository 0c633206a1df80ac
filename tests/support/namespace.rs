//! A test's own namespace: applies manifests as a person would, and reads what the operator made of them.

use std::path::PathBuf;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use oauth_operator::api::{Condition, ConditionStatus, ConditionType, OAuthCredential, OAuthCredentialStatus};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{SOON, until};

/// A namespace, and an administrator's way into it.
pub struct Namespace {
    pub name: String,
    pub client: Client,
    /// Where the cluster keeps its files; the operators' kubeconfigs go there too.
    pub dir: PathBuf,
    admin_kubeconfig: String,
}

impl Namespace {
    pub fn new(client: Client, name: &str, dir: PathBuf, admin_kubeconfig: String) -> Self {
        Self { name: name.to_owned(), client, dir, admin_kubeconfig }
    }

    /// Applies every document of `yaml` (server-side, as `kubectl apply --server-side --force-conflicts` would), in this
    /// namespace where it names none. Panics when the API server refuses.
    pub async fn apply(&self, yaml: &str) {
        if let Err(error) = self.try_apply(yaml).await {
            panic!("the API server refuses: {error}\n{yaml}");
        }
    }

    /// The same, for manifests that may be refused.
    pub async fn try_apply(&self, yaml: &str) -> kube::Result<()> {
        apply(&self.client, &self.name, documents(yaml)).await
    }

    pub fn credentials(&self) -> Api<OAuthCredential> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub async fn credential(&self, name: &str) -> OAuthCredential {
        self.credentials().get(name).await.unwrap()
    }

    pub async fn status(&self, name: &str) -> OAuthCredentialStatus {
        self.credential(name).await.status.unwrap_or_default()
    }

    /// Waits until the credential is as `test` wants it.
    pub async fn credential_until(
        &self,
        name: &str,
        what: &str,
        within: Duration,
        test: impl Fn(&OAuthCredential) -> bool,
    ) -> OAuthCredential {
        let mut last = None;
        let waited = async {
            until(what, within * 2, async || {
                last = self.credentials().get_opt(name).await.unwrap_or(None);
                last.clone().filter(&test)
            })
            .await
        };
        match tokio::time::timeout(within, waited).await {
            Ok(credential) => credential,
            Err(_) => panic!(
                "{name} is not within {} s: {what}. It is:\n{}",
                within.as_secs(),
                serde_yaml_ng::to_string(&last.and_then(|credential| credential.status)).unwrap()
            ),
        }
    }

    /// Waits until Ready is True for the present generation.
    pub async fn ready(&self, name: &str) -> OAuthCredential {
        self.credential_until(name, "Ready", SOON, |credential| {
            credential.is(ConditionType::Ready)
                && credential.status.as_ref().and_then(|status| status.observed_generation)
                    == credential.metadata.generation
        })
        .await
    }

    /// Has a credential that serves looked at again, by a leader that knows of everything that was done before.
    pub async fn looked_at_again(&self, name: &str) {
        for (suspend, reason) in [(true, "Suspended"), (false, "Issued")] {
            self.patch_credential(name, &serde_json::json!({"spec": {"suspend": suspend}})).await;
            self.reason(name, ConditionType::Refreshed, reason).await;
            self.ready(name).await;
        }
    }

    /// Waits until this condition bears this reason.
    pub async fn reason(&self, name: &str, type_: ConditionType, reason: &str) -> OAuthCredential {
        let what = format!("{type_:?} {reason}");
        self.credential_until(name, &what, SOON, |credential| credential.reason(type_) == Some(reason)).await
    }

    /// Waits until at least so many tokens were obtained.
    pub async fn revision(&self, name: &str, least: i64, within: Duration) -> OAuthCredential {
        let what = format!("revision {least}");
        let reached = |credential: &OAuthCredential| {
            credential.status.as_ref().and_then(|status| status.revision).is_some_and(|revision| revision >= least)
        };
        self.credential_until(name, &what, within, reached).await
    }

    pub async fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets().get_opt(name).await.unwrap()
    }

    /// Waits until the Secret is there, and as `test` wants it.
    pub async fn secret_until(&self, name: &str, what: &str, test: impl Fn(&Secret) -> bool) -> Secret {
        let what = format!("Secret {name}: {what}");
        until(&what, SOON, async || self.secrets().get_opt(name).await.unwrap_or(None).filter(&test)).await
    }

    /// The value of one key; panics where there is none.
    pub async fn value(&self, secret: &str, key: &str) -> String {
        let secret = self.secret(secret).await.unwrap_or_else(|| panic!("there is no Secret {secret}"));
        text(&secret, key).unwrap_or_else(|| panic!("the Secret has no key {key}: {:?}", secret.metadata.name))
    }

    /// The record in a credential's state Secret.
    pub async fn state(&self, credential: &str) -> Value {
        serde_json::from_str(&self.value(&format!("{credential}-oauth-state"), "state.json").await).unwrap()
    }

    /// Merges a JSON patch (RFC 7396) into a Secret, as somebody else than the operator.
    pub async fn patch_secret(&self, name: &str, patch: &Value) {
        let parameters = PatchParams { field_manager: Some("somebody-else".to_owned()), ..PatchParams::default() };
        self.secrets().patch(name, &parameters, &Patch::Merge(patch)).await.unwrap();
    }

    /// Merges a JSON patch (RFC 7396) into a credential.
    pub async fn patch_credential(&self, name: &str, patch: &Value) {
        self.credentials().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Sets the annotation by which a person asks for a refresh now.
    pub async fn request_refresh(&self, name: &str, at: &str) {
        let patch = json!({"metadata": {"annotations": {"oauth-operator.dev/refresh-requested-at": at}}});
        self.patch_credential(name, &patch).await;
    }

    pub async fn delete_secret(&self, name: &str) {
        self.secrets().delete(name, &kube::api::DeleteParams::default()).await.unwrap();
    }

    /// Deletes a credential, and its output as the garbage collector would (there is none in the test control plane).
    pub async fn delete_credential(&self, name: &str) {
        let credential = self.credential(name).await;
        self.credentials().delete(name, &kube::api::DeleteParams::default()).await.unwrap();
        until("the credential is gone", SOON, async || {
            self.credentials().get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
        for secret in self.secrets().list(&kube::api::ListParams::default()).await.unwrap() {
            let owners = secret.metadata.owner_references.unwrap_or_default();
            if owners.iter().any(|owner| Some(&owner.uid) == credential.metadata.uid.as_ref()) {
                self.delete_secret(&secret.metadata.name.unwrap()).await;
            }
        }
    }

    pub async fn events(&self) -> Vec<Event> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.name);
        api.list(&kube::api::ListParams::default()).await.unwrap().items
    }

    /// Waits for an Event of this reason.
    pub async fn event(&self, reason: &str) {
        self.event_where(&format!("an Event {reason}"), |event| event.reason.as_deref() == Some(reason)).await;
    }

    /// Waits for such an Event. They come after what they tell of, and give way to other requests for a minute.
    pub async fn event_where(&self, what: &str, which: impl Fn(&Event) -> bool) {
        until(what, SOON * 3, async || self.events().await.iter().any(&which).then_some(())).await;
    }

    /// A kubeconfig that acts as the namespace's own ServiceAccount `oauth-operator`, by way of `server` if there is one (plain
    /// http, on this machine).
    pub async fn operator_kubeconfig(&self, server: Option<&str>) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        let request = accounts
            .create_token_request("oauth-operator", &PostParams::default(), &TokenRequest::default())
            .await
            .unwrap();
        let mut kubeconfig: Value = serde_yaml_ng::from_str(&self.admin_kubeconfig).unwrap();
        kubeconfig["users"][0]["user"]["token"] = request.status.unwrap().token.into();
        kubeconfig["contexts"][0]["context"]["namespace"] = self.name.clone().into();
        if let Some(server) = server {
            kubeconfig["clusters"][0]["cluster"] = json!({"server": server});
        }
        kubeconfig.to_string()
    }

    /// Leaves the object where the kstatus test looks for it; `expected` is current, inprogress, failed or terminating.
    pub fn keep(&self, expected: &str, credential: &OAuthCredential) {
        let Some(dir) = std::env::var_os("KSTATUS_OBJECTS") else { return };
        let name = format!("{expected}-{}-{}.yaml", self.name, credential.metadata.name.as_deref().unwrap());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(PathBuf::from(dir).join(name), serde_yaml_ng::to_string(credential).unwrap()).unwrap();
    }
}

/// What the tests ask of a credential's conditions.
pub trait Conditions {
    fn condition(&self, type_: ConditionType) -> Option<&Condition>;

    /// Whether it is True.
    fn is(&self, type_: ConditionType) -> bool {
        self.condition(type_).is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    fn reason(&self, type_: ConditionType) -> Option<&str> {
        self.condition(type_).map(|condition| condition.reason.as_str())
    }

    fn message(&self, type_: ConditionType) -> &str {
        self.condition(type_).map_or("", |condition| condition.message.as_str())
    }
}

impl Conditions for OAuthCredential {
    fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        self.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
    }
}

/// The value of one key, as text.
pub fn text(secret: &Secret, key: &str) -> Option<String> {
    Some(String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).unwrap())
}

/// The objects of a YAML text. `stringData` becomes `data`: a server-side apply can't take back the former.
pub fn documents(yaml: &str) -> Vec<Value> {
    let objects = serde_yaml_ng::Deserializer::from_str(yaml).map(|document| Value::deserialize(document).unwrap());
    let with_data = |mut object: Value| {
        if let Some(Value::Object(texts)) = object.as_object_mut().and_then(|object| object.remove("stringData")) {
            for (key, text) in texts {
                object["data"][key] = STANDARD.encode(text.as_str().unwrap()).into();
            }
        }
        object
    };
    objects.filter(|object| !object.is_null()).map(with_data).collect()
}

/// Applies objects in order, those without a namespace in `namespace` (which objects of the whole cluster don't mind).
pub async fn apply(client: &Client, namespace: &str, objects: Vec<Value>) -> kube::Result<()> {
    for object in objects {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let types = object.types.clone().unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
        let cluster_wide = [
            "Namespace",
            "CustomResourceDefinition",
            "ClusterRole",
            "ClusterRoleBinding",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ];
        let api: Api<DynamicObject> = if cluster_wide.contains(&&*types.kind) || types.kind == "ClusterOAuthProvider" {
            Api::all_with(client.clone(), &resource)
        } else {
            let own = object.metadata.namespace.as_deref().unwrap_or(namespace);
            Api::namespaced_with(client.clone(), own, &resource)
        };
        let name = object.metadata.name.clone().unwrap();
        api.patch(&name, &PatchParams::apply("a-person").force(), &Patch::Apply(&object)).await?;
    }
    Ok(())
}
