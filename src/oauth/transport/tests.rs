//! Over real sockets: what leaves, when, and what comes back.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture};
use http::StatusCode;
use jiff::Timestamp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;
use crate::{
    clock::Moment,
    oauth::{
        encode::EncodedRequest,
        failure::Spent,
        request::{Client, ParameterValue, RequestShape, TokenRequest},
    },
};

mod hostile;
mod tls_and_proxy;

/// What the server got, and how it answers: pieces, each sent after the one before.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: JoinHandle<Vec<u8>>,
}

/// A server for one connection. It reads one request (none, when `answer` is None: it closes at once), sends the answer,
/// closes, and says what it got in all.
async fn serve(answer: Option<Vec<u8>>) -> Server {
    serve_with(answer, false).await
}

async fn serve_with(answer: Option<Vec<u8>>, hangs: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        count.fetch_add(1, Ordering::SeqCst);
        let mut got = Vec::new();
        let Some(answer) = answer else { return got };
        while !got.ends_with(b"refresh_token=r") {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return got,
                Ok(read) => got.extend_from_slice(&buffer[..read]),
            }
        }
        let _ = stream.write_all(&answer).await;
        if hangs {
            let _ = stream.read_to_end(&mut got).await;
        }
        drop(stream);
        // Whoever comes again is counted.
        while let Ok(Ok(_)) = timeout(Duration::from_millis(50), listener.accept()).await {
            count.fetch_add(1, Ordering::SeqCst);
        }
        got
    });
    Server { address, connections, received }
}

fn reply(head: &str, body: &str) -> Option<Vec<u8>> {
    Some(format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// Names that resolve as told.
#[derive(Default)]
struct Names(HashMap<&'static str, Vec<IpAddr>>, Mutex<Vec<String>>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        self.1.lock().unwrap().push(host.to_owned());
        std::future::ready(self.0.get(host).cloned().unwrap_or_default()).boxed()
    }
}

fn names(entries: &[(&'static str, &[&str])]) -> Arc<Names> {
    let parse = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
    Arc::new(Names(entries.iter().map(|(name, addresses)| (*name, parse(addresses))).collect(), Mutex::default()))
}

fn config(allow: &[&str]) -> TransportConfig {
    let allow = allow.iter().map(|rule| rule.parse().unwrap()).collect();
    TransportConfig {
        egress: EgressRules { allow, deny: Vec::new(), allow_insecure_http: true },
        request_timeout: Duration::from_millis(400),
        connect_timeout: Duration::from_secs(3),
        ..TransportConfig::default()
    }
}

fn transport(config: TransportConfig) -> Transport {
    Transport::with_resolver(config, names(&[])).unwrap()
}

fn target(url: &str) -> Target {
    Target { url: url.parse().unwrap(), ca: None, identity: None, allowed_addresses: Vec::new() }
}

fn request(url: &str) -> EncodedRequest {
    let standard = vec![("refresh_token", ParameterValue::text("r"))];
    let url = url.parse().unwrap();
    let (shape, client) = (RequestShape::default(), Client::default());
    TokenRequest { url, shape, client, standard, additional: Vec::new() }.encode().unwrap()
}

async fn exchange(server: &Server) -> Result<RawReply, Failure> {
    let url = format!("http://{}/token?a=b", server.address);
    let connection = transport(config(&["127.0.0.0/8"])).connect(&target(&url)).await?;
    connection.send(request(&url), |_| true).await
}

#[tokio::test]
async fn a_request_and_its_reply() {
    let server = serve(reply("200 OK\r\nX-A: b", "{}")).await;
    let before = Timestamp::now();
    let got = exchange(&server).await.unwrap();
    assert_eq!(
        (got.status, &got.headers["x-a"], got.body.as_slice()),
        (StatusCode::OK, &"b".parse().unwrap(), &b"{}"[..])
    );
    assert!(before <= got.sent_at && got.sent_at <= Timestamp::now());
    let text = String::from_utf8(server.received.await.unwrap()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /token?a=b HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.address);
    assert_eq!(
        lines,
        [
            "accept: application/json",
            "connection: close",
            "content-length: 15",
            "content-type: application/x-www-form-urlencoded",
            host.as_str(),
            concat!("user-agent: oauth-operator/", env!("CARGO_PKG_VERSION"))
        ]
    );
    assert_eq!(body, "refresh_token=r");
}

#[tokio::test]
async fn a_closed_fence_lets_nothing_out() {
    let server = serve(reply("200 OK", "{}")).await;
    let url = format!("http://{}/", server.address);
    let connection = transport(config(&["127.0.0.0/8"])).connect(&target(&url)).await.unwrap();
    let failure = connection.send(request(&url), |_| false).await.unwrap_err();
    assert_eq!((failure.clone(), failure.spent()), (Failure::FenceClosed, Spent::No));
    assert_eq!(server.received.await.unwrap(), b"", "not one byte");
}

#[tokio::test]
async fn the_fence_is_asked_once_with_the_present_time() {
    let server = serve(reply("200 OK", "{}")).await;
    let url = format!("http://{}/", server.address);
    let connection = transport(config(&["127.0.0.0/8"])).connect(&target(&url)).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    let before = Moment::now();
    let fence = move |now| {
        record.lock().unwrap().push(now);
        true
    };
    let got = connection.send(request(&url), fence).await.unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.iter().map(|moment: &Moment| moment.wall).collect::<Vec<_>>(), [got.sent_at]);
    assert!(before.boot <= asked[0].boot && asked[0].boot <= Moment::now().boot);
}

#[tokio::test]
async fn cuts() {
    // Closed before a byte was sent, and seen to be.
    let server = serve(None).await;
    let url = format!("http://{}/", server.address);
    let connection = transport(config(&["127.0.0.0/8"])).connect(&target(&url)).await.unwrap();
    server.received.await.unwrap();
    let failure = connection.send(request(&url), |_| true).await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent(NotSent::Cut) | Failure::Cut), "{failure:?}");
    // Closed after the request, without a word, or in the middle of one.
    for answer in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let server = serve(Some(answer.into())).await;
        let failure = exchange(&server).await.unwrap_err();
        assert_eq!((failure.clone(), failure.spent()), (Failure::Cut, Spent::Unknown), "{answer:?}");
        server.received.await.unwrap();
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "no second attempt");
    }
}

