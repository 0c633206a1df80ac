//! Which keys of Secrets and ConfigMaps a credential's next request reads: from the spec alone, so that the index of watched names can be kept
//! without checking every credential whole.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    checked::{CertificateSource, InputRef},
    merge::merge_request,
    upstream,
};
use crate::api::{OAuthCredentialSpec, Parameter, ProviderSpec, SecretKeyRef};

/// Every key that the next request reads, sorted. `shared` is the namespace of the provider's own references.
pub fn inputs(namespace: &str, spec: &OAuthCredentialSpec, provider: &ProviderSpec, shared: &str) -> Vec<InputRef> {
    let (own, shared): (Arc<str>, Arc<str>) = (namespace.into(), shared.into());
    let mut inputs = BTreeSet::new();
    let mut add = |namespace: &Arc<str>, keys: &mut dyn Iterator<Item = &SecretKeyRef>| {
        inputs.extend(keys.map(|key| InputRef::secret(namespace, key)));
    };
    let own_client = spec.client.as_ref().filter(|client| client.has_material());
    let (client, place) = own_client.map_or((provider.client.as_ref(), &shared), |client| (Some(client), &own));

    if let Some(client) = client {
        let secrets = client.id_secret_ref.iter().chain(&client.secret_ref).chain(&client.fallback_secret_refs);
        add(place, &mut secrets.chain(&client.private_key_secret_ref));
    }

    let first = provider.token_request.clone().unwrap_or_default();
    let refresh = merge_request(&first, provider.refresh_request.as_ref());
    let grant = &spec.grant;
    add(&own, &mut grant.refresh_token.iter().map(|grant| &grant.secret_ref));
    add(&own, &mut grant.password.iter().flat_map(|grant| [&grant.username_secret_ref, &grant.password_secret_ref]));
    add(&own, &mut upstream::exchanged(spec).filter_map(|token| token.secret_ref.as_ref()));
    add(&own, &mut spec.additional_tokens.iter().flat_map(|token| values(&token.parameters)));
    let begins = grant.refresh_token.is_none();
    if begins {
        add(&own, &mut values(&spec.parameters));
    }
    let consents = grant.authorization_code.is_some() || grant.device_code.is_some();
    if grant.authorization_code.is_some() {
        let asked = provider.authorization_request.as_ref().map(|request| request.parameters.as_slice());
        add(&shared, &mut values(asked.unwrap_or_default()));
    }
    let refreshes = grant.refresh_token.is_some() || grant.password.is_some() || consents;
    for request in [(begins, first), (refreshes, refresh)].into_iter().filter_map(|(sent, it)| sent.then_some(it)) {
        add(&shared, &mut values(request.parameters.as_deref().unwrap_or_default()));
        add(&shared, &mut request.headers.iter().flatten().filter_map(|header| header.value_secret_ref.as_ref()));
    }
    add(&own, &mut spec.grant.jwt_bearer.iter().filter_map(|grant| grant.private_key_secret_ref.as_ref()));
    inputs.extend(authorities(provider, &shared));
    let certificate = client.and_then(|client| client.certificate_secret_ref.as_ref());
    inputs.extend(certificate.into_iter().flat_map(|secret| {
        let CertificateSource { chain, key } = CertificateSource::of(place, secret);
        [chain, key]
    }));
    inputs.into_iter().collect()
}

/// Where the authorities that a provider names are.
pub fn authorities(provider: &ProviderSpec, namespace: &Arc<str>) -> Option<InputRef> {
    let tls = provider.tls.as_ref()?;
    let secret = tls.ca_secret_ref.as_ref().map(|key| InputRef::secret(namespace, key));
    secret.or_else(|| Some(InputRef::config_map(namespace, tls.ca_config_map_ref.as_ref()?)))
}

fn values(parameters: &[Parameter]) -> impl Iterator<Item = &SecretKeyRef> {
    parameters.iter().filter_map(|parameter| parameter.value_secret_ref.as_ref())
}
