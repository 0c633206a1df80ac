//! The state Secret: its format, and nothing of what it means. One key, `state.json`, so that a write is all or nothing,
//! and `format`, a number: older formats are read, a newer one is refused without being touched.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::{
    api::{CREDENTIAL_LABEL, GROUP},
    credential::record::{
        AskedUnder, Authorized, Binding, Candidate, Device, Holder, Intent, Issued, Received, StateRecord,
    },
    oauth::{
        device::DeviceAuthorization,
        values::{AccessToken, IdToken, RefreshToken, SecretText},
    },
};

#[cfg(test)]
mod tests;

/// The format this version writes.
const FORMAT: &str = "1";
const FORMAT_KEY: &str = "format";
const STATE_KEY: &str = "state.json";
/// Type of the Secret.
pub const STATE_TYPE: &str = "oauth-operator.dev/state";
/// Annotation: the record's revision, so that a watch of metadata sees it.
pub const REVISION: &str = "oauth-operator.dev/revision";
/// Annotation: the attempt whose intent is open.
pub const ATTEMPT: &str = "oauth-operator.dev/attempt";
/// Annotation: what is kept is being revoked, or is, since then.
pub const REVOKING: &str = "oauth-operator.dev/revoking";

/// Why a state Secret can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error(
        "The state Secret has a format that this version doesn't know: install the version of oauth-operator that wrote it, or a newer one."
    )]
    UnknownFormat,
    #[error(
        "The state Secret can't be read: restore it from a backup, or delete it and put a new refresh token into the input Secret."
    )]
    Unreadable,
    #[error("A Secret with the state's name exists and is not this operator's: delete it or rename the credential.")]
    Foreign,
}

/// The Secret that holds `record`, for the credential `name`.
pub fn write(record: &StateRecord, namespace: &str, name: &str) -> Result<Secret, serde_json::Error> {
    let json = serde_json::to_vec(&RecordFormat::from(record))?;
    let mut annotations = BTreeMap::from([(REVISION.to_owned(), record.revision.to_string())]);
    if let Some(intent) = &record.intent {
        annotations.insert(ATTEMPT.to_owned(), intent.attempt.clone());
    }
    if let Some(since) = &record.revoking {
        annotations.insert(REVOKING.to_owned(), since.to_string());
    }
    let data = [(FORMAT_KEY, ByteString(FORMAT.into())), (STATE_KEY, ByteString(json))];
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(super::state_name(name)),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (CREDENTIAL_LABEL.to_owned(), name.to_owned()),
                (format!("{GROUP}/kind"), "state".to_owned()),
            ])),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        type_: Some(STATE_TYPE.to_owned()),
        data: Some(data.map(|(key, value)| (key.to_owned(), value)).into()),
        ..Secret::default()
    })
}

/// The record that a Secret holds. The Secret's own bytes are wiped.
pub fn read(secret: Secret) -> Result<StateRecord, StateError> {
    if secret.type_.as_deref() != Some(STATE_TYPE) {
        return Err(StateError::Foreign);
    }
    let mut data = secret.data.unwrap_or_default();
    let format = data.get(FORMAT_KEY).and_then(|format| std::str::from_utf8(&format.0).ok());
    match format {
        Some(FORMAT) => {}
        // A newer version's, if it is a number at all.
        Some(format) if format.parse::<u32>().is_ok() => return Err(StateError::UnknownFormat),
        _ => return Err(StateError::Unreadable),
    }
    let mut json = data.remove(STATE_KEY).ok_or(StateError::Unreadable)?.0;
    let record = serde_json::from_slice::<RecordFormat>(&json).map(StateRecord::from);
    json.zeroize();
    record.map_err(|_| StateError::Unreadable)
}

