//! A restart over credentials whose tokens are fresh: nothing is written, nothing is asked for. Then an operator with nothing to do.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    process,
    stage::{Stage, all_ready, requests, settled, used},
    support::SOON,
};

const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long the idle operator is watched.
const IDLE: Duration = Duration::from_secs(20);

pub async fn run(count: usize) -> Value {
    let stage = Stage::set().await;
    Fleet::new("fleet", count, false, stage.tokens.token_url(LIFETIME)).create(&stage.namespace).await;
    let mut operator = stage.operator().await;
    all_ready(&stage, &operator, count).await;
    operator.terminate();
    assert!(operator.end(SOON * 2).await.success());
    let asked = stage.tokens.seen().await.issued;

    let began = Instant::now();
    operator.resume().await;
    let took = settled(&operator).await - began;
    let mut figures = used(&operator, count).await;
    figures["seconds"] = took.as_secs_f64().into();
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
    figures
}
