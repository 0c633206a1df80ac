//! Where requests go: what a provider gives, what its issuer's metadata say, and what a grant is bound to by it.

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use ipnet::IpNet;
use url::Url;

use super::{Checks, GivenProvider, invalid};
use crate::{
    api::{OAuthCredentialSpec, RevocationPolicy},
    credential::{
        checked::{ConsentSource, Grant, InputRef, Issuer, ParameterSource, Revocation},
        references,
    },
    oauth::discovery,
};

#[cfg(test)]
mod tests;

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
pub fn issuer(spec: &OAuthCredentialSpec, provider: &GivenProvider<'_>) -> Checks<Option<Issuer>> {
    let Some(missing) = missing(spec, provider) else { return Ok(None) };
    let issuer = provider.spec.issuer.as_ref().map(|issuer| issuer.0.clone());
    let issuer = issuer.ok_or_else(|| invalid(format!("The provider names no {missing}")))?;
    if !discovery::is_issuer(&issuer) {
        return Err(invalid(
            "The provider's issuer is to be a URL with neither query nor fragment: correct it, or set endpoints.token.",
        ));
    }
    let allowed_addresses = allowed_addresses(provider.allowed_addresses)?;
    Ok(Some(Issuer { identifier: issuer, ca: ca(provider), allowed_addresses }))
}

