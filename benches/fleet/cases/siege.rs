//! Strangers at the pages of consent, who bring them 10,000 bad requests a second: what is refused, what that costs, and how late refreshes
//! are meanwhile, beside those of the same time without strangers.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    Size,
    fleet::Fleet,
    late::{Plans, expired},
    process,
    stage::{Stage, all_ready},
    support::{free_port, siege::Siege},
};

/// Requests a second.
const RATE: u32 = 10_000;

pub async fn run(size: Size) -> Value {
    let (count, lifetime, time) = match size {
        Size::Smoke => (20, Duration::from_secs(6), Duration::from_secs(4)),
        Size::Usual | Size::Full => (200, Duration::from_secs(20), Duration::from_secs(20)),
    };
    let stage = Stage::set().await;
    let fleet = Fleet::new("besieged", count, false, stage.tokens.token_url(lifetime));
    fleet.create(&stage.namespace).await;
    let address = format!("127.0.0.1:{}", free_port());
    let pages = [format!("--listen={address}"), format!("--public-url=http://{address}")];
    let operator = stage.operator_with(&pages.each_ref().map(String::as_str)).await;
    all_ready(&stage, &operator, count).await;

    let pid = operator.pid();
    let mut plans = Plans::new(&stage, count, lifetime);
    let (quiet, cpu) = (Timestamp::now(), process::cpu(pid));
    plans.follow(quiet + time, || {}).await;
    let (began, cpu_before, peak) = (Timestamp::now(), process::cpu(pid), process::peak(pid));
    let siege = Siege::lay(&address, Some(RATE));
    plans.follow(began + time, || {}).await;
    let (answered, took) = siege.lift().await;
    let (end, cpu_after) = (Timestamp::now(), process::cpu(pid));
    // Those that are late come still.
    plans.follow(end + lifetime, || {}).await;

    let seen = stage.tokens.seen().await;
    let refreshes = cpu_before - cpu;
    let spent = (cpu_after - cpu_before).saturating_sub(refreshes);
    json!({
        "credentials": count, "lifetime_seconds": lifetime.as_secs(), "seconds": took.as_secs_f64(),
        "offered_per_second": RATE, "requests_per_second": answered as f64 / took.as_secs_f64(),
        "late_seconds": plans.late(&seen, began, end),
        "late_seconds_without": plans.late(&seen, quiet, began),
        "expired": expired(&seen, lifetime, Timestamp::now()),
        "cpu_ms_per_request": spent.as_secs_f64() * 1000.0 / answered.max(1) as f64,
        "peak_growth_mib": process::peak(pid) - peak, "peak_mib": process::peak(pid),
    })
}
