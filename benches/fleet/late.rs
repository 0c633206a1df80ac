//! How late refreshes are: what statuses promised, beside when the requests arrived.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::{report::percentile, stage::Stage, tokens::Seen};

/// For when refreshes were planned: what every status said whenever it was looked at.
#[derive(Default)]
pub struct Plans(HashMap<(String, i64), Timestamp>);

impl Plans {
    /// Looks at every credential's status, again and again until `end`. A plan stands for at least the half of a lifetime.
    pub async fn follow(&mut self, stage: &Stage, lifetime: Duration, end: Timestamp, mut each: impl FnMut()) {
        while Timestamp::now() < end {
            let listed = stage.namespace.credentials().list(&ListParams::default()).await.unwrap().items;
            for (name, at) in
                listed.into_iter().filter_map(|it| Some((it.metadata.name?, it.status?.next_refresh_time?)))
            {
                self.0.insert((name, at.as_second()), at);
            }
            each();
            tokio::time::sleep(lifetime / 12).await;
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
        let planned = self.0.iter().filter(|(_, at)| (from..to).contains(*at));
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
