//! What came of a consent, as the status and the Consent Secret tell. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    api::{AuthorizationFailure, ConditionType, OAuthCredential, OAuthCredentialStatus},
    plugin::{account::holds, connection::Connection, flags::Authorize, seen::Seen, text::relative},
};

/// How a consent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Authorized,
    /// There is a token, and nobody is waited for.
    NotNeeded,
    /// A sentence that says why, and what to do.
    Failed(String),
    TimedOut,
    Interrupted,
}

/// How it ended, as `-o json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub namespace: String,
    pub name: String,
    /// Whether the credential is Ready under somebody's consent.
    pub authorized: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<Timestamp>,
    pub message: String,
}

impl Outcome {
    /// `seen`: the credential afterwards.
    pub fn of(connection: &Connection, asked: &Authorize, seen: Option<&OAuthCredential>, ended: Ended) -> Self {
        let status = seen.and_then(|seen| seen.status.clone()).unwrap_or_default();
        let authorized = matches!(ended, Ended::Authorized | Ended::NotNeeded);
        let subject = status.authorized_by.and_then(|by| by.subject).filter(|_| authorized);
        let expiration_time = status.expiration_time.filter(|_| authorized);
        let message = message(&asked.name, ended, asked.timeout.as_secs(), subject.as_deref(), expiration_time);
        let (namespace, name) = (connection.namespace.clone(), asked.name.clone());
        Self { namespace, name, authorized, subject, expiration_time, message }
    }
}

fn message(name: &str, ended: Ended, seconds: u64, subject: Option<&str>, expires: Option<Timestamp>) -> String {
    let by = subject.map_or_else(String::new, |subject| format!(" by {subject}"));
    let token = || {
        let now = Timestamp::now();
        expires.map_or_else(|| "never expires".to_owned(), |at| format!("expires {}", relative(at, now)))
    };
    match ended {
        Ended::Authorized => format!("authorized{by}: Ready, the token {}", token()),
        Ended::NotNeeded => format!(
            "authorized{by} already: Ready, the token {}. To consent anew: kubectl oauth revoke {name}",
            token()
        ),
        Ended::Failed(sentence) => sentence,
        Ended::TimedOut => format!(
            "not authorized within {seconds} s: nothing is taken any more. Start again; `kubectl oauth status {name}` says how it is."
        ),
        Ended::Interrupted => "not authorized: given up, and nothing is taken any more.".to_owned(),
    }
}

/// How the last consent failed.
pub fn last_failure(status: &OAuthCredentialStatus) -> Option<AuthorizationFailure> {
    status.authorization.as_ref()?.last_failure.clone()
}

/// Whether there is a token, and nobody is asked to consent.
pub fn needs_nobody(credential: &OAuthCredential) -> bool {
    let status = credential.status.clone().unwrap_or_default();
    let is = |type_| status.condition(type_).is_some_and(holds);
    let asks = status.authorization.as_ref().is_some_and(|authorization| authorization.user_code.is_some());
    is(ConditionType::Ready) && !is(ConditionType::Stalled) && !asks
}

/// What has come of a consent that began when the status was `before`. None: nothing yet.
pub fn after_consent(
    before: &OAuthCredentialStatus,
    seen: Option<&OAuthCredential>,
    secret: &Seen<()>,
) -> Option<Ended> {
    let Some(seen) = seen else { return Some(gone()) };
    let status = seen.status.clone().unwrap_or_default();
    if let Some(ended) = linked(before, &status) {
        return Some(ended);
    }
    match (secret, last_failure(&status)) {
        // The same failure as the time before isn't recorded anew.
        (Seen::Absent, Some(failure)) => Some(failed(&failure)),
        (Seen::Absent, None) => Some(Ended::Failed(match status.condition(ConditionType::Ready) {
            Some(ready) if !holds(ready) => format!("not authorized: {}: {}", ready.reason, ready.message),
            _ => "not authorized: somebody deleted the Consent Secret. Start again.".to_owned(),
        })),
        (Seen::Hidden, Some(failure)) if last_failure(before).as_ref() != Some(&failure) => Some(failed(&failure)),
        (Seen::There(()) | Seen::Hidden, _) => None,
    }
}

/// What has come of a device code. `shown`: the one that the person was told.
pub fn after_device_code(
    before: &OAuthCredentialStatus,
    seen: Option<&OAuthCredential>,
    shown: Option<&str>,
) -> Option<Ended> {
    let Some(seen) = seen else { return Some(gone()) };
    let status = seen.status.clone().unwrap_or_default();
    if let Some(ended) = linked(before, &status) {
        return Some(ended);
    }
    let failure = last_failure(&status);
    let code = status.authorization.as_ref().and_then(|authorization| authorization.user_code.as_deref());
    match failure {
        Some(failure) if last_failure(before).as_ref() != Some(&failure) => Some(failed(&failure)),
        Some(failure) if shown.is_some() && code != shown => Some(failed(&failure)),
        None if shown.is_some() && code != shown => {
            Some(Ended::Failed("not authorized: the code is not in use any more. Start again.".to_owned()))
        }
        _ => None,
    }
}

