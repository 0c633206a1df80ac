//! What one pass came to → the status. Pure; messages are stable, and never hold what a server sent.

use jiff::Timestamp;

use super::{legs, lifetimes::is_neglected, observed::Problem, published::PublishedToken, restart};
use crate::api::{
    AuthorizationFailure, AuthorizationStatus, AuthorizedBy, Condition, ConditionStatus, ConditionType,
    OAuthCredentialStatus, Reason, RevocationStatus, RolloutRestartStatus, RolloutTarget,
};

#[cfg(test)]
mod tests;

/// What the condition RefreshTokenExpiring says of an end that no refresh puts off.
const FIXED_END: &str = "The refresh token dies at status.refreshTokenExpirationTime, and refreshing does not put that off: give a new one before.";
/// What it says where refreshing would, and didn't come about.
const NEGLECTED: &str = "The refresh token dies unused at status.refreshTokenExpirationTime: see Refreshed for what keeps it from being used.";

/// What a revocation that was asked for comes to.
const REVOKED: &str = "What was kept is revoked.";

/// What Refreshed says of a token that is its own refresh credential.
const REFRESHED_BY_ITSELF: &str = "The last attempt brought an access token. The refresh token expires together with it: a refresh that comes later than status.refreshTokenExpirationTime costs a new authorization, so it is made early.";

/// What a pass came to.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub enum Outcome {
    /// Nothing was to be done.
    Rested,
    /// No request could be made.
    Held(Problem),
    /// A token was written: a new one, or (not `fresh`) the one from the state again.
    Published { token: PublishedToken, fresh: bool },
    /// An additional token could not be had. It is asked for again at `retry`.
    LegFailed { leg: String, problem: Problem, retry: Timestamp, spec_hash: String },
    /// An attempt failed. The next one is at `retry`, None: not before something changes.
    Failed { problem: Problem, retry: Option<Timestamp>, inputs: String },
}

/// Everything the status says is made from this and the status before.
#[derive(Clone, Debug)]
pub struct Pass<'a> {
    pub now: Timestamp,
    pub generation: i64,
    pub outcome: Outcome,
    /// Whether the output holds, after this pass, a token obtained under this generation's token-relevant spec.
    pub current: bool,
    /// When the next request is planned, after a pass that rested or published.
    pub next: Option<Timestamp>,
    /// What a person needs to consent, save for how the last consent failed.
    pub authorization: AuthorizationStatus,
    /// The workloads to restart after a new token. None: the spec doesn't tell.
    pub restarts: Option<&'a [RolloutTarget]>,
    /// The refresh request that this pass obeyed.
    pub handled: Option<&'a str>,
    pub output_name: &'a str,
}

/// The status after a pass.
pub fn status(before: &OAuthCredentialStatus, pass: &Pass<'_>) -> OAuthCredentialStatus {
    let mut status = before.clone();
    if before.observed_generation != Some(pass.generation) {
        // A changed spec starts afresh, also when its first attempt is not in this pass.
        status.failed_inputs_hash = None;
    }
    match &pass.outcome {
        Outcome::LegFailed { leg, problem, retry, spec_hash } => {
            status.additional_tokens = legs::failed(&before.additional_tokens, leg, problem, *retry, spec_hash);
        }
        Outcome::Rested => {
            if !failing(before) {
                status.next_refresh_time = pass.next.map(whole_seconds);
            }
        }
        // What an attempt's failure has put off stays put off when what holds is over.
        Outcome::Held(problem) => {
            if pass.next.is_some() || !failing(before) || problem.reason == Reason::Suspended {
                status.next_refresh_time = pass.next.map(next_whole_second);
            }
        }
        Outcome::Published { token, fresh } => {
            publish(&mut status, token, *fresh);
            if *fresh || !failing(before) {
                (status.failed_attempts, status.last_failure_time, status.failed_inputs_hash) = (None, None, None);
                status.next_refresh_time = pass.next.map(whole_seconds);
            }
        }
        Outcome::Failed { retry, inputs, .. } => {
            status.failed_attempts = Some(failures_after(before, pass.generation, inputs));
            status.last_failure_time = Some(whole_seconds(pass.now));
            status.failed_inputs_hash = Some(inputs.clone());
            status.next_refresh_time = retry.map(next_whole_second);
        }
    }
    authorization(&mut status, before, pass);
    if let Some(targets) = pass.restarts {
        status.rollout_restarts = restart::records(before, &status, targets, whole_seconds(pass.now));
    }
    if let Some(handled) = pass.handled {
        status.last_handled_refresh_request = Some(handled.to_owned());
    }
    status.observed_generation = Some(pass.generation);
    status.conditions = conditions(before, &status, pass);
    status
}

