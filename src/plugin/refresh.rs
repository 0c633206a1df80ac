//! `kubectl oauth refresh`: sets the annotation by which a person asks for a new token, and may wait for what comes of it.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
    runtime::{
        wait::{self, await_condition},
        watcher,
    },
};
use serde::Serialize;
use serde_json::json;

use super::{
    Verdict,
    account::holds,
    connection::{Connection, FIELD_MANAGER},
    failure::{Failure, is_absent},
    flags::{Format, Refresh},
    put, put_as, status,
    text::relative,
};
use crate::api::{ConditionType, OAuthCredential, REFRESH_REQUESTED_AT};

/// As kubectl names our kind.
const KIND: &str = "oauthcredential.oauth-operator.dev";

/// Asks for a new token of each credential that is meant.
pub async fn run(connection: &Connection, asked: &Refresh) -> Result<Verdict, Failure> {
    let credentials = match &asked.name {
        Some(name) => vec![status::credential(connection, name).await?],
        None => {
            let which = asked.selector.as_deref().map_or_else(ListParams::default, |l| ListParams::default().labels(l));
            let listed = status::list(connection, &asked.everywhere, &which).await?;
            listed.warn();
            listed.credentials
        }
    };
    if credentials.is_empty() {
        match asked.output {
            Some(format) => put_as(format, &[(); 0])?,
            None => put("No OAuthCredential is meant: nothing was asked for.\n")?,
        }
        return Ok(Verdict::Good);
    }
    // With fractions, so that two requests within a second are two.
    let at = Timestamp::now().to_string();
    let (mut told, mut requested) = (Vec::new(), Vec::new());
    for credential in credentials {
        let futile = futile(&credential);
        if futile.is_none() {
            annotate(connection, &credential, REFRESH_REQUESTED_AT, &at).await?;
        }
        let message = futile.as_ref().map_or_else(|| "refresh requested".to_owned(), |why| format!("not asked: {why}"));
        let answer = Answer::new(&credential, futile.is_none(), message);
        answer.say(asked.output, asked.everywhere.all_namespaces)?;
        told.push(answer);
        if futile.is_none() {
            requested.push((told.len() - 1, credential));
        }
    }
    if asked.wait {
        let waiting = requested
            .iter()
            .map(async |(_, credential)| await_outcome(connection, credential, &at, asked.timeout).await);
        for ((index, _), outcome) in requested.iter().zip(join_all(waiting).await) {
            let (succeeded, message) = outcome?;
            let answer = &mut told[*index];
            (answer.succeeded, answer.message) = (Some(succeeded), message);
            answer.say(asked.output, asked.everywhere.all_namespaces)?;
        }
    }
    if let Some(format) = asked.output {
        put_as(format, &told)?;
    }
    Ok(Verdict::of(told.iter().all(|answer| answer.requested && answer.succeeded != Some(false))))
}

/// What is told of a credential of which something was asked. Its fields are what `-o json` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub namespace: String,
    pub name: String,
    /// Whether the operator was asked.
    pub requested: bool,
    /// Whether it did what was asked, where that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
    pub message: String,
}

impl Answer {
    pub fn new(credential: &OAuthCredential, requested: bool, message: String) -> Self {
        let name = credential.metadata.name.clone().unwrap_or_default();
        Self { namespace: namespace(credential), name, requested, succeeded: None, message }
    }

    /// Says it, unless it is said in a program's form at the end.
    pub fn say(&self, format: Option<Format>, with_namespace: bool) -> Result<(), Failure> {
        let place = if with_namespace { format!("{} ", self.namespace) } else { String::new() };
        match format {
            Some(_) => Ok(()),
            None => put(&format!("{place}{KIND}/{} {}\n", self.name, self.message)),
        }
    }
}

/// As kubectl names objects.
pub fn title(credential: &OAuthCredential) -> String {
    format!("{KIND}/{}", credential.metadata.name.as_deref().unwrap_or_default())
}

/// Why it would be of no use to ask.
fn futile(credential: &OAuthCredential) -> Option<String> {
    if credential.spec.suspend {
        return Some("it is suspended; set spec.suspend to false first.".to_owned());
    }
    let status = credential.status.as_ref()?;
    let stalled = status.condition(ConditionType::Stalled).filter(|stalled| holds(stalled))?;
    // Another attempt is possible where one is planned.
    status.next_refresh_time.is_none().then(|| format!("it waits for a person: {}", stalled.message))
}

/// Sets an annotation by which the operator is asked for something.
pub async fn annotate(
    connection: &Connection,
    credential: &OAuthCredential,
    annotation: &str,
    at: &str,
) -> Result<(), Failure> {
    let name = credential.metadata.name.as_deref().unwrap_or_default();
    let patch = json!({"metadata": {"uid": credential.metadata.uid, "annotations": {annotation: at}}});
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patched = api(connection, credential).patch_metadata(name, &parameters, &Patch::Merge(patch)).await;
    patched.map(drop).map_err(|error| match is_absent(&error) {
        true => Failure::NoCredential { namespace: namespace(credential), name: name.to_owned() },
        false => Failure::of(format!("annotate the OAuthCredential {name}"), error),
    })
}

fn namespace(credential: &OAuthCredential) -> String {
    credential.metadata.namespace.clone().unwrap_or_default()
}

fn api(connection: &Connection, credential: &OAuthCredential) -> Api<OAuthCredential> {
    connection.namespaced(&namespace(credential))
}

