//! Revoking what a state holds (RFC 7009), when its credential is deleted or a person asks for it: what is done next, and for how
//! long it is tried.
//! In this order (rule 9): an attempt that is under way comes to its end, the state is marked, each token is revoked, the
//! state is deleted, the finalizer goes. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    decide::FENCE,
    record::{Binding, Holder, Issued, StateRecord},
    schedule::{between, later},
};
use crate::oauth::{
    failure::{Class, Failure},
    values::SecretText,
};

#[cfg(test)]
mod tests;

/// How long after its deletion a credential is held for its tokens.
pub const LONGEST: Duration = Duration::from_secs(5 * 60);
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A token to revoke.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub text: SecretText,
    /// RFC 7009 section 2.1.
    pub hint: &'static str,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// There is nothing to revoke.
    Nothing,
    /// Another process may be about to save what an attempt brought.
    Wait(Timestamp),
    /// Mark the state.
    Mark(Box<StateRecord>),
    /// Revoke these, then the state is of no use.
    Revoke(Vec<Token>),
    /// The tokens are another server's or client's, and are not sent.
    Foreign,
}

/// What a person asks for by the annotation oauth-operator.dev/revoke-requested-at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// Nothing that wasn't dealt with.
    Nothing,
    Revoke(&'a str),
    /// A value that isn't obeyed; a sentence that says why.
    Refused(&'a str, &'static str),
}

/// Whether a request is new. `handled` is the last one that was dealt with, `created` when the credential was: a manifest that is
/// applied again, or restored, brings the request of a former life along.
pub fn asked<'a>(requested: Option<&'a str>, handled: Option<&str>, created: Timestamp) -> Asked<'a> {
    let Some(request) = requested.filter(|request| handled != Some(*request)) else { return Asked::Nothing };
    match request.parse::<Timestamp>() {
        Ok(time) if time >= created => Asked::Revoke(request),
        Ok(_) => Asked::Refused(
            request,
            "The request is older than the credential: it came with a manifest of before. Set the annotation to the present time.",
        ),
        Err(_) => Asked::Refused(request, "The annotation's value is to be the present time, as RFC 3339 writes it."),
    }
}

/// Decides. `binding` is who the spec names, `intent_seen_for` how long the open intent has stood before this process's eyes.
pub fn step(
    record: Option<&StateRecord>,
    binding: &Binding,
    holder: &Holder,
    intent_seen_for: Duration,
    request_timeout: Duration,
    now: Timestamp,
) -> Step {
    let Some(record) = record else { return Step::Nothing };
    if record.binding != *binding {
        return Step::Foreign;
    }
    let settled = FENCE + request_timeout + FENCE;
    if record.intent.as_ref().is_some_and(|intent| intent.holder.pod != holder.pod) && intent_seen_for < settled {
        return Step::Wait(later(now, settled - intent_seen_for));
    }
    match record.revoking {
        None => Step::Mark(Box::new(StateRecord { revoking: Some(now), ..record.clone() })),
        Some(_) => Step::Revoke(tokens(record)),
    }
}

/// Every token that may still be of use, refresh tokens first: with one the server ends the whole grant (RFC 7009 section 2.1).
fn tokens(record: &StateRecord) -> Vec<Token> {
    let former = record.former.as_deref();
    let strays = record.candidates.iter().chain(&record.aside).map(|stray| &stray.received);
    let lineages = std::iter::once(record).chain(former);
    let refresh = lineages.clone().filter_map(|record| record.refresh_token.as_ref());
    let refresh = refresh.chain(strays.filter_map(|received| received.refresh_token()));
    let issued = lineages.flat_map(|record| record.issued.iter().chain(record.additional.values()));
    let access = issued.map(|issued: &Issued| &issued.access_token);
    let refresh = refresh.map(|token| Token { text: SecretText::new(token.expose()), hint: "refresh_token" });
    let mut tokens: Vec<Token> = refresh.collect();
    tokens.extend(access.map(|token| Token { text: SecretText::new(token.expose()), hint: "access_token" }));
    let mut seen: Vec<Token> = Vec::new();
    tokens.retain(|token| {
        let is_new = seen.iter().all(|seen| seen.text != token.text);
        if is_new {
            seen.push(token.clone());
        }
        is_new
    });
    tokens
}

/// Whether a failure doesn't pass by itself: only a person could mend it.
pub fn is_final(failure: &Failure) -> bool {
    failure.class() != Class::Backoff || matches!(failure, Failure::Status(_) | Failure::Redirect)
}

/// When to try again for a credential that was deleted. None: not any more, for it has been tried long enough, or only a person could mend it.
pub fn again(deleted: Timestamp, failure: Option<&Failure>, now: Timestamp) -> Option<Timestamp> {
    if failure.is_some_and(is_final) {
        return None;
    }
    let asked = failure.and_then(Failure::retry_after).unwrap_or_default();
    let pause = (between(deleted, now) / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE).max(asked);
    let again = later(now, pause);
    (again <= later(deleted, LONGEST)).then_some(again)
}
