//! Restarts the workloads of `spec.rolloutRestart` once their token has changed. Nothing here is in the way of a refresh: what can't be
//! restarted is told of, and tried again later.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    Controller,
    effects::{Answer, Fault},
    key::{Key, WorkloadKey},
    observe::Prepared,
    report::about,
};
use crate::{
    api::{RolloutRestartStatus, RolloutTarget},
    credential::{
        report,
        restart::{RETRY, Restarted, Step, after, annotation, step},
        schedule::later,
    },
    operate::events::EventKind,
};

/// The pause of those whom the limit over all makes wait.
const TURN: Duration = Duration::from_secs(1);

impl Controller {
    /// Restarts what is due; says when to look again.
    pub(super) async fn restart_workloads(&self, key: &Key) -> Answer<Option<Timestamp>> {
        // With the status that the pass has made.
        let Some(prepared) = self.prepare(key) else { return Ok(None) };
        let Ok(checked) = &prepared.checked else { return Ok(None) };
        let now = Timestamp::now();
        let rests = self.memory().restarts_rest_until(key);
        let (mut again, mut tried) = (None, Vec::new());
        for target in &checked.restarts {
            let Some(record) = prepared.status.rollout_restarts.iter().find(|record| record.is_of(target)) else {
                continue;
            };
            let workload = WorkloadKey::of(&key.namespace, target);
            let restarters = self.store().restarters(&workload);
            let at = match step(&prepared.status, target, restarters.iter().map(|(_, status)| status), now) {
                Step::Nothing => continue,
                Step::Wait(at) => at,
                Step::Restart => match rests.filter(|until| *until > now) {
                    Some(until) => until,
                    None if self.restarts.check().is_err() => later(now, TURN),
                    None => {
                        // Those that wait to have it restarted are served by this restart too.
                        let annotations = restarters
                            .iter()
                            .filter_map(|(other, status)| annotation(&other.name, status, target))
                            .collect();
                        let restarted = self.restart(key, &prepared, target, &annotations).await;
                        tried.push(after(
                            record.clone(),
                            restarted,
                            prepared.status.revision,
                            report::whole_seconds(now),
                        ));
                        match restarted {
                            Restarted::Done | Restarted::NotFound => continue,
                            Restarted::Forbidden | Restarted::Refused | Restarted::Unanswered => later(now, RETRY),
                        }
                    }
                },
            };
            again = [again, Some(at)].into_iter().flatten().min();
        }
        if tried.is_empty() {
            return Ok(again);
        }
        let pending = tried.iter().any(|record: &RolloutRestartStatus| record.pending_since.is_some());
        self.memory().rest_restarts(key, pending.then(|| later(now, RETRY)));
        self.write_status(key, &prepared, |status| report::restarted(status, &tried, now)).await?;
        Ok(again)
    }

    async fn restart(
        &self,
        key: &Key,
        prepared: &Prepared,
        target: &RolloutTarget,
        annotations: &BTreeMap<String, String>,
    ) -> Restarted {
        let (kind, name) = (target.kind.name(), &*target.name.0);
        match self.cluster.annotate_pods(&key.namespace, target, annotations).await {
            Ok(()) => {
                tracing::info!(credential = %key, kind, name, "restarted for the new token");
                let note = format!("The {kind} {name} is restarted, since its token has changed.");
                self.events.send(about(key, &prepared.seen), EventKind::Normal, "Restarted", note);
                Restarted::Done
            }
            Err(Fault::NotFound) => Restarted::NotFound,
            Err(Fault::Forbidden) => Restarted::Forbidden,
            Err(Fault::Invalid) => Restarted::Refused,
            Err(Fault::Conflict | Fault::Unanswered) => Restarted::Unanswered,
        }
    }
}
