//! A wall clock that jumps by an hour, either way, and an API server that is away for an hour. Leases and fences are by a
//! clock that can't be set; what is planned by the wall clock is planned anew. Needs faketime.

use std::time::Duration;

use serde_json::Value;

use crate::manifests::hover;
use crate::shape::{assert_same, settled};
use crate::support::proxy::{Fault, Proxy, Write};
use crate::support::standin::{Hover, Reply, Standin, Symptom};
use crate::support::{Clock, Cluster, Namespace, Operator, Place, SOON, throughout, until};

const HOUR: i64 = 3600;
const FLAGS: [&str; 3] = ["--allow-insecure-http", "--lease-duration=10s", "--request-timeout=5s"];

struct Scene {
    namespace: Namespace,
    standin: Standin,
    proxy: Proxy,
    clock: Clock,
    operator: Operator,
}

/// None: there is no faketime.
async fn started(name: &str, lifetime: Duration) -> Option<Scene> {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace(name).await;
    let clock = Clock::new(&namespace)?;
    let standin = Standin::start(Hover { access_token_lifetime: lifetime, ..Hover::default() }).await;
    let proxy = Proxy::start(cluster).await;
    let place = Place { proxy: Some(&proxy), clock: Some(&clock), ..Place::default() };
    let operator = Operator::placed(&namespace, place, &FLAGS).await;
    Some(Scene { namespace, standin, proxy, clock, operator })
}

impl Scene {
    async fn quiet(&self, requests: usize) {
        throughout("nothing more is sent", Duration::from_secs(2), async || {
            let sent = self.standin.requests().len();
            (sent != requests).then(|| format!("{sent} requests, not {requests}"))
        })
        .await;
        assert_eq!(self.standin.replays(), 0);
    }
}

/// Four hours of tokens: an hour forward makes nothing due, an hour back makes it unknown how old the token is.
#[tokio::test(flavor = "multi_thread")]
async fn a_jump_between_two_refreshes() {
    let Some(scene) = started("jump-between", Duration::from_hours(4)).await else { return };
    let Scene { namespace, standin, clock, .. } = &scene;
    namespace.apply(&hover("only", standin, "")).await;
    namespace.ready("only").await;
    clock.set(HOUR);
    scene.quiet(1).await;
    namespace.request_refresh("only", "2026-01-01T00:00:00Z").await;
    namespace.revision("only", 2, SOON).await;
    scene.quiet(2).await;
    // Its token is of the future now: when to refresh it isn't known any more.
    clock.set(0);
    let credential = namespace.revision("only", 3, SOON).await;
    let status = credential.status.unwrap();
    assert!(status.last_refresh_time.unwrap() <= jiff::Timestamp::now(), "by the clock that is right");
    scene.quiet(3).await;
    clock.set(-HOUR);
    namespace.revision("only", 4, SOON).await;
    scene.quiet(4).await;
    assert_eq!(namespace.state("only").await["intent"], Value::Null);
}

/// Just before the first byte, with the intent written.
#[tokio::test(flavor = "multi_thread")]
async fn a_jump_before_the_fence() {
    for (name, offset) in [("jump-fence-forward", HOUR), ("jump-fence-back", -HOUR)] {
        let Some(scene) = started(name, Duration::from_hours(4)).await else { return };
        let Scene { namespace, standin, clock, proxy, .. } = &scene;
        namespace.apply(&hover("only", standin, "")).await;
        namespace.ready("only").await;
        proxy.spoil("only", Write::Intent, Fault::StallAfter);
        namespace.request_refresh("only", "2026-01-01T00:00:00Z").await;
        proxy.caught().await;
        clock.set(offset);
        proxy.release();
        namespace.revision("only", 2, SOON).await;
        scene.quiet(2).await;
        assert_eq!(namespace.state("only").await["intent"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_while_a_reply_is_awaited() {
    for (name, offset) in [("jump-reply-forward", HOUR), ("jump-reply-back", -HOUR)] {
        let Some(scene) = started(name, Duration::from_hours(4)).await else { return };
        let Scene { namespace, standin, clock, .. } = &scene;
        standin.set_latency(Duration::from_secs(2));
        namespace.apply(&hover("only", standin, "")).await;
        standin.arrived(1).await;
        clock.set(offset);
        standin.set_latency(Duration::ZERO);
        namespace.ready("only").await;
        // The reply of before a jump back is of the future: another one is asked for.
        let expected = if offset < 0 { 2 } else { 1 };
        namespace.revision("only", expected, SOON).await;
        scene.quiet(expected as usize).await;
    }
}

/// A pause that was planned by a clock an hour ahead ends when that clock is put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_waits_no_hour_because_the_clock_was_put_right() {
    let Some(scene) = started("jump-failing", Duration::from_hours(4)).await else { return };
    let Scene { namespace, standin, clock, operator, .. } = &scene;
    clock.set(HOUR);
    for _ in 0..3 {
        let limited = Reply::empty(429).header("retry-after", "20");
        standin.inject(crate::support::standin::Fault::Before(Symptom::Answer(limited)));
    }
    namespace.apply(&hover("only", standin, "")).await;
    namespace.reason("only", oauth_operator::api::ConditionType::Refreshed, "RateLimited").await;
    clock.set(0);
    standin.arrived(2).await;
    assert!(operator.log().contains("set back"));
    assert_eq!(standin.replays(), 0);
}

/// A Lease is by a clock that can't be set: nobody else leads because of a jump, and the leader goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_jump_costs_no_leadership() {
    let Some(scene) = started("jump-lease", Duration::from_secs(10)).await else { return };
    let Scene { namespace, standin, clock, operator, .. } = &scene;
    let second = Operator::in_pod(namespace, "second", &FLAGS).await;
    namespace.apply(&hover("only", standin, "")).await;
    namespace.ready("only").await;
    for offset in [HOUR, -HOUR] {
        clock.set(offset);
        let revision = namespace.status("only").await.revision.unwrap();
        namespace.revision("only", revision + 2, SOON).await;
    }
    assert_eq!(second.metric("oauth_operator_refreshes_total", &[]).await, 0.0);
    assert!(operator.metric("oauth_operator_refreshes_total", &[]).await >= 4.0);
    assert_eq!(standin.replays(), 0);
}

/// The API server is away for an hour, at whose end a refresh is due.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_without_the_api_server() {
    let mut shapes = Vec::new();
    for (name, away) in [("hour-here", false), ("hour-away", true)] {
        let Some(scene) = started(name, Duration::from_mins(90)).await else { return };
        let Scene { namespace, standin, clock, proxy, operator } = &scene;
        namespace.apply(&hover("only", standin, "")).await;
        namespace.ready("only").await;
        if away {
            proxy.go_away();
            until("the Lease is lost", SOON, async || operator.log().contains("no longer leading").then_some(())).await;
        }
        clock.set(HOUR);
        if away {
            scene.quiet(1).await;
            proxy.come_back();
        }
        namespace.revision("only", 2, SOON * 2).await;
        scene.quiet(2).await;
        shapes.push(settled(namespace, "only").await);
    }
    assert_same(&shapes[1], &shapes[0], "away for an hour");
}
