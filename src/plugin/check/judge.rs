//! What was seen → findings. Pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::PodSpec},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};

use super::{Finding, Level, rights::Right};
use crate::{
    api::{ConditionType, OAuthCredential, ProviderKind, Reason},
    plugin::{
        account::{Row, holds},
        seen::Seen,
        text::count,
    },
};

/// The oldest Kubernetes that is supported, as in the chart.
const OLDEST: (u32, u32) = (1, 31);

/// A clock may differ from the operator's by this much before it is doubted.
const TOLERANCE: i64 = 30;

pub fn api_server(major: &str, minor: &str, version: &str) -> Finding {
    // Some distributions write 31+.
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    match number(major).zip(number(minor)) {
        Some(is) if is < OLDEST => {
            let (major, minor) = OLDEST;
            let message = format!("{version}: the operator needs {major}.{minor} or newer");
            Finding::new(Level::Failed, "Kubernetes", message)
        }
        _ => Finding::new(Level::Ok, "Kubernetes", version),
    }
}

/// Whether the CRD is installed, established, and says what this version's says.
pub fn crd(expected: &CustomResourceDefinition, seen: &Seen<CustomResourceDefinition>) -> Finding {
    let about = format!("CRD {}", expected.spec.names.plural);
    let seen = match seen {
        Seen::There(seen) => seen,
        Seen::Absent => {
            let message = "not installed: install the chart, or kubectl apply --server-side -f crds/";
            return Finding::new(Level::Failed, about, message);
        }
        Seen::Hidden => {
            let message = "served; its version is not known, since you may not read CRDs";
            return Finding::new(Level::Note, about, message);
        }
    };
    let conditions = seen.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if !conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
        let message = "not served yet: kubectl describe crd says why";
        return Finding::new(Level::Failed, about, message);
    }
    let schema = |crd: &CustomResourceDefinition| {
        let mut versions = crd.spec.versions.iter();
        versions.find(|version| version.name == "v1alpha1").and_then(|version| version.schema.clone())
    };
    match schema(seen) == schema(expected) {
        true => Finding::new(Level::Ok, about, format!("installed, of version {}", env!("CARGO_PKG_VERSION"))),
        false => Finding::new(
            Level::Note,
            about,
            "installed, of another version than this kubectl-oauth: use the one of the operator's version, or upgrade the CRDs",
        ),
    }
}

/// The operator's Deployments, as far as they may be seen.
pub struct Installed(Seen<Vec<Deployment>>);

impl Installed {
    pub fn of(seen: Seen<Vec<Deployment>>) -> Self {
        let is_ours = |deployment: &Deployment| pod(deployment).is_some_and(|pod| container_arguments(pod).is_some());
        Self(seen.map(|all| all.into_iter().filter(is_ours).collect()))
    }

    fn known(&self) -> &[Deployment] {
        if let Seen::There(deployments) = &self.0 { deployments } else { &[] }
    }

    /// Whether there should be a Lease.
    pub fn elects(&self) -> bool {
        !self.arguments().any(|argument| argument == "--leader-election=false")
    }

    /// The namespaces that are served. None: all.
    pub fn namespaces(&self) -> Vec<String> {
        let named = self.arguments().filter_map(|argument| argument.strip_prefix("--namespace="));
        named.flat_map(|names| names.split(',')).map(str::to_owned).collect()
    }

    pub fn service_account(&self) -> &str {
        let named = self.known().iter().filter_map(pod).find_map(|pod| pod.service_account_name.as_deref());
        named.unwrap_or("oauth-operator")
    }

    fn arguments(&self) -> impl Iterator<Item = &str> {
        self.known().iter().filter_map(pod).filter_map(container_arguments).flatten().map(String::as_str)
    }
}

fn pod(deployment: &Deployment) -> Option<&PodSpec> {
    deployment.spec.as_ref()?.template.spec.as_ref()
}

/// The arguments of the container that the chart calls oauth-operator, whatever the release is called.
fn container_arguments(pod: &PodSpec) -> Option<&[String]> {
    let container = pod.containers.iter().find(|container| container.name == "oauth-operator")?;
    Some(container.args.as_deref().unwrap_or_default())
}

