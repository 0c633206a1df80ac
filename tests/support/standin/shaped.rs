//! A token endpoint for the shapes of request that no server at hand takes: it documents one place for the parameters and one way in
//! which its client says who it is, and refuses every other.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use url::form_urlencoded;

use super::fields::Fields;
use super::ledger::{Kind, Ledger};
use super::multipart;
use super::record::Recorded;
use super::reply::{Refused, Reply};

pub const TOKEN_PATH: &str = "/shaped/token";
const LIFETIME: Duration = Duration::from_hours(1);
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Where the parameters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Form,
    Json,
    Multipart,
    /// The query of a POST without a body.
    Query,
    /// The query of a GET.
    Get,
}

/// How the client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Id and secret as parameters.
    Post,
    /// HTTP Basic, both form-encoded first (RFC 6749 section 2.3.1).
    BasicForm,
    /// HTTP Basic, both as they are.
    BasicRaw,
    /// The id alone.
    Public,
}

/// The one client. By default its secret is another text once it is form-encoded.
#[derive(Clone, Debug)]
pub struct Shaped {
    pub carried: Carried,
    pub proof: Proof,
    pub client_id: String,
    pub client_secret: String,
}

impl Shaped {
    pub fn new(carried: Carried, proof: Proof) -> Self {
        Self { carried, proof, client_id: "shaped/1".to_owned(), client_secret: "s3cr3t %41+&=:/ü".to_owned() }
    }
}

pub fn answer(shaped: &Shaped, ledger: &mut Ledger, request: &Recorded) -> Result<Reply, Refused> {
    if request.path != TOKEN_PATH {
        return Err(Refused::new(Reply::empty(404), format!("path {}", request.path)));
    }
    let error = |status, code: &str, why| Refused::new(Reply::json(status, &json!({"error": code})), why);
    let fields = parameters(shaped, request).map_err(|why| error(400, "invalid_request", why))?;
    let own = client(shaped, request, &fields).map_err(|why| error(401, "invalid_client", why))?;
    exchange(shaped, ledger, &fields, own).map_err(|why| error(400, "invalid_grant", why))
}

fn parameters(shaped: &Shaped, request: &Recorded) -> Result<Fields, String> {
    let method = if shaped.carried == Carried::Get { "GET" } else { "POST" };
    if request.method != method {
        return Err(format!("method {}", request.method));
    }
    let content_type = request.header("content-type");
    if matches!(shaped.carried, Carried::Query | Carried::Get) {
        if !request.body.is_empty() || request.has_header("content-type") {
            return Err("parameters belong in the query, not in a body".to_owned());
        }
        return pairs(request.query.as_deref().unwrap_or_default().as_bytes());
    }
    if request.query.is_some() {
        return Err("parameters belong in the body, not in the query".to_owned());
    }
    match (shaped.carried, content_type) {
        (Carried::Form, Some("application/x-www-form-urlencoded")) => pairs(&request.body),
        (Carried::Json, Some("application/json")) => Fields::from_json(&request.body),
        (Carried::Multipart, Some(content_type)) if multipart::is_multipart(content_type) => {
            multipart::parse(content_type, &request.body)
        }
        (_, other) => Err(format!("Content-Type {other:?}")),
    }
}

fn pairs(text: &[u8]) -> Result<Fields, String> {
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(text) {
        fields.insert(name.into_owned(), value.into_owned())?;
    }
    Ok(fields)
}

/// Names of the parameters that belong to the client.
fn client(shaped: &Shaped, request: &Recorded, fields: &Fields) -> Result<&'static [&'static str], String> {
    let (id, secret) = (shaped.client_id.as_str(), shaped.client_secret.as_str());
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = match shaped.proof {
        Proof::BasicForm => Some(format!("{}:{}", encode(id), encode(secret))),
        Proof::BasicRaw => Some(format!("{id}:{secret}")),
        Proof::Post | Proof::Public => None,
    };
    let expected = basic.map(|pair| format!("Basic {}", STANDARD.encode(pair)));
    if request.header("authorization") != expected.as_deref() {
        return Err("the header Authorization is not the documented one".to_owned());
    }
    match shaped.proof {
        Proof::BasicForm | Proof::BasicRaw => Ok(&[]),
        Proof::Public if fields.required("client_id")? == id => Ok(&["client_id"]),
        Proof::Post if fields.required("client_id")? == id && fields.required("client_secret")? == secret => {
            Ok(&["client_id", "client_secret"])
        }
        Proof::Public | Proof::Post => Err("another client".to_owned()),
    }
}

/// Exactly the parameters of the grant, which is checked before anything is spent.
fn exchange(
    shaped: &Shaped,
    ledger: &mut Ledger,
    fields: &Fields,
    client: &'static [&'static str],
) -> Result<Reply, String> {
    let grant = fields.required("grant_type")?;
    let (own, fixed): (&[&str], &[(&str, &str)]) = match grant {
        "client_credentials" => (&[], &[("scope", "read write")]),
        "refresh_token" => (&["refresh_token"], &[]),
        "password" => (&[], &[("username", "alice"), ("password", "alice's password"), ("scope", "read write")]),
        "account_credentials" => (&[], &[("account_id", "7"), ("scope", "read write")]),
        TOKEN_EXCHANGE => (
            &[],
            &[
                ("subject_token", "a subject's token"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("scope", "read write"),
            ],
        ),
        other => return Err(format!("grant_type {other}")),
    };
    let names = fixed.iter().map(|(name, _)| *name).chain(own.iter().copied()).chain(client.iter().copied());
    fields.only(&names.chain(["grant_type"]).collect::<Vec<_>>())?;
    if let Some((name, _)) = fixed.iter().find(|(name, value)| fields.get(name) != Some(value)) {
        return Err(format!("{name} is {:?}", fields.get(name)));
    }
    if grant == "refresh_token" {
        let token = fields.required("refresh_token")?;
        let spent = ledger.spend(Kind::RefreshToken, &shaped.client_id, token, None);
        spent.map_err(|invalid| format!("refresh token {invalid:?}"))?;
    }
    let mut body = json!({
        "access_token": ledger.issue(Kind::AccessToken, &shaped.client_id, Some(LIFETIME)),
        "token_type": "Bearer",
        "expires_in": LIFETIME.as_secs(),
    });
    if matches!(grant, "refresh_token" | "password") {
        body["refresh_token"] = ledger.issue(Kind::RefreshToken, &shaped.client_id, None).into();
    }
    Ok(Reply::json(200, &body))
}
