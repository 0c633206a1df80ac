//! A checked credential and its input values → the request, with its secrets filled in.

use super::{
    checked::{Checked, Grant, HeaderSource, InputValues, ParameterSource, Scopes, TextSource, ValueSource},
    record::Binding,
};
use crate::oauth::{
    request::{Client, ExtraHeader, ExtraParameter, HeaderValueSource, ParameterValue, RequestShape, TokenRequest},
    values::{ClientSecret, RefreshToken, SecretText},
};

/// The request that obtains the next token: a refresh, where there is a refresh token. None: an input value or the
/// endpoint is missing (`observe` has said so before it comes to this).
pub fn token_request(
    checked: &Checked,
    values: &InputValues,
    refresh_token: Option<&RefreshToken>,
) -> Option<TokenRequest> {
    let source = checked.request(refresh_token.is_some());
    let headers = source.headers.iter().map(|(name, header)| {
        let value = match header {
            HeaderSource::Text(text) => HeaderValueSource::Text(resolve(text, values)?),
            HeaderSource::Template(template) => HeaderValueSource::Template(template.clone()),
        };
        Some(ExtraHeader { name: name.clone(), value })
    });
    let shape = RequestShape {
        headers: headers.collect::<Option<_>>()?,
        parameters: extras(&source.parameters, values)?,
        ..source.shape.clone()
    };
    let additional = match refresh_token {
        None => extras(&checked.parameters, values)?,
        Some(_) => Vec::new(),
    };
    Some(TokenRequest {
        url: source.url.clone()?,
        shape,
        client: client(checked, values)?,
        standard: match refresh_token {
            Some(token) => refresh(checked, token),
            None => first(checked, values)?,
        },
        additional,
    })
}

/// Who the credential's tokens may be sent to.
pub fn binding(checked: &Checked, values: &InputValues) -> Option<Binding> {
    let client_id = client(checked, values)?.id.unwrap_or_default();
    Some(Binding { servers: checked.servers.clone(), client_id })
}

fn client(checked: &Checked, values: &InputValues) -> Option<Client> {
    let id = checked.client.id.as_ref().map(|id| Some(resolve(id, values)?.expose().to_owned()));
    let secret = checked.client.secret.as_ref().map(|input| Some(ClientSecret::new(values.get(input)?.expose())));
    Some(Client {
        id: match id {
            Some(id) => Some(id?),
            None => None,
        },
        secret: match secret {
            Some(secret) => Some(secret?),
            None => None,
        },
    })
}

/// What the grant's RFC requires of the first request, in its order. None: a refresh token is required.
fn first(checked: &Checked, values: &InputValues) -> Option<Vec<(&'static str, ParameterValue)>> {
    let input = |input| Some(ParameterValue::Text(values.get(input)?.clone()));
    let mut standard = match &checked.grant {
        Grant::RefreshToken { .. } => return None,
        Grant::ClientCredentials => vec![("grant_type", text("client_credentials"))],
        Grant::Password { username, password } => {
            vec![("grant_type", text("password")), ("username", input(username)?), ("password", input(password)?)]
        }
        Grant::Custom { grant_type } => vec![("grant_type", text(grant_type))],
        Grant::TokenExchange(exchange) => {
            let mut standard = vec![
                ("grant_type", text("urn:ietf:params:oauth:grant-type:token-exchange")),
                ("subject_token", input(exchange.subject.input()?)?),
                ("subject_token_type", text(&exchange.subject_type)),
            ];
            if let Some((token, type_)) = &exchange.actor {
                standard.extend([("actor_token", input(token.input()?)?), ("actor_token_type", text(type_))]);
            }
            standard.extend(exchange.requested_type.as_deref().map(|type_| ("requested_token_type", text(type_))));
            standard
        }
    };
    standard.extend(scope(checked));
    Some(standard)
}

/// RFC 6749 section 6.
fn refresh(checked: &Checked, token: &RefreshToken) -> Vec<(&'static str, ParameterValue)> {
    let mut standard = vec![("grant_type", text("refresh_token")), ("refresh_token", text(token.expose()))];
    standard.extend(scope(checked).filter(|_| checked.refresh_sends.scope));
    if let Grant::RefreshToken { redirect_uri: Some(uri), .. } = &checked.grant
        && checked.refresh_sends.redirect_uri
    {
        standard.push(("redirect_uri", text(uri)));
    }
    standard
}

fn text(value: &str) -> ParameterValue {
    ParameterValue::Text(SecretText::new(value))
}

fn scope(checked: &Checked) -> Option<(&'static str, ParameterValue)> {
    let value = match &checked.scopes {
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
