//! The Consent Secret, as its creator has it.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;
use zeroize::Zeroize;

use crate::{
    oauth::values::SecretText,
    plugin::{
        connection::{Connection, FIELD_MANAGER},
        failure::{Failure, is_absent, is_conflict},
        seen::Seen,
        tell,
    },
    secrets::consent::{AUTHORIZATION_URL, CONSENT_TYPE, RESPONSE, TICKET, consent_name},
};

/// A Consent Secret that this process created.
pub struct Mailbox<'a> {
    connection: &'a Connection,
    name: String,
    uid: Option<String>,
    ticket: SecretText,
}

impl<'a> Mailbox<'a> {
    /// Creates it with a ticket of 256 random bits. A sentence, where there is one already.
    pub async fn create(connection: &'a Connection, credential: &str) -> Result<Result<Self, String>, Failure> {
        let ticket = SecretText::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let name = consent_name(credential);
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            type_: Some(CONSENT_TYPE.to_owned()),
            data: Some([(TICKET.to_owned(), ByteString(ticket.expose().as_bytes().to_vec()))].into()),
            ..Secret::default()
        };
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api: Api<Secret> = connection.namespaced(&connection.namespace);
        match api.create(&parameters, &secret).await {
            Ok(created) => Ok(Ok(Self { connection, name, uid: created.metadata.uid, ticket })),
            Err(error) if is_conflict(&error) => Ok(Err(format!(
                "not authorized: somebody consents already, for the Secret {name} is there. Let them finish, or end it: kubectl --namespace {} delete secret {name}",
                connection.namespace
            ))),
            Err(error) => Err(Failure::of(format!("create the Secret {name}"), error)),
        }
    }

    pub fn ticket(&self) -> &SecretText {
        &self.ticket
    }

    fn api(&self) -> Api<Secret> {
        self.connection.namespaced(&self.connection.namespace)
    }

    /// Whether it is there still.
    pub async fn look(&self) -> Result<Seen<()>, Failure> {
        let read = self.api().get_metadata_opt(&self.name).await;
        let seen = Seen::of(format!("read the Secret {}", self.name), read)?;
        Ok(match seen {
            Seen::There(found) if found.metadata.uid != self.uid => Seen::Absent,
            seen => seen.map(drop),
        })
    }

    /// Where the operator says that a person goes.
    pub async fn authorization_url(&self) -> Result<Option<SecretText>, Failure> {
        let read = self.api().get_opt(&self.name).await;
        let secret = read.map_err(|error| Failure::of(format!("read the Secret {}", self.name), error))?;
        let mut data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let url = data.remove(AUTHORIZATION_URL).and_then(|url| String::from_utf8(url.0).ok()).map(SecretText::new);
        data.into_values().for_each(|mut value| value.0.zeroize());
        Ok(url)
    }

    /// Hands the response to the operator.
    pub async fn respond(&self, response: &SecretText) -> Result<(), Failure> {
        let value = STANDARD.encode(response.expose());
        let patch = json!({"metadata": {"uid": self.uid}, "data": {RESPONSE: value}});
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.api().patch_metadata(&self.name, &parameters, &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            // It has ended meanwhile, and the status says how.
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(Failure::of(format!("write into the Secret {}", self.name), error)),
        }
    }

    /// Takes it away: nobody goes on with it.
    pub async fn remove(&self) -> Result<(), Failure> {
        let as_created = Preconditions { uid: self.uid.clone(), resource_version: None };
        match self.api().delete(&self.name, &DeleteParams::default().preconditions(as_created)).await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) || is_conflict(&error) => Ok(()),
            Err(error) => {
                let failure = Failure::of(format!("delete the Secret {}", self.name), error);
                tell(&format!("warning: {failure} It is good for an hour.\n"))
            }
        }
    }
}
