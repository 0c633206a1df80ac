//! One pass over one credential: observe → validate → decide → apply → report. The only thing that differs between two
//! passes is the plan.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::{
    Controller,
    consent::Consented,
    effects::{Answer, Fault},
    exchange::Exchanged,
    gate::{LaneId, Rate},
    key::Key,
    observe::{Prepared, StateView, View, jitter},
    report::expiry,
};
use crate::{
    api::{RateLimit, Reason},
    credential::{
        checked::{Checked, Grant},
        consent::is_needed,
        decide::{Exchange, Plan, decide},
        observed::{OutputSeen, Problem},
        published::{Publication, PublishedToken},
        report::{Outcome, Pass},
        rotation::Keeps,
        schedule::later,
    },
};

/// Where a finalizer is asked for, and may not be set.
const FORBIDDEN_FINALIZER: &str = "The operator may not set the finalizer that revocationPolicy OnDelete needs: grant it patch on oauthcredentials, or leave out revocationPolicy.";

/// Reads and repairs that one pass makes at most, before it lets others go first.
const MOST_STEPS: usize = 8;

/// What is to become of a credential after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again then (None: when something changes).
    At(Option<Timestamp>),
    /// It waits at the gate, or for its issuer, and will be woken. Meanwhile look again then, for the flip of Ready.
    Parked(Option<Timestamp>),
    /// Look again at once.
    Again,
    /// It is gone.
    Gone,
}

/// A place among the passes that are under way. It is given up when an exchange begins: the gate bounds those.
pub type Seat = Option<OwnedSemaphorePermit>;

/// What one step of a pass came to.
enum Step {
    /// Something was read or repaired: decide again.
    Go,
    Done(Next),
}

impl Controller {
    /// Looks at a credential, and does what is to be done. What few credentials need is boxed, so that it takes no room in the passes
    /// of all.
    pub(super) async fn pass(&self, key: &Key, seat: &mut Seat) -> Answer<Next> {
        let mut known: Option<Box<Prepared>> = None;
        for _ in 0..MOST_STEPS {
            let prepared = match known.take().filter(|prepared| self.still_holds(key, prepared)) {
                Some(prepared) => Some(prepared),
                None => self.prepare(key),
            };
            let Some(prepared) = prepared else {
                self.gate.leave(key);
                self.memory().forget(key);
                return Ok(Next::Gone);
            };
            if prepared.seen.deleting {
                return Box::pin(self.let_go(key, &prepared, seat)).await;
            }
            // Before a token is asked for that would have to be revoked.
            match self.hold(key, &prepared).await {
                Ok(false) => {}
                Ok(true) => continue,
                Err(Fault::Forbidden) => {
                    let problem = Problem::stalled(Reason::NotAllowed, FORBIDDEN_FINALIZER);
                    return self.settle(key, &prepared, Outcome::Held(problem), None).await;
                }
                Err(fault) => return Err(fault),
            }
            if let Ok(checked) = &prepared.checked
                && prepared.seen.revoke_requested.is_some()
                && let Some(next) = Box::pin(self.revoke_as_asked(key, &prepared, checked, seat)).await?
            {
                return Ok(next);
            }
            let step = match &prepared.checked {
                Err(problem) => {
                    self.settle(key, &prepared, Outcome::Held(problem.clone()), None).await.map(Step::Done)?
                }
                Ok(checked) => self.step(key, &prepared, checked, seat).await?,
            };
            match step {
                Step::Go => known = Some(prepared),
                Step::Done(Next::At(at)) => {
                    let restarts = match &prepared.checked {
                        Ok(checked) if checked.restarts.is_empty() => None,
                        _ => Box::pin(self.restart_workloads(key)).await?,
                    };
                    return Ok(Next::At([at, restarts].into_iter().flatten().min()));
                }
                Step::Done(next) => return Ok(next),
            }
        }
        Ok(Next::Again)
    }

