//! The last phase of a pass: the status is patched if it changed, transitions become Events. Everything it says was computed
//! in `credential::report`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::{Map, Value, json};

use super::{
    Controller,
    effects::{Answer, Fault},
    key::Key,
    observe::Prepared,
    seen::CredentialSeen,
};
use crate::{
    api::{ConditionStatus, ConditionType, GROUP, OAuthCredentialStatus, Reason},
    credential::report::{Pass, is_overtaken, status},
    operate::events::EventKind,
};

/// Writes of one status against other writers of the same object.
const MOST_TRIES: u32 = 5;

impl Controller {
    /// Records what a pass came to. The new status is in the store afterwards. A status that others have written meanwhile is
    /// what it is then made from.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn report(
        &self,
        key: &Key,
        prepared: &Prepared,
        pass: &Pass<'_>,
    ) -> Answer<OAuthCredentialStatus> {
        self.write_status(key, prepared, |before| status(before, pass)).await
    }

    /// Patches the status into what `next` makes of it. It is in the store afterwards.
    pub(super) async fn write_status(
        &self,
        key: &Key,
        prepared: &Prepared,
        next: impl Fn(&OAuthCredentialStatus) -> OAuthCredentialStatus,
    ) -> Answer<OAuthCredentialStatus> {
        let mut before = prepared.status.clone();
        let mut seen = (*prepared.seen).clone();
        for _ in 0..MOST_TRIES {
            let after = next(&before);
            let Some(mut patch) = difference(&before, &after) else { return Ok(after) };
            patch["metadata"] = json!({"uid": &*seen.uid, "resourceVersion": &*seen.resource_version});
            match self.cluster.patch_status(key, &patch).await {
                Ok(resource_version) => {
                    self.store().update_credential(key, seen.with_status(&after, &resource_version));
                    if before.secret != after.secret || before.expiration_time != after.expiration_time {
                        let dependents = self.store().dependents(key);
                        self.wake(&dependents);
                    }
                    self.announce(key, &seen, &before, &after);
                    return Ok(after);
                }
                Err(Fault::Conflict) => {
                    let Some(object) = self.cluster.read_credential(key).await? else { return Err(Fault::NotFound) };
                    let fresh = CredentialSeen::of(object);
                    if fresh.uid != seen.uid {
                        return Err(Fault::NotFound);
                    }
                    // A spec that changed meanwhile is looked at next; what this pass did is true of the one it saw.
                    self.store().update_credential(key, fresh.clone());
                    if fresh.asks_other_than(&seen) {
                        self.wake([key]);
                    }
                    (before, seen) = (fresh.status(), fresh);
                    // Another process has published, or failed, since: what came of this pass is old.
                    if is_overtaken(&prepared.status, &before) {
                        return Err(Fault::Conflict);
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Conflict)
    }

    /// Events, on transitions only.
    fn announce(
        &self,
        key: &Key,
        seen: &CredentialSeen,
        before: &OAuthCredentialStatus,
        after: &OAuthCredentialStatus,
    ) {
        let find = |status: &OAuthCredentialStatus, type_| {
            status.conditions.iter().find(|condition| condition.type_ == type_).cloned()
        };
        let about = about(key, seen);
        if let Some((kind, reason, message)) = consent_news(before, after) {
            tracing::info!(credential = %key, reason, "{message}");
            self.events.send(about.clone(), kind, reason, message);
        }
        let abnormal = [ConditionType::RefreshTokenExpiring, ConditionType::RestartFailed];
        for type_ in [ConditionType::Ready, ConditionType::Refreshed].into_iter().chain(abnormal) {
            let (was, is) = (find(before, type_), find(after, type_));
            let Some(is) = is else { continue };
            let said = was.as_ref().map(|was| (was.status, was.reason.as_str()));
            if said == Some((is.status, is.reason.as_str())) || !is_news(type_, said, is.status) {
                continue;
            }
            let is_good = (is.status == ConditionStatus::True) != abnormal.contains(&type_);
            let kind = if is_good { EventKind::Normal } else { EventKind::Warning };
            let reason =
                Reason::ALL.into_iter().find(|reason| reason.as_str() == is.reason).map_or("Changed", Reason::as_str);
            tracing::info!(credential = %key, condition = ?type_, status = ?is.status, reason, "{}", is.message);
            self.events.send(about.clone(), kind, reason, is.message);
            return;
        }
    }
}

/// What an Event about a credential refers to.
pub fn about(key: &Key, seen: &CredentialSeen) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/v1alpha1")),
        kind: Some("OAuthCredential".to_owned()),
        namespace: Some(key.namespace.to_string()),
        name: Some(key.name.to_string()),
        uid: Some(seen.uid.to_string()),
        ..ObjectReference::default()
    }
}

/// What is new of a person's consent.
fn consent_news(
    before: &OAuthCredentialStatus,
    after: &OAuthCredentialStatus,
) -> Option<(EventKind, &'static str, String)> {
    if after.authorized_by.is_some() && after.authorized_by != before.authorized_by {
        return Some((EventKind::Normal, "Authorized", "A person consented: see status.authorizedBy.".to_owned()));
    }
    let failure = |status: &OAuthCredentialStatus| status.authorization.clone()?.last_failure;
    let is = failure(after).filter(|is| failure(before).as_ref() != Some(is))?;
    Some((EventKind::Warning, "AuthorizationFailed", is.message))
}

/// A first success is told by Ready alone; Refreshed tells of failures and of recoveries.
fn is_news(type_: ConditionType, was: Option<(ConditionStatus, &str)>, is: ConditionStatus) -> bool {
    type_ != ConditionType::Refreshed || is == ConditionStatus::False || was.is_some()
}

/// A merge patch (RFC 7396) from one status to another; None: they are the same.
fn difference(before: &OAuthCredentialStatus, after: &OAuthCredentialStatus) -> Option<Value> {
    let object = |status: &OAuthCredentialStatus| match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let fields = merge_patch(&object(before), &object(after));
    (!fields.is_empty()).then(|| json!({"status": fields}))
}

/// What is gone is null, in objects within objects too: a merge patch leaves alone what it doesn't name.
fn merge_patch(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let gone = before.keys().filter(|field| !after.contains_key(*field)).map(|field| (field.clone(), Value::Null));
    let changed = after.iter().filter(|(field, value)| before.get(*field) != Some(value));
    let changed = changed.map(|(field, value)| {
        let value = match (before.get(field), value) {
            (Some(Value::Object(was)), Value::Object(is)) => Value::Object(merge_patch(was, is)),
            (_, value) => value.clone(),
        };
        (field.clone(), value)
    });
    changed.chain(gone).collect()
}

/// The end of the time for which a status is true by itself: Ready flips at the expiry.
pub fn expiry(status: &OAuthCredentialStatus, now: Timestamp) -> Option<Timestamp> {
    status.expiration_time.filter(|expires| *expires > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AuthorizationFailure, AuthorizationStatus};

    #[test]
    fn what_is_gone_within_an_object_is_null() {
        let failure = AuthorizationFailure { reason: "a".into(), message: "b".into(), time: Timestamp::UNIX_EPOCH };
        let with = |last_failure| {
            let authorization =
                AuthorizationStatus { url: Some("u".into()), last_failure, ..AuthorizationStatus::default() };
            OAuthCredentialStatus { authorization: Some(authorization), ..OAuthCredentialStatus::default() }
        };
        let patch = difference(&with(Some(failure)), &with(None));
        assert_eq!(patch, Some(json!({"status": {"authorization": {"lastFailure": null}}})));
        assert_eq!(difference(&with(None), &with(None)), None);
    }
}
