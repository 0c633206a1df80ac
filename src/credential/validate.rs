//! A spec and its provider → a `Checked` credential, or the sentence that says what to write instead. What CEL can judge,
//! it has judged at apply time; here is the rest, and what an older CRD may have let through.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    checked::{Checked, Grant, InputRef, Leg, Output, TextSource, TokenExchange, TokenSource},
    decide::Rules,
    fingerprint,
    merge::{merge_request, merge_response},
    observed::Problem,
    references,
    schedule::{Margin, RefreshPolicy},
    starts::Starts,
};
use crate::{
    api::{
        AdditionalToken, OAuthCredentialSpec, Parameter, Pkce, ProviderSpec, RateLimit, Reason, RevocationPolicy,
        ScopeFormat, SecretKeyRef, SecretSpec, SubjectToken,
    },
    oauth::{authorization, discovery::Metadata, values::SecretText},
    template::Template,
};

mod client;
pub mod endpoints;
mod request;
#[cfg(test)]
pub(super) mod tests;

use request::{lifetimes, parameters, refresh_sends, request, scopes};

/// A provider, wherever it came from.
#[derive(Clone, Debug)]
pub struct GivenProvider<'a> {
    pub spec: &'a ProviderSpec,
    /// Where the Secrets that it names are.
    pub namespace: &'a str,
    /// From `allowedAddresses`, of the cluster kind only.
    pub allowed_addresses: &'a [String],
    /// Names the object, for its rate limit.
    pub id: String,
    /// Of what of it decides which token is obtained: `fingerprint::provider`.
    pub hash: String,
    /// What the issuer's metadata say, where they are needed and known.
    pub metadata: Option<Arc<Metadata>>,
}

/// What the operator's flags say.
#[derive(Clone, Debug)]
pub struct Limits {
    pub request_timeout: Duration,
    /// Output types that are allowed beside the three that are harmless.
    pub secret_types: Vec<String>,
    /// The API server's own audiences, which no ServiceAccount token may be for. Empty: they aren't known.
    pub api_audiences: Vec<String>,
    /// The operator's own redirect URI; None: it has no address that browsers reach.
    pub callback: Option<String>,
}

/// Secret types without power over the cluster.
const HARMLESS_TYPES: [&str; 3] = ["Opaque", "kubernetes.io/basic-auth", "kubernetes.io/dockerconfigjson"];

type Checks<T> = Result<T, Problem>;

fn invalid(message: impl Into<String>) -> Problem {
    Problem::stalled(Reason::InvalidSpec, message)
}

/// Checks the credential `name` of `namespace`.
pub fn validate(
    namespace: &str,
    name: &str,
    spec: &OAuthCredentialSpec,
    provider: &GivenProvider<'_>,
    limits: &Limits,
) -> Checks<Checked> {
    let own: Arc<str> = namespace.into();
    let shared: Arc<str> = provider.namespace.into();
    let client = client::client(spec.client.as_ref(), &own, provider.spec.client.as_ref(), &shared)?;
    let grant = grant(spec, &own, limits)?;
    client::refuse_speechless(&grant, &client)?;
    client::refuse_api_audiences(&grant, &client, &limits.api_audiences)?;
    let asked = provider.spec.authorization_request.as_ref().map(|request| request.parameters.as_slice());
    let asked = asked.unwrap_or_default();
    refuse_made_here(spec, asked)?;
    let mut consent = endpoints::consent(spec, provider, parameters(asked, &shared))?;
    consent.callback.clone_from(&limits.callback);
    let parameters = parameters(&spec.parameters, &own);
    refuse_overridden(&spec.parameters, provider.spec)?;

    let endpoints = endpoints::endpoints(spec, provider)?;
    let revocation = endpoints::revocation(spec, provider, &endpoints, &grant)?;
    let first_request = provider.spec.token_request.clone().unwrap_or_default();
    let refresh_request = merge_request(&first_request, provider.spec.refresh_request.as_ref());
    let first_response = provider.spec.token_response.clone().unwrap_or_default();
    let refresh_response = merge_response(&first_response, provider.spec.refresh_response.as_ref());
    let lifetimes = lifetimes(provider.spec)?;
    let first = request(endpoints.token, &first_request, &first_response, &client, &shared, lifetimes)?;
    let refresh = request(endpoints.refresh, &refresh_request, &refresh_response, &client, &shared, lifetimes)?;
    let array = provider.spec.scope_format == Some(ScopeFormat::Array);

    Ok(Checked {
        rules: rules(spec, provider.spec, &grant, limits)?,
        scopes: scopes(&spec.scopes, array, provider.spec.scope_separator.as_deref()),
        legs: legs(spec, provider.spec, array, &own)?,
        refresh_sends: refresh_sends(provider.spec.refresh_request.as_ref()),
        revocation,
        revokes_on_deletion: spec.revocation_policy == RevocationPolicy::OnDelete,
        issuer: endpoints.issuer,
        servers: endpoints.servers,
        ca: endpoints::ca(provider),
        allowed_addresses: endpoints::allowed_addresses(provider.allowed_addresses)?,
        rate_limit: rate_limit(provider)?,
        restarts: spec.rollout_restart.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        output: output(spec.secret.as_ref(), spec.output_name(name), limits)?,
        inputs: references::inputs(namespace, spec, provider.spec, provider.namespace),
        provider_hash: provider.hash.clone(),
        grant,
        client,
        consent,
        parameters,
        first,
        refresh,
    })
}

