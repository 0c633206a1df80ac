//! The bytes of a token request. The HTTP library encodes query, form, JSON and multipart; the request it builds is never
//! executed by it (see `transport`).
//!
//! A parameter that repeats is sent as often as it stands there; in a JSON body, where a name stands once, its values
//! become an array in order of appearance.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use serde::{Serialize, Serializer, ser::SerializeMap};
use url::{Url, form_urlencoded};
use zeroize::{Zeroize, Zeroizing};

use super::{
    request::{Authentication, EncodeError, HeaderValueSource, ParameterValue, Placed, TokenRequest},
    tls,
};
use crate::{
    api::{BasicEncoding, Encoding, Method},
    template::{self, Work},
};

const USER_AGENT: &str = concat!("oauth-operator/", env!("CARGO_PKG_VERSION"));

/// Headers that belong to the connection or would change how the message is framed or read.
const FORBIDDEN: [HeaderName; 13] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether a header can't be set by a spec.
pub fn is_forbidden_header(name: &HeaderName) -> bool {
    FORBIDDEN.contains(name)
}

/// A request, ready to be sent. Its body is wiped when dropped; `Debug` shows neither values nor the query.
#[derive(Clone)]
pub struct EncodedRequest {
    pub(super) method: http::Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl EncodedRequest {
    /// A request that sends nothing but its URL and these headers.
    pub(super) fn without_body(method: http::Method, url: Url, mut headers: HeaderMap) -> Self {
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        Self { method, url, headers, body: Bytes::new() }
    }

    pub fn method(&self) -> &http::Method {
        &self.method
    }

    /// With the query. It may hold secrets.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// All headers but `Host`. They may hold secrets.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// It holds secrets.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for EncodedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        formatter
            .debug_struct("EncodedRequest")
            .field("method", &self.method)
            .field("origin", &self.url.origin().ascii_serialization())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

pub(super) fn encode(
    request: &TokenRequest,
    placed: Placed,
    context: &template::Value,
) -> Result<EncodedRequest, EncodeError> {
    let method = match request.shape.method {
        Method::Post => http::Method::POST,
        Method::Get => http::Method::GET,
    };
    let mut builder = client()?.request(method.clone(), request.url.clone());
    if !placed.query.is_empty() {
        builder = builder.query(&pairs(&placed.query));
    }
    if !placed.body.is_empty() {
        builder = match request.shape.encoding {
            Encoding::Form | Encoding::Query => builder.form(&pairs(&placed.body)),
            Encoding::Json => builder.json(&JsonBody(&placed.body)),
            Encoding::Multipart => builder.multipart(multipart(&placed.body)),
        };
    }
    let mut built = builder.build().map_err(|_| EncodeError::Body)?;
    let mut url = built.url().clone();
    // The library would send a URL's user name and password as a header. They stay where `egress` sees and refuses them; only
    // a URL without a host, which it refuses too, can't hold them.
    let _ = url.set_username(request.url.username());
    let _ = url.set_password(request.url.password());
    let body = wiped_on_drop(built.body_mut().take())?;
    let mut headers = std::mem::take(built.headers_mut());
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if request.shape.authentication == Authentication::ClientSecretBasic {
        headers.insert(header::AUTHORIZATION, basic(request)?);
    }
    add_headers(request, &placed, context, &mut headers)?;
    if method == http::Method::POST {
        headers.insert(header::CONTENT_LENGTH, body.len().into());
    }
    Ok(EncodedRequest { method, url, headers, body })
}

/// Parameters that travel as headers, then the provider's headers.
fn add_headers(
    request: &TokenRequest,
    placed: &Placed,
    context: &template::Value,
    headers: &mut HeaderMap,
) -> Result<(), EncodeError> {
    let (mut added, mut work) = (Vec::new(), Work::default());
    for (name, value) in &placed.headers {
        let header = HeaderName::try_from(name.as_str()).map_err(|_| EncodeError::HeaderName(name.clone()))?;
        added.push((header, Zeroizing::new(text(value).into_owned())));
    }
    for extra in &request.shape.headers {
        let value = match &extra.value {
            HeaderValueSource::Text(text) => Zeroizing::new(text.expose().to_owned()),
            HeaderValueSource::Template(template) => template
                .render(context.clone(), &mut work)
                .map_err(|error| EncodeError::Template { header: extra.name.clone(), error })?,
        };
        added.push((extra.name.clone(), value));
    }
    let multipart = request.shape.encoding == Encoding::Multipart && !placed.body.is_empty();
    let mut seen = Vec::new();
    for (name, text) in added {
        if is_forbidden_header(&name) || (multipart && name == header::CONTENT_TYPE) {
            return Err(EncodeError::ForbiddenHeader(name));
        }
        let mut value =
            HeaderValue::from_bytes(text.trim().as_bytes()).map_err(|_| EncodeError::HeaderValue(name.clone()))?;
        value.set_sensitive(true);
        if seen.contains(&name) {
            headers.append(name, value);
        } else {
            headers.insert(name.clone(), value);
            seen.push(name);
        }
    }
    Ok(())
}

/// RFC 6749 section 2.3.1 (Form) or RFC 7617 alone (Raw).
fn basic(request: &TokenRequest) -> Result<HeaderValue, EncodeError> {
    let id = request.client.id.as_deref().ok_or(EncodeError::MissingClientId)?;
    let secret = request.client.secret.as_ref().ok_or(EncodeError::MissingClientSecret)?.expose();
    let pair = Zeroizing::new(match request.shape.basic_encoding {
        BasicEncoding::Form => format!("{}:{}", form_encoded(id), form_encoded(secret)),
        BasicEncoding::Raw if id.contains(':') => return Err(EncodeError::ColonInClientId),
        BasicEncoding::Raw => format!("{id}:{secret}"),
    });
    let credentials = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&credentials).map_err(|_| EncodeError::HeaderValue(header::AUTHORIZATION))?;
    value.set_sensitive(true);
    Ok(value)
}

fn form_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn text(value: &ParameterValue) -> Cow<'_, str> {
    match value {
        ParameterValue::Text(text) => Cow::Borrowed(text.expose()),
        ParameterValue::Json(json) => Cow::Owned(json.to_string()),
    }
}

