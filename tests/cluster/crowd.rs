//! A server that hangs delays nobody else, however many wait for it; nor do many, whoever names them.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::manifests::{MACHINES, machine};
use crate::support::{Cluster, Namespace, Oidc, Operator, SOON, say, until};

const CROWD: usize = 500;

/// Accepts connections and never says a word.
async fn hang(listener: TcpListener) {
    let mut held = Vec::new();
    while let Ok((stream, _)) = listener.accept().await {
        held.push(stream);
    }
}

async fn hanging_servers(count: usize) -> Vec<String> {
    let mut urls = Vec::new();
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        urls.push(format!("http://{}/token", listener.local_addr().unwrap()));
        tokio::spawn(hang(listener));
    }
    urls
}

async fn apply_crowd(namespace: &Namespace, urls: &[String]) {
    namespace.apply(MACHINES).await;
    let manifests: Vec<String> =
        (0..CROWD).map(|at| machine(&format!("crowd-{at}"), "post", &urls[at % urls.len()], "")).collect();
    let applied = manifests.chunks(50).map(|chunk| async move { namespace.apply(&chunk.join("\n---\n")).await });
    futures::future::join_all(applied).await;
}

async fn one_that_works_is_ready_soon(name: &str, servers: usize) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let urls = hanging_servers(servers).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http", "--request-timeout=60s"]).await;
    apply_crowd(&namespace, &urls).await;
    one_more_is_ready_soon(&operator, &namespace, CROWD, &format!("that hang at {servers} servers")).await;
}

/// Beside so many others.
async fn one_more_is_ready_soon(operator: &Operator, namespace: &Namespace, crowd: usize, others: &str) {
    let oidc = Oidc::start(&[]).await;
    // The crowd is under way: as many wait for a reply, or in line, as there are.
    until("the operator knows the crowd", SOON, async || {
        let known = operator.metric("oauth_operator_credentials", &[r#"ready="false""#]).await;
        (known as usize >= crowd).then_some(())
    })
    .await;

    let began = Instant::now();
    namespace.apply(&machine("works", "post", &oidc.token_url(), "")).await;
    namespace.ready("works").await;
    let took = began.elapsed();
    say(&format!("Ready after {took:?} beside {crowd} {others}"));
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_at_one_hanging_server_delay_nobody() {
    one_that_works_is_ready_soon("crowd-one", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_hanging_servers_delay_nobody() {
    one_that_works_is_ready_soon("crowd-many", CROWD).await;
}

/// What mallory wants of servers that hang, mallory waits for. Each address of the loopback net is a server of its own.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_hanging_servers_delay_no_other_namespace() {
    const SERVERS: usize = 2000;
    let cluster = Cluster::shared().await;
    let (victim, mallory) = (cluster.namespace("crowd-victim").await, cluster.namespace("crowd-mallory").await);
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(hang(listener));
    mallory.apply(MACHINES).await;
    let url = |at: usize| format!("http://127.1.{}.{}:{port}/token", at / 200, at % 200 + 1);
    let manifests: Vec<String> = (0..SERVERS).map(|at| machine(&format!("crowd-{at}"), "post", &url(at), "")).collect();
    let applied = manifests.chunks(125).map(|chunk| {
        let mallory = &mallory;
        async move { mallory.apply(&chunk.join("\n---\n")).await }
    });
    futures::future::join_all(applied).await;
    victim.apply(MACHINES).await;
    let operator = Operator::start(&victim, &["--allow-insecure-http", "--namespace=crowd-mallory"]).await;
    one_more_is_ready_soon(&operator, &victim, SERVERS, "servers that hang, of another namespace").await;
}
