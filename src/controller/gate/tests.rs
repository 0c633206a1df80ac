use proptest::{collection::vec, prelude::*};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(name: impl ToString) -> Key {
    Key::new("ns", &name.to_string())
}

fn lane(origin: &str) -> LaneId {
    LaneId { origin: origin.into(), limit: None }
}

fn limited(origin: &str, burst: u32) -> LaneId {
    let rate =
        Rate { requests: NonZeroU32::MIN, per: Duration::from_secs(3600), burst: NonZeroU32::new(burst).unwrap() };
    LaneId { origin: origin.into(), limit: Some(("provider".into(), rate)) }
}

impl Gate {
    fn grants(&self) -> Vec<String> {
        self.grant(Instant::now()).0.iter().map(|key| key.name.to_string()).collect()
    }
}

#[test]
fn one_origin_that_hangs_delays_no_other() {
    let gate = Gate::new(10, 2);
    let held: Vec<_> = (0..2).map(|n| gate.enter(&key(n), &lane("slow"), at(100)).unwrap()).collect();
    assert!(gate.enter(&key("third"), &lane("slow"), at(1)).is_none());
    assert!(gate.enter(&key("other"), &lane("fast"), at(100)).is_some());
    assert_eq!(gate.waiting(), 1);
    drop(held);
    assert_eq!(gate.grants(), ["third"]);
    assert!(gate.enter(&key("third"), &lane("slow"), at(1)).is_some());
    assert_eq!(gate.waiting(), 0);
}

#[test]
fn the_soonest_to_expire_goes_first_over_all_lanes() {
    let gate = Gate::new(1, 1);
    let held = gate.enter(&key("first"), &lane("a"), at(0));
    for (name, origin, deadline) in [("late", "a", 30), ("soon", "b", 10), ("middle", "c", 20)] {
        assert!(gate.enter(&key(name), &lane(origin), at(deadline)).is_none());
    }
    drop(held);
    for name in ["soon", "middle", "late"] {
        assert_eq!(gate.grants(), [name]);
        // The permit is put aside: nobody else gets it meanwhile.
        assert!(gate.enter(&key("pushy"), &lane("d"), at(40)).is_none());
        assert!(gate.enter(&key(name), &lane("a"), at(0)).is_some() || name != "late");
        gate.leave(&key(name));
    }
    assert_eq!(gate.grants(), ["pushy"]);
}

/// However many servers somebody names, and however soon what they want expires.
#[test]
fn no_namespace_keeps_another_waiting() {
    let gate = Gate::new(4, 2);
    let mallory = |number: usize| (Key::new("mallory", &number.to_string()), lane(&format!("https://{number}")));
    let mut held: Vec<_> = (0..1000).filter_map(|n| gate.enter(&mallory(n).0, &mallory(n).1, at(0))).collect();
    assert_eq!((held.len(), gate.waiting()), (4, 996));
    for (name, deadline) in [("later", 200), ("soon", 100)] {
        assert!(gate.enter(&key(name), &lane(name), at(deadline)).is_none());
    }
    held.pop();
    assert_eq!(gate.grants(), ["soon"]);
    held.pop();
    assert_eq!(gate.grants(), ["later"], "one of two is fewer than two of three");
    held.pop();
    assert_eq!(gate.grants().len(), 1);
    assert_eq!(gate.waiting(), 995);
}

#[test]
fn who_comes_later_does_not_overtake() {
    let gate = Gate::new(2, 1);
    let held = gate.enter(&key("first"), &lane("a"), at(0));
    assert!(gate.enter(&key("soon"), &lane("a"), at(10)).is_none());
    drop(held);
    assert!(gate.enter(&key("late"), &lane("a"), at(20)).is_none());
    assert_eq!(gate.grants(), ["soon"]);
}

#[test]
fn a_permit_is_for_one_server() {
    let gate = Gate::new(9, 1);
    let held = gate.enter(&key("first"), &lane("a"), at(0));
    assert!(gate.enter(&key("moves"), &lane("a"), at(10)).is_none());
    drop(held);
    assert_eq!(gate.grants(), ["moves"]);
    let busy = gate.enter(&key("busy"), &lane("b"), at(0));
    assert!(gate.enter(&key("moves"), &lane("b"), at(10)).is_none(), "the spec names another server by now");
    assert_eq!(gate.lanes().active_by_origin, HashMap::from([("b".to_owned(), 1)]));
    drop(busy);
    assert_eq!(gate.grants(), ["moves"]);
}

