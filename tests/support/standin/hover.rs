//! Hover's token endpoint: `POST /oauth/token`, for a refresh (JSON) and for an authorization code (JSON or multipart).

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::authorize;
use super::fields::Fields;
use super::ledger::{Invalid, Kind, Ledger};
use super::multipart;
use super::record::Recorded;
use super::reply::{Refused, Reply};

pub const TOKEN_PATH: &str = "/oauth/token";

/// The one client that is registered, and what its tokens are like. The default is the client of the example manifest.
#[derive(Clone, Debug)]
pub struct Hover {
    pub client_id: String,
    pub client_secret: String,
    /// Must be https, as Hover wants it.
    pub redirect_uri: String,
    /// Sent as `expires_in`, in whole seconds.
    pub access_token_lifetime: Duration,
    /// They all expire then, whenever they were issued. None: after their lifetime.
    pub access_tokens_expire: Option<SystemTime>,
    /// How long a refresh token still works after its first use. Hover has no such grace: None.
    pub reuse_grace_period: Option<Duration>,
    /// Hover's are valid until they are spent: None.
    pub refresh_token_lifetime: Option<Duration>,
    pub code_lifetime: Duration,
    /// False: the account's plan has no integrations, and its page offers nothing to allow.
    pub integrations: bool,
    pub unauthorized: Unauthorized,
}

impl Default for Hover {
    fn default() -> Self {
        Self {
            client_id: "3fc0".to_owned(),
            client_secret: "s3cr3t".to_owned(),
            redirect_uri: "https://oauth.example.com/oauth/callback".to_owned(),
            access_token_lifetime: Duration::from_hours(2),
            access_tokens_expire: None,
            reuse_grace_period: None,
            refresh_token_lifetime: None,
            code_lifetime: Duration::from_mins(10),
            integrations: true,
            unauthorized: Unauthorized::Html,
        }
    }
}

/// The body of a 401, which need not be RFC 6749's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthorized {
    Html,
    Empty,
    /// JSON with an `error` that is no OAuth error code, as a Rails application answers.
    ForeignJson,
    PlainText,
}

impl Unauthorized {
    fn reply(self) -> Reply {
        match self {
            Self::Html => Reply::html(401, "<!DOCTYPE html><html><body><h1>401 Unauthorized</h1></body></html>"),
            Self::Empty => Reply::empty(401),
            Self::ForeignJson => Reply::json(401, &json!({"status": 401, "error": "Unauthorized"})),
            Self::PlainText => Reply::new(401, "text/plain; charset=utf-8", "HTTP Token: Access denied.\n"),
        }
    }
}

pub fn answer(hover: &Hover, ledger: &mut Ledger, request: &Recorded) -> Result<Reply, Refused> {
    match (request.path.as_str(), request.method.as_str()) {
        (TOKEN_PATH, "POST") => {
            exchange(hover, ledger, request).map_err(|why| Refused::new(hover.unauthorized.reply(), why))
        }
        (authorize::PATH, "GET" | "POST") => authorize::answer(hover, ledger, request),
        (TOKEN_PATH | authorize::PATH, method) => Err(Refused::new(Reply::empty(405), format!("method {method}"))),
        (path, _) => Err(Refused::new(Reply::empty(404), format!("path {path}"))),
    }
}

/// Everything is checked before the token is spent.
fn exchange(hover: &Hover, ledger: &mut Ledger, request: &Recorded) -> Result<Reply, String> {
    if request.query.is_some() {
        return Err("parameters belong in the body, not in the query".to_owned());
    }
    if request.has_header("authorization") {
        return Err("credentials belong in the body, not in a header".to_owned());
    }
    let content_type = request.header("content-type").ok_or("one Content-Type is needed")?;
    let as_json = content_type.eq_ignore_ascii_case("application/json");
    let fields = if as_json {
        Fields::from_json(&request.body)?
    } else if multipart::is_multipart(content_type) {
        multipart::parse(content_type, &request.body)?
    } else {
        return Err(format!("Content-Type {content_type}"));
    };

    let (kind, token) = match fields.required("grant_type")? {
        "refresh_token" if !as_json => return Err("a refresh is documented as JSON only".to_owned()),
        "refresh_token" => {
            fields.only(&["grant_type", "refresh_token", "client_id", "client_secret", "redirect_uri"])?;
            (Kind::RefreshToken, fields.required("refresh_token")?)
        }
        "authorization_code" => {
            fields.only(&["grant_type", "code", "client_id", "client_secret", "redirect_uri"])?;
            fields.required("redirect_uri")?;
            (Kind::Code, fields.required("code")?)
        }
        other => return Err(format!("grant_type {other}")),
    };
    if fields.required("client_id")? != hover.client_id {
        return Err("no such client".to_owned());
    }
    if fields.required("client_secret")? != hover.client_secret {
        return Err("wrong client secret".to_owned());
    }
    if let Some(redirect_uri) = fields.get("redirect_uri") {
        check_redirect_uri(hover, redirect_uri)?;
    }
    let grace = hover.reuse_grace_period.filter(|_| kind == Kind::RefreshToken);
    ledger.spend(kind, &hover.client_id, token, grace).map_err(|invalid| format!("{kind:?} {invalid:?}"))?;
    Ok(issue(hover, ledger))
}

pub fn check_redirect_uri(hover: &Hover, redirect_uri: &str) -> Result<(), String> {
    if !redirect_uri.starts_with("https://") {
        return Err("redirect_uri is not https".to_owned());
    }
    if redirect_uri != hover.redirect_uri {
        return Err("redirect_uri is not the registered one".to_owned());
    }
    Ok(())
}

fn issue(hover: &Hover, ledger: &mut Ledger) -> Reply {
    let created_at =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    let left = hover.access_tokens_expire.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
    let lifetime = left.unwrap_or(hover.access_token_lifetime);
    Reply::json(
        200,
        &json!({
            "access_token": ledger.issue(Kind::AccessToken, &hover.client_id, Some(lifetime)),
            "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "refresh_token": ledger.issue(Kind::RefreshToken, &hover.client_id, hover.refresh_token_lifetime),
            "scope": "all",
            "created_at": created_at,
            "owner_id": 785,
            "owner_type": "orgs",
        }),
    )
}
