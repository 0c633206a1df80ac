//! A proxy before the API server, for one operator: it passes everything on, but for the writes that a test wants spoilt.
//! It knows the four writes of a refresh and whose they are; a stalled one tells the test, which may then kill or stop the
//! operator exactly there. What befalls watches and lists is in `watches`.

mod watches;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::Cluster;
pub use watches::Gone;
use watches::Watches;

/// The writes of a single-use refresh, in their order, that of a changed output, and the read that settles one in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Intent,
    /// The state without an intent: what was received is saved.
    State,
    Output,
    Status,
    /// An output that the spec doesn't want any more is deleted.
    Removal,
    /// The state Secret is read.
    ReadBack,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The API server never sees it; this is the answer.
    Answer(u16),
    /// The connection breaks before the API server sees it.
    ResetBefore,
    /// It takes effect, and the connection breaks instead of the answer.
    ResetAfter,
    /// It is kept until `Proxy::release`, before the API server sees it or after it took effect: `Proxy::caught` returns.
    StallBefore,
    StallAfter,
}

struct Rule {
    credential: String,
    write: Write,
    fault: Fault,
}

/// Sees every write of a refresh pass by.
pub trait Watcher: Send + Sync {
    /// It has come, and the API server hasn't seen it. False: the API server never will, and the connection breaks.
    fn before(&self, credential: &str, write: Write, body: &[u8]) -> bool;
    /// The API server has answered with this status, and the operator hasn't seen it. False: it never will.
    fn after(&self, credential: &str, write: Write, body: &[u8], status: u16) -> bool;
}

#[derive(Default)]
struct Shared {
    watcher: Option<Arc<dyn Watcher>>,
    rules: Mutex<Vec<Rule>>,
    caught: Notify,
    released: watch::Sender<bool>,
    watches: Watches,
}

/// A running proxy. It ends when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;
type Answer = Response<Body>;

impl Proxy {
    pub async fn start(cluster: &Cluster) -> Self {
        Self::serving(cluster, Shared::default()).await
    }

    /// A proxy that shows everything to `watcher`.
    pub async fn watched(cluster: &Cluster, watcher: Arc<dyn Watcher>) -> Self {
        Self::serving(cluster, Shared { watcher: Some(watcher), ..Shared::default() }).await
    }

