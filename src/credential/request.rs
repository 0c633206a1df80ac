//! A checked credential and its input values → the request, with its secrets filled in.

use url::Url;

use super::{
    assertion::{self, Fresh, Unmade},
    checked::{
        Checked, Grant, HeaderSource, InputRef, InputValues, Leg, ParameterSource, RequestSource, Scopes, TextSource,
        TokenSource, ValueSource,
    },
    record::Binding,
};
use crate::oauth::{
    request::{
        Authentication, Client, ExtraHeader, ExtraParameter, HeaderValueSource, ParameterValue, RequestShape,
        TokenRequest,
    },
    values::{ClientSecret, RefreshToken, SecretText},
};

mod consent;
#[cfg(test)]
mod tests;

pub use consent::{authorization_request, code_request, device_authorization_request, device_request, pushed_request};

/// RFC 7523 section 2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The request that obtains the next token: a refresh, where there is a refresh token.
///
/// # Errors
/// An input value or the endpoint is missing (`observe` has said so before it comes to this), or a value can't be used.
pub fn token_request(
    checked: &Checked,
    values: &InputValues,
    refresh_token: Option<&RefreshToken>,
    fresh: &Fresh<'_>,
) -> Result<TokenRequest, Unmade> {
    let mut request = request(checked, checked.request(refresh_token.is_some()), values, fresh)?;
    match refresh_token {
        Some(token) => request.standard = refresh(checked, token),
        None => {
            request.standard = first(checked, values, &request.client, request.url.as_str(), fresh)?;
            request.additional = extras(&checked.parameters, values).ok_or(Unmade::Missing)?;
        }
    }
    Ok(request)
}

/// The request that obtains an additional token: a refresh with scopes and parameters of its own.
///
/// # Errors
/// As `token_request`'s.
pub fn leg_request(
    checked: &Checked,
    values: &InputValues,
    refresh_token: &RefreshToken,
    leg: &Leg,
    fresh: &Fresh<'_>,
) -> Result<TokenRequest, Unmade> {
    let mut request = request(checked, &checked.refresh, values, fresh)?;
    request.standard = refresh(checked, refresh_token);
    if let Some(scope) = scope(&leg.scopes) {
        request.standard.retain(|(name, _)| *name != "scope");
        request.standard.push(scope);
    }
    request.additional = extras(&leg.parameters, values).ok_or(Unmade::Missing)?;
    Ok(request)
}

/// The request that revokes a token (RFC 7009 section 2.1): a form, whatever the shape of token requests.
///
/// # Errors
/// As `token_request`'s.
pub fn revocation_request(
    checked: &Checked,
    values: &InputValues,
    endpoint: &Url,
    (token, hint): (&SecretText, &str),
    fresh: &Fresh<'_>,
) -> Result<TokenRequest, Unmade> {
    let mut request = request(checked, &checked.refresh, values, fresh)?;
    request.shape = RequestShape {
        authentication: request.shape.authentication,
        basic_encoding: request.shape.basic_encoding,
        ..RequestShape::default()
    };
    request.url = endpoint.clone();
    request.standard = vec![("token", ParameterValue::Text(token.clone())), ("token_type_hint", text(hint))];
    Ok(request)
}

/// A request with nothing in it but the client's proof of itself.
fn request(
    checked: &Checked,
    source: &RequestSource,
    values: &InputValues,
    fresh: &Fresh<'_>,
) -> Result<TokenRequest, Unmade> {
    let url = source.url.clone().ok_or(Unmade::Missing)?;
    let shape = shape(source, values).ok_or(Unmade::Missing)?;
    let client = proven(checked, values, shape.authentication, &url, fresh)?;
    Ok(TokenRequest { url, shape, client, standard: Vec::new(), additional: Vec::new() })
}

/// The client with what proves its identity at `endpoint`.
fn proven(
    checked: &Checked,
    values: &InputValues,
    authentication: Authentication,
    endpoint: &Url,
    fresh: &Fresh<'_>,
) -> Result<Client, Unmade> {
    let mut client = client(checked, values, fresh.secret).ok_or(Unmade::Missing)?;
    client.assertion =
        assertion::of_client(&checked.client, authentication, &client, endpoint.as_str(), values, fresh)?;
    Ok(client)
}

fn shape(source: &RequestSource, values: &InputValues) -> Option<RequestShape> {
    let headers = source.headers.iter().map(|(name, header)| {
        let value = match header {
            HeaderSource::Text(text) => HeaderValueSource::Text(resolve(text, values)?),
            HeaderSource::Template(template) => HeaderValueSource::Template(template.clone()),
        };
        Some(ExtraHeader { name: name.clone(), value })
    });
    Some(RequestShape {
        headers: headers.collect::<Option<_>>()?,
        parameters: extras(&source.parameters, values)?,
        ..source.shape.clone()
    })
}

