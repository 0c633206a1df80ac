//! What the API server allows: the writes that the operator makes, by the same verbs, of the same size and with the same rights, made
//! by a client that does nothing else.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use http::Request;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use oauth_operator::api::OAuthCredential;
use serde_json::{Value, json};

use crate::{fleet::Fleet, stage::Stage, support::cluster::client_of};

/// How many writes under way at once are tried, to find the best.
const LANES: [usize; 4] = [8, 16, 32, 64];
/// Credentials that each of those is tried with.
const TRIAL: usize = 400;

/// The bodies of one credential's writes.
pub struct Writes {
    name: String,
    state: Option<(Value, Value)>,
    output: Value,
    status: Value,
}

/// What the operator wrote for one credential: the model of all.
pub struct Model {
    output: Secret,
    state: Option<Secret>,
    credential: OAuthCredential,
}

impl Model {
    pub async fn of(stage: &Stage, name: &str) -> Self {
        let namespace = &stage.namespace;
        let output = namespace.secret(&format!("{name}-token")).await.unwrap();
        let state = namespace.secret(&format!("{name}-oauth-state")).await;
        Self { output, state, credential: namespace.credential(name).await }
    }

    fn writes(&self, name: &str, uid: &str, resource_version: &str) -> Writes {
        let mut output = json!({
            "apiVersion": "v1", "kind": "Secret", "type": self.output.type_, "data": self.output.data,
            "metadata": {
                "name": format!("{name}-token"),
                "labels": self.output.metadata.labels,
                "annotations": self.output.metadata.annotations,
                "ownerReferences": self.output.metadata.owner_references,
            },
        });
        output["metadata"]["ownerReferences"][0]["uid"] = uid.into();
        output["metadata"]["ownerReferences"][0]["name"] = name.into();
        let state = self.state.as_ref().map(|state| {
            let body = json!({
                "apiVersion": "v1", "kind": "Secret", "type": state.type_, "data": state.data,
                "metadata": {
                    "name": format!("{name}-oauth-state"),
                    "labels": state.metadata.labels,
                    "annotations": state.metadata.annotations,
                },
            });
            (body.clone(), body)
        });
        let status = json!({
            "metadata": {"resourceVersion": resource_version}, "status": self.credential.status,
        });
        Writes { name: name.to_owned(), state, output, status }
    }
}

/// The writes of a whole fleet, which exists and which no operator serves.
pub async fn prepare(stage: &Stage, fleet: &Fleet, model: &Model) -> Vec<Writes> {
    let credentials = stage.namespace.credentials().list(&kube::api::ListParams::default()).await.unwrap().items;
    let ours = credentials
        .into_iter()
        .filter(|it| it.metadata.name.as_deref().is_some_and(|name| name.starts_with(&format!("{}-", fleet.prefix))));
    let writes: Vec<Writes> = ours
        .map(|it| {
            let metadata = it.metadata;
            model.writes(&metadata.name.unwrap(), &metadata.uid.unwrap(), &metadata.resource_version.unwrap())
        })
        .collect();
    assert_eq!(writes.len(), fleet.count);
    writes
}

/// How long they take. Gives the lanes that were best as well.
pub async fn time(stage: &Stage, mut writes: Vec<Writes>) -> (Duration, usize) {
    let count = writes.len();
    // Who it is that writes costs the API server something too.
    let client = client_of(&stage.namespace.operator_kubeconfig(None).await).await;
    let trial = TRIAL.min(count / 10);
    let mut best = (Duration::MAX, 0);
    for lanes in LANES {
        let some = writes.split_off(writes.len() - trial);
        let took = all(&client, stage, some, lanes).await;
        if took < best.0 {
            best = (took, lanes);
        }
    }
    let rest = writes.len();
    let took = all(&client, stage, writes, best.1).await;
    (took.mul_f64(count as f64 / rest as f64), best.1)
}

async fn all(client: &Client, stage: &Stage, writes: Vec<Writes>, lanes: usize) -> Duration {
    let namespace = &*stage.namespace.name;
    let began = Instant::now();
    stream::iter(writes).map(|it| one(client, namespace, it)).buffer_unordered(lanes).collect::<()>().await;
    began.elapsed()
}

/// One credential's writes, one after the other.
async fn one(client: &Client, namespace: &str, writes: Writes) {
    const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let name = &writes.name;
    let secrets = format!("/api/v1/namespaces/{namespace}/secrets");
    if let Some((intent, mut saved)) = writes.state {
        let created = send(client, Request::post(&secrets), "application/json", "application/json", &intent).await;
        saved["metadata"]["resourceVersion"] = created["metadata"]["resourceVersion"].clone();
        let path = format!("{secrets}/{name}-oauth-state");
        send(client, Request::put(path), "application/json", "application/json", &saved).await;
    }
    let path = format!("{secrets}/{name}-token?fieldManager=limit&force=true");
    send(client, Request::patch(path), "application/apply-patch+yaml", PARTIAL, &writes.output).await;
    let credentials = "/apis/oauth-operator.dev/v1alpha1/namespaces";
    let path = format!("{credentials}/{namespace}/oauthcredentials/{name}/status?fieldManager=limit");
    send(client, Request::patch(path), "application/merge-patch+json", PARTIAL, &writes.status).await;
}

async fn send(client: &Client, request: http::request::Builder, type_: &str, accept: &str, body: &Value) -> Value {
    let request = request.header("content-type", type_).header("accept", accept);
    let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
    client.request(request).await.unwrap_or_else(|error| panic!("the limit's write is refused: {error}"))
}