/// Whether a newer token was published, or another attempt has failed, since a pass saw the status as `before`: what came of that pass
/// is not to be told. Beside another's failure it would be neither the one's plan nor the other's.
pub fn is_overtaken(before: &OAuthCredentialStatus, now: &OAuthCredentialStatus) -> bool {
    let failure = |status: &OAuthCredentialStatus| (status.failed_attempts, status.last_failure_time);
    now.revision > before.revision || failure(now) != failure(before)
}

/// What a person needs to consent. A failed consent is told of until another succeeds.
fn authorization(status: &mut OAuthCredentialStatus, before: &OAuthCredentialStatus, pass: &Pass<'_>) {
    let failed = before.authorization.as_ref().and_then(|authorization| authorization.last_failure.clone());
    let consented = status.authorized_by != before.authorized_by;
    let now = AuthorizationStatus { last_failure: failed.filter(|_| !consented), ..pass.authorization.clone() };
    status.authorization = (now != AuthorizationStatus::default()).then_some(now);
}

/// The status after a consent that brought nothing.
pub fn consent_failed(before: &OAuthCredentialStatus, problem: &Problem, now: Timestamp) -> OAuthCredentialStatus {
    let mut status = before.clone();
    let failure = AuthorizationFailure {
        reason: problem.reason.as_str().to_owned(),
        message: problem.message.clone(),
        time: whole_seconds(now),
    };
    status.authorization.get_or_insert_default().last_failure = Some(failure);
    status
}

/// The status after a request to revoke: it was done, or a sentence says why not. What was published is of no use from then on.
pub fn revocation(
    before: &OAuthCredentialStatus,
    request: &str,
    ended: Result<(), &str>,
    now: Timestamp,
) -> OAuthCredentialStatus {
    let now = whole_seconds(now);
    let mut status = before.clone();
    status.last_revocation = Some(RevocationStatus {
        request: request.to_owned(),
        time: now,
        revoked: ended.is_ok(),
        message: ended.err().unwrap_or(REVOKED).to_owned(),
    });
    if ended.is_ok() {
        let ends = |time: Option<Timestamp>| Some(time.map_or(now, |time| time.min(now)));
        status.expiration_time = status.revision.and_then(|_| ends(status.expiration_time));
        for token in status.additional_tokens.iter_mut().filter(|token| token.last_refresh_time.is_some()) {
            token.expiration_time = ends(token.expiration_time);
        }
        (status.refresh_token_expiration_time, status.next_refresh_time) = (None, None);
        (status.failed_attempts, status.last_failure_time, status.failed_inputs_hash) = (None, None, None);
        status.authorized_by = None;
    }
    status
}

/// How often an attempt has failed in a row once this pass's failure is counted.
pub fn failures_after(before: &OAuthCredentialStatus, generation: i64, inputs: &str) -> i64 {
    let same = before.observed_generation == Some(generation) && before.failed_inputs_hash.as_deref() == Some(inputs);
    if same { before.failed_attempts.unwrap_or(0).saturating_add(1) } else { 1 }
}

fn failing(status: &OAuthCredentialStatus) -> bool {
    status.failed_attempts.is_some()
}

/// Whether a token that was just obtained is the one that is in the output Secret already.
pub fn is_repeated(before: &OAuthCredentialStatus, token_hash: &str) -> bool {
    before.revision.is_some() && before.token_hash.as_deref() == Some(token_hash)
}

fn publish(status: &mut OAuthCredentialStatus, token: &PublishedToken, fresh: bool) {
    status.last_unchanged_time = match is_repeated(status, &token.token_hash) {
        true if fresh => Some(whole_seconds(token.obtained_at)),
        true => status.last_unchanged_time,
        false => None,
    };
    status.token_hash = Some(token.token_hash.clone());
    status.revision = Some(token.revision);
    status.last_refresh_time = Some(whole_seconds(token.obtained_at));
    status.expiration_time = token.expires_at.map(whole_seconds);
    status.refresh_token_expiration_time = token.life.ends.map(whole_seconds);
    status.scopes.clone_from(&token.scopes);
    status.seed_hash.clone_from(&token.seed_hash);
    status.additional_tokens.clone_from(&token.additional);
    status.secret = Some(token.secret.clone());
    status.authorized_by = token
        .authorized
        .as_ref()
        .map(|authorized| AuthorizedBy { subject: authorized.subject.clone(), time: whole_seconds(authorized.at) });
}

