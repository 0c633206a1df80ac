use std::{
    collections::BTreeSet,
    fmt,
    io::Write,
    time::{Duration, Instant},
};

use stateright::{Checker, CheckerBuilder, Expectation, HasDiscoveries, Model};

use super::*;

const NOTHING: Left = Left { faults: 0, crashes: 0, pauses: 0, handovers: 0, lags: 0, people: 0, meddlers: 0 };
const GRACE: Duration = Duration::from_secs(60);

/// Two refreshes: the first ever, and the next.
fn both(left: Left) -> Bounds {
    let horizon = Duration::from_secs(305);
    Bounds { grace: None, issued: false, horizon, left, belief: Belief::ForEver, broken_rule: Rule::None }
}

/// From the second refresh on.
fn second(left: Left) -> Bounds {
    Bounds { issued: true, ..both(left) }
}

/// Where two leaders go on for ever there is no end of what they can do.
fn noticed(bounds: Bounds) -> Bounds {
    Bounds { belief: Belief::Moment, ..bounds }
}

fn with_grace(bounds: Bounds) -> Bounds {
    Bounds { grace: Some(GRACE), ..bounds }
}

/// What `make test` explores: everything that can go wrong, few things at once.
fn small() -> Vec<Bounds> {
    let all = [
        both(Left { faults: 2, ..NOTHING }),
        both(Left { faults: 1, people: 1, ..NOTHING }),
        both(Left { crashes: 1, people: 1, ..NOTHING }),
        both(Left { faults: 1, meddlers: 1, ..NOTHING }),
        second(Left { people: 1, meddlers: 1, ..NOTHING }),
        second(Left { faults: 1, crashes: 1, ..NOTHING }),
        second(Left { handovers: 1, lags: 1, ..NOTHING }),
        second(Left { pauses: 1, handovers: 1, ..NOTHING }),
    ];
    all.iter().cloned().chain(all.iter().cloned().map(with_grace)).collect()
}

/// What `make chaos` explores.
fn large() -> Vec<Bounds> {
    // The quick ones first.
    let all = [
        both(Left { pauses: 1, handovers: 1, ..NOTHING }),
        both(Left { crashes: 1, people: 1, meddlers: 1, ..NOTHING }),
        second(Left { faults: 1, pauses: 1, handovers: 1, ..NOTHING }),
        both(Left { faults: 2, people: 1, meddlers: 1, ..NOTHING }),
        second(Left { pauses: 1, handovers: 1, people: 1, ..NOTHING }),
        second(Left { faults: 1, crashes: 1, people: 1, meddlers: 1, ..NOTHING }),
        both(Left { faults: 2, crashes: 1, people: 1, ..NOTHING }),
    ];
    // A server with a grace lets both leaders go on, where a strict one has revoked the grant: more happens than can be gone through.
    all.iter().cloned().chain(all.iter().cloned().map(with_grace).map(noticed)).collect()
}

impl fmt::Display for Bounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = if self.grace.is_some() { "grace" } else { "strict" };
        write!(formatter, "{server}, {}", if self.issued { "1 refresh" } else { "2 refreshes" })?;
        let Left { faults, crashes, pauses, handovers, lags, people, meddlers } = self.left;
        for (count, what) in [
            (faults, "faults"),
            (crashes, "crashes"),
            (pauses, "pauses"),
            (handovers, "lost Leases"),
            (lags, "stale caches"),
            (people, "acts of a person"),
            (meddlers, "changes of the state by others"),
        ] {
            if count > 0 {
                write!(formatter, ", {count} {what}")?;
            }
        }
        if self.belief == Belief::Moment {
            write!(formatter, ", who has lost the Lease notices before time goes on")?;
        }
        Ok(())
    }
}

/// What was found in one exploration.
struct Explored {
    states: usize,
    transitions: usize,
    depth: usize,
    /// The invariant that doesn't hold, and a way there.
    broken: Option<(&'static str, String)>,
    reached: BTreeSet<&'static str>,
}

/// Breadth first: the way to a failure is a shortest one.
fn explore(bounds: Bounds) -> Explored {
    explored(checker(bounds).spawn_bfs().join())
}

/// Depth first: what is kept of a state is its hash, save for those on the way to the present one.
fn explore_many(bounds: Bounds) -> Explored {
    explored(checker(bounds).spawn_dfs().join())
}

fn checker(bounds: Bounds) -> CheckerBuilder<Bounds> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    bounds.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures)
}

