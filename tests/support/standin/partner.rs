//! The partner API's token endpoint: `POST /v1/auth/token`, with the grant type and the partner's id in headers, and the
//! refresh token alone in a JSON body. No client secret.

use std::time::Duration;

use serde_json::json;

use super::fields::Fields;
use super::ledger::{Kind, Ledger};
use super::record::Recorded;
use super::reply::{Refused, Reply};

pub const TOKEN_PATH: &str = "/v1/auth/token";

/// The one partner that is registered. The default is the partner of the example manifest.
#[derive(Clone, Debug)]
pub struct Partner {
    pub id: i32,
    /// Sent as `expires_in`, in whole seconds.
    pub access_token_lifetime: Duration,
    pub refresh_token_lifetime: Option<Duration>,
    pub next_refresh_token: NextRefreshToken,
}

impl Default for Partner {
    fn default() -> Self {
        Self {
            id: 42,
            access_token_lifetime: Duration::from_hours(1),
            refresh_token_lifetime: None,
            next_refresh_token: NextRefreshToken::Present,
        }
    }
}

/// The reply's `refresh_token`, which is there "if applicable".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRefreshToken {
    /// A new one; the old one is spent.
    Present,
    /// No such field; the old one keeps working.
    Absent,
    /// An empty string; the old one keeps working.
    Empty,
}

pub fn answer(partner: &Partner, ledger: &mut Ledger, request: &Recorded) -> Result<Reply, Refused> {
    match (request.path.as_str(), request.method.as_str()) {
        (TOKEN_PATH, "POST") => refresh(partner, ledger, request),
        (TOKEN_PATH, method) => Err(Refused::new(Reply::empty(405), format!("method {method}"))),
        (path, _) => Err(Refused::new(Reply::empty(404), format!("path {path}"))),
    }
}

fn refresh(partner: &Partner, ledger: &mut Ledger, request: &Recorded) -> Result<Reply, Refused> {
    let partner_id = partner_id(request).map_err(invalid_request)?;
    let token = refresh_token(request)?;
    let owner = partner_id.to_string();
    let invalid_grant = |why| {
        let description = "The refresh token is expired or invalid.";
        Refused::new(error("invalid_grant", description), format!("RefreshToken {why:?}"))
    };

    let next = match partner.next_refresh_token {
        NextRefreshToken::Present => {
            ledger.spend(Kind::RefreshToken, &owner, &token, None).map_err(invalid_grant)?;
            Some(ledger.issue(Kind::RefreshToken, &owner, partner.refresh_token_lifetime))
        }
        NextRefreshToken::Absent => {
            ledger.check(Kind::RefreshToken, &owner, &token).map_err(invalid_grant)?;
            None
        }
        NextRefreshToken::Empty => {
            ledger.check(Kind::RefreshToken, &owner, &token).map_err(invalid_grant)?;
            Some(String::new())
        }
    };
    let mut body = json!({
        "access_token": ledger.issue(Kind::AccessToken, &owner, Some(partner.access_token_lifetime)),
        "expires_in": partner.access_token_lifetime.as_secs(),
        "token_type": "Bearer",
    });
    if let Some(next) = next {
        body["refresh_token"] = next.into();
    }
    Ok(Reply::json(200, &body))
}

/// Checks everything but the token itself.
fn partner_id(request: &Recorded) -> Result<i32, String> {
    if request.query.is_some() {
        return Err("no query is documented".to_owned());
    }
    if request.has_header("authorization") {
        return Err("no Authorization header is documented".to_owned());
    }
    match request.header("grantType") {
        Some("refresh_token") => {}
        other => return Err(format!("header grantType {other:?}")),
    }
    let text = request.header("partnerId").ok_or("one header partnerId is needed")?;
    // Written as the number is: neither "+42" nor "042".
    match text.parse::<i32>() {
        Ok(number) if number.to_string() == text => Ok(number),
        _ => Err(format!("header partnerId {text}")),
    }
}

fn refresh_token(request: &Recorded) -> Result<String, Refused> {
    match request.header("content-type") {
        Some(content_type) if content_type.eq_ignore_ascii_case("application/json") => {}
        other => return Err(invalid_request(format!("Content-Type {other:?}"))),
    }
    let fields = Fields::from_json(&request.body).map_err(invalid_request)?;
    fields.only(&["refreshToken"]).map_err(invalid_request)?;
    let missing = |why| Refused::new(error("invalid_request", "Missing refresh token."), why);
    fields.required("refreshToken").map(str::to_owned).map_err(missing)
}

fn invalid_request(why: String) -> Refused {
    Refused::new(error("invalid_request", "The request is malformed."), why)
}

fn error(code: &str, description: &str) -> Reply {
    Reply::json(400, &json!({"error": code, "error_description": description}))
}
