//! The OAuth client: its identity, how it proves that identity, and with what.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DurationText, NameText, SecretKeyRef, SecretRef, ShortText};

/// How the client authenticates at the token endpoint: the IANA registry's names (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    ClientSecretBasic,
    ClientSecretPost,
    ClientSecretJwt,
    PrivateKeyJwt,
    TlsClientAuth,
    SelfSignedTlsClientAuth,
    None,
}

/// How id and secret are encoded before they are joined for client_secret_basic: form-encoded first (RFC 6749 section 2.3.1), or raw,
/// as many servers expect. Default: Form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BasicEncoding {
    /// application/x-www-form-urlencoded first, as RFC 6749 section 2.3.1 says.
    #[default]
    Form,
    /// As they are, which many servers expect.
    Raw,
}

/// JWS algorithms (RFC 7518 section 3.1, RFC 8037). Of those registered, ES512 is missing: no P-521 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::upper_case_acronyms)]
pub enum SigningAlgorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// A ServiceAccount of the same namespace whose token serves as an assertion. Its annotation
/// `oauth-operator.dev/allowed-audiences` must list every audience asked for here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ServiceAccountRef {
    /// Name of the ServiceAccount, of the same namespace. Example: reports
    pub name: super::DnsName,
    /// Audiences of the token: one to four, never the API server's own. Example: ["api://AzureADTokenExchange"]
    #[schemars(length(min = 1, max = 4))]
    pub audiences: Vec<ShortText>,
}

/// What a client assertion says (RFC 7523 section 3). Ignored by methods without a JWT.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssertionSpec {
    /// Claim `iss`. Default: the client id. Example: acme
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<ShortText>,
    /// Claim `aud`, a URL or any other name. Default: the token endpoint. Example: https://idp.example.com
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<ShortText>,
    /// How long the assertion is valid. Default: 5m. Example: 1m
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<DurationText>,
    /// Further claims. Those with a field of their own (iss, aud), and sub, iat, exp and jti, can't be set here. Default: none.
    /// Example: {tenant: acme}
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::crd::free_form_object")]
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
    /// Whether the header bears `x5t#S256`, the SHA-256 thumbprint of the certificate in certificateSecretRef (RFC 7515 section
    /// 4.1.8). Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub certificate_thumbprint: bool,
}

/// The OAuth client. Its material (id, secret, key, certificate, ServiceAccount) comes whole from the provider or whole
/// from the credential, never mixed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.id) && has(self.idSecretRef))").message("client.id and client.idSecretRef exclude each other: keep one"),
    validation = Rule::new("!has(self.fallbackSecretRefs) || has(self.secretRef)").message("client.fallbackSecretRefs needs client.secretRef: name the current secret there"),
    validation = Rule::new("!(has(self.privateKeySecretRef) && has(self.serviceAccountRef))").message("client.privateKeySecretRef and client.serviceAccountRef exclude each other: keep the one that signs the assertion"),
    validation = Rule::new("!has(self.keyID) || has(self.privateKeySecretRef)").message("client.keyID names a key: set client.privateKeySecretRef too"),
    validation = Rule::new("!has(self.signingAlgorithm) || !has(self.authentication) || self.authentication != 'client_secret_jwt' || self.signingAlgorithm.startsWith('HS')").message("client_secret_jwt signs with the client secret: set client.signingAlgorithm to HS256, HS384 or HS512, or leave it out"),
    validation = Rule::new("!has(self.signingAlgorithm) || !has(self.authentication) || self.authentication != 'private_key_jwt' || !self.signingAlgorithm.startsWith('HS')").message("private_key_jwt signs with a private key: set client.signingAlgorithm to one of RS, PS or ES, or to EdDSA, or leave it out"),
)]
pub struct ClientSpec {
    /// The client id (RFC 6749 section 2.2). Default: that of idSecretRef, or of the provider. Example: reports
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ShortText>,
    /// The client id, when it is kept in a Secret. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_secret_ref: Option<SecretKeyRef>,
    /// The client secret (RFC 6749 section 2.3.1). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Further client secrets, tried in order when the server answers invalid_client, so that a secret is replaced without a
    /// gap. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub fallback_secret_refs: Vec<SecretKeyRef>,
    /// How the client authenticates (RFC 7591 section 2). Default: by what there is: client_secret_basic with a secret, private_key_jwt
    /// with a key or ServiceAccount, tls_client_auth with a certificate, else none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<ClientAuthentication>,
    /// How id and secret are encoded for client_secret_basic (RFC 6749 section 2.3.1). Default: Form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_encoding: Option<BasicEncoding>,
    /// Private key that signs the client's assertions (RFC 7523): PEM (PKCS#8, PKCS#1, SEC1), a JWK, or a JWK Set.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret_ref: Option<SecretKeyRef>,
    /// Header `kid` of the assertion; in a JWK Set, the key to use. Default: the JWK's own. Example: "2026-11"
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "keyID")]
    pub key_id: Option<NameText>,
    /// Algorithm of the assertion (RFC 7518 section 3.1, RFC 8037). Default: HS256 with a secret, else by the key: RS256, ES256, ES384 or EdDSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_algorithm: Option<SigningAlgorithm>,
    /// A kubernetes.io/tls Secret with the client's certificate and key (RFC 8705). Goes with any authentication. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_secret_ref: Option<SecretRef>,
    /// A ServiceAccount whose token is the client assertion (RFC 7523 section 2.2): no key has to be kept. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountRef>,
    /// What the client assertion says, for client_secret_jwt and private_key_jwt. Default: what RFC 7523 section 3 asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<AssertionSpec>,
}

impl ClientSpec {
    /// Whether this names any client material, as opposed to only the way of authenticating.
    pub fn has_material(&self) -> bool {
        self.id.is_some()
            || self.id_secret_ref.is_some()
            || self.secret_ref.is_some()
            || self.private_key_secret_ref.is_some()
            || self.certificate_secret_ref.is_some()
            || self.service_account_ref.is_some()
    }
}