fn conditions(before: &OAuthCredentialStatus, status: &OAuthCredentialStatus, pass: &Pass<'_>) -> Vec<Condition> {
    let former = |type_| before.conditions.iter().find(|condition| condition.type_ == type_);
    let refreshed = refreshed(former(ConditionType::Refreshed), before, status, pass);
    let stalled = stalled(refreshed.as_ref(), former(ConditionType::Stalled), status, pass);
    let ready = ready(status, pass, refreshed.as_ref(), stalled.as_ref());
    let is_ready = ready.status == ConditionStatus::True;
    let suspended = matches!(&pass.outcome, Outcome::Held(problem) if problem.reason == Reason::Suspended);
    let reconciling = (!is_ready && stalled.is_none() && !suspended).then(|| Said {
        type_: ConditionType::Reconciling,
        status: ConditionStatus::True,
        reason: ready.reason.clone(),
        message: ready.message.clone(),
    });
    let expiring = expiring(former(ConditionType::RefreshTokenExpiring), stalled.as_ref(), status, pass);
    [Some(ready), refreshed, reconciling, stalled, expiring, restart_failed(status)]
        .into_iter()
        .flatten()
        .map(|said| {
            let former = former(said.type_);
            said.at(former, pass.generation, pass.now)
        })
        .collect()
}

/// The status after restarts were tried: `records` are those of the workloads that it was tried with.
pub fn restarted(
    before: &OAuthCredentialStatus,
    records: &[RolloutRestartStatus],
    now: Timestamp,
) -> OAuthCredentialStatus {
    let mut status = before.clone();
    for record in &mut status.rollout_restarts {
        let tried = records.iter().find(|tried| (tried.kind, &tried.name) == (record.kind, &record.name));
        record.clone_from(tried.unwrap_or(&record.clone()));
    }
    let is_it = |condition: &Condition| condition.type_ == ConditionType::RestartFailed;
    let former = before.conditions.iter().find(|condition| is_it(condition));
    let generation = before.observed_generation.unwrap_or_default();
    let said = restart_failed(&status).map(|said| said.at(former, generation, now));
    status.conditions.retain(|condition| !is_it(condition));
    status.conditions.extend(said);
    status
}

/// Nothing of the token depends on it.
fn restart_failed(status: &OAuthCredentialStatus) -> Option<Said> {
    let (reason, message) = restart::failing(&status.rollout_restarts)?;
    let (type_, status) = (ConditionType::RestartFailed, ConditionStatus::True);
    Some(Said { type_, status, reason: reason.to_owned(), message })
}

/// metav1.Time has no fraction of a second.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Never earlier than `time`: a pause that was promised is kept.
fn next_whole_second(time: Timestamp) -> Timestamp {
    let whole = whole_seconds(time);
    if whole == time { time } else { Timestamp::from_second(time.as_second() + 1).unwrap_or(time) }
}

#[derive(Clone)]
struct Said {
    type_: ConditionType,
    status: ConditionStatus,
    reason: String,
    message: String,
}

impl Said {
    fn new(type_: ConditionType, holds: bool, reason: Reason, message: impl Into<String>) -> Self {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        Self { type_, status, reason: reason.as_str().to_owned(), message: message.into() }
    }

    fn at(self, former: Option<&Condition>, generation: i64, now: Timestamp) -> Condition {
        let unchanged = former.filter(|condition| condition.status == self.status);
        Condition {
            type_: self.type_,
            status: self.status,
            observed_generation: generation,
            last_transition_time: unchanged
                .map_or_else(|| whole_seconds(now), |condition| condition.last_transition_time),
            reason: self.reason,
            message: self.message,
        }
    }

    fn again(condition: &Condition) -> Self {
        Self {
            type_: condition.type_,
            status: condition.status,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        }
    }
}

/// How the last attempt ended.
fn refreshed(
    former: Option<&Condition>,
    before: &OAuthCredentialStatus,
    status: &OAuthCredentialStatus,
    pass: &Pass<'_>,
) -> Option<Said> {
    let no = |problem: &Problem, reason: Reason| {
        Some(Said::new(ConditionType::Refreshed, false, reason, problem.message.clone()))
    };
    match &pass.outcome {
        Outcome::Published { fresh: false, .. } | Outcome::Rested | Outcome::LegFailed { .. } if failing(status) => {
            former.map(Said::again)
        }
        Outcome::Published { .. } | Outcome::Rested | Outcome::LegFailed { .. } => status.revision.map(|_| {
            // The same end means the same token, or as good as.
            let dies_together =
                status.expiration_time.is_some() && status.refresh_token_expiration_time == status.expiration_time;
            let message = if dies_together { REFRESHED_BY_ITSELF } else { "The last attempt brought an access token." };
            Said::new(ConditionType::Refreshed, true, Reason::Issued, message)
        }),
        // What holds requests back now is not how the last attempt failed, and that is to be known when the hold is over.
        Outcome::Held(problem) if failing(before) && !says_it_of_attempts(problem.reason) => former
            .filter(|former| former.reason != Reason::Suspended.as_str())
            .map_or_else(|| no(problem, problem.reason), |former| Some(Said::again(former))),
        // What was refused is InvalidGrant; what follows from it, on Ready and Stalled, is AuthorizationRequired.
        Outcome::Failed { problem, .. } if problem.reason == Reason::AuthorizationRequired => {
            no(problem, Reason::InvalidGrant)
        }
        Outcome::Held(problem) | Outcome::Failed { problem, .. } => no(problem, problem.reason),
    }
}

