//! What comes back from the authorization endpoint: the query of the callback, or what a person pasted. An input is that text.

use oauth_operator::oauth::authorization::{MAX_RESPONSE, NoResponse, Response};
use url::{Url, form_urlencoded};

use super::shown::assert_sentence;

/// The longest authorization code, in bytes.
const MAX_CODE: usize = 8 * 1024;

/// Reads the text in both ways.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let returned = read(Response::in_query(text));
    if let Some(returned) = &returned {
        assert!(text.len() <= MAX_RESPONSE);
        once_each(text);
        written_and_read(returned);
    }
    // A whole address is its query, whichever way it comes.
    if let (Some(returned), Ok(mut address)) = (&returned, Url::parse("https://oauth.example.com/oauth/callback")) {
        address.set_query(Some(text));
        if address.query() == Some(text)
            && address.as_str().len() <= MAX_RESPONSE
            && address.as_str().trim() == address.as_str()
        {
            assert_eq!(Response::in_pasted(address.as_str()).as_ref(), Ok(returned));
        }
    }
    if read(Response::in_pasted(text)).is_some() {
        assert!(text.trim().len() <= MAX_RESPONSE);
    }
}

fn read(returned: Result<Response, NoResponse>) -> Option<Response> {
    let returned = returned.map_err(|error| assert_sentence(&error.to_string())).ok()?;
    match &returned.outcome {
        Ok(code) => {
            let code = code.expose();
            assert!(!code.is_empty() && code.len() <= MAX_CODE);
            assert!(code.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
        }
        Err(refusal) => assert_sentence(&refusal.sentence()),
    }
    let issuer = returned.issuer.as_deref();
    assert!(!returned.is_from(Some(&format!("{}/", issuer.unwrap_or_default())), true), "only its issuer may send it");
    assert!(issuer.is_none() || returned.is_from(issuer, true));
    Some(returned)
}

fn once_each(query: &str) {
    for name in ["code", "state", "iss", "error"] {
        assert!(form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name).count() <= 1, "{name}");
    }
}

/// A response that is written as a query is the same response.
fn written_and_read(returned: &Response) {
    let Ok(code) = &returned.outcome else { return };
    let state = returned.state.iter().map(|state| ("state", state.as_str()));
    let issuer = returned.issuer.iter().map(|issuer| ("iss", issuer.as_str()));
    let pairs = std::iter::once(("code", code.expose())).chain(state).chain(issuer);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.len() <= MAX_RESPONSE {
        assert_eq!(Response::in_query(&query).as_ref(), Ok(returned));
    }
}
