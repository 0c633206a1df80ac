//! The decision: what one pass has seen → what to do. A chain of small checks, the first that applies wins. No clock, no
//! random source, no I/O.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    legs,
    observed::{Inputs, InputsSeen, Observed, OutputSeen, Problem, Source, StateSeen},
    record::{Intent, Issued, StateRecord},
    rotation::Keeps,
    schedule::{RefreshPolicy, later},
    starts::Starts,
};
use crate::{api::Reason, oauth::values::RefreshToken};

#[cfg(test)]
mod tests;

/// The clocks of two processes may be read this far apart around a send (rule 2).
pub const FENCE: Duration = Duration::from_secs(5);

/// A clock that stands this far before what was written by it was set back; less is two replicas' difference.
const SET_BACK: Duration = Duration::from_secs(60);

/// The least time between a token and the one that restores an output in its place.
const RESTORE_PAUSE: Duration = Duration::from_secs(10);

/// The part of a checked spec that decides.
#[derive(Clone, Debug)]
pub struct Rules {
    pub starts: Starts,
    pub keeps: Keeps,
    pub policy: RefreshPolicy,
    pub suspend: bool,
    /// How long the old refresh token still works after a refresh.
    pub reuse_grace_period: Option<Duration>,
    /// That grace is over once the new access token is used; what is published counts as used.
    pub grace_ends_on_use: bool,
    /// Names of the additional tokens.
    pub legs: Vec<String>,
    /// How long one token request may take.
    pub request_timeout: Duration,
}

/// What to do. The flip of Ready at the expiry comes on top of every `until`.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing, until then (None: until something changes).
    Rest {
        until: Option<Timestamp>,
    },
    /// No request may be made, for this reason, until then.
    Hold {
        problem: Problem,
        until: Option<Timestamp>,
    },
    /// Read what is missing, then decide again.
    ReadState,
    ReadInputs,
    /// Write the output from the state; no request.
    Publish,
    /// Ask for a token.
    Exchange(Exchange),
}

/// What a token is asked for with.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// When the published token expires, or now: the soonest goes first.
    pub deadline: Timestamp,
    /// The state to build on, its refresh token the one to send. None where nothing is kept.
    pub base: Option<Box<StateRecord>>,
    /// The additional token to ask for. None: the main one.
    pub leg: Option<String>,
}

/// Decides. `fresh` names a lineage, should a new one begin.
pub fn decide(rules: &Rules, seen: &Observed<'_>, fresh: &str) -> Plan {
    conflict(seen)
        .or_else(|| unusable_state(seen))
        .or_else(|| publish(rules, seen))
        .or_else(|| suspended(rules))
        .or_else(|| inputs_changed(rules, seen))
        .or_else(|| rest(rules, seen))
        .unwrap_or_else(|| exchange(rules, seen, fresh))
}

fn conflict(seen: &Observed<'_>) -> Option<Plan> {
    matches!(seen.output, OutputSeen::Foreign)
        .then(|| Plan::Hold { problem: Problem::foreign_output(seen.output_name), until: None })
}

fn unusable_state(seen: &Observed<'_>) -> Option<Plan> {
    let StateSeen::Unusable(sentence) = &seen.state else { return None };
    Some(Plan::Hold { problem: Problem::stalled(Reason::SecretConflict, sentence.clone()), until: None })
}

/// The output is behind the state, was altered, or is to look different: written again without a request.
fn publish(rules: &Rules, seen: &Observed<'_>) -> Option<Plan> {
    if rules.keeps == Keeps::Nothing {
        return None;
    }
    let known = seen.status.revision.unwrap_or(0);
    match &seen.state {
        StateSeen::Unread { revision, open_intent } if *open_intent || *revision > known => Some(Plan::ReadState),
        StateSeen::Unread { revision, .. } if *revision > 0 && !output_is(seen, known) => Some(Plan::ReadState),
        StateSeen::Read(record) => {
            let issued = record.issued.as_ref()?;
            let expired = issued.expires_at.is_some_and(|expires| expires <= seen.now);
            let current = output_is(seen, record.revision) && known == record.revision;
            // With its additional tokens, where those are still to come.
            if legs::missing(rules, seen, record).is_some() && !rules.suspend || record.revoking.is_some() {
                return None;
            }
            // A backup that is older than what was published publishes nothing (rule 7).
            (!current && !expired && record.revision >= newest_published(seen)).then_some(Plan::Publish)
        }
        _ => None,
    }
}