pub fn deployments(installed: &Installed, place: &str) -> Vec<Finding> {
    let about = "operator";
    match &installed.0 {
        Seen::Hidden => {
            let message = format!("its pods are not known: you may not list the Deployments of namespace {place}");
            vec![Finding::new(Level::Note, about, message)]
        }
        Seen::There(deployments) if !deployments.is_empty() => deployments.iter().map(deployment).collect(),
        Seen::There(_) | Seen::Absent => {
            let message = format!(
                "no Deployment of it in namespace {place}: --operator-namespace names another; one outside the cluster holds the Lease only"
            );
            vec![Finding::new(Level::Note, about, message)]
        }
    }
}

fn deployment(deployment: &Deployment) -> Finding {
    let about = format!("Deployment {}", deployment.metadata.name.as_deref().unwrap_or_default());
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let message = format!("{ready} of {wanted} replicas ready");
    match (ready, wanted) {
        (_, 0) => Finding::new(Level::Failed, about, "scaled to none: nothing is refreshed"),
        (0, _) => Finding::new(Level::Failed, about, format!("{message}: its pods' logs and /readyz say why")),
        _ if ready < wanted => Finding::new(Level::Note, about, format!("{message}: kubectl describe pod says why")),
        _ => Finding::new(Level::Ok, about, message),
    }
}

