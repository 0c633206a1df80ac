//! Endpoints that are discovered: what is asked for, what is believed, and what is said of an issuer that can't be.

use std::time::{Duration, Instant};

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    answers::{Answer, Answers, CANARY, answer, with_headers},
    case::{Case, Expect, client, nothing_leaked, run_all, spec},
    limits::{BURST, EACH},
    objects::{credential, secret},
    support::{Cluster, Conditions, Namespace, Operator, SOON, namespace::apply, say, until},
};

const OPENID: &str = ".well-known/openid-configuration";

/// The path of the document of RFC 8414 for the issuer at `/name`.
fn oauth(name: &str) -> String {
    format!(".well-known/oauth-authorization-server/{name}")
}

fn document(issuer: &str, token: &str) -> Answer {
    let document = json!({"issuer": issuer, "token_endpoint": token, "mtls_endpoint_aliases": {}, "x": CANARY});
    answer("200 OK", "application/json", &document.to_string())
}

fn not_found() -> Answer {
    answer("404 Not Found", "text/html", &format!("<html>{CANARY}</html>"))
}

/// A credential whose endpoints are discovered.
fn discovering(issuer: &str, patch: &Value) -> Value {
    let mut spec = spec("", patch);
    spec["provider"]["issuer"] = issuer.into();
    spec["provider"].as_object_mut().unwrap().remove("endpoints");
    spec
}

