//! What is to be looked at, and when. Each key stands here once, is looked at by one worker at a time, and is never lost:
//! what is woken while it is being looked at is looked at again. Pure: `now` comes in.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use jiff::Timestamp;

#[cfg(test)]
mod tests;

/// A queue of keys, ordered by the time at which they are due.
#[derive(Debug)]
pub struct Queue<K> {
    due: BTreeMap<(Timestamp, u64), K>,
    places: HashMap<K, Place>,
    next_ticket: u64,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Waiting { at: Timestamp, ticket: u64 },
    Running { again: Option<Timestamp> },
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), places: HashMap::new(), next_ticket: 0 }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Has `key` looked at, at `at` or earlier.
    pub fn wake(&mut self, key: &K, at: Timestamp) {
        match self.places.get_mut(key) {
            Some(Place::Running { again }) => *again = Some(again.map_or(at, |again| again.min(at))),
            Some(Place::Waiting { at: planned, .. }) if *planned <= at => {}
            Some(Place::Waiting { at: planned, ticket }) => {
                let (planned, ticket) = (*planned, *ticket);
                if let Some(key) = self.due.remove(&(planned, ticket)) {
                    self.due.insert((at, ticket), key);
                }
                self.places.insert(key.clone(), Place::Waiting { at, ticket });
            }
            None => {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                self.due.insert((at, ticket), key.clone());
                self.places.insert(key.clone(), Place::Waiting { at, ticket });
            }
        }
    }

    /// The key that is due longest, if one is due, with the time it was due at. It is being looked at until `finish`.
    pub fn take(&mut self, now: Timestamp) -> Option<(K, Timestamp)> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        let ((at, _), key) = first.remove_entry();
        self.places.insert(key.clone(), Place::Running { again: None });
        Some((key, at))
    }

    /// The look at `key` is over; the next one is at `at`, or earlier if it was woken meanwhile.
    pub fn finish(&mut self, key: &K, at: Option<Timestamp>) {
        let Some(&Place::Running { again }) = self.places.get(key) else { return };
        self.places.remove(key);
        if let Some(at) = [again, at].into_iter().flatten().min() {
            self.wake(key, at);
        }
    }

    /// When the next key is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many keys wait to be looked at now.
    pub fn depth(&self, now: Timestamp) -> usize {
        self.due.range(..=(now, u64::MAX)).count()
    }
}
