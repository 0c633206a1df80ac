//! The server of /healthz, /readyz and /metrics, and the list of what the process isn't ready for.
//!
//! Who is ready for what is said by others, through `Readiness`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{metrics::Metrics, shutdown::Shutdown};

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

/// Serves on `listener` until `stop`: the last thing to stop, as a process that still saves a reply must pass its probes.
pub fn serve(listener: TcpListener, readiness: Readiness, metrics: Metrics, stop: Shutdown) -> JoinHandle<()> {
    let pages = Pages { readiness, metrics };
    let answer =
        move |request: Request<Incoming>| std::future::ready(pages.answer(request.method(), request.uri().path()));
    super::server::serve(listener, answer, stop)
}

/// What is served.
#[derive(Clone, Debug)]
struct Pages {
    readiness: Readiness,
    metrics: Metrics,
}

impl Pages {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
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
            "/metrics" => page(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                self.metrics.encode(),
            ),
            _ => page(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
        }
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, stop) = Shutdown::by_hand();
        let readiness = Readiness::awaiting([
            ("crd", "CRD oauthcredentials.oauth-operator.dev not found".to_owned()),
            ("watch-secrets", "watch of secrets not yet synced".to_owned()),
        ]);
        readiness.ready("crd");
        let server = serve(listener, readiness, Metrics::new("1.2.3"), stop);
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