/// The newest revision that is known to have been published: a status goes with its credential, and an output may stay.
pub fn newest_published(seen: &Observed<'_>) -> i64 {
    let output = match &seen.output {
        OutputSeen::Ours(published) if published.intact => published.revision,
        _ => 0,
    };
    output.max(seen.status.revision.unwrap_or(0))
}

/// Whether the output holds this revision, untouched, in its present form.
fn output_is(seen: &Observed<'_>, revision: i64) -> bool {
    matches!(&seen.output, OutputSeen::Ours(published)
        if published.intact && published.revision == revision && published.output == seen.output_hash)
}

fn suspended(rules: &Rules) -> Option<Plan> {
    rules.suspend.then(|| {
        hold(Problem::passing(Reason::Suspended, "spec.suspend is true: no request is made. Set it to false to go on."))
    })
}

/// The Secrets were touched since the token was asked for: only their values tell whether the source is another one.
fn inputs_changed(rules: &Rules, seen: &Observed<'_>) -> Option<Plan> {
    let touched =
        matches!(&seen.output, OutputSeen::Ours(published) if published.asked_under.inputs != seen.asked_under.inputs);
    match (rules.starts, &seen.inputs, &seen.state) {
        (Starts::Client, ..) => None,
        (_, InputsSeen::Unread, _) if touched => Some(Plan::ReadInputs),
        (Starts::Password, InputsSeen::Read(_), StateSeen::Unread { .. }) if touched => Some(Plan::ReadState),
        _ => None,
    }
}

/// Nothing is to be asked for now.
fn rest(rules: &Rules, seen: &Observed<'_>) -> Option<Plan> {
    if matches!(&seen.state, StateSeen::Read(record) if legs::missing(rules, seen, record).is_some()) {
        return None;
    }
    if let Some(until) = held_back(seen) {
        return Some(Plan::Rest { until });
    }
    // What is being revoked, or is, isn't rested on: somebody is needed.
    let revoked = matches!(&seen.state, StateSeen::Read(record) if record.revoking.is_some());
    if revoked || wants_token(rules, seen) {
        return None;
    }
    let due = refresh_at(rules, seen);
    let restored = restore_at(rules, seen);
    let leg = legs::due(rules, seen).map(|(at, _)| at);
    let until = [due, restored, leg].into_iter().flatten().min();
    [due, leg].into_iter().flatten().all(|at| at > seen.now).then_some(Plan::Rest { until })
}

/// Whether a token is wanted whatever the schedule says.
fn wants_token(rules: &Rules, seen: &Observed<'_>) -> bool {
    let Some(revision) = seen.status.revision else { return true };
    // Where nothing is kept, a restored output costs a request: somebody who alters it again and again doesn't get one each time.
    let rested = restore_at(rules, seen).is_none();
    let OutputSeen::Ours(published) = &seen.output else { return rested };
    let respecified = published.asked_under.spec != seen.asked_under.spec
        || published.asked_under.provider != seen.asked_under.provider;
    let unrepairable = rules.keeps == Keeps::Nothing && !output_is(seen, revision) && rested;
    // What was wanted when it failed (a person's request, say) is still wanted.
    let failing = seen.status.failed_attempts.is_some_and(|failed| failed > 0);
    failing || respecified || unrepairable || seen.refresh_is_requested() || source_is_new(seen) || intent_is_open(seen)
}

/// When an altered output is restored, if that has to wait.
fn restore_at(rules: &Rules, seen: &Observed<'_>) -> Option<Timestamp> {
    let altered = rules.keeps == Keeps::Nothing && !output_is(seen, seen.status.revision?);
    altered.then_some(later(seen.status.last_refresh_time?, RESTORE_PAUSE)).filter(|at| *at > seen.now)
}

