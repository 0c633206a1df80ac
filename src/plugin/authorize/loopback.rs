//! Listens on this machine for the provider's redirect (RFC 8252 section 7.3), and takes one response.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::mpsc};
use url::{Host, Url};

use crate::{
    oauth::{authorization, values::SecretText},
    operate::{server, shutdown::Shutdown},
    plugin::failure::Failure,
};

/// A port that was taken.
pub struct Listener {
    listener: TcpListener,
}

/// Takes the redirect URI's port, on the loopback interface alone.
pub async fn listen(redirect: &Url) -> Result<Listener, Failure> {
    let host = match redirect.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Ipv4(address)) => address.to_string(),
        _ => "127.0.0.1".to_owned(),
    };
    let port = redirect.port_or_known_default().unwrap_or(80);
    let bound = TcpListener::bind((host.as_str(), port)).await;
    let listener = bound.map_err(|error| {
        Failure::Usage(format!(
            "can't listen at {host}, port {port}: {error}. Free the port, or use --paste and copy the address that the browser then can't open."
        ))
    })?;
    Ok(Listener { listener })
}

impl Listener {
    /// The address that the browser was redirected to. `asked`: where the person went; the response bears its state.
    pub async fn response(self, redirect: &Url, asked: &SecretText) -> Result<SecretText, Failure> {
        let (sender, mut receiver) = mpsc::channel(1);
        let (trigger, stop) = Shutdown::by_hand();
        let expected = Expected { redirect: redirect.clone(), state: state(asked) };
        let served = server::serve(
            self.listener,
            move |request: Request<Incoming>| {
                let answered = answer(&request, &expected, &sender);
                async move { answered }
            },
            stop,
        );
        let received = receiver.recv().await;
        trigger.request();
        // Connections go on until their page is sent, since the process still waits for the operator.
        drop(served.await);
        received.ok_or_else(|| Failure::Usage("nothing listens any more for the provider's redirect.".to_owned()))
    }
}

#[derive(Clone)]
struct Expected {
    redirect: Url,
    /// None: the request was pushed, and only the operator knows it.
    state: Option<String>,
}

fn state(asked: &SecretText) -> Option<String> {
    let asked = Url::parse(asked.expose()).ok()?;
    asked.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned())
}

fn answer(
    request: &Request<Incoming>,
    expected: &Expected,
    sender: &mpsc::Sender<SecretText>,
) -> Response<Full<Bytes>> {
    if request.uri().path() != expected.redirect.path() {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    if request.method() != Method::GET {
        return page(StatusCode::METHOD_NOT_ALLOWED, "The provider's answer comes by GET.");
    }
    let query = request.uri().query().unwrap_or_default();
    let Ok(response) = authorization::Response::in_query(query) else {
        return page(StatusCode::BAD_REQUEST, "There is no answer of a provider in this address.");
    };
    if expected.state.is_some() && response.state != expected.state {
        return page(StatusCode::BAD_REQUEST, "This answers another request than the one that the terminal shows.");
    }
    let mut address = expected.redirect.clone();
    address.set_query(Some(query));
    match sender.try_send(SecretText::new(address.as_str())) {
        Ok(()) => page(StatusCode::OK, "Your answer has arrived. Close this page: the terminal says what comes of it."),
        Err(_) => page(StatusCode::CONFLICT, "An answer has arrived already: the terminal says what comes of it."),
    }
}

fn page(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{sentence}\n"))));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
