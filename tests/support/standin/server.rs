//! Carries requests from the wire to the provider's rules and back, and lets a fault come between.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::faults::{Fault, Pieces, Symptom};
use super::ledger::Ledger;
use super::record::Recorded;
use super::reply::Reply;
use super::wire::{Seen, Socket, Tap};
use super::{Config, hover, partner, shaped};

/// A token request is a few hundred bytes.
const BODY_LIMIT: usize = 1 << 20;

pub struct Shared {
    state: Mutex<State>,
    /// How many requests have come so far.
    pub arrivals: watch::Sender<usize>,
}

pub struct State {
    pub config: Config,
    pub ledger: Ledger,
    pub requests: Vec<Recorded>,
    pub faults: VecDeque<Fault>,
    pub latency: Duration,
    /// Requests that have come and are not answered yet, and the most there ever were.
    pub open: usize,
    pub most_open: usize,
}

impl Config {
    pub fn token_path(&self) -> &'static str {
        match self {
            Self::Hover(_) => hover::TOKEN_PATH,
            Self::Partner(_) => partner::TOKEN_PATH,
            Self::Shaped(_) => shaped::TOKEN_PATH,
        }
    }
}

impl Shared {
    pub fn new(config: Config) -> Self {
        let state = State {
            config,
            ledger: Ledger::default(),
            requests: Vec::new(),
            faults: VecDeque::new(),
            latency: Duration::ZERO,
            open: 0,
            most_open: 0,
        };
        Self { state: Mutex::new(state), arrivals: watch::Sender::new(0) }
    }

    /// A test that panicked in between leaves nothing half-done here.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the request, and says what is to befall it.
    fn arrive(&self, request: &Recorded) -> Fate {
        let mut state = self.state();
        let faulty = request.path == state.config.token_path();
        let fate = Fate {
            serial: state.requests.len(),
            latency: state.latency,
            fault: if faulty { state.faults.pop_front() } else { None },
        };
        state.requests.push(request.clone());
        state.open += 1;
        state.most_open = state.most_open.max(state.open);
        self.arrivals.send_replace(state.requests.len());
        fate
    }

    /// One lock from the first check to the last token issued: of two requests with one token, one wins.
    fn answer(&self, serial: usize, request: &Recorded) -> Reply {
        let State { config, ledger, requests, .. } = &mut *self.state();
        let verdict = match config {
            Config::Hover(hover) => hover::answer(hover, ledger, request),
            Config::Partner(partner) => partner::answer(partner, ledger, request),
            Config::Shaped(shaped) => shaped::answer(shaped, ledger, request),
        };
        verdict.unwrap_or_else(|refused| {
            requests[serial].refused = Some(refused.why);
            refused.reply
        })
    }
}

/// A request that is not answered yet.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state().open -= 1;
    }
}

struct Fate {
    /// Its place in `State::requests`.
    serial: usize,
    latency: Duration,
    fault: Option<Fault>,
}

/// Ends with the task: all connections go with it.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) -> io::Result<()> {
    // So that a slow body's bytes leave one by one.
    stream.set_nodelay(true)?;
    // Declared before the stream is moved on, so dropped after it: the last handle's end is the connection's.
    let socket = Arc::new(Socket::of(&stream)?);
    match tls {
        Some(acceptor) => serve(acceptor.accept(stream).await?, &socket, &shared).await,
        None => serve(stream, &socket, &shared).await,
    }
    Ok(())
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, socket: &Arc<Socket>, shared: &Arc<Shared>) {
    let seen = Seen::default();
    let service = service_fn(|request| handle(request, seen.clone(), Arc::clone(socket), Arc::clone(shared)));
    let tap = TokioIo::new(Tap::new(stream, seen.clone()));
    // An error is a client that went away, bytes that are no HTTP, or a fault at work: nothing to report in any case.
    drop(http1::Builder::new().serve_connection(tap, service).await);
}

/// An error ends the connection with no reply.
async fn handle(
    request: Request<Incoming>,
    seen: Seen,
    socket: Arc<Socket>,
    shared: Arc<Shared>,
) -> io::Result<Response<Pieces>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(io::Error::other)?.to_bytes();
    let request = Recorded::new(&head.method, &head.uri, &seen.take(), body);
    let fate = shared.arrive(&request);
    let _open = Open(Arc::clone(&shared));
    if !fate.latency.is_zero() {
        tokio::time::sleep(fate.latency).await;
    }
    match fate.fault {
        None => Ok(respond(shared.answer(fate.serial, &request), Pieces::whole)),
        Some(Fault::Before(symptom)) => show(symptom, &socket).await,
        Some(Fault::After(symptom)) => {
            shared.answer(fate.serial, &request);
            show(symptom, &socket).await
        }
        Some(Fault::Reply(delivery)) => {
            let reply = shared.answer(fate.serial, &request);
            Ok(respond(reply, |body| Pieces::delivered(body, delivery)))
        }
    }
}

async fn show(symptom: Symptom, socket: &Socket) -> io::Result<Response<Pieces>> {
    match symptom {
        // Until the client hangs up: then hyper drops this future.
        Symptom::Hang => std::future::pending().await,
        Symptom::SlowHead(pause) => loop {
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain(&[b'a'; 100]) {
                socket.write(*byte).await?;
                tokio::time::sleep(pause).await;
            }
        },
        Symptom::Close => Err(io::Error::other("closed on purpose")),
        Symptom::Reset => {
            socket.reset_when_dropped()?;
            Err(io::Error::other("reset on purpose"))
        }
        Symptom::Answer(reply) => Ok(respond(reply, Pieces::whole)),
    }
}

fn respond(reply: Reply, body: impl FnOnce(String) -> Pieces) -> Response<Pieces> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(body(reply.body)).expect("a test's status and headers are well-formed")
}
