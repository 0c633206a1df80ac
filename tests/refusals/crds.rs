//! The CRDs themselves: generated from the types, bounded everywhere, and with the names, lists and columns that the design
//! fixes.

use std::{collections::BTreeMap, path::Path};

use oauth_operator::api::crd;
use serde_json::{Value, json};

use crate::{
    objects::credential,
    support::{Cluster, namespace::apply},
};

fn crds() -> Vec<(&'static str, Value)> {
    let all = crd::all().unwrap();
    all.into_iter().map(|(file, crd)| (file, serde_json::to_value(crd).unwrap())).collect()
}

fn schema(crd: &Value) -> &Value {
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap()
}

fn of_credential() -> Value {
    crds().into_iter().find(|(file, _)| *file == "oauthcredentials.yaml").unwrap().1
}

#[test]
fn the_files_are_generated_from_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let mut files: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["clusteroauthproviders.yaml", "oauthcredentials.yaml", "oauthproviders.yaml"]);
    for (file, crd) in crd::all().unwrap() {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text == crd::to_yaml(&crd).unwrap(), "crds/{file} is not what src/api says: run `make generate`");
        // Less than the annotation of a client-side apply can hold.
        assert!(text.len() < 200 * 1024, "crds/{file} has {} bytes", text.len());
    }
}

#[test]
fn every_string_list_and_map_is_bounded() {
    for (file, crd) in crds() {
        let mut walk = Walk::default();
        walk.visit("", schema(&crd));
        assert!(walk.unbounded.is_empty(), "{file}: {:#?}", walk.unbounded);
        assert!(walk.seen > 100, "{file}: only {} fields were seen", walk.seen);
    }
}

#[derive(Default)]
struct Walk {
    seen: usize,
    unbounded: Vec<String>,
    /// Lists, with their type and keys.
    lists: BTreeMap<String, (Value, Value)>,
}

impl Walk {
    fn visit(&mut self, at: &str, schema: &Value) {
        self.seen += 1;
        let has = |names: &[&str]| names.iter().any(|name| schema.get(*name).is_some());
        let free_form = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        let bounded = match schema["type"].as_str() {
            Some("string") => has(&["maxLength", "enum"]) || schema["format"] == "date-time",
            Some("array") => has(&["maxItems"]) && has(&["items"]),
            Some("object") if has(&["additionalProperties"]) => has(&["maxProperties"]),
            Some("object") => free_form || has(&["properties"]) || at.ends_with(".clientCredentials"),
            Some("boolean" | "integer" | "number") => true,
            None => free_form,
            Some(other) => panic!("{at} is a {other}"),
        };
        if !bounded && !at.is_empty() {
            self.unbounded.push(at.to_owned());
        }
        if schema["type"] == "array" {
            let kind = schema.get("x-kubernetes-list-type").cloned().unwrap_or(Value::Null);
            let keys = schema.get("x-kubernetes-list-map-keys").cloned().unwrap_or(Value::Null);
            self.lists.insert(at.to_owned(), (kind, keys));
            self.visit(&format!("{at}[]"), &schema["items"]);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.visit(&format!("{at}.{name}"), property);
        }
        if let Some(values) = schema.get("additionalProperties") {
            assert!(values.is_object(), "{at} prunes nested values");
            self.visit(&format!("{at}{{}}"), values);
        }
    }
}

#[test]
fn lists_merge_as_the_design_says() {
    for (file, crd) in crds() {
        let mut walk = Walk::default();
        walk.visit("", schema(&crd));
        for (at, (kind, keys)) in &walk.lists {
            let name = at.rsplit('.').next().unwrap();
            let expected = match name {
                "parameters" => json!(["atomic", null]),
                "mapping" => json!(["map", ["parameter", "in"]]),
                "conditions" => json!(["map", ["type"]]),
                "additionalTokens" => json!(["map", ["name"]]),
                _ => continue,
            };
            assert_eq!(json!([kind, keys]), expected, "{file}{at}");
        }
        let named = |name: &str| walk.lists.keys().filter(|at| at.ends_with(&format!(".{name}"))).count();
        assert!(named("parameters") >= 3 && named("mapping") == 2, "{file}: {:?}", walk.lists.keys());
    }
}