fn explored(checker: impl Checker<Bounds>) -> Explored {
    let (failed, reached): (Vec<_>, Vec<_>) = checker
        .discoveries()
        .into_iter()
        .partition(|(name, _)| checker.model().property(name).expectation == Expectation::Always);
    let broken = failed.into_iter().next().map(|(name, path)| {
        let steps = path.into_vec();
        (name, steps.iter().map(|(world, action)| format!("{world}\n    {action:?}\n")).collect())
    });
    Explored {
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        depth: checker.max_depth(),
        broken,
        reached: reached.into_iter().map(|(name, _)| name).collect(),
    }
}

/// Also when the test passes: `eprintln!` would be kept back.
#[allow(clippy::explicit_write, reason = "the test harness captures what eprintln! prints")]
fn say(what: &str) {
    std::io::stderr().write_all(format!("measured: {what}\n").as_bytes()).unwrap();
}

#[test]
fn nothing_is_lost_or_replayed_whatever_happens() {
    let is_large = std::env::var("MODEL_BOUNDS").is_ok_and(|bounds| bounds == "large");
    let mut reached = BTreeSet::new();
    let mut summary = Vec::new();
    let explore = if is_large { explore_many } else { explore };
    for bounds in if is_large { large() } else { small() } {
        let described = bounds.to_string();
        let begun = Instant::now();
        let explored = explore(bounds);
        let Explored { states, transitions, depth, .. } = explored;
        let seconds = begun.elapsed().as_secs();
        say(&format!(
            "model: {states} states, {transitions} transitions, depth {depth}, {seconds} s, in bounds: {described}"
        ));
        if let Some((broken, steps)) = explored.broken {
            panic!("in bounds {described}, this does not hold: {broken}\n{steps}");
        }
        reached.extend(explored.reached);
        summary.push((states, transitions));
    }
    let (each, transitions): (Vec<_>, Vec<_>) = summary.into_iter().unzip();
    let states: usize = each.iter().sum();
    let transitions: usize = transitions.iter().sum();
    say(&format!("model: {states} states and {transitions} transitions in all; states of each set: {each:?}"));
    let wanted = [TWO_SENT, RESOLVED, FIRST_WINDOW, SECOND_WINDOW, CANDIDATE, ADOPTED, ASIDE, ASKED];
    let missing: Vec<_> = wanted.iter().filter(|name| !reached.contains(*name)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

/// Each invariant can fail: without the rule that keeps it, there is a counterexample.
#[test]
fn without_a_rule_its_invariant_fails() {
    let two_leaders = || second(Left { handovers: 1, ..NOTHING });
    for (rule, bounds, invariant) in [
        (Rule::Intent, second(Left { crashes: 1, ..NOTHING }), SENT_TWICE),
        (Rule::Fence, both(Left { pauses: 1, handovers: 1, ..NOTHING }), SENT_TWICE),
        (Rule::IsOurs, two_leaders(), SENT_TWICE),
        (Rule::WaitForOthers, both(Left { handovers: 1, ..NOTHING }), SENT_TWICE),
        (Rule::KeepReply, second(Left { faults: 1, ..NOTHING }), LOST),
        (Rule::SavePrecondition, second(Left { people: 1, ..NOTHING }), OVERWRITTEN),
        (Rule::OutputPrecondition, second(Left { handovers: 1, people: 1, ..NOTHING }), WENT_BACK),
        (Rule::Overtaken, second(Left { handovers: 1, people: 1, ..NOTHING }), STATUS_WENT_BACK),
        (Rule::Publish, second(Left { crashes: 1, ..NOTHING }), STRANDED),
    ] {
        let explored = explore(Bounds { broken_rule: rule, ..bounds });
        assert_eq!(explored.broken.map(|(name, _)| name), Some(invariant), "without {rule:?}");
    }
}

/// A person is asked for although the state has a token that works.
#[test]
fn a_false_alarm_is_noticed() {
    use crate::api::{Condition, ConditionStatus, ConditionType, Reason};
    let mut world = World::new(&both(NOTHING));
    world.issue_first();
    assert_eq!(world.judge(), None);
    let mut status = (*world.cluster.status.value).clone();
    for (type_, holds) in
        [(ConditionType::Ready, ConditionStatus::False), (ConditionType::Stalled, ConditionStatus::True)]
    {
        status.conditions.retain(|condition| condition.type_ != type_);
        status.conditions.push(Condition {
            type_,
            status: holds,
            observed_generation: 1,
            last_transition_time: world.now,
            reason: Reason::AuthorizationRequired.as_str().to_owned(),
            message: String::new(),
        });
    }
    world.cluster.status.value = shared::Shared::new(status);
    assert_eq!(world.judge(), Some(FALSE_ALARM));
}
