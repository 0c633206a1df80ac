//! The watches: credentials, providers, namespaces, and one of all Secrets' metadata. Each feeds the store and wakes the
//! credentials that a change concerns. An object that can't be read as what it should be doesn't stop its stream: specs are
//! taken in as they are, and judged when they are looked at.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::{
    Api, Client, Resource,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event},
    },
};
use tokio::sync::watch as signal;

use super::{
    Controller,
    key::{Key, ProviderKey},
    on_demand::OnDemand,
    seen::{CredentialSeen, ProviderSeen, SecretSeen},
    store::Change,
    watched::Watched,
};
use crate::{
    api::{ALLOWED_AUDIENCES, ClusterOAuthProvider, OAuthCredential, OAuthProvider, ProviderKind},
    operate::{
        health::Readiness,
        metrics::{self, Metrics},
    },
};

/// Objects a page of an initial list.
const PAGE: u32 = 500;

/// Namespaces to watch; none: all.
pub type Namespaces = [String];

/// Watches what credentials are made of, then (their names being known) the Secrets. Runs for ever.
pub async fn watch(controller: Arc<Controller>, client: Client, namespaces: Vec<String>, readiness: Readiness) {
    let credentials = signal::channel(0);
    let own = spread::<OAuthCredential>(&client, &namespaces);
    let providers = spread::<OAuthProvider>(&client, &namespaces);
    let expected = own.len() + providers.len() + 2;
    let (done, mut synced) = credentials;
    let done = Arc::new(done);
    let first = || {
        let done = done.clone();
        move || done.send_modify(|count| *count += 1)
    };

    let mut tasks: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
    for (api, scope) in own {
        tasks.push(Box::pin(follow(
            api,
            metrics::Resource::Credentials,
            controller.metrics.clone(),
            Credentials { controller: controller.clone(), scope },
            first(),
        )));
    }
    for (api, scope) in providers {
        let sink = Providers { controller: controller.clone(), kind: ProviderKind::OAuthProvider, scope };
        tasks.push(Box::pin(follow(api, metrics::Resource::Providers, controller.metrics.clone(), sink, first())));
    }
    let cluster = Api::<Watched<ClusterOAuthProvider>>::all(client.clone());
    let sink =
        Providers { controller: controller.clone(), kind: ProviderKind::ClusterOAuthProvider, scope: Scope::All };
    tasks.push(Box::pin(follow(
        cluster,
        metrics::Resource::ClusterProviders,
        controller.metrics.clone(),
        sink,
        first(),
    )));
    let sink = NamespaceLabels { controller: controller.clone() };
    tasks.push(Box::pin(follow(
        Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
        metrics::Resource::Namespaces,
        controller.metrics.clone(),
        sink,
        first(),
    )));

    // Secrets are kept by the names in use, which the credentials tell: their watch begins when those are known.
    let mut secret_namespaces = namespaces;
    if !secret_namespaces.is_empty() {
        secret_namespaces.push(controller.settings.operator_namespace.clone());
        secret_namespaces.sort();
        secret_namespaces.dedup();
    }
    let (watched, whole) = (secret_namespaces.clone(), controller.clone());
    let sink = |controller, scope| ServiceAccounts { controller, scope };
    let kind = metrics::Resource::ServiceAccounts;
    tasks.push(Box::pin(on_demand(whole, |all| &all.accounts.watch, client.clone(), watched, kind, sink)));
    let (watched, whole) = (secret_namespaces.clone(), controller.clone());
    let sink = |controller, scope| ConfigMaps { controller, scope };
    let kind = metrics::Resource::ConfigMaps;
    tasks.push(Box::pin(on_demand(whole, |all| &all.config_maps, client.clone(), watched, kind, sink)));
    let secrets = async move {
        if synced.wait_for(|count| *count >= expected).await.is_err() {
            return;
        }
        readiness.ready("watches");
        let scopes = scopes(&secret_namespaces);
        let expected = scopes.len();
        let (done, mut synced) = signal::channel(0);
        let done = Arc::new(done);
        let watches = scopes.into_iter().map(|scope| {
            let api: Api<PartialObjectMeta<Secret>> = match &scope {
                Scope::All => Api::all(client.clone()),
                Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
            };
            let sink = Secrets { controller: controller.clone(), scope };
            let done = done.clone();
            follow(api, metrics::Resource::Secrets, controller.metrics.clone(), sink, move || {
                done.send_modify(|count| *count += 1)
            })
        });
        let watches = futures::future::join_all(watches);
        let ready = async {
            if synced.wait_for(|count| *count >= expected).await.is_ok() {
                // Known from the start, those in use cost no read after a restart.
                let uses_config_maps = controller.store().uses_config_maps();
                if uses_config_maps && !controller.config_maps.listed().await {
                    tracing::warn!("the ConfigMaps can't be listed: grant list and watch on configmaps");
                }
                readiness.ready("secrets");
                controller.synced.send_replace(true);
            }
            std::future::pending::<()>().await;
        };
        tokio::join!(watches, ready);
    };
    tasks.push(Box::pin(secrets));
    futures::future::join_all(tasks).await;
}

