//! What may happen next in the model.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Belief, Bounds,
    process::{Cache, Doing, Process},
    steps::Lag,
    world::{Action, Fault, World},
};
use crate::credential::{rotation::Effect, schedule::later};

impl World {
    pub fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        for pod in 0..self.processes.len() {
            self.actions_of(pod, actions);
        }
        actions.extend(
            (0..self.cluster.under_way.len())
                .filter(|at| self.cluster.admits(&self.cluster.under_way[*at]))
                .map(Action::Arrive),
        );
        let noticed = bounds.belief == Belief::ForEver || !self.is_mistaken();
        if self.may_tick(bounds.horizon) && !self.is_busy() && noticed {
            actions.push(Action::Tick);
        }
        if self.left.people > 0 {
            actions.push(Action::Reseed);
            actions.extend(self.cluster.state.as_ref().map(|_| Action::Consent));
        }
        if self.left.meddlers > 0 && self.cluster.state.is_some() {
            actions.extend([Action::Touch, Action::Delete]);
            actions.extend(self.cluster.backup.as_ref().map(|_| Action::Restore));
        }
    }

    /// Whether something happens by itself before the horizon.
    pub fn may_tick(&self, horizon: Duration) -> bool {
        self.next_event().is_some_and(|at| at <= later(self.start(), horizon))
    }

    fn actions_of(&self, pod: usize, actions: &mut Vec<Action>) {
        let process = &self.processes[pod];
        let other = &self.processes[1 - pod];
        if !process.alive {
            actions.push(Action::Restart(pod));
            return;
        }
        if process.paused {
            actions.push(Action::Resume(pod));
            return;
        }
        if self.left.crashes > 0 {
            actions.push(Action::Crash(pod));
        }
        if self.left.pauses > 0 && !process.is_idle() {
            actions.push(Action::Pause(pod));
        }
        if self.lease != pod && (self.left.handovers > 0 || !other.alive) {
            actions.push(Action::Lead(pod));
        }
        if self.lease != pod && process.leads {
            actions.push(Action::Lose(pod));
        }
        if self.is_due(pod) {
            actions.push(Action::Pass(pod, Lag::None));
            let wakes = matches!(process.doing, Doing::Idle { wake: Some(wake) } if wake <= self.now);
            if wakes && self.left.lags > 0 {
                let fresh = Cache::of(&self.cluster);
                let known = &process.cache;
                actions.extend((known.status != fresh.status).then_some(Action::Pass(pod, Lag::Credential)));
                let secrets = (
                    known.state == fresh.state,
                    known.output == fresh.output,
                    known.seed_version == fresh.seed_version,
                );
                actions.extend((secrets != (true, true, true)).then_some(Action::Pass(pod, Lag::Secrets)));
            }
        }
        if process.is_idle() {
            return;
        }
        actions.push(Action::Effect(pod, None));
        if self.left.faults > 0 {
            actions.extend(self.faults_of(&process.doing).iter().map(|fault| Action::Effect(pod, Some(*fault))));
        }
    }

    fn faults_of(&self, doing: &Doing) -> &'static [Fault] {
        match doing {
            Doing::Idle { .. } => &[],
            Doing::Exchanging(exchanging) => match exchanging.attempt.effect() {
                Effect::Connect => &[],
                Effect::WriteIntent(_) | Effect::SaveReply { .. } => &[Fault::Unanswered, Fault::Refused],
                Effect::ClearIntent(_) | Effect::ReadState { .. } => &[Fault::Unanswered],
                Effect::Send if exchanging.fenced => {
                    &[Fault::Unanswered, Fault::AnswerLost, Fault::Busy, Fault::Refused, Fault::Garbled]
                }
                Effect::Send => &[],
            },
            Doing::Publishing(_) | Doing::Reporting(_) => &[Fault::Unanswered],
        }
    }

    /// Whether a process that leads has a reason to look at the credential.
    pub fn is_due(&self, pod: usize) -> bool {
        let process = &self.processes[pod];
        let Doing::Idle { wake } = process.doing else { return false };
        let up = process.alive && !process.paused && process.leads;
        up && (wake.is_some_and(|wake| wake <= self.now) || process.cache != Cache::of(&self.cluster))
    }

    /// Whether a process that runs has something to do at once.
    pub fn is_busy(&self) -> bool {
        (0..self.processes.len()).any(|pod| {
            let process = &self.processes[pod];
            process.alive && !process.paused && (!process.is_idle() || self.is_due(pod))
        })
    }

    /// Whether a process that runs believes that it leads, and another does.
    fn is_mistaken(&self) -> bool {
        let mistaken = |(pod, process): (usize, &Process)| process.leads && !process.paused && self.lease != pod;
        self.processes.iter().enumerate().any(mistaken)
    }

    /// When something happens by itself.
    pub fn next_event(&self) -> Option<Timestamp> {
        let of_process = |process: &Process| match &process.doing {
            Doing::Idle { wake } if process.alive && process.leads && !process.paused => *wake,
            Doing::Exchanging(exchanging) if process.paused => Some(exchanging.send_by),
            _ => None,
        };
        let expiry = self.cluster.output.as_ref().and_then(|output| output.value.issued.expires_at);
        let events = self.processes.iter().filter_map(of_process).chain(expiry);
        events.filter(|at| *at > self.now).min()
    }
}