fn source_is_new(seen: &Observed<'_>) -> bool {
    let InputsSeen::Read(inputs) = &seen.inputs else { return false };
    match (&inputs.source, &seen.state) {
        (Source::Client, _) => false,
        (Source::Seed(_, hash), state) => {
            let spent = matches!(state, StateSeen::Read(record) if record.is_spent(hash));
            !spent && seen.status.seed_hash.as_ref().is_some_and(|known| known != hash)
        }
        (Source::User(hash), StateSeen::Read(record)) => record.seed_hash.as_ref() != Some(hash),
        (Source::User(_) | Source::Consent, _) => false,
        (Source::Tokens(hash), _) => seen.status.seed_hash.as_ref() != Some(hash),
    }
}

/// One that isn't in memory was read before this.
fn intent_is_open(seen: &Observed<'_>) -> bool {
    matches!(&seen.state, StateSeen::Read(record) if record.refresh_intent().is_some())
}

/// When the schedule asks for the next refresh.
pub fn refresh_at(rules: &Rules, seen: &Observed<'_>) -> Option<Timestamp> {
    let obtained = seen.status.last_refresh_time?;
    let (expires, refresh_token_ends) = (seen.status.expiration_time, seen.status.refresh_token_expiration_time);
    let repeated = seen.status.last_unchanged_time.is_some();
    let due = rules.policy.after(repeated).refresh_at(obtained, expires, refresh_token_ends, seen.jitter)?;
    // What was planned by the former clock would come too late.
    Some(if was_set_back(obtained, seen.now) { due.min(seen.now) } else { due })
}

/// Whether the clock was set back since it was read as `then`.
fn was_set_back(then: Timestamp, now: Timestamp) -> bool {
    then > later(now, SET_BACK)
}

/// After a failure: until when no request may be made. None: there was none, or its time has come, or what it read has
/// changed since. Some(None): not before something changes.
fn held_back(seen: &Observed<'_>) -> Option<Option<Timestamp>> {
    let status = seen.status;
    status.failed_attempts.filter(|failed| *failed > 0)?;
    let changed = status.observed_generation != Some(seen.generation)
        || status.failed_inputs_hash.as_deref() != Some(failed_inputs(seen).as_str());
    // A person's wish overrides a backoff, not a server's Retry-After and not a lost grant.
    let limited = refreshed_reason(seen) == Some(Reason::RateLimited.as_str());
    let wish = seen.refresh_is_requested() && status.next_refresh_time.is_some() && !limited;
    let planned_by_another_clock = status.last_failure_time.is_some_and(|failed| was_set_back(failed, seen.now));
    if changed || wish || planned_by_another_clock && status.next_refresh_time.is_some() {
        return None;
    }
    match status.next_refresh_time {
        Some(next) if next <= seen.now => None,
        next => Some(next),
    }
}

fn refreshed_reason<'a>(seen: &'a Observed<'_>) -> Option<&'a str> {
    let refreshed = seen.status.conditions.iter().find(|c| c.type_ == crate::api::ConditionType::Refreshed)?;
    Some(&refreshed.reason)
}

/// What `status.failedInputsHash` is compared with: the provider, the Secrets that an attempt reads, the operator's own
/// settings, and the state's revision: what was refused is not what a newer consent brought.
pub fn failed_inputs(seen: &Observed<'_>) -> String {
    let revision = match &seen.state {
        StateSeen::Unread { revision, .. } => *revision,
        StateSeen::Read(record) => record.revision,
        StateSeen::NotKept | StateSeen::Absent | StateSeen::Unusable(_) => 0,
    };
    format!("{}.{}.{}.{revision}", seen.asked_under.provider, seen.asked_under.inputs, seen.settings_hash)
}

