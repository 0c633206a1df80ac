//! What the schema has and this version doesn't carry out yet: refused with a sentence, never half done.

use super::{observed::Problem, upstream};
use crate::{
    api::{ClientAuthentication, OAuthCredentialSpec, ProviderSpec, Reason, RevocationPolicy},
    oauth::request::Authentication,
};

const SECRET: &str = "use client.secretRef";

/// Refuses what this version can't do.
pub fn refuse(spec: &OAuthCredentialSpec, provider: &ProviderSpec) -> Result<(), Problem> {
    let grant = &spec.grant;
    // The one whose material is used.
    let client = spec.client.as_ref().filter(|client| client.has_material()).or(provider.client.as_ref());
    // Where an authentication is named, that is what is refused.
    let unused = client.filter(|client| client.authentication.is_none());
    let tls = provider.tls.as_ref();
    let wanted = [
        (grant.authorization_code.is_some(), "grant.authorizationCode", "use refreshToken"),
        (grant.device_code.is_some(), "grant.deviceCode", "use refreshToken"),
        (grant.jwt_bearer.is_some(), "grant.jwtBearer", "use clientCredentials"),
        (
            upstream::exchanged(spec).any(|token| token.service_account_ref.is_some()),
            "tokenExchange from a serviceAccountRef",
            "use secretRef or credentialRef",
        ),
        (client.is_some_and(|c| !c.fallback_secret_refs.is_empty()), "client.fallbackSecretRefs", "leave it out"),
        (client.is_some_and(|c| c.certificate_secret_ref.is_some()), "client.certificateSecretRef", "leave it out"),
        (unused.is_some_and(|c| c.private_key_secret_ref.is_some()), "client.privateKeySecretRef", SECRET),
        (unused.is_some_and(|c| c.service_account_ref.is_some()), "client.serviceAccountRef", SECRET),
        (tls.is_some_and(|tls| tls.ca_config_map_ref.is_some()), "tls.caConfigMapRef", "use tls.caSecretRef"),
        (!spec.additional_tokens.is_empty(), "additionalTokens", "leave it out"),
        (!spec.rollout_restart.is_empty(), "rolloutRestart", "leave it out"),
        (spec.revocation_policy == RevocationPolicy::OnDelete, "revocationPolicy OnDelete", "leave it out"),
    ];
    match wanted.into_iter().find(|(wanted, ..)| *wanted) {
        Some((_, what, instead)) => Err(not_yet(what, instead)),
        None => Ok(()),
    }
}

/// The client authentication, where this version has it.
pub fn authentication(named: ClientAuthentication) -> Result<Authentication, Problem> {
    let instead = "use client_secret_basic, client_secret_post or none";
    match named {
        ClientAuthentication::ClientSecretBasic => Ok(Authentication::ClientSecretBasic),
        ClientAuthentication::ClientSecretPost => Ok(Authentication::ClientSecretPost),
        ClientAuthentication::None => Ok(Authentication::None),
        ClientAuthentication::ClientSecretJwt => Err(not_yet("authentication client_secret_jwt", instead)),
        ClientAuthentication::PrivateKeyJwt => Err(not_yet("authentication private_key_jwt", instead)),
        ClientAuthentication::TlsClientAuth => Err(not_yet("authentication tls_client_auth", instead)),
        ClientAuthentication::SelfSignedTlsClientAuth => {
            Err(not_yet("authentication self_signed_tls_client_auth", instead))
        }
    }
}

fn not_yet(what: &str, instead: &str) -> Problem {
    Problem::stalled(
        Reason::InvalidSpec,
        format!(
            "This version of oauth-operator does not carry out {what} yet: {instead}, or install a version that does."
        ),
    )
}
