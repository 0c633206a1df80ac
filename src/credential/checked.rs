//! A checked credential: everything that a spec and its provider say, in types that can't be wrong. Only `validate` makes
//! one. Secret values aren't in it: it names them, and `request` fills them in.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ipnet::IpNet;
use url::Url;

use super::decide::Rules;
use crate::{
    api::{BasicEncoding, ParameterLocation, RateLimit, RolloutTarget, SecretKeyRef, SecretRef, SigningAlgorithm},
    oauth::{
        reply::ReplyShape,
        request::{Authentication, RequestShape},
        values::SecretText,
    },
    template::Template,
};

/// What holds an input value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputKind {
    Secret,
    /// Of authorities only, which are no secret.
    ConfigMap,
}

/// One key of a Secret or ConfigMap, with its namespace: where an input value is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputRef {
    pub kind: InputKind,
    pub namespace: Arc<str>,
    pub name: String,
    pub key: String,
}

impl InputRef {
    /// A key of a Secret.
    pub fn secret(namespace: &Arc<str>, key: &SecretKeyRef) -> Self {
        Self::of(InputKind::Secret, namespace, key)
    }

    /// A key of a ConfigMap.
    pub fn config_map(namespace: &Arc<str>, key: &SecretKeyRef) -> Self {
        Self::of(InputKind::ConfigMap, namespace, key)
    }

    fn of(kind: InputKind, namespace: &Arc<str>, key: &SecretKeyRef) -> Self {
        Self { kind, namespace: namespace.clone(), name: key.name.0.clone(), key: key.key.0.clone() }
    }
}

/// The input values of one credential.
pub type InputValues = BTreeMap<InputRef, SecretText>;

/// A text that is in the spec or in a Secret.
#[derive(Clone, Debug)]
pub enum TextSource {
    Literal(SecretText),
    Input(InputRef),
}

/// A parameter's value.
#[derive(Clone, Debug)]
pub enum ValueSource {
    Text(TextSource),
    Json(serde_json::Value),
}

/// A parameter to add to a request.
#[derive(Clone, Debug)]
pub struct ParameterSource {
    pub name: String,
    pub value: ValueSource,
    pub location: ParameterLocation,
}

/// A header's value.
#[derive(Clone, Debug)]
pub enum HeaderSource {
    Text(TextSource),
    Template(Template),
}

/// How a token is asked for: the shape, its secrets not yet filled in.
#[derive(Clone, Debug)]
pub struct RequestSource {
    /// None: the issuer's metadata, which will tell, haven't been read.
    pub url: Option<Url>,
    /// Without its headers and parameters.
    pub shape: RequestShape,
    pub headers: Vec<(http::HeaderName, HeaderSource)>,
    pub parameters: Vec<ParameterSource>,
    pub reply: ReplyShape,
}

/// An issuer whose metadata are read, and by which rules. Two that differ in any of these share nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Issuer {
    /// Exactly as its metadata must have it.
    pub identifier: String,
    pub ca: Option<InputRef>,
    pub allowed_addresses: Vec<IpNet>,
}

/// The OAuth client.
#[derive(Clone, Debug)]
pub struct ClientSource {
    pub id: Option<TextSource>,
    /// The current secret, then those to fall back on, which may be absent.
    pub secrets: Vec<InputRef>,
    pub signer: Option<Signer>,
    pub certificate: Option<CertificateSource>,
    /// What its assertion says.
    pub assertion: AssertionTerms,
    pub authentication: Authentication,
    pub basic_encoding: BasicEncoding,
}

/// What makes an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A private key.
    Key(InputRef),
    /// The cluster: the ServiceAccount's token is the assertion.
    ServiceAccount(ServiceAccountToken),
}

impl Signer {
    /// What is to be obtained instead of signing.
    pub fn service_account(&self) -> Option<&ServiceAccountToken> {
        match self {
            Self::ServiceAccount(account) => Some(account),
            Self::Key(_) => None,
        }
    }
}

/// A token to obtain from the cluster's own issuer, for these audiences.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccountToken {
    pub namespace: Arc<str>,
    pub name: String,
    /// Never empty, never the API server's own.
    pub audiences: Vec<String>,
}

/// A client certificate with its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSource {
    pub chain: InputRef,
    pub key: InputRef,
}

