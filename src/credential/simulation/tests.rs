use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::credential::report::whole_seconds;

/// From five seconds to ninety days, short ones as likely as long ones; or for ever.
fn lifetimes() -> impl Strategy<Value = Option<Duration>> {
    let some =
        (0.0_f64..=1.0).prop_map(|at| Some(Duration::from_secs((5.0 * (7_776_000.0_f64 / 5.0).powf(at)) as u64)));
    prop_oneof![9 => some, 1 => Just(None)]
}

fn policies() -> impl Strategy<Value = RefreshPolicy> {
    let seconds = |most: u64| (1..most).prop_map(Duration::from_secs);
    let margin = prop_oneof![
        Just(Margin::Default),
        seconds(10_000).prop_map(Margin::Before),
        (1_u8..=90).prop_map(Margin::Percent),
    ];
    let idle = (20_u64..5_000_000).prop_map(Duration::from_secs);
    (margin, option::weighted(0.3, seconds(5_000)), any::<bool>(), option::weighted(0.3, idle)).prop_map(
        |(margin, earliest, revokes_access_token, idle_lifetime)| RefreshPolicy {
            margin,
            earliest,
            revokes_access_token,
            idle_lifetime,
            lifetime: None,
        },
    )
}

fn answers() -> impl Strategy<Value = Answer> {
    let asked = || option::of(1_u64..4_000);
    prop_oneof![
        Just(Answer::Token),
        Just(Answer::Unreachable),
        asked().prop_map(Answer::ServerError),
        asked().prop_map(Answer::RateLimited),
        Just(Answer::InvalidGrant),
        Just(Answer::InvalidClient),
        any::<bool>().prop_map(|carried_out| Answer::Lost { carried_out }),
    ]
}

fn worlds() -> impl Strategy<Value = World> {
    let keeps = prop_oneof![Just(Keeps::Nothing), Just(Keeps::SingleUse)];
    let grace = option::weighted(0.3, (1_u64..600).prop_map(Duration::from_secs));
    (keeps, policies(), lifetimes(), grace).prop_map(|(keeps, policy, lifetime, grace)| {
        let idle_lifetime = policy.idle_lifetime.filter(|_| keeps != Keeps::Nothing);
        World::new(keeps, RefreshPolicy { idle_lifetime, ..policy }, lifetime, grace)
    })
}

/// When the next request is due, in seconds after the last one, by the words of the design. None: never.
fn due(policy: RefreshPolicy, lifetime: Option<Duration>) -> Option<(f64, f64)> {
    let planned = lifetime.map(|lifetime| {
        let all = lifetime.as_secs_f64();
        let left = match policy.margin {
            Margin::Nothing => 0.0,
            Margin::Before(before) if before >= lifetime => all / 2.0,
            Margin::Before(before) => before.as_secs_f64(),
            Margin::Percent(percent) => all * f64::from(percent) / 100.0,
            Margin::Default if policy.revokes_access_token => (all / 20.0).clamp(30.0, 60.0).min(all / 2.0),
            Margin::Default => (all / 3.0).max((all / 2.0).min(120.0)),
        };
        let share = if policy.margin == Margin::Default { 4.0 } else { 10.0 };
        let spread = if policy.revokes_access_token { 0.0 } else { (all - left) / share };
        (all - left - spread, all - left)
    });
    let idle = policy.idle_lifetime.map_or(f64::INFINITY, |idle| idle.as_secs_f64() / 2.0);
    let (from, to) = planned.unwrap_or((f64::INFINITY, f64::INFINITY));
    let all = lifetime.map_or(f64::INFINITY, |lifetime| lifetime.as_secs_f64());
    let earliest = policy.earliest.map_or(0.0, |earliest| earliest.as_secs_f64());
    // Whole seconds in the status, the time a reply takes, and the least pause of all.
    let from = from.min(idle).max(earliest).min(all - 1.0);
    let to = to.min(idle).max(earliest + 2.0).max(5.0_f64.min(all / 2.0)).min(all);
    to.is_finite().then_some((from - 1.0, to))
}

