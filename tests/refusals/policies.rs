//! The samples in deploy/policies, applied as they stand: what each admits, and what it denies.

use kube::{Api, Client, Config, api::PostParams, config::KubeConfigOptions, config::Kubeconfig};
use serde_json::{Value, json};

use crate::{
    apply::create,
    case::spec,
    objects::{credential, merged, object, secret},
    support::{
        Cluster, SOON,
        namespace::{apply, documents},
        until,
    },
    tenants::references,
};

const HOSTS: &str = include_str!("../../deploy/policies/token-hosts.yaml");
const OWN_SECRETS: &str = include_str!("../../deploy/policies/own-secrets.yaml");
const OWN_WORKLOADS: &str = include_str!("../../deploy/policies/own-workloads.yaml");
const QUOTA: &str = include_str!("../../deploy/policies/quota.yaml");

/// A namespace that the sample's binding selects, once it holds there. `denied` is what it must deny.
async fn tenant(name: &str, policy: &str, denied: &Value) -> Client {
    let namespace = Cluster::shared().await.namespace(name).await;
    let label =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tenant": "true"}}});
    // The samples of two tests don't meet: each has a label of its own.
    let policy = policy.replace("{tenant: \"true\"}", &format!("{{tenant-of: {name}}}"));
    assert!(policy.contains(&format!("tenant-of: {name}")), "the binding selects by the label tenant");
    let own = merged(&label, &json!({"metadata": {"labels": {"tenant-of": name}}}));
    apply(&namespace.client, name, [vec![own], documents(&policy)].concat()).await.unwrap();
    until("the policy holds", SOON * 2, async || create(&namespace.client, denied, true).await.is_err().then_some(()))
        .await;
    namespace.client
}

fn placed(namespace: &str, object: &Value) -> Value {
    merged(object, &json!({"metadata": {"namespace": namespace}}))
}

async fn denied(client: &Client, manifest: &Value, says: &str) {
    match create(client, manifest, true).await {
        Err(kube::Error::Api(status)) => assert!(status.message.contains(says), "{manifest}: {}", status.message),
        other => panic!("{manifest} is admitted: {other:?}"),
    }
}