/// Somebody else has consented than before, or again.
fn linked(before: &OAuthCredentialStatus, status: &OAuthCredentialStatus) -> Option<Ended> {
    status.authorized_by.as_ref().filter(|by| before.authorized_by.as_ref() != Some(by))?;
    let ready = status.condition(ConditionType::Ready)?;
    Some(match holds(ready) {
        true => Ended::Authorized,
        false => Ended::Failed(format!("has the consent, but is not Ready: {}: {}", ready.reason, ready.message)),
    })
}

fn failed(failure: &AuthorizationFailure) -> Ended {
    Ended::Failed(format!("not authorized: {}", failure.message))
}

fn gone() -> Ended {
    Ended::Failed("is gone".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(authorized: Option<&str>, ready: bool, authorization: Value) -> OAuthCredentialStatus {
        let by = authorized.map(|time| json!({"subject": "robot", "time": time}));
        serde_json::from_value(json!({
            "conditions": [{
                "type": "Ready", "status": if ready { "True" } else { "False" }, "message": "Do this.",
                "reason": if ready { "Issued" } else { "SecretConflict" }, "lastTransitionTime": "2026-01-01T00:00:00Z",
            }],
            "authorizedBy": by, "authorization": authorization,
        }))
        .unwrap()
    }

    fn with(status: OAuthCredentialStatus) -> OAuthCredential {
        let mut credential: OAuthCredential = serde_yaml_ng::from_str(
            "{apiVersion: oauth-operator.dev/v1alpha1, kind: OAuthCredential, metadata: {name: a}, spec: {grant: {authorizationCode: {}}}}",
        )
        .unwrap();
        credential.status = Some(status);
        credential
    }

    fn failure(time: &str) -> Value {
        json!({"reason": "NotAllowed", "message": "They said no.", "time": time})
    }

    const OLD: &str = "2026-01-01T00:00:00Z";
    const NEW: &str = "2026-01-01T00:01:00Z";

    fn sentence(ended: Option<Ended>) -> String {
        match ended {
            Some(Ended::Failed(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_new_consent_counts() {
        let before = status(Some(OLD), true, Value::Null);
        let seen = |by: &str, ready| with(status(Some(by), ready, Value::Null));
        let after = |seen: &OAuthCredential, secret| after_consent(&before, Some(seen), &secret);
        assert_eq!(after(&seen(OLD, true), Seen::There(())), None);
        assert_eq!(after(&seen(OLD, true), Seen::Hidden), None);
        assert_eq!(after(&seen(NEW, true), Seen::There(())), Some(Ended::Authorized));
        assert!(sentence(after(&seen(NEW, false), Seen::There(()))).contains("SecretConflict: Do this."));
        assert!(sentence(after(&seen(OLD, true), Seen::Absent)).contains("somebody deleted"));
        assert_eq!(sentence(after_consent(&before, None, &Seen::Absent)), "is gone");
    }

    #[test]
    fn a_failure_is_over_when_the_secret_is_gone() {
        let before = status(None, false, json!({"lastFailure": failure(OLD)}));
        let seen = |time: &str| with(status(None, false, json!({"lastFailure": failure(time)})));
        // It may be tried again.
        assert_eq!(after_consent(&before, Some(&seen(NEW)), &Seen::There(())), None);
        assert_eq!(after_consent(&before, Some(&seen(OLD)), &Seen::Hidden), None);
        for (time, secret) in [(NEW, Seen::Hidden), (NEW, Seen::Absent), (OLD, Seen::Absent)] {
            assert_eq!(sentence(after_consent(&before, Some(&seen(time)), &secret)), "not authorized: They said no.");
        }
    }

    #[test]
    fn a_device_code_that_is_replaced_was_refused_or_has_expired() {
        let before = status(None, false, json!({"lastFailure": failure(OLD)}));
        let seen = |code: Option<&str>, time: Option<&str>| {
            with(status(None, false, json!({"userCode": code, "lastFailure": time.map(failure)})))
        };
        let after = |seen: &OAuthCredential, shown| after_device_code(&before, Some(seen), shown);
        assert_eq!(after(&seen(None, Some(OLD)), None), None);
        assert_eq!(after(&seen(Some("A"), Some(OLD)), Some("A")), None);
        assert!(sentence(after(&seen(Some("A"), Some(NEW)), Some("A"))).contains("They said no."));
        assert!(sentence(after(&seen(Some("B"), Some(OLD)), Some("A"))).contains("They said no."));
        assert!(sentence(after(&seen(None, None), Some("A"))).contains("not in use any more"));
    }

    #[test]
    fn a_ready_credential_that_asks_nobody_needs_nobody() {
        assert!(needs_nobody(&with(status(Some(OLD), true, Value::Null))));
        assert!(!needs_nobody(&with(status(Some(OLD), true, json!({"userCode": "A"})))));
        assert!(!needs_nobody(&with(status(None, false, Value::Null))));
    }
}
