//! Asks a provider for what a person's consent needs: an authorization request, pushed first where the provider wants that, and the
//! keys that verify who consented. Nothing here is spent, so nothing is written first.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Controller, key::Key};
use crate::{
    api::Reason,
    credential::{
        assertion::{Fresh, ServiceAccountTokens, Unmade},
        checked::{Checked, InputValues},
        consent::{Request, digest},
        failed::{Why, as_sentence},
        identity::Identity,
        observed::Problem,
        record::Binding,
        request::{authorization_request, pushed_request},
    },
    oauth::{authorization, encode::EncodedRequest, id_token, transport::RawReply, values::SecretText},
};

/// Why a request could not be made for a person.
pub enum Unasked {
    Why(Why),
    /// Something is still to be read.
    NotReady,
}

/// A random text of 256 bits.
pub fn random() -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

impl Controller {
    /// Makes an authorization request, pushed first where the provider wants that: where a person goes, its state, and what its
    /// response is held against.
    pub(super) async fn ask_for_consent(
        &self,
        key: &Key,
        checked: &Checked,
        values: &InputValues,
        binding: &Binding,
        browser: Option<&str>,
    ) -> Result<(String, String, Request), Unasked> {
        let Some(endpoint) = &checked.consent.authorization else { return Err(Unasked::NotReady) };
        let (state, verifier) = (random(), SecretText::new(random()));
        let request = authorization_request(checked, values, state.clone(), random(), verifier).ok_or_else(|| {
            Unasked::Why(Why::Problem(Problem::stalled(
                Reason::InvalidSpec,
                "An authorization request needs a client id: set client.id or client.idSecretRef.",
            )))
        })?;
        let tokens = match checked.consent.pushed {
            Some(_) => self.mint(key, checked, false).await.map_err(Unasked::Why)?,
            None => ServiceAccountTokens::new(),
        };
        let pushed = pushed_request(checked, values, &request, &fresh(&tokens));
        let url = match pushed.map_err(unmade)? {
            None => request.url(endpoint),
            Some(pushed) => {
                let encoded = pushed.encode().map_err(|error| Unasked::Why(Why::Request(error.into())))?;
                let reply = self.request_once(checked, values, encoded).await.map_err(Unasked::Why)?;
                let request_uri =
                    authorization::read_pushed(&reply).map_err(|failure| Unasked::Why(Why::Request(failure)))?;
                request.url_of_pushed(endpoint, &request_uri)
            }
        };
        tracing::debug!(credential = %key, "an authorization request was made");
        let kept = Request {
            state_hash: digest(&state),
            browser_hash: browser.map(digest),
            verifier: request.verifier.clone(),
            nonce: request.nonce.clone(),
            redirect_uri: request.redirect_uri.clone(),
            binding: binding.clone(),
            made_at: Timestamp::now(),
        };
        Ok((url.into(), state, kept))
    }

    /// Sends a request that consumes nothing, and reads the reply.
    pub(super) async fn request_once(
        &self,
        checked: &Checked,
        values: &InputValues,
        request: EncodedRequest,
    ) -> Result<RawReply, Why> {
        let target = self.target(checked, values, request.url())?;
        let connection = self.transport.connect(&target).await.map_err(Why::Request)?;
        connection.send(request, |_| true).await.map_err(Why::Request)
    }

    /// What tells who consented: the keys are read before anything is spent, so that nothing has to be read afterwards.
    pub(super) async fn identity(
        &self,
        checked: &Checked,
        values: &InputValues,
        client_id: &str,
        nonce: Option<String>,
    ) -> Result<Identity, Why> {
        let expected_subject = checked.grant.expected_subject().map(str::to_owned);
        let keys = match &checked.consent.jwks {
            None => None,
            Some(jwks) => {
                let read = self.request_once(checked, values, id_token::request(jwks.clone())).await;
                match read.and_then(|reply| id_token::read(&reply).map_err(Why::Request)) {
                    Ok(keys) => Some(keys),
                    Err(why) if expected_subject.is_some() => return Err(why),
                    // Nobody is named then.
                    Err(_) => None,
                }
            }
        };
        let issuer = checked.consent.issuer.clone();
        Ok(Identity { keys, issuer, client_id: client_id.to_owned(), nonce, expected_subject })
    }
}

/// What is new in one request.
pub fn fresh(tokens: &ServiceAccountTokens) -> Fresh<'_> {
    Fresh {
        now: Timestamp::now(),
        client_assertion_id: Uuid::new_v4().to_string(),
        grant_assertion_id: Uuid::new_v4().to_string(),
        tokens,
        secret: 0,
    }
}

pub fn unmade(unmade: Unmade) -> Unasked {
    match unmade {
        Unmade::Missing => Unasked::NotReady,
        Unmade::Problem(problem) => Unasked::Why(Why::Problem(problem)),
    }
}

pub fn problem_of(why: &Why) -> Problem {
    match why {
        Why::Request(failure) => Problem::passing(failure.reason(), as_sentence(failure)),
        Why::Problem(problem) => problem.clone(),
    }
}
