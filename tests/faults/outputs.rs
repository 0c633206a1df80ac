//! SIGKILL while the output itself is changed: renamed, of another type, with other labels, deleted by somebody. The next
//! process makes of it what the spec says, asks for no token, and leaves nothing behind.

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use crate::manifests::hover;
use crate::support::proxy::{Fault, Proxy, Write};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Operator, SOON, until};

/// Of which Secret (its name without -token), and which.
type Writes = Vec<(&'static str, Write)>;

/// A change of the output, and the writes that it takes.
fn changes() -> [(&'static str, Value, Writes); 4] {
    let basic = json!({"type": "kubernetes.io/basic-auth", "template": {"password": "{{ access_token }}"}});
    [
        (
            "rename",
            json!({"name": "next-token"}),
            vec![("next", Write::Output), ("it", Write::Removal), ("it", Write::Status)],
        ),
        ("retype", basic, vec![("it", Write::Output), ("it", Write::Removal), ("it", Write::Status)]),
        ("relabel", json!({"labels": {"team": "a"}}), vec![("it", Write::Output), ("it", Write::Status)]),
        ("deleted", json!({}), vec![("it", Write::Output), ("it", Write::Status)]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_write_of_a_changed_output() {
    let mut cases = Vec::new();
    for (what, spec, writes) in changes() {
        for (secret, write) in writes {
            for fault in [Fault::StallBefore, Fault::StallAfter] {
                cases.push(killed_at(what, spec.clone(), secret, write, fault));
            }
        }
    }
    futures::future::join_all(cases).await;
}

async fn killed_at(what: &str, spec: Value, secret: &str, write: Write, fault: Fault) {
    let case = format!("{what}-{write:?}-{fault:?}").to_lowercase();
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace(&case).await;
    let standin = Standin::start(Hover::default()).await;
    let proxy = Proxy::start(cluster).await;
    let flags = ["--allow-insecure-http", "--leader-election=false"];
    let mut operator = Operator::behind(&proxy, &namespace, &flags).await;
    namespace.apply(&hover("it", &standin, "")).await;
    namespace.ready("it").await;
    let token = namespace.value("it-token", "access_token").await;

    proxy.spoil(secret, write, fault);
    if what == "deleted" {
        namespace.delete_secret("it-token").await;
    } else {
        namespace.patch_credential("it", &json!({"spec": {"secret": spec}})).await;
    }
    proxy.caught().await;
    operator.kill();
    operator.resume().await;

    let name = spec["name"].as_str().unwrap_or("it-token");
    until(&case, SOON, async || {
        let credential = namespace.credential("it").await;
        let status = credential.status.as_ref()?;
        let known = status.secret.as_ref().filter(|secret| secret.name == name)?;
        let output = namespace.secret(name).await?;
        let labels = output.metadata.labels.unwrap_or_default();
        let labelled =
            spec["labels"].as_object().is_none_or(|wanted| wanted.keys().all(|key| labels.contains_key(key)));
        let typed = spec["type"].as_str().is_none_or(|type_| output.type_.as_deref() == Some(type_));
        let told = output.metadata.uid.as_ref() == Some(&known.uid);
        let current = status.observed_generation == credential.metadata.generation;
        (labelled && typed && told && current && credential.is(ConditionType::Ready)).then_some(())
    })
    .await;
    let key = if what == "retype" { "password" } else { "access_token" };
    assert_eq!(namespace.value(name, key).await, token, "{case}");
    assert_eq!((standin.requests().len(), standin.replays()), (1, 0), "{case}");
    let outputs = namespace.secrets().list(&kube::api::ListParams::default()).await.unwrap().items;
    let outputs = outputs.iter().filter_map(|secret| secret.metadata.name.as_deref());
    let outputs: Vec<_> = outputs.filter(|name| name.ends_with("-token")).collect();
    assert_eq!(outputs, [name], "{case}: nothing is left behind");
}
