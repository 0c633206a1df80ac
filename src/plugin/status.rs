//! `kubectl oauth status`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::{Api, api::ListParams, core::DeserializeGuard};

use super::{
    Verdict,
    account::{Facts, Row, account, row},
    connection::Connection,
    failure::Failure,
    flags::{Everywhere, Status},
    put, put_as,
    seen::Seen,
    text::{count, table},
};
use crate::{
    api::{ClusterOAuthProvider, OAuthCredential, OAuthProvider, ProviderKind, ProviderSpec},
    credential::references,
    secrets::state_name,
};

/// Prints how one credential is, or a table of all.
pub async fn run(connection: &Connection, asked: &Status) -> Result<Verdict, Failure> {
    let now = Timestamp::now();
    if let Some(name) = &asked.name {
        let credential = credential(connection, name).await?;
        let account = account(&facts(connection, credential, &asked.operator.operator_namespace).await?, now);
        match asked.output {
            Some(format) => put_as(format, &account)?,
            None => put(&account.text(now))?,
        }
        return Ok(Verdict::of(account.is_ready()));
    }
    let listed = list(connection, &asked.everywhere, &ListParams::default()).await?;
    let rows: Vec<Row> = listed.credentials.iter().map(|credential| row(credential, now)).collect();
    match asked.output {
        Some(format) => put_as(format, &rows)?,
        None => put(&overview(&rows, now, connection, &asked.everywhere))?,
    }
    listed.warn();
    Ok(Verdict::of(listed.unreadable.is_empty() && rows.iter().all(|row| row.ready)))
}

fn overview(rows: &[Row], now: Timestamp, connection: &Connection, everywhere: &Everywhere) -> String {
    if rows.is_empty() {
        return match everywhere.all_namespaces {
            true => "There are no OAuthCredentials.\n".to_owned(),
            false => format!("There are no OAuthCredentials in namespace {}.\n", connection.namespace),
        };
    }
    let headings = ["NAMESPACE", "NAME", "READY", "REASON", "EXPIRES", "NEXT ATTEMPT", "SECRET"];
    let headings = if everywhere.all_namespaces { &headings[..] } else { &headings[1..] };
    let cells: Vec<_> = rows.iter().map(|row| row.cells(now, everywhere.all_namespaces)).collect();
    let mut text = table(headings, &cells);
    let bad = rows.iter().filter(|row| !row.ready).count();
    if bad > 0 {
        text +=
            &format!("\n{}: `kubectl oauth status NAME` says what to do.\n", count(bad, "credential") + " not Ready");
    }
    text
}

/// The credential of this name, in the namespace that is meant.
pub async fn credential(connection: &Connection, name: &str) -> Result<OAuthCredential, Failure> {
    let namespace = &connection.namespace;
    let doing = format!("read the OAuthCredential {name} in namespace {namespace}");
    let read = connection.namespaced::<OAuthCredential>(namespace).get_opt(name).await;
    match read.map_err(|error| Failure::of(doing.clone(), error))? {
        Some(credential) => Ok(credential),
        None => {
            // A kind that isn't served looks the same.
            let one = ListParams::default().limit(1);
            let any = connection.namespaced::<OAuthCredential>(namespace).list_metadata(&one).await;
            any.map_err(|error| Failure::of(doing, error))?;
            Err(Failure::NoCredential { namespace: namespace.clone(), name: name.to_owned() })
        }
    }
}

/// Credentials that were listed, by namespace and name.
pub struct Listed {
    pub credentials: Vec<OAuthCredential>,
    /// Those that this version can't read.
    pub unreadable: Vec<String>,
}

impl Listed {
    /// Says on standard error what could not be read.
    pub fn warn(&self) {
        if !self.unreadable.is_empty() {
            eprintln!(
                "warning: written for another version of oauth-operator, and left out: {}. Use the kubectl-oauth of the operator's version.",
                self.unreadable.join(", ")
            );
        }
    }
}

/// The credentials that are meant.
pub async fn list(connection: &Connection, everywhere: &Everywhere, which: &ListParams) -> Result<Listed, Failure> {
    let api: Api<DeserializeGuard<OAuthCredential>> = connection.api(everywhere);
    let objects = api.list(which).await.map_err(|error| Failure::of("list OAuthCredentials", error))?;
    let mut listed = Listed { credentials: Vec::new(), unreadable: Vec::new() };
    for object in objects {
        match object.0 {
            Ok(credential) => listed.credentials.push(credential),
            Err(invalid) => {
                let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
                listed.unreadable.push(format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default()));
            }
        }
    }
    listed
        .credentials
        .sort_by(|a, b| (&a.metadata.namespace, &a.metadata.name).cmp(&(&b.metadata.namespace, &b.metadata.name)));
    Ok(listed)
}

/// Reads what the account of a credential is made of.
async fn facts(connection: &Connection, credential: OAuthCredential, operator: &str) -> Result<Facts, Failure> {
    let namespace = credential.metadata.namespace.clone().unwrap_or_default();
    let name = credential.metadata.name.clone().unwrap_or_default();
    let (provider, shared_namespace) = provider(connection, &credential, &namespace, operator).await?;
    let own = [state_name(&name), credential.spec.output_name(&name)].map(|secret| (namespace.clone(), secret));
    let mut wanted = BTreeSet::from(own);
    if let Seen::There(provider) = &provider {
        let inputs = references::inputs(&namespace, &credential.spec, provider, &shared_namespace);
        wanted.extend(inputs.into_iter().map(|input| (input.namespace.to_string(), input.name)));
    }
    let mut secrets = BTreeMap::new();
    for (namespace, name) in wanted {
        let seen = connection.look_at_secret(&namespace, &name).await?;
        secrets.insert((namespace, name), seen);
    }
    Ok(Facts { credential, provider, secrets, shared_namespace })
}

/// The provider's spec, and the namespace of the Secrets that it names.
async fn provider(
    connection: &Connection,
    credential: &OAuthCredential,
    namespace: &str,
    operator: &str,
) -> Result<(Seen<ProviderSpec>, String), Failure> {
    let spec = &credential.spec;
    let own = namespace.to_owned();
    let Some(reference) = &spec.provider_ref else {
        return Ok((spec.provider.clone().map_or(Seen::Absent, Seen::There), own));
    };
    let name = &*reference.name;
    match reference.kind {
        ProviderKind::OAuthProvider => {
            let read = connection.namespaced::<OAuthProvider>(namespace).get_opt(name).await;
            let seen = Seen::of(format!("read the OAuthProvider {name}"), read)?;
            Ok((seen.map(|provider| provider.spec.into()), own))
        }
        ProviderKind::ClusterOAuthProvider => {
            let read = Api::<ClusterOAuthProvider>::all(connection.client.clone()).get_opt(name).await;
            let seen = Seen::of(format!("read the ClusterOAuthProvider {name}"), read)?;
            Ok((seen.map(|provider| provider.spec.into()), operator.to_owned()))
        }
    }
}
