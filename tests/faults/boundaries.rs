//! SIGKILL at each boundary between two effects of a refresh: within each effect, and just after it took effect. What the next
//! process makes of it is in docs/rotation.md.

use std::net::SocketAddr;

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::manifests::{hover, hover_seeded};
use crate::support::proxy::{Fault, Proxy, Write};
use crate::support::standin::{self, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Conditions, Namespace, Operator, SOON};

/// What the next process finds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// Nothing was sent, and nothing says so: it asks.
    Asks,
    /// What was received is in the state: it publishes that, and asks for nothing.
    Publishes,
    /// An intent is open, and only the dead process knew what became of it: it waits until the token is about to expire.
    Waits,
}

/// A credential that has its first token, and what it stands between.
struct Stage {
    namespace: Namespace,
    standin: Standin,
    proxy: Proxy,
    operator: Operator,
}

impl Stage {
    async fn set(name: &str, flags: &[&str]) -> Self {
        let cluster = Cluster::shared().await;
        let namespace = cluster.namespace(name).await;
        let standin = Standin::start(Hover::default()).await;
        let proxy = Proxy::start(cluster).await;
        let flags: Vec<&str> = ["--allow-insecure-http"].iter().chain(flags).copied().collect();
        let operator = Operator::behind(&proxy, &namespace, &flags).await;
        namespace.apply(&hover("it", &standin, "")).await;
        namespace.ready("it").await;
        Self { namespace, standin, proxy, operator }
    }

    async fn refresh(&self) {
        self.namespace.request_refresh("it", "2026-01-01T00:00:00Z").await;
    }

    /// Kills the operator; after the next one has come to `then`, the token server has had `sent` refreshes.
    async fn kill(mut self, then: Then, sent: usize) {
        let what = self.namespace.name.clone();
        self.operator.kill();
        self.operator.resume().await;
        check(then, &self.namespace).await;
        assert_eq!(self.standin.requests().len(), 1 + sent, "{what}: {then:?}");
        assert_eq!(self.standin.replays(), 0, "{what}");
        if then != Then::Waits {
            assert!(self.standin.is_live(&self.namespace.value("it-token", "access_token").await), "{what}");
        }
    }
}

async fn check(then: Then, namespace: &Namespace) {
    let what = &namespace.name;
    if then == Then::Waits {
        let credential = namespace.reason("it", ConditionType::Refreshed, "OutcomeUnknown").await;
        assert!(credential.is(ConditionType::Ready), "{what}: the published token still serves");
        assert!(!credential.is(ConditionType::Stalled), "{what}");
        assert_eq!(credential.status.unwrap().revision, Some(1), "{what}");
    } else {
        let credential = namespace.revision("it", 2, SOON).await;
        assert!(credential.is(ConditionType::Ready) && credential.is(ConditionType::Refreshed), "{what}");
        assert_eq!(namespace.state("it").await["intent"], Value::Null, "{what}");
    }
}

/// Dies where these writes are spoilt, the last of which is stalled.
async fn killed_at(name: &str, flags: &[&str], spoilt: &[(Write, Fault)], then: Then, sent: usize) {
    let stage = Stage::set(name, flags).await;
    for (write, fault) in spoilt {
        stage.proxy.spoil("it", *write, *fault);
    }
    stage.refresh().await;
    stage.proxy.caught().await;
    assert_eq!(stage.proxy.left(), 0, "{name}");
    stage.kill(then, sent).await;
}

/// The next process leads at once: the tests that leave this out wait for the Lease of the dead one.
const ALONE: &[&str] = &["--leader-election=false"];

