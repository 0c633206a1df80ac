//! A server that hangs delays nobody else, however many wait for it.

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
    let oidc = Oidc::start(&[]).await;
    let urls = hanging_servers(servers).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http", "--request-timeout=60s"]).await;
    apply_crowd(&namespace, &urls).await;
    // The crowd is under way: as many wait for a reply, or in line, as there are.
    until("the operator knows the crowd", SOON, async || {
        let known = operator.metric("oauth_operator_credentials", &[r#"ready="false""#]).await;
        (known as usize >= CROWD).then_some(())
    })
    .await;

    let began = Instant::now();
    namespace.apply(&machine("works", "post", &oidc.token_url(), "")).await;
    namespace.ready("works").await;
    let took = began.elapsed();
    say(&format!("Ready after {took:?} beside {CROWD} that hang at {servers} servers"));
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
