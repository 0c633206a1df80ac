//! A person's consent: what the Consent Secret says, and what follows. Pure. How it is written is `secrets::consent`'s business,
//! and what a browser sees `crate::consent`'s.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    decide::{FENCE, Plan, Rules, newest_published},
    observed::{InputsSeen, Observed, OutputSeen, Problem, StateSeen},
    record::{Binding, StateRecord},
    schedule::later,
};
use crate::{
    api::{ConditionType, Reason},
    oauth::{
        authorization::{NoResponse, Refusal, Response},
        codes::ErrorCode,
        values::SecretText,
    },
};

#[cfg(test)]
mod tests;

/// How long a Consent Secret is good for. Whoever goes away for longer begins again.
pub const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Requests that may be open at once: a person who presses Continue again, or in another tab. The oldest go first.
const MOST_REQUESTS: usize = 4;

/// What a Consent Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub created_at: Timestamp,
    /// A one-time password: who knows it may consent.
    pub ticket: SecretText,
    /// What its creator put there: a code, or a whole redirected address.
    pub pasted: Option<SecretText>,
    pub progress: Progress,
}

/// What this operator's replicas have added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The oldest first.
    pub requests: Vec<Request>,
    /// What came to the callback.
    pub received: Option<Received>,
}

/// An authorization request that was made, and what its response is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of `state`.
    pub state_hash: String,
    /// Of the cookie of the browser that it was made for. None: it is for whoever reads the Secret, and no callback takes it.
    pub browser_hash: Option<String>,
    /// PKCE.
    pub verifier: Option<SecretText>,
    pub nonce: Option<String>,
    pub redirect_uri: Option<String>,
    /// Where it went, and as whom: the code goes nowhere else.
    pub binding: Binding,
    pub made_at: Timestamp,
}

/// A response that came to the callback, from the browser that the request was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub state_hash: String,
    pub outcome: Result<SecretText, Refusal>,
    pub at: Timestamp,
}

/// Who answers at the authorization endpoint, as far as is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answerer<'a> {
    pub issuer: Option<&'a str>,
    /// It promised to name itself in each response (RFC 9207 section 3).
    pub names_itself: bool,
}

/// A code that may be exchanged, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: SecretText,
    pub verifier: Option<SecretText>,
    pub nonce: Option<String>,
    /// As in the authorization request (RFC 6749 section 4.1.3). None: as the spec has it now.
    pub redirect_uri: Option<String>,
}

/// What a Consent Secret comes down to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing came yet. `prepared`: whoever reads the Secret finds in it where to go.
    Waiting {
        prepared: bool,
    },
    /// Nothing came, and nothing will be taken any more.
    Expired,
    Code(Box<Code>),
    Refused(Problem),
}

/// The Consent Secret, as a pass sees it.
#[derive(Clone, Copy, Debug)]
pub enum MailboxSeen<'a> {
    /// There is none, or the grant has no use for one, or it can't be used (which the status says).
    None,
    Unread,
    Read(&'a Mailbox),
}

/// What is to be done about a consent.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Nothing,
    ReadMailbox,
    ReadInputs,
    ReadState,
    /// Make a request for whoever reads the Secret.
    Prepare,
    /// Delete the Secret: what it was for is done, or has failed.
    Discard(Option<Problem>),
    Exchange(Box<Exchanging>),
    /// Look again then.
    Wait(Timestamp),
}

/// What a code is exchanged with.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchanging {
    pub code: Code,
    pub code_hash: String,
    /// The state that stays should this fail.
    pub base: StateRecord,
    /// The lineage that a reply begins.
    pub begun: StateRecord,
}

