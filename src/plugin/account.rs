//! An account of one credential: from its provider and inputs to its output, when what happens, and what to do next. Pure:
//! from objects and `now`. It holds no secret, so it can't print one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    seen::{SecretFacts, Seen},
    text::{relative, span},
};
use crate::{
    api::{
        Condition, ConditionStatus, ConditionType, OAuthCredential, OAuthCredentialStatus, ProviderKind, ProviderSpec,
        Reason, RevocationStatus,
    },
    credential::references,
    secrets::{state::STATE_TYPE, state_name},
};

mod render;
#[cfg(test)]
mod tests;

/// A refresh that is this late, in seconds, is overdue: nobody makes it.
const OVERDUE: i64 = 60;

/// What was read for an account.
pub struct Facts {
    pub credential: OAuthCredential,
    /// The provider's spec, wherever it is kept.
    pub provider: Seen<ProviderSpec>,
    /// The Secrets, by namespace and name.
    pub secrets: BTreeMap<(String, String), Seen<SecretFacts>>,
    /// The namespace of the Secrets that the provider names.
    pub shared_namespace: String,
}

/// The account. Its fields are what `-o json` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    pub namespace: String,
    pub name: String,
    pub ready: Option<Condition>,
    pub refreshed: Option<Condition>,
    pub stalled: bool,
    pub grant: String,
    pub provider: Provider,
    pub inputs: Vec<Input>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Kept>,
    pub output: Kept,
    pub timeline: Vec<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_revocation: Option<RevocationStatus>,
    pub next_step: String,
}

/// The provider, and where requests go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// OAuthProvider, ClusterOAuthProvider or, where it is part of the credential, inline.
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub found: Found,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// A key of a Secret that the next request reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    pub namespace: String,
    pub secret: String,
    pub key: String,
    pub found: Found,
}

/// A Secret that the operator writes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub secret: String,
    pub found: Found,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// Whether something that is needed is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Found {
    There,
    /// Not there, though it is needed.
    Missing,
    NoSuchKey,
    /// There is nothing under the key.
    Empty,
    /// There, but not the operator's.
    Foreign,
    /// Not there yet, and nothing is wrong with that.
    NotYet,
    /// The person may not look.
    Hidden,
}

/// Something that happened, or will.
#[derive(Debug, Serialize)]
pub struct Moment {
    pub time: Timestamp,
    pub event: &'static str,
}

impl Account {
    /// Whether there is a valid token in the output.
    pub fn is_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(holds)
    }
}

/// Whether a condition is True.
pub fn holds(condition: &Condition) -> bool {
    condition.status == ConditionStatus::True
}

/// Makes the account.
pub fn account(facts: &Facts, now: Timestamp) -> Account {
    let credential = &facts.credential;
    let status = credential.status.clone().unwrap_or_default();
    let namespace = credential.metadata.namespace.clone().unwrap_or_default();
    let name = credential.metadata.name.clone().unwrap_or_default();
    let condition = |type_| status.condition(type_).cloned();
    let inputs = inputs(facts, &namespace);
    Account {
        ready: condition(ConditionType::Ready),
        refreshed: condition(ConditionType::Refreshed),
        stalled: status.condition(ConditionType::Stalled).is_some_and(holds),
        grant: grant(credential),
        provider: provider(facts),
        state: state(facts, &namespace, &name, &status),
        output: output(facts, &namespace, &name, &status),
        timeline: timeline(&status),
        failed_attempts: status.failed_attempts,
        last_revocation: status.last_revocation.clone(),
        next_step: next_step(credential, &inputs, now),
        inputs,
        namespace,
        name,
    }
}

/// The grant's name in the spec.
fn grant(credential: &OAuthCredential) -> String {
    let grant = serde_json::to_value(&credential.spec.grant).unwrap_or_default();
    grant.as_object().and_then(|grant| grant.keys().next().cloned()).unwrap_or_default()
}

