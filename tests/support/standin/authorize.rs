//! Hover's consent page, `/oauth/authorize`: GET shows it, its form's POST is a person's Allow. Whoever asks is taken for a
//! person who has logged in.

use url::form_urlencoded;

use super::fields::Fields;
use super::hover::{Hover, check_redirect_uri};
use super::ledger::{Kind, Ledger};
use super::record::Recorded;
use super::reply::{Refused, Reply};

pub const PATH: &str = "/oauth/authorize";

pub fn answer(hover: &Hover, ledger: &mut Ledger, request: &Recorded) -> Result<Reply, Refused> {
    let query = request.query.as_deref().unwrap_or_default();
    let fields = parameters(hover, query).map_err(|why| {
        Refused::new(Reply::html(400, "<h1>The request is missing something, or has too much</h1>"), why)
    })?;
    if !hover.integrations {
        return Ok(Reply::html(200, "<h1>Integrations are not available on your plan</h1>"));
    }
    if request.method == "GET" {
        let query = query.replace('&', "&amp;").replace('"', "&quot;");
        let form = format!("<form method=\"post\" action=\"{PATH}?{query}\"><button>Allow</button></form>");
        return Ok(Reply::html(200, format!("<h1>Allow {} to act for you?</h1>{form}", hover.client_id)));
    }
    let code = ledger.issue(Kind::Code, &hover.client_id, Some(hover.code_lifetime));
    let mut response = form_urlencoded::Serializer::new(String::new());
    response.append_pair("code", &code);
    if let Some(state) = fields.get("state") {
        response.append_pair("state", state);
    }
    let separator = if hover.redirect_uri.contains('?') { '&' } else { '?' };
    Ok(Reply::empty(303).header("location", &format!("{}{separator}{}", hover.redirect_uri, response.finish())))
}

/// `state` and `scope` are RFC 6749's and let through; PKCE is not documented, so the page doesn't know it.
fn parameters(hover: &Hover, query: &str) -> Result<Fields, String> {
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        fields.insert(name.into_owned(), value.into_owned())?;
    }
    fields.only(&["response_type", "redirect_uri", "client_id", "state", "scope"])?;
    if fields.required("response_type")? != "code" {
        return Err("response_type is not code".to_owned());
    }
    if fields.required("client_id")? != hover.client_id {
        return Err("no such client".to_owned());
    }
    if fields.get("scope").is_some_and(|scope| scope != "all") {
        return Err("the one scope is all".to_owned());
    }
    check_redirect_uri(hover, fields.required("redirect_uri")?)?;
    Ok(fields)
}
