//! The additional tokens of one refresh token: which of them is asked for next, and when. One leg at a time, each a refresh
//! of its own under the rotation protocol, and the main token before all of them. Pure.

use jiff::Timestamp;

use super::{
    decide::Rules,
    observed::{Observed, Problem},
    record::StateRecord,
    report::whole_seconds,
    schedule::{Jitter, RefreshPolicy, later},
};
use crate::api::AdditionalTokenStatus;

#[cfg(test)]
mod tests;

/// An additional token that a new main token waits for, so that both are published together: the first time, and when the
/// spec changes. One that can't be had just now is not waited for, nor where the provider wants a pause between refreshes.
pub fn missing<'a>(rules: &'a Rules, seen: &Observed<'_>, record: &StateRecord) -> Option<&'a str> {
    let main = record.issued.as_ref()?;
    let expired = main.expires_at.is_some_and(|expires| expires <= seen.now);
    let unpublished = record.revision > seen.status.revision.unwrap_or(0);
    if !unpublished || expired || record.intent.is_some() || rules.policy.earliest.is_some() {
        return None;
    }
    let is_missing = |name: &&String| {
        let kept = record.additional.get(*name);
        let fails = known(seen, name).is_some_and(|known| {
            known.next_refresh_time.is_some() && known.spec_hash.as_deref() == Some(&main.asked_under.spec)
        });
        !fails && kept.is_none_or(|kept| kept.asked_under.spec != main.asked_under.spec)
    };
    rules.legs.iter().find(is_missing).map(String::as_str)
}

/// The additional token that is due first.
pub fn due<'a>(rules: &'a Rules, seen: &Observed<'_>) -> Option<(Timestamp, &'a str)> {
    let asked = seen.status.last_refresh_time?;
    let times = seen.status.additional_tokens.iter().filter_map(|token| token.last_refresh_time);
    // What the provider wants between two refreshes, whichever tokens they bring.
    let floor = rules.policy.earliest.map(|earliest| later(times.fold(asked, Timestamp::max), earliest));
    let due = |name: &'a String| {
        let at = match known(seen, name) {
            Some(known) if known.spec_hash.as_deref() == Some(&seen.asked_under.spec) => {
                due_at(&rules.policy, known, seen.jitter)?
            }
            _ => seen.now,
        };
        Some((floor.map_or(at, |floor| at.max(floor)), name.as_str()))
    };
    rules.legs.iter().filter_map(due).min()
}

fn known<'a>(seen: &'a Observed<'_>, name: &str) -> Option<&'a AdditionalTokenStatus> {
    seen.status.additional_tokens.iter().find(|token| token.name == name)
}

/// When an additional token is asked for again. None: it never expires.
pub fn due_at(policy: &RefreshPolicy, known: &AdditionalTokenStatus, jitter: Jitter) -> Option<Timestamp> {
    if known.next_refresh_time.is_some() {
        return known.next_refresh_time;
    }
    let policy = RefreshPolicy { idle_lifetime: None, ..*policy };
    policy.refresh_at(known.last_refresh_time?, known.expiration_time, None, jitter)
}

/// How the additional tokens stand, now that `record` is published. What failed before is still told, until there is a
/// newer token.
pub fn statuses(rules: &Rules, record: &StateRecord, before: &[AdditionalTokenStatus]) -> Vec<AdditionalTokenStatus> {
    let status = |name: &String| {
        let former = before.iter().find(|former| former.name == *name);
        let Some(issued) = record.additional.get(name) else { return former.cloned() };
        let issued = AdditionalTokenStatus {
            name: name.clone(),
            expiration_time: issued.expires_at.map(whole_seconds),
            last_refresh_time: Some(whole_seconds(issued.obtained_at)),
            spec_hash: Some(issued.asked_under.spec.clone()),
            ..AdditionalTokenStatus::default()
        };
        Some(match former {
            Some(former) if former.last_refresh_time == issued.last_refresh_time => former.clone(),
            _ => issued,
        })
    };
    rules.legs.iter().filter_map(status).collect()
}

/// The statuses after an attempt for `name` has failed.
pub fn failed(
    before: &[AdditionalTokenStatus],
    name: &str,
    problem: &Problem,
    retry: Timestamp,
    spec_hash: &str,
) -> Vec<AdditionalTokenStatus> {
    let mut after = before.to_vec();
    let at = after.iter().position(|token| token.name == name).unwrap_or_else(|| {
        after.push(AdditionalTokenStatus { name: name.to_owned(), ..AdditionalTokenStatus::default() });
        after.len() - 1
    });
    let token = &mut after[at];
    let same = token.spec_hash.as_deref() == Some(spec_hash);
    token.failed_attempts = Some(token.failed_attempts.filter(|_| same).unwrap_or(0).saturating_add(1));
    token.next_refresh_time = Some(whole_seconds(later(retry, std::time::Duration::from_millis(999))));
    (token.reason, token.message) = (Some(problem.reason.as_str().to_owned()), Some(problem.message.clone()));
    token.spec_hash = Some(spec_hash.to_owned());
    after
}
