//! The manifests that the project promises to accept: each applies unchanged, and what was sent is what is stored.

use oauth_operator::api::Pkce;
use serde_json::{Value, json};

use crate::{
    apply::create,
    objects::{credential, object},
    support::{
        Cluster,
        namespace::{apply, documents},
    },
};

const PROMISED: [(&str, &str, usize); 10] = [
    ("01", include_str!("manifests/01-hover-refresh-token.yaml"), 3),
    ("02", include_str!("manifests/02-hover-authorization-code.yaml"), 2),
    ("03", include_str!("manifests/03-partner-headers.yaml"), 2),
    ("04", include_str!("manifests/04-client-credentials-discovery.yaml"), 1),
    ("05", include_str!("manifests/05-secretless-client.yaml"), 4),
    ("06", include_str!("manifests/06-assertion-and-exchange.yaml"), 2),
    ("07", include_str!("manifests/07-device-code.yaml"), 1),
    ("08", include_str!("manifests/08-odd-provider.yaml"), 1),
    ("09", include_str!("manifests/09-registry-pull-secret.yaml"), 1),
    ("10", include_str!("manifests/10-more.yaml"), 4),
];

/// Every document of the promised manifests, in the namespace `namespace`.
pub fn promised(namespace: &str) -> Vec<(String, Value)> {
    let mut objects = Vec::new();
    for (file, yaml, count) in PROMISED {
        let documents = documents(yaml);
        assert_eq!(documents.len(), count, "{file}");
        for mut object in documents {
            if object["kind"] != "ClusterOAuthProvider" {
                assert_eq!(object["metadata"]["namespace"], "default", "{file}");
                object["metadata"]["namespace"] = namespace.into();
            }
            let name = format!("{file} {} {}", object["kind"], object["metadata"]["name"]);
            objects.push((name, object));
        }
    }
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promised_manifest_applies_and_loses_nothing() {
    let namespace = Cluster::shared().await.namespace("promised").await;
    for (name, mut sent) in promised(&namespace.name) {
        // Other tests' objects of the whole cluster have other names.
        if sent["kind"] == "ClusterOAuthProvider" {
            let own = format!("promised-{}", sent["metadata"]["name"].as_str().unwrap());
            sent["metadata"]["name"] = own.into();
        }
        stored_as_sent(&namespace, &name, &sent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn free_form_values_and_empty_paths_are_stored_as_they_are() {
    let namespace = Cluster::shared().await.namespace("free-form").await;
    let free = json!({"deep": [{"er": null}, [1.5, true, ""], {}], "in": "as", "x-y/z": 9_007_199_254_740_993_i64});
    let provider = json!({
        "apiVersion": "oauth-operator.dev/v1alpha1",
        "kind": "OAuthProvider",
        "metadata": {"name": "odd", "namespace": "free-form"},
        "spec": {
            "endpoints": {"token": "https://idp.example.com/token"},
            "tokenRequest": {
                "parameters": [
                    {"name": "a", "jsonValue": free, "in": "Body"},
                    {"name": "a", "jsonValue": false, "in": "Query"},
                    {"name": "b", "jsonValue": 0},
                    {"name": "b", "jsonValue": ""},
                    {"name": "c", "jsonValue": []},
                    {"name": "c", "value": ""},
                ],
                "mapping": [{"parameter": "scope", "in": "Header", "as": "X-Scope"}, {"parameter": "client_id", "as": "id"}],
            },
            "client": {"assertion": {"claims": free}},
            "tokenResponse": {"refreshToken": "", "expiresIn": "", "error": "", "success": {"path": "", "values": ["0"]}},
            "refreshTokens": {"singleUse": false},
            "scopeSeparator": ",",
        },
    });
    let stored = stored_as_sent(&namespace, "provider", &provider).await;
    let response = &stored["spec"]["tokenResponse"];
    assert!(response.get("accessToken").is_none() && response["refreshToken"] == "", "absent is not empty: {response}");

    let credential = json!({
        "apiVersion": "oauth-operator.dev/v1alpha1",
        "kind": "OAuthCredential",
        "metadata": {"name": "odd", "namespace": "free-form"},
        "spec": {
            "providerRef": {"name": "odd"},
            "grant": {"jwtBearer": {"privateKeySecretRef": {"name": "a", "key": "b"}, "claims": free}},
            "parameters": [{"name": "authorization_details", "jsonValue": [free]}],
            "secret": {"template": {".netrc": "", "a.b-c_D": "{{ access_token }}\n"}},
        },
    });
    let stored = stored_as_sent(&namespace, "credential", &credential).await;
    assert_eq!(stored["spec"]["providerRef"]["kind"], "OAuthProvider");
    // kstatus would call an object without it Current.
    assert_eq!(stored["status"], json!({"observedGeneration": -1}));
}

/// Where an empty object means something, a server-side apply of one over a full one is no null.
#[tokio::test(flavor = "multi_thread")]
async fn empty_objects_replace_full_ones() {
    let namespace = Cluster::shared().await.namespace("emptied").await;
    let provider = |name: &str, allowed: &Value| {
        let endpoints = json!({"token": "https://idp.example.com/token"});
        object(
            "ClusterOAuthProvider",
            name,
            json!({"spec": {"endpoints": endpoints, "client": {"id": "a"}, "allowedNamespaces": allowed}}),
        )
    };
    let granted = |name: &str, grant: Value| credential(name, &json!({"providerRef": {"name": "a"}, "grant": grant}));
    let full = [
        provider(
            "refusals-emptied",
            &json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]}),
        ),
        granted("device", json!({"deviceCode": {"expectedSubject": "a"}})),
        granted("code", json!({"authorizationCode": {"expectedSubject": "a", "pkce": "Disabled"}})),
    ];
    let empty = [
        provider("refusals-emptied", &json!({})),
        granted("device", json!({"deviceCode": {}})),
        granted("code", json!({"authorizationCode": {}})),
    ];
    apply(&namespace.client, "emptied", full.to_vec()).await.unwrap();
    apply(&namespace.client, "emptied", empty.to_vec()).await.unwrap();
    let device = namespace.credential("device").await.spec.grant;
    assert!(device.device_code.is_some_and(|grant| grant.expected_subject.is_none()));
    let code = namespace.credential("code").await.spec.grant.authorization_code.unwrap();
    assert!(code.expected_subject.is_none() && code.pkce == Pkce::S256);
}

/// Creates it with strict validation: first as a dry run, then really. Gives what is stored.
async fn stored_as_sent(namespace: &crate::support::Namespace, name: &str, sent: &Value) -> Value {
    create(&namespace.client, sent, true).await.unwrap_or_else(|error| panic!("{name}, dry run: {error}"));
    let stored = create(&namespace.client, sent, false).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut lost = Vec::new();
    compare("", sent, &stored, &mut lost);
    assert!(lost.is_empty(), "{name}: {lost:#?}");
    stored
}

/// Notes every field of `sent` that isn't in `stored` with the same value. Items of lists are in their places.
fn compare(at: &str, sent: &Value, stored: &Value, lost: &mut Vec<String>) {
    match (sent, stored) {
        (Value::Object(sent), Value::Object(stored)) => {
            for (key, value) in sent {
                match stored.get(key) {
                    Some(stored) => compare(&format!("{at}.{key}"), value, stored, lost),
                    None => lost.push(format!("{at}.{key} was pruned")),
                }
            }
        }
        (Value::Array(sent), Value::Array(stored)) if sent.len() == stored.len() => {
            for (index, (sent, stored)) in sent.iter().zip(stored).enumerate() {
                compare(&format!("{at}[{index}]"), sent, stored, lost);
            }
        }
        (sent, stored) if sent != stored => lost.push(format!("{at} was {sent} and is {stored}")),
        _ => {}
    }
}
