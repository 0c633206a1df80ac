//! Credentials whose tokens expire in the same second, found by an operator that was away: how late the last one is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    report::percentile,
    stage::{Stage, all_ready, requests},
    support::SOON,
};

/// The first token lives so long for each credential, and all expire with it: long enough for all to be Ready and the operator to be
/// gone before the first is due, at two thirds of that.
const EACH: Duration = Duration::from_millis(12);
const LEAST: Duration = Duration::from_secs(20);

pub async fn run(count: usize) -> Value {
    let stage = Stage::set().await;
    let lifetime = (EACH * count as u32).max(LEAST).as_secs();
    let fleet = Fleet::new("herd", count, true, stage.tokens.path(&format!("/together/{lifetime}")));
    fleet.create(&stage.namespace).await;
    let mut operator = stage.operator().await;
    all_ready(&stage, &operator, count).await;
    operator.terminate();
    assert!(operator.end(SOON * 2).await.success());

    // All are due at once when it comes back: their tokens have expired.
    let end = stage.tokens.seen().await.end.unwrap() as i64;
    let left = end + 1 - jiff::Timestamp::now().as_second();
    tokio::time::sleep(Duration::from_secs(left.max(0) as u64)).await;
    let (began, start) = (Instant::now(), jiff::Timestamp::now().as_millisecond() as u64);
    operator.resume().await;
    let took = all_ready(&stage, &operator, count).await - began;
    let seen = stage.tokens.seen().await;
    let mut late: Vec<f64> = seen
        .arrivals
        .values()
        .filter_map(|arrivals| {
            Some(arrivals.iter().find(|arrived| **arrived >= start)?.saturating_sub(start) as f64 / 1000.0)
        })
        .collect();
    assert_eq!(late.len(), count);
    json!({
        "credentials": count, "seconds": took.as_secs_f64(), "replays": seen.replays,
        "asked_after_seconds": {"p50": percentile(&mut late, 0.5), "p99": percentile(&mut late, 0.99), "max": percentile(&mut late, 1.0)},
        "requests": requests(&operator).await,
    })
}
