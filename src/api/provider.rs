//! How a token server speaks: `OAuthProvider`, `ClusterOAuthProvider`, and the inline form in a credential.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ClientSpec, DurationOrNever, DurationText, Parameter, RequestSpec, ResponseSpec, SecretKeyRef, ShortText, UrlText,
};

#[cfg(test)]
mod tests;

/// Endpoints of the server. They override discovered ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Authorization endpoint (RFC 6749 section 3.1). Default: discovered. Example: https://idp.example.com/oauth/authorize
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<UrlText>,
    /// Token endpoint (RFC 6749 section 3.2). Default: discovered. Example: https://idp.example.com/oauth/token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<UrlText>,
    /// Where refreshes go. Default: the token endpoint. Example: https://idp.example.com/oauth/renew
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<UrlText>,
    /// Revocation endpoint (RFC 7009). Default: discovered. Example: https://idp.example.com/oauth/revoke
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<UrlText>,
    /// Device authorization endpoint (RFC 8628). Default: discovered. Example: https://idp.example.com/oauth/device
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization: Option<UrlText>,
    /// Pushed authorization request endpoint (RFC 9126). Default: none, or the discovered one where the server
    /// requires it. Example: https://idp.example.com/oauth/par
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_authorization_request: Option<UrlText>,
    /// The server's keys (RFC 7517), which verify ID tokens. Default: discovered. Example: https://idp.example.com/oauth/keys
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<UrlText>,
}

/// How several scopes become one parameter: a string joined by scopeSeparator, or an array, for JSON bodies. Default: String.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ScopeFormat {
    /// One string, joined by scopeSeparator.
    #[default]
    String,
    /// A JSON array, for JSON bodies.
    Array,
}

/// What the provider does with refresh tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefreshTokenPolicy {
    /// Whether a refresh token works once only. Default: true, the careful assumption.
    #[serde(default = "yes")]
    pub single_use: bool,
    /// How long the old refresh token still works after a refresh. Default: not at all. Example: 30s
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_grace_period: Option<DurationText>,
    /// Whether that grace ends when the new access token is first used. Default: false.
    #[serde(default)]
    pub grace_ends_on_use: bool,
    /// How long after issue the provider refuses a refresh. Default: not at all. Example: 9m30s
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_refresh: Option<DurationText>,
    /// Whether a refresh kills the previous access token at once. Default: false.
    #[serde(default)]
    pub revokes_access_token: bool,
    /// The refresh token dies when unused this long. Default: never. Example: 720h
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_lifetime: Option<DurationText>,
    /// The refresh token dies this long after consent in any case. Default: never. Example: 8760h
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<DurationText>,
}

fn yes() -> bool {
    true
}

impl Default for RefreshTokenPolicy {
    fn default() -> Self {
        Self {
            single_use: true,
            reuse_grace_period: None,
            grace_ends_on_use: false,
            earliest_refresh: None,
            revokes_access_token: false,
            idle_lifetime: None,
            lifetime: None,
        }
    }
}

/// Which certificates the server may show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.caSecretRef), has(self.caConfigMapRef)].filter(x, x).size() == 1").message("tls takes exactly one of caSecretRef and caConfigMapRef"),
)]
pub struct TlsSpec {
    /// PEM certificates of the authorities to trust, instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyRef>,
    /// The same, in a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<SecretKeyRef>,
}

/// How many token requests the provider allows, over all credentials that use this provider object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RateLimit {
    /// Number of requests. Example: 10
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests: u32,
    /// The time in which so many are allowed. Example: 1m
    pub per: DurationText,
    /// How many may go at once. Default: requests. Example: 4
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
}

/// What is added to authorization requests (RFC 6749 section 4.1.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorizationRequestSpec {
    /// Parameters to add. Default: none.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub parameters: Vec<Parameter>,
}

/// CEL: where requests go must be known.
const TOKEN_ENDPOINT: &str = "has(self.issuer) || (has(self.endpoints) && has(self.endpoints.token))";
const TOKEN_ENDPOINT_SENTENCE: &str = "a provider needs issuer (endpoints are then discovered) or endpoints.token";

