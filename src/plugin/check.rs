//! `kubectl oauth check`: whether everything is in order. What was seen is judged by pure functions; each finding says what
//! to do about it.

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        authorization::v1::{
            ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
            SubjectAccessReviewSpec,
        },
        coordination::v1::Lease,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde::Serialize;

use super::{
    Verdict, account,
    connection::Connection,
    failure::{Failure, is_forbidden},
    flags::Check,
    put, put_as,
    seen::Seen,
    status,
    text::{count, table},
};
use crate::api::crd;

mod judge;
mod rights;
#[cfg(test)]
mod tests;

use judge::Installed;
use rights::Right;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Ok,
    /// Worth knowing; not wrong.
    Note,
    Failed,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    pub about: String,
    pub message: String,
}

impl Finding {
    fn new(level: Level, about: impl Into<String>, message: impl Into<String>) -> Self {
        Self { level, about: about.into(), message: message.into() }
    }
}

/// Checks, and prints what was found.
pub async fn run(connection: &Connection, asked: &Check) -> Result<Verdict, Failure> {
    let now = Timestamp::now();
    let place = &asked.operator.operator_namespace;
    let mut findings = vec![api_server(connection).await?];
    let (crds, is_installed) = crds(connection).await?;
    findings.extend(crds);
    let installed = operator(connection, place).await?;
    findings.extend(judge::deployments(&installed, place));
    if installed.elects() {
        findings.push(lease(connection, place).await?);
    }
    findings.push(operators_rights(connection, place, &installed).await?);
    findings.push(own_rights(connection, asked).await?);
    if is_installed {
        let listed = status::list(connection, &asked.everywhere, &ListParams::default()).await?;
        findings.extend(judge::unreadable(&listed.unreadable));
        let rows: Vec<_> = listed.credentials.iter().map(|credential| account::row(credential, now)).collect();
        findings.extend(judge::credentials(&rows));
        findings.extend(judge::servers(&listed.credentials));
    }
    let failed = findings.iter().filter(|finding| finding.level == Level::Failed).count();
    match asked.output {
        Some(format) => put_as(format, &findings)?,
        None => put(&text(&findings, failed))?,
    }
    Ok(Verdict::of(failed == 0))
}

fn text(findings: &[Finding], failed: usize) -> String {
    let rows = findings.iter().map(|finding| {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Failed => "FAILED",
        };
        vec![level.to_owned(), finding.about.clone(), finding.message.clone()]
    });
    let lines = table(&["RESULT", "WHAT", "FOUND"], &rows.collect::<Vec<_>>());
    let sum = match failed {
        0 => "Everything is in order.".to_owned(),
        _ => format!("{} failed.", count(failed, "check")),
    };
    format!("{lines}\n{sum}\n")
}

async fn api_server(connection: &Connection) -> Result<Finding, Failure> {
    let version = connection.client.apiserver_version().await;
    let version = version.map_err(|error| Failure::of("ask for the API server's version", error))?;
    Ok(judge::api_server(&version.major, &version.minor, &version.git_version))
}

/// Also whether credentials are served at all.
async fn crds(connection: &Connection) -> Result<(Vec<Finding>, bool), Failure> {
    let api: Api<CustomResourceDefinition> = Api::all(connection.client.clone());
    let expected = crd::all().map_err(|error| Failure::Embedded(error.to_string()))?;
    let mut findings = Vec::new();
    for (_, expected) in &expected {
        let name = expected.metadata.name.as_deref().unwrap_or_default();
        let mut seen = Seen::of(format!("read the CRD {name}"), api.get_opt(name).await)?;
        if seen == Seen::Hidden && !serves(connection, &expected.spec.names.plural).await? {
            seen = Seen::Absent;
        }
        findings.push(judge::crd(expected, &seen));
    }
    let is_installed = serves(connection, "oauthcredentials").await?;
    Ok((findings, is_installed))
}