impl World {
    fn expects_ready(&self) -> bool {
        let unexpired = self.status.expiration_time.is_none_or(|expires| expires > self.now);
        let current = matches!(&self.output, OutputSeen::Ours(published)
            if published.asked_under.spec == self.asked_under.spec && Some(published.revision) == self.status.revision);
        unexpired && current
    }

    /// A pass, and what must hold after every one.
    fn checked_pass(&mut self) {
        let before = self.requests.len();
        self.pass();
        assert_eq!(self.condition(ConditionType::Ready).map(|(holds, _)| holds), Some(self.expects_ready()));
        let holds = |type_| self.condition(type_).is_some_and(|(holds, _)| holds);
        assert!(!(holds(ConditionType::Stalled) && holds(ConditionType::Reconciling)));
        assert!(!(holds(ConditionType::Ready) && holds(ConditionType::Reconciling)));
        assert_eq!(self.status.observed_generation, Some(self.generation));
        assert!(self.status.conditions.iter().all(|condition| condition.observed_generation == self.generation));
        // Ready flips at the expiry itself.
        if let Some(expires) = self.status.expiration_time.filter(|_| holds(ConditionType::Ready)) {
            assert!(self.wake.is_some_and(|wake| wake <= expires), "nobody looks when the token expires");
        }
        assert!(!self.rules.suspend || self.requests.len() == before, "a request in spite of suspend");
        self.restarts_unnoticed();
    }

    /// A process that begins now, with what is in the cluster, changes nothing and plans the same.
    fn restarts_unnoticed(&self) {
        if self.wake.is_some_and(|wake| wake <= self.now) {
            return;
        }
        let mut other = self.clone();
        other.restart();
        other.pass();
        assert_eq!(other.requests.len(), self.requests.len(), "a restart makes a request");
        assert_eq!(other.status, self.status, "a restart writes a status");
        // Where a failure's pause was rounded up to a whole second, the first look is a moment early.
        let early =
            |wake: Option<Timestamp>| wake.map(|wake| wake.as_second() + i64::from(wake.subsec_nanosecond() > 0));
        assert_eq!(early(other.wake), early(self.wake), "a restart plans another time");
    }

    /// Passes over what is due, until `enough`, or nothing is left to do.
    fn run(&mut self, enough: impl Fn(&World) -> bool) {
        for _ in 0..2_000 {
            let Some(wake) = self.wake.filter(|_| !enough(self)) else { return };
            self.now = wake.max(self.now);
            self.checked_pass();
        }
        panic!("no end: {:?}", self.status);
    }

    fn gap(&self, at: usize) -> f64 {
        between(self.requests[at].at, self.requests[at + 1].at).as_secs_f64()
    }
}

