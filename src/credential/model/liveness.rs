//! How a run ends once nothing more goes wrong: what is broken is mended, one process leads, and everything that can go on does.

use std::time::Duration;

use super::{
    ledger::{FALSE_ALARM, Fate, STRANDED, tokens},
    process::hash,
    server::Token,
    world::{Action, World},
};
use crate::api::{ConditionStatus, ConditionType, Reason};

/// Steps after which a run that hasn't come to rest never will.
const MOST_STEPS: usize = 200;

impl World {
    /// At the end of a run (nothing is left to do within the horizon): notes whether it ends well.
    pub fn check_end(&mut self, horizon: Duration) {
        if !self.is_busy()
            && !self.may_tick(horizon)
            && let Some(broken) = self.outcome()
        {
            self.ledger.breaks(broken);
        }
    }

    /// What is wrong with how the run ends from here.
    fn outcome(&self) -> Option<&'static str> {
        let mut world = self.clone();
        world.left = Default::default();
        for pod in 0..world.processes.len() {
            if world.processes[pod].paused {
                world.apply(Action::Resume(pod));
            }
            if !world.processes[pod].alive {
                world.apply(Action::Restart(pod));
            }
            world.processes[pod].leads &= world.lease == pod;
        }
        for _ in 0..MOST_STEPS {
            let Some(action) = world.go_on() else { break };
            world.apply(action);
            if world.ledger.broken.is_some() {
                return world.ledger.broken;
            }
        }
        world.judge()
    }

    /// Goes on, with nothing going wrong, until the first token is about to be refreshed.
    pub fn issue_first(&mut self) {
        while let Some(action) = self.go_on() {
            self.apply(action);
        }
        self.apply(Action::Tick);
    }

    /// What happens next, when nothing goes wrong. None: a token serves, or nothing happens any more.
    fn go_on(&self) -> Option<Action> {
        for (pod, process) in self.processes.iter().enumerate() {
            if !process.is_idle() {
                return Some(Action::Effect(pod, None));
            }
            if self.is_due(pod) {
                return Some(Action::Pass(pod, super::steps::Lag::None));
            }
        }
        let ready = self.says(ConditionType::Ready).is_some_and(|(holds, _)| holds);
        (!ready && self.next_event().is_some()).then_some(Action::Tick)
    }

    fn says(&self, type_: ConditionType) -> Option<(bool, &str)> {
        let conditions = &self.cluster.status.value.conditions;
        let found = conditions.iter().find(|condition| condition.type_ == type_)?;
        Some((found.status == ConditionStatus::True, &found.reason))
    }

    pub fn asks_for_a_person(&self) -> bool {
        self.says(ConditionType::Stalled) == Some((true, Reason::AuthorizationRequired.as_str()))
    }

    pub fn judge(&self) -> Option<&'static str> {
        let ready = self.says(ConditionType::Ready).is_some_and(|(holds, _)| holds);
        if !self.asks_for_a_person() {
            return (!ready).then_some(STRANDED);
        }
        let record = &self.cluster.state.as_ref()?.value;
        // Rule 7: an older state was put in its place.
        let published = self.cluster.output.as_ref().map(|output| output.value.published.revision);
        if record.revision < published.max(self.cluster.status.value.revision).unwrap_or(0) {
            return None;
        }
        // The token to go on with: the newest that is kept, or the input's, where a person has put another there since. Of a family
        // whose state somebody took away before the status told of it, nobody can know how far it has come.
        let input = hash(&self.cluster.seed.value.text());
        let replaced = record.seed_hash.as_ref() != Some(&input) && !record.is_spent(&input);
        let kept = if replaced { vec![self.cluster.seed.value] } else { tokens(record) };
        let family = |token: &&Token| replaced || token.family == self.ledger.family;
        let newest = kept.iter().filter(family).max().filter(|token| !self.ledger.untold.contains(&token.family));
        // What the server has refused, be it by mistake, is not for the operator to doubt.
        let refused =
            |token: &&Token| self.ledger.sent.iter().any(|sent| sent.token == **token && sent.fate == Fate::NotSpent);
        let works = |token: &Token| self.server.accepts(*token, self.now);
        newest.filter(|token| !refused(token)).is_some_and(works).then_some(FALSE_ALARM)
    }
}
