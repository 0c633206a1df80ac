//! The grants. `GrantSpec` is a struct of options, not an enum: CEL can then say which member is missing or too many.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DnsName, DurationText, NameText, SecretKeyRef, ServiceAccountRef, ShortText, SigningAlgorithm, UrlText};

/// How the first token is got: exactly one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.refreshToken), has(self.clientCredentials), has(self.authorizationCode), has(self.deviceCode), has(self.jwtBearer), has(self.tokenExchange), has(self.password), has(self.custom)].filter(x, x).size() == 1").message("grant takes exactly one of refreshToken, clientCredentials, authorizationCode, deviceCode, jwtBearer, tokenExchange, password and custom"),
)]
pub struct GrantSpec {
    /// A refresh token that is already in hand (RFC 6749 section 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<RefreshTokenGrant>,
    /// RFC 6749 section 4.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<EmptyGrant>,
    /// RFC 6749 section 4.1: a person consents once in a browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_code: Option<AuthorizationCodeGrant>,
    /// RFC 8628: a person approves on another device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_code: Option<DeviceCodeGrant>,
    /// RFC 7523 section 2.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_bearer: Option<JwtBearerGrant>,
    /// RFC 8693.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_exchange: Option<TokenExchangeGrant>,
    /// RFC 6749 section 4.3, for servers that offer nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordGrant>,
    /// Any other grant that is one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomGrant>,
}

/// A grant without settings of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmptyGrant {}

/// A refresh token that is already in hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefreshTokenGrant {
    /// The first refresh token: the seed. Read, never written; a new value there starts a new lineage.
    pub secret_ref: SecretKeyRef,
    /// Sent on a refresh only where refreshRequest.mapping names redirect_uri.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "redirectURI")]
    pub redirect_uri: Option<UrlText>,
}

/// Proof Key for Code Exchange (RFC 7636).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Pkce {
    #[default]
    S256,
    Disabled,
}

/// A person consents once in a browser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// A server-side apply of {} over something would else come to null.
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AuthorizationCodeGrant {
    /// Default: the operator's --public-url + /oauth/callback.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "redirectURI")]
    pub redirect_uri: Option<UrlText>,
    /// Default: S256.
    #[serde(default)]
    pub pkce: Pkce,
    /// Who must have consented, checked against a verified ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_subject: Option<ShortText>,
}

/// A person approves on another device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct DeviceCodeGrant {
    /// Who must have approved, checked against a verified ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_subject: Option<ShortText>,
}

/// A signed assertion stands for the grant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.privateKeySecretRef), has(self.serviceAccountRef)].filter(x, x).size() == 1").message("jwtBearer takes exactly one of privateKeySecretRef and serviceAccountRef"),
    validation = Rule::new("!has(self.signingAlgorithm) || !self.signingAlgorithm.startsWith('HS')").message("jwtBearer signs with a private key: set signingAlgorithm to one of RS, PS or ES, or to EdDSA, or leave it out"),
)]
pub struct JwtBearerGrant {
    /// Private key (PEM or JWK) that signs the assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret_ref: Option<SecretKeyRef>,
    /// A ServiceAccount whose token is the assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountRef>,
    /// Header `kid`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "keyID")]
    pub key_id: Option<NameText>,
    /// Algorithm of the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_algorithm: Option<SigningAlgorithm>,
    /// Claim `iss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<ShortText>,
    /// Claim `sub`; default: the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<ShortText>,
    /// Claim `aud`, a URL or any other name; default: the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<ShortText>,
    /// How long the assertion is valid. Default: 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<DurationText>,
    /// Further claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::crd::free_form_object")]
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Another credential of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialRef {
    /// Its name.
    pub name: DnsName,
}

/// Where a token to exchange comes from: exactly one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.secretRef), has(self.serviceAccountRef), has(self.credentialRef)].filter(x, x).size() == 1").message("a token to exchange comes from exactly one of secretRef, serviceAccountRef and credentialRef"),
)]
pub struct SubjectToken {
    /// A token kept in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// A ServiceAccount's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountRef>,
    /// Another credential's access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_ref: Option<CredentialRef>,
}

/// Exchanges one token for another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.actorToken) == has(self.actorTokenType)").message("actorToken and actorTokenType go together (RFC 8693 section 2.1): set both or neither"),
)]
pub struct TokenExchangeGrant {
    /// The token that says on whose behalf.
    pub subject_token: SubjectToken,
    /// Its type (RFC 8693 section 3).
    pub subject_token_type: ShortText,
    /// The token of the acting party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token: Option<SubjectToken>,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token_type: Option<ShortText>,
    /// The type of token asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_token_type: Option<ShortText>,
}

/// A user's name and password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordGrant {
    /// The user's name.
    pub username_secret_ref: SecretKeyRef,
    /// The user's password.
    pub password_secret_ref: SecretKeyRef,
}

/// Any other grant that is one request; its parameters are the provider's and the credential's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomGrant {
    /// What `grant_type` says.
    pub grant_type: ShortText,
}
