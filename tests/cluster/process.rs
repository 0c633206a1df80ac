//! The process: its end, its Lease, its pages.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::manifests::{hover, web};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Namespace, Oidc, Operator, SOON, get, throughout, until};

async fn holder(namespace: &Namespace) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(namespace.client.clone(), &namespace.name);
    let lease = leases.get_opt("oauth-operator").await.unwrap()?;
    lease.spec?.holder_identity.filter(|holder| !holder.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_awaited_at_sigterm_is_saved() {
    let namespace = Cluster::shared().await.namespace("sigterm").await;
    let standin = Standin::start(Hover::default()).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    standin.set_latency(Duration::from_secs(4));
    namespace.apply(&hover("awaited", &standin, "")).await;
    standin.arrived(1).await;
    operator.terminate();
    let status = operator.end(SOON).await;
    assert!(status.success(), "{status}");

    let state = namespace.state("awaited").await;
    assert_eq!((&state["revision"], &state["intent"]), (&1.into(), &serde_json::Value::Null));
    assert!(standin.is_live(&namespace.value("awaited-token", "access_token").await));
    assert_eq!(holder(&namespace).await, None, "the Lease was given up");

    // Its successor finds nothing left to do.
    standin.set_latency(Duration::ZERO);
    operator.resume().await;
    namespace.ready("awaited").await;
    assert_eq!(standin.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_outlives_the_api_server_the_lease_and_sigterm() {
    let cluster = Cluster::start().await;
    let namespace = cluster.namespace("outage").await;
    let standin = Standin::start(Hover::default()).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http", "--lease-duration=10s"]).await;
    standin.set_latency(Duration::from_secs(3));
    namespace.apply(&hover("held", &standin, "")).await;
    standin.arrived(1).await;
    cluster.stop();
    until("the Lease is lost", SOON, async || operator.log().contains("no longer leading").then_some(())).await;
    operator.terminate();
    until("SIGTERM is heard", SOON, async || operator.log().contains("no more work is begun").then_some(())).await;
    throughout("the process holds the reply", Duration::from_secs(3), async || {
        operator.ended().map(|status| format!("it ended with {status}"))
    })
    .await;
    assert_eq!(get(&operator.url("/healthz")).await.unwrap().0, 200, "a liveness probe doesn't end it either");

    cluster.resume();
    let status = operator.end(Duration::from_secs(60)).await;
    assert!(status.success(), "{status}");
    let state = namespace.state("held").await;
    assert_eq!((&state["revision"], &state["intent"]), (&1.into(), &serde_json::Value::Null));

    // What was bought is published by the successor, and not bought again.
    standin.set_latency(Duration::ZERO);
    operator.resume().await;
    namespace.ready("held").await;
    assert_eq!((standin.requests().len(), standin.replays()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_one_leads_and_the_other_takes_over() {
    let namespace = Cluster::shared().await.namespace("replicas").await;
    let oidc = Oidc::start(&["--access-token-ttl", "6"]).await;
    let flags = ["--allow-insecure-http", "--lease-duration=10s"];
    let mut first = Operator::in_pod(&namespace, "first", &flags).await;
    until("the first leads", SOON, async || holder(&namespace).await).await;
    let second = Operator::in_pod(&namespace, "second", &flags).await;
    namespace.apply(&web("shared", &oidc, &oidc.seed("web-post").await, "")).await;
    namespace.revision("shared", 2, SOON).await;
    assert!(holder(&namespace).await.unwrap().starts_with("first_"));
    // A renewal that is late makes it cautious for a moment.
    let leads = async || (first.metric("oauth_operator_leader", &[]).await == 1.0).then_some(());
    until("the first says that it leads", SOON, leads).await;
    assert_eq!(second.metric("oauth_operator_leader", &[]).await, 0.0);
    assert_eq!(second.metric("oauth_operator_refreshes_total", &[]).await, 0.0);

    // Just after a refresh, so that none is under way.
    let revision = namespace.status("shared").await.revision.unwrap();
    namespace.revision("shared", revision + 1, SOON).await;
    first.kill();
    until("the second leads", SOON, async || holder(&namespace).await.filter(|holder| holder.starts_with("second_")))
        .await;
    let revision = namespace.status("shared").await.revision.unwrap();
    namespace.revision("shared", revision + 2, Duration::from_secs(60)).await;
    assert_eq!(oidc.replays().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn even_two_leaders_at_once_spend_no_token_twice() {
    let namespace = Cluster::shared().await.namespace("split-brain").await;
    let oidc = Oidc::start(&["--access-token-ttl", "6"]).await;
    let flags = ["--allow-insecure-http", "--leader-election=false", "--request-timeout=5s"];
    let operators =
        [Operator::in_pod(&namespace, "first", &flags).await, Operator::in_pod(&namespace, "second", &flags).await];
    let names: Vec<String> = (0..10).map(|at| format!("torn-{at}")).collect();
    for (name, seed) in names.iter().zip(oidc.seeds("web-post", names.len()).await) {
        namespace.apply(&web(name, &oidc, &seed, "")).await;
    }
    for name in &names {
        namespace.revision(name, 5, Duration::from_secs(120)).await;
    }
    for operator in &operators {
        assert!(operator.metric("oauth_operator_refreshes_total", &[r#"outcome="success""#]).await > 0.0);
    }
    for entry in oidc.log().await {
        assert!(entry["status"] == 200 && entry["replay"] == false, "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_health_readiness_and_metrics() {
    let namespace = Cluster::shared().await.namespace("pages").await;
    let operator = Operator::start(&namespace, &[]).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&operator.url(path)).await.unwrap().0, 200, "{path}");
    }
    // It is ready as soon as it may become the leader.
    let leads = async || operator.metrics().await.contains("\noauth_operator_leader 1\n").then_some(());
    until("it leads", SOON, leads).await;
    let metrics = operator.metrics().await;
    for series in
        ["oauth_operator_build_info", "oauth_operator_api_requests_total", "oauth_operator_credentials", "# EOF"]
    {
        assert!(metrics.lines().any(|line| line.starts_with(series)), "{series} is missing in\n{metrics}");
    }
    assert_eq!(get(&operator.url("/elsewhere")).await.unwrap().0, 404);
}

/// What is in memory stays there, however the process ends.
#[tokio::test(flavor = "multi_thread")]
async fn no_core_dump_is_made() {
    let namespace = Cluster::shared().await.namespace("core-dumps").await;
    let mut operator = Operator::start(&namespace, &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    assert!(!operator.log().contains("core dumps can't be forbidden"));

    let pid = Pid::from_raw(operator.pid().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::ABORT).unwrap();
    let status = operator.end(SOON).await;
    assert!(status.signal() == Some(Signal::ABORT.as_raw()) && !status.core_dumped(), "{status}");
}

/// It may have as many connections as the kernel lets it, whatever it was started with.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_hang_use_up_no_open_files() {
    let namespace = Cluster::shared().await.namespace("open-files").await;
    let before = getrlimit(Resource::Nofile);
    let less = before.maximum.map_or(65_536, |most| most - 1);
    setrlimit(Resource::Nofile, Rlimit { current: Some(less), ..before }).unwrap();
    let operator = Operator::start(&namespace, &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = files.split_whitespace().skip(3).take(2).collect::<Vec<_>>()[..] else { panic!("{files}") };
    assert_eq!(soft, hard);
    assert_ne!(soft, less.to_string());
}