/// The client's secrets that are there to be tried, in order. `Fresh::secret` counts them.
pub fn secrets<'a>(checked: &'a Checked, values: &InputValues) -> Vec<&'a InputRef> {
    checked.client.secrets.iter().filter(|secret| values.contains_key(secret)).collect()
}

/// Who the credential's tokens may be sent to.
pub fn binding(checked: &Checked, values: &InputValues) -> Option<Binding> {
    let client_id = client(checked, values, 0)?.id.unwrap_or_default();
    Some(Binding { servers: checked.servers.clone(), client_id })
}

fn client(checked: &Checked, values: &InputValues, secret: usize) -> Option<Client> {
    let client = &checked.client;
    let id = match &client.id {
        Some(id) => Some(resolve(id, values)?.expose().to_owned()),
        None => None,
    };
    let secret = match client.secrets.is_empty() {
        true => None,
        false => Some(ClientSecret::new(values.get(*secrets(checked, values).get(secret)?)?.expose())),
    };
    Some(Client { id, secret, assertion: None })
}

/// What the grant's RFC requires of the first request, in its order. Missing: a refresh token is required.
fn first(
    checked: &Checked,
    values: &InputValues,
    client: &Client,
    endpoint: &str,
    fresh: &Fresh<'_>,
) -> Result<Vec<(&'static str, ParameterValue)>, Unmade> {
    let input =
        |input: &InputRef| Ok::<_, Unmade>(ParameterValue::Text(values.get(input).ok_or(Unmade::Missing)?.clone()));
    let exchanged = |token: &TokenSource| match token.service_account() {
        Some(account) => Ok(ParameterValue::Text(fresh.tokens.get(account).ok_or(Unmade::Missing)?.clone())),
        None => input(token.input().ok_or(Unmade::Missing)?),
    };
    let mut standard = match &checked.grant {
        Grant::RefreshToken { .. } | Grant::AuthorizationCode { .. } | Grant::DeviceCode { .. } => {
            return Err(Unmade::Missing);
        }
        Grant::JwtBearer { signer, terms } => {
            let assertion = assertion::of_grant(signer, terms, client.id.as_deref(), endpoint, values, fresh)?;
            vec![("grant_type", text(JWT_BEARER)), ("assertion", ParameterValue::Text(assertion))]
        }
        Grant::ClientCredentials => vec![("grant_type", text("client_credentials"))],
        Grant::Password { username, password } => {
            vec![("grant_type", text("password")), ("username", input(username)?), ("password", input(password)?)]
        }
        Grant::Custom { grant_type } => vec![("grant_type", text(grant_type))],
        Grant::TokenExchange(exchange) => {
            let mut standard = vec![
                ("grant_type", text("urn:ietf:params:oauth:grant-type:token-exchange")),
                ("subject_token", exchanged(&exchange.subject)?),
                ("subject_token_type", text(&exchange.subject_type)),
            ];
            if let Some((token, type_)) = &exchange.actor {
                standard.extend([("actor_token", exchanged(token)?), ("actor_token_type", text(type_))]);
            }
            standard.extend(exchange.requested_type.as_deref().map(|type_| ("requested_token_type", text(type_))));
            standard
        }
    };
    standard.extend(scope(&checked.scopes));
    Ok(standard)
}

/// RFC 6749 section 6.
fn refresh(checked: &Checked, token: &RefreshToken) -> Vec<(&'static str, ParameterValue)> {
    let mut standard = vec![("grant_type", text("refresh_token")), ("refresh_token", text(token.expose()))];
    standard.extend(scope(&checked.scopes).filter(|_| checked.refresh_sends.scope));
    if let Grant::RefreshToken { redirect_uri: Some(uri), .. }
    | Grant::AuthorizationCode { redirect_uri: Some(uri), .. } = &checked.grant
        && checked.refresh_sends.redirect_uri
    {
        standard.push(("redirect_uri", text(uri)));
    }
    standard
}

fn text(value: &str) -> ParameterValue {
    ParameterValue::Text(SecretText::new(value))
}

fn scope(scopes: &Scopes) -> Option<(&'static str, ParameterValue)> {
    let value = match scopes {
        Scopes::None => return None,
        Scopes::Joined(scopes) => text(scopes),
        Scopes::Array(scopes) => ParameterValue::Json(scopes.clone().into()),
    };
    Some(("scope", value))
}

fn extras(parameters: &[ParameterSource], values: &InputValues) -> Option<Vec<ExtraParameter>> {
    let extra = |parameter: &ParameterSource| {
        let value = match &parameter.value {
            ValueSource::Text(text) => ParameterValue::Text(resolve(text, values)?),
            ValueSource::Json(json) => ParameterValue::Json(json.clone()),
        };
        Some(ExtraParameter { name: parameter.name.clone(), value, location: parameter.location })
    };
    parameters.iter().map(extra).collect()
}

fn resolve(text: &TextSource, values: &InputValues) -> Option<SecretText> {
    match text {
        TextSource::Literal(text) => Some(text.clone()),
        TextSource::Input(input) => values.get(input).cloned(),
    }
}
