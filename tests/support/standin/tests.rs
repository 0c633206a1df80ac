//! The stand-in's own tests, from the wire: each request is written out byte by byte, so that no client library can mend
//! it. The crate that includes this file also has the stand-in, as `crate::standin`. Here: how to write and send a request,
//! and what holds for both providers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in a test a panic is the message")]

#[path = "tests/faults.rs"]
mod faults;
#[path = "tests/hover.rs"]
mod hover;
#[path = "tests/partner.rs"]
mod partner;
#[path = "tests/shaped.rs"]
mod shaped;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::standin::{Config, Hover, Partner, Recorded, Standin};

const JSON: &str = "application/json";
const CALLBACK: &str = "https://oauth.example.com/oauth/callback";

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap().to_owned()
    }
}

fn connect(standin: &Standin) -> TcpStream {
    let stream = TcpStream::connect(standin.url().rsplit('/').next().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// One connection, one request, everything that comes until the server closes.
fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

fn send(standin: &Standin, request: &str) -> Answer {
    exchange(connect(standin), request).unwrap()
}

fn raw(method: &str, target: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

fn hover_raw(content_type: &str, body: &str) -> String {
    raw("POST", "/oauth/token", &format!("Content-Type: {content_type}\r\n"), body)
}

fn hover_refresh(standin: &Standin, token: &str) -> Answer {
    send(standin, &hover_raw(JSON, &refresh_body(token).to_string()))
}

fn refresh_body(token: &str) -> Value {
    json!({"grant_type": "refresh_token", "refresh_token": token, "client_id": "3fc0", "client_secret": "s3cr3t"})
}

fn code_body(code: &str) -> Value {
    json!({
        "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
        "client_id": "3fc0", "client_secret": "s3cr3t",
    })
}

/// The given object, with one field changed, or taken away by null.
fn with(mut body: Value, field: &str, value: Value) -> String {
    let object = body.as_object_mut().unwrap();
    if value.is_null() {
        object.remove(field);
    } else {
        object.insert(field.to_owned(), value);
    }
    body.to_string()
}

fn last(standin: &Standin) -> Recorded {
    standin.requests().pop().unwrap()
}

fn assert_keys(value: &Value, keys: &[&str]) {
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    let mut found: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_recorded_as_sent_also_on_a_kept_connection() {
    let standin = Standin::start(Partner::default()).await;
    let mut stream = connect(&standin);
    let plain =
        "POST /v1/auth/token HTTP/1.1\r\nhOsT: a\r\nPartnerID: 42\r\npartnerid:  7 \r\nContent-Length: 3\r\n\r\na\r\n";
    stream.write_all(plain.as_bytes()).unwrap();
    standin.arrived(1).await;
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    let chunked = "GET /x?y=%20z HTTP/1.1\r\nB: 1\r\nHost: a\r\na: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";
    stream.write_all(chunked.as_bytes()).unwrap();
    standin.arrived(2).await;

    let requests = standin.requests();
    let headers = |index: usize| -> Vec<(&str, &str)> {
        requests[index].headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    };
    assert_eq!(headers(0), [("hOsT", "a"), ("PartnerID", "42"), ("partnerid", "7"), ("Content-Length", "3")]);
    assert_eq!((requests[0].path.as_str(), requests[0].query.as_deref()), ("/v1/auth/token", None));
    assert_eq!(&requests[0].body[..], b"a\r\n");
    assert_eq!(headers(1), [("B", "1"), ("Host", "a"), ("a", "2"), ("Transfer-Encoding", "chunked")]);
    assert_eq!((requests[1].method.as_str(), requests[1].query.as_deref()), ("GET", Some("y=%20z")));
    assert_eq!(&requests[1].body[..], b"body");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_with_one_token_at_once_one_wins() {
    let standin = Arc::new(Standin::start(Hover::default()).await);
    let seed = standin.seed();
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let (standin, seed) = (Arc::clone(&standin), seed.clone());
            thread::spawn(move || hover_refresh(&standin, &seed).status)
        })
        .collect();
    let won = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|status| *status == 200).count();
    assert_eq!((won, standin.replays()), (1, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_issued_lives_as_long_as_configured() {
    let hover = Hover { access_token_lifetime: Duration::ZERO, code_lifetime: Duration::ZERO, ..Hover::default() };
    let standin = Standin::start(Hover { refresh_token_lifetime: Some(Duration::ZERO), ..hover.clone() }).await;
    let (seed, code) = (standin.seed(), standin.code());
    assert_eq!(hover_refresh(&standin, &seed).status, 401);
    assert_eq!(last(&standin).refused.unwrap(), "RefreshToken Expired");
    assert_eq!(send(&standin, &hover_raw(JSON, &code_body(&code).to_string())).status, 401);
    assert_eq!(last(&standin).refused.unwrap(), "Code Expired");

    standin.reconfigure(Config::Hover(hover));
    let access_token = hover_refresh(&standin, &standin.seed()).text("access_token");
    assert!(!standin.is_live(&access_token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_the_ca_gets_through_and_no_other() {
    let (standin, ca) = Standin::start_tls(Hover::default()).await;
    assert!(standin.token_url().starts_with("https://127.0.0.1:"));
    let request = hover_raw(JSON, &refresh_body(&standin.seed()).to_string());
    let send = |roots: RootCertStore, name: &'static str| {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap();
        exchange(StreamOwned::new(client, connect(&standin)), &request)
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    assert!(send(RootCertStore::empty(), "127.0.0.1").is_err());
    assert!(send(roots.clone(), "example.com").is_err());
    assert_eq!(standin.requests().len(), 0);
    assert_eq!(send(roots, "127.0.0.1").unwrap().status, 200);
    assert!(last(&standin).headers.contains(&("Content-Type".to_owned(), JSON.to_owned())), "recorded in plain text");
}