fn says_it_of_attempts(hold: Reason) -> bool {
    matches!(hold, Reason::Suspended | Reason::OutcomeUnknown)
}

fn stalled(
    refreshed: Option<&Said>,
    former: Option<&Condition>,
    status: &OAuthCredentialStatus,
    pass: &Pass<'_>,
) -> Option<Said> {
    match &pass.outcome {
        Outcome::Held(problem) | Outcome::Failed { problem, .. } => {
            problem.stalls.then(|| Said::new(ConditionType::Stalled, true, problem.reason, problem.message.clone()))
        }
        Outcome::Rested | Outcome::LegFailed { .. } | Outcome::Published { .. } => {
            let refreshed = refreshed?;
            let reason = stalls(&refreshed.reason, status, former)?;
            Some(Said::new(ConditionType::Stalled, true, reason, refreshed.message.clone()))
        }
    }
}

/// Whether an attempt that failed with this reason waits for a person, and what Stalled says then.
fn stalls(refreshed: &str, status: &OAuthCredentialStatus, former: Option<&Condition>) -> Option<Reason> {
    if refreshed == Reason::InvalidGrant.as_str() && status.next_refresh_time.is_none() {
        return Some(Reason::AuthorizationRequired);
    }
    let stalling = [Reason::InvalidGrant, Reason::InvalidClient, Reason::InvalidSpec, Reason::EgressDenied];
    // Others stall in some cases only: as long as it was said.
    let said = former.is_some_and(|former| former.reason == refreshed);
    let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == refreshed)?;
    (said || stalling.contains(&reason)).then_some(reason)
}

/// The end of the grant is near, and only a person can put it off. Where the grant is lost already, Stalled says so.
fn expiring(
    former: Option<&Condition>,
    stalled: Option<&Said>,
    status: &OAuthCredentialStatus,
    pass: &Pass<'_>,
) -> Option<Said> {
    let said = |message| Some(Said::new(ConditionType::RefreshTokenExpiring, true, Reason::ExpiresSoon, message));
    let (used, ends) = status.last_refresh_time.zip(status.refresh_token_expiration_time)?;
    if stalled.is_some_and(|stalled| stalled.reason == Reason::AuthorizationRequired.as_str()) {
        return None;
    }
    let is_fixed = match &pass.outcome {
        Outcome::Published { token, .. } => token.life.warns.is_some_and(|warns| warns <= pass.now),
        _ => former.is_some_and(|former| former.message == FIXED_END),
    };
    match is_fixed {
        true => said(FIXED_END),
        false if is_neglected(used, ends, pass.now) => said(NEGLECTED),
        false => None,
    }
}

fn ready(status: &OAuthCredentialStatus, pass: &Pass<'_>, refreshed: Option<&Said>, stalled: Option<&Said>) -> Said {
    let said = |holds, reason, message: String| Said::new(ConditionType::Ready, holds, reason, message);
    let expired = status.revision.is_some() && status.expiration_time.is_some_and(|expires| expires <= pass.now);
    if pass.current && !expired && status.revision.is_some() {
        return said(true, Reason::Issued, format!("The Secret {} holds a valid access token.", pass.output_name));
    }
    if let Some(stalled) = stalled {
        return Said { type_: ConditionType::Ready, status: ConditionStatus::False, ..stalled.clone() };
    }
    let held = match &pass.outcome {
        Outcome::Held(problem) => Some(said(false, problem.reason, problem.message.clone())),
        _ => None,
    };
    match held.as_ref().or(refreshed.filter(|refreshed| refreshed.status == ConditionStatus::False)) {
        Some(cause) if expired => {
            said(false, Reason::Expired, format!("The access token has expired. {}", cause.message))
        }
        Some(cause) => Said { type_: ConditionType::Ready, ..cause.clone() },
        None if expired => said(false, Reason::Expired, "The access token has expired; a new one is asked for.".into()),
        None => said(false, Reason::Pending, "A token is asked for under the present spec.".into()),
    }
}
