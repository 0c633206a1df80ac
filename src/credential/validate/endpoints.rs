//! Where requests go: what a provider gives, what its issuer's metadata say, and what a grant is bound to by it.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use ipnet::IpNet;
use url::Url;

use super::{Checks, GivenProvider, invalid};
use crate::{
    api::OAuthCredentialSpec,
    credential::{
        checked::{InputRef, Issuer},
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
    // RFC 8705 section 5.
    let mutual = own.or(provider.spec.client.as_ref()).is_some_and(|client| client.certificate_secret_ref.is_some());
    let discovered = metadata.map(|metadata| if mutual { &metadata.mtls_token } else { &metadata.token });
    let token = given(provider, |endpoints| endpoints.token.as_deref()).map(endpoint).transpose()?;
    let refresh = given(provider, |endpoints| endpoints.refresh.as_deref()).map(endpoint).transpose()?;
    let origin = |url: &Url| url.origin().ascii_serialization();
    let origins = token.iter().chain(&refresh).map(origin);
    let servers: BTreeSet<String> = issuer.iter().map(|issuer| issuer.identifier.clone()).chain(origins).collect();
    let token = token.or_else(|| discovered.cloned());
    Ok(Endpoints { refresh: refresh.or_else(|| token.clone()), token, issuer, servers: servers.into_iter().collect() })
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
