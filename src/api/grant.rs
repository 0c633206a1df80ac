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
    /// The client asks for itself: no person, no refresh token (RFC 6749 section 4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<EmptyGrant>,
    /// A person consents once in a browser (RFC 6749 section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_code: Option<AuthorizationCodeGrant>,
    /// A person approves on another device (RFC 8628).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_code: Option<DeviceCodeGrant>,
    /// A signed assertion stands for the grant (RFC 7523 section 2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_bearer: Option<JwtBearerGrant>,
    /// One token is exchanged for another (RFC 8693).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_exchange: Option<TokenExchangeGrant>,
    /// A user's name and password, for servers that offer nothing else (RFC 6749 section 4.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordGrant>,
    /// Any other grant that is one request (RFC 6749 section 4.5).
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
    /// Redirect URI of the consent that the refresh token came from, sent on a refresh only where refreshRequest.mapping names
    /// redirect_uri. Default: none. Example: https://oauth.example.com/oauth/callback
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
    /// Where the server sends the person's browser, as registered there (RFC 6749 section 3.1.2). Default: the operator's
    /// --public-url + /oauth/callback. Example: https://oauth.example.com/oauth/callback
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "redirectURI")]
    pub redirect_uri: Option<UrlText>,
    /// Proof Key for Code Exchange (RFC 7636). Default: S256.
    #[serde(default)]
    pub pkce: Pkce,
    /// Who must have consented: claim `sub` of a verified ID token. Default: anyone. Example: robot@acme.example.com
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_subject: Option<ShortText>,
}

/// A person approves on another device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct DeviceCodeGrant {
    /// Who must have approved: claim `sub` of a verified ID token. Default: anyone. Example: robot@acme.example.com
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
    /// Private key that signs the assertion: PEM (PKCS#8, PKCS#1, SEC1), a JWK, or a JWK Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_secret_ref: Option<SecretKeyRef>,
    /// A ServiceAccount whose token is the assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountRef>,
    /// Header `kid` of the assertion; in a JWK Set, the key to use. Default: the JWK's own. Example: "2026-11"
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "keyID")]
    pub key_id: Option<NameText>,
    /// Algorithm of the signature (RFC 7518 section 3.1, RFC 8037). Default: by the key: RS256, ES256, ES384 or EdDSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_algorithm: Option<SigningAlgorithm>,
    /// Claim `iss`. Default: the client id. Example: robot@acme.iam.gserviceaccount.com
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<ShortText>,
    /// Claim `sub`. Default: the issuer. Example: alice@acme.example.com
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<ShortText>,
    /// Claim `aud`, a URL or any other name. Default: the token endpoint. Example: https://oauth2.googleapis.com/token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<ShortText>,
    /// How long the assertion is valid. Default: 5m. Example: 10m
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<DurationText>,
    /// Further claims. Default: none. Example: {scope: "https://www.googleapis.com/auth/drive.readonly"}
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::crd::free_form_object")]
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Another credential of the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CredentialRef {
    /// Name of the credential. Example: reports
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
    /// A ServiceAccount's token, new for each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountRef>,
    /// Another credential's access token; a new one there is exchanged at once.
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
    /// The token that says on whose behalf (RFC 8693 section 2.1).
    pub subject_token: SubjectToken,
    /// Type of subjectToken (RFC 8693 section 3). Example: urn:ietf:params:oauth:token-type:jwt
    pub subject_token_type: ShortText,
    /// The token of the acting party (RFC 8693 section 2.1). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token: Option<SubjectToken>,
    /// Type of actorToken (RFC 8693 section 3). Default: none. Example: urn:ietf:params:oauth:token-type:access_token
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token_type: Option<ShortText>,
    /// The type of token asked for (RFC 8693 section 3). Default: the server chooses. Example:
    /// urn:ietf:params:oauth:token-type:access_token
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
    /// What `grant_type` says. Example: account_credentials
    pub grant_type: ShortText,
}
