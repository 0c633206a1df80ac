//! Which rights are needed: the operator's are read from deploy/rbac.yaml, as it is shipped; the commands' are listed here, and
//! in docs/kubectl-oauth.md.

use std::fmt;

use serde::Deserialize;

use crate::plugin::failure::Failure;

/// What the operator may do, cluster-wide.
const RBAC: &str = include_str!("../../../deploy/rbac.yaml");

/// Resources that belong to no namespace.
const CLUSTER_WIDE: [&str; 2] = ["clusteroauthproviders", "namespaces"];

/// One verb on one resource, in a namespace or (None) in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: Option<String>,
    pub namespace: Option<String>,
}

impl Right {
    fn new(verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> Self {
        let (resource, subresource) = match resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (resource, None),
        };
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource,
            namespace: namespace.map(str::to_owned),
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.verb, self.resource)?;
        if let Some(subresource) = &self.subresource {
            write!(formatter, "/{subresource}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(formatter, " in {namespace}"),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Object {
    kind: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
}

/// What the operator in namespace `own` needs to serve `namespaces` (none: all).
pub fn of_operator(own: &str, namespaces: &[String]) -> Result<Vec<Right>, Failure> {
    let mut rights = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(RBAC) {
        let object = Object::deserialize(document).map_err(|error| Failure::Embedded(error.to_string()))?;
        let served: Vec<Option<&str>> = match (object.kind.as_str(), namespaces) {
            // A Role is in the operator's own namespace.
            ("Role", _) => vec![Some(own)],
            (_, []) => vec![None],
            (_, some) => some.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        for rule in &object.rules {
            for (group, resource) in rule.api_groups.iter().flat_map(|g| rule.resources.iter().map(move |r| (g, r))) {
                let places = if CLUSTER_WIDE.contains(&resource.as_str()) { &[None][..] } else { &served };
                let verbs = rule.verbs.iter().flat_map(|verb| places.iter().map(move |place| (verb, place)));
                rights.extend(verbs.map(|(verb, place)| Right::new(verb, group, resource, *place)));
            }
        }
    }
    if !namespaces.is_empty() && !namespaces.iter().any(|namespace| namespace == own) {
        // The Secrets that ClusterOAuthProviders name.
        rights.extend(["get", "list", "watch"].map(|verb| Right::new(verb, "", "secrets", Some(own))));
    }
    Ok(rights)
}

/// What each command needs in `namespace` (None: in all), beside reading credentials.
pub fn of_commands(namespace: Option<&str>) -> Vec<(&'static str, Right)> {
    let ours = "oauth-operator.dev";
    [
        ("status", "list", ours, "oauthcredentials"),
        ("status", "get", ours, "oauthproviders"),
        ("status", "get", "", "secrets"),
        ("refresh", "patch", ours, "oauthcredentials"),
        ("refresh --wait", "watch", ours, "oauthcredentials"),
        ("revoke", "patch", ours, "oauthcredentials"),
        ("authorize", "create", "", "secrets"),
        ("authorize", "get", "", "secrets"),
        ("authorize", "delete", "", "secrets"),
        ("authorize --paste", "patch", "", "secrets"),
        ("prune", "list", "", "secrets"),
        ("prune", "delete", "", "secrets"),
    ]
    .into_iter()
    .map(|(command, verb, group, resource)| (command, Right::new(verb, group, resource, namespace)))
    .collect()
}
