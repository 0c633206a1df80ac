//! `kubectl oauth prune`: deletes state Secrets whose credential is gone. A state outlives its credential on purpose: a manifest that
//! is deleted and applied again must not cost a person's consent.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, ListParams, Preconditions},
    core::PartialObjectMeta,
};

use super::{
    Verdict,
    confirm::confirm,
    connection::Connection,
    failure::{Failure, is_absent, is_conflict},
    flags::{Everywhere, Prune},
    put,
    text::{count, span, table},
};
use crate::{
    api::{CREDENTIAL_LABEL, OAuthCredential},
    secrets::{
        state::{REVISION, STATE_TYPE},
        state_name,
    },
};

/// A state Secret whose credential is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Orphan {
    namespace: String,
    name: String,
    credential: String,
    revision: String,
    created: Option<Timestamp>,
    uid: Option<String>,
    resource_version: Option<String>,
}

/// Lists orphaned state, and deletes it once a person agrees.
pub async fn run(connection: &Connection, asked: &Prune) -> Result<Verdict, Failure> {
    let orphans = find(connection, &asked.everywhere).await?;
    if orphans.is_empty() {
        put("No state Secret is orphaned: nothing to delete.\n")?;
        return Ok(Verdict::Good);
    }
    put(&listing(&orphans, Timestamp::now()))?;
    if asked.dry_run {
        put(&format!("\n{} would be deleted.\n", count(orphans.len(), "state Secret")))?;
        return Ok(Verdict::Good);
    }
    let question = format!(
        "Delete {}? The refresh tokens in them are lost: a credential of the same name will need a new one.",
        count(orphans.len(), "state Secret")
    );
    if !asked.yes && !confirm(&question)? {
        put("Nothing was deleted.\n")?;
        return Ok(Verdict::Good);
    }
    for orphan in &orphans {
        let title = format!("secret/{} in namespace {}", orphan.name, orphan.namespace);
        let said = match delete(connection, orphan).await? {
            true => format!("{title} deleted\n"),
            false => format!("{title} left alone: it, or its credential, changed meanwhile\n"),
        };
        put(&said)?;
    }
    Ok(Verdict::Good)
}

/// The Secrets are listed before the credentials: a credential that comes between the two is seen.
async fn find(connection: &Connection, everywhere: &Everywhere) -> Result<Vec<Orphan>, Failure> {
    let which = ListParams::default().labels(CREDENTIAL_LABEL).fields(&format!("type={STATE_TYPE}"));
    let states = connection.api::<Secret>(everywhere).list_metadata(&which).await;
    let states = states.map_err(|error| Failure::of("list the state Secrets", error))?;
    let credentials = connection.api::<OAuthCredential>(everywhere).list_metadata(&ListParams::default()).await;
    let credentials = credentials.map_err(|error| Failure::of("list OAuthCredentials", error))?;
    let there = credentials.items.into_iter().map(|credential| {
        (credential.metadata.namespace.unwrap_or_default(), credential.metadata.name.unwrap_or_default())
    });
    Ok(orphans(states.items, &there.collect()))
}

/// The states whose credential is not among those that are there.
fn orphans(states: Vec<PartialObjectMeta<Secret>>, there: &BTreeSet<(String, String)>) -> Vec<Orphan> {
    let orphan = |state: PartialObjectMeta<Secret>| {
        let metadata = state.metadata;
        let (namespace, name) = (metadata.namespace?, metadata.name?);
        let credential = metadata.labels?.remove(CREDENTIAL_LABEL)?;
        let is_orphan = name == state_name(&credential) && !there.contains(&(namespace.clone(), credential.clone()));
        is_orphan.then_some(Orphan {
            namespace,
            name,
            credential,
            revision: metadata.annotations.unwrap_or_default().remove(REVISION).unwrap_or_default(),
            created: metadata.creation_timestamp.map(|time| time.0),
            uid: metadata.uid,
            resource_version: metadata.resource_version,
        })
    };
    states.into_iter().filter_map(orphan).collect()
}

fn listing(orphans: &[Orphan], now: Timestamp) -> String {
    let rows = orphans.iter().map(|orphan| {
        let age = orphan.created.map(|created| span(now.as_second() - created.as_second())).unwrap_or_default();
        [&orphan.namespace, &orphan.name, &orphan.credential, &orphan.revision, &age].map(Clone::clone).to_vec()
    });
    table(&["NAMESPACE", "NAME", "CREDENTIAL (GONE)", "REVISION", "AGE"], &rows.collect::<Vec<_>>())
}

/// Deletes the Secret as it was listed, if its credential is still gone. Whether it did.
async fn delete(connection: &Connection, orphan: &Orphan) -> Result<bool, Failure> {
    let credentials: Api<OAuthCredential> = connection.namespaced(&orphan.namespace);
    match credentials.get_metadata_opt(&orphan.credential).await {
        Ok(None) => {}
        Ok(Some(_)) => return Ok(false),
        Err(error) => return Err(Failure::of(format!("read the OAuthCredential {}", orphan.credential), error)),
    }
    let as_listed = Preconditions { uid: orphan.uid.clone(), resource_version: orphan.resource_version.clone() };
    let deleted = connection
        .namespaced::<Secret>(&orphan.namespace)
        .delete(&orphan.name, &DeleteParams::default().preconditions(as_listed))
        .await;
    match deleted {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) || is_conflict(&error) => Ok(false),
        Err(error) => Err(Failure::of(format!("delete the Secret {}", orphan.name), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(namespace: &str, name: &str, credential: &str) -> PartialObjectMeta<Secret> {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {
                "namespace": namespace, "name": name, "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {CREDENTIAL_LABEL: credential}, "annotations": {REVISION: "3"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_state_is_orphaned_when_its_own_credential_is_gone() {
        let states = vec![
            state("a", "kept-oauth-state", "kept"),
            state("b", "kept-oauth-state", "kept"),
            // Not the operator's: its name isn't the one that goes with the label.
            state("a", "other", "gone"),
        ];
        let found = orphans(states, &BTreeSet::from([("a".to_owned(), "kept".to_owned())]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].namespace.as_str(), found[0].resource_version.as_deref()), ("b", Some("7")));
        let now = "2026-01-03T01:00:00Z".parse().unwrap();
        assert_eq!(
            listing(&found, now),
            "NAMESPACE   NAME               CREDENTIAL (GONE)   REVISION   AGE\nb           kept-oauth-state   kept                3          2d1h\n"
        );
    }
}
