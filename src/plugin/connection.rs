//! The way to the API server, as kubectl would find it.

use std::time::Duration;

use k8s_openapi::{NamespaceResourceScope, api::core::v1::Secret};
use kube::{
    Api, Client, Config, Resource,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{
    failure::Failure,
    flags::{Everywhere, Target},
    seen::{SecretFacts, Seen},
};
use crate::operate::requests::install_crypto_provider;

/// Name of the field manager of what the plugin writes.
pub const FIELD_MANAGER: &str = "kubectl-oauth";

/// A client, and the namespace that is meant where none is named.
pub struct Connection {
    pub client: Client,
    pub namespace: String,
}

impl Connection {
    /// By --kubeconfig and --context, else KUBECONFIG, ~/.kube/config or the ServiceAccount of the pod.
    pub async fn open(target: &Target) -> Result<Self, Failure> {
        install_crypto_provider();
        let mut config = config(target).await?;
        config.connect_timeout = Some(Duration::from_secs(10));
        let namespace = target.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(Failure::unusable)?;
        Ok(Self { client, namespace })
    }

    /// The objects of the namespace that is meant, or of all.
    pub fn api<K>(&self, everywhere: &Everywhere) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match everywhere.all_namespaces {
            true => Api::all(self.client.clone()),
            false => self.namespaced(&self.namespace),
        }
    }

    /// The objects of one namespace.
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// What can be told of a Secret without telling what it holds.
    pub async fn look_at_secret(&self, namespace: &str, name: &str) -> Result<Seen<SecretFacts>, Failure> {
        let secret = self.namespaced::<Secret>(namespace).get_opt(name).await;
        let seen = Seen::of(format!("read the Secret {name} in namespace {namespace}"), secret)?;
        Ok(seen.map(SecretFacts::of))
    }
}

async fn config(target: &Target) -> Result<Config, Failure> {
    let options = KubeConfigOptions { context: target.context.clone(), ..KubeConfigOptions::default() };
    let found = match &target.kubeconfig {
        Some(path) => match Kubeconfig::read_from(path) {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        },
        None => Config::from_kubeconfig(&options).await,
    };
    match found {
        Ok(config) => Ok(config),
        // In a pod there is none.
        Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)
            if target.kubeconfig.is_none() && target.context.is_none() && in_a_pod() =>
        {
            Config::incluster().map_err(|error| Failure::Kubeconfig(error.to_string()))
        }
        // The parser shows the line, and there may be a token in it.
        Err(KubeconfigError::Parse(_)) => Err(Failure::Kubeconfig("the kubeconfig is not valid YAML".to_owned())),
        Err(error) => Err(Failure::Kubeconfig(error.to_string())),
    }
}

fn in_a_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}
