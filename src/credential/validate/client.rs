//! The OAuth client of a checked credential: whose material is used, how it authenticates, and whether the one is enough for the
//! other.

use std::sync::Arc;

use super::{Checks, duration, input, invalid, text};
use crate::{
    api::{AssertionSpec, BasicEncoding, ClientSpec, JwtBearerGrant, Reason, ServiceAccountRef, SigningAlgorithm},
    credential::{
        checked::{
            AssertionTerms, CertificateSource, ClientSource, Grant, InputRef, ServiceAccountToken, Signer, TextSource,
        },
        observed::Problem,
    },
    oauth::{jwt, request::Authentication},
};

/// Client material comes whole from one side; the way of authenticating may come from the provider.
pub(super) fn client(
    own: Option<&ClientSpec>,
    own_namespace: &Arc<str>,
    shared: Option<&ClientSpec>,
    shared_namespace: &Arc<str>,
) -> Checks<ClientSource> {
    let (material, namespace) = match own.filter(|client| client.has_material()) {
        Some(client) => (Some(client), own_namespace),
        None => (shared.filter(|client| client.has_material()), shared_namespace),
    };
    refuse_dictation(own, own_namespace, material, namespace)?;
    let says = |client: &&ClientSpec| {
        client.authentication.is_some() || client.basic_encoding.is_some() || client.assertion.is_some()
    };
    let way = own.filter(|client| client.authentication.is_some()).or(shared.filter(says)).or(own);
    let id = material.and_then(|client| match (&client.id, &client.id_secret_ref) {
        (Some(id), _) => Some(text(id)),
        (None, key) => key.as_ref().map(|key| TextSource::Input(input(namespace, key))),
    });
    let secrets = material.into_iter().flat_map(|client| client.secret_ref.iter().chain(&client.fallback_secret_refs));
    let secrets: Vec<InputRef> = secrets.map(|key| input(namespace, key)).collect();
    let signer = material.and_then(|client| signer(client, namespace));
    let certificate = material.and_then(|client| client.certificate_secret_ref.as_ref());
    let certificate = certificate.map(|secret| CertificateSource::of(namespace, secret));
    let authentication = match way.and_then(|client| client.authentication) {
        Some(named) => named,
        None if !secrets.is_empty() => Authentication::ClientSecretBasic,
        None if signer.is_some() => Authentication::PrivateKeyJwt,
        None if certificate.is_some() => Authentication::TlsClientAuth,
        None => Authentication::None,
    };
    let algorithm = |client: Option<&ClientSpec>| client.and_then(|client| client.signing_algorithm);
    let assertion = way.and_then(|client| client.assertion.as_ref());
    let mut terms = terms("client.assertion", assertion.unwrap_or(&AssertionSpec::default()))?;
    terms.key_id = material.and_then(|client| client.key_id.as_ref()).map(|id| id.0.clone());
    terms.algorithm = algorithm(material).or(algorithm(way));
    let basic_encoding = way.and_then(|client| client.basic_encoding).unwrap_or(BasicEncoding::Form);
    let client = ClientSource { id, secrets, signer, certificate, assertion: terms, authentication, basic_encoding };
    refuse_incomplete(&client, authentication)?;
    Ok(client)
}

/// What a key signs is its owner's to say: whoever may use a client of another namespace doesn't dictate its assertions.
fn refuse_dictation(
    own: Option<&ClientSpec>,
    own_namespace: &Arc<str>,
    material: Option<&ClientSpec>,
    namespace: &Arc<str>,
) -> Checks<()> {
    let dictated = own.is_some_and(|client| client.assertion.is_some());
    if dictated && material.is_some() && namespace != own_namespace {
        return Err(invalid(
            "client.assertion would say what the ClusterOAuthProvider's client signs: remove it (the provider's own client.assertion holds), or give the credential a client of its own.",
        ));
    }
    Ok(())
}

/// The client, or one of its requests, lacks what the authentication needs.
pub(super) fn refuse_incomplete(client: &ClientSource, authentication: Authentication) -> Checks<()> {
    use Authentication as A;
    let (has_id, has_secret) = (client.id.is_some(), !client.secrets.is_empty());
    let by_account = matches!(client.signer, Some(Signer::ServiceAccount(_)));
    let symmetric = client.assertion.algorithm.map(is_symmetric);
    let missing = match authentication {
        A::ClientSecretBasic | A::ClientSecretPost | A::ClientSecretJwt if !has_id || !has_secret => {
            "This client authentication needs a client id and a client secret: set client.id (or client.idSecretRef) and client.secretRef, on the credential or on the provider."
        }
        A::PrivateKeyJwt if client.signer.is_none() || !(has_id || by_account) => {
            "private_key_jwt needs a client id and a key: set client.id (or client.idSecretRef), and beside it client.privateKeySecretRef or client.serviceAccountRef."
        }
        A::TlsClientAuth | A::SelfSignedTlsClientAuth if !has_id || client.certificate.is_none() => {
            "This client authentication needs a client id and a certificate: set client.id (or client.idSecretRef), and beside it client.certificateSecretRef, a kubernetes.io/tls Secret."
        }
        A::ClientSecretJwt if symmetric == Some(false) => {
            "client_secret_jwt signs with the client secret: set client.signingAlgorithm to HS256, HS384 or HS512, or leave it out."
        }
        A::PrivateKeyJwt if symmetric == Some(true) => {
            "private_key_jwt signs with a private key: set client.signingAlgorithm to one of RS, PS or ES, or to EdDSA, or leave it out."
        }
        A::ClientSecretJwt | A::PrivateKeyJwt
            if client.assertion.certificate_thumbprint && client.certificate.is_none() =>
        {
            "client.assertion.certificateThumbprint needs the certificate: set client.certificateSecretRef."
        }
        _ => return Ok(()),
    };
    Err(invalid(missing))
}

