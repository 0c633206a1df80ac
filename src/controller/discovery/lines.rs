//! Who is next, where many namespaces want something at once: each has a line of its own, and whoever has the fewest under way goes first.
//! So nobody waits for long because somebody else wants much.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The lines. Cheap to clone.
pub struct Lines<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    /// Of all namespaces together.
    at_once: usize,
}

struct State<T> {
    lines: HashMap<Arc<str>, Line<T>>,
    under_way: usize,
    served: u64,
}

struct Line<T> {
    waiting: VecDeque<T>,
    under_way: usize,
    /// When it was served last: of those with as many under way, the one that has waited longest is next.
    served: u64,
}

/// Counts as under way until it is dropped.
pub struct Place<T> {
    lines: Lines<T>,
    whose: Arc<str>,
}

impl<T> Clone for Lines<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Lines<T> {
    /// So many may be under way at once.
    pub fn new(at_once: usize) -> Self {
        let state = State { lines: HashMap::new(), under_way: 0, served: 0 };
        Self(Arc::new(Shared { state: state.into(), changed: Notify::new(), at_once }))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something at the end of a namespace's line.
    pub fn push(&self, whose: &Arc<str>, what: T) {
        let mut state = self.state();
        let new = || Line { waiting: VecDeque::new(), under_way: 0, served: 0 };
        state.lines.entry(whose.clone()).or_insert_with(new).waiting.push_back(what);
        drop(state);
        self.0.changed.notify_one();
    }

    /// What is next. Waits until there is something, and room for it.
    pub async fn next(&self) -> (T, Place<T>) {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.0.changed.notified().await;
        }
    }

    fn take(&self) -> Option<(T, Place<T>)> {
        let mut state = self.state();
        if state.under_way >= self.0.at_once {
            return None;
        }
        let waiting = state.lines.iter().filter(|(_, line)| !line.waiting.is_empty());
        let (whose, _) = waiting.min_by_key(|(_, line)| (line.under_way, line.served))?;
        let whose = whose.clone();
        state.served += 1;
        let served = state.served;
        let line = state.lines.get_mut(&whose)?;
        let what = line.waiting.pop_front()?;
        line.under_way += 1;
        line.served = served;
        state.under_way += 1;
        Some((what, Place { lines: self.clone(), whose }))
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut state = self.lines.state();
        state.under_way = state.under_way.saturating_sub(1);
        if let Some(line) = state.lines.get_mut(&self.whose) {
            line.under_way = line.under_way.saturating_sub(1);
            if line.under_way == 0 && line.waiting.is_empty() {
                state.lines.remove(&self.whose);
            }
        }
        drop(state);
        self.lines.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(lines: &Lines<u32>, whose: &str, count: u32) {
        (0..count).for_each(|what| lines.push(&whose.into(), what));
    }

    fn whose(taken: Option<(u32, Place<u32>)>) -> (String, Place<u32>) {
        let (_, place) = taken.unwrap();
        (place.whose.to_string(), place)
    }

    #[test]
    fn who_wants_little_waits_for_nobody_who_wants_much() {
        let lines = Lines::new(4);
        push(&lines, "many", 1000);
        let mut held: Vec<_> = (0..4).map(|_| whose(lines.take()).1).collect();
        assert!(lines.take().is_none(), "no room");
        push(&lines, "few", 1);
        held.pop();
        assert_eq!(whose(lines.take()).0, "few");
    }

    #[test]
    fn as_many_go_of_each() {
        let lines = Lines::new(2);
        for name in ["a", "b", "c"] {
            push(&lines, name, 100);
        }
        let mut went = HashMap::<String, u32>::new();
        let mut held = VecDeque::new();
        for _ in 0..60 {
            if held.len() == 2 {
                held.pop_front();
            }
            let (whose, place) = whose(lines.take());
            *went.entry(whose).or_default() += 1;
            held.push_back(place);
        }
        assert_eq!(went, ["a", "b", "c"].map(|name| (name.to_owned(), 20)).into());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_room_goes_when_there_is_some_and_nothing_is_kept() {
        let lines = Lines::new(1);
        push(&lines, "a", 2);
        let (first, place) = lines.next().await;
        let next = tokio::spawn({
            let lines = lines.clone();
            async move { lines.next().await.0 }
        });
        tokio::task::yield_now().await;
        assert!(first == 0 && !next.is_finished());
        drop(place);
        assert_eq!(next.await.unwrap(), 1);
        let state = lines.state();
        assert!(state.lines.is_empty() && state.under_way == 0);
    }
}