impl CertificateSource {
    /// As a kubernetes.io/tls Secret has it.
    pub fn of(namespace: &Arc<str>, secret: &SecretRef) -> Self {
        let key = |key: &str| {
            let name = secret.name.0.clone();
            InputRef { kind: InputKind::Secret, namespace: namespace.clone(), name, key: key.to_owned() }
        };
        Self { chain: key("tls.crt"), key: key("tls.key") }
    }
}

/// What the spec says of an assertion. Absent: what the method says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionTerms {
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub audience: Option<String>,
    pub lifetime: Duration,
    /// None of them is one that is made for each assertion.
    pub claims: serde_json::Map<String, serde_json::Value>,
    pub key_id: Option<String>,
    pub algorithm: Option<SigningAlgorithm>,
    /// Whether it bears the certificate's thumbprint.
    pub certificate_thumbprint: bool,
}

/// The grants that this version carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    RefreshToken {
        seed: InputRef,
        redirect_uri: Option<String>,
    },
    ClientCredentials,
    Password {
        username: InputRef,
        password: InputRef,
    },
    /// One request, with this grant_type.
    JwtBearer {
        signer: Signer,
        terms: AssertionTerms,
    },
    Custom {
        grant_type: String,
    },
    TokenExchange(Box<TokenExchange>),
    /// A person consents in a browser.
    AuthorizationCode {
        /// None: the response arrives where the client's registration says.
        redirect_uri: Option<String>,
        pkce: bool,
        expected_subject: Option<String>,
    },
    /// A person approves on another device.
    DeviceCode {
        expected_subject: Option<String>,
    },
}

impl Grant {
    /// Who must have consented.
    pub fn expected_subject(&self) -> Option<&str> {
        match self {
            Grant::AuthorizationCode { expected_subject, .. } | Grant::DeviceCode { expected_subject } => {
                expected_subject.as_deref()
            }
            _ => None,
        }
    }
}

impl Grant {
    /// The ServiceAccount tokens that its request bears.
    pub fn service_account_tokens(&self) -> impl Iterator<Item = &ServiceAccountToken> {
        let (signer, exchange) = match self {
            Self::JwtBearer { signer, .. } => (Some(signer), None),
            Self::TokenExchange(exchange) => (None, Some(exchange)),
            _ => (None, None),
        };
        let exchanged = exchange.into_iter().flat_map(|exchange| exchange.tokens());
        signer.and_then(Signer::service_account).into_iter().chain(exchanged.filter_map(TokenSource::service_account))
    }
}

/// RFC 8693 section 2.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenExchange {
    pub subject: TokenSource,
    pub subject_type: String,
    pub actor: Option<(TokenSource, String)>,
    pub requested_type: Option<String>,
}

/// Where a token to exchange comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    Input(InputRef),
    /// New for each request.
    ServiceAccount(ServiceAccountToken),
    /// Another credential's, not looked for yet.
    Credential(String),
    /// Another credential's, and where it is.
    Upstream {
        credential: String,
        output: InputRef,
    },
}

impl TokenSource {
    /// Where it is. None: not known yet, or not kept anywhere.
    pub fn input(&self) -> Option<&InputRef> {
        match self {
            Self::Input(input) | Self::Upstream { output: input, .. } => Some(input),
            Self::Credential(_) | Self::ServiceAccount(_) => None,
        }
    }

    /// What is to be obtained for it.
    pub fn service_account(&self) -> Option<&ServiceAccountToken> {
        match self {
            Self::ServiceAccount(account) => Some(account),
            _ => None,
        }
    }
}

impl TokenExchange {
    /// The subject's and the actor's.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenSource> {
        std::iter::once(&self.subject).chain(self.actor.as_ref().map(|(token, _)| token))
    }
}

/// What a grant that begins with a person's consent needs beside token requests.
#[derive(Clone, Debug, Default)]
pub struct ConsentSource {
    /// None: it isn't known yet, or the grant has no use for it.
    pub authorization: Option<Url>,
    pub device_authorization: Option<Url>,
    /// Where authorization requests are pushed to first; None: they aren't.
    pub pushed: Option<Url>,
    /// Keys that verify ID tokens.
    pub jwks: Option<Url>,
    /// Who issues ID tokens, and answers authorization requests.
    pub issuer: Option<String>,
    /// It promised to name itself in each authorization response.
    pub names_itself: bool,
    /// The provider's, for authorization requests.
    pub parameters: Vec<ParameterSource>,
    /// The operator's own redirect URI.
    pub callback: Option<String>,
}