#[test]
fn a_slow_exchange_counts_against_its_origin_only() {
    let gate = Gate::new(1, 1);
    let mut slow = gate.enter(&key("slow"), &lane("a"), at(0)).unwrap();
    assert!(gate.enter(&key("b"), &lane("b"), at(0)).is_none());
    slow.step_aside();
    slow.step_aside();
    assert_eq!(gate.grants(), ["b"]);
    assert!(gate.enter(&key("a"), &lane("a"), at(0)).is_none());
    drop(slow);
    assert_eq!(gate.lanes().active, 1);
}

#[test]
fn who_was_answered_lets_another_ask_there() {
    let gate = Gate::new(2, 1);
    let mut quick = gate.enter(&key("quick"), &lane("a"), at(0)).unwrap();
    quick.answered();
    let mut slow = gate.enter(&key("slow"), &lane("a"), at(0)).unwrap();
    assert!(gate.enter(&key("b"), &lane("b"), at(0)).is_none(), "both count against the bound on all");
    slow.step_aside();
    slow.answered();
    assert!(gate.enter(&key("a"), &lane("a"), at(0)).is_none(), "what no longer counts there counts here to its end");
    drop(quick);
    let lanes = gate.lanes();
    assert_eq!((lanes.active, lanes.active_by_origin.len()), (0, 1));
}

#[test]
fn a_rate_limit_is_the_provider_objects() {
    let gate = Gate::new(9, 9);
    let now = Instant::now();
    let enter = |name: &str, id: &LaneId| gate.enter(&key(name), id, at(0)).is_some();
    assert!(enter("a", &limited("token", 2)));
    // A refresh goes to another endpoint, and counts all the same.
    assert!(enter("b", &limited("refresh", 2)));
    assert!(!enter("c", &limited("token", 2)));
    assert!(!enter("d", &limited("refresh", 2)));
    assert!(enter("e", &lane("token")), "another provider of the same server");
    let (granted, unblocked) = gate.grant(now);
    assert!(granted.is_empty());
    let wait = unblocked.unwrap() - now;
    assert!(wait > Duration::from_secs(3500) && wait < Duration::from_secs(3700), "{wait:?}");
}

