//! Credentials that were applied before the operator starts: how long until all are Ready, beside what the API server allows.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    limit::{self, Model},
    report::median,
    stage::{Stage, all_ready, kept, used},
    support::Operator,
};

/// Of tokens that are not refreshed meanwhile.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Single-use tokens expire together, for the herd. The first lives so long for each credential: all should be Ready before it is due, a
/// tenth sooner at the most.
const EACH: Duration = Duration::from_millis(12);
const LEAST: Duration = Duration::from_secs(20);
/// The writes of so many credentials tell how fast the API server writes.
const ENOUGH: usize = 5_000;

/// An operator whose credentials are all Ready. It ends before its API server.
pub struct Settled {
    pub operator: Operator,
    pub stage: Stage,
}

/// Gives the last pair's operator as well.
pub async fn run(count: usize, single_use: bool, pairs: usize) -> (Value, Settled) {
    let (mut made, mut last) = (Vec::new(), None);
    for _ in 0..pairs {
        drop(last.take());
        let stage = staged(count, single_use).await;
        let limit = limited(&stage, count, single_use).await;
        let (operator, settled) = operated(stage, count).await;
        let seconds = |of: &Value| of["seconds"].as_f64().unwrap();
        let ratio = seconds(&operator) / seconds(&limit);
        made.push(json!({"operator": operator, "limit": limit, "ratio": ratio}));
        last = Some(settled);
    }
    let settled = last.unwrap();
    made.last_mut().unwrap()["operator"]["settled_mib"] = kept(&settled.operator).await.into();
    let ratios = made.iter().map(|pair| pair["ratio"].as_f64().unwrap()).collect();
    // The one that tells most comes first.
    made.reverse();
    let figures =
        json!({"credentials": count, "single_use": single_use, "ratio_to_limit": median(ratios), "pairs": made});
    (figures, settled)
}

/// Credentials that no operator serves yet.
pub async fn staged(count: usize, single_use: bool) -> Stage {
    let stage = Stage::set().await;
    let url = match single_use {
        true => stage.tokens.url_together((EACH * count as u32).max(LEAST)),
        false => stage.tokens.token_url(LIFETIME),
    };
    Fleet::new("fleet", count, single_use, url).create(&stage.namespace).await;
    stage
}

/// The limit of an API server with those credentials, for as many as them.
async fn limited(stage: &Stage, count: usize, single_use: bool) -> Value {
    let stage = stage.beside("limit").await;
    let url = stage.tokens.token_url(LIFETIME);
    // What the operator writes for one of them is the model of what is written here.
    let model = Fleet::new("model", 1, single_use, url.clone());
    model.create(&stage.namespace).await;
    let one = stage.operator().await;
    all_ready(&stage, &one, 1).await;
    drop(one);
    let model = Model::of(&stage, &model.name(0)).await;
    let written = count.min(ENOUGH);
    let fleet = Fleet::new("limit", written, single_use, url);
    fleet.create(&stage.namespace).await;
    let writes = limit::prepare(&stage, &fleet, &model).await;
    let spent = stage.spent();
    let (took, lanes) = limit::time(&stage, writes).await;
    json!({
        "seconds": took.as_secs_f64() * count as f64 / written as f64, "lanes": lanes,
        "servers_cpu_ms_per_credential": stage.spent_since(&spent, written),
    })
}

/// Starts an operator over `count` credentials that are there, and waits until all are Ready.
pub async fn operated(stage: Stage, count: usize) -> (Value, Settled) {
    let (began, spent) = (Instant::now(), stage.spent());
    let operator = stage.operator().await;
    let started = began.elapsed();
    let took = all_ready(&stage, &operator, count).await - began;
    let seen = stage.tokens.seen().await;
    assert_eq!((seen.issued, seen.replays), (count as u64, 0), "each credential asks once");
    let spent = stage.spent_since(&spent, count);
    let mut figures = used(&operator, count).await;
    figures["servers_cpu_ms_per_credential"] = spent;
    figures["seconds"] = took.as_secs_f64().into();
    figures["seconds_until_it_serves"] = started.as_secs_f64().into();
    (figures, Settled { operator, stage })
}