/// Declares the fields that every kind of provider has, once, and the specs of the kinds around them: serde's flatten
/// would lose the fields' own schema.
macro_rules! provider_spec {
    ($(#[$attr:meta])* $name:ident { $($(#[$field_attr:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$attr])*
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Issuer identifier (OpenID Connect Discovery, RFC 8414): endpoints that aren't given are discovered.
            /// Default: none, and endpoints.token is required. Example: https://idp.example.com
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub issuer: Option<UrlText>,
            /// Endpoints, which override discovered ones. Default: all are discovered.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub endpoints: Option<Endpoints>,
            /// A shared client, or only the way in which clients authenticate here. Default: none, and each credential has its own.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub client: Option<ClientSpec>,
            /// What joins several scopes. Default: one space (RFC 6749 section 3.3). Example: ","
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = 4))]
            pub scope_separator: Option<String>,
            /// How several scopes become one parameter: a string, or an array, for JSON bodies. Default: String.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub scope_format: Option<ScopeFormat>,
            /// What is added to authorization requests (RFC 6749 section 4.1.1). Default: nothing.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub authorization_request: Option<AuthorizationRequestSpec>,
            /// The shape of a token request. Default: that of RFC 6749.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub token_request: Option<RequestSpec>,
            /// Overrides tokenRequest field by field, for refreshes only. A list replaces the whole list. Default: as tokenRequest.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub refresh_request: Option<RequestSpec>,
            /// The shape of a token reply. Default: that of RFC 6749 section 5.1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub token_response: Option<ResponseSpec>,
            /// Overrides tokenResponse field by field, for refreshes only. A list replaces the whole list. Default: as tokenResponse.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub refresh_response: Option<ResponseSpec>,
            /// An access token's lifetime when the reply names none; Never for one that doesn't expire. Default: 1h.
            /// Example: 12h
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub default_lifetime: Option<DurationOrNever>,
            /// The longest lifetime that is believed, whatever a reply says. Default: none. Example: 12h
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub max_lifetime: Option<DurationText>,
            /// What the provider does with refresh tokens. Default: each works once, and nothing else is known.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub refresh_tokens: Option<RefreshTokenPolicy>,
            /// Which certificates the server may show. Default: the system's authorities.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub tls: Option<TlsSpec>,
            /// How many token requests the provider allows, over all credentials that use this object. Default: no limit.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub rate_limit: Option<RateLimit>,
            $($(#[$field_attr])* pub $field: $type,)*
        }
    };
}

provider_spec! {
    /// How a token server speaks.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
    #[x_kube(validation = Rule::new(TOKEN_ENDPOINT).message(TOKEN_ENDPOINT_SENTENCE))]
    ProviderSpec {}
}

provider_spec! {
    /// How a token server speaks, for credentials of the same namespace.
    #[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
    #[kube(
        group = "oauth-operator.dev",
        version = "v1alpha1",
        kind = "OAuthProvider",
        namespaced,
        category = "oauth",
        doc = "How an OAuth 2.0 token server speaks, for the credentials of its namespace.",
        printcolumn = r#"{"name":"Issuer","type":"string","jsonPath":".spec.issuer"}"#,
        printcolumn = r#"{"name":"Token Endpoint","type":"string","jsonPath":".spec.endpoints.token"}"#,
        printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
    )]
    #[x_kube(validation = Rule::new(TOKEN_ENDPOINT).message(TOKEN_ENDPOINT_SENTENCE))]
    OAuthProviderSpec {}
}

