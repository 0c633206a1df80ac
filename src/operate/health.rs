//! The server of /healthz, /readyz and /metrics, and the list of what the process isn't ready for.
//!
//! Who is ready for what is said by others, through `Readiness`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use subtle::ConstantTimeEq;
use tokio::{net::TcpListener, task::JoinHandle};
use zeroize::Zeroizing;

use super::{certificate::Certificate, metrics::Metrics, shutdown::Shutdown};

/// What the process isn't ready for, by item. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until each of these items is: (item, sentence). Name all at the start, or it is ready too early.
    pub fn awaiting(items: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(Arc::new(Mutex::new(items.into_iter().collect())))
    }

    /// Says what is missing, such as ("watch-secrets", "watch of secrets not yet synced"). Replaces what was said of this
    /// item before. Anyone may read it: no names or values of users.
    pub fn missing(&self, item: &'static str, sentence: impl Into<String>) {
        self.items().insert(item, sentence.into());
    }

    /// Nothing is missing of this item any more.
    pub fn ready(&self, item: &'static str) {
        self.items().remove(item);
    }

    /// The sentences; none when ready.
    pub fn list(&self) -> Vec<String> {
        self.items().values().cloned().collect()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        // A panic elsewhere leaves whole entries behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the pages are protected. By default they aren't.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    /// All of them are served by TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// /metrics demands the token that is in this file (RFC 6750). The file is read anew for each request.
    pub token_file: Option<PathBuf>,
}

/// Serves on `listener` until `stop`: the last thing to stop, as a process that still saves a reply must pass its probes.
pub fn serve(
    listener: TcpListener,
    protection: Protection,
    readiness: Readiness,
    metrics: Metrics,
    stop: Shutdown,
) -> JoinHandle<()> {
    let Protection { certificate, token_file } = protection;
    let pages = Pages { readiness, metrics, token_file };
    let answer = move |request: Request<Incoming>| {
        let (pages, head) = (pages.clone(), request.map(drop));
        async move {
            if head.uri().path() != "/metrics" {
                return pages.answer(&head);
            }
            // What tells of a hundred thousand credentials takes a while to write: not on the thread that refreshes.
            let written = tokio::task::spawn_blocking(move || pages.answer(&head)).await;
            written.unwrap_or_else(|_| page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "no metrics now\n".to_owned()))
        }
    };
    super::server::serve_as(listener, certificate, answer, stop)
}

const TEXT: &str = "text/plain; charset=utf-8";

/// What is served.
#[derive(Clone, Debug)]
struct Pages {
    readiness: Readiness,
    metrics: Metrics,
    token_file: Option<PathBuf>,
}

impl Pages {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            // Nothing is judged: to answer is to live. A probe that failed for an outage elsewhere would kill a process
            // that may hold an unsaved reply.
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.readiness.list() {
                missing if missing.is_empty() => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
                missing => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, missing.join("\n") + "\n"),
            },
            "/metrics" if !self.admits(request) => {
                let mut response = page(StatusCode::UNAUTHORIZED, TEXT, "a bearer token is needed\n".to_owned());
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            "/metrics" => page(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                self.metrics.encode(),
            ),
            _ => page(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
        }
    }
}

impl Pages {
    /// Whether the request bears the token, where one is needed. A file that can't be read, or is empty, admits nobody.
    fn admits<B>(&self, request: &Request<B>) -> bool {
        let Some(file) = &self.token_file else { return true };
        let token = std::fs::read(file).map(Zeroizing::new);
        let Ok(token) = token.inspect_err(|error| tracing::warn!(%error, "--metrics-token-file can't be read")) else {
            return false;
        };
        let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let given = given.strip_prefix(b"Bearer ").or_else(|| given.strip_prefix(b"bearer ")).unwrap_or_default();
        let token = token.trim_ascii();
        !token.is_empty() && bool::from(token.ct_eq(given))
    }
}

