//! Credentials that were applied before the operator starts: how long until all are Ready, beside what the API server allows.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    limit::{self, Model},
    report::median,
    stage::{Stage, all_ready, used},
};

/// Of tokens that are not refreshed meanwhile.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

pub async fn run(count: usize, single_use: bool, pairs: usize) -> Value {
    let mut made = Vec::new();
    for _ in 0..pairs {
        made.push(pair(count, single_use).await);
    }
    let ratios = made.iter().map(|pair| pair["ratio"].as_f64().unwrap()).collect();
    json!({"credentials": count, "single_use": single_use, "ratio_to_limit": median(ratios), "pairs": made})
}

async fn pair(count: usize, single_use: bool) -> Value {
    let operator = operated(count, single_use).await;
    let stage = Stage::set().await;
    let url = stage.tokens.token_url(LIFETIME);
    // What the operator writes for one of them is the model of what is written here.
    let model = Fleet::new("model", 1, single_use, url.clone());
    model.create(&stage.namespace).await;
    let one = stage.operator().await;
    all_ready(&stage, &one, 1).await;
    drop(one);
    let model = Model::of(&stage, &model.name(0)).await;
    let fleet = Fleet::new("limit", count, single_use, url);
    fleet.create(&stage.namespace).await;
    let (limit, lanes) = limit::time(&stage, &fleet, &model).await;
    let seconds = operator["seconds"].as_f64().unwrap();
    json!({
        "operator": operator,
        "limit": {"seconds": limit.as_secs_f64(), "lanes": lanes},
        "ratio": seconds / limit.as_secs_f64(),
    })
}

async fn operated(count: usize, single_use: bool) -> Value {
    let stage = Stage::set().await;
    let fleet = Fleet::new("fleet", count, single_use, stage.tokens.token_url(LIFETIME));
    fleet.create(&stage.namespace).await;
    let began = Instant::now();
    let operator = stage.operator().await;
    let started = began.elapsed();
    let took = all_ready(&stage, &operator, count).await - began;
    let seen = stage.tokens.seen().await;
    assert_eq!((seen.issued, seen.replays), (count as u64, 0), "each credential asks once");
    let mut figures = used(&operator, count).await;
    figures["seconds"] = took.as_secs_f64().into();
    figures["seconds_until_it_serves"] = started.as_secs_f64().into();
    figures
}