    async fn serving(cluster: &Cluster, shared: Shared) -> Self {
        let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig()).unwrap();
        let target = kubeconfig.clusters[0].cluster.clone().unwrap();
        let ca = base64_decoded(target.certificate_authority_data.as_deref().unwrap());
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(&ca).unwrap())
            .build()
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(shared);
        let task = tokio::spawn(serve(listener, shared.clone(), client, target.server.unwrap()));
        Self { shared, address, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spoils the next such write of this credential.
    pub fn spoil(&self, credential: &str, write: Write, fault: Fault) {
        self.shared.rules().push(Rule { credential: credential.to_owned(), write, fault });
    }

    /// Returns once a write is stalled.
    pub async fn caught(&self) {
        self.shared.caught.notified().await;
    }

    /// Lets go on what is stalled, and what will be.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// How many faults were not asked for yet.
    pub fn left(&self) -> usize {
        self.shared.rules().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn stall(&self) {
        self.caught.notify_one();
        // The sender lives as long as self.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }

    fn fault(&self, seen: &Option<(String, Write)>) -> Option<Fault> {
        let (credential, write) = seen.as_ref()?;
        let mut rules = self.rules();
        let at = rules.iter().position(|rule| rule.credential == *credential && rule.write == *write)?;
        Some(rules.remove(at).fault)
    }
}

/// Whose write this is, if it is one of those.
fn classify(method: &Method, path: &str, body: &[u8]) -> Option<(String, Write)> {
    let last = path.rsplit('/').next()?;
    if *method == Method::PATCH && path.contains("/oauthcredentials/") && last == "status" {
        return Some((path.rsplit('/').nth(1)?.to_owned(), Write::Status));
    }
    if *method == Method::GET && path.contains("/secrets/") {
        return Some((last.strip_suffix("-oauth-state")?.to_owned(), Write::ReadBack));
    }
    if *method == Method::DELETE && path.contains("/secrets/") {
        return Some((last.strip_suffix("-token")?.to_owned(), Write::Removal));
    }
    if *method == Method::PATCH && path.contains("/secrets/") {
        return Some((last.strip_suffix("-token")?.to_owned(), Write::Output));
    }
    if (*method == Method::POST || *method == Method::PUT) && path.contains("/secrets") {
        let object: Value = serde_json::from_slice(body).ok()?;
        let credential = object["metadata"]["name"].as_str()?.strip_suffix("-oauth-state")?.to_owned();
        let intended = object["metadata"]["annotations"]["oauth-operator.dev/attempt"].is_string();
        return Some((credential, if intended { Write::Intent } else { Write::State }));
    }
    None
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, client: reqwest::Client, server: String) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // As an API server does: an answer in two pieces would else wait for 40 ms.
        stream.set_nodelay(true).unwrap();
        let (shared, client, server) = (shared.clone(), client.clone(), server.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answered = answer(request, shared.clone(), client.clone(), server.clone());
                let watched = shared.watcher.is_some();
                async move {
                    // What was on its way when its sender died takes effect all the same, and is seen to.
                    if watched { tokio::spawn(answered).await.map_err(std::io::Error::other)? } else { answered.await }
                }
            });
            // A connection that breaks is what the faults are about.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error here breaks the connection.
async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    client: reqwest::Client,
    server: String,
) -> Result<Answer, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let reads = watches::Read::of(&head.method, &head.uri);
    if let Some(answer) = shared.watches.answer_itself(reads.as_ref())? {
        return Ok(answer);
    }
    let seen = classify(&head.method, head.uri.path(), &body);
    let watched = shared.watcher.as_ref().zip(seen.as_ref());
    let fault = shared.fault(&seen);
    if watched.is_some_and(|(watcher, (credential, write))| !watcher.before(credential, *write, &body)) {
        return Err(broken());
    }
    match fault {
        Some(Fault::Answer(status)) => return Ok(refusal(status)),
        Some(Fault::ResetBefore) => return Err(broken()),
        Some(Fault::StallBefore) => shared.stall().await,
        Some(Fault::ResetAfter | Fault::StallAfter) | None => {}
    }
    let mut headers: HeaderMap = head.headers;
    for own in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
        headers.remove(own);
    }
    let sent = client.request(head.method, format!("{server}{}", head.uri)).headers(headers).body(body.clone());
    let sent = shared.watches.unless_absent(sent.send()).await?;
    let response = Response::<reqwest::Body>::from(sent.map_err(std::io::Error::other)?);
    let status = response.status().as_u16();
    if watched.is_some_and(|(watcher, (credential, write))| !watcher.after(credential, *write, &body, status)) {
        return Err(broken());
    }
    let response = response.map(|body| body.map_err(std::io::Error::other).boxed_unsync());
    match fault {
        Some(Fault::ResetAfter) => return Err(broken()),
        Some(Fault::StallAfter) => shared.stall().await,
        _ => {}
    }
    match reads {
        Some(read) => shared.watches.pass_on(read, response).await,
        None => Ok(response),
    }
}

fn broken() -> std::io::Error {
    std::io::Error::other("broken on purpose")
}

/// A metav1.Status, as the API server would answer.
fn refusal(status: u16) -> Answer {
    let reason = match status {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused on purpose", "reason": reason, "code": status,
    });
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header(header::CONTENT_TYPE, "application/json")
        .body(whole(body.to_string()))
        .unwrap()
}

fn whole(body: impl Into<Bytes>) -> Body {
    Full::from(body.into()).map_err(|never| match never {}).boxed_unsync()
}

fn base64_decoded(text: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode(text).unwrap()
}