/// Whether the API server serves this resource of ours.
async fn serves(connection: &Connection, plural: &str) -> Result<bool, Failure> {
    let doing = "ask which resources the API server has";
    let groups = connection.client.list_api_groups().await.map_err(|error| Failure::of(doing, error))?;
    let version = format!("{}/v1alpha1", crate::api::GROUP);
    if !groups.groups.iter().any(|group| group.versions.iter().any(|served| served.group_version == version)) {
        return Ok(false);
    }
    let served = connection.client.list_api_group_resources(&version).await;
    let served = served.map_err(|error| Failure::of(doing, error))?;
    Ok(served.resources.iter().any(|resource| resource.name == plural))
}

async fn operator(connection: &Connection, place: &str) -> Result<Installed, Failure> {
    let listed = connection.namespaced::<Deployment>(place).list(&ListParams::default()).await;
    let seen = Seen::of(format!("list the Deployments of namespace {place}"), listed.map(|list| Some(list.items)))?;
    Ok(Installed::of(seen))
}

/// The Lease, and whether it is renewed: watched for as long as it stands where the clocks leave a doubt.
async fn lease(connection: &Connection, place: &str) -> Result<Finding, Failure> {
    let api: Api<Lease> = connection.namespaced(place);
    let doing = format!("read the Lease oauth-operator in namespace {place}");
    let first = Seen::of(doing.clone(), api.get_opt("oauth-operator").await)?;
    if let Some(wait) = judge::lease_in_doubt(&first, Timestamp::now()) {
        tokio::time::sleep(wait).await;
        let second = Seen::of(doing, api.get_opt("oauth-operator").await)?;
        return Ok(judge::lease(&second, Some(&first), place));
    }
    Ok(judge::lease(&first, None, place))
}

/// What the operator's ServiceAccount lacks of deploy/rbac.yaml.
async fn operators_rights(connection: &Connection, place: &str, installed: &Installed) -> Result<Finding, Failure> {
    let account = installed.service_account();
    let rights = rights::of_operator(place, &installed.namespaces())?;
    let api: Api<SubjectAccessReview> = Api::all(connection.client.clone());
    let reviews = rights.iter().map(|right| {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                resource_attributes: Some(attributes(right)),
                user: Some(format!("system:serviceaccount:{place}:{account}")),
                groups: Some(vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{place}"),
                    "system:authenticated".to_owned(),
                ]),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api = api.clone();
        async move { api.create(&PostParams::default(), &review).await }
    });
    match try_join_all(reviews).await {
        Ok(reviews) => {
            let allowed = reviews.into_iter().map(|review| review.status.is_some_and(|status| status.allowed));
            let missing: Vec<_> = rights.iter().zip(allowed).filter(|(_, allowed)| !allowed).map(|(r, _)| r).collect();
            Ok(judge::operators_rights(account, &missing))
        }
        Err(error) if is_forbidden(&error) => Ok(judge::operators_rights_unknown()),
        Err(error) => Err(Failure::of("ask what the operator may do", error)),
    }
}

/// What this person lacks of the rights that the plugin's commands need.
async fn own_rights(connection: &Connection, asked: &Check) -> Result<Finding, Failure> {
    let namespace = (!asked.everywhere.all_namespaces).then_some(connection.namespace.as_str());
    let commands = rights::of_commands(namespace);
    let api: Api<SelfSubjectAccessReview> = Api::all(connection.client.clone());
    let reviews = commands.iter().map(|(_, right)| {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes(right)),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api = api.clone();
        async move { api.create(&PostParams::default(), &review).await }
    });
    let reviews = try_join_all(reviews).await.map_err(|error| Failure::of("ask what you may do", error))?;
    let allowed = reviews.into_iter().map(|review| review.status.is_some_and(|status| status.allowed));
    let missing: Vec<_> = commands.iter().zip(allowed).filter(|(_, allowed)| !allowed).map(|(it, _)| it).collect();
    Ok(judge::own_rights(&missing))
}

fn attributes(right: &Right) -> ResourceAttributes {
    ResourceAttributes {
        group: Some(right.group.clone()),
        resource: Some(right.resource.clone()),
        subresource: right.subresource.clone(),
        verb: Some(right.verb.clone()),
        namespace: right.namespace.clone(),
        ..ResourceAttributes::default()
    }
}
