//! Two replicas. The one that leads stands still in mid-exchange, past its Lease; the other takes over; the first one wakes
//! up where it was. No refresh token is sent twice, and what was received is kept.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use oauth_operator::api::ConditionType;
use serde_json::Value;

use crate::manifests::hover;
use crate::support::proxy::{Fault, Proxy, Write};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Operator, Place, SOON, throughout, until};

const FLAGS: [&str; 3] = ["--allow-insecure-http", "--lease-duration=10s", "--request-timeout=2s"];
const GRACE: Duration = Duration::from_secs(120);

/// Where the leader stands still.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    /// It has connected, and its intent is on the way to the API server.
    Connected,
    /// The intent is written, and it doesn't know yet.
    Intended,
    /// The reply waits in its socket.
    Sent,
    /// It holds the reply, and its write is on the way to the API server.
    Received,
}

struct Scene {
    namespace: Namespace,
    standin: Standin,
    proxy: Proxy,
    first: Operator,
    _second: Operator,
}

/// The first replica stands still at that point of a refresh, and the second one leads.
async fn stopped(at: At, name: &str, hover_server: Hover) -> Scene {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace(name).await;
    let standin = Standin::start(hover_server.clone()).await;
    let proxy = Proxy::start(cluster).await;
    let place = Place { pod: Some("first"), proxy: Some(&proxy), ..Place::default() };
    let first = Operator::placed(&namespace, place, &FLAGS).await;
    let mut manifest = hover("it", &standin, "");
    if let Some(grace) = hover_server.reuse_grace_period {
        let tokens = format!("  provider:\n    refreshTokens: {{reuseGracePeriod: {}s}}\n", grace.as_secs());
        manifest = manifest.replace("  provider:\n", &tokens);
    }
    namespace.apply(&manifest).await;
    namespace.ready("it").await;
    let second = Operator::in_pod(&namespace, "second", &FLAGS).await;

    match at {
        At::Connected => proxy.spoil("it", Write::Intent, Fault::StallBefore),
        At::Intended => proxy.spoil("it", Write::Intent, Fault::StallAfter),
        At::Sent => standin.set_latency(Duration::from_secs(1)),
        At::Received => proxy.spoil("it", Write::State, Fault::StallBefore),
    }
    namespace.request_refresh("it", "2026-01-01T00:00:00Z").await;
    match at {
        At::Sent => standin.arrived(2).await,
        At::Connected | At::Intended | At::Received => proxy.caught().await,
    }
    first.pause();
    until("the second leads", SOON, async || leads(&namespace, "second").await.then_some(())).await;
    standin.set_latency(Duration::ZERO);
    Scene { namespace, standin, proxy, first, _second: second }
}

async fn leads(namespace: &Namespace, pod: &str) -> bool {
    let leases: Api<Lease> = Api::namespaced(namespace.client.clone(), &namespace.name);
    let lease = leases.get_opt("oauth-operator").await.unwrap();
    let holder = lease.and_then(|lease| lease.spec?.holder_identity).unwrap_or_default();
    holder.starts_with(&format!("{pod}_"))
}

impl Scene {
    fn wake(&self) {
        self.proxy.release();
        self.first.wake();
    }

    /// One refresh was made in the end, with this many requests in all and no replay, and that is the end of it.
    async fn ends_with(&self, requests: usize) {
        let credential = self
            .namespace
            .credential_until("it", "refreshed", SOON, |credential| {
                credential.status.as_ref().and_then(|status| status.revision) == Some(2)
                    && credential.is(ConditionType::Refreshed)
            })
            .await;
        assert!(credential.is(ConditionType::Ready));
        throughout("nothing more is sent", Duration::from_secs(2), async || {
            let sent = self.standin.requests().len();
            (sent != requests).then(|| format!("{sent} requests"))
        })
        .await;
        assert_eq!(self.standin.replays(), 0);
        let token = self.namespace.value("it-token", "access_token").await;
        assert!(self.standin.is_live(&token));
        let state = self.namespace.state("it").await;
        assert_eq!((&state["intent"], &state["revision"]), (&Value::Null, &2.into()));
        assert_eq!(state["issued"]["accessToken"], token.as_str());
    }

    /// The second one has found an intent whose outcome it can't know, and holds back.
    async fn second_holds_back(&self, requests: usize) {
        let credential = self.namespace.reason("it", ConditionType::Refreshed, "OutcomeUnknown").await;
        assert!(credential.is(ConditionType::Ready));
        assert_eq!(self.standin.requests().len(), requests);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_stopped_before_its_intent_sends_nothing_when_it_wakes() {
    let scene = stopped(At::Connected, "stopped-connected", Hover::default()).await;
    scene.ends_with(2).await;
    scene.wake();
    scene.ends_with(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_stopped_after_its_intent_withdraws_it_when_it_wakes() {
    let scene = stopped(At::Intended, "stopped-intended", Hover::default()).await;
    scene.second_holds_back(1).await;
    scene.wake();
    // It is the second that asks: the first one's fence is closed, and it doesn't lead.
    scene.ends_with(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_waits_for_a_stopped_leader_is_kept_when_it_wakes() {
    let scene = stopped(At::Sent, "stopped-sent", Hover::default()).await;
    scene.second_holds_back(2).await;
    scene.wake();
    scene.ends_with(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_stopped_before_its_save_saves_when_it_wakes() {
    let scene = stopped(At::Received, "stopped-received", Hover::default()).await;
    scene.second_holds_back(2).await;
    scene.wake();
    scene.ends_with(2).await;
}

/// Within a grace the second one needn't wait. What the first one holds is another successor of the same token: it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn within_a_grace_both_replies_are_kept() {
    let server = Hover { reuse_grace_period: Some(GRACE), ..Hover::default() };
    let scene = stopped(At::Received, "stopped-grace", server).await;
    scene.ends_with(3).await;
    scene.wake();
    let state = until("the first one's reply is kept", SOON, async || {
        let state = scene.namespace.state("it").await;
        (!state["candidates"].as_array().unwrap().is_empty()).then_some(state)
    })
    .await;
    assert_eq!(state["candidates"].as_array().unwrap().len(), 1);
    scene.ends_with(3).await;
}