/// Waits until the request was obeyed, and says how the attempt ended.
async fn await_outcome(
    connection: &Connection,
    credential: &OAuthCredential,
    at: &str,
    timeout: Duration,
) -> Result<(bool, String), Failure> {
    let obeyed = |seen: &OAuthCredential| {
        let handled = seen.status.as_ref().and_then(|status| status.last_handled_refresh_request.as_deref());
        handled == Some(at) || futile(seen).is_some()
    };
    Ok(match wait_until(connection, credential, timeout, obeyed).await? {
        Waited::Seen(seen) => outcome(seen.as_deref(), at, Timestamp::now()),
        Waited::InVain(sentence) => (false, sentence),
    })
}

/// What a wait for the operator came to.
pub enum Waited {
    /// The credential as it is now. None: it is gone.
    Seen(Option<Box<OAuthCredential>>),
    /// It took too long; a sentence that says what to do.
    InVain(String),
}

/// Waits until the credential is as `test` wants it.
pub async fn wait_until(
    connection: &Connection,
    credential: &OAuthCredential,
    timeout: Duration,
    test: impl Fn(&OAuthCredential) -> bool,
) -> Result<Waited, Failure> {
    let name = credential.metadata.name.as_deref().unwrap_or_default();
    let obeyed = |seen: Option<&OAuthCredential>| seen.is_none_or(&test);
    let waited = tokio::time::timeout(timeout, await_condition(api(connection, credential), name, obeyed)).await;
    match waited {
        Ok(Ok(seen)) => Ok(Waited::Seen(seen.map(Box::new))),
        Ok(Err(wait::Error::ProbeFailed(
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error),
        ))) => Err(Failure::of(format!("watch the OAuthCredential {name}"), error)),
        Ok(Err(error)) => Err(Failure::Unreachable(error.to_string())),
        Err(_) => Ok(Waited::InVain(format!(
            "not obeyed within {} s: `kubectl oauth status {name}` says how it is, `kubectl oauth check` whether an operator runs.",
            timeout.as_secs()
        ))),
    }
}

/// Whether the attempt brought a token, and a sentence that says so.
fn outcome(seen: Option<&OAuthCredential>, at: &str, now: Timestamp) -> (bool, String) {
    let Some(seen) = seen else { return (false, "is gone".to_owned()) };
    let status = seen.status.clone().unwrap_or_default();
    let refreshed = status.condition(ConditionType::Refreshed);
    let obeyed = status.last_handled_refresh_request.as_deref() == Some(at);
    match refreshed {
        Some(refreshed) if obeyed && holds(refreshed) => {
            let expires = status.expiration_time;
            let expires =
                expires.map_or_else(|| "never expires".to_owned(), |at| format!("expires {}", relative(at, now)));
            (true, format!("refreshed: the token {expires}"))
        }
        Some(refreshed) if obeyed => (false, format!("not refreshed: {}: {}", refreshed.reason, refreshed.message)),
        _ => {
            let why = futile(seen).unwrap_or_else(|| "it was not tried.".to_owned());
            (false, format!("not refreshed: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(spec: &str, status: &str) -> OAuthCredential {
        serde_yaml_ng::from_str(&format!(
            "{{apiVersion: oauth-operator.dev/v1alpha1, kind: OAuthCredential, metadata: {{name: a, namespace: n}}, spec: {{{spec}grant: {{clientCredentials: {{}}}}}}, status: {status}}}"
        ))
        .unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str) -> String {
        format!(
            "{{type: {type_}, status: '{status}', reason: {reason}, message: 'Do this.', lastTransitionTime: '2026-01-01T00:00:00Z'}}"
        )
    }

    #[test]
    fn what_waits_for_a_person_is_not_asked() {
        assert_eq!(futile(&credential("", "{}")), None);
        assert!(futile(&credential("suspend: true, ", "{}")).unwrap().contains("spec.suspend"));
        let stalled = condition("Stalled", "True", "AuthorizationRequired");
        let lost = credential("", &format!("{{conditions: [{stalled}]}}"));
        assert_eq!(futile(&lost).unwrap(), "it waits for a person: Do this.");
        let hourly = credential("", &format!("{{conditions: [{stalled}], nextRefreshTime: '2026-01-01T01:00:00Z'}}"));
        assert_eq!(futile(&hourly), None);
    }

    #[test]
    fn the_outcome_is_that_of_the_attempt_that_was_asked_for() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let said = |status: &str| outcome(Some(&credential("", status)), "t", now);
        let (good, bad) = (condition("Refreshed", "True", "Issued"), condition("Refreshed", "False", "InvalidClient"));
        assert_eq!(
            said(&format!(
                "{{conditions: [{good}], lastHandledRefreshRequest: t, expirationTime: '2026-01-01T01:00:00Z'}}"
            )),
            (true, "refreshed: the token expires in 60m".to_owned())
        );
        assert_eq!(
            said(&format!("{{conditions: [{bad}], lastHandledRefreshRequest: t}}")),
            (false, "not refreshed: InvalidClient: Do this.".to_owned())
        );
        // A former success isn't this one's.
        assert!(!said(&format!("{{conditions: [{good}], lastHandledRefreshRequest: s}}")).0);
        assert_eq!(outcome(None, "t", now), (false, "is gone".to_owned()));
    }
}
