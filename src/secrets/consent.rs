//! The Consent Secret: a mailbox between whoever asks for a consent (its creator), the replica that a browser talks to, and the
//! leader. Each key has one writer; what is ours is written under the resourceVersion that was read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::CONSENT_SUFFIX;
use crate::{
    credential::{
        consent::{Mailbox, Progress, Received, Request},
        record::Binding,
    },
    oauth::{authorization::Refusal, codes::ErrorCode, values::SecretText},
};

#[cfg(test)]
mod tests;

/// Type of the Secret.
pub const CONSENT_TYPE: &str = "oauth-operator.dev/consent";
/// Key: a one-time password of the creator's.
pub const TICKET: &str = "ticket";
/// Key: an authorization code, or the whole address that the provider redirected to. The creator's.
pub const RESPONSE: &str = "response";
/// Key: where a person goes who has this Secret and no browser session with the operator. Ours.
pub const AUTHORIZATION_URL: &str = "authorization-url";
/// Key: how far the consent is. Ours.
const PROGRESS: &str = "progress.json";
/// The format this version writes.
const FORMAT: u32 = 1;

/// Name of the Consent Secret of a credential.
pub fn consent_name(credential: &str) -> String {
    format!("{credential}{CONSENT_SUFFIX}")
}

/// Why a Consent Secret can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    #[error(
        "The Consent Secret is not of type oauth-operator.dev/consent: delete it, and create it again with that type."
    )]
    Type,
    #[error(
        "The Consent Secret has no ticket of at least 22 characters (128 random bits): delete it, and create it again with one."
    )]
    Ticket,
    #[error("The Consent Secret can't be read: delete it, and begin again.")]
    Unreadable,
}

/// What a Consent Secret holds. The Secret's own bytes are wiped.
///
/// # Errors
/// It is to be created anew.
pub fn read(secret: Secret) -> Result<Mailbox, ConsentError> {
    if secret.type_.as_deref() != Some(CONSENT_TYPE) {
        return Err(ConsentError::Type);
    }
    let created_at = secret.metadata.creation_timestamp.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let mut data = secret.data.unwrap_or_default();
    let mut text = |key: &str| {
        let mut bytes = data.remove(key)?.0;
        let text = std::str::from_utf8(&bytes).map(|text| SecretText::new(text.trim())).ok();
        bytes.zeroize();
        text
    };
    let ticket = text(TICKET).filter(|ticket| ticket.expose().len() >= Mailbox::LEAST_TICKET);
    let ticket = ticket.ok_or(ConsentError::Ticket)?;
    let pasted = text(RESPONSE).filter(|text| !text.expose().is_empty());
    let progress = match text(PROGRESS) {
        None => Progress::default(),
        Some(json) => {
            let format: ProgressFormat = serde_json::from_str(json.expose()).map_err(|_| ConsentError::Unreadable)?;
            if format.format > FORMAT {
                return Err(ConsentError::Unreadable);
            }
            Progress::from(format)
        }
    };
    Ok(Mailbox { created_at, ticket, pasted, progress })
}

/// A merge patch that records how far the consent is, if the Secret is still at this version. `url` is where a person goes who
/// reads the Secret.
pub fn patch(progress: &Progress, url: Option<&str>, uid: &str, resource_version: &str) -> Value {
    let json = serde_json::to_vec(&ProgressFormat::from(progress)).unwrap_or_default();
    let mut data = json!({PROGRESS: STANDARD.encode(json)});
    if let Some(url) = url {
        data[AUTHORIZATION_URL] = STANDARD.encode(url).into();
    }
    json!({"metadata": {"uid": uid, "resourceVersion": resource_version}, "data": data})
}

// The format. Field names are kept for ever; a field may be added when its absence has a meaning.

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressFormat {
    format: u32,
    #[serde(default)]
    requests: Vec<RequestFormat>,
    #[serde(default)]
    received: Option<ReceivedFormat>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestFormat {
    state_hash: String,
    browser_hash: Option<String>,
    verifier: Option<Text>,
    nonce: Option<String>,
    redirect_uri: Option<String>,
    servers: Vec<String>,
    client_id: String,
    made_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceivedFormat {
    state_hash: String,
    code: Option<Text>,
    error: Option<String>,
    at: Timestamp,
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

impl From<&SecretText> for Text {
    fn from(text: &SecretText) -> Self {
        Self(text.expose().to_owned())
    }
}

impl From<Text> for SecretText {
    fn from(mut text: Text) -> Self {
        SecretText::new(std::mem::take(&mut text.0))
    }
}

impl From<&Progress> for ProgressFormat {
    fn from(progress: &Progress) -> Self {
        let request = |request: &Request| RequestFormat {
            state_hash: request.state_hash.clone(),
            browser_hash: request.browser_hash.clone(),
            verifier: request.verifier.as_ref().map(Text::from),
            nonce: request.nonce.clone(),
            redirect_uri: request.redirect_uri.clone(),
            servers: request.binding.servers.clone(),
            client_id: request.binding.client_id.clone(),
            made_at: request.made_at,
        };
        let received = |received: &Received| ReceivedFormat {
            state_hash: received.state_hash.clone(),
            code: received.outcome.as_ref().ok().map(Text::from),
            error: received.outcome.as_ref().err().map(|refusal| match refusal {
                Refusal::Denied => ErrorCode::AccessDenied.as_str().to_owned(),
                Refusal::Code(code) => code.as_str().to_owned(),
                Refusal::Unknown => String::new(),
            }),
            at: received.at,
        };
        Self {
            format: FORMAT,
            requests: progress.requests.iter().map(request).collect(),
            received: progress.received.as_ref().map(received),
        }
    }
}

impl From<ProgressFormat> for Progress {
    fn from(format: ProgressFormat) -> Self {
        let request = |request: RequestFormat| Request {
            state_hash: request.state_hash,
            browser_hash: request.browser_hash,
            verifier: request.verifier.map(SecretText::from),
            nonce: request.nonce,
            redirect_uri: request.redirect_uri,
            binding: Binding { servers: request.servers, client_id: request.client_id },
            made_at: request.made_at,
        };
        let received = |received: ReceivedFormat| Received {
            state_hash: received.state_hash,
            outcome: match received.code {
                Some(code) => Ok(SecretText::from(code)),
                None => Err(Refusal::of(received.error.as_deref().unwrap_or_default())),
            },
            at: received.at,
        };
        Self { requests: format.requests.into_iter().map(request).collect(), received: format.received.map(received) }
    }
}