async fn admitted(client: &Client, manifest: &Value) {
    create(client, manifest, true).await.unwrap_or_else(|error| panic!("{manifest}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_these_token_hosts() {
    let of = |provider: Value| {
        let spec = merged(&spec("https://login.example.com/token", &json!({})), &json!({"provider": provider}));
        placed("policy-hosts", &credential("it", &spec))
    };
    let elsewhere = of(json!({"endpoints": {"token": "https://evil.example/token"}}));
    let client = tenant("policy-hosts", HOSTS, &elsewhere).await;
    let says = "token servers here are https on one of login.example.com, idp.example.com: use one of these, or a ClusterOAuthProvider";
    denied(&client, &elsewhere, says).await;
    for url in [
        "http://login.example.com/token",
        "https://login.example.com.evil.example/token",
        "https://login.example.com@evil.example/token",
        "https://evil.example/token?https://login.example.com",
        "https://evil.example#@login.example.com/",
        "https://evil.example\\@login.example.com/",
        "https://login.example.com\\.evil.example/",
        "https://login.example.com%2eevil.example/",
        "https:///evil.example/",
        "https://169.254.169.254/",
        "https://LOGIN.example.com.:443/",
        "ftp://login.example.com/",
    ] {
        denied(&client, &of(json!({"endpoints": {"token": url}})), says).await;
        denied(&client, &of(json!({"issuer": url, "endpoints": null})), says).await;
    }
    for endpoint in
        ["authorization", "refresh", "revocation", "deviceAuthorization", "pushedAuthorizationRequest", "jwks"]
    {
        denied(&client, &of(json!({"endpoints": {endpoint: "https://evil.example/"}})), says).await;
        admitted(&client, &of(json!({"endpoints": {endpoint: "https://idp.example.com:8443/x"}}))).await;
    }
    admitted(&client, &of(json!({}))).await;
    admitted(&client, &of(json!({"issuer": "https://idp.example.com/realms/a", "endpoints": null}))).await;
    let by_name = json!({"provider": null, "providerRef": {"kind": "ClusterOAuthProvider", "name": "any"}});
    admitted(&client, &placed("policy-hosts", &credential("it", &spec("", &by_name)))).await;

    let provider = |url: &str| {
        placed("policy-hosts", &object("OAuthProvider", "it", json!({"spec": {"endpoints": {"token": url}}})))
    };
    denied(&client, &provider("https://evil.example/"), says).await;
    admitted(&client, &provider("https://idp.example.com/token")).await;
    // Every endpoint that the schema has is looked at.
    let schema = serde_json::to_value(oauth_operator::api::crd::all().unwrap().remove(0).1).unwrap();
    let endpoints =
        schema.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/endpoints/properties");
    let endpoints = endpoints.or(schema.pointer(
        "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/provider/properties/endpoints/properties",
    ));
    for name in endpoints.unwrap().as_object().unwrap().keys() {
        assert!(HOSTS.contains(&format!("'{name}'")), "{name}");
    }
}

/// The client of a person who may write credentials here, and may do this besides.
async fn person(namespace: &str, name: &str, besides: Option<Value>) -> Client {
    let cluster = Cluster::shared().await;
    let admin = cluster.client().await;
    let mut rules = vec![
        json!({"apiGroups": ["oauth-operator.dev"], "resources": ["oauthcredentials", "oauthproviders"], "verbs": ["create"]}),
    ];
    rules.extend(besides);
    let group = "rbac.authorization.k8s.io";
    let objects = vec![
        json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": name}, "rules": rules}),
        json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name}, "subjects": [{"apiGroup": group, "kind": "User", "name": name}]}),
    ];
    apply(&admin, namespace, objects).await.unwrap();
    let mut kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig()).unwrap();
    kubeconfig.auth_infos[0].auth_info.as_mut().unwrap().impersonate = Some(name.to_owned());
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.proxy_url = None;
    Client::try_from(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_secrets_that_the_requester_may_read() {
    const NAME: &str = "policy-secrets";
    // The base names no Secret of its own.
    let base = spec("https://login.example.com/token", &json!({"client": {"secretRef": null}}));
    let of = |patch: &Value| placed(NAME, &credential("it", &merged(&base, patch)));
    // An administrator may read everything: what the policy denies is asked for as somebody else.
    let first = Cluster::shared().await.namespace(NAME).await;
    let stranger = person(NAME, "policy-stranger", None).await;
    let client_only = json!({"client": {"secretRef": {"name": "theirs", "key": "secret"}}});
    let policy = OWN_SECRETS.replace("{tenant: \"true\"}", &format!("{{tenant-of: {NAME}}}"));
    let label =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME, "labels": {"tenant-of": NAME}}});
    apply(&first.client, NAME, [vec![label, secret("theirs", &[("secret", "x")])], documents(&policy)].concat())
        .await
        .unwrap();
    until("the policy holds", SOON * 2, async || {
        // Until RBAC knows the stranger, it is RBAC that denies it.
        let refused = create(&stranger, &of(&client_only), true).await.err()?;
        refused.to_string().contains("ValidatingAdmissionPolicy").then_some(())
    })
    .await;

    let reads = json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["theirs"], "verbs": ["get"]});
    let reader = person(NAME, "policy-reader", Some(reads)).await;
    until("the reader may write", SOON, async || create(&reader, &of(&json!({})), true).await.is_ok().then_some(()))
        .await;
    let mut tried = 0;
    for (field, patch) in references("theirs") {
        // Where a second Secret goes with it, that is the same.
        let patch = match patch.to_string().contains("\"name\":\"client\"") {
            true => {
                serde_json::from_str(&patch.to_string().replace("\"name\":\"client\"", "\"name\":\"theirs\"")).unwrap()
            }
            false => patch,
        };
        let patch = match field {
            "fallbackSecretRefs" => merged(&patch, &client_only),
            _ => patch,
        };
        if field.to_lowercase().contains("secret") {
            denied(&stranger, &of(&patch), "is not yours to read").await;
            tried += 1;
        } else {
            admitted(&stranger, &of(&patch)).await;
        }
        admitted(&reader, &of(&patch)).await;
    }
    assert!(tried > 10);
    let more = json!({"grant": {"clientCredentials": null, "refreshToken": {"secretRef": {"name": "theirs", "key": "t"}}},
        "additionalTokens": [{"name": "a", "parameters": [{"name": "b", "valueSecretRef": {"name": "another", "key": "c"}}]}]});
    denied(&reader, &of(&more), "a Secret in additionalTokens is not yours to read").await;
    for provider in [
        json!({"client": {"id": "a", "secretRef": {"name": "theirs", "key": "b"}}}),
        json!({"refreshRequest": {"headers": [{"name": "a", "valueSecretRef": {"name": "theirs", "key": "b"}}]}}),
        json!({"authorizationRequest": {"parameters": [{"name": "a", "valueSecretRef": {"name": "theirs", "key": "b"}}]}}),
    ] {
        let spec = merged(&json!({"issuer": "https://idp.example.com"}), &provider);
        let provider = placed(NAME, &object("OAuthProvider", "it", json!({"spec": spec})));
        denied(&stranger, &provider, "is not yours to read").await;
        admitted(&reader, &provider).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_workloads_that_the_requester_may_restart() {
    const NAME: &str = "policy-workloads";
    let of = |workloads: &[(&str, &str)]| {
        let named: Vec<Value> = workloads.iter().map(|(kind, name)| json!({"kind": kind, "name": name})).collect();
        let spec = spec("https://login.example.com/token", &json!({"rolloutRestart": named}));
        placed(NAME, &credential("it", &spec))
    };
    let first = Cluster::shared().await.namespace(NAME).await;
    let patches =
        json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["own"], "verbs": ["patch"]});
    let owner = person(NAME, "policy-owner", Some(patches)).await;
    let policy = OWN_WORKLOADS.replace("{tenant: \"true\"}", &format!("{{tenant-of: {NAME}}}"));
    let label =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME, "labels": {"tenant-of": NAME}}});
    apply(&first.client, NAME, [vec![label], documents(&policy)].concat()).await.unwrap();
    let says = "a workload in spec.rolloutRestart is not yours to restart";
    until("the policy holds", SOON * 2, async || {
        let refused = create(&owner, &of(&[("Deployment", "theirs")]), true).await.err()?.to_string();
        refused.contains(says).then_some(())
    })
    .await;
    denied(&owner, &of(&[("Deployment", "own"), ("Deployment", "theirs")]), says).await;
    // The right is of one kind.
    for kind in ["StatefulSet", "DaemonSet"] {
        denied(&owner, &of(&[(kind, "own")]), says).await;
    }
    admitted(&owner, &of(&[("Deployment", "own")])).await;
    admitted(&owner, &of(&[])).await;
    admitted(&first.client, &of(&[("StatefulSet", "theirs"), ("DaemonSet", "theirs")])).await;
}

