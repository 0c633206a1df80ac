//! What the integration tests stand on: a real API server (`Cluster`), a namespace of it for each test (`Namespace`), the
//! operator's real binary (`Operator`), a real OAuth server (`Oidc`) and a strict stand-in (`standin`).
//!
//! Each test binary includes this with `#[path = "support/mod.rs"] mod support;`. Nothing here sleeps and hopes: `until`
//! waits for a condition, and says what it waited for in vain.

#![allow(dead_code, unused_imports, reason = "each test binary includes all of this and uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in test support a panic is the message")]

pub mod browser;
pub mod certificates;
pub mod clock;
pub mod cluster;
pub mod collector;
pub mod keycloak;
pub mod namespace;
pub mod oidc;
pub mod operator;
pub mod proxy;
pub mod siege;
pub mod standin;

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use clock::Clock;
pub use cluster::Cluster;
pub use collector::Collector;
pub use namespace::{Conditions, Namespace, text};
pub use oidc::Oidc;
pub use operator::{Operator, Place};

/// How often `until` looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Long enough for anything that should happen at once, on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Looks again and again until there is something to be seen. Panics when that takes longer than `within`.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "not within {} s: {what}", within.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sees to it that something stays as it is for a while. Panics as soon as `look` says what is wrong.
pub async fn throughout(what: &str, time: Duration, mut look: impl AsyncFnMut() -> Option<String>) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(wrong) = look().await {
            panic!("{what}: {wrong}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The status and the body of a plain GET.
pub async fn get(url: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let response = client.get(url).send().await.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

/// A port that is free now, and stays so: it is none of those that the kernel gives to connections (from 32,768 on), and this process
/// asks for each once.
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(101);
    let ports = PORTS.map(|_| {
        let next = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        (PORTS.start + next % PORTS.len() as u32) as u16
    });
    let mut free = ports.filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a port is free")
}

/// A measured number, for the test run's output: said also when the test passes.
#[allow(clippy::explicit_write, reason = "the test harness captures what eprintln! prints")]
pub fn say(what: &str) {
    // `eprintln!` would be kept back.
    std::io::stderr().write_all(format!("measured: {what}\n").as_bytes()).unwrap();
}