fn input(namespace: &Arc<str>, key: &SecretKeyRef) -> InputRef {
    InputRef::secret(namespace, key)
}

fn grant(spec: &OAuthCredentialSpec, namespace: &Arc<str>, limits: &Limits) -> Checks<Grant> {
    if let Some(grant) = &spec.grant.refresh_token {
        return Ok(Grant::RefreshToken {
            seed: input(namespace, &grant.secret_ref),
            redirect_uri: grant.redirect_uri.as_ref().map(|uri| uri.0.clone()),
        });
    }
    if spec.grant.client_credentials.is_some() {
        return Ok(Grant::ClientCredentials);
    }
    if let Some(grant) = &spec.grant.password {
        let (username, password) = (input(namespace, &grant.username_secret_ref), &grant.password_secret_ref);
        return Ok(Grant::Password { username, password: input(namespace, password) });
    }
    if let Some(grant) = &spec.grant.token_exchange {
        let exchange = TokenExchange {
            subject: token_source(&grant.subject_token, namespace)?,
            subject_type: grant.subject_token_type.0.clone(),
            actor: match &grant.actor_token {
                Some(actor) => {
                    let type_ = grant.actor_token_type.as_ref().map(|type_| type_.0.clone());
                    let both = invalid("actorToken and actorTokenType go together: set both or neither.");
                    Some((token_source(actor, namespace)?, type_.ok_or(both)?))
                }
                None => None,
            },
            requested_type: grant.requested_token_type.as_ref().map(|type_| type_.0.clone()),
        };
        return Ok(Grant::TokenExchange(Box::new(exchange)));
    }
    if let Some(grant) = &spec.grant.jwt_bearer {
        return client::jwt_bearer(grant, namespace);
    }
    if let Some(grant) = &spec.grant.custom {
        return Ok(Grant::Custom { grant_type: grant.grant_type.0.clone() });
    }
    if let Some(grant) = &spec.grant.authorization_code {
        let redirect_uri = grant.redirect_uri.as_ref().map(|uri| uri.0.clone()).or_else(|| limits.callback.clone());
        if redirect_uri.is_none() {
            return Err(invalid(
                "No redirect URI is known: set grant.authorizationCode.redirectURI to one that the client is registered with, or have the operator started with --public-url.",
            ));
        }
        return Ok(Grant::AuthorizationCode {
            redirect_uri,
            pkce: grant.pkce == Pkce::S256,
            expected_subject: grant.expected_subject.as_ref().map(|subject| subject.0.clone()),
        });
    }
    if let Some(grant) = &spec.grant.device_code {
        let expected_subject = grant.expected_subject.as_ref().map(|subject| subject.0.clone());
        return Ok(Grant::DeviceCode { expected_subject });
    }
    Err(invalid("grant takes exactly one member, such as clientCredentials or refreshToken."))
}

fn token_source(token: &SubjectToken, namespace: &Arc<str>) -> Checks<TokenSource> {
    match (&token.secret_ref, &token.credential_ref, &token.service_account_ref) {
        (Some(key), ..) => Ok(TokenSource::Input(input(namespace, key))),
        (None, Some(credential), _) => Ok(TokenSource::Credential(credential.name.0.clone())),
        (None, None, Some(account)) => Ok(TokenSource::ServiceAccount(client::service_account(account, namespace))),
        (None, None, None) => Err(invalid(
            "A token to exchange comes from exactly one of secretRef, serviceAccountRef and credentialRef.",
        )),
    }
}

fn text(value: &str) -> TextSource {
    TextSource::Literal(SecretText::new(value))
}

/// What an authorization request is made of here can be set by nobody.
fn refuse_made_here(spec: &OAuthCredentialSpec, asked: &[Parameter]) -> Checks<()> {
    if spec.grant.authorization_code.is_none() {
        return Ok(());
    }
    match asked.iter().chain(&spec.parameters).find(|it| authorization::MADE_HERE.contains(&it.name.0.as_str())) {
        Some(made) => Err(invalid(format!(
            "The parameter {} of an authorization request is made by the operator: remove it from authorizationRequest.parameters and spec.parameters.",
            &*made.name
        ))),
        None => Ok(()),
    }
}

/// Nothing of a provider can be overridden by a credential.
fn refuse_overridden(parameters: &[Parameter], provider: &ProviderSpec) -> Checks<()> {
    let set = provider.token_request.as_ref().and_then(|request| request.parameters.as_deref()).unwrap_or_default();
    match parameters.iter().find(|own| set.iter().any(|shared| shared.name == own.name)) {
        Some(own) => Err(invalid(format!(
            "The provider sets the parameter {} itself: remove it from the credential's parameters.",
            &*own.name
        ))),
        None => Ok(()),
    }
}

