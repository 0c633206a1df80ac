//! A token endpoint that answers whatever it is told to, byte for byte: one answer for each path, a good one by default.
//! Every bad one has the word `CANARY` in it wherever it can, which must turn up nowhere.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What no status, Event, log or metric may ever show.
pub const CANARY: &str = "c4nary";

/// A whole answer; None is a good one.
pub type Answer = Option<String>;

/// An answer with a body.
pub fn answer(status: &str, content_type: &str, body: &str) -> Answer {
    with_headers(status, &format!("content-type: {content_type}\r\n"), body)
}

/// An answer with further header lines.
pub fn with_headers(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\nx-request-id: {CANARY}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

/// RFC 6749 section 5.2.
pub fn error(status: &str, code: &str) -> Answer {
    let body = format!(r#"{{"error":"{code}","error_description":"{CANARY}","error_uri":"https://{CANARY}.example"}}"#);
    answer(status, "application/json", &body)
}

/// The running server. It ends when it is dropped.
pub struct Answers {
    address: SocketAddr,
    shared: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    arrivals: HashMap<String, Vec<Instant>>,
    received: String,
    issued: u32,
}

impl Answers {
    pub async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Mutex<State>>::default();
        let state = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        Self { address, shared, accepting }
    }

    /// The token endpoint at `/name`.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    pub fn set(&self, name: &str, answer: Answer) {
        self.state().answers.insert(format!("/{name}"), answer);
    }

    /// When each request for `/name` came.
    pub fn arrivals(&self, name: &str) -> Vec<Instant> {
        self.state().arrivals.get(&format!("/{name}")).cloned().unwrap_or_default()
    }

    /// All that came, as it came: heads and bodies, one after the other.
    pub fn received(&self) -> String {
        self.state().received.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.shared)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request a connection. A client that goes away early is nothing to report.
async fn serve(mut stream: TcpStream, shared: Arc<Mutex<State>>) -> Option<()> {
    let (path, request) = read_request(&mut stream).await?;
    let reply = {
        let mut state = locked(&shared);
        state.received.push_str(&request);
        state.arrivals.entry(path.clone()).or_default().push(Instant::now());
        match state.answers.get(&path).cloned().flatten() {
            Some(answer) => answer,
            None => {
                state.issued += 1;
                good(state.issued)
            }
        }
    };
    stream.write_all(reply.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

fn good(serial: u32) -> String {
    let body = format!(
        r#"{{"access_token":"access-{serial}","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-token-{serial}"}}"#
    );
    answer("200 OK", "application/json", &body).unwrap()
}

/// Reads a request to its end. Gives its path, and all of it.
async fn read_request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        (stream.read_buf(&mut read).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8(read[..head_end].to_vec()).ok()?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    while read.len() < head_end + length.unwrap_or(0) {
        (stream.read_buf(&mut read).await.ok()? > 0).then_some(())?;
    }
    let target = head.split(' ').nth(1)?;
    Some((target.split('?').next()?.to_owned(), String::from_utf8_lossy(&read).into_owned()))
}