    async fn step(&self, key: &Key, prepared: &Prepared, checked: &Checked, seat: &mut Seat) -> Answer<Step> {
        let view = self.view(key, prepared, checked);
        let consented = match checked.grant {
            Grant::AuthorizationCode { .. } => Box::pin(self.consent(key, prepared, checked, &view, seat)).await?,
            _ => Consented::Later(None),
        };
        let later = match consented {
            Consented::Go => return Ok(Step::Go),
            Consented::Done(next) => return Ok(Step::Done(next)),
            Consented::ReadInputs => return self.read_what_is_missing(key, prepared, checked, &view).await,
            Consented::Later(at) => at,
        };
        let lineage = Uuid::new_v4().to_string();
        let (plan, needs_person) = {
            let observed = view.observed(prepared, self);
            let plan = decide(&checked.rules, &observed, &lineage);
            let needed = is_needed(&plan, &observed);
            (plan, needed)
        };
        let polls = match checked.grant {
            Grant::DeviceCode { .. } => {
                match Box::pin(self.device(key, prepared, checked, &view, needs_person, seat)).await? {
                    Consented::Go => return Ok(Step::Go),
                    Consented::Done(next) => return Ok(Step::Done(next)),
                    Consented::ReadInputs => return self.read_what_is_missing(key, prepared, checked, &view).await,
                    Consented::Later(at) => at,
                }
            }
            _ => None,
        };
        let later = [later, polls].into_iter().flatten().min();
        Ok(match self.follow(key, prepared, checked, &view, plan, seat).await? {
            Step::Done(Next::At(at)) => Step::Done(Next::At([at, later].into_iter().flatten().min())),
            step => step,
        })
    }

    /// Reads the inputs, and has the issuer's metadata read.
    async fn read_what_is_missing(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
    ) -> Answer<Step> {
        self.read_inputs(checked, false).await?;
        if let Some(pause) = self.discovery_pause(key, checked) {
            return self.hold_back(key, prepared, view, pause).await.map(Step::Done);
        }
        match self.discover(key, checked) {
            true => self.wait_in_line(key, prepared, view).await.map(Step::Done),
            false => Ok(Step::Go),
        }
    }

    async fn follow(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        plan: Plan,
        seat: &mut Seat,
    ) -> Answer<Step> {
        match plan {
            Plan::ReadState => self.read_state(key).await.map(|()| Step::Go),
            Plan::ReadInputs => self.read_what_is_missing(key, prepared, checked, view).await,
            Plan::Rest { until } => self.settle(key, prepared, Outcome::Rested, until).await.map(Step::Done),
            Plan::Hold { problem, until } => {
                self.settle(key, prepared, Outcome::Held(problem), until).await.map(Step::Done)
            }
            Plan::Publish => self.republish(key, prepared, checked, view).await,
            Plan::Exchange(plan) => self.ask(key, prepared, checked, view, plan, seat).await.map(Step::Done),
        }
    }

    /// Writes the output from the state.
    async fn republish(&self, key: &Key, prepared: &Prepared, checked: &Checked, view: &View) -> Answer<Step> {
        let StateView::Read { record, .. } = &view.state else { return Ok(Step::Go) };
        let Some(issued) = &record.issued else { return Ok(Step::Go) };
        let publication = Publication::of(record, issued);
        match self.publish(key, prepared, checked, view, publication).await? {
            Ok(token) => {
                // A crash between the state and the status: what the status hasn't heard of is news.
                let fresh = record.revision > prepared.status.revision.unwrap_or(0);
                let outcome = Outcome::Published { token, fresh };
                self.settle(key, prepared, outcome, prepared.status.next_refresh_time).await.map(|_| Step::Go)
            }
            // Should nothing change before the token expires, the next one is asked for all the same: the grant is kept alive.
            Err(problem) => self.settle(key, prepared, Outcome::Held(problem), issued.expires_at).await.map(Step::Done),
        }
    }

    /// Asks for a token, when the gate lets it.
    async fn ask(
        &self,
        key: &Key,
        prepared: &Prepared,
        checked: &Checked,
        view: &View,
        plan: Exchange,
        seat: &mut Seat,
    ) -> Answer<Next> {
        // Its issuer was asked meanwhile.
        let refreshes = plan.base.as_ref().is_some_and(|base| base.refresh_token.is_some());
        let Some(lane) = lane(checked, refreshes) else { return Ok(Next::Again) };
        if let Some(pause) = self.gate.pause(key, checked.tokens()) {
            return self.hold_back(key, prepared, view, pause).await;
        }
        let Some(permit) = self.gate.enter(key, &lane, plan.deadline) else {
            return self.wait_in_line(key, prepared, view).await;
        };
        // From here on the gate bounds it.
        drop(seat.take());
        let mut permit = permit;
        match self.exchange(key, prepared, checked, view, plan, &mut permit).await? {
            Exchanged::Outcome(outcome) => {
                let outcome = *outcome;
                // Received, saved, and not to be published: the next step says until when.
                let saved = matches!(outcome, Outcome::Held(_)) && checked.rules.keeps != Keeps::Nothing;
                let next = match &outcome {
                    Outcome::Published { token, .. } => self.next_refresh(prepared, checked, token),
                    Outcome::Failed { retry, .. } => *retry,
                    Outcome::LegFailed { .. } => prepared.status.next_refresh_time,
                    Outcome::Held(_) | Outcome::Rested => None,
                };
                // The main token, and the other additional ones, go on.
                let goes_on = saved || matches!(outcome, Outcome::LegFailed { .. });
                let settled = self.settle(key, prepared, outcome, next).await?;
                Ok(if goes_on { Next::Again } else { settled })
            }
            Exchanged::Superseded => Ok(Next::Again),
            Exchanged::Gone => Ok(Next::Gone),
        }
    }