/// The additional tokens, each a refresh of its own.
fn legs(spec: &OAuthCredentialSpec, provider: &ProviderSpec, array: bool, own: &Arc<str>) -> Checks<Vec<Leg>> {
    if spec.additional_tokens.is_empty() {
        return Ok(Vec::new());
    }
    let policy = provider.refresh_tokens.as_ref();
    if policy.is_some_and(|policy| policy.revokes_access_token) {
        return Err(invalid(
            "additionalTokens can't be had from a provider with refreshTokens.revokesAccessToken: each refresh would kill the token before. Write a credential for each, with refresh tokens of their own.",
        ));
    }
    let leg = |token: &AdditionalToken| {
        refuse_overridden(&token.parameters, provider)?;
        Ok(Leg {
            name: token.name.clone(),
            scopes: scopes(&token.scopes, array, provider.scope_separator.as_deref()),
            parameters: parameters(&token.parameters, own),
        })
    };
    spec.additional_tokens.iter().map(leg).collect()
}

/// A limit that can't be read would be no limit.
fn rate_limit(provider: &GivenProvider<'_>) -> Checks<Option<(String, RateLimit)>> {
    let Some(limit) = provider.spec.rate_limit.clone() else { return Ok(None) };
    duration("rateLimit.per", &limit.per)?;
    Ok(Some((provider.id.clone(), limit)))
}

/// Positive.
fn duration(field: &str, text: &str) -> Checks<Duration> {
    crate::duration::parse(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| invalid(format!("{field}: {text} is not a duration such as 90s, 15m or 1h30m.")))
}

fn rules(spec: &OAuthCredentialSpec, provider: &ProviderSpec, grant: &Grant, limits: &Limits) -> Checks<Rules> {
    let policy = provider.refresh_tokens.clone().unwrap_or_default();
    let optional =
        |field, text: &Option<crate::api::DurationText>| text.as_deref().map(|text| duration(field, text)).transpose();
    let refresh = spec.refresh.clone().unwrap_or_default();
    let starts = match grant {
        Grant::RefreshToken { .. } => Starts::RefreshToken,
        Grant::ClientCredentials | Grant::JwtBearer { .. } | Grant::Custom { .. } => Starts::Client,
        Grant::Password { .. } => Starts::Password,
        Grant::TokenExchange(_) => Starts::Token,
        Grant::AuthorizationCode { .. } | Grant::DeviceCode { .. } => Starts::Consent,
    };
    let margin = match (optional("refresh.before", &refresh.before)?, refresh.before_percent) {
        (Some(before), _) => Margin::Before(before),
        (None, Some(percent)) => Margin::Percent(percent),
        (None, None) => Margin::Default,
    };
    let idle = optional("refreshTokens.idleLifetime", &policy.idle_lifetime)?;
    let whole = optional("refreshTokens.lifetime", &policy.lifetime)?;
    Ok(Rules {
        starts,
        keeps: starts.keeps(policy.single_use),
        policy: RefreshPolicy {
            margin,
            earliest: optional("refreshTokens.earliestRefresh", &policy.earliest_refresh)?,
            revokes_access_token: policy.revokes_access_token,
            idle_lifetime: idle.filter(|_| starts.ends_with_its_refresh_token()),
            lifetime: whole.filter(|_| starts.ends_with_its_refresh_token()),
        },
        suspend: spec.suspend,
        legs: spec.additional_tokens.iter().map(|token| token.name.clone()).collect(),
        reuse_grace_period: optional("refreshTokens.reuseGracePeriod", &policy.reuse_grace_period)?,
        grace_ends_on_use: policy.grace_ends_on_use,
        request_timeout: limits.request_timeout,
    })
}

fn output(spec: Option<&SecretSpec>, name: String, limits: &Limits) -> Checks<Output> {
    let hash = fingerprint::output(spec, &name);
    let spec = spec.cloned().unwrap_or_default();
    let type_ = spec.type_.map_or_else(|| "Opaque".to_owned(), |type_| type_.0);
    if !HARMLESS_TYPES.contains(&type_.as_str()) && !limits.secret_types.contains(&type_) {
        return Err(invalid(format!(
            "spec.secret.type {type_} is not allowed: use Opaque, kubernetes.io/basic-auth or kubernetes.io/dockerconfigjson, or have the operator started with --allow-secret-type."
        )));
    }
    let parse = |(key, source): (String, crate::api::TemplateText)| {
        let template = Template::parse(&source);
        template
            .map(|template| (key.clone(), template))
            .map_err(|error| invalid(format!("spec.secret.template, key {key}: {error}. Correct it.")))
    };
    Ok(Output {
        name,
        type_,
        labels: spec.labels.into_iter().map(|(key, value)| (key, value.0)).collect(),
        annotations: spec.annotations.into_iter().map(|(key, value)| (key, value.0)).collect(),
        owned: spec.deletion_policy == crate::api::DeletionPolicy::Delete,
        templates: spec.template.into_iter().map(parse).collect::<Checks<_>>()?,
        hash,
    })
}