fn provider(facts: &Facts) -> Provider {
    let reference = facts.credential.spec.provider_ref.as_ref();
    let kind = match reference.map(|reference| reference.kind) {
        Some(ProviderKind::OAuthProvider) => "OAuthProvider",
        Some(ProviderKind::ClusterOAuthProvider) => "ClusterOAuthProvider",
        None => "inline",
    };
    let (found, server) = match &facts.provider {
        Seen::There(spec) => (Found::There, server(spec)),
        Seen::Absent => (Found::Missing, None),
        Seen::Hidden => (Found::Hidden, None),
    };
    Provider { kind: kind.to_owned(), name: reference.map(|reference| reference.name.0.clone()), found, server }
}

/// Where requests go, as far as the spec tells.
fn server(spec: &ProviderSpec) -> Option<String> {
    let token = spec.endpoints.as_ref().and_then(|endpoints| endpoints.token.as_ref());
    token.or(spec.issuer.as_ref()).map(|url| url.0.clone())
}

/// The Secret keys that the next request reads; none while the provider isn't known.
fn inputs(facts: &Facts, namespace: &str) -> Vec<Input> {
    let Seen::There(provider) = &facts.provider else { return Vec::new() };
    let keys = references::inputs(namespace, &facts.credential.spec, provider, &facts.shared_namespace);
    let found = |namespace: &str, name: &str, key: &str| match facts.secrets.get(&(namespace.into(), name.into())) {
        Some(Seen::There(secret)) => match secret.keys.get(key) {
            Some(true) => Found::There,
            Some(false) => Found::Empty,
            None => Found::NoSuchKey,
        },
        Some(Seen::Hidden) => Found::Hidden,
        Some(Seen::Absent) | None => Found::Missing,
    };
    keys.into_iter()
        .map(|input| Input {
            found: found(&input.namespace, &input.name, &input.key),
            namespace: input.namespace.to_string(),
            secret: input.name,
            key: input.key,
        })
        .collect()
}

fn secret<'a>(facts: &'a Facts, namespace: &str, name: &str) -> Seen<&'a SecretFacts> {
    facts.secrets.get(&(namespace.to_owned(), name.to_owned())).map_or(Seen::Absent, Seen::as_ref)
}

/// The state Secret, where the grant has something to keep.
fn state(facts: &Facts, namespace: &str, name: &str, status: &OAuthCredentialStatus) -> Option<Kept> {
    let grant = &facts.credential.spec.grant;
    let keeps = grant.refresh_token.is_some()
        || grant.password.is_some()
        || grant.authorization_code.is_some()
        || grant.device_code.is_some();
    let state = state_name(name);
    let seen = secret(facts, namespace, &state);
    if !keeps && seen == Seen::Absent {
        return None;
    }
    let revision = if let Seen::There(secret) = seen { secret.revision } else { None };
    let found = match seen {
        Seen::There(secret) if secret.type_ == STATE_TYPE => Found::There,
        Seen::There(_) => Found::Foreign,
        // A password's state is there once a reply brought a refresh token.
        Seen::Absent if status.revision.is_some() && grant.password.is_none() => Found::Missing,
        Seen::Absent => Found::NotYet,
        Seen::Hidden => Found::Hidden,
    };
    Some(Kept { secret: state, found, revision, keys: Vec::new() })
}

fn output(facts: &Facts, namespace: &str, name: &str, status: &OAuthCredentialStatus) -> Kept {
    let output = facts.credential.spec.output_name(name);
    let kept = |found, revision, keys| Kept { secret: output.clone(), found, revision, keys };
    match secret(facts, namespace, &output) {
        Seen::There(secret) if secret.credential.as_deref() == Some(name) => {
            kept(Found::There, secret.revision, secret.keys.keys().cloned().collect())
        }
        Seen::There(_) => kept(Found::Foreign, None, Vec::new()),
        Seen::Absent if status.revision.is_some() => kept(Found::Missing, None, Vec::new()),
        Seen::Absent => kept(Found::NotYet, None, Vec::new()),
        Seen::Hidden => kept(Found::Hidden, None, Vec::new()),
    }
}