/// Watches a kind's metadata, when that is wanted for the first time.
async fn on_demand<K, S>(
    controller: Arc<Controller>,
    watch: fn(&Controller) -> &OnDemand,
    client: Client,
    namespaces: Vec<String>,
    resource: metrics::Resource,
    sink: fn(Arc<Controller>, Scope) -> S,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Send + Sync + 'static,
    S: Sink<PartialObjectMeta<K>>,
{
    let watch = watch(&controller);
    watch.wanted().await;
    let scopes = scopes(&namespaces);
    let (expected, count) = (scopes.len(), AtomicUsize::new(0));
    let watches = scopes.into_iter().map(|scope| {
        let api: Api<PartialObjectMeta<K>> = match &scope {
            Scope::All => Api::all(client.clone()),
            Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        };
        follow(api, resource, controller.metrics.clone(), sink(controller.clone(), scope), || {
            if count.fetch_add(1, Ordering::Relaxed) + 1 == expected {
                watch.set_listed();
            }
        })
    });
    futures::future::join_all(watches).await;
}

/// What a watch covers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Namespace(String),
}

impl Scope {
    fn covers(&self, key: &Key) -> bool {
        match self {
            Scope::All => true,
            Scope::Namespace(namespace) => **namespace == *key.namespace,
        }
    }
}

fn scopes(namespaces: &Namespaces) -> Vec<Scope> {
    match namespaces.is_empty() {
        true => vec![Scope::All],
        false => namespaces.iter().cloned().map(Scope::Namespace).collect(),
    }
}

fn spread<K>(client: &Client, namespaces: &Namespaces) -> Vec<(Api<Watched<K>>, Scope)>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    scopes(namespaces)
        .into_iter()
        .map(|scope| {
            let api = match &scope {
                Scope::All => Api::all(client.clone()),
                Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
            };
            (api, scope)
        })
        .collect()
}

/// What a watch feeds.
trait Sink<K> {
    fn put(&self, object: K) -> Option<Key>;
    fn gone(&self, object: K);
    /// After a list: what isn't in it is gone.
    fn listed(&self, kept: &BTreeSet<Key>);
}

async fn follow<K, S>(api: Api<K>, resource: metrics::Resource, metrics: Metrics, sink: S, listed: impl Fn())
where
    K: Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
    S: Sink<K>,
{
    metrics.watch_begins(resource);
    let mut events = std::pin::pin!(watcher::watcher(api, Config::default().page_size(PAGE)).default_backoff());
    let mut kept = BTreeSet::new();
    let mut complete = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => kept.clear(),
            Ok(Event::InitApply(object)) => kept.extend(sink.put(object)),
            Ok(Event::InitDone) => {
                sink.listed(&kept);
                kept.clear();
                if !std::mem::replace(&mut complete, true) {
                    listed();
                }
            }
            Ok(Event::Apply(object)) => drop(sink.put(object)),
            Ok(Event::Delete(object)) => sink.gone(object),
            Err(error) => {
                metrics.watch_restart(resource);
                // A decoding error's text may hold the object: say only what kind of error it was.
                let kind = match &error {
                    watcher::Error::InitialListFailed(_) => "the initial list failed",
                    watcher::Error::WatchStartFailed(_) => "the watch could not start",
                    watcher::Error::WatchError(_) => "the API server ended the watch",
                    watcher::Error::WatchFailed(_) => "the watch broke",
                    _ => "the watch failed",
                };
                tracing::debug!(?resource, "{kind}; trying again");
            }
        }
    }
}