/// What is to be done about a Consent Secret. `not_before`: an earlier try failed. `hash` is that of a code, keyed for this
/// credential; `fresh` names a lineage.
pub fn next(
    rules: &Rules,
    seen: &Observed<'_>,
    mailbox: MailboxSeen<'_>,
    answerer: Answerer<'_>,
    not_before: Option<Timestamp>,
    hash: impl Fn(&SecretText) -> String,
    fresh: &str,
) -> Next {
    if rules.suspend || matches!(seen.output, OutputSeen::Foreign) || matches!(seen.state, StateSeen::Unusable(_)) {
        return Next::Nothing;
    }
    let mailbox = match mailbox {
        MailboxSeen::None => return Next::Nothing,
        MailboxSeen::Unread => return Next::ReadMailbox,
        MailboxSeen::Read(mailbox) => mailbox,
    };
    let binding = match &seen.inputs {
        InputsSeen::Unread => return Next::ReadInputs,
        InputsSeen::Problem(_) | InputsSeen::Undiscovered { .. } => return Next::Nothing,
        InputsSeen::Read(inputs) => inputs.binding,
    };
    let put_off = not_before.filter(|time| *time > seen.now);
    let code = match mailbox.reply(binding, answerer, seen.now) {
        Reply::Waiting { prepared: true } => return Next::Wait(mailbox.ends()),
        Reply::Waiting { prepared: false } => return put_off.map_or(Next::Prepare, Next::Wait),
        Reply::Expired => return Next::Discard(Some(expired())),
        Reply::Refused(problem) => return Next::Discard(Some(problem)),
        Reply::Code(code) => *code,
    };
    let record = match &seen.state {
        StateSeen::Unread { .. } => return Next::ReadState,
        StateSeen::Read(record) => Some(*record),
        _ => None,
    };
    let code_hash = hash(&code.code);
    if record.is_some_and(|record| record.is_spent(&code_hash)) {
        return Next::Discard(None);
    }
    if mailbox.ends() <= seen.now {
        return Next::Discard(Some(expired()));
    }
    if let Some(until) = put_off.or(record.and_then(|record| unsettled(rules, seen, record))) {
        return Next::Wait(until);
    }
    let published = newest_published(seen);
    let begun =
        StateRecord::begin(fresh.to_owned(), binding.clone(), None, code_hash.clone(), record, published, seen.now);
    let base = record.map(without_consents_intent).unwrap_or_default();
    Next::Exchange(Box::new(Exchanging { code, code_hash, base, begun }))
}

/// Until when another process's open intent isn't judged (rule 2).
pub fn unsettled(rules: &Rules, seen: &Observed<'_>, record: &StateRecord) -> Option<Timestamp> {
    record.intent.as_ref().filter(|intent| intent.holder.pod != seen.holder.pod)?;
    let settled = FENCE + rules.request_timeout + FENCE;
    let left = settled.checked_sub(seen.intent_seen_for).filter(|left| !left.is_zero())?;
    Some(later(seen.now, left))
}

/// What is known to be over when this code is refused. A refresh whose outcome isn't known stays what it is.
fn without_consents_intent(record: &StateRecord) -> StateRecord {
    let intent = record.refresh_intent().cloned();
    StateRecord { intent, ..record.clone() }
}

/// Whether what is planned comes down to waiting for a person.
pub fn is_needed(plan: &Plan, seen: &Observed<'_>) -> bool {
    let status = seen.status;
    match plan {
        Plan::Hold { problem, .. } => problem.reason == Reason::AuthorizationRequired,
        Plan::Rest { until: None } => {
            status.failed_attempts.is_some_and(|failed| failed > 0)
                && status.next_refresh_time.is_none()
                && status.conditions.iter().any(|condition| {
                    condition.type_ == ConditionType::Refreshed && condition.reason == Reason::InvalidGrant.as_str()
                })
        }
        _ => false,
    }
}

