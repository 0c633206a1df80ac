//! Credentials with short lives, for some time: how late each refresh is against the time that was planned for it, and whether any
//! token expired.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    Size,
    fleet::Fleet,
    process,
    report::{percentile, slope},
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
    let operator = stage.operator().await;
    all_ready(&stage, &operator, count).await;

    let pid = operator.pid();
    let (cpu, began) = (process::cpu(pid), Timestamp::now());
    let end = began + Duration::from_secs_f64(minutes * 60.0);
    let (mut planned, mut memory) = (HashMap::<(String, i64), Timestamp>::new(), Vec::new());
    // What the status promises is read often enough to see each plan: a plan stands for at least the half of a lifetime.
    while Timestamp::now() < end {
        for (name, at) in plans(&stage).await {
            planned.insert((name, at.as_second()), at);
        }
        let elapsed = Timestamp::now().duration_since(began).as_secs_f64();
        memory.push((elapsed / 3600.0, process::resident(pid)));
        tokio::time::sleep(lifetime / 12).await;
    }
    let spent = process::cpu(pid) - cpu;
    let seen = stage.tokens.seen().await;

    let (mut late, mut expired) = (Vec::new(), 0_u64);
    for ((name, _), at) in &planned {
        let Some(arrivals) = seen.arrivals.get(name) else { continue };
        let at = at.as_millisecond() as u64;
        // A status tells whole seconds: its refresh comes from that second on.
        if let Some(arrived) = arrivals.iter().copied().find(|arrived| *arrived >= at) {
            late.push((arrived - at) as f64 / 1000.0);
        }
    }
    for arrivals in seen.arrivals.values() {
        let life = lifetime.as_millis() as u64;
        expired += arrivals.windows(2).filter(|pair| pair[1] - pair[0] > life).count() as u64;
        let last = *arrivals.last().unwrap();
        expired += u64::from(end.as_millisecond() as u64 > last + life);
    }
    let refreshes = seen.issued.saturating_sub(count as u64);
    json!({
        "credentials": count, "lifetime_seconds": lifetime.as_secs(), "minutes": minutes, "refreshes": refreshes,
        "late_seconds": {
            "p50": percentile(&mut late, 0.5), "p99": percentile(&mut late, 0.99), "max": percentile(&mut late, 1.0),
            "samples": late.len(),
        },
        "expired": expired,
        "cpu_ms_per_refresh": spent.as_secs_f64() * 1000.0 / (refreshes.max(1)) as f64,
        "settled_mib": process::resident(pid), "peak_mib": process::peak(pid),
        "memory_mib_per_hour": slope(&memory),
    })
}

/// When each credential is to be refreshed next, by its status.
async fn plans(stage: &Stage) -> Vec<(String, Timestamp)> {
    let listed = stage.namespace.credentials().list(&kube::api::ListParams::default()).await.unwrap().items;
    let plan = listed.into_iter().filter_map(|it| Some((it.metadata.name?, it.status?.next_refresh_time?)));
    plan.collect()
}