fn key_of(metadata: &kube::api::ObjectMeta) -> Key {
    Key::new(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

struct Credentials {
    controller: Arc<Controller>,
    scope: Scope,
}

impl Sink<Watched<OAuthCredential>> for Credentials {
    fn put(&self, object: Watched<OAuthCredential>) -> Option<Key> {
        let key = key_of(&object.metadata);
        // The echo of our own write.
        if self.controller.store().knows_credential(&key, object.metadata.resource_version.as_deref()) {
            return Some(key);
        }
        let change = self.controller.store().put_credential(&key, CredentialSeen::of(object));
        if change == Change::Relevant {
            let dependents = self.controller.store().dependents(&key);
            self.controller.wake(dependents.iter().chain([&key]));
        }
        Some(key)
    }

    fn gone(&self, object: Watched<OAuthCredential>) {
        let key = key_of(&object.metadata);
        let rivals = self.controller.store().remove_credential(&key);
        self.controller.wake(rivals.iter().chain([&key]));
    }

    fn listed(&self, kept: &BTreeSet<Key>) {
        let gone = self.controller.store().credentials_not_in(kept);
        for key in gone.iter().filter(|key| self.scope.covers(key)) {
            let rivals = self.controller.store().remove_credential(key);
            self.controller.wake(rivals.iter().chain([key]));
        }
    }
}

struct Providers {
    controller: Arc<Controller>,
    kind: ProviderKind,
    scope: Scope,
}

impl Providers {
    fn set(&self, key: Key, seen: Option<ProviderSeen>) {
        let key = ProviderKey { kind: self.kind, key };
        let concerned = self.controller.store().put_provider(&key, seen);
        self.controller.wake(&concerned);
    }
}

impl<K> Sink<Watched<K>> for Providers {
    fn put(&self, object: Watched<K>) -> Option<Key> {
        let key = key_of(&object.metadata);
        self.set(key.clone(), Some(ProviderSeen::of(self.kind, object)));
        Some(key)
    }

    fn gone(&self, object: Watched<K>) {
        self.set(key_of(&object.metadata), None);
    }

    fn listed(&self, kept: &BTreeSet<Key>) {
        let gone = self.controller.store().providers_not_in(self.kind, kept);
        for provider in gone.into_iter().filter(|provider| self.scope.covers(&provider.key)) {
            self.set(provider.key, None);
        }
    }
}

struct NamespaceLabels {
    controller: Arc<Controller>,
}

impl Sink<PartialObjectMeta<Namespace>> for NamespaceLabels {
    fn put(&self, object: PartialObjectMeta<Namespace>) -> Option<Key> {
        let key = key_of(&object.metadata);
        let labels = object.metadata.labels.unwrap_or_default();
        let concerned = self.controller.store().put_namespace(&key.name, Some(labels));
        self.controller.wake(&concerned);
        Some(key)
    }

    fn gone(&self, object: PartialObjectMeta<Namespace>) {
        self.controller.store().put_namespace(&key_of(&object.metadata).name, None);
    }

    // A namespace goes after everything in it: nothing is left that its labels could allow.
    fn listed(&self, _: &BTreeSet<Key>) {}
}

struct Secrets {
    controller: Arc<Controller>,
    scope: Scope,
}

impl Sink<PartialObjectMeta<Secret>> for Secrets {
    fn put(&self, object: PartialObjectMeta<Secret>) -> Option<Key> {
        let key = key_of(&object.metadata);
        let mut store = self.controller.store();
        if store
            .secret(&key)
            .is_some_and(|known| object.metadata.resource_version.as_deref() == Some(&known.resource_version))
        {
            return Some(key);
        }
        let concerned = store.put_secret(&key, SecretSeen::of(&object.metadata));
        let known = store.secret(&key).is_some();
        drop(store);
        self.controller.wake(&concerned);
        known.then_some(key)
    }

    fn gone(&self, object: PartialObjectMeta<Secret>) {
        let concerned =
            self.controller.store().remove_secret(&key_of(&object.metadata), object.metadata.uid.as_deref());
        self.controller.wake(&concerned);
    }

    fn listed(&self, kept: &BTreeSet<Key>) {
        let gone = self.controller.store().secrets_not_in(kept);
        for key in gone.iter().filter(|key| self.scope.covers(key)) {
            let concerned = self.controller.store().remove_secret(key, None);
            self.controller.wake(&concerned);
        }
    }
}

struct ServiceAccounts {
    controller: Arc<Controller>,
    scope: Scope,
}

impl Sink<PartialObjectMeta<ServiceAccount>> for ServiceAccounts {
    fn put(&self, object: PartialObjectMeta<ServiceAccount>) -> Option<Key> {
        let key = key_of(&object.metadata);
        let allowed = object.metadata.annotations.and_then(|mut annotations| annotations.remove(ALLOWED_AUDIENCES));
        self.controller.wake(&self.controller.accounts.put(&key, allowed));
        Some(key)
    }

    fn gone(&self, object: PartialObjectMeta<ServiceAccount>) {
        self.controller.wake(&self.controller.accounts.put(&key_of(&object.metadata), None));
    }

    fn listed(&self, kept: &BTreeSet<Key>) {
        for key in self.controller.accounts.not_in(kept).iter().filter(|key| self.scope.covers(key)) {
            self.controller.wake(&self.controller.accounts.put(key, None));
        }
    }
}

struct ConfigMaps {
    controller: Arc<Controller>,
    scope: Scope,
}

impl ConfigMaps {
    fn set(&self, key: &Key, version: Option<&str>) {
        let concerned = self.controller.store().put_config_map(key, version);
        self.controller.wake(&concerned);
    }
}

impl Sink<PartialObjectMeta<ConfigMap>> for ConfigMaps {
    fn put(&self, object: PartialObjectMeta<ConfigMap>) -> Option<Key> {
        let key = key_of(&object.metadata);
        self.set(&key, object.metadata.resource_version.as_deref());
        Some(key)
    }

    fn gone(&self, object: PartialObjectMeta<ConfigMap>) {
        self.set(&key_of(&object.metadata), None);
    }

    fn listed(&self, kept: &BTreeSet<Key>) {
        let gone = self.controller.store().config_maps_not_in(kept);
        gone.iter().filter(|key| self.scope.covers(key)).for_each(|key| self.set(key, None));
    }
}
