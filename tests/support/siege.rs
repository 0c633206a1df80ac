//! Strangers at the pages of consent, who bring them what no browser would: as fast as it is answered, or at a rate.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Interval, interval_at};

/// In all that strangers bring here.
pub const MARKER: &str = "Qx7reflectedZ9";
/// Each with a connection of its own.
const STRANGERS: u32 = 16;

/// Requests that nobody with a browser sends, one after the other on one connection.
pub fn bad_requests(address: &str) -> Vec<String> {
    let origin = format!("http://{address}");
    let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nhost: {address}\r\n{more}\r\n");
    let post = |target: &str, more: &str, body: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{more}\r\n{body}",
            body.len()
        )
    };
    let from_here = format!("origin: {origin}\r\n");
    let cookie = format!("cookie: __Host-oauth-operator-0123456789abcdef=a/b/{}\r\n", "x".repeat(43));
    vec![
        get(&format!("/{MARKER}"), ""),
        get(&format!("/consent/{MARKER}/{MARKER}"), ""),
        get("/consent/nobody/nothing", ""),
        get(&format!("/consent/../../etc/passwd?{MARKER}"), ""),
        get(&format!("/oauth/callback?code={MARKER}&state={MARKER}"), &cookie),
        get(&format!("/oauth/callback?error={MARKER}&error_description=%3Cscript%3E{MARKER}&state=x"), ""),
        get(&format!("/oauth/callback?state={MARKER}&state={MARKER}&code=a&code=b"), ""),
        get("/oauth/callback?%00%ff", &format!("x-{MARKER}: {MARKER}\r\nreferer: http://{MARKER}/\r\n")),
        post("/consent/nobody/nothing", &from_here, &format!("ticket={MARKER}&continue=yes")),
        post("/consent/nobody/nothing", "origin: null\r\n", &format!("ticket={MARKER}")),
        post("/consent/nobody/nothing", &from_here, &format!("ticket={}", MARKER.repeat(100))),
        post("/oauth/callback", &from_here, &format!("code={MARKER}&state=x")),
        format!("DELETE /consent/nobody/nothing HTTP/1.1\r\nhost: {address}\r\n\r\n"),
    ]
}

/// Strangers who send `bad_requests` again and again, all of them at once, without waiting for an answer to the first.
pub struct Siege {
    strangers: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    began: Instant,
}

impl Siege {
    /// Of the pages at `address`: so many requests a second over all, spread evenly, or as many as are answered.
    pub fn lay(address: &str, rate: Option<u32>) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let requests = bad_requests(address);
        let stranger = |number| {
            let every = rate.map(|rate| Duration::from_secs(1) * STRANGERS * requests.len() as u32 / rate);
            let pace = every.map(|every| {
                let start = tokio::time::Instant::now() + every * number / STRANGERS;
                // Those that come late are made up for.
                interval_at(start, every)
            });
            tokio::spawn(besiege(address.to_owned(), pace, stop.clone(), answered.clone()))
        };
        Self { strangers: (0..STRANGERS).map(stranger).collect(), stop, answered, began: Instant::now() }
    }

    /// Ends it. Says how many requests were answered, in what time.
    pub async fn lift(self) -> (usize, Duration) {
        let took = self.began.elapsed();
        let answered = self.answered.load(Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
        for stranger in self.strangers {
            stranger.await.unwrap();
        }
        (answered, took)
    }
}

/// Panics where an answer is no refusal, and no start page.
async fn besiege(address: String, mut pace: Option<Interval>, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let requests = bad_requests(&address);
    let batch = requests.concat();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(&address).await else { continue };
        let mut buffer = vec![0; 256 * 1024];
        'connection: while !stop.load(Ordering::Relaxed) {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            if stream.write_all(batch.as_bytes()).await.is_err() {
                break;
            }
            let (mut seen, mut rest) = (0, String::new());
            while seen < requests.len() {
                let Ok(read @ 1..) = stream.read(&mut buffer).await else { break 'connection };
                rest.push_str(&String::from_utf8_lossy(&buffer[..read]));
                while let Some(at) = rest.find("HTTP/1.1 ") {
                    let Some(status) = rest.get(at + 9..at + 12) else { break };
                    assert!(["200", "400", "403", "404", "405"].contains(&status), "{status}");
                    seen += 1;
                    rest.drain(..at + 12);
                }
            }
            answered.fetch_add(seen, Ordering::Relaxed);
        }
    }
}