async fn prepare(name: &str) -> (Namespace, Answers, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, name, vec![client()]).await.unwrap();
    (namespace, answers, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn issuers_that_are_not_believed() {
    let (namespace, answers, operator) = prepare("discovery-refused").await;
    let failing = |status: &str, headers: &str| with_headers(status, headers, CANARY);
    let case = |name: &'static str, openid: Answer, other: Answer, expect: Expect| {
        answers.set(&format!("{name}/{OPENID}"), openid);
        answers.set(&oauth(name), other);
        let right = spec(&answers.url(name), &json!({"provider": {"issuer": null}}));
        Case::of_spec(name, discovering(&answers.url(name), &json!({})), expect, &right)
    };
    let own = |name: &str| (answers.url(name), answers.url(name));
    let invalid = |says: &[&str]| Expect::stalled("InvalidResponse", says);
    let nothing =
        || Expect::retried("InvalidResponse", &["no metadata at its well-known addresses", "endpoints.token"]);
    let other = ["another issuer's", "exactly as the server's own metadata have it", "endpoints.token"];
    let page = || answer("200 OK", "text/html", &format!("<html>{CANARY}</html>"));
    let at = |name: &str, suffix: &str| document(&format!("{}{suffix}", own(name).0), &own(name).1);
    let unavailable = |says: &[&str]| Expect::retried("ProviderUnavailable", says);
    let cases = [
        case("nowhere", not_found(), not_found(), nothing()),
        case("a-page", page(), page(), nothing()),
        case("slash", at("slash", "/"), not_found(), invalid(&other)),
        case("elsewhere", document("https://idp.example.com", "https://idp.example.com/t"), page(), invalid(&other)),
        case("no-endpoint", document(&own("no-endpoint").0, "nowhere"), not_found(), invalid(&["no token endpoint"])),
        case(
            "ill",
            failing("503 Service Unavailable", ""),
            at("ill", ""),
            unavailable(&["Discovery: the issuer failed with a server error"]),
        ),
        case(
            "limits",
            failing("429 Too Many Requests", "retry-after: 3600\r\n"),
            at("limits", ""),
            Expect::retried("RateLimited", &["Discovery: the provider limits how often it is called"]),
        ),
        case(
            "moved",
            failing("302 Found", "location: /\r\n"),
            at("moved", ""),
            Expect::retried("InvalidResponse", &["Discovery: the issuer answered with a redirect"]),
        ),
        Case::of_spec(
            "metadata",
            discovering("http://169.254.169.254/latest", &json!({})),
            Expect::stalled("EgressDenied", &["Discovery: ", "link-local, metadata or reserved"]),
            &spec(&answers.url("metadata"), &json!({"provider": {"issuer": null}})),
        ),
        Case::of_spec(
            "query",
            discovering(&format!("{}?tenant=a", answers.url("query")), &json!({})),
            Expect::stalled("InvalidSpec", &["a URL with neither query nor fragment", "endpoints.token"]),
            &spec(&answers.url("query"), &json!({"provider": {"issuer": null}})),
        ),
        // The endpoint that is discovered is judged as one that is given.
        case(
            "inward",
            document(&answers.url("inward"), "http://169.254.169.254/token"),
            not_found(),
            Expect::stalled("EgressDenied", &["link-local, metadata or reserved"]),
        ),
    ];
    run_all(&namespace, &cases).await;
    assert_eq!(answers.arrivals(&oauth("ill")).len(), 0, "a server that is ill is not asked twice at once");
    assert_eq!(answers.arrivals(&oauth("limits")).len(), 0);
    assert_eq!(answers.arrivals(&format!("limits/{OPENID}")).len(), 1, "Retry-After is obeyed");
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_document_serves_all_credentials_of_an_issuer() {
    let (namespace, answers, operator) = prepare("discovery-shared").await;
    // Only RFC 8414's document.
    let issuer = answers.url("shared");
    answers.set(&format!("shared/{OPENID}"), not_found());
    answers.set(&oauth("shared"), document(&issuer, &answers.url("shared-token")));
    let names: Vec<String> = (0..20).map(|at| format!("shared-{at}")).collect();
    let objects = names.iter().map(|name| credential(name, &discovering(&issuer, &json!({}))));
    apply(&namespace.client, &namespace.name, objects.collect()).await.unwrap();
    for name in &names {
        namespace.ready(name).await;
    }
    let asked = [format!("shared/{OPENID}"), oauth("shared"), "shared-token".to_owned()];
    assert_eq!(asked.each_ref().map(|path| answers.arrivals(path).len()), [1, 1, 20]);
    nothing_leaked(&namespace, &operator).await;
}

/// The server that has the document goes: tokens are refreshed all the same. And an issuer that was down when it was first
/// asked is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_down() {
    let (namespace, answers, operator) = prepare("discovery-down").await;
    let issuer = answers.url("down");
    let path = format!("down/{OPENID}");
    answers.set(&path, with_headers("500 Internal Server Error", "", CANARY));
    let applied = vec![credential("down", &discovering(&issuer, &json!({})))];
    apply(&namespace.client, &namespace.name, applied).await.unwrap();
    let said = namespace.reason("down", ConditionType::Ready, "ProviderUnavailable").await;
    let next = said.status.unwrap().next_refresh_time.expect("when it is asked again");
    assert!(next.duration_since(jiff::Timestamp::now()).as_secs() <= 6, "{next}");
    answers.set(&path, document(&issuer, &answers.url("down-token")));
    namespace.ready("down").await;

    let read = answers.arrivals(&path).len();
    answers.set(&path, with_headers("500 Internal Server Error", "", CANARY));
    namespace.request_refresh("down", "2026-01-01T00:00:00Z").await;
    namespace.revision("down", 2, SOON).await;
    assert_eq!(answers.arrivals(&path).len(), read, "the document is believed for a while");
    nothing_leaked(&namespace, &operator).await;
}