pub(super) fn endpoints(spec: &OAuthCredentialSpec, provider: &GivenProvider<'_>) -> Checks<Endpoints> {
    let issuer = issuer(spec, provider)?;
    let metadata = provider.metadata.as_deref().filter(|_| issuer.is_some());
    let own = spec.client.as_ref().filter(|client| client.has_material());
    let mutual = own.or(provider.spec.client.as_ref()).is_some_and(|client| client.certificate_secret_ref.is_some());
    let discovered = metadata.map(|metadata| if mutual { &metadata.mtls_token } else { &metadata.token });
    let token = given(provider, |endpoints| endpoints.token.as_deref()).map(endpoint("token")).transpose()?;
    let refresh = given(provider, |endpoints| endpoints.refresh.as_deref()).map(endpoint("refresh")).transpose()?;
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

/// Where tokens are revoked, which the policy may want to know for certain. They are sent to nobody but whom they came from.
pub(super) fn revocation(
    spec: &OAuthCredentialSpec,
    provider: &GivenProvider<'_>,
    endpoints: &Endpoints,
    grant: &Grant,
) -> Checks<Revocation> {
    let wanted = spec.revocation_policy == RevocationPolicy::OnDelete;
    let keeps = match grant {
        Grant::RefreshToken { .. }
        | Grant::Password { .. }
        | Grant::AuthorizationCode { .. }
        | Grant::DeviceCode { .. } => true,
        Grant::ClientCredentials | Grant::JwtBearer { .. } | Grant::Custom { .. } | Grant::TokenExchange(_) => false,
    };
    if !keeps && wanted {
        return Err(invalid(
            "revocationPolicy OnDelete revokes what the operator keeps, and for this grant it keeps nothing: leave it out.",
        ));
    }
    if !keeps {
        return Ok(Revocation::Nowhere("For this grant the operator keeps nothing.".to_owned()));
    }
    match (revocation_endpoint(provider, endpoints), wanted) {
        (Ok(revocation), _) => Ok(revocation),
        (Err(why), true) => Err(invalid(format!("{why}, or leave out revocationPolicy."))),
        (Err(why), false) => Ok(Revocation::Nowhere(format!("{why}."))),
    }
}

/// A sentence without its end, where there is none.
fn revocation_endpoint(provider: &GivenProvider<'_>, endpoints: &Endpoints) -> Result<Revocation, String> {
    if let Some(url) = given(provider, |endpoints| endpoints.revocation.as_deref()) {
        let url = Url::parse(url)
            .map_err(|error| format!("The revocation endpoint is not a URL ({error}): correct endpoints.revocation"))?;
        let origins = [&endpoints.token, &endpoints.refresh].into_iter().flatten().map(|url| url.origin());
        return match endpoints.token.is_none() || origins.into_iter().any(|origin| origin == url.origin()) {
            true => Ok(Revocation::At(url)),
            false => Err(
                "endpoints.revocation is at another origin than the token endpoint, and tokens are sent to no other: correct it".to_owned(),
            ),
        };
    }
    if endpoints.issuer.is_none() {
        return Err("Revocation needs an endpoint: set endpoints.revocation".to_owned());
    }
    match provider.metadata.as_deref() {
        None => Ok(Revocation::Undiscovered),
        Some(metadata) => {
            let url = if endpoints.mutual { &metadata.mtls_revocation } else { &metadata.revocation };
            url.clone()
                .map(Revocation::At)
                .ok_or_else(|| "The issuer's metadata name no revocation endpoint: set endpoints.revocation".to_owned())
        }
    }
}

/// What has to be discovered, and what could be set instead.
fn missing(spec: &OAuthCredentialSpec, provider: &GivenProvider<'_>) -> Option<&'static str> {
    let endpoints = provider.spec.endpoints.clone().unwrap_or_default();
    let (code, device) = (spec.grant.authorization_code.as_ref(), spec.grant.device_code.as_ref());
    let subject = code
        .map(|grant| grant.expected_subject.is_some())
        .or(device.map(|grant| grant.expected_subject.is_some()))
        .unwrap_or_default();
    let needed = [
        (endpoints.token.is_none(), "token endpoint: set issuer or endpoints.token."),
        (
            code.is_some() && endpoints.authorization.is_none(),
            "authorization endpoint: set issuer or endpoints.authorization.",
        ),
        (
            device.is_some() && endpoints.device_authorization.is_none(),
            "device authorization endpoint: set issuer or endpoints.deviceAuthorization.",
        ),
        (
            subject && endpoints.jwks.is_none(),
            "keys to verify expectedSubject with: set issuer, and endpoints.jwks where the issuer's metadata don't name them.",
        ),
    ];
    needed.into_iter().find_map(|(missing, what)| missing.then_some(what))
}

/// What a grant that begins with a person's consent needs.
pub(super) fn consent(
    spec: &OAuthCredentialSpec,
    provider: &GivenProvider<'_>,
    parameters: Vec<ParameterSource>,
) -> Checks<ConsentSource> {
    let (code, device) = (spec.grant.authorization_code.is_some(), spec.grant.device_code.is_some());
    if !code && !device {
        return Ok(ConsentSource::default());
    }
    let wants_metadata = issuer(spec, provider)?.is_some();
    let metadata = provider.metadata.as_deref().filter(|_| wants_metadata).map(|metadata| &metadata.consent);
    let pick = |field, own: fn(&crate::api::Endpoints) -> Option<&str>, discovered: Option<&Url>| {
        let own = given(provider, own).map(endpoint(field)).transpose()?;
        Ok(own.or_else(|| discovered.cloned()))
    };
    let authorization =
        pick("authorization", |it| it.authorization.as_deref(), metadata.and_then(|it| it.authorization.as_ref()))?;
    if code && metadata.is_some() && authorization.is_none() {
        return Err(invalid("The issuer's metadata name no authorization endpoint: set endpoints.authorization."));
    }
    let device_authorization = pick(
        "deviceAuthorization",
        |it| it.device_authorization.as_deref(),
        metadata.and_then(|it| it.device_authorization.as_ref()),
    )?;
    if device && metadata.is_some() && device_authorization.is_none() {
        return Err(invalid(
            "The issuer's metadata name no device authorization endpoint: set endpoints.deviceAuthorization.",
        ));
    }
    let required = metadata.filter(|it| it.requires_pushed);
    let pushed = pick(
        "pushedAuthorizationRequest",
        |it| it.pushed_authorization_request.as_deref(),
        required.and_then(|it| it.pushed_authorization_request.as_ref()),
    )?;
    Ok(ConsentSource {
        authorization,
        device_authorization,
        pushed,
        jwks: pick("jwks", |it| it.jwks.as_deref(), metadata.and_then(|it| it.jwks.as_ref()))?,
        issuer: provider.spec.issuer.as_ref().map(|issuer| issuer.0.clone()),
        names_itself: metadata.is_some_and(|it| it.names_itself),
        parameters,
        callback: None,
    })
}

fn given<'a>(
    provider: &GivenProvider<'a>,
    endpoint: impl Fn(&'a crate::api::Endpoints) -> Option<&'a str>,
) -> Option<&'a str> {
    provider.spec.endpoints.as_ref().and_then(endpoint)
}

fn endpoint(field: &'static str) -> impl Fn(&str) -> Checks<Url> {
    move |url| {
        Url::parse(url).map_err(|error| {
            invalid(format!("The provider's endpoints.{field} is not a URL ({error}): correct endpoints.{field}."))
        })
    }
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
