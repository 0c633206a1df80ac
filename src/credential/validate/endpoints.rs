//! Where requests go: what a provider gives, what its issuer's metadata say, and what a grant is bound to by it.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use ipnet::IpNet;
use url::Url;

use super::{Checks, GivenProvider, invalid};
use crate::{
    api::{OAuthCredentialSpec, RevocationPolicy},
    credential::{
        checked::{Grant, InputRef, Issuer, Revocation},
        references,
    },
    oauth::discovery,
};

/// The endpoints of a checked credential.
pub(super) struct Endpoints {
    /// None: still to be discovered.
    pub token: Option<Url>,
    pub refresh: Option<Url>,
    pub issuer: Option<Issuer>,
    /// Whether the client shows a certificate (RFC 8705 section 5).
    pub mutual: bool,
    /// What a grant is bound to: the issuer where it names the endpoints, and the origin of each endpoint that is given.
    pub servers: Vec<String>,
}

/// What endpoints are discovered from, where one that is needed isn't given.
pub fn issuer(provider: &GivenProvider<'_>) -> Checks<Option<Issuer>> {
    if given(provider, |endpoints| endpoints.token.as_deref()).is_some() {
        return Ok(None);
    }
    let issuer = provider.spec.issuer.as_ref().map(|issuer| issuer.0.clone());
    let issuer =
        issuer.ok_or_else(|| invalid("The provider names no token endpoint: set issuer or endpoints.token."))?;
    if !discovery::is_issuer(&issuer) {
        return Err(invalid(
            "The provider's issuer is to be a URL with neither query nor fragment: correct it, or set endpoints.token.",
        ));
    }
    let allowed_addresses = allowed_addresses(provider.allowed_addresses)?;
    Ok(Some(Issuer { identifier: issuer, ca: ca(provider), allowed_addresses }))
}

pub(super) fn endpoints(spec: &OAuthCredentialSpec, provider: &GivenProvider<'_>) -> Checks<Endpoints> {
    let issuer = issuer(provider)?;
    let metadata = provider.metadata.as_deref().filter(|_| issuer.is_some());
    let own = spec.client.as_ref().filter(|client| client.has_material());
    let mutual = own.or(provider.spec.client.as_ref()).is_some_and(|client| client.certificate_secret_ref.is_some());
    let discovered = metadata.map(|metadata| if mutual { &metadata.mtls_token } else { &metadata.token });
    let token = given(provider, |endpoints| endpoints.token.as_deref()).map(endpoint).transpose()?;
    let refresh = given(provider, |endpoints| endpoints.refresh.as_deref()).map(endpoint).transpose()?;
    let origin = |url: &Url| url.origin().ascii_serialization();
    let origins = token.iter().chain(&refresh).map(origin);
    let servers: BTreeSet<String> = issuer.iter().map(|issuer| issuer.identifier.clone()).chain(origins).collect();
    let token = token.or_else(|| discovered.cloned());
    Ok(Endpoints {
        refresh: refresh.or_else(|| token.clone()),
        token,
        issuer,
        mutual,
        servers: servers.into_iter().collect(),
    })
}

/// Where tokens are revoked. They are sent to nobody but whom they came from.
pub(super) fn revocation(
    spec: &OAuthCredentialSpec,
    provider: &GivenProvider<'_>,
    endpoints: &Endpoints,
    grant: &Grant,
) -> Checks<Revocation> {
    if spec.revocation_policy == RevocationPolicy::Never {
        return Ok(Revocation::Never);
    }
    if !matches!(grant, Grant::RefreshToken { .. } | Grant::Password { .. }) {
        return Err(invalid(
            "revocationPolicy OnDelete revokes what the operator keeps, and for this grant it keeps nothing: leave it out.",
        ));
    }
    if let Some(url) = given(provider, |endpoints| endpoints.revocation.as_deref()) {
        let url = Url::parse(url).map_err(|error| {
            invalid(format!("The revocation endpoint is not a URL ({error}): correct endpoints.revocation."))
        })?;
        let origins = [&endpoints.token, &endpoints.refresh].into_iter().flatten().map(|url| url.origin());
        return match endpoints.token.is_none() || origins.into_iter().any(|origin| origin == url.origin()) {
            true => Ok(Revocation::At(url)),
            false => Err(invalid(
                "endpoints.revocation is at another origin than the token endpoint, and tokens are sent to no other: correct it, or leave out revocationPolicy.",
            )),
        };
    }
    if endpoints.issuer.is_none() {
        return Err(invalid(
            "revocationPolicy OnDelete needs a revocation endpoint: set endpoints.revocation, or leave it out.",
        ));
    }
    match provider.metadata.as_deref() {
        None => Ok(Revocation::Undiscovered),
        Some(metadata) => {
            let url = if endpoints.mutual { &metadata.mtls_revocation } else { &metadata.revocation };
            url.clone().map(Revocation::At).ok_or_else(|| {
                invalid("The issuer's metadata name no revocation endpoint: set endpoints.revocation, or leave out revocationPolicy.")
            })
        }
    }
}

fn given<'a>(
    provider: &GivenProvider<'a>,
    endpoint: impl Fn(&'a crate::api::Endpoints) -> Option<&'a str>,
) -> Option<&'a str> {
    provider.spec.endpoints.as_ref().and_then(endpoint)
}

fn endpoint(url: &str) -> Checks<Url> {
    Url::parse(url).map_err(|error| {
        invalid(format!("The token endpoint is not a URL ({error}): correct endpoints.token or endpoints.refresh."))
    })
}

/// Where the authorities that the provider names are.
pub(super) fn ca(provider: &GivenProvider<'_>) -> Option<InputRef> {
    references::authorities(provider.spec, &Arc::from(provider.namespace))
}

pub(super) fn allowed_addresses(ranges: &[String]) -> Checks<Vec<IpNet>> {
    let parse = |range: &String| {
        IpNet::from_str(range)
            .map_err(|_| invalid(format!("allowedAddresses: {range} is not a CIDR range such as 10.0.0.0/8.")))
    };
    ranges.iter().map(parse).collect()
}