fn timeline(status: &OAuthCredentialStatus) -> Vec<Moment> {
    let code = status.authorization.as_ref().and_then(|authorization| authorization.expiration_time);
    let revoked = status.last_revocation.as_ref();
    let revocation = |obeyed: bool| revoked.filter(|last| last.revoked == obeyed).map(|last| last.time);
    let moments = [
        (revocation(true), "the tokens that were kept were revoked"),
        (revocation(false), "a request to revoke was not obeyed"),
        (status.authorized_by.as_ref().map(|by| by.time), "a person consented"),
        (status.last_refresh_time, "the token in the Secret was obtained"),
        (status.last_unchanged_time, "a refresh brought the same token again"),
        (status.last_failure_time, "the last attempt failed"),
        (status.next_refresh_time, "next attempt"),
        (status.expiration_time, "the token in the Secret expires"),
        (code, "the user code expires"),
        (status.refresh_token_expiration_time, "the refresh token ends, unless it is used before"),
    ];
    let mut moments: Vec<_> =
        moments.into_iter().filter_map(|(time, event)| Some(Moment { time: time?, event })).collect();
    moments.sort_by_key(|moment| moment.time);
    moments
}

/// What a person should do, or that there is nothing to do.
fn next_step(credential: &OAuthCredential, inputs: &[Input], now: Timestamp) -> String {
    let status = credential.status.clone().unwrap_or_default();
    match status.observed_generation {
        None | Some(..0) => {
            return "No operator has looked at this credential yet. If that lasts, `kubectl oauth check` says why."
                .to_owned();
        }
        observed if observed < credential.metadata.generation => {
            return "The operator has not looked at the present spec yet: wait a moment. If that lasts, `kubectl oauth check` says why.".to_owned();
        }
        Some(_) => {}
    }
    if status.next_refresh_time.is_some_and(|next| next.as_second() + OVERDUE < now.as_second()) {
        return "The next attempt is overdue: is an operator running? `kubectl oauth check` says so.".to_owned();
    }
    let mut steps = said(credential, &status);
    steps.extend(inputs.iter().filter_map(remedy));
    if steps.is_empty() { "Nothing to do.".to_owned() } else { steps.join("\n") }
}

/// What the conditions say is to be done.
fn said(credential: &OAuthCredential, status: &OAuthCredentialStatus) -> Vec<String> {
    let condition = |type_| status.condition(type_);
    let (ready, refreshed) = (condition(ConditionType::Ready), condition(ConditionType::Refreshed));
    let mut steps = Vec::new();
    if let Some(stalled) = condition(ConditionType::Stalled).filter(|stalled| holds(stalled)) {
        steps.push(stalled.message.clone());
    } else if let Some(ready) = ready.filter(|ready| !holds(ready)) {
        steps.push(ready.message.clone());
    } else if let Some(refreshed) = refreshed.filter(|refreshed| !holds(refreshed)) {
        steps.push(refreshed.message.clone());
    }
    if let Some(expiring) = condition(ConditionType::RefreshTokenExpiring).filter(|expiring| holds(expiring)) {
        steps.push(expiring.message.clone());
    }
    let mut said = [ConditionType::Ready, ConditionType::Stalled].into_iter().filter_map(condition);
    let is_needed = said.any(|condition| condition.reason == Reason::AuthorizationRequired.as_str());
    steps.extend(consent(credential, is_needed));
    steps
}