fn exchange(rules: &Rules, seen: &Observed<'_>, fresh: &str) -> Plan {
    let inputs = match &seen.inputs {
        InputsSeen::Unread => return Plan::ReadInputs,
        InputsSeen::Problem(problem) => return hold(problem.clone()),
        InputsSeen::Undiscovered { problem, again } => {
            return Plan::Hold { problem: problem.clone(), until: Some(*again) };
        }
        InputsSeen::Read(inputs) => inputs,
    };
    let deadline = seen.status.expiration_time.unwrap_or(seen.now);
    let record = match &seen.state {
        StateSeen::NotKept => return Plan::Exchange(Exchange { deadline, base: None, leg: None }),
        StateSeen::Unread { .. } => return Plan::ReadState,
        StateSeen::Unusable(_) | StateSeen::Absent => None,
        StateSeen::Read(record) => Some(*record),
    };
    let (seed, seed_hash) = match &inputs.source {
        Source::Seed(seed, hash) => (*seed, hash),
        Source::User(user) => {
            let base = Some(Box::new(of_user(seen, inputs, user, record, fresh)));
            let leg = next_leg(rules, seen).filter(|_| base.as_ref().is_some_and(|base| base.refresh_token.is_some()));
            return Plan::Exchange(Exchange { deadline, base, leg });
        }
        Source::Consent => {
            return match record {
                Some(record) if !record.lineage.is_empty() && record.revoking.is_none() => {
                    given(rules, seen, record, inputs, deadline)
                }
                _ => hold(awaited(seen)),
            };
        }
        Source::Client | Source::Tokens(_) => return hold(lost_grant(rules)),
    };
    if let Some(other) = seen.seed_taken_by {
        return hold(Problem::stalled(
            Reason::InvalidSpec,
            format!(
                "The credential {other} names the same refresh token. A refresh token serves one credential: delete one of the two, or give this one a token of its own."
            ),
        ));
    }
    let published = newest_published(seen);
    // Rule 9: what is being revoked is never used again, but what is known of it is.
    let revoked = record.filter(|record| record.revoking.is_some());
    if revoked.is_some_and(|record| record.seed_hash.as_ref() == Some(seed_hash) || record.is_spent(seed_hash)) {
        return hold(Problem::stalled(
            Reason::AuthorizationRequired,
            "What this refresh token brought was being revoked, because that was asked for or a credential of this name was deleted. Put a new refresh token into the input Secret.",
        ));
    }
    let revoked = revoked.map(StateRecord::emptied);
    let record = revoked.as_ref().or(record);
    // The former seed is back: what had taken its place was a mistake.
    let restored = record.and_then(|record| record.restored(seed_hash));
    let record = restored.as_ref().or(record);
    let begin = |former| {
        let (lineage, binding, hash) = (fresh.to_owned(), inputs.binding.clone(), seed_hash.clone());
        let base = StateRecord::begin(lineage, binding, Some(seed), hash, former, published, seen.now);
        Plan::Exchange(Exchange { deadline, base: Some(Box::new(base)), leg: None })
    };
    match record {
        // Rule 7: the state is gone although a token was obtained from this very seed.
        None if seen.status.revision.unwrap_or(0) > 0 && seen.status.seed_hash.as_ref() == Some(seed_hash) => {
            hold(Problem::stalled(
                Reason::AuthorizationRequired,
                "The state Secret is gone, and the refresh token that was given as input is spent. Put a new refresh token into the input Secret.",
            ))
        }
        None => begin(None),
        // A state of before this seed: that a token was obtained from it since is known to the status alone.
        Some(record)
            if record.seed_hash.as_ref() != Some(seed_hash)
                && !record.is_spent(seed_hash)
                && (record.revision >= published || seen.status.seed_hash.as_ref() != Some(seed_hash)) =>
        {
            begin(Some(record))
        }
        Some(record) => given(rules, seen, record, inputs, deadline),
    }
}

/// What to do with a grant that was given, if it may be used at all.
fn given(rules: &Rules, seen: &Observed<'_>, record: &StateRecord, inputs: &Inputs<'_>, deadline: Timestamp) -> Plan {
    let lost =
        |message: &str| hold(Problem::stalled(Reason::AuthorizationRequired, format!("{message} {}", cure(rules))));
    if record.revision < newest_published(seen) {
        return lost(
            "The state Secret is older than the token that was published (a restored backup?): its refresh token may be spent, and nothing is sent.",
        );
    }
    if record.binding != *inputs.binding {
        return lost(
            "The refresh token belongs to another client or another server than the spec names now, and is not sent there: restore the former client and endpoints, or begin anew.",
        );
    }
    go_on(rules, seen, record, deadline)
}

/// How a grant begins anew.
fn cure(rules: &Rules) -> &'static str {
    match rules.starts {
        Starts::Consent => "Have a person consent again: see status.authorization and docs/consent.md.",
        Starts::Client | Starts::RefreshToken | Starts::Token | Starts::Password => {
            "Put a new refresh token into the input Secret."
        }
    }
}

