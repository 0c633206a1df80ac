//! What is left to do when the operator is uninstalled for good: without it nobody takes its finalizer off, and neither credentials nor
//! their namespaces or CRD could go.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::leader::{self, LeaseConfig};
use crate::api::{FIELD_MANAGER, FINALIZER, OAuthCredential};

/// From one look at the Lease to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Tries of one credential against others who write it.
const MOST_TRIES: u32 = 5;

/// Takes the finalizer off the credentials of these namespaces (none: of all), once no operator leads any more: one that does
/// would set it again. Nothing is revoked. Gives how many bore it.
///
/// # Errors
/// The API server refuses, or doesn't answer. What was done until then is done.
pub async fn remove_finalizers(client: Client, namespaces: &[String], leases: &Api<Lease>) -> kube::Result<usize> {
    until_nobody_leads(leases).await?;
    let apis: Vec<Api<PartialObjectMeta<OAuthCredential>>> = match namespaces {
        [] => vec![Api::all(client.clone())],
        some => some.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
    };
    let mut removed = 0;
    for api in apis {
        // Without its CRD there is no credential either.
        let Some(credentials) = found(api.list(&ListParams::default()).await)? else { continue };
        let held = credentials.items.into_iter().filter(bears);
        let done = futures::stream::iter(held.map(Ok))
            .try_fold(0, async |count, credential| remove_finalizer(&client, credential).await.map(|()| count + 1));
        removed += done.await?;
    }
    Ok(removed)
}

/// Returns when the Lease has no holder, or one that no longer renews it.
async fn until_nobody_leads(leases: &Api<Lease>) -> kube::Result<()> {
    let (mut seen, mut since) = (None, Instant::now());
    loop {
        let Some(lease) = leases.get_opt(LeaseConfig::NAME).await? else { return Ok(()) };
        let found = Some(leader::record(&lease)).filter(|found| found.holder.is_some());
        if seen != found {
            (seen, since) = (found, Instant::now());
        }
        let Some(held) = &seen else { return Ok(()) };
        if since.elapsed() > held.duration.unwrap_or_default() {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

fn bears(credential: &PartialObjectMeta<OAuthCredential>) -> bool {
    credential.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

async fn remove_finalizer(client: &Client, credential: PartialObjectMeta<OAuthCredential>) -> kube::Result<()> {
    let (namespace, name) = (credential.namespace().unwrap_or_default(), credential.name_any());
    let api: Api<PartialObjectMeta<OAuthCredential>> = Api::namespaced(client.clone(), &namespace);
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let mut credential = Some(credential);
    for _ in 0..MOST_TRIES {
        let Some(seen) = credential.filter(bears) else { return Ok(()) };
        let others: Vec<&String> = seen.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
        let patch = json!({"metadata": {"resourceVersion": seen.resource_version(), "finalizers": others}});
        match api.patch(&name, &parameters, &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => return found(other).map(drop),
        }
        credential = api.get_opt(&name).await?;
    }
    tracing::warn!(namespace, name, "others write this credential all the time: take its finalizer off by hand");
    Ok(())
}

/// None: it isn't there.
fn found<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        other => other.map(Some),
    }
}
