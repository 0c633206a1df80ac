//! The table, row by row.

use std::net::IpAddr;
use std::process::Command;

use oauth_operator::oauth::egress::EgressRules;
use oauth_operator::oauth::request::{Client, ParameterValue, RequestShape, TokenRequest};
use oauth_operator::oauth::transport::Transport;
use serde::Deserialize;

use crate::spellings;
use crate::stage::{Listeners, behind, connect, ended, judged, transport};

#[derive(Deserialize)]
struct Table {
    addresses: Vec<Row<IpAddr>>,
    urls: Vec<Row<String>>,
    names: Vec<Name>,
}

#[derive(Deserialize)]
struct Row<T> {
    what: String,
    says: String,
    at: Vec<T>,
}

#[derive(Deserialize)]
struct Name {
    what: String,
    name: String,
    answers: Answers,
    says: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answers {
    Told(Vec<Vec<IpAddr>>),
    System(SystemDns),
}

#[derive(Deserialize)]
enum SystemDns {
    System,
}

fn table() -> Table {
    serde_yaml_ng::from_str(include_str!("hostile.yaml")).unwrap()
}

fn rules(allow: &[&str], deny: &[&str], insecure: bool) -> EgressRules {
    let read = |list: &[&str]| list.iter().map(|rule| rule.parse().unwrap()).collect();
    EgressRules { allow: read(allow), deny: read(deny), allow_insecure_http: insecure }
}

/// The address, and those that stand for it.
fn with_embedded(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V4(v4) = address else { return vec![address] };
    std::iter::once(address).chain(spellings::embedded(v4).into_iter().map(IpAddr::V6)).collect()
}

/// Tries every address and URL of the table; gives how many there were, and which ended otherwise than it says.
async fn all_tried(transport: &Transport, port: u16) -> (usize, Vec<String>) {
    let table = table();
    let mut tried = 0;
    let mut wrong = Vec::new();
    let mut compare = |what: &str, url: &str, says: &str, found: &str| {
        tried += 1;
        if found != says {
            wrong.push(format!("{what}: {url:?} is {found}, not {says}"));
        }
    };
    for row in &table.addresses {
        for address in row.at.iter().flat_map(|address| with_embedded(*address)) {
            for host in spellings::of(address) {
                let url = format!("https://{host}:{port}/token");
                let found = match row.says.as_str() {
                    "Public" => judged(transport.egress(), address, &url),
                    _ => ended(transport, &url).await,
                };
                compare(&row.what, &url, &row.says, &found);
            }
        }
    }
    for row in &table.urls {
        for url in &row.at {
            let url = url.replace("PORT", &port.to_string());
            compare(&row.what, &url, &row.says, &ended(transport, &url).await);
        }
    }
    (tried, wrong)
}

#[tokio::test]
async fn nothing_arrives_where_the_operator_must_not_go() {
    let here = Listeners::at(&["127.0.0.1", "127.0.0.2", "::1"]);
    let (tried, wrong) = all_tried(&transport(rules(&[], &[], false), None), here.port).await;
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 1000, "{tried}");
    assert_eq!(here.came(), 0, "{:?}", here.reached());
}

/// The operator's own proxy judges what a name resolves to, and is not asked for what can be told from the URL.
#[tokio::test]
async fn nor_is_the_operators_proxy_asked_to_go_there() {
    let (here, proxy) = (Listeners::at(&["127.0.0.1", "127.0.0.2", "::1"]), Listeners::at(&["127.0.0.1"]));
    let (_, wrong) = all_tried(&behind(proxy.port, rules(&[], &[], false)), here.port).await;
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((here.came(), proxy.came()), (0, 0));
}

#[tokio::test]
async fn nothing_but_a_flag_was_in_the_way() {
    let here = Listeners::at(&["127.0.0.1", "::1"]);
    let allowed = transport(rules(&["127.0.0.0/8", "::1"], &[], true), None);
    let hosts = ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(|it| spellings::of(it.parse().unwrap())).concat();
    for (index, host) in hosts.iter().enumerate() {
        assert_eq!(ended(&allowed, &format!("http://{host}:{}/token", here.port)).await, "Connected", "{host}");
        // Accepted by the kernel first, by the listener then.
        while here.came() < index + 1 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(here.reached(), ["127.0.0.1", "::1"]);
}

#[tokio::test]
async fn names_lead_where_their_own_look_up_said() {
    for row in table().names {
        let here = Listeners::at(&["127.0.0.1", "::1"]);
        let allowed = Listeners::at(&["127.0.0.3"]);
        let rules = rules(&["127.0.0.3"], &["denied.example", "9.9.9.9"], true);
        let transport = match &row.answers {
            Answers::Told(answers) => transport(rules, Some(answers)),
            Answers::System(SystemDns::System) => transport(rules, None),
        };
        for says in &row.says {
            let port = if row.says.iter().any(|it| it == "Connected") { allowed.port } else { here.port };
            assert_eq!(&ended(&transport, &format!("http://{}:{port}/token", row.name)).await, says, "{}", row.what);
        }
        assert_eq!(here.came(), 0, "{}", row.what);
    }
}

/// A redirect is an answer like any other that is no token: whoever is at its end hears nothing.
#[tokio::test]
async fn redirects_are_not_followed() {
    let end = Listeners::at(&["127.0.0.1"]);
    for status in [301, 302, 303, 307, 308] {
        for location in [format!("http://127.0.0.1:{}/token", end.port), format!("//127.0.0.1:{}/token", end.port)] {
            let server = Listeners::redirecting(&["127.0.0.1"], Some((status, location)));
            let request = TokenRequest {
                url: format!("http://127.0.0.1:{}/token", server.port).parse().unwrap(),
                shape: RequestShape::default(),
                client: Client { id: Some("reports".into()), secret: None, assertion: None },
                standard: vec![("grant_type", ParameterValue::text("client_credentials"))],
                additional: Vec::new(),
            };
            let transport = transport(rules(&["127.0.0.1"], &[], true), None);
            let connection = connect(&transport, &request.url).await.unwrap();
            let reply = connection.send(request.encode().unwrap(), |_| true).await.unwrap();
            assert_eq!(reply.status.as_u16(), status);
            assert_eq!(server.came(), 1);
        }
    }
    assert_eq!(end.came(), 0);
}

/// What other programs are told of proxies is not for the operator: the test above runs again where everything names one.
#[test]
fn proxies_in_the_environment_are_not_used() {
    let proxy = Listeners::at(&["127.0.0.1"]);
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "hostile::nothing_but_a_flag_was_in_the_way"]).env_remove("NO_PROXY").env_remove("no_proxy");
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        child.env(name, &address);
    }
    let ran = child.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.came(), 0);
}