fn page(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    /// The whole reply to `request` from a server that isn't ready for one thing.
    async fn ask(request: &str) -> String {
        ask_of(Protection::default(), request).await
    }

    async fn ask_of(protection: Protection, request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, stop) = Shutdown::by_hand();
        let readiness = Readiness::awaiting([
            ("crd", "CRD oauthcredentials.oauth-operator.dev not found".to_owned()),
            ("watch-secrets", "watch of secrets not yet synced".to_owned()),
        ]);
        readiness.ready("crd");
        let server = serve(listener, protection, readiness, Metrics::new("1.2.3"), stop);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        trigger.request();
        server.await.unwrap();
        reply
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn alive_though_not_ready() {
        assert!(ask(&get("/healthz")).await.starts_with("HTTP/1.1 200 "));
        let ready = ask(&get("/readyz")).await;
        assert!(
            ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("\r\n\r\nwatch of secrets not yet synced\n"),
            "{ready}"
        );
    }

    #[tokio::test]
    async fn serves_metrics() {
        let reply = ask(&get("/metrics")).await;
        assert!(
            reply.contains("oauth_operator_build_info{version=\"1.2.3\"} 1") && reply.ends_with("# EOF\n"),
            "{reply}"
        );
    }

    #[tokio::test]
    async fn metrics_are_for_those_with_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let protection = Protection { token_file: Some(file.clone()), ..Protection::default() };
        let status = async |path: &str, authorization: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}\r\n");
            ask_of(protection.clone(), &request).await[9..12].to_owned()
        };
        assert_eq!(status("/metrics", "authorization: Bearer \r\n").await, "401", "there is no file");
        std::fs::write(&file, "first\n").unwrap();
        assert_eq!(status("/metrics", "authorization: Bearer first\r\n").await, "200");
        for wrong in
            ["", "authorization: Bearer firs\r\n", "authorization: Basic first\r\n", "authorization: first\r\n"]
        {
            assert_eq!(status("/metrics", wrong).await, "401", "{wrong}");
        }
        assert_eq!(status("/healthz", "").await, "200", "probes have no token");
        std::fs::write(&file, "second").unwrap();
        assert_eq!(status("/metrics", "authorization: Bearer first\r\n").await, "401");
        assert_eq!(status("/metrics", "authorization: Bearer second\r\n").await, "200");
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(status("/metrics", "authorization: Bearer \r\n").await, "401", "an empty token is none");
    }

    /// The status line that somebody gets who trusts this certificate alone.
    async fn ask_by_tls(
        address: std::net::SocketAddr,
        trusted: &rcgen::CertifiedKey<rcgen::KeyPair>,
    ) -> Option<String> {
        let roots = crate::oauth::tls::Roots::parse(trusted.cert.pem().as_bytes()).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(roots.config().unwrap());
        let mut stream = connector.connect("operator.test".try_into().unwrap(), stream).await.ok()?;
        stream.write_all(get("/healthz").as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.ok()?;
        reply.lines().next().map(str::to_owned)
    }

    #[tokio::test]
    async fn a_certificate_is_replaced_without_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (chain, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
        let issue = || rcgen::generate_simple_self_signed(vec!["operator.test".to_owned()]).unwrap();
        let write = |issued: &rcgen::CertifiedKey<rcgen::KeyPair>| {
            std::fs::write(&chain, issued.cert.pem()).unwrap();
            std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        };
        let (first, second) = (issue(), issue());
        write(&first);
        let certificate = Some(Arc::new(Certificate::read(chain.clone(), key.clone()).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_trigger, stop) = Shutdown::by_hand();
        let protection = Protection { certificate, ..Protection::default() };
        serve(listener, protection, Readiness::default(), Metrics::new("1.2.3"), stop);
        let good = Some("HTTP/1.1 200 OK".to_owned());
        assert_eq!(ask_by_tls(address, &first).await, good);
        // One file is replaced, and the other not yet.
        std::fs::write(&chain, second.cert.pem()).unwrap();
        assert_eq!(ask_by_tls(address, &first).await, good);
        write(&second);
        assert_eq!(ask_by_tls(address, &second).await, good);
        assert_eq!(ask_by_tls(address, &first).await, None);
        // What was there is used on.
        std::fs::remove_file(&key).unwrap();
        assert_eq!(ask_by_tls(address, &second).await, good);
        let sentence = Certificate::read(chain, key).unwrap_err().to_string();
        assert!(sentence.contains("tls.key can't be read"), "{sentence}");
    }

    #[tokio::test]
    async fn refuses_the_rest() {
        assert!(ask(&get("/debug")).await.starts_with("HTTP/1.1 404 "));
        assert!(
            ask("POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 405 ")
        );
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(64));
        assert!(ask(&long).await.starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn ready_when_nothing_is_missing() {
        let readiness = Readiness::awaiting([("crd", "no CRD".to_owned())]);
        readiness.missing("crd", "still no CRD");
        assert_eq!(readiness.list(), ["still no CRD"]);
        readiness.ready("crd");
        assert!(readiness.clone().list().is_empty());
    }
}
