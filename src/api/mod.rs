//! The three resources: serde types, their schema with its CEL rules, and the conditions in status.
//!
//! Nothing here decides or does anything. What these types mean is in `docs/` and in the field descriptions, which
//! become the CRDs' own documentation (`kubectl explain oauthcredential.spec`).

mod client;
mod conditions;
pub mod crd;
mod credential;
mod grant;
mod provider;
mod request;
mod response;
mod status;
mod text;

pub use client::{AssertionSpec, BasicEncoding, ClientAuthentication, ClientSpec, ServiceAccountRef, SigningAlgorithm};
pub use conditions::{Condition, ConditionStatus, ConditionType, Reason};
pub use credential::{
    AdditionalToken, DeletionPolicy, OAuthCredential, OAuthCredentialSpec, OUTPUT_SUFFIX, ProviderKind, ProviderRef,
    RefreshSpec, RevocationPolicy, RolloutTarget, SecretSpec, WorkloadKind,
};
pub use grant::{
    AuthorizationCodeGrant, CredentialRef, CustomGrant, DeviceCodeGrant, EmptyGrant, GrantSpec, JwtBearerGrant,
    PasswordGrant, Pkce, RefreshTokenGrant, SubjectToken, TokenExchangeGrant,
};
pub use provider::{
    AuthorizationRequestSpec, ClusterOAuthProvider, ClusterOAuthProviderSpec, Endpoints, NamespaceSelector,
    OAuthProvider, OAuthProviderSpec, ProviderSpec, RateLimit, RefreshTokenPolicy, ScopeFormat, TlsSpec,
};
pub use request::{Encoding, Header, Mapping, Method, Parameter, ParameterLocation, Placement, RequestSpec};
pub use response::{ExpiryUnit, ResponseEncoding, ResponseSpec, SuccessSpec};
pub use status::{
    AdditionalTokenStatus, AuthorizationFailure, AuthorizationStatus, AuthorizedBy, OAuthCredentialStatus,
    RevocationStatus, RolloutRestartStatus, SecretStatus,
};
pub use text::{
    DnsName, DurationOrNever, DurationText, JsonPathText, LongText, NameText, SecretKeyRef, SecretRef, ShortText,
    TemplateText, UrlText,
};

/// The API group of all our resources, and the prefix of our labels and annotations.
pub const GROUP: &str = "oauth-operator.dev";
/// The field manager of every write this operator makes.
pub const FIELD_MANAGER: &str = "oauth-operator";
/// Label on every Secret the operator owns: the name of its credential.
pub const CREDENTIAL_LABEL: &str = "oauth-operator.dev/credential";
/// Annotation on a credential: an RFC 3339 time; each new value asks for one refresh.
pub const REFRESH_REQUESTED_AT: &str = "oauth-operator.dev/refresh-requested-at";
/// Annotation on a credential: an RFC 3339 time; each new value has what the operator keeps revoked, once.
pub const REVOKE_REQUESTED_AT: &str = "oauth-operator.dev/revoke-requested-at";
/// Finalizer of a credential whose tokens are revoked when it is deleted.
pub const FINALIZER: &str = "oauth-operator.dev/revoke";
/// Of a ServiceAccount: the audiences, with commas between, for which credentials may have tokens of it.
pub const ALLOWED_AUDIENCES: &str = "oauth-operator.dev/allowed-audiences";