#[test]
fn no_rate_overflows_the_limiter() {
    for (requests, per, burst) in [(1, 3_600_000_000, u32::MAX), (1, 3_600_000_000, 1), (u32::MAX, 0, 1)] {
        let number = |number| NonZeroU32::new(number).unwrap();
        let rate = Rate { requests: number(requests), per: Duration::from_secs(per), burst: number(burst) };
        let id = LaneId { origin: "a".into(), limit: Some(("p".into(), rate)) };
        assert!(Gate::new(1, 1).enter(&key("a"), &id, at(0)).is_some());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u8, u8, i64),
    Leave(u8),
    Drop(usize),
    Slow(usize),
    Answered(usize),
    Grant,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => (0_u8..8, 0_u8..3, 0_i64..20).prop_map(|(key, origin, deadline)| Step::Enter(key, origin, deadline)),
        1 => (0_u8..8).prop_map(Step::Leave),
        2 => (0_usize..8).prop_map(Step::Drop),
        1 => (0_usize..8).prop_map(Step::Slow),
        1 => (0_usize..8).prop_map(Step::Answered),
        2 => Just(Step::Grant),
    ];
    vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bound_is_passed_and_no_permit_leaks(steps in steps()) {
        let gate = Gate::new(4, 2);
        let mut held: Vec<Permit> = Vec::new();
        for step in steps {
            match step {
                Step::Enter(name, origin, deadline) => {
                    held.extend(gate.enter(&key(name), &lane(&origin.to_string()), at(deadline)));
                }
                Step::Leave(name) => gate.leave(&key(name)),
                Step::Drop(which) if which < held.len() => drop(held.swap_remove(which)),
                Step::Slow(which) if which < held.len() => held[which].step_aside(),
                Step::Answered(which) if which < held.len() => held[which].answered(),
                Step::Drop(_) | Step::Slow(_) | Step::Answered(_) => {}
                Step::Grant => {
                    gate.grants();
                    // Who still waits has no room, or someone before it who has none.
                    let lanes = gate.lanes();
                    prop_assert!(lanes.soonest(gate.0.bounds, Instant::now()).is_none());
                }
            }
            let lanes = gate.lanes();
            let permits = || held.iter().chain(lanes.granted.values());
            prop_assert_eq!(lanes.active, permits().filter(|permit| permit.counts != Counts::AtOrigin).count());
            prop_assert!(lanes.active <= 4);
            prop_assert_eq!(lanes.active_by_namespace.get("ns").copied().unwrap_or(0), lanes.active);
            for origin in ["0", "1", "2"] {
                let here = permits().filter(|permit| permit.origin == origin && permit.counts != Counts::InAll).count();
                prop_assert_eq!(lanes.active_by_origin.get(origin).copied().unwrap_or(0), here);
                prop_assert!(here <= 2);
            }
            let waiting: usize = lanes.lanes.values().map(|lane| lane.waiting.len()).sum();
            prop_assert_eq!(waiting, lanes.parked.len());
            prop_assert!(lanes.parked.keys().all(|key| !lanes.granted.contains_key(key)));
        }
        held.clear();
        (0..8).for_each(|name| gate.leave(&key(name)));
        let lanes = gate.lanes();
        prop_assert_eq!((lanes.active, lanes.active_by_origin.len(), lanes.active_by_namespace.len()), (0, 0, 0));
        prop_assert_eq!((lanes.parked.len(), lanes.granted.len()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn next_names_who_may_go_when_a_permit_comes_back() {
    let gate = Gate::new(1, 1);
    let held = gate.enter(&key("first"), &lane("a"), at(0));
    assert!(gate.enter(&key("second"), &lane("a"), at(0)).is_none());
    let next = tokio::spawn({
        let gate = gate.clone();
        async move { gate.next().await }
    });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    drop(held);
    assert_eq!(next.await.unwrap(), [key("second")]);
}

#[test]
fn a_credential_that_asks_again_and_again_is_held_back_alone() {
    let gate = Gate::new(8, 8);
    for _ in 0..TOKEN_BURST {
        assert_eq!(gate.pause(&key("often"), 1), None);
        drop(gate.enter(&key("often"), &lane("https://a"), at(0)).unwrap());
    }
    let pause = gate.pause(&key("often"), 1).unwrap();
    assert!(pause > Duration::ZERO && pause <= TOKEN_REFILL, "{pause:?}");
    assert_eq!(gate.pause(&key("another"), 1), None);
}

/// A spec that has more tokens by now gets what they need, and not what it has had already.
#[test]
fn a_credential_may_ask_for_each_of_its_tokens() {
    let gate = Gate::new(8, 8);
    let asked = |name: &str, tokens: usize| {
        let allowed = || {
            let pause = gate.pause(&key(name), tokens);
            pause.inspect(|pause| assert!(*pause <= TOKEN_REFILL, "{pause:?}")).is_none()
        };
        (0..100_000).take_while(|_| allowed()).count()
    };
    for (name, tokens) in [("one", 1), ("two", 2), ("three", 3), ("all", 17)] {
        let (asked, least) = (asked(name, tokens), tokens * TOKEN_BURST as usize);
        // What a slow machine takes for it is refilled meanwhile.
        assert!((least..least * 21 / 20 + 1).contains(&asked), "{tokens} tokens: {asked}");
    }
    let more = asked("one", 17);
    assert!(more <= 2 * 17, "{more}");
}

#[test]
fn who_waits_in_line_is_counted_once() {
    let gate = Gate::new(1, 1);
    let first = gate.enter(&key("first"), &lane("https://a"), at(0)).unwrap();
    for _ in 0..2 * TOKEN_BURST {
        assert_eq!(gate.pause(&key("waits"), 1), None);
        assert!(gate.enter(&key("waits"), &lane("https://a"), at(1)).is_none());
    }
    drop(first);
    assert!(gate.enter(&key("waits"), &lane("https://a"), at(1)).is_some());
}
