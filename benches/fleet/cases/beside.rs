//! One new credential on a good provider, beside thousands on a provider that hangs and thousands on one that is limited.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    fleet::Fleet,
    stage::Stage,
    support::{SOON, until},
    tokens::Tokens,
};

const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How many new credentials are tried, one after the other.
const SAMPLES: usize = 10;

pub async fn run(crowd: usize) -> Value {
    let stage = Stage::set().await;
    // A server of its own: what one origin may have under way is limited too.
    let silent = Tokens::start().await;
    let hanging = Fleet::new("hanging", crowd, false, silent.path("/hang"));
    let limited = Fleet {
        provider: json!({"rateLimit": {"requests": 2, "per": "1s"}}),
        ..Fleet::new("limited", crowd, false, stage.tokens.token_url(LIFETIME))
    };
    hanging.create(&stage.namespace).await;
    limited.create(&stage.namespace).await;
    let operator = stage.operator().await;
    until("the limited provider's first credentials are Ready", SOON, async || {
        (operator.metric("oauth_operator_refreshes_total", &[r#"outcome="success""#]).await >= 4.0).then_some(())
    })
    .await;
    let mut took = Vec::new();
    for sample in 0..SAMPLES {
        let good = Fleet::new(&format!("good{sample}"), 1, false, stage.tokens.token_url(LIFETIME));
        let name = good.name(0);
        let began = Instant::now();
        good.create(&stage.namespace).await;
        until("the good provider's credential is Ready", Duration::from_secs(60), async || {
            let secret = stage.namespace.secrets().get_metadata_opt(&format!("{name}-token")).await.unwrap();
            secret.map(|_| ())
        })
        .await;
        took.push(began.elapsed().as_secs_f64());
    }
    let last = took.iter().copied().fold(0.0, f64::max);
    json!({"hanging": crowd, "limited": crowd, "seconds_until_ready": took, "slowest_seconds": last})
}
