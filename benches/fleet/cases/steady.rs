//! Credentials with short lives, for some time: how late each refresh is against the time that was planned for it, and whether any
//! token expired.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    Size,
    fleet::Fleet,
    late::{Plans, expired},
    process,
    report::slope,
    stage::{Stage, all_ready},
};

pub async fn run(size: Size) -> Value {
    let (count, lifetime, minutes) = match size {
        Size::Smoke => (200, Duration::from_secs(16), 0.3),
        Size::Usual => (10_000, Duration::from_secs(300), 6.0),
        Size::Full => (10_000, Duration::from_secs(300), 30.0),
    };
    let stage = Stage::set().await;
    let fleet = Fleet::new("steady", count, false, stage.tokens.token_url(lifetime));
    fleet.create(&stage.namespace).await;
    let began = Timestamp::now();
    let operator = stage.operator().await;
    all_ready(&stage, &operator, count).await;

    let pid = operator.pid();
    let cpu = process::cpu(pid);
    let end = began + Duration::from_secs_f64(minutes * 60.0);
    let (mut plans, mut memory) = (Plans::new(&stage, count, lifetime), Vec::new());
    plans
        .follow(end, || {
            let elapsed = Timestamp::now().duration_since(began).as_secs_f64();
            memory.push((elapsed / 3600.0, process::resident(pid)));
        })
        .await;
    let spent = process::cpu(pid) - cpu;
    let seen = stage.tokens.seen().await;
    let refreshes = seen.issued.saturating_sub(count as u64);
    json!({
        "credentials": count, "lifetime_seconds": lifetime.as_secs(), "minutes": minutes, "refreshes": refreshes,
        "late_seconds": plans.late(&seen, Timestamp::MIN, end),
        "expired": expired(&seen, lifetime, end),
        "cpu_ms_per_refresh": spent.as_secs_f64() * 1000.0 / (refreshes.max(1)) as f64,
        "settled_mib": process::resident(pid), "peak_mib": process::peak(pid),
        "memory_mib_per_hour": slope(&memory),
    })
}
