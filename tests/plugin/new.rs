//! `new`: what it writes is accepted by the real API server, CEL rules included.

use std::process::Command;

use futures::StreamExt;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;

use crate::person::run;
use crate::support::namespace::documents;
use crate::support::{Cluster, Namespace};

fn new(arguments: &[&str]) -> crate::person::Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-oauth"));
    // It asks no cluster.
    command.env("KUBECONFIG", "/nonexistent").arg("new").args(arguments);
    run(command)
}

/// A server-side apply that changes nothing.
async fn is_accepted(namespace: &Namespace, manifests: &str) -> kube::Result<()> {
    let parameters = PatchParams { dry_run: true, ..PatchParams::apply("a-person") };
    for object in documents(manifests) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap());
        let api: Api<DynamicObject> = match resource.kind.as_str() {
            "ClusterOAuthProvider" => Api::all_with(namespace.client.clone(), &resource),
            _ => Api::namespaced_with(namespace.client.clone(), &namespace.name, &resource),
        };
        api.patch(object.metadata.name.as_deref().unwrap(), &parameters, &Patch::Apply(&object)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_every_provider_inline_and_as_an_object() {
    let namespace = Cluster::shared().await.namespace("new").await;
    let listing = new(&["--list-providers"]).ended(0);
    let lines = listing.lines().skip(1).collect::<Vec<_>>();
    assert!(lines.len() > 100, "{listing}");
    let written = |line: &str| {
        let name = line.split_whitespace().next().unwrap().to_owned();
        let columns: Vec<_> = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let grant = columns[2]
            .split(", ")
            .find(|grant| ["refreshToken", "clientCredentials"].contains(grant))
            .map(str::to_owned);
        let tenants: Vec<_> =
            columns.get(3).into_iter().flat_map(|keys| keys.split(", ")).map(|key| format!("{key}=acme")).collect();
        (name, grant, tenants)
    };
    let mut manifests = Vec::new();
    for (name, grant, tenants) in lines.iter().map(|line| written(line)) {
        let Some(grant) = grant else { continue };
        for form in ["--inline", "--cluster-provider"] {
            let mut arguments =
                vec!["a", "--provider", &name, "--grant", &grant, "--client-id", "b", "--scope", "c d", form];
            arguments.extend(tenants.iter().flat_map(|tenant| ["--tenant", tenant]));
            manifests.push(new(&arguments).ended(0));
        }
    }
    assert!(manifests.len() > 200, "{}", manifests.len());
    let judged = futures::stream::iter(&manifests).map(|text| {
        let namespace = &namespace;
        async move { (text, is_accepted(namespace, text).await) }
    });
    let judged: Vec<_> = judged.buffer_unordered(8).collect().await;
    for (text, accepted) in judged {
        assert!(accepted.is_ok(), "{accepted:?}\n{text}");
    }
}

#[test]
fn what_is_missing_is_asked_for_at_a_terminal_only() {
    let said = new(&["mail", "--provider", "dropbox"]).ended(2);
    assert!(said.contains("--grant is missing, and there is no terminal to ask at"), "{said}");
    let said = new(&["mail", "--provider", "dropbocs"]).ended(2);
    assert!(said.contains("the catalogue has no \"dropbocs\""), "{said}");
}