/// What the status says while a person's consent is awaited.
fn awaited(seen: &Observed<'_>) -> Problem {
    let failed = seen.status.authorization.as_ref().and_then(|authorization| authorization.last_failure.as_ref());
    let first = seen.status.revision.is_none();
    let mut problem = super::consent::awaited(first);
    if let Some(failed) = failed {
        problem.message = format!("{} The last try failed: {}", problem.message, failed.message);
    }
    problem
}

/// The state to build on where a user's password can begin anew at any time: what the newest reply brought, while nothing
/// speaks against it. A refresh token whose fate isn't known is left alone.
fn of_user(
    seen: &Observed<'_>,
    inputs: &Inputs<'_>,
    user: &str,
    record: Option<&StateRecord>,
    fresh: &str,
) -> StateRecord {
    let published = newest_published(seen);
    let serves = |record: &&StateRecord| {
        record.seed_hash.as_deref() == Some(user)
            && record.binding == *inputs.binding
            && record.revision >= published
            && record.intent.is_none()
            && record.revoking.is_none()
    };
    record.filter(serves).cloned().unwrap_or_else(|| {
        StateRecord::begin(fresh.to_owned(), inputs.binding.clone(), None, user.to_owned(), record, published, seen.now)
    })
}

/// The next refresh of a lineage that is under way.
fn go_on(rules: &Rules, seen: &Observed<'_>, record: &StateRecord, deadline: Timestamp) -> Plan {
    if record.refresh_token.is_none() {
        return hold(if record.issued.is_some() { no_refresh_token(rules) } else { lost_grant(rules) });
    }
    if let Some(wait) = record.intent.as_ref().and_then(|intent| judge(rules, seen, record, intent)) {
        return wait;
    }
    let base = answered(record).unwrap_or_else(|| record.clone());
    Plan::Exchange(Exchange { deadline, base: Some(Box::new(base)), leg: next_leg(rules, seen) })
}

/// The open intent's token was answered after all, to another attempt: it is spent (rule 7), and what came for it is used.
fn answered(record: &StateRecord) -> Option<StateRecord> {
    let spent = record.intent.as_ref().is_some_and(|intent| record.is_spent(&intent.token_hash));
    if spent { record.adopt_candidate() } else { None }
}

/// The additional token to ask for next. None: the main one, which goes first.
fn next_leg(rules: &Rules, seen: &Observed<'_>) -> Option<String> {
    let StateSeen::Read(record) = &seen.state else { return None };
    if let Some(missing) = legs::missing(rules, seen, record) {
        return Some(missing.to_owned());
    }
    if wants_token(rules, seen) || refresh_at(rules, seen).is_some_and(|due| due <= seen.now) {
        return None;
    }
    legs::due(rules, seen).filter(|(at, _)| *at <= seen.now).map(|(_, leg)| leg.to_owned())
}

/// Rules 2 and 5: an open intent. None: its token may be sent again now.
fn judge(rules: &Rules, seen: &Observed<'_>, record: &StateRecord, intent: &Intent) -> Option<Plan> {
    // An earlier boot of our own pod is dead, and this boot makes one attempt at a time: neither needs a wait.
    if intent.holder.pod != seen.holder.pod {
        let settled = FENCE + rules.request_timeout + FENCE;
        if seen.intent_seen_for < settled {
            return Some(Plan::Rest { until: Some(later(seen.now, settled - seen.intent_seen_for)) });
        }
    }
    // A consent's: what it spends is not this token.
    if answered(record).is_some() || intent.lineage != record.lineage {
        return None;
    }
    let serving = record.issued.as_ref().filter(|_| seen.serves());
    let until = replay_at(rules, intent.started_at, serving, seen.now);
    (until > seen.now).then(|| Plan::Hold { problem: outcome_unknown(), until: Some(until) })
}

/// Rule 5: when a token whose fate is unknown may be sent again. `serving`: the published token, while it is valid. One that
/// never expires has no end to wait for: beside it the backoff alone counts.
pub fn replay_at(rules: &Rules, started_at: Timestamp, serving: Option<&Issued>, now: Timestamp) -> Timestamp {
    let in_grace = rules.reuse_grace_period.is_some_and(|grace| is_within(grace, rules, started_at, now));
    match serving.and_then(|issued| Some((issued.obtained_at, issued.expires_at?))) {
        Some((obtained, expires)) if !in_grace => rules.policy.last_call(obtained, expires).max(now),
        _ => now,
    }
}

