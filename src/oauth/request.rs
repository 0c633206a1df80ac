//! A token request as data: what the grant sends, how the provider wants it shaped, who the client is.
//!
//! Here it is decided which parameter goes where and under which name. `encode` turns the outcome into bytes. Which
//! request to send, and when, is decided elsewhere.

use std::{collections::BTreeMap, fmt};

use http::HeaderName;
use url::Url;

use super::{
    encode::{self, EncodedRequest},
    values::{ClientSecret, SecretText},
};
use crate::{
    api::{self, BasicEncoding, Encoding, Method, ParameterLocation, Placement},
    template::{self, Template, TemplateError},
};

#[cfg(test)]
mod tests;

/// How the client proves who it is (RFC 6749 section 2.3).
pub use crate::api::ClientAuthentication as Authentication;

/// `client_assertion_type` (RFC 7523 section 2.2).
const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a provider wants its token requests.
#[derive(Clone, Debug)]
pub struct RequestShape {
    pub method: Method,
    pub encoding: Encoding,
    /// Added headers. One that bears the name of a header of ours (`Accept`, `User-Agent`, `Authorization`,
    /// `Content-Type`) replaces it; among themselves a name may repeat.
    pub headers: Vec<ExtraHeader>,
    /// The provider's parameters, in this order.
    pub parameters: Vec<ExtraParameter>,
    /// Where standard parameters go, client authentication's included. The first entry for a parameter counts. Added
    /// parameters are sent under their own name, so they are not mapped.
    pub mapping: Vec<ParameterMapping>,
    pub authentication: Authentication,
    pub basic_encoding: BasicEncoding,
}

/// A POST of a form with nothing special about it.
impl Default for RequestShape {
    fn default() -> Self {
        Self {
            method: Method::Post,
            encoding: Encoding::Form,
            headers: Vec::new(),
            parameters: Vec::new(),
            mapping: Vec::new(),
            authentication: Authentication::None,
            basic_encoding: BasicEncoding::Form,
        }
    }
}

/// Where one standard parameter goes, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterMapping {
    /// The standard name.
    pub parameter: String,
    pub placement: Placement,
    /// The name that is sent; absent: the standard name.
    pub rename: Option<String>,
}

impl From<&api::Mapping> for ParameterMapping {
    fn from(mapping: &api::Mapping) -> Self {
        let rename = mapping.rename.as_ref().map(|name| name.to_string());
        Self { parameter: mapping.parameter.clone(), placement: mapping.placement, rename }
    }
}

/// A header that is added.
#[derive(Clone, Debug)]
pub struct ExtraHeader {
    pub name: HeaderName,
    pub value: HeaderValueSource,
}

/// Where a header's value comes from. White space at its ends doesn't count (RFC 9110 section 5.5).
#[derive(Clone, Debug)]
pub enum HeaderValueSource {
    Text(SecretText),
    /// Sees every parameter of the request: standard ones under their standard name, also when they are omitted or the
    /// authentication doesn't send them; added ones; and `uuid()`, one fresh value a request. A name that repeats is a
    /// list.
    Template(Template),
}

/// A parameter that is added. One that bears a standard parameter's name replaces it.
#[derive(Clone, Debug)]
pub struct ExtraParameter {
    /// As it is sent.
    pub name: String,
    pub value: ParameterValue,
    pub location: ParameterLocation,
}

/// A parameter's value.
#[derive(Clone, PartialEq)]
pub enum ParameterValue {
    Text(SecretText),
    /// Goes into a JSON body as it is; elsewhere as compact JSON text.
    Json(serde_json::Value),
}

impl ParameterValue {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(SecretText::new(text))
    }
}

impl fmt::Debug for ParameterValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Json(_) => "Json(…)",
        })
    }
}

/// The client as it stands in this request.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub id: Option<String>,
    pub secret: Option<ClientSecret>,
    /// Made for this request.
    pub assertion: Option<SecretText>,
}

/// A token request before it is encoded.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The endpoint; its own query stays.
    pub url: Url,
    pub shape: RequestShape,
    pub client: Client,
    /// What the grant sends by its RFC, in order: `grant_type`, `refresh_token`, `scope`, … Not client authentication.
    pub standard: Vec<(&'static str, ParameterValue)>,
    /// The credential's own parameters. They come last.
    pub additional: Vec<ExtraParameter>,
}

impl TokenRequest {
    /// The request's bytes: standard parameters first, then client authentication's, the provider's, the credential's.
    ///
    /// # Errors
    /// The spec, or what a Secret holds, doesn't fit the request. Nothing was sent.
    pub fn encode(&self) -> Result<EncodedRequest, EncodeError> {
        let standard = self.standard_parameters()?;
        // Made only where it is needed: the engine's copies of secrets can't be wiped.
        let is_template = |header: &ExtraHeader| matches!(header.value, HeaderValueSource::Template(_));
        let context = self.shape.headers.iter().any(is_template).then(|| self.template_context());
        encode::encode(self, self.place(&standard), &context.unwrap_or_default())
    }