/// In the middle of the handshake.
#[tokio::test(flavor = "multi_thread")]
async fn at_connect() {
    let namespace = Cluster::shared().await.namespace("killed-connecting").await;
    let (standin, ca) = Standin::start_tls(Hover::default()).await;
    let ca_file = namespace.dir.join("killed-connecting-ca.pem");
    std::fs::write(&ca_file, ca).unwrap();
    let (address, connected) = hesitant(standin.url().trim_start_matches("https://").parse().unwrap()).await;
    let ca_flag = format!("--ca-file={}", ca_file.display());
    let mut operator = Operator::start(&namespace, &[&ca_flag, ALONE[0]]).await;
    let url = format!("https://{address}{}", standin.token_url().trim_start_matches(standin.url()));
    namespace.apply(&hover_seeded("it", &url, &standin.seed(), "")).await;
    connected.await.unwrap();
    operator.kill();
    assert!(namespace.secret("it-oauth-state").await.is_none(), "there is no intent before the connection stands");
    operator.resume().await;
    namespace.ready("it").await;
    assert_eq!((standin.requests().len(), standin.replays()), (1, 0));
}

/// Relays connections to `target`, but for the first, which it accepts, tells, and leaves alone.
async fn hesitant(target: SocketAddr) -> (SocketAddr, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let _held = listener.accept().await.unwrap();
        tell.send(()).unwrap();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    (address, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_intent() {
    killed_at("killed-before-intent", &[], &[(Write::Intent, Fault::StallBefore)], Then::Asks, 1).await;
    killed_at("killed-after-intent", &[], &[(Write::Intent, Fault::StallAfter)], Then::Waits, 0).await;
}

/// The token server has the request, and never looks at it; or it has taken the token, and never says so.
#[tokio::test(flavor = "multi_thread")]
async fn at_send() {
    for (name, fault) in [
        ("killed-sending", standin::Fault::Before(Symptom::Hang)),
        ("killed-receiving", standin::Fault::After(Symptom::Hang)),
    ] {
        let stage = Stage::set(name, ALONE).await;
        stage.standin.inject(fault);
        stage.refresh().await;
        stage.standin.arrived(2).await;
        stage.kill(Then::Waits, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_save_reply() {
    killed_at("killed-before-save", ALONE, &[(Write::State, Fault::StallBefore)], Then::Waits, 1).await;
    killed_at("killed-after-save", ALONE, &[(Write::State, Fault::StallAfter)], Then::Publishes, 1).await;
}

/// The answer to a write was lost, and the read that would settle it is never answered.
#[tokio::test(flavor = "multi_thread")]
async fn at_read_state() {
    let (lost, read) = (Fault::ResetAfter, (Write::ReadBack, Fault::StallBefore));
    killed_at("killed-reading-intent", ALONE, &[(Write::Intent, lost), read], Then::Waits, 0).await;
    killed_at("killed-reading-saved", ALONE, &[(Write::State, lost), read], Then::Publishes, 1).await;
    let refused = Fault::ResetBefore;
    killed_at("killed-reading-unsaved", ALONE, &[(Write::State, refused), read], Then::Waits, 1).await;
}

/// The token server said that nothing was spent, and the intent is to be taken back.
#[tokio::test(flavor = "multi_thread")]
async fn at_clear_intent() {
    for (name, fault, then, sent) in [
        ("killed-before-clearing", Fault::StallBefore, Then::Waits, 1),
        ("killed-after-clearing", Fault::StallAfter, Then::Asks, 2),
    ] {
        let stage = Stage::set(name, ALONE).await;
        stage.standin.inject(standin::Fault::Before(Symptom::Answer(Reply::json(429, &json!({})))));
        stage.proxy.spoil("it", Write::State, fault);
        stage.refresh().await;
        stage.proxy.caught().await;
        stage.kill(then, sent).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_output() {
    killed_at("killed-before-output", ALONE, &[(Write::Output, Fault::StallBefore)], Then::Publishes, 1).await;
    killed_at("killed-after-output", ALONE, &[(Write::Output, Fault::StallAfter)], Then::Publishes, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_status() {
    killed_at("killed-before-status", ALONE, &[(Write::Status, Fault::StallBefore)], Then::Publishes, 1).await;
    killed_at("killed-after-status", ALONE, &[(Write::Status, Fault::StallAfter)], Then::Publishes, 1).await;
}
