//! Workloads that can't reread a Secret are restarted after a new token: what is to be restarted, and when. The status remembers which
//! token a workload still lacks, so that a restart of the operator restarts nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::schedule::later;
use crate::api::{OAuthCredentialStatus, Reason, RolloutRestartStatus, RolloutTarget, WorkloadKind};

#[cfg(test)]
mod tests;

/// How long a new token waits for others: additional ones, and those of credentials that name the same workload.
pub const BATCH: Duration = Duration::from_secs(10);
/// The least time between two restarts of one workload, whichever credentials name it.
pub const INTERVAL: Duration = Duration::from_secs(300);
/// The pause after a restart that failed.
pub const RETRY: Duration = Duration::from_secs(300);

/// The prefix of the annotations on a pod template that say for which token its pods were started; the credential's name follows.
const ANNOTATIONS: &str = "rollout.oauth-operator.dev";
/// The longest message that the status takes, in bytes.
const LONGEST: usize = 2048;

/// What is to be done about one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its pods have the newest token, or get it as they start.
    Nothing,
    Wait(Timestamp),
    Restart,
}

/// How a restart ended that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    Done,
    /// There is no such workload. Should it come, its pods start with the newest token.
    NotFound,
    Forbidden,
    Refused,
    /// Whether it took effect isn't known. It may be repeated: the same annotations restart nothing.
    Unanswered,
}

/// The records after a pass. Each token that is new in the output is news to every target; a first token is not: what starts without one
/// waits for the Secret.
pub fn records(
    before: &OAuthCredentialStatus,
    after: &OAuthCredentialStatus,
    targets: &[RolloutTarget],
    now: Timestamp,
) -> Vec<RolloutRestartStatus> {
    let changed = before.revision.is_some() && tokens(before) != tokens(after);
    let record = |target: &RolloutTarget| {
        let former = record(before, target).cloned();
        match changed {
            false => former,
            true => {
                let mut record = former.unwrap_or_else(|| RolloutRestartStatus::of(target));
                record.pending_since.get_or_insert(now);
                Some(record)
            }
        }
    };
    targets.iter().filter_map(record).collect()
}

/// Tells the tokens in the output from others.
fn tokens(status: &OAuthCredentialStatus) -> (Option<&str>, Vec<(&str, Option<Timestamp>)>) {
    let additional = status.additional_tokens.iter().map(|token| (&*token.name, token.last_refresh_time));
    (status.token_hash.as_deref(), additional.collect())
}

fn record<'a>(status: &'a OAuthCredentialStatus, target: &RolloutTarget) -> Option<&'a RolloutRestartStatus> {
    status.rollout_restarts.iter().find(|record| record.is_of(target))
}

/// What is to be done about `target`. `all` are the statuses of the credentials that name it, this one's included.
pub fn step<'a>(
    mine: &OAuthCredentialStatus,
    target: &RolloutTarget,
    all: impl IntoIterator<Item = &'a OAuthCredentialStatus>,
    now: Timestamp,
) -> Step {
    let Some(since) = record(mine, target).and_then(|record| record.pending_since) else { return Step::Nothing };
    let last = all.into_iter().filter_map(|status| record(status, target)?.last_restart_time).max();
    let earliest = last.map(|last| later(last, INTERVAL));
    match [Some(later(since, BATCH)), earliest].into_iter().flatten().max() {
        // Neither is further away than a clock that was not set back has it.
        Some(at) if at > now && at <= later(now, INTERVAL) => Step::Wait(at),
        _ => Step::Restart,
    }
}

/// The annotation by which a pod template takes in the newest token of `credential`. None: it has it. It depends on the token alone, so
/// that to set it again restarts nothing.
pub fn annotation(
    credential: &str,
    status: &OAuthCredentialStatus,
    target: &RolloutTarget,
) -> Option<(String, String)> {
    let since = record(status, target)?.pending_since?;
    let revision = status.revision.unwrap_or_default();
    Some((format!("{ANNOTATIONS}/{credential}"), format!("revision {revision}, {since}")))
}

/// The record of `target` after a restart was tried for the tokens that there were at `tried`.
pub fn after(
    mut record: RolloutRestartStatus,
    restarted: Restarted,
    revision: Option<i64>,
    now: Timestamp,
) -> RolloutRestartStatus {
    match restarted {
        Restarted::Done => {
            (record.pending_since, record.last_restart_time, record.revision) = (None, Some(now), revision);
            (record.reason, record.message) = (None, None);
        }
        Restarted::Unanswered => {}
        Restarted::NotFound | Restarted::Forbidden | Restarted::Refused => {
            if restarted == Restarted::NotFound {
                record.pending_since = None;
            }
            let (reason, message) = sentence(restarted, record.kind, &record.name);
            (record.reason, record.message) = (Some(reason.as_str().to_owned()), Some(message));
        }
    }
    record
}

fn sentence(restarted: Restarted, kind: WorkloadKind, name: &str) -> (Reason, String) {
    let (singular, plural) = (kind.name(), kind.plural());
    match restarted {
        Restarted::NotFound => (
            Reason::WorkloadNotFound,
            format!(
                "There was no {singular} {name} to restart when the token changed: create it, or correct spec.rolloutRestart."
            ),
        ),
        Restarted::Forbidden => (
            Reason::NotAllowed,
            format!(
                "The operator may not restart the {singular} {name}: grant it patch on {plural} (chart value rbac.rolloutRestart), or leave it out of spec.rolloutRestart."
            ),
        ),
        Restarted::Refused | Restarted::Unanswered | Restarted::Done => (
            Reason::NotAllowed,
            format!(
                "The API server refuses to have the {singular} {name} restarted: look for an admission policy that forbids annotations on its pod template."
            ),
        ),
    }
}

/// What is wrong with restarts, for the condition RestartFailed. None: nothing.
pub fn failing(records: &[RolloutRestartStatus]) -> Option<(&str, String)> {
    let mut failing = records.iter().filter_map(|record| Some((record.reason.as_deref()?, record.message.as_deref()?)));
    let (reason, first) = failing.next()?;
    let mut message = first.to_owned();
    for (_, next) in failing {
        if message.len() + 1 + next.len() <= LONGEST {
            message = format!("{message} {next}");
        }
    }
    Some((reason, message))
}
