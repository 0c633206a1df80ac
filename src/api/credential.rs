//! `OAuthCredential`: what a workload team writes.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClientSpec, DnsName, DurationText, GrantSpec, LongText, OAuthCredentialStatus, Parameter, ProviderSpec, ShortText,
    TemplateText,
};

/// CEL: what a credential's parameters may not set.
const OWN_PARAMETERS: &str = "self.all(p, !(p.name in ['grant_type', 'refresh_token', 'redirect_uri']) && !p.name.startsWith('client_') && !p.name.startsWith('code') && !p.name.startsWith('assertion'))";
const OWN_PARAMETERS_SENTENCE: &str = "parameters may not set grant_type, client_*, code*, refresh_token, redirect_uri or assertion*: those follow from client and grant";

/// CEL: which labels and annotations an output may not bear.
const RESERVED_PREFIXES: &str = "self.all(k, k == '' || !(k.startsWith('oauth-operator.dev/') || k.startsWith('argocd.argoproj.io/') || k.split('/', 2)[0].endsWith('kubernetes.io') && k.contains('/') || k.split('/', 2)[0].endsWith('k8s.io') && k.contains('/')))";

/// Kinds of provider that a credential can refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProviderKind {
    #[default]
    OAuthProvider,
    ClusterOAuthProvider,
}

/// A provider that is kept as an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderRef {
    /// Kind of the object. Default: OAuthProvider, of the same namespace.
    #[serde(default)]
    pub kind: ProviderKind,
    /// Name of the object. Example: hover
    pub name: DnsName,
}

/// When to refresh. Default: with a third of the lifetime left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.before) && has(self.beforePercent))").message("refresh.before and refresh.beforePercent exclude each other: keep one"))]
pub struct RefreshSpec {
    /// This long before the expiry; at half of the lifetime, where that is no longer than this. Default: a third of the
    /// lifetime. Example: 15m
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<DurationText>,
    /// With this share of the lifetime left, in percent. Default: a third, or what before says. Example: 20
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 90))]
    pub before_percent: Option<u8>,
}

/// What becomes of the output Secret when the credential goes, or names another Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
}

/// The output Secret: what workloads mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.name) || !(self.name.endsWith('-oauth-state') || self.name.endsWith('-oauth-consent'))").message("secret.name may not end in -oauth-state or -oauth-consent: those names are the operator's own"),
    validation = Rule::new("!has(self.type) || self.type != 'kubernetes.io/dockerconfigjson' || (has(self.template) && '.dockerconfigjson' in self.template)").message("a kubernetes.io/dockerconfigjson Secret needs the key .dockerconfigjson: add it to secret.template"),
    validation = Rule::new("!has(self.type) || self.type != 'kubernetes.io/basic-auth' || (has(self.template) && ('username' in self.template || 'password' in self.template))").message("a kubernetes.io/basic-auth Secret needs the key username or password: add one to secret.template"),
)]
pub struct SecretSpec {
    /// Name of the Secret. Default: <credential>-token. Example: hover-access
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<DnsName>,
    /// Type of the Secret: Opaque, kubernetes.io/basic-auth, kubernetes.io/dockerconfigjson, or one that the operator's
    /// --allow-secret-type adds. Default: Opaque. Example: kubernetes.io/dockerconfigjson
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "type")]
    pub type_: Option<ShortText>,
    /// Labels to set; those of others stay. Default: none. Example: {team: reports}
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(
        validation = Rule::new(RESERVED_PREFIXES).message("labels of Kubernetes, Argo CD and oauth-operator.dev can't be set here: they can turn a Secret into another system's credentials"),
        validation = Rule::new("self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))").message("a key of secret.labels is at most 63 letters, digits, -, _ and ., perhaps after a DNS name and /"),
    )]
    pub labels: BTreeMap<String, super::provider::LabelValue>,
    /// Annotations to set; those of others stay. Default: none. Example: {owner: reports@example.com}
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    #[x_kube(
        validation = Rule::new(RESERVED_PREFIXES).message("annotations of Kubernetes, Argo CD and oauth-operator.dev can't be set here: they can turn a Secret into another system's credentials"),
        validation = Rule::new("self.all(k, k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))").message("a key of secret.annotations is at most 63 letters, digits, -, _ and ., perhaps after a DNS name and /"),
    )]
    pub annotations: BTreeMap<String, LongText>,
    /// What becomes of the Secret when the credential goes, or names another Secret. Default: Delete.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// One template a key, in Jinja syntax, which sees access_token, token_type, expires_at, scope, id_token, response, tokens and
    /// credential. Default: the keys access_token, token_type, expires_at and scope. Example: {token: "{{ access_token }}"}
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[-._a-zA-Z0-9]{1,253}$') && k != '.' && !k.startsWith('..'))").message("a key of secret.template is a key of the Secret: letters, digits, -, _ and . only, neither . alone nor beginning with .."))]
    pub template: BTreeMap<String, TemplateText>,
}

/// One more access token from the same refresh token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct AdditionalToken {
    /// Names the token: its output key is <name>.access_token, in templates it is tokens.<name>.access_token. Example: graph
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z]([a-z0-9_]*[a-z0-9])?$"))]
    pub name: String,
    /// Scopes to ask for (RFC 6749 section 6). Default: none, which leaves them to the server. Example: [graph.read]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub scopes: Vec<ShortText>,
    /// Parameters to add, such as audience, or resource (RFC 8707). Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new(OWN_PARAMETERS).message(OWN_PARAMETERS_SENTENCE))]
    pub parameters: Vec<Parameter>,
}

