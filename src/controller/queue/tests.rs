use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What a queue is, without an index.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<u8, Timestamp>,
    running: BTreeMap<u8, Option<Timestamp>>,
}

impl Model {
    fn wake(&mut self, key: u8, at: Timestamp) {
        if let Some(again) = self.running.get_mut(&key) {
            *again = Some(again.map_or(at, |planned| planned.min(at)));
        } else {
            let planned = self.waiting.entry(key).or_insert(at);
            *planned = at.min(*planned);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wake(u8, i64),
    Take(i64),
    Finish(u8, Option<i64>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        3 => (0_u8..6, 0_i64..50).prop_map(|(key, at)| Step::Wake(key, at)),
        2 => (0_i64..60).prop_map(Step::Take),
        2 => (0_u8..6, option::of(0_i64..50)).prop_map(|(key, at)| Step::Finish(key, at)),
    ];
    vec(one, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_key_is_lost_or_looked_at_twice_at_once(steps in steps()) {
        let (mut queue, mut model) = (Queue::default(), Model::default());
        for step in steps {
            match step {
                Step::Wake(key, second) => {
                    queue.wake(&key, at(second));
                    model.wake(key, at(second));
                }
                Step::Take(now) => {
                    let soonest = model.waiting.values().min().copied().filter(|soonest| *soonest <= at(now));
                    let taken = queue.take(at(now));
                    prop_assert_eq!(taken.map(|(_, at)| at), soonest);
                    if let Some((key, at)) = taken {
                        prop_assert_eq!(model.waiting.remove(&key), Some(at));
                        prop_assert_eq!(model.running.insert(key, None), None);
                    }
                }
                Step::Finish(key, second) => {
                    queue.finish(&key, second.map(at));
                    if let Some(again) = model.running.remove(&key)
                        && let Some(next) = [again, second.map(at)].into_iter().flatten().min()
                    {
                        model.wake(key, next);
                    }
                }
            }
            prop_assert_eq!(queue.next_due(), model.waiting.values().min().copied());
            let due = model.waiting.values().filter(|planned| **planned <= at(25)).count();
            prop_assert_eq!(queue.depth(at(25)), due);
        }
        // Everything that waits comes out, the soonest first.
        let mut last = None;
        while let Some((key, due)) = queue.take(at(1_000)) {
            prop_assert_eq!(model.waiting.remove(&key), Some(due));
            prop_assert!(last <= Some(due));
            last = Some(due);
        }
        prop_assert!(model.waiting.is_empty());
    }
}

#[test]
fn who_waits_longest_goes_first() {
    let mut queue = Queue::default();
    for (key, second) in [("b", 5), ("a", 5), ("c", 4)] {
        queue.wake(&key, at(second));
    }
    let order: Vec<_> = std::iter::from_fn(|| queue.take(at(5))).map(|(key, _)| key).collect();
    assert_eq!(order, ["c", "b", "a"]);
}
