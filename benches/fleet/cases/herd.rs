//! Credentials whose tokens expire in the same second, found by an operator that was away: how late the last one is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cold::Settled;
use crate::{
    report::percentile,
    stage::{all_ready, requests},
};

/// The operator, which has left, comes back once all `count` tokens have expired: all are due at once.
pub async fn come_back(settled: Settled, count: usize) -> Value {
    let Settled { mut operator, stage } = settled;
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