    /// Standard parameters that are sent, client authentication's included, under their standard names.
    fn standard_parameters(&self) -> Result<Vec<(&str, ParameterValue)>, EncodeError> {
        let mut parameters: Vec<_> = self.standard.iter().map(|(name, value)| (*name, value.clone())).collect();
        let id = self.client.id.as_ref().map(ParameterValue::text);
        let secret = self.client.secret.as_ref().map(|secret| ParameterValue::text(secret.expose()));
        match self.shape.authentication {
            Authentication::ClientSecretBasic => {}
            Authentication::ClientSecretPost => {
                parameters.push(("client_id", id.ok_or(EncodeError::MissingClientId)?));
                parameters.push(("client_secret", secret.ok_or(EncodeError::MissingClientSecret)?));
            }
            // RFC 7521 section 4.2: the assertion may say by itself who the client is.
            Authentication::ClientSecretJwt | Authentication::PrivateKeyJwt => {
                let assertion = self.client.assertion.clone().ok_or(EncodeError::MissingAssertion)?;
                parameters.push(("client_assertion_type", ParameterValue::text(CLIENT_ASSERTION_TYPE)));
                parameters.push(("client_assertion", ParameterValue::Text(assertion)));
                parameters.extend(id.map(|id| ("client_id", id)));
            }
            // RFC 8705 section 2: the rest is the connection's.
            Authentication::TlsClientAuth | Authentication::SelfSignedTlsClientAuth => {
                parameters.push(("client_id", id.ok_or(EncodeError::MissingClientId)?));
            }
            Authentication::None => parameters.extend(id.map(|id| ("client_id", id))),
        }
        parameters.retain(|(name, _)| !self.added().any(|added| added.name == *name));
        Ok(parameters)
    }

    fn place(&self, standard: &[(&str, ParameterValue)]) -> Placed {
        let mut placed = Placed::default();
        for (name, value) in standard {
            let mapping = self.shape.mapping.iter().find(|mapping| mapping.parameter == *name);
            let sent = mapping.and_then(|mapping| mapping.rename.clone()).unwrap_or_else(|| (*name).to_owned());
            let parameters = match mapping.map(|mapping| mapping.placement).unwrap_or_default() {
                Placement::Body => &mut placed.body,
                Placement::Query => &mut placed.query,
                Placement::Header => &mut placed.headers,
                Placement::Omit => continue,
            };
            parameters.push((sent, value.clone()));
        }
        for added in self.added() {
            let parameters = match added.location {
                ParameterLocation::Body => &mut placed.body,
                ParameterLocation::Query => &mut placed.query,
                ParameterLocation::Header => &mut placed.headers,
            };
            parameters.push((added.name.clone(), added.value.clone()));
        }
        if self.shape.method == Method::Get || self.shape.encoding == Encoding::Query {
            placed.query.append(&mut placed.body);
        }
        placed
    }

    fn added(&self) -> impl Iterator<Item = &ExtraParameter> {
        self.shape.parameters.iter().chain(&self.additional)
    }

    /// What a header template sees.
    fn template_context(&self) -> template::Value {
        let mut seen: BTreeMap<&str, Vec<template::Value>> = BTreeMap::new();
        let value = |value: &ParameterValue| match value {
            ParameterValue::Text(text) => template::Value::from(text.expose()),
            ParameterValue::Json(json) => template::value(json),
        };
        for added in self.added() {
            seen.entry(&added.name).or_default().push(value(&added.value));
        }
        let client = [
            ("client_id", self.client.id.as_deref()),
            ("client_secret", self.client.secret.as_ref().map(ClientSecret::expose)),
            ("client_assertion", self.client.assertion.as_ref().map(SecretText::expose)),
        ];
        let client = client.into_iter().filter_map(|(name, text)| Some((name, template::Value::from(text?))));
        for (name, value) in self.standard.iter().map(|(name, given)| (*name, value(given))).chain(client) {
            seen.entry(name).or_insert_with(|| vec![value]);
        }
        let uuid = uuid::Uuid::new_v4().to_string();
        let function = template::Value::from_function(move || uuid.clone());
        let one_or_list = |mut values: Vec<template::Value>| match values.len() {
            1 => values.remove(0),
            _ => template::Value::from(values),
        };
        let seen = seen.into_iter().map(|(name, values)| (name, one_or_list(values)));
        template::Value::from_pairs(seen.chain([("uuid", function)]))
    }
}

/// Parameters under the names they are sent by, where they go.
#[derive(Default)]
pub(super) struct Placed {
    pub body: Vec<(String, ParameterValue)>,
    pub query: Vec<(String, ParameterValue)>,
    pub headers: Vec<(String, ParameterValue)>,
}

/// Why a request could not be encoded: the spec or a Secret is at fault, so a person must act. Holds names only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EncodeError {
    #[error("the client authentication needs a client id: set client.id or client.idSecretRef")]
    MissingClientId,
    #[error("the client authentication needs a client secret: set client.secretRef, or client.authentication to none")]
    MissingClientSecret,
    #[error("the client authentication needs an assertion: set client.privateKeySecretRef or client.serviceAccountRef")]
    MissingAssertion,
    #[error(
        "a client id with a colon can't be sent by client_secret_basic with basicEncoding Raw: use Form, or client_secret_post"
    )]
    ColonInClientId,
    #[error("{0:?} can't be the name of a header: rename the parameter in mapping, or send it in the body")]
    HeaderName(String),
    #[error(
        "the value for header {0} has a character that no header may hold: correct the spec or the Secret it comes from"
    )]
    HeaderValue(HeaderName),
    #[error("header {0} is set by the connection itself: remove it from the request's headers")]
    ForbiddenHeader(HeaderName),
    #[error("header {header}: {error}")]
    Template { header: HeaderName, error: TemplateError },
    /// The library that encodes bodies refused one, which no value that gets here can cause.
    #[error("the request can't be encoded: check the names of its parameters and headers")]
    Body,
}
