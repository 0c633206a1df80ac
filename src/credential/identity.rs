//! Who consented: what the ID token in a reply must say, and what follows when it doesn't.

use jiff::Timestamp;

use super::observed::Problem;
use crate::{
    api::Reason,
    oauth::{
        id_token::{self, Expected, KeySet},
        values::IdToken,
    },
};

#[cfg(test)]
mod tests;

/// What is known before a person's consent is spent.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// None: there is nothing to verify with, so nobody is named.
    pub keys: Option<KeySet>,
    pub issuer: Option<String>,
    pub client_id: String,
    pub nonce: Option<String>,
    pub expected_subject: Option<String>,
}

impl Identity {
    /// The verified subject; None where there is none and none is wanted.
    ///
    /// # Errors
    /// Somebody else consented, or who it was can't be told. What was received is not to be used.
    pub fn subject(&self, token: Option<&IdToken>, now: Timestamp) -> Result<Option<String>, Problem> {
        let verified = match (token, &self.keys, &self.issuer) {
            (Some(token), Some(keys), Some(issuer)) => {
                let (client_id, nonce) = (self.client_id.as_str(), self.nonce.as_deref());
                let expected = Expected { issuer, client_id, nonce, now };
                id_token::subject(token, keys, expected).map_err(|error| {
                    refused(format!("The ID token can't be believed: {error}. Check the provider's issuer and keys"))
                })
            }
            (None, ..) => Err(refused(
                "The provider sent no ID token, so that expectedSubject can't be checked: add the scope openid"
                    .to_owned(),
            )),
            _ => Err(refused(
                "There are no keys to verify expectedSubject with: set issuer or endpoints.jwks".to_owned(),
            )),
        };
        match (&self.expected_subject, verified) {
            (None, verified) => Ok(verified.ok()),
            (Some(expected), Ok(subject)) if subject == *expected => Ok(Some(subject)),
            (Some(_), Ok(_)) => {
                Err(refused("Another account consented than the one that expectedSubject names".to_owned()))
            }
            (Some(_), Err(problem)) => Err(problem),
        }
    }
}

fn refused(what: String) -> Problem {
    Problem::passing(
        Reason::NotAllowed,
        format!("{what}. What was received was dropped, and nothing was published: start again."),
    )
}
