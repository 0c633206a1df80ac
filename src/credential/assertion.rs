//! The assertions of one request, signed anew for it. Time, random ids and ServiceAccount tokens are passed in.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    checked::{AssertionTerms, CertificateSource, ClientSource, InputRef, InputValues, ServiceAccountToken, Signer},
    observed::Problem,
};
use crate::{
    api::{ALLOWED_AUDIENCES, Reason},
    oauth::{
        jwt::{self, Assertion, SigningKey},
        request::{Authentication, Client},
        tls,
        values::SecretText,
    },
};

/// The tokens that were obtained for this request from the cluster's own issuer.
pub type ServiceAccountTokens = BTreeMap<ServiceAccountToken, SecretText>;

/// What is new in each request.
#[derive(Debug)]
pub struct Fresh<'a> {
    pub now: Timestamp,
    /// Names the client assertion, and no other, ever.
    pub client_assertion_id: String,
    /// The same for an assertion that is the grant.
    pub grant_assertion_id: String,
    pub tokens: &'a ServiceAccountTokens,
    /// Which of the client's secrets is tried: 0 is the current one.
    pub secret: usize,
}

/// A ServiceAccount must say itself for which audiences it may be used: `annotation` is a list with commas between.
///
/// # Errors
/// It doesn't list one that is wanted.
pub fn refuse_audiences(wanted: &ServiceAccountToken, annotation: Option<&str>) -> Result<(), Problem> {
    let allowed: Vec<&str> = annotation.unwrap_or_default().split(',').map(str::trim).collect();
    match wanted.audiences.iter().find(|audience| !allowed.contains(&audience.as_str())) {
        None => Ok(()),
        Some(audience) => Err(Problem::stalled(
            Reason::NotAllowed,
            format!(
                "The ServiceAccount {} doesn't allow the audience {audience}: create it if it doesn't exist, and list the audience in its annotation {ALLOWED_AUDIENCES}.",
                wanted.name
            ),
        )),
    }
}

/// A value is missing, or it can't be used.
#[derive(Clone, Debug, PartialEq)]
pub enum Unmade {
    /// An input value isn't there (`observe` has said so before it comes to this), or a token.
    Missing,
    Problem(Problem),
}

impl From<Problem> for Unmade {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The client's assertion, where `authentication` sends one. `sent` is who the request says it is, `endpoint` where it goes.
pub fn of_client(
    client: &ClientSource,
    authentication: Authentication,
    sent: &Client,
    endpoint: &str,
    values: &InputValues,
    fresh: &Fresh<'_>,
) -> Result<Option<SecretText>, Unmade> {
    let terms = &client.assertion;
    let assertion = || {
        let id = sent.id.as_deref().ok_or(Unmade::Missing)?;
        let thumbprint = client.certificate.as_ref().filter(|_| terms.certificate_thumbprint);
        let thumbprint = thumbprint.map(|certificate| thumbprint_of(certificate, values)).transpose()?;
        let issuer = terms.issuer.as_deref().unwrap_or(id);
        Ok::<_, Unmade>(said(terms, issuer, id, endpoint, thumbprint))
    };
    match (authentication, &client.signer) {
        (Authentication::ClientSecretJwt, _) => {
            let key = jwt::secret_key(sent.secret.as_ref().ok_or(Unmade::Missing)?);
            let sentence = |error| invalid(format!("client.signingAlgorithm: {error}."));
            let signed = assertion()?.sign(&key, terms.algorithm, fresh.now, &fresh.client_assertion_id);
            signed.map(Some).map_err(|error| sentence(error).into())
        }
        (Authentication::PrivateKeyJwt, Some(Signer::Key(input))) => {
            signed(&assertion()?, terms, input, values, fresh.now, &fresh.client_assertion_id).map(Some)
        }
        (Authentication::PrivateKeyJwt, Some(Signer::ServiceAccount(account))) => {
            fresh.tokens.get(account).cloned().map(Some).ok_or(Unmade::Missing)
        }
        _ => Ok(None),
    }
}

/// The assertion that is the grant (RFC 7523 section 2.1). `client_id` speaks where the terms name no issuer.
pub fn of_grant(
    signer: &Signer,
    terms: &AssertionTerms,
    client_id: Option<&str>,
    endpoint: &str,
    values: &InputValues,
    fresh: &Fresh<'_>,
) -> Result<SecretText, Unmade> {
    match signer {
        Signer::ServiceAccount(account) => fresh.tokens.get(account).cloned().ok_or(Unmade::Missing),
        Signer::Key(input) => {
            let issuer = terms.issuer.as_deref().or(client_id).ok_or(Unmade::Missing)?;
            let subject = terms.subject.as_deref().unwrap_or(issuer);
            let assertion = said(terms, issuer, subject, endpoint, None);
            signed(&assertion, terms, input, values, fresh.now, &fresh.grant_assertion_id)
        }
    }
}

fn said(
    terms: &AssertionTerms,
    issuer: &str,
    subject: &str,
    endpoint: &str,
    certificate_thumbprint: Option<String>,
) -> Assertion {
    Assertion {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audience: terms.audience.as_deref().unwrap_or(endpoint).to_owned(),
        lifetime: terms.lifetime,
        claims: terms.claims.clone(),
        key_id: terms.key_id.clone(),
        certificate_thumbprint,
    }
}

fn signed(
    assertion: &Assertion,
    terms: &AssertionTerms,
    input: &InputRef,
    values: &InputValues,
    now: Timestamp,
    id: &str,
) -> Result<SecretText, Unmade> {
    let text = values.get(input).ok_or(Unmade::Missing)?;
    let key = SigningKey::parse(text.expose(), terms.key_id.as_deref());
    let signed = key.and_then(|key| assertion.sign(&key, terms.algorithm, now, id));
    signed.map_err(|error| invalid(format!("The key {} of the Secret {}: {error}.", input.key, input.name)).into())
}

fn thumbprint_of(certificate: &CertificateSource, values: &InputValues) -> Result<String, Unmade> {
    let pem = values.get(&certificate.chain).ok_or(Unmade::Missing)?;
    tls::thumbprint(pem.expose().as_bytes())
        .map_err(|error| invalid(format!("The Secret {}: {error}.", certificate.chain.name)).into())
}

fn invalid(message: String) -> Problem {
    Problem::stalled(Reason::InvalidSpec, message)
}
