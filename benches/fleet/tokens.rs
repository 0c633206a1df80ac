//! A token server that answers after 5 ms: client credentials, and refresh tokens that are good for one use. It is as strict as a
//! server can be (a token that was used is refused for ever), and remembers when each request arrived.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{net::TcpListener, time::sleep};

use crate::support::{get, until};

const ANSWERS_AFTER: Duration = Duration::from_millis(5);
/// As long as a signed token of a few claims.
const TOKEN_LENGTH: usize = 600;

/// What the server has seen.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Seen {
    pub issued: u64,
    /// Refresh tokens that were not the newest.
    pub replays: u64,
    /// Of each client or grant: when its requests arrived, in milliseconds since 1970.
    pub arrivals: HashMap<String, Vec<u64>>,
    /// Of those that expire together: in seconds since 1970.
    pub end: Option<u64>,
}

#[derive(Default)]
struct State {
    seen: Seen,
    /// Of each grant: the serial number of the refresh token that is good.
    serials: HashMap<String, u64>,
}

/// Serves until it is killed. The first line on stdout is its address.
pub async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let state = Arc::new(Mutex::new(State::default()));
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, state.clone()));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// `/token/<lifetime in seconds>` issues; `/together/<lifetime of the first>` issues what expires in one second, and after that what lives
/// for a day; `/hang` never answers, `/seen` tells.
async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let path = request.uri().path().to_owned();
    if path == "/hang" {
        std::future::pending::<()>().await;
    }
    if path == "/seen" {
        return Ok(reply(StatusCode::OK, serde_json::to_vec(&state.lock().unwrap().seen).unwrap()));
    }
    let lifetime = lifetime(&path, now, &state).unwrap();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    sleep(ANSWERS_AFTER).await;
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let mut state = state.lock().unwrap();
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    Ok(match field("grant_type").as_str() {
        "client_credentials" => {
            let token = state.issue(&field("client_id"), now);
            reply(StatusCode::OK, issued(&token, lifetime, None))
        }
        "refresh_token" => match state.rotate(&field("refresh_token")) {
            Some((grant, refresh_token)) => {
                let token = state.issue(&grant, now);
                reply(StatusCode::OK, issued(&token, lifetime, Some(&refresh_token)))
            }
            None => reply(StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}).to_string().into_bytes()),
        },
        _ => reply(StatusCode::BAD_REQUEST, json!({"error": "unsupported_grant_type"}).to_string().into_bytes()),
    })
}

fn lifetime(path: &str, now: u64, state: &Mutex<State>) -> Option<u64> {
    if let Some(lifetime) = path.strip_prefix("/token/") {
        return lifetime.parse().ok();
    }
    let first: u64 = path.strip_prefix("/together/")?.parse().ok()?;
    let end = *state.lock().unwrap().seen.end.get_or_insert(now / 1000 + first);
    Some(end.checked_sub(now / 1000).filter(|left| *left > 0).unwrap_or(24 * 3600))
}

impl State {
    fn issue(&mut self, whose: &str, now: u64) -> String {
        self.seen.issued += 1;
        self.seen.arrivals.entry(whose.to_owned()).or_default().push(now);
        let mut token = format!("{whose}.{}.", self.seen.issued);
        token.extend(std::iter::repeat_n('x', TOKEN_LENGTH.saturating_sub(token.len())));
        token
    }

    /// A refresh token is `<grant>.<serial>`; the first one has the serial 0.
    fn rotate(&mut self, token: &str) -> Option<(String, String)> {
        let (grant, serial) = token.rsplit_once('.')?;
        let good = self.serials.entry(grant.to_owned()).or_default();
        if serial.parse() != Ok(*good) {
            self.seen.replays += 1;
            return None;
        }
        *good += 1;
        Some((grant.to_owned(), format!("{grant}.{good}")))
    }
}

fn issued(token: &str, lifetime: u64, refresh_token: Option<&str>) -> Vec<u8> {
    let mut reply = json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime});
    if let Some(refresh_token) = refresh_token {
        reply["refresh_token"] = refresh_token.into();
    }
    reply.to_string().into_bytes()
}

fn reply(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let json = Response::builder().status(status).header("content-type", "application/json");
    json.header("cache-control", "no-store").body(Full::new(Bytes::from(body))).unwrap()
}

/// The server as a process of its own; it ends with this.
pub struct Tokens {
    child: Child,
    url: String,
}

impl Tokens {
    pub async fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.arg("tokens").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let tokens = Self { child, url: format!("http://{}", address.trim()) };
        until("the token server answers", crate::support::SOON, async || get(&tokens.path("/seen")).await).await;
        tokens
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub fn token_url(&self, lifetime: Duration) -> String {
        self.path(&format!("/token/{}", lifetime.as_secs()))
    }

    /// Of tokens that expire in one second.
    pub fn url_together(&self, first: Duration) -> String {
        self.path(&format!("/together/{}", first.as_secs()))
    }

    pub async fn seen(&self) -> Seen {
        serde_json::from_str(&get(&self.path("/seen")).await.unwrap().1).unwrap()
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
