//! One request and its reply over one connection, which is closed afterwards.

use std::{fmt, pin::pin, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::time::{Instant, error::Elapsed, timeout_at};
use url::{Origin, Position};
use zeroize::Zeroizing;

use super::{
    Io,
    gate::{Gate, Passage, Unsent},
    tls_failure,
};
use crate::{
    clock::Moment,
    oauth::{
        egress::EgressDenial,
        encode::EncodedRequest,
        failure::{Failure, NotSent},
        request::EncodeError,
    },
};

/// The largest body of a reply, in bytes, whatever its declared length.
pub const MAX_BODY: usize = 64 * 1024;
/// The largest head of a reply, in bytes.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// A time-out that is noticed later than this was slept through: the process stood still.
const NOTICED_LATE: Duration = Duration::from_secs(1);
/// What arrived meanwhile is read, if that takes no longer than this.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// A connection over which nothing of a request has been sent.
pub struct Connection {
    io: Box<dyn Io>,
    origin: Origin,
    request_timeout: Duration,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.origin.ascii_serialization();
        formatter.debug_struct("Connection").field("origin", &origin).finish_non_exhaustive()
    }
}

/// A whole reply, not yet read. `Debug` shows its status only.
#[derive(Clone)]
pub struct RawReply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// At most `MAX_BODY`. Empty where the body broke off and the status says enough by itself (3xx, 401, 429, 5xx).
    pub body: Zeroizing<Vec<u8>>,
    /// When the request's first byte left, by the wall clock: lifetimes count from there.
    pub sent_at: Timestamp,
    /// From the last look at the clocks to the first bytes' being handed to the kernel: a pause of the machine there is one that
    /// no fence sees.
    pub fence_to_send: Duration,
}

impl fmt::Debug for RawReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RawReply").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(io: Box<dyn Io>, origin: Origin, request_timeout: Duration) -> Self {
        Self { io, origin, request_timeout }
    }

    /// Sends one request, once, and reads the reply. Just before the first byte leaves, `fence` is asked with the time
    /// on both clocks; when it says no, nothing leaves. Dropping the future closes the connection.
    ///
    /// # Errors
    /// `FenceClosed` and `NotSent`: not one byte of the request left. Everything else: some did.
    pub async fn send(
        self,
        request: EncodedRequest,
        fence: impl Fn(Moment) -> bool + Send + 'static,
    ) -> Result<RawReply, Failure> {
        if request.url.origin() != self.origin {
            return Err(EgressDenial::OtherOrigin.into());
        }
        let request = wire_request(request)?;
        let mut deadline = Deadline { at: Instant::now() + self.request_timeout, extended: false };
        let (gate, passage) = Gate::new(self.io, fence);
        let exchange = async {
            let mut builder = http1::Builder::new();
            let handshake = builder.max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS).handshake(TokioIo::new(gate));
            let (mut sender, connection) = handshake.await?;
            // Closes the connection however this function ends.
            let driver = AbortOnDrop(tokio::spawn(async move {
                // What goes wrong here is what the request fails with.
                let _ = connection.await;
            }));
            Ok((sender.send_request(request).await?, driver, sender))
        };
        let (reply, _driver, _sender) = match deadline.hold(exchange).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => return Err(no_reply(&passage, &error)),
            Err(_) => return Err(unless_unsent(&passage, NotSent::TimedOut, Failure::TimedOut)),
        };
        // A reply without a request is not one to believe.
        let sent = passage.settle().map_err(|_| Failure::NotSent(NotSent::Cut))?;
        let (head, body) = reply.into_parts();
        let body = match deadline.hold(read_body(body)).await.unwrap_or(Err(Failure::TimedOut)) {
            Err(_) if is_told_by_status(head.status) => Zeroizing::default(),
            read => read?,
        };
        let (sent_at, fence_to_send) = (sent.at, sent.took);
        Ok(RawReply { status: head.status, headers: head.headers, body, sent_at, fence_to_send })
    }
}

/// The end of the time for a whole exchange.
struct Deadline {
    at: Instant,
    extended: bool,
}

impl Deadline {
    /// Waits no longer than until the deadline. A process that stood still past it may have the reply in its socket: once, it
    /// takes a last look.
    async fn hold<T>(&mut self, what: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut what = pin!(what);
        match timeout_at(self.at, &mut what).await {
            Err(_) if !self.extended && self.at.elapsed() > NOTICED_LATE => {
                *self = Self { at: Instant::now() + LAST_LOOK, extended: true };
                timeout_at(self.at, what).await
            }
            ended => ended,
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The request as HTTP/1.1 has it: origin form, with Host.
fn wire_request(request: EncodedRequest) -> Result<Request<Full<Bytes>>, Failure> {
    let url = &request.url;
    let unencodable = |_| Failure::Unencodable(EncodeError::Body);
    let uri = Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]).map_err(unencodable)?;
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
        .map_err(|_| Failure::Unencodable(EncodeError::Body))?;
    let mut wire = Request::new(Full::new(request.body));
    *wire.method_mut() = request.method;
    *wire.uri_mut() = uri;
    *wire.headers_mut() = request.headers;
    wire.headers_mut().insert(header::HOST, host);
    wire.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(wire)
}

fn no_reply(passage: &Passage, error: &hyper::Error) -> Failure {
    if refuses_client(error) {
        return Failure::ClientCertificate;
    }
    let sent = match error {
        error if error.is_parse_too_large() => Failure::Oversized,
        error if error.is_parse() || error.is_parse_version_h2() => Failure::NotHttp,
        _ => Failure::Cut,
    };
    unless_unsent(passage, NotSent::Cut, sent)
}

fn refuses_client(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| tls_failure(io) == Failure::ClientCertificate)
}

fn unless_unsent(passage: &Passage, unsent: NotSent, sent: Failure) -> Failure {
    match passage.settle() {
        Ok(_) => sent,
        Err(Unsent::Refused) => Failure::FenceClosed,
        Err(Unsent::Abandoned) => Failure::NotSent(unsent),
    }
}

/// The room for the body is made once, so that no copy of it is left behind.
async fn read_body(mut body: Incoming) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut read = Zeroizing::new(Vec::with_capacity(MAX_BODY));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Truncated)?;
        let Some(data) = frame.data_ref() else { continue };
        if read.len() + data.len() > MAX_BODY {
            return Err(Failure::Oversized);
        }
        read.extend_from_slice(data);
    }
    Ok(read)
}

fn is_told_by_status(status: StatusCode) -> bool {
    status.is_redirection() || status.is_server_error() || matches!(status.as_u16(), 401 | 429)
}
