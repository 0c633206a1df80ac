//! What a refresh overrides of a first request and reply: scalars one by one, a list as a whole.

use crate::api::{RequestSpec, ResponseSpec};

#[cfg(test)]
mod tests;

/// `refreshRequest` over `tokenRequest`.
pub fn merge_request(base: &RequestSpec, over: Option<&RequestSpec>) -> RequestSpec {
    let (base, over) = (base.clone(), over.cloned().unwrap_or_default());
    RequestSpec {
        method: over.method.or(base.method),
        encoding: over.encoding.or(base.encoding),
        authentication: over.authentication.or(base.authentication),
        headers: over.headers.or(base.headers),
        parameters: over.parameters.or(base.parameters),
        mapping: over.mapping.or(base.mapping),
    }
}

/// `refreshResponse` over `tokenResponse`.
pub fn merge_response(base: &ResponseSpec, over: Option<&ResponseSpec>) -> ResponseSpec {
    let (base, over) = (base.clone(), over.cloned().unwrap_or_default());
    ResponseSpec {
        encoding: over.encoding.or(base.encoding),
        access_token: over.access_token.or(base.access_token),
        refresh_token: over.refresh_token.or(base.refresh_token),
        token_type: over.token_type.or(base.token_type),
        scope: over.scope.or(base.scope),
        id_token: over.id_token.or(base.id_token),
        expires_in: over.expires_in.or(base.expires_in),
        expires_in_unit: over.expires_in_unit.or(base.expires_in_unit),
        expires_at: over.expires_at.or(base.expires_at),
        refresh_token_expires_in: over.refresh_token_expires_in.or(base.refresh_token_expires_in),
        refresh_token_expires_at: over.refresh_token_expires_at.or(base.refresh_token_expires_at),
        error: over.error.or(base.error),
        success: over.success.or(base.success),
        permanent_errors: over.permanent_errors.or(base.permanent_errors),
        temporary_errors: over.temporary_errors.or(base.temporary_errors),
    }
}