#[tokio::test]
async fn bodies_that_are_not_whole() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", Failure::Truncated),
        ("HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\n{}", Failure::Truncated),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Failure::Truncated),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Failure::Truncated),
        ("ICY 200 OK\r\n\r\n", Failure::NotHttp),
        ("HTTP/1.1 2000 OK\r\n\r\n", Failure::NotHttp),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", Failure::NotHttp),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", Failure::NotHttp),
    ] {
        let failure = exchange(&serve(Some(answer.into())).await).await.unwrap_err();
        assert_eq!((failure.clone(), failure.spent()), (expected, Spent::Unknown), "{answer:?}");
    }
    for status in [302, 401, 429, 503] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 9\r\n\r\n{{}}");
        let got = exchange(&serve(Some(answer.into())).await).await.unwrap();
        assert_eq!((got.status.as_u16(), got.body.len()), (status, 0), "the status says enough");
    }
    let got = exchange(&serve(Some("HTTP/1.0 200 OK\r\n\r\n{}".into())).await).await.unwrap();
    assert_eq!(got.body.as_slice(), b"{}", "a reply may end with its connection");
}

#[tokio::test]
async fn replies_are_capped() {
    let fits = "x".repeat(MAX_BODY);
    let got = exchange(&serve(reply("200 OK", &fits)).await).await.unwrap();
    assert_eq!(got.body.len(), MAX_BODY);
    let larger = "x".repeat(MAX_BODY + 1);
    assert_eq!(exchange(&serve(reply("200 OK", &larger)).await).await.unwrap_err(), Failure::Oversized);
    let undeclared = format!("HTTP/1.1 200 OK\r\n\r\n{larger}");
    assert_eq!(exchange(&serve(Some(undeclared.into())).await).await.unwrap_err(), Failure::Oversized);
    let head = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "x".repeat(200_000));
    assert_eq!(exchange(&serve(Some(head.into())).await).await.unwrap_err(), Failure::Oversized);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(200));
    assert_eq!(exchange(&serve(Some(many.into())).await).await.unwrap_err(), Failure::Oversized);
}

#[tokio::test]
async fn slow_replies() {
    for answer in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"] {
        let failure = exchange(&serve_with(Some(answer.into()), true).await).await.unwrap_err();
        assert_eq!((failure.clone(), failure.spent()), (Failure::TimedOut, Spent::Unknown), "{answer:?}");
    }
}