#[test]
fn a_new_credential_was_not_observed_yet() {
    let crd = of_credential();
    assert_eq!(schema(&crd).pointer("/properties/status/default").unwrap(), &json!({"observedGeneration": -1}));
    assert_eq!(crd.pointer("/spec/versions/0/subresources").unwrap(), &json!({"status": {}}));
}

#[test]
fn names_and_scopes() {
    let found: Vec<Value> = crds()
        .iter()
        .map(|(_, crd)| {
            let names = &crd["spec"]["names"];
            json!([names["kind"], names["plural"], names["shortNames"], names["categories"], crd["spec"]["scope"]])
        })
        .collect();
    let expected = json!([
        ["OAuthCredential", "oauthcredentials", ["oauthcred", "oac"], ["oauth"], "Namespaced"],
        ["OAuthProvider", "oauthproviders", null, ["oauth"], "Namespaced"],
        ["ClusterOAuthProvider", "clusteroauthproviders", null, ["oauth"], "Cluster"],
    ]);
    assert_eq!(Value::Array(found), expected);
}

/// As `kubectl get oac -o wide` shows it: the API server renders the table.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_get_shows_the_columns() {
    let namespace = Cluster::shared().await.namespace("columns").await;
    let spec = json!({"providerRef": {"name": "idp"}, "grant": {"clientCredentials": {}}});
    apply(&namespace.client, "columns", vec![credential("it", &spec)]).await.unwrap();
    // Not seen by any operator yet: nothing to show, and no <invalid>.
    let (_, cells) = table(&namespace.client).await;
    assert_eq!(cells[..5], [json!("it"), json!(null), json!(null), json!(null), json!(null)]);

    let status = json!({"status": {
        "observedGeneration": 1,
        "conditions": [
            {"type": "Refreshed", "status": "False", "reason": "RateLimited", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Ready", "status": "True", "reason": "Issued", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ],
        "expirationTime": "2099-01-01T02:00:00Z",
        "nextRefreshTime": "2099-01-01T01:00:00Z",
        "revision": 7,
        "secret": {"name": "it-token", "uid": "u", "resourceVersion": "1"},
    }});
    let patch = kube::api::Patch::Merge(&status);
    namespace.credentials().patch_status("it", &kube::api::PatchParams::default(), &patch).await.unwrap();
    let (columns, cells) = table(&namespace.client).await;
    let expected = [
        ("Name", 0, Some(json!("it"))),
        ("Ready", 0, Some(json!("True"))),
        ("Reason", 0, Some(json!("Issued"))),
        ("Expires", 0, Some(json!("2099-01-01T02:00:00Z"))),
        ("Next Refresh", 0, Some(json!("2099-01-01T01:00:00Z"))),
        ("Age", 0, None),
        ("Provider", 1, Some(json!("idp"))),
        ("Secret", 1, Some(json!("it-token"))),
        ("Revision", 1, Some(json!(7))),
    ];
    let names: Vec<(&str, i64)> = expected.iter().map(|(name, priority, _)| (*name, *priority)).collect();
    let found: Vec<(&str, i64)> =
        columns.iter().map(|column| (column["name"].as_str().unwrap(), column["priority"].as_i64().unwrap())).collect();
    assert_eq!(found, names);
    for ((name, _, expected), cell) in expected.iter().zip(&cells) {
        assert!(expected.as_ref().is_none_or(|expected| expected == cell), "{name}: {cell}");
    }
}

/// The columns, and the cells of the only row.
async fn table(client: &kube::Client) -> (Vec<Value>, Vec<Value>) {
    let request = http::Request::get("/apis/oauth-operator.dev/v1alpha1/namespaces/columns/oauthcredentials")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let table: Value = client.request(request.body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(table["rows"].as_array().unwrap().len(), 1);
    let cells = table["rows"][0]["cells"].as_array().unwrap().clone();
    (table["columnDefinitions"].as_array().unwrap().clone(), cells)
}