fn is_symmetric(algorithm: SigningAlgorithm) -> bool {
    matches!(algorithm, SigningAlgorithm::HS256 | SigningAlgorithm::HS384 | SigningAlgorithm::HS512)
}

fn signer(client: &ClientSpec, namespace: &Arc<str>) -> Option<Signer> {
    let key = client.private_key_secret_ref.as_ref().map(|key| Signer::Key(input(namespace, key)));
    let account = || Some(Signer::ServiceAccount(service_account(client.service_account_ref.as_ref()?, namespace)));
    key.or_else(account)
}

/// RFC 7523 section 2.1.
pub(super) fn jwt_bearer(grant: &JwtBearerGrant, namespace: &Arc<str>) -> Checks<Grant> {
    let said = AssertionSpec {
        issuer: grant.issuer.clone(),
        audience: grant.audience.clone(),
        lifetime: grant.lifetime.clone(),
        claims: grant.claims.clone(),
        certificate_thumbprint: false,
    };
    let mut terms = terms("grant.jwtBearer", &said)?;
    terms.subject = grant.subject.as_ref().map(|subject| subject.0.clone());
    terms.key_id = grant.key_id.as_ref().map(|id| id.0.clone());
    terms.algorithm = grant.signing_algorithm;
    if grant.signing_algorithm.is_some_and(is_symmetric) {
        return Err(invalid(
            "grant.jwtBearer signs with a private key: set signingAlgorithm to one of RS, PS or ES, or to EdDSA, or leave it out.",
        ));
    }
    let signer = match (&grant.private_key_secret_ref, &grant.service_account_ref) {
        (Some(key), _) => Signer::Key(input(namespace, key)),
        (None, Some(account)) => Signer::ServiceAccount(service_account(account, namespace)),
        (None, None) => {
            return Err(invalid("grant.jwtBearer needs a key: set privateKeySecretRef or serviceAccountRef."));
        }
    };
    Ok(Grant::JwtBearer { signer, terms })
}

/// An assertion that is signed here names its issuer (RFC 7523 section 3).
pub(super) fn refuse_speechless(grant: &Grant, client: &ClientSource) -> Checks<()> {
    match grant {
        Grant::JwtBearer { signer: Signer::Key(_), terms } if terms.issuer.is_none() && client.id.is_none() => {
            Err(invalid("grant.jwtBearer needs an issuer: set grant.jwtBearer.issuer, or client.id."))
        }
        _ => Ok(()),
    }
}

/// A token for the API server itself would be a login to the cluster, sent to somebody else.
pub(super) fn refuse_api_audiences(grant: &Grant, client: &ClientSource, own: &[String]) -> Checks<()> {
    let of_client = client.signer.as_ref().and_then(Signer::service_account);
    for account in of_client.into_iter().chain(grant.service_account_tokens()) {
        let refuse = |message: String| Err(Problem::stalled(Reason::NotAllowed, message));
        if own.is_empty() {
            return refuse("The operator doesn't know the API server's own audiences, so it requests no tokens of ServiceAccounts: have it started with --api-server-audience.".to_owned());
        }
        if let Some(audience) = account.audiences.iter().find(|audience| own.contains(audience)) {
            return refuse(format!(
                "serviceAccountRef.audiences names {audience}, an audience of the API server itself: whoever gets such a token can log in to the cluster. Name the audience that the token server expects."
            ));
        }
    }
    Ok(())
}

/// A token of a ServiceAccount of `namespace`.
pub(super) fn service_account(reference: &ServiceAccountRef, namespace: &Arc<str>) -> ServiceAccountToken {
    ServiceAccountToken {
        namespace: namespace.clone(),
        name: reference.name.0.clone(),
        audiences: reference.audiences.iter().map(|audience| audience.0.clone()).collect(),
    }
}

/// `field` is where they stand, for sentences.
pub(super) fn terms(field: &str, spec: &AssertionSpec) -> Checks<AssertionTerms> {
    let claims = spec.claims.clone().unwrap_or_default();
    if let Some(name) = jwt::MADE_HERE.iter().find(|name| claims.contains_key(**name)) {
        let instead = match *name {
            "iss" => "say it by issuer",
            "aud" => "say it by audience",
            "exp" | "iat" => "say how long the assertion is valid by lifetime",
            "sub" => "it is the client id, or the subject of the grant",
            _ => "it is new for each request",
        };
        return Err(invalid(format!("{field}.claims may not have {name}: {instead}.")));
    }
    let lifetime = spec.lifetime.as_deref().map(|text| duration(&format!("{field}.lifetime"), text)).transpose()?;
    Ok(AssertionTerms {
        issuer: spec.issuer.as_ref().map(|issuer| issuer.0.clone()),
        subject: None,
        audience: spec.audience.as_ref().map(|audience| audience.0.clone()),
        lifetime: lifetime.unwrap_or(jwt::DEFAULT_LIFETIME),
        claims,
        key_id: None,
        algorithm: None,
        certificate_thumbprint: spec.certificate_thumbprint,
    })
}