/// Kinds of workload that can be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

impl WorkloadKind {
    /// As manifests have it.
    pub fn name(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
            WorkloadKind::DaemonSet => "DaemonSet",
        }
    }

    /// The resource, as URLs and RBAC have it.
    pub fn plural(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "deployments",
            WorkloadKind::StatefulSet => "statefulsets",
            WorkloadKind::DaemonSet => "daemonsets",
        }
    }
}

/// A workload to restart after a new token, for those that can't reread the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RolloutTarget {
    /// Kind of the workload.
    pub kind: WorkloadKind,
    /// Name of the workload, of the same namespace. Example: reports
    pub name: DnsName,
}

/// Whether tokens are revoked (RFC 7009) when the credential is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RevocationPolicy {
    #[default]
    Never,
    OnDelete,
}

/// Which token is wanted, from where, and where it is written.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "oauth-operator.dev",
    version = "v1alpha1",
    kind = "OAuthCredential",
    namespaced,
    status = "OAuthCredentialStatus",
    shortname = "oauthcred",
    shortname = "oac",
    category = "oauth",
    doc = "An OAuth 2.0 access token that is kept fresh in a Secret.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("metadata.name of an OAuthCredential has at most 63 characters, since it is a label value on the Secrets it makes"),
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".status.expirationTime"}"#,
    printcolumn = r#"{"name":"Next Refresh","type":"string","jsonPath":".status.nextRefreshTime"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Provider","type":"string","jsonPath":".spec.providerRef.name","priority":1}"#,
    printcolumn = r#"{"name":"Secret","type":"string","jsonPath":".status.secret.name","priority":1}"#,
    printcolumn = r#"{"name":"Revision","type":"integer","jsonPath":".status.revision","priority":1}"#
)]
#[x_kube(
    validation = Rule::new("has(self.provider) != has(self.providerRef)").message("a credential takes exactly one of provider (inline) and providerRef"),
    validation = Rule::new("!has(self.provider) || !has(self.provider.client)").message("an inline provider has no client: write spec.client instead of spec.provider.client"),
    validation = Rule::new("!has(self.additionalTokens) || !has(self.provider) || !has(self.provider.refreshTokens) || !has(self.provider.refreshTokens.revokesAccessToken) || !self.provider.refreshTokens.revokesAccessToken").message("additionalTokens can't be had from a provider with refreshTokens.revokesAccessToken: each refresh would kill the token before"),
    validation = Rule::new("!has(self.revocationPolicy) || self.revocationPolicy == 'Never' || has(self.grant.refreshToken) || has(self.grant.authorizationCode) || has(self.grant.deviceCode) || has(self.grant.password)").message("revocationPolicy OnDelete revokes what the operator keeps, and for this grant it keeps nothing: leave it out"),
    validation = Rule::new("!has(self.additionalTokens) || self.additionalTokens.size() == 0 || has(self.grant.refreshToken) || has(self.grant.authorizationCode) || has(self.grant.deviceCode) || has(self.grant.password)").message("additionalTokens come from one refresh token, which this grant has not: write a credential for each token instead"),
)]
pub struct OAuthCredentialSpec {
    /// How the token server speaks, inline. Exactly one of provider and providerRef is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderSpec>,
    /// How the token server speaks, in an object of its own. Exactly one of provider and providerRef is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<ProviderRef>,
    /// The OAuth client (RFC 6749 section 2). Default: the one that the provider carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientSpec>,
    /// How the first token is got: exactly one member.
    pub grant: GrantSpec,
    /// Scopes to ask for (RFC 6749 section 3.3). Default: none, which leaves them to the server. Example: [reports.read]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub scopes: Vec<ShortText>,
    /// Parameters to add to the first request, in this order; a name may repeat (RFC 8707). Not sent on refreshes.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    #[x_kube(validation = Rule::new(OWN_PARAMETERS).message(OWN_PARAMETERS_SENTENCE))]
    pub parameters: Vec<Parameter>,
    /// When to refresh. Default: with a third of the lifetime left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshSpec>,
    /// The output Secret, which workloads mount. Default: an Opaque one named <credential>-token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSpec>,
    /// More access tokens from the same refresh token. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub additional_tokens: Vec<AdditionalToken>,
    /// Workloads to restart after a new token, for those that can't reread the file. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub rollout_restart: Vec<RolloutTarget>,
    /// Whether tokens are revoked (RFC 7009) when the credential is deleted. Default: Never.
    #[serde(default)]
    pub revocation_policy: RevocationPolicy,
    /// Whether to send no request, until this is false again; what is published stays. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// What the name of a credential's output Secret ends with, where `spec.secret.name` gives it no other.
pub const OUTPUT_SUFFIX: &str = "-token";

impl OAuthCredentialSpec {
    /// The name of the output Secret of the credential `credential`.
    pub fn output_name(&self, credential: &str) -> String {
        let named = self.secret.as_ref().and_then(|secret| secret.name.as_ref());
        named.map_or_else(|| format!("{credential}{OUTPUT_SUFFIX}"), |name| name.0.clone())
    }
}