/// How a person consents.
fn consent(credential: &OAuthCredential, is_needed: bool) -> Option<String> {
    let authorization = credential.status.as_ref().and_then(|status| status.authorization.as_ref());
    let code = authorization.and_then(|it| it.verification_uri.as_ref().zip(it.user_code.as_ref()));
    if let Some((uri, code)) = code {
        return Some(format!("Open {uri} and enter the code {code}."));
    }
    credential.spec.grant.authorization_code.as_ref().filter(|_| is_needed)?;
    let metadata = &credential.metadata;
    let (namespace, name) = (metadata.namespace.as_deref()?, metadata.name.as_deref()?);
    Some(format!("To consent: kubectl oauth --namespace {namespace} authorize {name}"))
}

/// How to bring what a request misses.
fn remedy(input: &Input) -> Option<String> {
    let Input { namespace, secret, key, .. } = input;
    match input.found {
        Found::Missing => Some(format!(
            "Create the Secret: kubectl --namespace {namespace} create secret generic {secret} --from-file={key}=FILE"
        )),
        Found::NoSuchKey => Some(format!("Add the key {key} to the Secret {secret} in namespace {namespace}.")),
        Found::Empty => Some(format!("Give the key {key} of the Secret {secret} in namespace {namespace} a value.")),
        Found::There | Found::Foreign | Found::NotYet | Found::Hidden => None,
    }
}

/// A line of the table of all credentials. Its fields are what `-o json` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub namespace: String,
    pub name: String,
    pub ready: bool,
    pub stalled: bool,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_refresh_time: Option<Timestamp>,
    pub secret: String,
    pub next_step: String,
    #[serde(skip)]
    never_expires: bool,
}

/// Makes a line of the table.
pub fn row(credential: &OAuthCredential, now: Timestamp) -> Row {
    let status = credential.status.clone().unwrap_or_default();
    let name = credential.metadata.name.clone().unwrap_or_default();
    let ready = status.condition(ConditionType::Ready);
    Row {
        namespace: credential.metadata.namespace.clone().unwrap_or_default(),
        ready: ready.is_some_and(holds),
        stalled: status.condition(ConditionType::Stalled).is_some_and(holds),
        reason: ready.map_or_else(|| Reason::Pending.as_str().to_owned(), |ready| ready.reason.clone()),
        expiration_time: status.expiration_time,
        next_refresh_time: status.next_refresh_time,
        secret: credential.spec.output_name(&name),
        next_step: next_step(credential, &[], now),
        never_expires: status.revision.is_some() && status.expiration_time.is_none(),
        name,
    }
}

impl Row {
    /// The cells, under NAMESPACE (where `with_namespace`) NAME READY REASON EXPIRES NEXT ATTEMPT SECRET.
    pub fn cells(&self, now: Timestamp, with_namespace: bool) -> Vec<String> {
        let expires = match self.expiration_time {
            Some(time) => relative(time, now),
            None if self.never_expires => "never".to_owned(),
            None => String::new(),
        };
        let next = match self.next_refresh_time {
            Some(time) if time.as_second() + OVERDUE < now.as_second() => {
                format!("overdue for {}", span(now.as_second() - time.as_second()))
            }
            // A moment that has just come is being acted upon.
            Some(time) if time <= now => "now".to_owned(),
            Some(time) => relative(time, now),
            None => String::new(),
        };
        let ready = if self.ready { "True" } else { "False" };
        let cells = [self.name.clone(), ready.to_owned(), self.reason.clone(), expires, next, self.secret.clone()];
        with_namespace.then(|| self.namespace.clone()).into_iter().chain(cells).collect()
    }
}

impl Found {
    /// As a person reads it.
    fn words(self) -> &'static str {
        match self {
            Found::There => "there",
            Found::Missing => "MISSING",
            Found::NoSuchKey => "MISSING: the Secret has no such key",
            Found::Empty => "EMPTY",
            Found::Foreign => "NOT THE OPERATOR'S: another Secret has its name",
            Found::NotYet => "not there yet",
            Found::Hidden => "not known: you may not look",
        }
    }
}