fn pairs(parameters: &[(String, ParameterValue)]) -> Vec<(&str, Cow<'_, str>)> {
    parameters.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}

fn multipart(parameters: &[(String, ParameterValue)]) -> reqwest::multipart::Form {
    parameters
        .iter()
        .fold(reqwest::multipart::Form::new(), |form, (name, value)| form.text(name.clone(), text(value).into_owned()))
}

struct JsonBody<'a>(&'a [(String, ParameterValue)]);

impl Serialize for JsonBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut order = Vec::new();
        let mut values: BTreeMap<&str, Vec<&ParameterValue>> = BTreeMap::new();
        for (name, value) in self.0 {
            let group = values.entry(name).or_insert_with(|| {
                order.push(name.as_str());
                Vec::new()
            });
            group.push(value);
        }
        let mut map = serializer.serialize_map(Some(order.len()))?;
        for name in order {
            match values.get(name).map(Vec::as_slice) {
                Some([value]) => map.serialize_entry(name, &JsonValue(value))?,
                Some(group) => {
                    map.serialize_entry(name, &group.iter().map(|value| JsonValue(value)).collect::<Vec<_>>())?
                }
                None => {}
            }
        }
        map.end()
    }
}

struct JsonValue<'a>(&'a ParameterValue);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ParameterValue::Text(text) => serializer.serialize_str(text.expose()),
            ParameterValue::Json(json) => json.serialize(serializer),
        }
    }
}

/// The body's bytes. All of them are in memory already, so nothing is waited for.
fn wiped_on_drop(body: Option<reqwest::Body>) -> Result<Bytes, EncodeError> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let collected = body.collect().now_or_never().and_then(Result::ok).ok_or(EncodeError::Body)?.to_bytes();
    let wiped = Zeroizing::new(collected.to_vec());
    if let Ok(mut original) = collected.try_into_mut() {
        original.as_mut().zeroize();
    }
    Ok(Bytes::from_owner(wiped))
}

/// Builds requests and sends none: no proxy, no roots, no TLS provider of the process.
fn client() -> Result<&'static reqwest::Client, EncodeError> {
    static CLIENT: OnceLock<Option<reqwest::Client>> = OnceLock::new();
    let build = || {
        let tls = tls::without_roots().ok()?;
        reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().ok()
    };
    CLIENT.get_or_init(build).as_ref().ok_or(EncodeError::Body)
}