/// How the scopes are sent, where they are: joined, or as a JSON array.
#[derive(Clone, Debug)]
pub enum Scopes {
    None,
    Joined(String),
    Array(Vec<String>),
}

/// Where tokens are revoked (RFC 7009).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// They can't be; a sentence that says why.
    Nowhere(String),
    /// At an endpoint that the issuer's metadata, which haven't been read, name.
    Undiscovered,
    At(Url),
}

/// One additional token.
#[derive(Clone, Debug)]
pub struct Leg {
    pub name: String,
    pub scopes: Scopes,
    pub parameters: Vec<ParameterSource>,
}

/// The output Secret.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub type_: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Goes with the credential: an ownerReference is set.
    pub owned: bool,
    /// Key and template; empty: the default keys.
    pub templates: Vec<(String, Template)>,
    /// Of all of the above.
    pub hash: String,
}

/// A checked credential.
#[derive(Clone, Debug)]
pub struct Checked {
    pub rules: Rules,
    pub grant: Grant,
    pub client: ClientSource,
    pub scopes: Scopes,
    /// The credential's own parameters, for the first request.
    pub parameters: Vec<ParameterSource>,
    pub first: RequestSource,
    pub refresh: RequestSource,
    pub legs: Vec<Leg>,
    /// Of grants that begin with a person's consent.
    pub consent: ConsentSource,
    /// Whether a refresh sends scope and redirect_uri: only where refreshRequest.mapping names them.
    pub refresh_sends: RefreshSends,
    /// Where tokens are revoked when the credential is deleted.
    pub revocation: Revocation,
    /// Whether they are revoked when the credential is deleted.
    pub revokes_on_deletion: bool,
    /// Where endpoints are to be discovered.
    pub issuer: Option<Issuer>,
    /// The issuer, or the origins of all endpoints that receive a secret.
    pub servers: Vec<String>,
    pub ca: Option<InputRef>,
    /// Internal ranges in which this provider's endpoints may lie.
    pub allowed_addresses: Vec<IpNet>,
    /// Names the provider object, for its rate limit; None where there is no limit.
    pub rate_limit: Option<(String, RateLimit)>,
    pub output: Output,
    /// Workloads to restart after a new token, each once.
    pub restarts: Vec<RolloutTarget>,
    /// Every key of a Secret or ConfigMap that a request reads, sorted.
    pub inputs: Vec<InputRef>,
    /// Hash of the provider's token-relevant spec.
    pub provider_hash: String,
}

/// What a refresh sends beyond RFC 6749 section 6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshSends {
    pub scope: bool,
    pub redirect_uri: bool,
}

impl Checked {
    /// Whether this is the first refresh token.
    pub fn is_seed(&self, input: &InputRef) -> bool {
        matches!(&self.grant, Grant::RefreshToken { seed, .. } if seed == input)
    }

    /// How many access tokens it keeps: its own, and the additional ones.
    pub fn tokens(&self) -> usize {
        1 + self.legs.len()
    }

    /// What is sent next: a refresh, where there is a refresh token.
    pub fn request(&self, refreshes: bool) -> &RequestSource {
        if refreshes { &self.refresh } else { &self.first }
    }

    /// The ServiceAccount tokens that the next request bears.
    pub fn service_account_tokens(&self, refreshes: bool) -> impl Iterator<Item = &ServiceAccountToken> {
        let authentication = self.request(refreshes).shape.authentication;
        let client = self.client.signer.as_ref().filter(|_| authentication == Authentication::PrivateKeyJwt);
        let client = client.and_then(Signer::service_account);
        client.into_iter().chain(self.grant.service_account_tokens().filter(move |_| !refreshes))
    }

    /// The bulkhead: the origin of the endpoint that the next request goes to. None: it isn't known yet.
    pub fn origin(&self, refreshes: bool) -> Option<String> {
        Some(self.request(refreshes).url.as_ref()?.origin().ascii_serialization())
    }
}