/// The reply came in time, while nobody here could look.
#[tokio::test]
async fn a_process_that_stood_still_past_its_time_out_reads_what_has_come() {
    let (arrived, arrival) = std::sync::mpsc::channel();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"refresh_token=r") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            got.extend(byte);
        }
        arrived.send(()).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    });
    let url = format!("http://{address}/token");
    let transport = transport(config(&["127.0.0.0/8"]));
    let connection = transport.connect(&target(&url)).await.unwrap();
    // On this runtime's one thread nothing else happens meanwhile.
    let standstill = async {
        while arrival.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        std::thread::sleep(Duration::from_millis(1600));
    };
    let (reply, ()) = tokio::join!(connection.send(request(&url), |_| true), standstill);
    assert_eq!(reply.unwrap().body.as_slice(), b"{}");
    server.join().unwrap();
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = serve(reply("200 OK", "{}")).await;
    let server = serve(reply(&format!("307 X\r\nLocation: http://{}/", elsewhere.address), "")).await;
    assert_eq!(exchange(&server).await.unwrap().status.as_u16(), 307);
    server.received.await.unwrap();
    assert_eq!((server.connections.load(Ordering::SeqCst), elsewhere.connections.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_connection_serves_its_own_origin_only() {
    let server = serve(reply("200 OK", "{}")).await;
    let url = format!("http://{}/", server.address);
    let connection = transport(config(&["127.0.0.0/8"])).connect(&target(&url)).await.unwrap();
    let failure = connection.send(request("http://other.example/"), |_| true).await.unwrap_err();
    assert_eq!(failure, Failure::Egress(EgressDenial::OtherOrigin));
    assert_eq!(server.received.await.unwrap(), b"");
}

#[tokio::test]
async fn addresses_are_judged_where_they_are_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let resolver = names(&[
        ("internal.example", &["127.0.0.1"]),
        ("mixed.example", &["169.254.169.254", "::ffff:169.254.169.254", "127.0.0.1"]),
        ("metadata.example", &["169.254.169.254"]),
        ("both.example", &["169.254.169.254", "10.0.0.1"]),
    ]);
    let with = |allow: &[&str]| Transport::with_resolver(config(allow), Arc::<Names>::clone(&resolver)).unwrap();
    let (none, open) = (with(&[]), with(&["127.0.0.0/8"]));
    let named = with(&["internal.example", "metadata.example"]);
    for (transport, host, expected) in [
        (&none, "internal.example", Some(Failure::Egress(EgressDenial::Internal))),
        (&none, "127.0.0.1", Some(Failure::Egress(EgressDenial::Internal))),
        (&none, "[::ffff:127.0.0.1]", Some(Failure::Egress(EgressDenial::Internal))),
        (&open, "metadata.example", Some(Failure::Egress(EgressDenial::Never))),
        (&named, "metadata.example", Some(Failure::Egress(EgressDenial::Never))),
        (&open, "both.example", Some(Failure::Egress(EgressDenial::Internal))),
        (&open, "nowhere.example", Some(Failure::NotSent(NotSent::Resolve))),
        (&open, "internal.example", None),
        (&open, "mixed.example", None),
        (&named, "internal.example", None),
    ] {
        let failure = transport.connect(&target(&format!("http://{host}:{port}/"))).await.err();
        assert_eq!(failure, expected, "{host}");
        assert!(failure.is_none_or(|failure| failure.spent() == Spent::No));
    }
    let allowed = Target {
        allowed_addresses: vec!["127.0.0.1/32".parse().unwrap()],
        ..target(&format!("http://127.0.0.1:{port}/"))
    };
    assert!(none.connect(&allowed).await.is_ok());
}

#[tokio::test]
async fn several_addresses_are_tried() {
    let server = serve(reply("200 OK", "{}")).await;
    let port = server.address.port();
    // Nobody listens at the others.
    let resolver =
        names(&[("many.example", &["127.0.0.3", "127.0.0.2", "127.0.0.1"]), ("dead.example", &["127.0.0.2"])]);
    let transport = Transport::with_resolver(config(&["127.0.0.0/8"]), resolver).unwrap();
    assert!(transport.connect(&target(&format!("http://many.example:{port}/"))).await.is_ok());
    let failure = transport.connect(&target(&format!("http://dead.example:{port}/"))).await.unwrap_err();
    assert_eq!((failure.clone(), failure.spent()), (Failure::NotSent(NotSent::Connect), Spent::No));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let server = serve(reply("200 OK\r\nX-A: s3cr3t-canary", "s3cr3t-canary")).await;
    let url = format!("http://{}/?key=s3cr3t-canary", server.address);
    let transport = transport(config(&["127.0.0.0/8"]));
    let connection = transport.connect(&target(&url)).await.unwrap();
    let proxied = TransportConfig { proxy: Some("http://a:s3cr3t-canary@proxy/".parse().unwrap()), ..config(&[]) };
    let shown = format!("{transport:?} {connection:?} {proxied:?}");
    let got = connection.send(request(&url), |_| true).await.unwrap();
    assert!(!format!("{shown} {got:?}").contains("s3cr3t-canary"));
}

#[tokio::test]
async fn the_systems_resolver_reads_names() {
    let addresses = resolve::system().unwrap().resolve("localhost").await;
    assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
}
