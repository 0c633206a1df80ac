//! A device code under which a person approves elsewhere (RFC 8628): when one is asked for, who polls with it, and when it is over.
//! Pure.
//!
//! The code is in the state, with an intent that says who polls: another process takes over only when that has stood as long as any
//! intent. Polls repeat one request by design, so none has an intent of its own; the reply that brings tokens is saved like any.

use jiff::Timestamp;

use super::{
    consent::unsettled,
    decide::{Rules, newest_published},
    observed::{InputsSeen, Observed, OutputSeen, Problem, StateSeen},
    record::{Device, Intent, StateRecord},
};
use crate::{api::Reason, oauth::values::SecretText};

#[cfg(test)]
mod tests;

/// What is to be done about a device code.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Nothing,
    ReadState,
    ReadInputs,
    /// Ask for a code.
    Start,
    /// Write that this process polls.
    Adopt,
    /// The code is of no use any more.
    Drop(Problem),
    Poll(Box<Polling>),
    /// Look again then.
    Wait(Timestamp),
}

/// What a poll is made with.
#[derive(Clone, Debug, PartialEq)]
pub struct Polling {
    pub device: Device,
    pub base: StateRecord,
    /// The lineage that a reply begins.
    pub begun: StateRecord,
    pub intent: Intent,
}

/// What is to be done. `needed`: nothing else can bring a token. `not_before` and `next_poll` are this process's own pace.
pub fn next(
    rules: &Rules,
    seen: &Observed<'_>,
    needed: bool,
    not_before: Option<Timestamp>,
    next_poll: Option<Timestamp>,
    hash: impl Fn(&SecretText) -> String,
) -> Next {
    if rules.suspend || matches!(seen.output, OutputSeen::Foreign) {
        return Next::Nothing;
    }
    let record = match &seen.state {
        StateSeen::Unusable(_) | StateSeen::NotKept => return Next::Nothing,
        StateSeen::Unread { open_intent, .. } if needed || *open_intent => return Next::ReadState,
        StateSeen::Unread { .. } => return Next::Nothing,
        StateSeen::Read(record) => Some(*record),
        StateSeen::Absent => None,
    };
    let device = record.and_then(|record| Some((record, record.device.as_ref()?)));
    if device.is_none() && !needed {
        return Next::Nothing;
    }
    let binding = match &seen.inputs {
        InputsSeen::Unread => return Next::ReadInputs,
        InputsSeen::Problem(_) | InputsSeen::Undiscovered { .. } => return Next::Nothing,
        InputsSeen::Read(inputs) => inputs.binding,
    };
    let Some((record, device)) = device.filter(|(_, device)| device.binding == *binding) else {
        return not_before.filter(|time| *time > seen.now).map_or(Next::Start, Next::Wait);
    };
    if let Some(until) = unsettled(rules, seen, record) {
        return Next::Wait(until);
    }
    if device.authorization.expires_at <= seen.now {
        return Next::Drop(expired());
    }
    let ours =
        record.intent.as_ref().filter(|intent| intent.holder == *seen.holder && intent.lineage == device.lineage);
    let Some(intent) = ours else { return Next::Adopt };
    if let Some(until) = next_poll.filter(|time| *time > seen.now) {
        return Next::Wait(until.min(device.authorization.expires_at));
    }
    let begun = StateRecord::begin(
        device.lineage.clone(),
        device.binding.clone(),
        None,
        hash(&device.authorization.device_code),
        Some(record),
        newest_published(seen),
        seen.now,
    );
    Next::Poll(Box::new(Polling { device: device.clone(), base: record.clone(), begun, intent: intent.clone() }))
}

/// What is said of a code that nobody confirmed.
pub fn expired() -> Problem {
    Problem::passing(
        Reason::AuthorizationRequired,
        "The device code expired before anyone confirmed it: another is asked for, see status.authorization.",
    )
}
