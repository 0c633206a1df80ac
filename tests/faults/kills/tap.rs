//! A proxy before the token server: it shows each request and each reply, and holds them up a little, so that at any moment
//! some are on their way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::Rng;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use url::form_urlencoded;

use super::watch::sha256;

/// Sees every token request pass by. The refresh token is told by its SHA-256. False: it gets no further.
pub trait Watcher: Send + Sync + 'static {
    fn request(&self, token: &str) -> bool;
    fn reply(&self, token: &str) -> bool;
    /// The longest that each is held up.
    fn delay(&self) -> Duration;
}

pub struct Tap {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Tap {
    pub async fn start(token_url: String, watcher: Arc<dyn Watcher>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // A connection each: one that the server closes while idle would fail a request of the operator's.
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                stream.set_nodelay(true).unwrap();
                let (url, watcher, client) = (token_url.clone(), watcher.clone(), client.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        // Of its own: a client that dies doesn't take back what it has sent.
                        let passing = tokio::spawn(pass(request, url.clone(), watcher.clone(), client.clone()));
                        async { passing.await.map_err(std::io::Error::other)? }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/token", self.address)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An error here breaks the connection.
async fn pass(
    request: Request<Incoming>,
    url: String,
    watcher: Arc<dyn Watcher>,
    client: reqwest::Client,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let broken = || std::io::Error::other("broken on purpose");
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let field = form_urlencoded::parse(&body).find(|(name, _)| name == "refresh_token");
    let token = sha256(&field.unwrap().1);
    hold_up(watcher.delay()).await;
    if !watcher.request(&token) {
        return Err(broken());
    }
    let content_type = head.headers[header::CONTENT_TYPE].clone();
    let sent = client.post(url).header(header::CONTENT_TYPE, content_type).body(body).send().await;
    let reply = sent.map_err(std::io::Error::other)?;
    let mut answer = Response::builder().status(reply.status());
    if let Some(content_type) = reply.headers().get(header::CONTENT_TYPE) {
        answer = answer.header(header::CONTENT_TYPE, content_type);
    }
    let body = reply.bytes().await.map_err(std::io::Error::other)?;
    if !watcher.reply(&token) {
        return Err(broken());
    }
    hold_up(watcher.delay()).await;
    Ok(answer.body(Full::from(body)).unwrap())
}

async fn hold_up(longest: Duration) {
    if !longest.is_zero() {
        // The pause is the point: some exchange is to be under way at any moment.
        let share: f64 = rand::rng().random();
        tokio::time::sleep(longest.mul_f64(share)).await;
    }
}