/// A hash of a state, a ticket or a cookie: 256 bits of which no more is to be known. Hex.
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` hashes to `hash`, in a time that doesn't tell how much of it does.
pub fn is_digest(hash: &str, text: &str) -> bool {
    hash.as_bytes().ct_eq(digest(text).as_bytes()).into()
}

impl Mailbox {
    /// In characters: 128 random bits in base64.
    pub const LEAST_TICKET: usize = 22;

    /// Until when anything is taken.
    pub fn ends(&self) -> Timestamp {
        later(self.created_at, LIFETIME)
    }

    /// Whether this is the ticket, in a time that doesn't tell how much of it is.
    pub fn admits(&self, ticket: &str) -> bool {
        is_digest(&digest(self.ticket.expose()), ticket)
    }

    /// The request that this `state` belongs to.
    pub fn request(&self, state: &str) -> Option<&Request> {
        self.progress.requests.iter().find(|request| is_digest(&request.state_hash, state))
    }

    /// Whether a response has come.
    pub fn has_response(&self) -> bool {
        self.progress.received.is_some() || self.pasted.is_some()
    }

    /// What has come, and whether it can be used. `now` is the binding of the spec as it is now.
    pub fn reply(&self, binding: &Binding, answerer: Answerer<'_>, now: Timestamp) -> Reply {
        let requests = &self.progress.requests;
        let used = match (&self.progress.received, &self.pasted) {
            (Some(received), _) => {
                let request = requests.iter().find(|request| request.state_hash == received.state_hash);
                request
                    .ok_or_else(foreign_state)
                    .and_then(|request| usable(received.outcome.clone(), Some(request), binding))
            }
            (None, Some(pasted)) => self.pasted(pasted, answerer, binding),
            (None, None) if self.ends() <= now => return Reply::Expired,
            (None, None) => {
                let prepared = requests.iter().any(|request| request.browser_hash.is_none());
                return Reply::Waiting { prepared };
            }
        };
        match used {
            Ok(code) => Reply::Code(Box::new(code)),
            Err(problem) => Reply::Refused(problem),
        }
    }

    fn pasted(&self, text: &SecretText, answerer: Answerer<'_>, binding: &Binding) -> Result<Code, Problem> {
        let response = Response::in_pasted(text.expose()).map_err(unreadable)?;
        if !response.is_from(answerer.issuer, answerer.names_itself && response.state.is_some()) {
            return Err(other_issuer());
        }
        let request = match &response.state {
            Some(state) => Some(self.request(state).ok_or_else(foreign_state)?),
            // A code alone: the ticket vouches for it. It is the newest request's that was made for whoever reads the Secret.
            None => {
                let requests = &self.progress.requests;
                requests.iter().rfind(|request| request.browser_hash.is_none()).or(requests.last())
            }
        };
        usable(response.outcome, request, binding)
    }

    /// What is added when a request was made.
    pub fn with_request(&self, request: Request) -> Progress {
        let mut progress = self.progress.clone();
        progress.requests.push(request);
        let surplus = progress.requests.len().saturating_sub(MOST_REQUESTS);
        progress.requests.drain(..surplus);
        progress
    }

    /// What is added when a response came. None: there is one already.
    pub fn with_received(&self, received: Received) -> Option<Progress> {
        (!self.has_response()).then(|| Progress { received: Some(received), ..self.progress.clone() })
    }
}

fn usable(outcome: Result<SecretText, Refusal>, request: Option<&Request>, binding: &Binding) -> Result<Code, Problem> {
    let code = outcome.map_err(refused)?;
    if request.is_some_and(|request| request.binding != *binding) {
        return Err(Problem::passing(
            Reason::InvalidSpec,
            "The provider or the client was changed while a person consented: the code belongs to the former one, and is not sent. Start again.",
        ));
    }
    Ok(Code {
        code,
        verifier: request.and_then(|request| request.verifier.clone()),
        nonce: request.and_then(|request| request.nonce.clone()),
        redirect_uri: request.and_then(|request| request.redirect_uri.clone()),
    })
}

/// What a refusal at the authorization endpoint comes down to.
pub fn refused(refusal: Refusal) -> Problem {
    let reason = match refusal {
        Refusal::Denied => Reason::NotAllowed,
        Refusal::Code(ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable) => Reason::ProviderUnavailable,
        Refusal::Code(ErrorCode::UnauthorizedClient) => Reason::InvalidClient,
        Refusal::Code(_) => Reason::InvalidSpec,
        Refusal::Unknown => Reason::InvalidResponse,
    };
    Problem::passing(reason, refusal.sentence())
}

fn unreadable(why: NoResponse) -> Problem {
    Problem::passing(
        Reason::InvalidResponse,
        format!(
            "The key response of the Consent Secret is neither a code nor the address that the provider redirected to: {why}. Start again, and copy the whole address."
        ),
    )
}

fn foreign_state() -> Problem {
    Problem::passing(
        Reason::InvalidResponse,
        "The response's state is not one that was given out for this credential, or an older attempt's: start again, and answer that attempt.",
    )
}

fn other_issuer() -> Problem {
    Problem::passing(
        Reason::InvalidResponse,
        "The response is from another issuer than the provider's, or doesn't say whose it is: nothing was sent. Start again at the provider that the credential names.",
    )
}

/// What is said of a consent that nobody finished.
pub fn expired() -> Problem {
    Problem::passing(Reason::AuthorizationRequired, "Nobody finished the consent within an hour: start again.")
}

/// What the status says while a person's consent is awaited. `first`: there never was one.
pub fn awaited(first: bool) -> Problem {
    let message = "A person's consent is needed: see status.authorization, and docs/consent.md for how to give it.";
    Problem { reason: Reason::AuthorizationRequired, message: message.to_owned(), stalls: !first }
}
