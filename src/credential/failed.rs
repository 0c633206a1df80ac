//! What a failed attempt means: the problem to tell, and when to try again. Pure.

use jiff::Timestamp;

use super::{
    decide::{Rules, failed_inputs, lost_grant, outcome_unknown, replay_at},
    observed::{Observed, Problem},
    record::Issued,
    report::{self, Outcome},
    rotation::Keeps,
    schedule::{retry_at, retry_hourly},
    starts::Starts,
};
use crate::{
    api::Reason,
    oauth::failure::{Class, Failure},
};

#[cfg(test)]
mod tests;

/// A refusal of the grant says this where no refresh token was sent: there is none to replace.
const REFUSED_WITHOUT_GRANT: &str = "The provider answered that the grant is invalid, although no refresh token was sent: check at the provider that the client is active and may use this grant.";
/// The same of a user's password.
const REFUSED_PASSWORD: &str =
    "The provider answered that the grant is invalid: correct the user's name and password in their Secret.";
/// The same of a token to exchange.
const REFUSED_TOKEN: &str = "The provider answered that the grant is invalid: check that the subject token (and the actor token) is of the named type and still valid, and that the client may exchange it.";
/// An unknown outcome where the password begins anew.
const BEGUN_ANEW: &str = "A refresh was sent and its outcome is not known: the user's name and password are sent again, with growing delays.";
/// An unknown outcome that is not put off until the published token is about to expire.
const SENT_AGAIN: &str =
    "A refresh was sent and its outcome is not known: the refresh token is sent again, with growing delays.";

/// Why an attempt brought no token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The token request failed.
    Request(Failure),
    /// It could not be made, or the state could not be written.
    Problem(Problem),
}

impl Why {
    pub fn reason(&self) -> Reason {
        match self {
            Why::Request(failure) => failure.reason(),
            Why::Problem(problem) => problem.reason,
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Why::Request(failure) => failure.retry_after(),
            Why::Problem(_) => None,
        }
    }
}

/// The attempt failed, and nothing that is still needed was spent.
pub fn not_spent(rules: &Rules, seen: &Observed<'_>, why: Why, now: Timestamp) -> Outcome {
    let retries = Retries::after(seen, now);
    let asked = why.retry_after();
    let (problem, retry) = match why {
        Why::Problem(problem) if problem.stalls => (problem, retries.hourly(asked)),
        Why::Problem(problem) => (problem, retries.backoff(asked)),
        Why::Request(failure) => {
            let refused = failure.reason() == Reason::InvalidGrant;
            let sentence = match (refused, rules.starts) {
                (true, Starts::Client) => REFUSED_WITHOUT_GRANT.to_owned(),
                (true, Starts::Password) => REFUSED_PASSWORD.to_owned(),
                (true, Starts::Token) => REFUSED_TOKEN.to_owned(),
                (true, Starts::RefreshToken | Starts::Consent) | (false, _) => as_sentence(&failure),
            };
            match failure.class() {
                Class::Backoff => (Problem::passing(failure.reason(), sentence), retries.backoff(asked)),
                // No further call until something changes (rule 6).
                Class::Person if rules.starts.ends_with_its_refresh_token() && refused => {
                    let problem = Problem { message: sentence, ..lost_grant(rules) };
                    return Outcome::Failed { problem, retry: None, inputs: retries.inputs };
                }
                Class::Person | Class::Hourly => (Problem::stalled(failure.reason(), sentence), retries.hourly(asked)),
            }
        }
    };
    Outcome::Failed { problem, retry: Some(retry), inputs: retries.inputs }
}

/// An additional token could not be had, and nothing was spent: the main one goes on. Where the refresh token itself is
/// refused, that is the main one's failure.
pub fn leg_not_spent(rules: &Rules, seen: &Observed<'_>, leg: &str, why: Why, now: Timestamp) -> Outcome {
    if why.reason() == Reason::InvalidGrant {
        return not_spent(rules, seen, why, now);
    }
    let known = seen.status.additional_tokens.iter().find(|token| token.name == leg);
    let same = known.filter(|known| known.spec_hash.as_deref() == Some(&seen.asked_under.spec));
    let failures = same.and_then(|known| known.failed_attempts).unwrap_or(0).saturating_add(1);
    let expires = known.and_then(|known| known.expiration_time);
    let asked = why.retry_after();
    let (problem, by_backoff) = match why {
        Why::Problem(problem) => (problem.clone(), !problem.stalls),
        Why::Request(failure) => {
            (Problem::passing(failure.reason(), as_sentence(&failure)), failure.class() == Class::Backoff)
        }
    };
    let retry = match by_backoff {
        true => retry_at(now, failures, expires, asked, seen.jitter),
        false => retry_hourly(now, asked, seen.jitter),
    };
    let spec_hash = seen.asked_under.spec.clone();
    Outcome::LegFailed { leg: leg.to_owned(), problem, retry, spec_hash }
}

/// Whether the refresh token was spent isn't known (rule 5). `published` is the token in the output.
pub fn unknown(rules: &Rules, seen: &Observed<'_>, why: Why, published: Option<&Issued>, now: Timestamp) -> Outcome {
    let retries = Retries::after(seen, now);
    let (replay, known) = match rules.starts {
        Starts::Password => (now, BEGUN_ANEW.to_owned()),
        Starts::Client | Starts::RefreshToken | Starts::Token | Starts::Consent => {
            let replay = replay_at(rules, now, published.filter(|_| seen.serves()), now);
            (replay, if replay > now { outcome_unknown().message } else { SENT_AGAIN.to_owned() })
        }
    };
    let cause = match &why {
        Why::Request(failure) => as_sentence(failure),
        Why::Problem(problem) => problem.message.clone(),
    };
    let problem = Problem { message: format!("{known} {cause}"), ..outcome_unknown() };
    let retry = retries.backoff(why.retry_after()).max(replay);
    Outcome::Failed { problem, retry: Some(retry), inputs: retries.inputs }
}

/// A token was received and could not be published: the output's spec is at fault.
pub fn unpublished(rules: &Rules, seen: &Observed<'_>, problem: Problem, now: Timestamp) -> Outcome {
    // A Secret that is in the way is watched: its going, and not a time, is the reason to try again.
    let in_the_way = problem.reason == Reason::SecretConflict && problem.stalls;
    if rules.keeps != Keeps::Nothing || in_the_way {
        return Outcome::Held(problem);
    }
    let retries = Retries::after(seen, now);
    let retry = if problem.stalls { retries.hourly(None) } else { retries.backoff(None) };
    Outcome::Failed { problem, retry: Some(retry), inputs: retries.inputs }
}

/// When to try again, now that one more attempt has failed.
struct Retries<'a> {
    seen: &'a Observed<'a>,
    now: Timestamp,
    inputs: String,
    failures: i64,
}

impl<'a> Retries<'a> {
    fn after(seen: &'a Observed<'a>, now: Timestamp) -> Self {
        let inputs = failed_inputs(seen);
        let failures = report::failures_after(seen.status, seen.generation, &inputs);
        Self { seen, now, inputs, failures }
    }

    fn backoff(&self, asked: Option<std::time::Duration>) -> Timestamp {
        retry_at(self.now, self.failures, self.seen.status.expiration_time, asked, self.seen.jitter)
    }

    fn hourly(&self, asked: Option<std::time::Duration>) -> Timestamp {
        retry_hourly(self.now, asked, self.seen.jitter)
    }
}

/// A failure's words as a sentence of a condition.
pub fn as_sentence(failure: &Failure) -> String {
    let words = failure.sentence();
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
