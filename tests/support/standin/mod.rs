//! A stand-in for token servers that no test can reach: Hover (a refresh, an authorization code) and a partner API that
//! wants headers. It is as strict as their documents: what the real one refuses is refused, a single-use token works
//! once, and replies have exactly the documented fields. On top it can fail in the ways that networks and proxies do.
//!
//! A third one (`shaped`) takes requests in the one shape that it is told, for what no server at hand takes.
//!
//! Here: the interface for tests. `hover`, `authorize`, `partner` and `shaped` are the providers' rules, pure functions over a
//! `ledger` of tokens; `fields` and `multipart` read bodies; `server`, `wire` and `tls` carry them; `faults` spoils it.
//! Integration tests include this file with `#[path]`; it depends on nothing of the operator's.

#![allow(dead_code, unused_imports, reason = "each test binary includes all of this and uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in test support a panic is the message")]

mod authorize;
mod faults;
mod fields;
mod hover;
mod ledger;
mod multipart;
mod partner;
mod record;
mod reply;
mod server;
mod shaped;
mod tls;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub use faults::{Delivery, Fault, Symptom};
pub use hover::{Hover, Unauthorized};
pub use partner::{NextRefreshToken, Partner};
pub use record::Recorded;
pub use reply::Reply;
pub use shaped::{Carried, Proof, Shaped};

use ledger::Kind;
use server::Shared;

/// Which provider is stood in for, and with which registrations.
#[derive(Clone, Debug)]
pub enum Config {
    Hover(Hover),
    Partner(Partner),
    Shaped(Shaped),
}

impl From<Hover> for Config {
    fn from(hover: Hover) -> Self {
        Self::Hover(hover)
    }
}

impl From<Partner> for Config {
    fn from(partner: Partner) -> Self {
        Self::Partner(partner)
    }
}

impl From<Shaped> for Config {
    fn from(shaped: Shaped) -> Self {
        Self::Shaped(shaped)
    }
}

/// A running server. Dropping it closes the port and every connection.
pub struct Standin {
    origin: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Standin {
    /// Plain http on a free port of 127.0.0.1.
    pub async fn start(config: impl Into<Config>) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), config).await
    }

    pub async fn start_at(address: SocketAddr, config: impl Into<Config>) -> Self {
        Self::listen(address, config.into(), None).await
    }

    /// https on a free port of 127.0.0.1, and the PEM of the CA made for it.
    pub async fn start_tls(config: impl Into<Config>) -> (Self, String) {
        Self::start_tls_at((Ipv4Addr::LOCALHOST, 0).into(), config).await
    }

    /// The certificate names `address` and `localhost`.
    pub async fn start_tls_at(address: SocketAddr, config: impl Into<Config>) -> (Self, String) {
        let (acceptor, ca_pem) = tls::acceptor(address.ip());
        (Self::listen(address, config.into(), Some(acceptor)).await, ca_pem)
    }

    async fn listen(address: SocketAddr, config: Config, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = format!("{scheme}://{}", listener.local_addr().expect("a bound socket has an address"));
        let shared = Arc::new(Shared::new(config));
        let accepting = tokio::spawn(server::accept(listener, tls, Arc::clone(&shared)));
        Self { origin, shared, accepting }
    }

    /// Scheme, host and port, with no path.
    pub fn url(&self) -> &str {
        &self.origin
    }

    pub fn token_url(&self) -> String {
        format!("{}{}", self.origin, self.shared.state().config.token_path())
    }

    /// Where a person consents. Only Hover has such a page.
    pub fn authorize_url(&self) -> String {
        format!("{}{}", self.origin, authorize::PATH)
    }

    /// A refresh token that this server accepts, as a person would have brought one along.
    pub fn seed(&self) -> String {
        let mut state = self.shared.state();
        let (owner, lifetime) = match &state.config {
            Config::Hover(hover) => (hover.client_id.clone(), hover.refresh_token_lifetime),
            Config::Partner(partner) => (partner.id.to_string(), partner.refresh_token_lifetime),
            Config::Shaped(shaped) => (shaped.client_id.clone(), None),
        };
        state.ledger.issue(Kind::RefreshToken, &owner, lifetime)
    }

    /// An authorization code, as if a person had pressed Allow. Panics for the partner, which has none.
    pub fn code(&self) -> String {
        let mut state = self.shared.state();
        let Config::Hover(hover) = state.config.clone() else { panic!("the partner API has no authorization codes") };
        state.ledger.issue(Kind::Code, &hover.client_id, Some(hover.code_lifetime))
    }

    /// Every request so far, to any path, in the order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.state().requests.clone()
    }

    /// Returns once `count` requests have arrived, answered or not.
    pub async fn arrived(&self, count: usize) {
        let mut arrivals = self.shared.arrivals.subscribe();
        arrivals.wait_for(|so_far| *so_far >= count).await.expect("the sender lives as long as self");
    }

    /// The most requests that were ever there at the same time, not answered yet.
    pub fn most_at_once(&self) -> usize {
        self.shared.state().most_open
    }

    /// How often a code or refresh token came in that had been spent before.
    pub fn replays(&self) -> usize {
        self.shared.state().ledger.replays()
    }

    /// Whether a resource server would take this access token now.
    pub fn is_live(&self, access_token: &str) -> bool {
        self.shared.state().ledger.is_live(Kind::AccessToken, access_token)
    }

    /// Spoils one request to the token endpoint; several faults are used up in the order given.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.push_back(fault);
    }

    /// From now on each request waits this long before it is looked at.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.state().latency = latency;
    }

    /// Changes registrations at run time (a client secret, say). Tokens already issued stay.
    pub fn reconfigure(&self, config: impl Into<Config>) {
        self.shared.state().config = config.into();
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
