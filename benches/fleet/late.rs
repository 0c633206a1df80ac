//! How late refreshes are: what statuses promised, beside when the requests arrived.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::{report::percentile, stage::Stage, tokens::Seen};

/// So many statuses are looked at together: a list of thousands would keep the API server from answering the operator meanwhile.
const PAGE: u32 = 100;

/// For when refreshes were planned: what every status said whenever it was looked at.
pub struct Plans<'a> {
    stage: &'a Stage,
    /// Between two pages.
    pause: Duration,
    planned: HashMap<(String, i64), Timestamp>,
}

impl<'a> Plans<'a> {
    /// Of `count` credentials, whose tokens live so long. A plan stands for at least the half of that; each is looked at six times as often.
    pub fn new(stage: &'a Stage, count: usize, lifetime: Duration) -> Self {
        let pause = lifetime / 12 / (count as u32).div_ceil(PAGE);
        Self { stage, pause, planned: HashMap::new() }
    }

    /// Looks at every credential's status, a page at a time, again and again until `end`.
    pub async fn follow(&mut self, end: Timestamp, mut each: impl FnMut()) {
        let mut from = None;
        while Timestamp::now() < end {
            let page = ListParams { limit: Some(PAGE), continue_token: from, ..ListParams::default() };
            let listed = self.stage.namespace.credentials().list(&page).await.unwrap();
            from = listed.metadata.continue_.filter(|token| !token.is_empty());
            for (name, at) in
                listed.items.into_iter().filter_map(|it| Some((it.metadata.name?, it.status?.next_refresh_time?)))
            {
                self.planned.insert((name, at.as_second()), at);
            }
            if from.is_none() {
                each();
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// How late those were that were planned for this time, as figures.
    pub fn late(&self, seen: &Seen, from: Timestamp, to: Timestamp) -> Value {
        let lateness = |((name, _), at): (&(String, i64), &Timestamp)| {
            let at = at.as_millisecond() as u64;
            // A status tells whole seconds: its refresh comes from that second on.
            let arrived = seen.arrivals.get(name)?.iter().find(|arrived| **arrived >= at)?;
            Some((arrived - at) as f64 / 1000.0)
        };
        let planned = self.planned.iter().filter(|(_, at)| (from..to).contains(*at));
        let mut late: Vec<f64> = planned.filter_map(lateness).collect();
        json!({
            "p50": percentile(&mut late, 0.5), "p99": percentile(&mut late, 0.99), "max": percentile(&mut late, 1.0),
            "samples": late.len(),
        })
    }
}

/// How many tokens expired before the next one was asked for, until `end`.
pub fn expired(seen: &Seen, lifetime: Duration, end: Timestamp) -> u64 {
    let life = lifetime.as_millis() as u64;
    let of = |arrivals: &Vec<u64>| {
        let last = *arrivals.last().unwrap();
        let in_between = arrivals.windows(2).filter(|pair| pair[1] - pair[0] > life).count() as u64;
        in_between + u64::from(end.as_millisecond() as u64 > last + life)
    };
    seen.arrivals.values().map(of).sum()
}
