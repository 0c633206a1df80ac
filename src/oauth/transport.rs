//! The one path of every token request. `connect` makes a connection, judging each address where it is connected to;
//! `Connection::send` (in `exchange`) sends one request over it, behind a fence. They are two steps because the rotation
//! protocol writes its intent between them.
//!
//! No redirects, no retries, no pool, no proxy but `--egress-proxy`. Behind that proxy names are not resolved here: URLs
//! are judged by name or literal address, and what a name resolves to is the proxy's to judge.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use ipnet::IpNet;
use rustls::{AlertDescription, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::{
    egress::{EgressDenial, EgressRules},
    failure::{Failure, NotSent},
    resolve::{self, Resolve},
    tls::{Identity, Roots, RootsError},
};

mod exchange;
mod gate;
mod proxy;
#[cfg(test)]
mod tests;

pub use exchange::{Connection, MAX_BODY, RawReply};

/// How long one address may take before the next is tried beside it (RFC 8305 section 8).
const STAGGER: Duration = Duration::from_millis(250);
/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 8;

/// What the operator's flags say. `Debug` doesn't show the proxy, whose URL may hold a password.
#[derive(Clone)]
pub struct TransportConfig {
    pub egress: EgressRules,
    /// `--ca-file`: PEM texts of authorities to trust beside the system's.
    pub ca_files: Vec<Vec<u8>>,
    /// `--egress-proxy`: an http URL; its user name and password, if any, are sent to it. Its address is not judged.
    pub proxy: Option<Url>,
    /// For one request, from its first byte to the reply's last.
    pub request_timeout: Duration,
    /// For name, connection, proxy and TLS together.
    pub connect_timeout: Duration,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            egress: EgressRules::default(),
            ca_files: Vec::new(),
            proxy: None,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for TransportConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TransportConfig")
            .field("egress", &self.egress)
            .field("proxied", &self.proxy.is_some())
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

/// Why the transport can't be set up: the operator's own configuration is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("--ca-file: {0}")]
    CaFile(#[from] RootsError),
    #[error("--egress-proxy takes an http URL with a host, such as http://proxy.example.com:3128")]
    Proxy,
    #[error("the system's DNS configuration can't be read")]
    Resolver,
}

/// Makes connections. One for the whole process.
pub struct Transport {
    config: TransportConfig,
    roots: Roots,
    resolver: Arc<dyn Resolve>,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint. Its path and query don't matter here.
    pub url: Url,
    /// The provider's own authorities, instead of the system's.
    pub ca: Option<Arc<Roots>>,
    /// The client's own certificate.
    pub identity: Option<Arc<Identity>>,
    /// Internal ranges that the provider allows.
    pub allowed_addresses: Vec<IpNet>,
}

impl Transport {
    /// Reads the system's authorities and DNS configuration.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn new(config: TransportConfig) -> Result<Self, TransportError> {
        let resolver = resolve::system().map_err(|_| TransportError::Resolver)?;
        Self::with_resolver(config, resolver)
    }

    /// With another source of addresses.
    ///
    /// # Errors
    /// The configuration is wrong.
    pub fn with_resolver(config: TransportConfig, resolver: Arc<dyn Resolve>) -> Result<Self, TransportError> {
        if config.proxy.as_ref().is_some_and(|proxy| proxy.scheme() != "http" || !proxy.has_host()) {
            return Err(TransportError::Proxy);
        }
        let files: Vec<&[u8]> = config.ca_files.iter().map(Vec::as_slice).collect();
        let roots = Roots::system(&files)?;
        Ok(Self { config, roots, resolver })
    }

    /// The rules that every connection obeys.
    pub fn egress(&self) -> &EgressRules {
        &self.config.egress
    }

    /// Connects. Nothing of a request is sent: whatever fails here has spent nothing.
    ///
    /// # Errors
    /// `Failure::Egress` or `Failure::NotSent`.
    pub async fn connect(&self, target: &Target) -> Result<Connection, Failure> {
        self.config.egress.judge_url(&target.url, &target.allowed_addresses)?;
        let connecting = timeout(self.config.connect_timeout, self.connect_io(target));
        let io = connecting.await.unwrap_or(Err(Failure::NotSent(NotSent::TimedOut)))?;
        Ok(Connection::new(io, target.url.origin(), self.config.request_timeout))
    }

    async fn connect_io(&self, target: &Target) -> Result<Box<dyn Io>, Failure> {
        let host = target.url.host().ok_or(EgressDenial::NoHost)?;
        let port = target.url.port_or_known_default().ok_or(EgressDenial::Scheme)?;
        let stream: Box<dyn Io> = match &self.config.proxy {
            Some(proxy) => proxy::tunnel(self.dial_proxy(proxy).await?, proxy, &host, port).await?,
            None => Box::new(self.dial(&host, port, &target.allowed_addresses).await?),
        };
        if target.url.scheme() == "http" {
            return Ok(stream);
        }
        let roots = target.ca.as_deref().unwrap_or(&self.roots);
        let config = target.identity.as_ref().map_or_else(|| roots.config(), |identity| identity.config(roots));
        let config = config.map_err(|_| Failure::NotSent(NotSent::Tls))?;
        let encrypted = TlsConnector::from(config).connect(server_name(&host)?, stream).await;
        Ok(Box::new(encrypted.map_err(|error| tls_failure(&error))?))
    }

    /// Resolves, judges each address, and connects to the first that accepts, of those that may be used.
    async fn dial(&self, host: &Host<&str>, port: u16, allowed: &[IpNet]) -> Result<TcpStream, Failure> {
        let (name, addresses) = match host {
            Host::Ipv4(address) => (None, vec![IpAddr::V4(*address)]),
            Host::Ipv6(address) => (None, vec![IpAddr::V6(*address)]),
            Host::Domain(name) => (Some(*name), self.resolve(name).await?),
        };
        let mut denials = Vec::new();
        let mut permitted = Vec::new();
        for address in addresses {
            match self.config.egress.judge_address(name, address, allowed) {
                Ok(()) => permitted.push(SocketAddr::new(address, port)),
                Err(denial) => denials.push(denial),
            }
        }
        // Of several denials, always the same is told: the one that a person can do most about.
        let told = [EgressDenial::Internal, EgressDenial::Denied, EgressDenial::Never];
        match told.into_iter().find(|denial| denials.contains(denial)) {
            Some(denial) if permitted.is_empty() => Err(denial.into()),
            _ => first_to_accept(permitted).await,
        }
    }

    /// The proxy is the operator's own choice, so its address is not judged.
    async fn dial_proxy(&self, proxy: &Url) -> Result<TcpStream, Failure> {
        let port = proxy.port_or_known_default().unwrap_or(80);
        let addresses = match proxy.host() {
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            Some(Host::Domain(name)) => self.resolve(name).await?,
            None => Vec::new(),
        };
        first_to_accept(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()).await
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let addresses = self.resolver.resolve(name).await;
        if addresses.is_empty() { Err(Failure::NotSent(NotSent::Resolve)) } else { Ok(addresses) }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Transport").field("egress", &self.config.egress).finish_non_exhaustive()
    }
}

/// A byte stream, whatever it runs over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Tries addresses side by side, each a little later than the one before (RFC 8305).
async fn first_to_accept(addresses: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
    let mut waiting = addresses.into_iter().take(MAX_ADDRESSES);
    let mut attempts = FuturesUnordered::new();
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        attempts.extend(next.map(TcpStream::connect));
        let ended = if is_last { Ok(attempts.next().await) } else { timeout(STAGGER, attempts.next()).await };
        match ended {
            Ok(Some(Ok(stream))) => {
                // Without it a request goes out late, not wrong.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(None) if is_last => return Err(Failure::NotSent(NotSent::Connect)),
            Ok(Some(Err(_)) | None) | Err(_) => {}
        }
    }
}

fn server_name(host: &Host<&str>) -> Result<ServerName<'static>, Failure> {
    match host {
        Host::Ipv4(address) => Ok(ServerName::IpAddress(IpAddr::V4(*address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress(IpAddr::V6(*address).into())),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_owned();
            ServerName::try_from(name).map_err(|_| Failure::NotSent(NotSent::Certificate))
        }
    }
}

fn tls_failure(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => Failure::NotSent(NotSent::Certificate),
        Some(rustls::Error::AlertReceived(alert)) if is_about_client(*alert) => Failure::ClientCertificate,
        _ => Failure::NotSent(NotSent::Tls),
    }
}

/// Whether a server says by this alert that it doesn't accept the client's certificate, or wants one. In TLS 1.3 it comes after
/// the client has sent its request: the server has not let that in.
fn is_about_client(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}