/// How long to watch the Lease to know whether it is renewed; None where its time tells.
pub fn lease_in_doubt(seen: &Seen<Lease>, now: Timestamp) -> Option<Duration> {
    let Seen::There(lease) = seen else { return None };
    let spec = lease.spec.as_ref()?;
    holder(lease)?;
    let duration = i64::from(spec.lease_duration_seconds?);
    let age = now.as_second() - spec.renew_time.as_ref()?.0.as_second();
    let is_fresh = (-TOLERANCE..=duration).contains(&age);
    (!is_fresh).then(|| Duration::from_secs(duration.clamp(1, 300).unsigned_abs()))
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// Whether somebody leads. `before`: the Lease as it was a lease duration ago, where its time left a doubt.
pub fn lease(seen: &Seen<Lease>, before: Option<&Seen<Lease>>, place: &str) -> Finding {
    let found = |level, message: String| Finding::new(level, "Lease oauth-operator", message);
    let lease = match seen {
        Seen::There(lease) => lease,
        Seen::Absent => {
            let message =
                format!("not in namespace {place}: no operator has run there. --operator-namespace names another");
            return found(Level::Failed, message);
        }
        Seen::Hidden => {
            let message = format!("not known whether an operator leads: you may not read Leases of namespace {place}");
            return found(Level::Note, message);
        }
    };
    let Some(holder) = holder(lease) else {
        return found(Level::Failed, "held by nobody: no operator is running, or none has taken it yet".to_owned());
    };
    let resource_version = |lease: &Lease| lease.metadata.resource_version.clone();
    match before {
        Some(Seen::There(before)) if resource_version(before) == resource_version(lease) => {
            found(Level::Failed, format!("last held by {holder}, and not renewed any more: no operator is running"))
        }
        Some(_) => found(Level::Ok, format!("held by {holder}; this machine's clock differs from the operator's")),
        None => found(Level::Ok, format!("held by {holder}")),
    }
}

pub fn operators_rights(account: &str, missing: &[&Right]) -> Finding {
    let about = "operator's rights";
    if missing.is_empty() {
        return Finding::new(Level::Ok, about, format!("ServiceAccount {account} may do what it needs"));
    }
    let missing = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let message =
        format!("ServiceAccount {account} may not: {missing}. Install the chart's or deploy/rbac.yaml's rules");
    Finding::new(Level::Failed, about, message)
}

pub fn operators_rights_unknown() -> Finding {
    let message = "not known: you may not create SubjectAccessReviews";
    Finding::new(Level::Note, "operator's rights", message)
}

/// A person need not have them all.
pub fn own_rights(missing: &[&(&'static str, Right)]) -> Finding {
    let about = "your rights";
    if missing.is_empty() {
        return Finding::new(Level::Ok, about, "enough for every command");
    }
    let missing = missing.iter().map(|(command, right)| format!("{right} ({command})")).collect::<Vec<_>>().join(", ");
    Finding::new(Level::Note, about, format!("you may not: {missing}"))
}

/// A credential that isn't Ready is a problem; one that is, with a last attempt that failed, will be.
pub fn credentials(rows: &[Row]) -> Vec<Finding> {
    let bad: Vec<_> = rows.iter().filter(|row| !row.ready || row.next_step != "Nothing to do.").collect();
    if bad.is_empty() {
        let message = if rows.is_empty() { "none".to_owned() } else { format!("{}, all Ready", rows.len()) };
        return vec![Finding::new(Level::Ok, "credentials", message)];
    }
    bad.into_iter()
        .map(|row| {
            let level = if row.ready { Level::Note } else { Level::Failed };
            let about = format!("credential {}/{}", row.namespace, row.name);
            Finding::new(level, about, format!("{}: {}", row.reason, row.next_step.replace('\n', " ")))
        })
        .collect()
}

pub fn unreadable(names: &[String]) -> Option<Finding> {
    let message = || {
        format!(
            "{} can't be read by this version: {}. Use the kubectl-oauth of the operator's version",
            count(names.len(), "credential"),
            names.join(", ")
        )
    };
    (!names.is_empty()).then(|| Finding::new(Level::Note, "credentials", message()))
}

/// Whether the token servers are reached, as the operator's own last attempts tell: from elsewhere it can't be known.
pub fn servers(credentials: &[OAuthCredential]) -> Vec<Finding> {
    let mut servers = BTreeMap::new();
    for credential in credentials {
        let Some(reached) = reached(credential) else { continue };
        let entry: &mut Result<usize, String> = servers.entry(server(credential)).or_insert(Ok(0));
        match (&mut *entry, reached) {
            (Ok(number), Ok(())) => *number += 1,
            (Ok(_), Err(message)) => *entry = Err(message),
            (Err(_), _) => {}
        }
    }
    let finding = |(server, reached): (String, Result<usize, String>)| {
        let about = format!("egress to {server}");
        match reached {
            Ok(number) => Finding::new(
                Level::Ok,
                about,
                format!("the last attempt of {} got an answer", count(number, "credential")),
            ),
            Err(message) => Finding::new(Level::Failed, about, message),
        }
    };
    servers.into_iter().map(finding).collect()
}

/// Whether the last attempt got an answer; None where there was none.
fn reached(credential: &OAuthCredential) -> Option<Result<(), String>> {
    let refreshed = credential.status.as_ref()?.condition(ConditionType::Refreshed)?;
    let unreached = [Reason::EgressDenied, Reason::ProviderUnavailable].map(Reason::as_str);
    let answered = [Reason::InvalidClient, Reason::InvalidGrant, Reason::InvalidResponse, Reason::RateLimited];
    if holds(refreshed) || answered.map(Reason::as_str).contains(&refreshed.reason.as_str()) {
        return Some(Ok(()));
    }
    unreached.contains(&refreshed.reason.as_str()).then(|| Err(format!("{}: {}", refreshed.reason, refreshed.message)))
}

/// The provider object, or the endpoint of an inline one.
fn server(credential: &OAuthCredential) -> String {
    let spec = &credential.spec;
    if let Some(reference) = &spec.provider_ref {
        let name = &*reference.name;
        return match reference.kind {
            ProviderKind::ClusterOAuthProvider => format!("ClusterOAuthProvider {name}"),
            ProviderKind::OAuthProvider => {
                format!("OAuthProvider {}/{name}", credential.metadata.namespace.as_deref().unwrap_or_default())
            }
        };
    }
    let provider = spec.provider.as_ref();
    let token = provider.and_then(|provider| provider.endpoints.as_ref()?.token.as_ref());
    let url = token.or(provider.and_then(|provider| provider.issuer.as_ref()));
    url.map_or_else(String::new, |url| url.0.clone())
}