// The format. Field names are kept for ever; a field may be added when its absence has a meaning.

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordFormat {
    lineage: String,
    #[serde(default)]
    began_at: Option<Timestamp>,
    #[serde(default)]
    fixed_end: Option<Timestamp>,
    revision: i64,
    attempt: Option<String>,
    refresh_token: Option<Text>,
    previous_refresh_token: Option<Text>,
    issued: Option<IssuedFormat>,
    #[serde(default)]
    additional: BTreeMap<String, IssuedFormat>,
    seed_hash: Option<String>,
    spent: Vec<String>,
    binding: BindingFormat,
    #[serde(default)]
    authorized: Option<AuthorizedFormat>,
    #[serde(default)]
    device: Option<DeviceFormat>,
    intent: Option<IntentFormat>,
    candidates: Vec<CandidateFormat>,
    aside: Vec<CandidateFormat>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoking: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<Box<RecordFormat>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssuedFormat {
    #[serde(default)]
    leg: String,
    access_token: Text,
    refresh_token: Option<Text>,
    id_token: Option<Text>,
    token_type: Option<String>,
    scope: Option<String>,
    obtained_at: Timestamp,
    expires_at: Option<Timestamp>,
    refresh_token_expires_at: Option<Timestamp>,
    response: Text,
    spec_hash: String,
    provider_hash: String,
    inputs_hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BindingFormat {
    servers: Vec<String>,
    client_id: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizedFormat {
    subject: Option<String>,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceFormat {
    device_code: Text,
    user_code: String,
    verification_uri: String,
    expires_at: Timestamp,
    /// In seconds.
    interval: u64,
    lineage: String,
    binding: BindingFormat,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntentFormat {
    attempt: String,
    pod: String,
    boot: String,
    lineage: String,
    leg: String,
    token_hash: String,
    binding: BindingFormat,
    started_at: Timestamp,
    send_by: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CandidateFormat {
    attempt: String,
    lineage: String,
    #[serde(flatten)]
    received: ReceivedFormat,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ReceivedFormat {
    Issued(Box<IssuedFormat>),
    RefreshToken(Text),
}

/// A secret text on its way into or out of the Secret.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text(String);

impl Drop for Text {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

macro_rules! secret_texts {
    ($($name:ident),+) => { $(
        impl From<&$name> for Text {
            fn from(value: &$name) -> Self {
                Self(value.expose().to_owned())
            }
        }

        impl From<Text> for $name {
            fn from(mut text: Text) -> Self {
                Self::new(std::mem::take(&mut text.0))
            }
        }
    )+ };
}

secret_texts!(AccessToken, RefreshToken, IdToken, SecretText);

impl From<&StateRecord> for RecordFormat {
    fn from(record: &StateRecord) -> Self {
        Self {
            lineage: record.lineage.clone(),
            began_at: record.began_at,
            fixed_end: record.fixed_end,
            revision: record.revision,
            attempt: record.attempt.clone(),
            refresh_token: record.refresh_token.as_ref().map(Text::from),
            previous_refresh_token: record.previous_refresh_token.as_ref().map(Text::from),
            issued: record.issued.as_ref().map(IssuedFormat::from),
            additional: record.additional.iter().map(|(name, issued)| (name.clone(), issued.into())).collect(),
            seed_hash: record.seed_hash.clone(),
            spent: record.spent.clone(),
            binding: BindingFormat::from(&record.binding),
            authorized: record.authorized.as_ref().map(AuthorizedFormat::from),
            device: record.device.as_ref().map(DeviceFormat::from),
            intent: record.intent.as_ref().map(IntentFormat::from),
            candidates: record.candidates.iter().map(CandidateFormat::from).collect(),
            aside: record.aside.iter().map(CandidateFormat::from).collect(),
            revoking: record.revoking,
            former: record.former.as_deref().map(|former| Box::new(Self::from(former))),
        }
    }
}

impl From<RecordFormat> for StateRecord {
    fn from(format: RecordFormat) -> Self {
        Self {
            lineage: format.lineage,
            began_at: format.began_at,
            fixed_end: format.fixed_end,
            revision: format.revision,
            attempt: format.attempt,
            refresh_token: format.refresh_token.map(RefreshToken::from),
            previous_refresh_token: format.previous_refresh_token.map(RefreshToken::from),
            issued: format.issued.map(Issued::from),
            additional: format.additional.into_iter().map(|(name, issued)| (name, issued.into())).collect(),
            seed_hash: format.seed_hash,
            spent: format.spent,
            binding: Binding::from(format.binding),
            authorized: format.authorized.map(|it| Authorized { subject: it.subject, at: it.at }),
            device: format.device.map(Device::from),
            intent: format.intent.map(Intent::from),
            candidates: format.candidates.into_iter().map(Candidate::from).collect(),
            aside: format.aside.into_iter().map(Candidate::from).collect(),
            revoking: format.revoking,
            former: format.former.map(|former| Box::new(Self::from(*former))),
        }
    }
}

impl From<&Issued> for IssuedFormat {
    fn from(issued: &Issued) -> Self {
        Self {
            leg: issued.leg.clone(),
            access_token: Text::from(&issued.access_token),
            refresh_token: issued.refresh_token.as_ref().map(Text::from),
            id_token: issued.id_token.as_ref().map(Text::from),
            token_type: issued.token_type.clone(),
            scope: issued.scope.clone(),
            obtained_at: issued.obtained_at,
            expires_at: issued.expires_at,
            refresh_token_expires_at: issued.refresh_token_expires_at,
            response: Text::from(&issued.response),
            spec_hash: issued.asked_under.spec.clone(),
            provider_hash: issued.asked_under.provider.clone(),
            inputs_hash: issued.asked_under.inputs.clone(),
        }
    }
}

impl From<IssuedFormat> for Issued {
    fn from(format: IssuedFormat) -> Self {
        Self {
            leg: format.leg,
            access_token: AccessToken::from(format.access_token),
            refresh_token: format.refresh_token.map(RefreshToken::from),
            id_token: format.id_token.map(IdToken::from),
            token_type: format.token_type,
            scope: format.scope,
            obtained_at: format.obtained_at,
            expires_at: format.expires_at,
            refresh_token_expires_at: format.refresh_token_expires_at,
            response: SecretText::from(format.response),
            asked_under: AskedUnder {
                spec: format.spec_hash,
                provider: format.provider_hash,
                inputs: format.inputs_hash,
            },
        }
    }
}

impl From<&Binding> for BindingFormat {
    fn from(binding: &Binding) -> Self {
        Self { servers: binding.servers.clone(), client_id: binding.client_id.clone() }
    }
}

impl From<BindingFormat> for Binding {
    fn from(format: BindingFormat) -> Self {
        Self { servers: format.servers, client_id: format.client_id }
    }
}

impl From<&Authorized> for AuthorizedFormat {
    fn from(authorized: &Authorized) -> Self {
        Self { subject: authorized.subject.clone(), at: authorized.at }
    }
}

impl From<&Device> for DeviceFormat {
    fn from(device: &Device) -> Self {
        let DeviceAuthorization { device_code, user_code, verification_uri, expires_at, interval } =
            &device.authorization;
        Self {
            device_code: Text::from(device_code),
            user_code: user_code.clone(),
            verification_uri: verification_uri.clone(),
            expires_at: *expires_at,
            interval: interval.as_secs(),
            lineage: device.lineage.clone(),
            binding: BindingFormat::from(&device.binding),
        }
    }
}

impl From<DeviceFormat> for Device {
    fn from(format: DeviceFormat) -> Self {
        let authorization = DeviceAuthorization {
            device_code: SecretText::from(format.device_code),
            user_code: format.user_code,
            verification_uri: format.verification_uri,
            expires_at: format.expires_at,
            interval: Duration::from_secs(format.interval),
        };
        Self { authorization, lineage: format.lineage, binding: Binding::from(format.binding) }
    }
}

impl From<&Intent> for IntentFormat {
    fn from(intent: &Intent) -> Self {
        Self {
            attempt: intent.attempt.clone(),
            pod: intent.holder.pod.clone(),
            boot: intent.holder.boot.clone(),
            lineage: intent.lineage.clone(),
            leg: intent.leg.clone(),
            token_hash: intent.token_hash.clone(),
            binding: BindingFormat::from(&intent.binding),
            started_at: intent.started_at,
            send_by: intent.send_by,
        }
    }
}

impl From<IntentFormat> for Intent {
    fn from(format: IntentFormat) -> Self {
        Self {
            attempt: format.attempt,
            holder: Holder { pod: format.pod, boot: format.boot },
            lineage: format.lineage,
            leg: format.leg,
            token_hash: format.token_hash,
            binding: Binding::from(format.binding),
            started_at: format.started_at,
            send_by: format.send_by,
        }
    }
}

impl From<&Candidate> for CandidateFormat {
    fn from(candidate: &Candidate) -> Self {
        Self {
            attempt: candidate.attempt.clone(),
            lineage: candidate.lineage.clone(),
            received: match &candidate.received {
                Received::Issued(issued) => ReceivedFormat::Issued(Box::new(IssuedFormat::from(&**issued))),
                Received::RefreshToken(token) => ReceivedFormat::RefreshToken(Text::from(token)),
            },
        }
    }
}

impl From<CandidateFormat> for Candidate {
    fn from(format: CandidateFormat) -> Self {
        let received = match format.received {
            ReceivedFormat::Issued(issued) => Received::Issued(Box::new(Issued::from(*issued))),
            ReceivedFormat::RefreshToken(token) => Received::RefreshToken(RefreshToken::from(token)),
        };
        Self { attempt: format.attempt, lineage: format.lineage, received }
    }
}