/// The quota's status is written here as the controller manager's resource quota controller does, which this control plane is without.
#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_credentials_a_namespace() {
    let namespace = Cluster::shared().await.namespace("policy-quota").await;
    apply(&namespace.client, &namespace.name, documents(QUOTA)).await.unwrap();
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> =
        Api::namespaced(namespace.client.clone(), &namespace.name);
    let mut quota = serde_json::to_value(quotas.get("oauth-operator").await.unwrap()).unwrap();
    let hard = quota["spec"]["hard"].clone();
    let used =
        json!({"count/oauthcredentials.oauth-operator.dev": "49", "count/oauthproviders.oauth-operator.dev": "10"});
    quota["status"] = json!({"hard": hard, "used": used});
    quotas
        .replace_status("oauth-operator", &PostParams::default(), &serde_json::from_value(quota).unwrap())
        .await
        .unwrap();

    let of =
        |name: &str| placed(&namespace.name, &credential(name, &spec("https://login.example.com/token", &json!({}))));
    // The API server's own view of the quota follows its store.
    let provider = placed(
        &namespace.name,
        &object("OAuthProvider", "one", json!({"spec": {"issuer": "https://idp.example.com"}})),
    );
    until("the quota holds", SOON, async || {
        let refused = create(&namespace.client, &provider, true).await.err()?.to_string();
        refused.contains("exceeded quota: oauth-operator").then_some(())
    })
    .await;
    create(&namespace.client, &of("fiftieth"), false).await.unwrap();
    denied(&namespace.client, &of("one-more"), "exceeded quota: oauth-operator").await;
}
