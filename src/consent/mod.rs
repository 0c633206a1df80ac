//! The pages on which a person consents: the start page, and the callback to which the provider sends them back. They are served on
//! every replica. What is true is decided in `controller::browser`; here it is asked for, and shown.
//!
//! A state and a cookie belong together: `callback` takes a response only from the browser that began.

pub mod cookie;
mod pages;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use url::{Url, form_urlencoded};

use self::{cookie::Cookie, pages::Page};
use crate::{
    controller::{
        Controller,
        browser::{Arrived, Refused},
    },
    oauth::authorization::{self, NoResponse},
    operate::{server, shutdown::Shutdown},
};

/// The largest form that is read, in bytes.
const MAX_FORM: usize = 4 * 1024;
/// For everything that one request may cause. The callback waits for the leader for some of it.
const LONGEST: Duration = Duration::from_secs(60);

/// Serves the pages on `listener` until `stop`.
pub fn serve(listener: TcpListener, controller: Arc<Controller>, public: Url, stop: Shutdown) -> JoinHandle<()> {
    let site = Arc::new(Site { controller, origin: public.origin().ascii_serialization(), prefix: prefix(&public) });
    server::serve(
        listener,
        move |request| {
            let site = site.clone();
            async move { timeout(LONGEST, site.answer(request)).await.unwrap_or_else(|_| Page::unavailable().response()) }
        },
        stop,
    )
}

/// The path of a public URL, without a slash at its end.
fn prefix(public: &Url) -> String {
    public.path().trim_end_matches('/').to_owned()
}

struct Site {
    controller: Arc<Controller>,
    /// As browsers send it.
    origin: String,
    prefix: String,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Start { namespace: &'a str, name: &'a str },
    Callback,
}

impl<'a> Route<'a> {
    /// None: there is no such page. Names that no object can have are no page either, so that none is looked up.
    fn of(prefix: &str, path: &'a str) -> Option<Self> {
        let path = path.strip_prefix(prefix)?;
        if path == "/oauth/callback" {
            return Some(Self::Callback);
        }
        let (namespace, name) = path.strip_prefix("/consent/")?.split_once('/')?;
        (is_name(namespace) && is_name(name)).then_some(Self::Start { namespace, name })
    }
}

/// What the names of namespaces and credentials are made of.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (1..=63).contains(&text.len()) && text.bytes().all(is_part)
}

impl Site {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Some(route) = Route::of(&self.prefix, head.uri.path()) else { return Page::not_found().response() };
        if !self.controller.knows_credentials() {
            return Page::unavailable().response();
        }
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        match route {
            Route::Start { .. } if reads => Page::ticket().response(),
            Route::Start { namespace, name } if head.method == Method::POST => {
                // Another site's form would begin a consent that nobody asked for.
                if !is_own(&head.headers, &self.origin) {
                    return Page::foreign_form().response();
                }
                match read_form(&head.headers, body).await {
                    Some(form) => self.start(namespace, name, &form).await,
                    None => Page::bad_form().response(),
                }
            }
            Route::Callback if reads => self.callback(head.uri.query().unwrap_or_default(), &head.headers).await,
            _ => Page::method_not_allowed().response(),
        }
    }

    /// The ticket's holder sees what is asked for; who then presses Continue is sent to the provider.
    async fn start(&self, namespace: &str, name: &str, form: &Form) -> Response<Full<Bytes>> {
        if !form.goes_on {
            return match self.controller.consent_asked(namespace, name, &form.ticket).await {
                Ok(asked) => Page::asked(&asked, &form.ticket).response(),
                Err(refused) => Page::refused(&refused).response(),
            };
        }
        let browser = cookie::random();
        match self.controller.begin_consent(namespace, name, &form.ticket, &browser).await {
            Ok(begun) => {
                let cookie = Cookie { namespace, name, browser: &browser };
                let mut response = Page::leaving(&begun.asked, &begun.url).response();
                set_cookie(&mut response, cookie.set(&begun.state));
                response
            }
            Err(refused) => Page::refused(&refused).response(),
        }
    }

    /// The provider has sent the browser back.
    async fn callback(&self, query: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let returned = match authorization::Response::in_query(query) {
            Ok(returned) => returned,
            Err(NoResponse::Nothing | NoResponse::Empty) => return Page::nothing_returned().response(),
            Err(_) => return Page::malformed().response(),
        };
        let Some(state) = returned.state.clone() else { return Page::malformed().response() };
        let Some(cookie) = cookie::find(headers, &state) else { return Page::no_cookie().response() };
        let Some(began) = Cookie::parse(&cookie) else { return Page::no_cookie().response() };
        let came = self.controller.consent_returned(began.namespace, began.name, began.browser, returned).await;
        let mut response = match &came {
            Ok(Arrived::Linked { subject }) => Page::linked(began.namespace, began.name, subject.as_deref()).response(),
            Ok(Arrived::Failed(sentence)) => Page::failed(sentence).response(),
            Ok(Arrived::Waiting) => Page::waiting(began.namespace, began.name).response(),
            Err(refused) => Page::refused(refused).response(),
        };
        // What can be brought once only needs no cookie any more.
        if came.is_ok() {
            set_cookie(&mut response, cookie::clear(&state));
        }
        response
    }
}

fn set_cookie(response: &mut Response<Full<Bytes>>, cookie: String) {
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Whether a form comes from a page of ours. Every browser says of a POST where it comes from.
fn is_own(headers: &HeaderMap, origin: &str) -> bool {
    let site = HeaderName::from_static("sec-fetch-site");
    let same_site = headers.get(site).is_none_or(|site| site == "same-origin");
    same_site && headers.get(header::ORIGIN).is_some_and(|from| from.as_bytes() == origin.as_bytes())
}

/// What the start page's forms send.
#[derive(Default)]
struct Form {
    ticket: String,
    goes_on: bool,
}

/// None: it is no form, or too large.
async fn read_form(headers: &HeaderMap, body: Incoming) -> Option<Form> {
    let type_ = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !type_.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let body = Limited::new(body, MAX_FORM).collect().await.ok()?.to_bytes();
    let mut form = Form::default();
    for (name, value) in form_urlencoded::parse(&body) {
        match &*name {
            "ticket" => form.ticket = value.trim().to_owned(),
            "continue" => form.goes_on = true,
            _ => {}
        }
    }
    Some(form)
}

/// A page's status and text, with the headers that every page has.
fn respond(status: StatusCode, policy: &str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not no-referrer: a browser would then hide from us that a form is our own.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

impl Page {
    /// What a person is told who is turned away.
    fn refused(refused: &Refused) -> Self {
        match refused {
            Refused::Ticket => Self::wrong_ticket(),
            Refused::Expired => Self::expired(),
            Refused::Answered => Self::answered(),
            Refused::State => Self::foreign_state(),
            Refused::Issuer => Self::other_issuer(),
            Refused::Problem(sentence) => Self::problem(sentence),
            Refused::Unavailable => Self::unavailable(),
        }
    }
}
