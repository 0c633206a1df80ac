//! A restart over credentials whose tokens are fresh: nothing is written, nothing is asked for. Then an operator with nothing to do, and
//! what it costs to read its metrics when they tell of each credential.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cold::Settled;
use crate::{
    process,
    stage::{kept, requests, settled, used},
    support::Operator,
};

/// How long the idle operator is watched.
const IDLE: Duration = Duration::from_secs(20);
/// How often its metrics are read.
const SCRAPES: u32 = 5;

pub async fn run(count: usize, settled_before: Settled) -> Value {
    let Settled { mut operator, stage } = settled_before;
    operator.leave().await;
    let asked = stage.tokens.seen().await.issued;

    let began = Instant::now();
    operator.resume().await;
    let took = settled(&operator).await - began;
    let mut figures = used(&operator, count).await;
    figures["seconds"] = took.as_secs_f64().into();
    figures["settled_mib"] = kept(&operator).await.into();
    let writes = |requests: &Value| -> f64 {
        let counts = requests.as_object().unwrap().iter();
        let writes = counts.filter(|(what, _)| {
            !["list", "watch", "get"].contains(&what.split(' ').next().unwrap()) && !what.ends_with(" leases")
        });
        writes.filter_map(|(_, count)| count.as_f64()).fold(0.0, |sum, count| sum + count)
    };
    figures["writes"] = writes(&figures["requests"]).into();
    figures["refreshes"] = (stage.tokens.seen().await.issued - asked).into();

    let (before, cpu) = (requests(&operator).await, process::cpu(operator.pid()));
    tokio::time::sleep(IDLE).await;
    let (after, spent) = (requests(&operator).await, process::cpu(operator.pid()) - cpu);
    let sum = |counts: &Value| counts.as_object().unwrap().values().filter_map(Value::as_f64).sum::<f64>();
    let hours = IDLE.as_secs_f64() / 3600.0;
    figures["idle"] = json!({
        "requests_per_hour": (sum(&after) - sum(&before)) / hours,
        "cpu_seconds_per_hour": spent.as_secs_f64() / hours,
    });
    figures["scrape"] = scraped(&mut operator).await;
    figures
}

/// Another process, as it is installed: its metrics tell of each credential.
async fn scraped(operator: &mut Operator) -> Value {
    operator.leave().await;
    operator.replace_flags(&["--allow-insecure-http"]);
    operator.resume().await;
    settled(operator).await;
    let (began, cpu, mut size) = (Instant::now(), process::cpu(operator.pid()), 0);
    for _ in 0..SCRAPES {
        size = operator.metrics().await.len();
    }
    let (took, spent) = (began.elapsed() / SCRAPES, (process::cpu(operator.pid()) - cpu) / SCRAPES);
    json!({
        "seconds": took.as_secs_f64(), "cpu_ms": spent.as_secs_f64() * 1000.0, "size_mib": size as f64 / 1_048_576.0,
        "peak_mib": process::peak(operator.pid()), "settled_mib": kept(operator).await,
    })
}
