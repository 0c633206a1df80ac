//! An upgrade takes the CRDs along, and what people have written must stand it: the schemas refuse and forget nothing that those of the
//! commit before took (of the last one, where there are changes that aren't committed), and its examples and catalogue are still accepted,
//! CEL rules and all. Where there is no history (an archive, a clone of depth 1) there is nothing to compare.

use std::process::Command;

use oauth_operator::api::crd;
use serde_json::{Value, json};

use crate::{
    apply::create,
    support::{Cluster, namespace::documents},
};

/// What the version to come breaks, with the reason why it may: `(breach, reason)`.
const ARGUED: [(&str, &str); 0] = [];

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The commit to compare with.
fn before() -> Option<String> {
    let changed = git(&["status", "--porcelain"])?;
    let commit = git(&["rev-parse", "--quiet", "--verify", if changed.is_empty() { "HEAD~1" } else { "HEAD" }]);
    if commit.is_none() {
        println!("skipped: this clone has no commit before (git fetch --unshallow)");
    }
    commit.map(|commit| commit.trim().to_owned())
}

/// All documents of the commit's files below a folder.
fn kept(commit: &str, folder: &str) -> Vec<(String, Value)> {
    let files = git(&["ls-tree", "-r", "--name-only", commit, folder]).unwrap();
    let read = |file: &str| {
        let text = git(&["show", &format!("{commit}:{file}")]).unwrap();
        documents(&text).into_iter().map(|object| (file.to_owned(), object)).collect::<Vec<_>>()
    };
    files.lines().filter(|file| file.ends_with(".yaml")).flat_map(read).collect()
}

#[test]
fn the_schemas_refuse_and_forget_nothing_new() {
    let Some(commit) = before() else { return };
    let now: Vec<Value> = crd::all().unwrap().into_iter().map(|(_, crd)| serde_json::to_value(crd).unwrap()).collect();
    let mut breaches = Vec::new();
    let crds = kept(&commit, "crds/");
    assert!(!crds.is_empty(), "{commit} has no CRDs");
    for (file, old) in crds {
        let name = &old["metadata"]["name"];
        let Some(new) = now.iter().find(|new| new["metadata"]["name"] == *name) else {
            breaches.push(format!("{file} is gone"));
            continue;
        };
        compare_definitions(&file, &old, new, &mut breaches);
    }
    breaches.retain(|breach| !ARGUED.iter().any(|(argued, _)| argued == breach));
    assert!(breaches.is_empty(), "since {commit}, and not argued in {}:\n{}", file!(), breaches.join("\n"));
}

fn compare_definitions(at: &str, old: &Value, new: &Value, breaches: &mut Vec<String>) {
    for what in ["group", "scope"] {
        if old["spec"][what] != new["spec"][what] {
            breaches.push(format!("{at}: its {what} is another"));
        }
    }
    for version in old["spec"]["versions"].as_array().unwrap() {
        let name = version["name"].as_str().unwrap();
        let at = format!("{at}: {name}");
        let versions = new["spec"]["versions"].as_array().unwrap();
        match versions.iter().find(|other| other["name"] == name) {
            Some(other) if other["served"] == true || version["served"] != true => {
                let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
                compare(&at, &schema(version), &schema(other), breaches);
            }
            _ => breaches.push(format!("{at} is not served any more")),
        }
    }
}

/// What an object that `old` took may meet under `new`. (CEL rules are not compared here: whether one is narrower can't be told from its text.)
fn compare(at: &str, old: &Value, new: &Value, breaches: &mut Vec<String>) {
    let mut breach = |what: String| breaches.push(format!("{at} {what}"));
    for exact in ["type", "format", "pattern", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"] {
        // A pattern or a format less refuses nothing.
        let freed = new[exact].is_null() && matches!(exact, "pattern" | "format");
        if old[exact] != new[exact] && !freed {
            breach(format!("has another {exact}: {}, it was {}", new[exact], old[exact]));
        }
    }
    for upper in ["maxLength", "maxItems", "maxProperties", "maximum"] {
        if let Some(limit) = new[upper].as_f64()
            && old[upper].as_f64().is_none_or(|former| limit < former)
        {
            breach(format!("has a lower {upper}: {limit}, it was {}", old[upper]));
        }
    }
    for lower in ["minLength", "minItems", "minProperties", "minimum"] {
        if let Some(limit) = new[lower].as_f64()
            && old[lower].as_f64().unwrap_or(0.0) < limit
        {
            breach(format!("has a higher {lower}: {limit}, it was {}", old[lower]));
        }
    }
    if let Some(values) = new["enum"].as_array() {
        match old["enum"].as_array() {
            None => breach("takes only some values now".to_owned()),
            Some(former) => {
                let gone = former.iter().filter(|value| !values.contains(value));
                gone.for_each(|value| breach(format!("doesn't take {value} any more")));
            }
        }
    }
    for flag in ["nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"] {
        if old[flag] == true && new[flag] != true {
            breach(format!("lost {flag}"));
        }
    }
    if !old["default"].is_null() && old["default"] != new["default"] {
        breach(format!("has another default: {}, it was {}", new["default"], old["default"]));
    }
    for name in new["required"].as_array().into_iter().flatten() {
        let was = old["required"].as_array().is_some_and(|former| former.contains(name));
        let filled = !new["properties"][name.as_str().unwrap()]["default"].is_null();
        if !was && !filled {
            breach(format!("requires {name} now"));
        }
    }
    for (name, field) in old["properties"].as_object().into_iter().flatten() {
        match new["properties"].get(name) {
            Some(other) => compare(&format!("{at}.{name}"), field, other, breaches),
            None => breaches.push(format!("{at}.{name} is gone")),
        }
    }
    for (mark, within) in [("[]", "items"), ("{}", "additionalProperties")] {
        if old[within].is_object() {
            compare(&format!("{at}{mark}"), &old[within], &new[within], breaches);
        }
    }
}

