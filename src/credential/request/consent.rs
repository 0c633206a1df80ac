//! The requests that begin with a person's consent.

use super::{client, extras, proven, request, resolve, scope, text};
use crate::{
    api::ParameterLocation,
    credential::{
        assertion::{Fresh, Unmade},
        checked::{Checked, Grant, InputValues, Scopes, ValueSource},
        consent::Code,
    },
    oauth::{
        authorization::AuthorizationRequest,
        device,
        request::{ParameterValue, TokenRequest},
        values::SecretText,
    },
};

/// The authorization request that a person's browser carries. None: an input value or the client's id is missing.
pub fn authorization_request(
    checked: &Checked,
    values: &InputValues,
    state: String,
    nonce: String,
    verifier: SecretText,
) -> Option<AuthorizationRequest> {
    let Grant::AuthorizationCode { redirect_uri, pkce, expected_subject } = &checked.grant else { return None };
    let (scope, openid) = match &checked.scopes {
        Scopes::None => (None, false),
        Scopes::Joined(joined) => (Some(joined.clone()), joined.split(' ').any(|scope| scope == "openid")),
        Scopes::Array(list) => (Some(list.join(" ")), list.iter().any(|scope| scope == "openid")),
    };
    let sources = checked.consent.parameters.iter().chain(&checked.parameters);
    let added = sources.filter(|parameter| parameter.location != ParameterLocation::Header).map(|parameter| {
        let value = match &parameter.value {
            ValueSource::Text(text) => ParameterValue::Text(resolve(text, values)?),
            ValueSource::Json(json) => ParameterValue::Json(json.clone()),
        };
        Some((parameter.name.clone(), value))
    });
    Some(AuthorizationRequest {
        client_id: client(checked, values, 0)?.id?,
        redirect_uri: redirect_uri.clone(),
        scope,
        state,
        nonce: (openid || expected_subject.is_some()).then_some(nonce),
        verifier: pkce.then_some(verifier),
        added: added.collect::<Option<_>>()?,
    })
}

/// The request that pushes `request`, where the provider wants that.
///
/// # Errors
/// A value is missing, or can't be used.
pub fn pushed_request(
    checked: &Checked,
    values: &InputValues,
    request: &AuthorizationRequest,
    fresh: &Fresh<'_>,
) -> Result<Option<TokenRequest>, Unmade> {
    let Some(endpoint) = &checked.consent.pushed else { return Ok(None) };
    let shape = &checked.first.shape;
    let client = proven(checked, values, shape.authentication, endpoint, fresh)?;
    Ok(Some(request.pushed(endpoint, client, shape)))
}

/// The request that exchanges an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
///
/// # Errors
/// A value is missing, or can't be used.
pub fn code_request(
    checked: &Checked,
    values: &InputValues,
    code: &Code,
    fresh: &Fresh<'_>,
) -> Result<TokenRequest, Unmade> {
    let configured = match &checked.grant {
        Grant::AuthorizationCode { redirect_uri, .. } => redirect_uri.clone(),
        _ => None,
    };
    let mut request = request(checked, &checked.first, values, fresh)?;
    let standard = &mut request.standard;
    *standard = vec![("grant_type", text("authorization_code")), ("code", text(code.code.expose()))];
    standard.extend(code.redirect_uri.clone().or(configured).map(|uri| ("redirect_uri", text(&uri))));
    standard.extend(code.verifier.as_ref().map(|verifier| ("code_verifier", text(verifier.expose()))));
    request.additional = extras(&checked.parameters, values).ok_or(Unmade::Missing)?;
    Ok(request)
}

/// A poll with a device code (RFC 8628 section 3.4).
///
/// # Errors
/// A value is missing, or can't be used.
pub fn device_request(
    checked: &Checked,
    values: &InputValues,
    device_code: &SecretText,
    fresh: &Fresh<'_>,
) -> Result<TokenRequest, Unmade> {
    let mut request = request(checked, &checked.first, values, fresh)?;
    request.standard = vec![("grant_type", text(device::GRANT_TYPE)), ("device_code", text(device_code.expose()))];
    Ok(request)
}

/// The device authorization request.
///
/// # Errors
/// A value is missing, or can't be used.
pub fn device_authorization_request(
    checked: &Checked,
    values: &InputValues,
    fresh: &Fresh<'_>,
) -> Result<TokenRequest, Unmade> {
    let endpoint = checked.consent.device_authorization.as_ref().ok_or(Unmade::Missing)?;
    let shape = &checked.first.shape;
    let client = proven(checked, values, shape.authentication, endpoint, fresh)?;
    let scope = scope(&checked.scopes).map(|(_, scope)| scope);
    let added = extras(&checked.parameters, values).ok_or(Unmade::Missing)?;
    Ok(device::request(endpoint, client, shape, scope, added))
}