/// Whether a grace that began at `start` surely still runs when a request that is sent now arrives. A start in the future
/// tells of a clock that was set back, and nothing of the grace.
fn is_within(grace: Duration, rules: &Rules, start: Timestamp, now: Timestamp) -> bool {
    start <= later(now, FENCE) && now < later(start, grace.saturating_sub(FENCE + rules.request_timeout))
}

/// What the status says while a replay is put off.
pub fn outcome_unknown() -> Problem {
    Problem::passing(
        Reason::OutcomeUnknown,
        "A refresh was sent and its outcome is not known. To spare the grant, the refresh token is sent again only when the published access token is about to expire; nothing needs to be done.",
    )
}

/// What the status says when no refresh token works any more.
pub fn lost_grant(rules: &Rules) -> Problem {
    let message = format!("The token server no longer accepts the refresh token. {}", cure(rules));
    Problem::stalled(Reason::AuthorizationRequired, message)
}

fn no_refresh_token(rules: &Rules) -> Problem {
    let message = format!(
        "The provider gave no refresh token, so that a person is asked each time: ask for one, mostly by the scope offline_access or a parameter of the provider's authorizationRequest. {}",
        cure(rules)
    );
    Problem::stalled(Reason::AuthorizationRequired, message)
}

fn hold(problem: Problem) -> Plan {
    Plan::Hold { problem, until: None }
}

/// Rule 6: the server refused the tokens with the hashes `refused`. What to send instead, from a state that was just read, in
/// an exchange that began with the state `begun`. Where a password can begin anew that is the last resort, as the lineage `fresh`.
pub fn after_refusal(
    rules: &Rules,
    begun: &StateRecord,
    record: &StateRecord,
    refused: &[String],
    hash: impl Fn(&RefreshToken) -> String,
    now: Timestamp,
    fresh: &str,
) -> Option<StateRecord> {
    let goes_on = goes_on(begun, record);
    let untried =
        |token: &Option<RefreshToken>| goes_on && token.as_ref().is_some_and(|token| !refused.contains(&hash(token)));
    if untried(&record.refresh_token) {
        return Some(record.without_intent());
    }
    if let Some(adopted) = record.adopt_candidate().filter(|adopted| untried(&adopted.refresh_token)) {
        return Some(adopted.without_intent());
    }
    let grace = rules.reuse_grace_period.filter(|_| !rules.grace_ends_on_use);
    let in_grace = record
        .issued
        .as_ref()
        .zip(grace)
        .is_some_and(|(issued, grace)| is_within(grace, rules, issued.obtained_at, now));
    // The refused one is kept, in the other's place: a server may be wrong for a while.
    if in_grace && untried(&record.previous_refresh_token) {
        return Some(StateRecord {
            refresh_token: record.previous_refresh_token.clone(),
            previous_refresh_token: record.refresh_token.clone(),
            ..record.without_intent()
        });
    }
    (rules.starts == Starts::Password).then(|| {
        let (binding, user) = (record.binding.clone(), record.seed_hash.clone().unwrap_or_default());
        StateRecord::begin(fresh.to_owned(), binding, None, user, Some(record), begun.revision, now)
    })
}

/// Whether another process has begun to send another token than those refused, since an exchange began with the state `begun`:
/// that is judged as any open intent is (rule 2).
pub fn is_under_way(begun: &StateRecord, record: &StateRecord, refused: &[String]) -> bool {
    record.refresh_intent().is_some_and(|intent| {
        let known = begun.intent.as_ref().is_some_and(|known| known.attempt == intent.attempt);
        !known && !refused.contains(&intent.token_hash)
    })
}

/// Whether what a state holds now may be sent where `begun` was to be. By rule 7 it isn't from an older state that somebody put in
/// its place, nor from one that another input began, and no other client's token.
fn goes_on(begun: &StateRecord, record: &StateRecord) -> bool {
    let same = record.lineage == begun.lineage && record.revision == begun.revision;
    (same || record.revision > begun.revision) && record.binding == begun.binding
}
