//! The tables of manifests that `kubectl apply` refuses, each with its sentence, and of their neighbours that it accepts.

use futures::StreamExt;
use kube::Client;
use serde_json::Value;

use crate::{objects::merged, support::Cluster};

const TABLES: [(&str, &str); 5] = [
    ("credential", include_str!("tables/credential.yaml")),
    ("grant", include_str!("tables/grant.yaml")),
    ("output", include_str!("tables/output.yaml")),
    ("provider", include_str!("tables/provider.yaml")),
    ("clusterprovider", include_str!("tables/clusterprovider.yaml")),
];

/// One manifest, and what is to become of it.
struct Row {
    table: &'static str,
    patch: Value,
    manifest: Value,
    /// Empty: it is accepted.
    says: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_manifests_are_refused_with_a_sentence_and_their_neighbours_accepted() {
    let client = Cluster::shared().await.client().await;
    let rows: Vec<Row> = TABLES.into_iter().flat_map(|(name, yaml)| rows(name, yaml)).collect();
    let refused = rows.iter().filter(|row| !row.says.is_empty()).count();
    assert!(
        refused >= 150 && rows.len() - refused >= 75,
        "the tables were not read whole: {refused} of {}",
        rows.len()
    );

    let judged = futures::stream::iter(rows).map(|row| judge(&client, row)).buffer_unordered(16);
    let wrong: Vec<String> = judged.filter_map(std::future::ready).collect().await;
    assert!(wrong.is_empty(), "{} manifests:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with the API server's answer.
async fn judge(client: &Client, row: Row) -> Option<String> {
    let wrong = match (create(client, &row.manifest, true).await, row.says.is_empty()) {
        (Ok(_), true) => return None,
        (Ok(_), false) => format!("is accepted, instead of: {:?}", row.says),
        (Err(error), true) => format!("is refused: {error}"),
        (Err(kube::Error::Api(status)), false) => {
            let right = matches!(status.code, 400 | 422) && row.says.iter().all(|part| status.message.contains(part));
            if right {
                return None;
            }
            format!("is refused as {}, instead of: {:?}: {}", status.code, row.says, status.message)
        }
        (Err(error), false) => format!("got no answer: {error}"),
    };
    Some(format!("{}: {} {wrong}", row.table, row.patch))
}

/// What `kubectl apply` sends for an object that isn't there yet. Gives what is stored.
pub async fn create(client: &Client, manifest: &Value, dry_run: bool) -> kube::Result<Value> {
    let (kind, metadata) = (manifest["kind"].as_str().unwrap(), &manifest["metadata"]);
    let plural = format!("{}s", kind.to_lowercase());
    let root = match manifest["apiVersion"].as_str().unwrap() {
        "v1" => "/api/v1".to_owned(),
        group => format!("/apis/{group}"),
    };
    let place = metadata["namespace"].as_str().map(|namespace| format!("namespaces/{namespace}/"));
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let uri = format!(
        "{root}/{}{plural}?fieldValidation=Strict&fieldManager=kubectl{dry_run}",
        place.as_deref().unwrap_or_default()
    );
    let request = http::Request::post(uri).header("content-type", "application/json");
    client.request(request.body(manifest.to_string().into_bytes()).unwrap()).await
}

fn rows(table: &'static str, yaml: &str) -> Vec<Row> {
    let content: Value = serde_yaml_ng::from_str(yaml).unwrap();
    let mut rows = Vec::new();
    for rule in content["rules"].as_array().unwrap() {
        let says = match &rule["says"] {
            Value::String(part) => vec![part.clone()],
            parts => serde_json::from_value(parts.clone()).unwrap(),
        };
        assert!(rule["refused"].as_array().is_some_and(|refused| !refused.is_empty()), "{table}: {rule}");
        for (list, says) in [("refused", says), ("accepted", Vec::new())] {
            rows.extend(rule[list].as_array().into_iter().flatten().map(|patch| Row {
                table,
                patch: patch.clone(),
                manifest: merged(&content["base"], &grown(patch)),
                says: says.clone(),
            }));
        }
    }
    rows
}

/// `{$times: 3, text: a}` is "aaa"; `{$times: 2, of: {name: "a#"}}` is [{name: a0}, {name: a1}].
fn grown(value: &Value) -> Value {
    match value {
        Value::Object(object) => match object.get("$times").map(|times| times.as_u64().unwrap()) {
            None => object.iter().map(|(key, value)| (key.clone(), grown(value))).collect(),
            Some(times) => match object.get("text") {
                Some(text) => text.as_str().unwrap().repeat(times.try_into().unwrap()).into(),
                None => (0..times).map(|number| numbered(&object["of"], number)).collect(),
            },
        },
        Value::Array(items) => items.iter().map(grown).collect(),
        other => other.clone(),
    }
}

fn numbered(value: &Value, number: u64) -> Value {
    match value {
        Value::String(text) => text.replace('#', &number.to_string()).into(),
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), numbered(value, number))).collect(),
        other => other.clone(),
    }
}