fn check_gap(world: &World, at: usize, in_a_row: i32, obtained: Option<Timestamp>) {
    let Some(failure) = &world.requests[at].failure else {
        let (from, to) = due(world.rules.policy, world.server.lifetime).expect("nothing was due");
        let gap = world.gap(at);
        assert!((from..=to + 0.001).contains(&gap), "{gap} is not in {from}..{to}");
        return;
    };
    let gap = world.gap(at);
    let asked = failure.retry_after().map_or(0.0, |asked| asked.as_secs_f64());
    // Since the last token, a refresh token may have been spent.
    let unanswered = world.requests[..=at].iter().rev().map_while(|request| request.failure.as_ref());
    let unknown = world.rules.keeps == Keeps::SingleUse && unanswered.into_iter().any(|f| f.spent() == Spent::Unknown);
    let left = obtained.zip(world.server.lifetime).map(|(obtained, lifetime)| {
        between(world.requests[at].at, later(whole_seconds(obtained), lifetime)).as_secs_f64()
    });
    assert!(gap >= asked, "Retry-After {asked} is not obeyed: {gap}");
    match failure.class() {
        Class::Backoff
            if unknown && world.rules.reuse_grace_period.is_none() && left.is_some_and(|left| left > 121.0) =>
        {
            let lifetime = world.server.lifetime.unwrap().as_secs_f64();
            assert!(
                gap >= left.unwrap() - (lifetime / 10.0).min(120.0) - 1.0,
                "replayed while the token serves: {gap}"
            );
        }
        Class::Backoff => {
            let backoff = (5.0 * 2.0_f64.powi(in_a_row - 1)).min(300.0);
            let urgent = left.filter(|left| *left > 0.0).map_or(backoff, |left| (left / 4.0).max(5.0));
            assert!(gap >= backoff.min(urgent) / 2.0 - 0.001, "{gap} after {in_a_row} failures, {left:?} s left");
            assert!(unknown || gap <= backoff.max(asked) + 1.001, "{gap} is longer than asked for");
        }
        Class::Person if world.rules.keeps != Keeps::Nothing => {
            // Only another token, out of the state, may have been sent: at once.
            assert!(gap == 0.0 && world.rules.reuse_grace_period.is_some(), "a refused token was sent again");
        }
        Class::Person | Class::Hourly => assert!(gap >= 3600.0 && (unknown || gap <= 3961.0), "{gap} is not hourly"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// While the server answers: one request for each expiry, in the margin, one status write each, Ready throughout.
    #[test]
    fn a_server_that_answers_is_asked_once_for_each_expiry(mut world in worlds()) {
        world.checked_pass();
        world.run(|world| world.requests.len() >= 6 || world.condition(ConditionType::Ready) != Some((true, "Issued")));
        let expected = due(world.rules.policy, world.server.lifetime);
        prop_assert_eq!(world.requests.len(), if expected.is_some() { 6 } else { 1 });
        prop_assert_eq!(world.patches as usize, world.requests.len());
        (0..world.requests.len() - 1).for_each(|at| check_gap(&world, at, 0, None));
        prop_assert_eq!(world.condition(ConditionType::Refreshed), Some((true, "Issued")));
        prop_assert_eq!(world.condition(ConditionType::Stalled), None);
    }

    /// While it doesn't: no request sooner than its failure allows, and each failure says what it is.
    #[test]
    fn a_server_that_fails_is_left_in_peace(mut world in worlds(), script in vec(answers(), 1..12)) {
        world.server.script = script.into();
        world.checked_pass();
        world.run(|world| world.server.script.is_empty() && world.requests.last().is_some_and(|r| r.failure.is_none()));
        let (mut in_a_row, mut obtained) = (0, None);
        for at in 0..world.requests.len() {
            match world.requests[at].failure {
                None => (in_a_row, obtained) = (0, Some(world.requests[at].at)),
                // Several refresh tokens that are tried at once are one attempt.
                Some(_) => in_a_row += i32::from(world.requests.get(at + 1).is_none_or(|_| world.gap(at) > 0.0)),
            }
            if at + 1 < world.requests.len() {
                check_gap(&world, at, in_a_row, obtained);
            }
        }
        let last = world.requests.last().unwrap();
        let lost = last.failure.as_ref().is_some_and(|failure| failure.class() == Class::Person);
        prop_assert!(last.failure.is_none() || lost, "gave up after {:?}", last.failure);
        if last.failure.is_none() {
            prop_assert_eq!(world.condition(ConditionType::Refreshed), Some((true, "Issued")));
            prop_assert_eq!(world.status.failed_attempts, None);
        } else {
            prop_assert_eq!(world.condition(ConditionType::Stalled), Some((true, "AuthorizationRequired")));
            prop_assert_eq!(world.condition(ConditionType::Refreshed), Some((false, "InvalidGrant")));
            prop_assert_eq!(world.status.next_refresh_time, None);
        }
    }

    /// Whatever went before: a changed spec is tried at once, a person's request once, and nothing while suspended.
    #[test]
    fn changes_are_obeyed_at_once(mut world in worlds(), script in vec(answers(), 0..8), passes in 1_usize..20) {
        world.server.script = script.into();
        world.checked_pass();
        for _ in 1..passes {
            let Some(wake) = world.wake else { break };
            world.now = wake.max(world.now);
            world.checked_pass();
        }
        world.server.script.clear();
        world.server.grace = Some(Duration::MAX);

        let mut suspended = world.clone();
        (suspended.rules.suspend, suspended.generation) = (true, world.generation + 1);
        suspended.checked_pass();
        suspended.run(|_| false);
        prop_assert_eq!(suspended.condition(ConditionType::Refreshed), Some((false, "Suspended")));
        prop_assert_eq!(suspended.status.next_refresh_time, None);
        (suspended.rules.suspend, suspended.generation) = (false, world.generation + 2);
        suspended.asked_under.spec = "s2".into();
        suspended.checked_pass();
        // What may be spent is not sent again while the published token serves, whatever the spec says.
        let open = world.state.as_ref().is_some_and(|(record, _)| record.intent.is_some());
        prop_assert!(open || suspended.requests.len() == world.requests.len() + 1);

        let mut changed = world.clone();
        (changed.asked_under.spec, changed.generation) = ("s2".into(), world.generation + 1);
        changed.checked_pass();
        prop_assert!(open || changed.requests.len() == world.requests.len() + 1);
        prop_assert!(open || changed.condition(ConditionType::Ready) == Some((true, "Issued")));

        let lost = world.condition(ConditionType::Stalled).is_some_and(|(_, reason)| reason == "AuthorizationRequired");
        let limited = world.condition(ConditionType::Refreshed).is_some_and(|(_, reason)| reason == "RateLimited");
        let mut asked = world.clone();
        asked.requested = Some("2026-01-01T00:00:00Z".into());
        asked.checked_pass();
        if !open {
            let more = usize::from(!lost && !limited);
            prop_assert_eq!(asked.requests.len(), world.requests.len() + more);
            prop_assert_eq!(asked.status.last_handled_refresh_request == asked.requested, more == 1);
        }
        let so_far = asked.requests.len();
        asked.checked_pass();
        prop_assert_eq!(asked.requests.len(), so_far);

        let mut reseeded = world.clone();
        if world.rules.keeps != Keeps::Nothing && lost {
            (reseeded.seed, reseeded.server.good, reseeded.asked_under.inputs) = ("new".into(), "new".into(), "i2".into());
            reseeded.checked_pass();
            prop_assert_eq!(reseeded.condition(ConditionType::Refreshed), Some((true, "Issued")));
            prop_assert_eq!(reseeded.condition(ConditionType::Stalled), None);
        }
    }

    /// A process may die before any effect. A single-use token is replayed only where its reply was lost with the process.
    #[test]
    fn death_loses_no_token(mut world in worlds(), deaths in vec((0_u32..40, 0_usize..8), 0..6)) {
        let mut lost_replies = 0;
        world.checked_pass();
        for (dies_in, passes) in deaths {
            world.dies_in = Some(dies_in);
            for _ in 0..passes {
                let Some(wake) = world.wake else { break };
                world.now = wake.max(world.now);
                let saved = world.state.as_ref().map(|(record, _)| record.revision);
                let asked = world.requests.len();
                world.checked_pass();
                let grown = world.state.as_ref().map(|(record, _)| record.revision) != saved;
                lost_replies += usize::from(world.requests.len() > asked && !grown);
            }
            world.dies_in = None;
        }
        if world.rules.keeps == Keeps::SingleUse {
            let lost = world.condition(ConditionType::Stalled).is_some();
            prop_assert!(!lost || lost_replies > 0, "lost without a lost reply");
            let (record, _) = world.state.as_ref().unwrap();
            let newest = record.refresh_token.as_ref().map(|token| token.expose().to_owned());
            prop_assert!(newest.as_deref() == Some(&world.server.good) || lost_replies > 0);
        }
    }
}
