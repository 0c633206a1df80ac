//! Hashes that tell whether what a token was asked for under has changed. They are kept in Secrets and compared by later
//! versions of this program: a field added to a hashed type must be left out of its JSON while it has its default.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::{OAuthCredentialSpec, ProviderSpec, SecretSpec};

#[cfg(test)]
mod tests;

/// Sixteen hexadecimal digits of the SHA-256 of `value`'s JSON. Not a secret, and not reversible for any secret.
pub fn hash(value: &impl Serialize) -> String {
    // Our own types serialize; if one ever didn't, an empty text would hash as "changed", never as "same token".
    let json = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(json).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Of the part of a credential's spec that decides which token is obtained.
pub fn token_spec(spec: &OAuthCredentialSpec) -> String {
    let inline = spec.provider.as_ref().map(token_relevant);
    hash(&(
        inline,
        &spec.provider_ref,
        &spec.client,
        &spec.grant,
        &spec.scopes,
        &spec.parameters,
        &spec.additional_tokens,
    ))
}

/// Of the part of a provider's spec that decides which token is obtained.
pub fn provider(spec: &ProviderSpec) -> String {
    hash(&token_relevant(spec))
}

/// Of what decides how the output Secret looks.
pub fn output(spec: Option<&SecretSpec>, name: &str) -> String {
    hash(&(spec, name))
}

fn token_relevant(spec: &ProviderSpec) -> ProviderSpec {
    ProviderSpec { rate_limit: None, tls: None, authorization_request: None, refresh_tokens: None, ..spec.clone() }
}
