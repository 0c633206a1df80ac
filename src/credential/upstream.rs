//! Another credential's access token, as the subject or actor of an exchange (RFC 8693): where it is, and whether it can be
//! used. Always of the same namespace: a reference has no other.

use jiff::Timestamp;

use super::{
    checked::{Checked, Grant, InputKind, InputRef, TokenSource},
    observed::Problem,
};
use crate::api::{OAuthCredentialSpec, OAuthCredentialStatus, Reason, SubjectToken};

#[cfg(test)]
mod tests;

/// Credentials that may depend on one another in a row.
const LONGEST_CHAIN: usize = 16;

/// The tokens that a credential exchanges, of which there are none for any other grant.
pub fn exchanged(spec: &OAuthCredentialSpec) -> impl Iterator<Item = &SubjectToken> {
    spec.grant
        .token_exchange
        .iter()
        .flat_map(|grant| [Some(&grant.subject_token), grant.actor_token.as_ref()])
        .flatten()
}

/// The credentials whose tokens a credential exchanges.
pub fn upstreams(spec: &OAuthCredentialSpec) -> impl Iterator<Item = &str> {
    exchanged(spec).filter_map(|token| Some(&*token.credential_ref.as_ref()?.name.0))
}

/// The key of a credential's output that holds the access token and nothing else.
pub fn token_key(spec: &OAuthCredentialSpec) -> Option<&str> {
    let templates = spec.secret.as_ref().map(|secret| &secret.template).filter(|templates| !templates.is_empty());
    let Some(templates) = templates else { return Some("access_token") };
    let is_token = |template: &str| {
        let inner = template.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        inner.is_some_and(|inner| inner.trim_matches(['-', '+']).trim() == "access_token")
    };
    templates.iter().find(|(_, template)| is_token(template)).map(|(key, _)| key.as_str())
}

/// Where another credential's access token is.
fn input(namespace: &str, name: &str, spec: &OAuthCredentialSpec) -> Option<InputRef> {
    let key = token_key(spec)?.to_owned();
    Some(InputRef { kind: InputKind::Secret, namespace: namespace.into(), name: spec.output_name(name), key })
}

/// Every key that the credential `name` reads of others' outputs; `look` knows the specs of its namespace.
pub fn inputs(
    namespace: &str,
    spec: &OAuthCredentialSpec,
    look: impl Fn(&str) -> Option<OAuthCredentialSpec>,
) -> Vec<InputRef> {
    upstreams(spec).filter_map(|upstream| input(namespace, upstream, &look(upstream)?)).collect()
}

/// Finds the tokens of other credentials that `checked` exchanges. `look` knows the specs of its namespace.
pub fn resolve(
    namespace: &str,
    name: &str,
    mut checked: Checked,
    look: impl Fn(&str) -> Option<OAuthCredentialSpec>,
) -> Result<Checked, Problem> {
    let Grant::TokenExchange(grant) = &mut checked.grant else { return Ok(checked) };
    let actor = grant.actor.as_mut().map(|(token, _)| token);
    for token in std::iter::once(&mut grant.subject).chain(actor) {
        let TokenSource::Credential(upstream) = token else { continue };
        let spec = look(upstream).ok_or_else(|| {
            let message = format!("The credential {upstream} doesn't exist: create it, or correct credentialRef.");
            Problem::passing(Reason::SourceSecretNotFound, message)
        })?;
        if depends_on(name, upstream, &look) {
            return Err(Problem::stalled(
                Reason::InvalidSpec,
                format!(
                    "The credential {upstream} itself depends on this one's token: have one of them take its token from elsewhere."
                ),
            ));
        }
        let found = input(namespace, upstream, &spec).ok_or_else(|| {
            Problem::stalled(
                Reason::InvalidSpec,
                format!("The output of the credential {upstream} has no key that is the access token alone: add access_token: \"{{{{ access_token }}}}\" to its secret.template."),
            )
        })?;
        checked.inputs.push(found.clone());
        *token = TokenSource::Upstream { credential: std::mem::take(upstream), output: found };
    }
    checked.inputs.sort();
    checked.inputs.dedup();
    Ok(checked)
}

/// Whether `upstream`, or what it depends on, is `name`. A longer chain than there may be counts as a circle.
fn depends_on(name: &str, upstream: &str, look: &impl Fn(&str) -> Option<OAuthCredentialSpec>) -> bool {
    let mut row = vec![upstream.to_owned()];
    for _ in 0..LONGEST_CHAIN {
        if row.iter().any(|upstream| upstream == name) {
            return true;
        }
        row = row
            .iter()
            .filter_map(|one| look(one))
            .flat_map(|spec| upstreams(&spec).map(str::to_owned).collect::<Vec<_>>())
            .collect();
        row.sort();
        row.dedup();
    }
    !row.is_empty()
}

/// What keeps another credential's token from being used now.
pub fn unusable(credential: &str, status: Option<&OAuthCredentialStatus>, now: Timestamp) -> Option<Problem> {
    let serves = status
        .is_some_and(|status| status.secret.is_some() && status.expiration_time.is_none_or(|expires| expires > now));
    let message = format!("The credential {credential} has no valid token to exchange: see its own conditions.");
    (!serves).then(|| Problem::passing(Reason::Pending, message))
}