#[test]
fn a_breach_is_seen() {
    let old = json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": "string", "maxLength": 9, "enum": ["x", "y"], "default": "x"},
        "b": {"type": "array", "items": {"type": "string", "pattern": "^b"}},
        "c": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "d": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    // What is added, and what is wider.
    let mut wider = old.clone();
    wider["properties"]["new"] = json!({"type": "string", "maxLength": 3});
    wider["properties"]["filled"] = json!({"type": "string", "default": "z"});
    wider["properties"]["a"]["maxLength"] = 10.into();
    wider["properties"]["a"]["enum"] = json!(["y", "x", "z"]);
    wider["properties"]["b"]["items"] = json!({"type": "string"});
    wider["required"] = json!(["filled"]);
    let seen = |old: &Value, new: &Value| {
        let mut breaches = Vec::new();
        compare("it", old, new, &mut breaches);
        breaches
    };
    assert_eq!(seen(&old, &wider), Vec::<String>::new());
    let cases = [
        ("/properties/a/maxLength", json!(8), "it.a has a lower maxLength: 8, it was 9"),
        ("/properties/a/enum", json!(["x"]), "it.a doesn't take \"y\" any more"),
        ("/properties/a/default", json!("y"), "it.a has another default: \"y\", it was \"x\""),
        ("/properties/a/type", json!("integer"), "it.a has another type: \"integer\", it was \"string\""),
        ("/properties/b/items/pattern", json!("^bb"), "it.b[] has another pattern: \"^bb\", it was \"^b\""),
        ("/properties/c/additionalProperties/minimum", json!(2), "it.c{} has a higher minimum: 2, it was 1"),
        ("/properties/d", json!({"type": "object"}), "it.d lost x-kubernetes-preserve-unknown-fields"),
        ("/required", json!(["a", "b"]), "it requires \"b\" now"),
    ];
    for (pointer, value, breach) in cases {
        let mut new = old.clone();
        *new.pointer_mut(pointer).unwrap() = value;
        assert_eq!(seen(&old, &new), [breach], "{pointer}");
    }
    let mut new = old.clone();
    new["properties"].as_object_mut().unwrap().remove("c");
    new["properties"]["b"]["maxItems"] = 4.into();
    new["properties"]["b"]["items"]["enum"] = json!(["b"]);
    let told = ["it.b has a lower maxItems: 4, it was null", "it.b[] takes only some values now", "it.c is gone"];
    assert_eq!(seen(&old, &new), told);
    let mut moved = json!({"spec": {"group": "a", "scope": "Cluster", "versions": [
        {"name": "v1", "served": true, "schema": {"openAPIV3Schema": old}}]}});
    let former = moved.clone();
    moved["spec"]["scope"] = "Namespaced".into();
    moved["spec"]["versions"][0]["served"] = false.into();
    let mut breaches = Vec::new();
    compare_definitions("it", &former, &moved, &mut breaches);
    assert_eq!(breaches, ["it: its scope is another", "it: v1 is not served any more"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_accepted() {
    let Some(commit) = before() else { return };
    let namespace = Cluster::shared().await.namespace("compatible").await;
    let mut seen = 0;
    for (file, mut object) in ["examples/", "deploy/catalog/"].into_iter().flat_map(|folder| kept(&commit, folder)) {
        if !object["apiVersion"].as_str().unwrap().starts_with("oauth-operator.dev/") {
            continue;
        }
        if object["kind"] != "ClusterOAuthProvider" {
            object["metadata"]["namespace"] = namespace.name.clone().into();
        }
        create(&namespace.client, &object, true).await.unwrap_or_else(|error| panic!("{file} of {commit}: {error}"));
        seen += 1;
    }
    assert!(seen > 100, "only {seen} objects were seen");
}
