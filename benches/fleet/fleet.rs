//! Many credentials at once.

use std::time::Duration;

use futures::{StreamExt, stream};
use kube::Client;
use serde_json::{Value, json};

use crate::support::Namespace;

/// Creations under way at once.
const LANES: usize = 32;

/// Credentials of one kind.
#[derive(Clone)]
pub struct Fleet {
    /// The beginning of their names.
    pub prefix: String,
    pub count: usize,
    /// Whether each has a refresh token that is good for one use; else client credentials.
    pub single_use: bool,
    pub token_url: String,
    /// More of the provider's fields.
    pub provider: Value,
}

impl Fleet {
    pub fn new(prefix: &str, count: usize, single_use: bool, token_url: String) -> Self {
        Self { prefix: prefix.to_owned(), count, single_use, token_url, provider: json!({}) }
    }

    pub fn name(&self, index: usize) -> String {
        format!("{}-{index}", self.prefix)
    }

    /// Creates the provider, the inputs and the credentials.
    pub async fn create(&self, namespace: &Namespace) {
        let mut spec = json!({"endpoints": {"token": self.token_url}});
        spec.as_object_mut().unwrap().extend(self.provider.as_object().unwrap().clone());
        let provider = object("oauth-operator.dev/v1alpha1", "OAuthProvider", &self.prefix, json!({"spec": spec}));
        post(&namespace.client, "/apis/oauth-operator.dev/v1alpha1", &namespace.name, "oauthproviders", &provider)
            .await;
        if !self.single_use {
            let secret = secret(&self.prefix, &json!({"client_secret": "s"}));
            post(&namespace.client, "/api/v1", &namespace.name, "secrets", &secret).await;
        }
        let made = stream::iter(0..self.count).map(|index| self.create_one(namespace, index));
        made.buffer_unordered(LANES).collect::<()>().await;
    }

    async fn create_one(&self, namespace: &Namespace, index: usize) {
        let name = self.name(index);
        if self.single_use {
            let input = secret(&format!("{name}-input"), &json!({"refresh_token": format!("{name}.0")}));
            post(&namespace.client, "/api/v1", &namespace.name, "secrets", &input).await;
        }
        let credential = self.credential(&name);
        post(&namespace.client, "/apis/oauth-operator.dev/v1alpha1", &namespace.name, "oauthcredentials", &credential)
            .await;
    }

    fn credential(&self, name: &str) -> Value {
        let (client, grant) = if self.single_use {
            let seed = json!({"name": format!("{name}-input"), "key": "refresh_token"});
            (json!({"id": name}), json!({"refreshToken": {"secretRef": seed}}))
        } else {
            let secret = json!({"name": self.prefix, "key": "client_secret"});
            let client = json!({"id": name, "secretRef": secret, "authentication": "client_secret_post"});
            (client, json!({"clientCredentials": {}}))
        };
        let mut spec = json!({"providerRef": {"name": self.prefix}, "client": client, "grant": grant});
        if self.single_use {
            // Late, so that none is due while others wait for their first.
            spec["refresh"] = json!({"before": "5s"});
        }
        object("oauth-operator.dev/v1alpha1", "OAuthCredential", name, json!({"spec": spec}))
    }
}

fn object(version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

fn secret(name: &str, data: &Value) -> Value {
    object("v1", "Secret", name, json!({"stringData": data}))
}

/// Creates an object; tries again where the API server is busy.
async fn post(client: &Client, group: &str, namespace: &str, plural: &str, object: &Value) {
    for _ in 0..20 {
        let path = format!("{group}/namespaces/{namespace}/{plural}");
        let request = http::Request::post(path).header("content-type", "application/json");
        match client.request::<Value>(request.body(serde_json::to_vec(object).unwrap()).unwrap()).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => return,
            Err(kube::Error::Api(status)) if status.code == 429 || status.code >= 500 => {}
            Err(kube::Error::Api(status)) => panic!("the API server refuses {object}: {status:?}"),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the API server takes no {plural}");
}