    /// When the schedule asks for the token after this one.
    pub(super) fn next_refresh(
        &self,
        prepared: &Prepared,
        checked: &Checked,
        token: &PublishedToken,
    ) -> Option<Timestamp> {
        let jitter = jitter(&prepared.seen.uid, Some(token.revision), None);
        token.next_refresh(&checked.rules.policy, &prepared.status, jitter)
    }

    /// The gate is full, or the issuer is asked: meanwhile Ready still flips at the expiry.
    pub(super) async fn wait_in_line(&self, key: &Key, prepared: &Prepared, view: &View) -> Answer<Next> {
        let flips =
            prepared.seen.is_ready() && prepared.status.expiration_time.is_some_and(|expires| expires <= view.now);
        if flips {
            self.record(key, prepared, Outcome::Rested, prepared.status.next_refresh_time).await?;
        }
        Ok(Next::Parked(expiry(&prepared.status, view.now)))
    }

    /// It has asked too often: meanwhile Ready still flips at the expiry.
    async fn hold_back(&self, key: &Key, prepared: &Prepared, view: &View, pause: Duration) -> Answer<Next> {
        let waits = self.wait_in_line(key, prepared, view).await?;
        let Next::Parked(flips) = waits else { return Ok(waits) };
        Ok(Next::At([flips, Some(later(view.now, pause))].into_iter().flatten().min()))
    }

    /// Records what a pass came to, and says when to look again.
    pub(super) async fn settle(
        &self,
        key: &Key,
        prepared: &Prepared,
        outcome: Outcome,
        next: Option<Timestamp>,
    ) -> Answer<Next> {
        self.gate.leave(key);
        let until = self.record(key, prepared, outcome, next).await?;
        Ok(Next::At(until))
    }

    async fn record(
        &self,
        key: &Key,
        prepared: &Prepared,
        outcome: Outcome,
        next: Option<Timestamp>,
    ) -> Answer<Option<Timestamp>> {
        let now = Timestamp::now();
        let attempted = matches!(outcome, Outcome::Published { fresh: true, .. } | Outcome::Failed { .. });
        let pass = Pass {
            now,
            generation: prepared.seen.generation,
            current: matches!(outcome, Outcome::Published { .. }) || self.is_current(key, prepared),
            outcome,
            next,
            authorization: self.authorization(key, prepared),
            restarts: prepared.checked.as_ref().ok().map(|checked| checked.restarts.as_slice()),
            handled: prepared.seen.refresh_requested.as_deref().filter(|_| attempted),
            output_name: &prepared.output_name,
        };
        let after = self.report(key, prepared, &pass).await?;
        Ok([next, expiry(&after, now)].into_iter().flatten().min())
    }

    /// Whether the output holds the newest token, obtained under the spec as it is now.
    fn is_current(&self, key: &Key, prepared: &Prepared) -> bool {
        matches!(self.output_seen(key, prepared), OutputSeen::Ours(published)
            if published.asked_under.spec == prepared.spec_hash && Some(published.revision) == prepared.status.revision)
    }
}

/// Where a credential's exchanges queue. None: the endpoint isn't known.
pub fn lane(checked: &Checked, refreshes: bool) -> Option<LaneId> {
    let limit = checked.rate_limit.as_ref().and_then(|(name, limit)| Some((name.clone(), rate(limit)?)));
    Some(LaneId { origin: checked.origin(refreshes)?, limit })
}

fn rate(limit: &RateLimit) -> Option<Rate> {
    let per = crate::duration::parse(&limit.per)?;
    let requests = std::num::NonZeroU32::new(limit.requests)?;
    let burst = limit.burst.and_then(std::num::NonZeroU32::new).unwrap_or(requests);
    Some(Rate { requests, per, burst })
}