provider_spec! {
    /// How a token server speaks, for credentials of many namespaces.
    #[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
    #[kube(
        group = "oauth-operator.dev",
        version = "v1alpha1",
        kind = "ClusterOAuthProvider",
        category = "oauth",
        doc = "How an OAuth 2.0 token server speaks, for the credentials of every namespace that it allows. The Secrets it names are read from the operator's own namespace.",
        printcolumn = r#"{"name":"Issuer","type":"string","jsonPath":".spec.issuer"}"#,
        printcolumn = r#"{"name":"Token Endpoint","type":"string","jsonPath":".spec.endpoints.token"}"#,
        printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
    )]
    #[x_kube(
        validation = Rule::new(TOKEN_ENDPOINT).message(TOKEN_ENDPOINT_SENTENCE),
        validation = Rule::new("has(self.allowedNamespaces) || !has(self.client) || !(has(self.client.id) || has(self.client.idSecretRef) || has(self.client.secretRef) || has(self.client.privateKeySecretRef) || has(self.client.certificateSecretRef) || has(self.client.serviceAccountRef))").message("this provider carries client material: say in allowedNamespaces which namespaces may use it ({} for all)"),
        validation = Rule::new("has(self.allowedNamespaces) || !has(self.tokenRequest) || !((has(self.tokenRequest.parameters) && self.tokenRequest.parameters.exists(p, has(p.valueSecretRef))) || (has(self.tokenRequest.headers) && self.tokenRequest.headers.exists(h, has(h.valueSecretRef))))").message("this provider names a Secret in valueSecretRef: say in allowedNamespaces which namespaces may use it ({} for all)"),
        validation = Rule::new("has(self.allowedNamespaces) || !has(self.refreshRequest) || !((has(self.refreshRequest.parameters) && self.refreshRequest.parameters.exists(p, has(p.valueSecretRef))) || (has(self.refreshRequest.headers) && self.refreshRequest.headers.exists(h, has(h.valueSecretRef))))").message("this provider names a Secret in valueSecretRef: say in allowedNamespaces which namespaces may use it ({} for all)"),
        validation = Rule::new("has(self.allowedNamespaces) || !has(self.authorizationRequest) || !((has(self.authorizationRequest.parameters) && self.authorizationRequest.parameters.exists(p, has(p.valueSecretRef))))").message("this provider names a Secret in valueSecretRef: say in allowedNamespaces which namespaces may use it ({} for all)"),
    )]
    ClusterOAuthProviderSpec {
        /// Which namespaces may use this provider. Required where the provider carries client material or any valueSecretRef.
        /// Default: all. Example: {matchLabels: {team: reports}}
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allowed_namespaces: Option<NamespaceSelector>,
        /// Private, loopback or otherwise internal ranges (CIDR) in which this provider's endpoints may lie, beside public
        /// addresses. Link-local and metadata addresses can't be allowed. Default: none. Example: [10.0.0.0/8]
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16), inner(length(min = 3, max = 64)))]
        #[x_kube(validation = Rule::new("self.all(range, isCIDR(range))").message("allowedAddresses takes CIDR ranges, such as 10.0.0.0/8 or fd00::/8"))]
        allowed_addresses: Vec<String>,
    }
}

/// The fields that every kind of provider has, taken out of a kind's spec.
macro_rules! into_provider_spec {
    ($($name:ident),*) => { $(
        impl From<$name> for ProviderSpec {
            fn from(spec: $name) -> Self {
                Self {
                    issuer: spec.issuer,
                    endpoints: spec.endpoints,
                    client: spec.client,
                    scope_separator: spec.scope_separator,
                    scope_format: spec.scope_format,
                    authorization_request: spec.authorization_request,
                    token_request: spec.token_request,
                    refresh_request: spec.refresh_request,
                    token_response: spec.token_response,
                    refresh_response: spec.refresh_response,
                    default_lifetime: spec.default_lifetime,
                    max_lifetime: spec.max_lifetime,
                    refresh_tokens: spec.refresh_tokens,
                    tls: spec.tls,
                    rate_limit: spec.rate_limit,
                }
            }
        }
    )* };
}

into_provider_spec!(OAuthProviderSpec, ClusterOAuthProviderSpec);

/// A label selector over namespaces (metav1.LabelSelector).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// As metav1.LabelSelector is. A server-side apply of {} over something would else come to null.
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct NamespaceSelector {
    /// Labels the namespace must have. Default: none. Example: {team: reports}
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, LabelValue>,
    /// Further requirements; all must hold. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A label's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct LabelValue(
    #[schemars(length(max = 63), regex(pattern = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"))] pub String,
);

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)").message("a matchExpression's values go with its operator: In and NotIn need values, Exists and DoesNotExist take none"))]
pub struct SelectorRequirement {
    /// Key of the label. Example: team
    pub key: ShortText,
    /// How the values relate to the label.
    pub operator: SelectorOperator,
    /// Values, for In and NotIn. Default: none. Example: [reports, billing]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub values: Vec<LabelValue>,
}

/// metav1's operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl NamespaceSelector {
    /// Whether a namespace with these labels is selected (the semantics of metav1.LabelSelector).
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let has_all = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(&value.0));
        has_all
            && self.match_expressions.iter().all(|requirement| {
                let label = labels.get(&*requirement.key);
                let listed = label.is_some_and(|label| requirement.values.iter().any(|value| &value.0 == label));
                match requirement.operator {
                    SelectorOperator::In => listed,
                    SelectorOperator::NotIn => !listed,
                    SelectorOperator::Exists => label.is_some(),
                    SelectorOperator::DoesNotExist => label.is_none(),
                }
            })
    }
}
