//! How tokens are asked for, and how replies are read, as a provider's spec has it.

use std::{str::FromStr, sync::Arc, time::Duration};

use url::Url;

use super::{Checks, client, duration, input, invalid, text};
use crate::{
    api::{Header, JsonPathText, Parameter, Placement, ProviderSpec, RequestSpec, ResponseSpec, ShortText},
    credential::checked::{
        ClientSource, HeaderSource, ParameterSource, RefreshSends, RequestSource, Scopes, TextSource, ValueSource,
    },
    oauth::{
        reply::{Lifetime, ReplyPaths, ReplyRules, ReplyShape},
        request::{ParameterMapping, RequestShape},
    },
    template::Template,
};

#[derive(Clone, Copy)]
pub(super) struct Lifetimes {
    default: Lifetime,
    max: Option<Duration>,
}

pub(super) fn lifetimes(provider: &ProviderSpec) -> Checks<Lifetimes> {
    let default = match provider.default_lifetime.as_deref() {
        None => Lifetime::default(),
        Some("Never") => Lifetime::Never,
        Some(text) => Lifetime::For(duration("defaultLifetime", text)?),
    };
    let max = provider.max_lifetime.as_deref().map(|text| duration("maxLifetime", text)).transpose()?;
    Ok(Lifetimes { default, max })
}

fn reply(spec: &ResponseSpec, lifetimes: Lifetimes) -> Checks<ReplyShape> {
    let path = |path: &Option<JsonPathText>| path.as_ref().map(|path| path.0.clone());
    let texts = |texts: &[ShortText]| texts.iter().map(|text| text.0.clone()).collect::<Vec<_>>();
    let codes = |codes: &Option<Vec<ShortText>>| texts(codes.as_deref().unwrap_or_default());
    let paths = ReplyPaths {
        access_token: path(&spec.access_token),
        refresh_token: path(&spec.refresh_token),
        token_type: path(&spec.token_type),
        scope: path(&spec.scope),
        id_token: path(&spec.id_token),
        expires_in: path(&spec.expires_in),
        expires_at: path(&spec.expires_at),
        refresh_token_expires_in: path(&spec.refresh_token_expires_in),
        refresh_token_expires_at: path(&spec.refresh_token_expires_at),
        error: path(&spec.error),
        success: spec.success.as_ref().map(|success| (success.path.0.clone(), texts(&success.values))),
    };
    let rules = ReplyRules {
        encoding: spec.encoding.unwrap_or_default(),
        expires_in_unit: spec.expires_in_unit.unwrap_or_default(),
        permanent_errors: codes(&spec.permanent_errors),
        temporary_errors: codes(&spec.temporary_errors),
        default_lifetime: lifetimes.default,
        max_lifetime: lifetimes.max,
    };
    ReplyShape::new(&paths, rules).map_err(|error| invalid(format!("tokenResponse or refreshResponse: {error}.")))
}

pub(super) fn request(
    url: Option<Url>,
    spec: &RequestSpec,
    response: &ResponseSpec,
    client: &ClientSource,
    namespace: &Arc<str>,
    lifetimes: Lifetimes,
) -> Checks<RequestSource> {
    let authentication = spec.authentication.unwrap_or(client.authentication);
    client::refuse_incomplete(client, authentication)?;
    Ok(RequestSource {
        url,
        shape: RequestShape {
            method: spec.method.unwrap_or_default(),
            encoding: spec.encoding.unwrap_or_default(),
            headers: Vec::new(),
            parameters: Vec::new(),
            mapping: spec.mapping.iter().flatten().map(ParameterMapping::from).collect(),
            authentication,
            basic_encoding: client.basic_encoding,
        },
        headers: headers(spec.headers.as_deref().unwrap_or_default(), namespace)?,
        parameters: parameters(spec.parameters.as_deref().unwrap_or_default(), namespace),
        reply: reply(response, lifetimes)?,
    })
}

fn headers(headers: &[Header], namespace: &Arc<str>) -> Checks<Vec<(http::HeaderName, HeaderSource)>> {
    headers
        .iter()
        .map(|header| {
            let name = http::HeaderName::from_str(&header.name)
                .map_err(|_| invalid(format!("{} is not a header name: correct tokenRequest.headers.", header.name)))?;
            let source = match (&header.value, &header.value_secret_ref, &header.template) {
                (Some(value), _, _) => HeaderSource::Text(text(value)),
                (None, Some(key), _) => HeaderSource::Text(TextSource::Input(input(namespace, key))),
                (None, None, template) => {
                    let source = template.as_deref().unwrap_or_default();
                    let parsed = Template::parse(source);
                    HeaderSource::Template(parsed.map_err(|error| {
                        invalid(format!("The template of header {}: {error}. Correct it.", header.name))
                    })?)
                }
            };
            Ok((name, source))
        })
        .collect()
}

pub(super) fn parameters(parameters: &[Parameter], namespace: &Arc<str>) -> Vec<ParameterSource> {
    let value = |parameter: &Parameter| match (&parameter.value, &parameter.value_secret_ref, &parameter.json_value) {
        (Some(value), _, _) => ValueSource::Text(text(value)),
        (None, Some(key), _) => ValueSource::Text(TextSource::Input(input(namespace, key))),
        (None, None, json) => ValueSource::Json(json.clone().unwrap_or(serde_json::Value::Null)),
    };
    parameters
        .iter()
        .map(|parameter| ParameterSource {
            name: parameter.name.0.clone(),
            value: value(parameter),
            location: parameter.location,
        })
        .collect()
}

pub(super) fn scopes(scopes: &[ShortText], array: bool, separator: Option<&str>) -> Scopes {
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.0.clone()).collect();
    match scopes.is_empty() {
        true => Scopes::None,
        false if array => Scopes::Array(scopes),
        false => Scopes::Joined(scopes.join(separator.unwrap_or(" "))),
    }
}

pub(super) fn refresh_sends(spec: Option<&RequestSpec>) -> RefreshSends {
    let mapping = spec.and_then(|spec| spec.mapping.as_deref()).unwrap_or_default();
    let names = |parameter: &str| mapping.iter().any(|m| m.parameter == parameter && m.placement != Placement::Omit);
    RefreshSends { scope: names("scope"), redirect_uri: names("redirect_uri") }
}
