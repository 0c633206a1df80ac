//! Credentials whose tokens expire in the same second, found by an operator that was away: how late the last one is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    report::percentile,
    stage::{Stage, all_ready, requests},
    support::SOON,
};

/// `lifetime` is long enough for all to be Ready, and for the operator to be gone when they are due.
pub async fn run(count: usize, lifetime: Duration) -> Value {
    let stage = Stage::set().await;
    let fleet = Fleet::new("herd", count, true, stage.tokens.token_url(lifetime));
    fleet.create(&stage.namespace).await;
    let mut operator = stage.operator().await;
    all_ready(&stage, &operator, count).await;
    operator.terminate();
    assert!(operator.end(SOON * 2).await.success());

    // All are due at once when it comes back: their tokens have expired.
    let seen = stage.tokens.seen().await;
    let newest = seen.arrivals.values().filter_map(|arrivals| arrivals.last()).max().copied().unwrap();
    let wait = (newest + lifetime.as_millis() as u64).saturating_sub(jiff::Timestamp::now().as_millisecond() as u64);
    tokio::time::sleep(Duration::from_millis(wait)).await;
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
