//! A checked credential and its input values → the request, with its secrets filled in.

use super::{
    checked::{Checked, Grant, HeaderSource, InputValues, ParameterSource, Scopes, TextSource, ValueSource},
    record::Binding,
};
use crate::oauth::{
    request::{Client, ExtraHeader, ExtraParameter, HeaderValueSource, ParameterValue, RequestShape, TokenRequest},
    values::{ClientSecret, RefreshToken, SecretText},
};

/// The request that obtains the next token. `refresh_token` is there for grants that send one. None: an input value or the
/// endpoint is missing (`observe` has said so before it comes to this).
pub fn token_request(
    checked: &Checked,
    values: &InputValues,
    refresh_token: Option<&RefreshToken>,
) -> Option<TokenRequest> {
    let source = checked.request();
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
    let additional = match checked.grant {
        Grant::ClientCredentials => extras(&checked.parameters, values)?,
        Grant::RefreshToken { .. } => Vec::new(),
    };
    Some(TokenRequest {
        url: source.url.clone()?,
        shape,
        client: client(checked, values)?,
        standard: standard(checked, refresh_token)?,
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

/// What the grant's RFC requires, in its order.
fn standard(checked: &Checked, refresh_token: Option<&RefreshToken>) -> Option<Vec<(&'static str, ParameterValue)>> {
    let text = |value: &str| ParameterValue::Text(SecretText::new(value));
    let scope = match &checked.scopes {
        Scopes::None => None,
        Scopes::Joined(scopes) => Some(text(scopes)),
        Scopes::Array(scopes) => Some(ParameterValue::Json(scopes.clone().into())),
    };
    let mut standard = Vec::new();
    match &checked.grant {
        Grant::ClientCredentials => {
            standard.push(("grant_type", text("client_credentials")));
            standard.extend(scope.map(|scope| ("scope", scope)));
        }
        Grant::RefreshToken { redirect_uri, .. } => {
            standard.push(("grant_type", text("refresh_token")));
            standard.push(("refresh_token", text(refresh_token?.expose())));
            standard.extend(scope.filter(|_| checked.refresh_sends.scope).map(|scope| ("scope", scope)));
            let redirect_uri = redirect_uri.as_deref().filter(|_| checked.refresh_sends.redirect_uri);
            standard.extend(redirect_uri.map(|uri| ("redirect_uri", text(uri))));
        }
    }
    Some(standard)
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