/// A refresh token is bound to the issuer, wherever that says its token endpoint is.
#[tokio::test(flavor = "multi_thread")]
async fn a_discovered_grant_is_bound_to_its_issuer() {
    let (namespace, answers, operator) = prepare("discovery-bound").await;
    let other = Answers::start().await;
    let issuer = answers.url("bound");
    answers.set(&format!("bound/{OPENID}"), document(&issuer, &other.url("first")));
    let grant =
        json!({"grant": {"clientCredentials": null, "refreshToken": {"secretRef": {"name": "bound", "key": "token"}}}});
    let bound = credential("bound", &discovering(&issuer, &grant));
    let seed = secret("bound", &[("token", "refresh-token-seed")]);
    apply(&namespace.client, &namespace.name, vec![seed, bound]).await.unwrap();
    namespace.ready("bound").await;
    assert_eq!(namespace.state("bound").await["binding"]["servers"], json!([issuer]));

    let elsewhere = Answers::start().await;
    elsewhere.set(&format!("bound/{OPENID}"), document(&elsewhere.url("bound"), &elsewhere.url("token")));
    let moved = credential("bound", &discovering(&elsewhere.url("bound"), &grant));
    apply(&namespace.client, &namespace.name, vec![moved]).await.unwrap();
    let said = namespace.reason("bound", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(said.message(ConditionType::Stalled).contains("another client or another server"));
    assert_eq!(elsewhere.arrivals("token").len(), 0, "nothing is sent to another issuer's endpoint");
    namespace.event("AuthorizationRequired").await;
    nothing_leaked(&namespace, &operator).await;
}

/// What mallory has the operator read at servers that hang is read in mallory's turn.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_hanging_issuers_delay_no_other_namespace() {
    const CROWD: usize = 2000;
    let cluster = Cluster::shared().await;
    let operators = cluster.namespace("discovery-crowd").await;
    let mallory = cluster.namespace("discovery-crowd-mallory").await;
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hanging.local_addr().unwrap();
    let hangs = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hanging.accept().await {
            held.push(stream);
        }
    });
    let crowd: Vec<_> = (0..CROWD)
        .map(|number| {
            credential(&format!("hangs-{number}"), &discovering(&format!("http://{address}/{number}"), &json!({})))
        })
        .collect();
    let applied = crowd.chunks(CROWD / 16).map(|chunk| apply(&mallory.client, &mallory.name, chunk.to_vec()));
    futures::future::try_join_all(applied).await.unwrap();
    apply(&mallory.client, &mallory.name, vec![client()]).await.unwrap();
    let answers = Answers::start().await;
    let issuer = answers.url("good");
    answers.set(&format!("good/{OPENID}"), document(&issuer, &answers.url("good-token")));
    apply(&operators.client, &operators.name, vec![client()]).await.unwrap();
    let served = format!("--namespace={}", mallory.name);
    let operator = Operator::start(&operators, &["--allow-insecure-http", &served]).await;
    until("the operator knows the crowd", SOON, async || {
        let known = operator.metric("oauth_operator_credentials", &[r#"ready="false""#]).await;
        (known as usize >= CROWD).then_some(())
    })
    .await;

    let began = Instant::now();
    let good = credential("good", &discovering(&issuer, &json!({})));
    apply(&operators.client, &operators.name, vec![good]).await.unwrap();
    operators.ready("good").await;
    let took = began.elapsed();
    say(&format!("Ready after {took:?} beside {CROWD} issuers that hang, of another namespace"));
    assert!(took < Duration::from_secs(15), "{took:?}");
    hangs.abort();
}

/// A spec that names another issuer again and again has no more read than a credential may ask for.
#[tokio::test(flavor = "multi_thread")]
async fn one_credential_has_no_more_issuers_read_than_it_may_ask_for_tokens() {
    let (namespace, answers, _operator) = prepare("discovery-pace").await;
    let began = Instant::now();
    apply(
        &namespace.client,
        "discovery-pace",
        vec![credential("restless", &discovering(&answers.url("0"), &json!({})))],
    )
    .await
    .unwrap();
    let mut number = 0;
    // Of each issuer, the first of its two addresses.
    let read = || answers.received().lines().filter(|line| line.starts_with("GET /") && line.contains(OPENID)).count();
    while read() < BURST + 8 {
        number += 1;
        let issuer = json!({"spec": {"provider": {"issuer": answers.url(&number.to_string())}}});
        namespace.patch_credential("restless", &issuer).await;
    }
    let allowed = BURST as f64 + began.elapsed().as_secs_f64() / EACH.as_secs_f64() + 1.0;
    assert!(read() as f64 <= allowed, "{} of {number} issuers, where {allowed} may be read", read());
}
