//! A tunnel through the egress proxy (HTTP CONNECT, RFC 9110 section 9.3.6).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::Io;
use crate::oauth::failure::{Failure, NotSent};

/// A byte stream to `host`, through the proxy at the other end of `stream`.
pub(super) async fn tunnel(
    stream: TcpStream,
    proxy: &Url,
    host: &Host<&str>,
    port: u16,
) -> Result<Box<dyn Io>, Failure> {
    let refused = || Failure::NotSent(NotSent::Proxy);
    let authority = format!("{host}:{port}");
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&authority)
        .header(header::HOST, &authority)
        .body(Empty::<Bytes>::new())
        .map_err(|_| refused())?;
    if let Some(credentials) = credentials(proxy) {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials);
    }
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| refused())?;
    // It ends when the tunnel is handed over, or when both ends of it are gone.
    tokio::spawn(connection.with_upgrades());
    let reply = sender.send_request(request).await.map_err(|_| refused())?;
    if !reply.status().is_success() {
        return Err(refused());
    }
    Ok(Box::new(TokioIo::new(hyper::upgrade::on(reply).await.map_err(|_| refused())?)))
}

fn credentials(proxy: &Url) -> Option<HeaderValue> {
    if proxy.username().is_empty() && proxy.password().is_none() {
        return None;
    }
    let decoded = |text: &str| {
        let pair = format!("={}", text.replace('+', "%2B"));
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    let pair =
        Zeroizing::new(format!("{}:{}", decoded(proxy.username())?, decoded(proxy.password().unwrap_or_default())?));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes()))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
