//! What is there to be reached, and who tries to: listeners on this machine, and the operator's transport with DNS that answers as told.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use futures::{FutureExt, future::BoxFuture};
use oauth_operator::oauth::egress::EgressRules;
use oauth_operator::oauth::failure::{Failure, NotSent};
use oauth_operator::oauth::resolve::{Resolve, system};
use oauth_operator::oauth::transport::{Connection, Target, Transport, TransportConfig};
use oauth_operator::operate::requests::install_crypto_provider;
use url::Url;

/// Listens at one port of several addresses, and counts who comes. It answers whoever asks with a redirect, if it has one.
pub struct Listeners {
    pub port: u16,
    came: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Listeners {
    pub fn at(addresses: &[&str]) -> Self {
        Self::redirecting(addresses, None)
    }

    /// Whoever asks is sent on to `location`.
    pub fn redirecting(addresses: &[&str], location: Option<(u16, String)>) -> Self {
        let came = Arc::default();
        let listeners = (0..100).find_map(|_| bound(addresses)).expect("a port that is free at all addresses");
        let port = listeners[0].local_addr().unwrap().port();
        for listener in listeners {
            let (came, location): (Arc<Mutex<BTreeMap<_, _>>>, _) = (Arc::clone(&came), location.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    *came.lock().unwrap().entry(listener.local_addr().unwrap().ip()).or_default() += 1;
                    if let Some((status, location)) = &location {
                        redirect(stream.unwrap(), *status, location);
                    }
                }
            });
        }
        Self { port, came }
    }

    /// How many connections there were, in all.
    pub fn came(&self) -> usize {
        self.came.lock().unwrap().values().sum()
    }

    /// The addresses at which there was one, at least.
    pub fn reached(&self) -> Vec<String> {
        self.came.lock().unwrap().keys().map(ToString::to_string).collect()
    }
}

fn bound(addresses: &[&str]) -> Option<Vec<TcpListener>> {
    let first = TcpListener::bind(SocketAddr::new(addresses[0].parse().unwrap(), 0)).ok()?;
    let port = first.local_addr().unwrap().port();
    let others =
        addresses[1..].iter().map(|address| TcpListener::bind(SocketAddr::new(address.parse().unwrap(), port)));
    std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>().ok()
}

/// Reads a request's head and answers.
fn redirect(mut stream: TcpStream, status: u16, location: &str) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let _ = lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).count();
    let answer = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes());
}

/// What DNS says of every name: one list a look-up, the last one again and again.
struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Resolve for Answers {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        futures::future::ready(next.unwrap_or_default()).boxed()
    }
}

/// The operator's transport, with the system's DNS where there are no answers.
pub fn transport(egress: EgressRules, answers: Option<&[Vec<IpAddr>]>) -> Transport {
    install_crypto_provider();
    let resolver: Arc<dyn Resolve> = match answers {
        Some(answers) => Arc::new(Answers(Mutex::new(answers.to_vec().into()))),
        None => system().unwrap(),
    };
    Transport::with_resolver(TransportConfig { egress, ..TransportConfig::default() }, resolver).unwrap()
}

/// The same with `--egress-proxy` at this port of this machine.
pub fn behind(port: u16, egress: EgressRules) -> Transport {
    install_crypto_provider();
    let proxy = format!("http://127.0.0.1:{port}").parse().ok();
    Transport::new(TransportConfig { egress, proxy, ..TransportConfig::default() }).unwrap()
}

/// Connects to where this URL leads.
pub async fn connect(transport: &Transport, url: &Url) -> Result<Connection, Failure> {
    let target = Target { url: url.clone(), ca: None, identity: None, allowed_addresses: Vec::new() };
    transport.connect(&target).await
}

/// How that ended, by the table's words.
pub async fn ended(transport: &Transport, url: &str) -> String {
    let Ok(url) = url.parse() else { return "Unreadable".to_owned() };
    match connect(transport, &url).await {
        Ok(_) => "Connected".to_owned(),
        Err(Failure::Egress(denial)) => format!("{denial:?}"),
        Err(Failure::NotSent(NotSent::Resolve)) => "Resolve".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

/// The same of an address that is not connected to: `Public`, where nothing forbids it in a URL, nor behind a name.
pub fn judged(rules: &EgressRules, address: IpAddr, url: &str) -> String {
    let of_url = rules.judge_url(&url.parse().unwrap(), &[]);
    match of_url.and_then(|()| rules.judge_address(Some("idp.example"), address, &[])) {
        Ok(()) => "Public".to_owned(),
        Err(denial) => format!("{denial:?}"),
    }
}
