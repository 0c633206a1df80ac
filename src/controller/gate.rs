//! Who may send a token request now. One bulkhead for each token server's origin, so that one that hangs delays no other;
//! a bound on all; a rate limit for each provider object, and one for each credential; and where there is a wait, the namespace with the
//! fewest under way goes first, so that nobody's thousands keep others waiting, and of one namespace the soonest to expire.
//!
//! An exchange that takes longer than `PATIENCE` no longer counts against the bound on all, only against its origin's: many
//! hanging servers can't use up what the others need. One that was answered in time no longer counts against its origin's: what is left
//! to do is the API server's.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    hash::Hash,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::{InMemoryState, NotKeyed},
};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::key::Key;
use crate::operate::paces::Paces;

#[cfg(test)]
mod tests;

/// How long an exchange counts against the bound on all.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// What one credential may ask for, for each token that it has, whatever its spec says and however often somebody changes it: a burst,
/// then one request every `TOKEN_REFILL`, which is more than the schedule of a token ever asks for.
const TOKEN_BURST: u32 = 32;
const TOKEN_REFILL: Duration = Duration::from_secs(2);
/// The most tokens that a credential has: the main one, and as many additional ones as the schema lets it have.
const MOST_TOKENS: u32 = 1 + 16;
/// What one request of a credential with one token costs. The more tokens, the less: what was spent isn't forgotten when a spec has more.
const WHOLE: u32 = 10_000;

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate {
    pub requests: NonZeroU32,
    pub per: Duration,
    pub burst: NonZeroU32,
}

/// Where exchanges queue together: one token server, and one rate limit if there is one (with the provider's name).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    pub origin: String,
    pub limit: Option<(String, Rate)>,
}

/// The gate. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    lanes: Mutex<Lanes>,
    paces: Paces<Key>,
    bounds: Bounds,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Bounds {
    total: usize,
    per_origin: usize,
}

#[derive(Default)]
struct Lanes {
    active: usize,
    active_by_origin: HashMap<String, usize>,
    /// Of those that count against the bound on all.
    active_by_namespace: HashMap<Arc<str>, usize>,
    lanes: HashMap<LaneId, Lane>,
    /// One for each provider object, whichever of its endpoints a request goes to. Kept: it remembers what was sent.
    limiters: HashMap<(String, Rate), Limiter>,
    /// Where a key waits, so that it waits once.
    parked: HashMap<Key, (LaneId, Timestamp)>,
    /// Let through, and not come for yet.
    granted: HashMap<Key, Permit>,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

#[derive(Default)]
struct Lane {
    waiting: BTreeSet<(Timestamp, Key)>,
    blocked_until: Option<Instant>,
}

/// The right to make one exchange. Given back when dropped.
pub struct Permit {
    gate: Gate,
    origin: String,
    namespace: Arc<str>,
    counts: Counts,
}

/// Against which bounds a permit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    Both,
    AtOrigin,
    InAll,
}

impl Gate {
    /// At most `total` exchanges at once, at most `per_origin` with one token server.
    pub fn new(total: usize, per_origin: usize) -> Self {
        let bounds = Bounds { total, per_origin };
        let paces = Paces::new(NonZeroU32::MIN.saturating_add(TOKEN_BURST * WHOLE - 1), TOKEN_REFILL / WHOLE);
        Self(Arc::new(Shared { lanes: Mutex::default(), paces, bounds, changed: Notify::new() }))
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long `key`, which has so many tokens, has to wait before it may ask to be let through: it has asked too often. None: it may ask
    /// now, which is counted once, however long it waits then.
    pub fn pause(&self, key: &Key, tokens: usize) -> Option<Duration> {
        let is_counted = {
            let lanes = self.lanes();
            lanes.parked.contains_key(key) || lanes.granted.contains_key(key)
        };
        if is_counted { None } else { self.0.paces.check_of(key, cost(tokens)).err() }
    }

    /// Asks for `key`, whose token expires at `deadline`, to be let through. None: it waits, and `next` will name it.
    pub fn enter(&self, key: &Key, id: &LaneId, deadline: Timestamp) -> Option<Permit> {
        let mut lanes = self.lanes();
        lanes.unpark(key);
        match lanes.granted.remove(key) {
            Some(permit) if permit.origin == id.origin => return Some(permit),
            // Its spec names another server by now. Dropped outside the lock: a permit that is given back takes it.
            Some(other) => {
                drop(lanes);
                drop(other);
                lanes = self.lanes();
            }
            None => {}
        }
        let room = lanes.has_room(&id.origin, self.0.bounds);
        let lane = lanes.lane(id);
        let first = lane.waiting.first().is_none_or(|(soonest, _)| *soonest >= deadline);
        if room && first && lanes.admits(id, Instant::now()) {
            return Some(self.admit(&mut lanes, key, &id.origin));
        }
        lanes.lane(id).waiting.insert((deadline, key.clone()));
        lanes.parked.insert(key.clone(), (id.clone(), deadline));
        drop(lanes);
        self.0.changed.notify_one();
        None
    }

    /// `key` no longer wants to go, or is gone.
    pub fn leave(&self, key: &Key) {
        let granted = {
            let mut lanes = self.lanes();
            lanes.unpark(key);
            lanes.granted.remove(key)
        };
        // Dropped outside the lock: a permit that is given back takes it.
        drop(granted);
    }

    /// The keys that may go now, each with a permit put aside for it. Waits until there is one.
    pub async fn next(&self) -> Vec<Key> {
        loop {
            let now = Instant::now();
            let (keys, unblocked) = self.grant(now);
            if !keys.is_empty() {
                return keys;
            }
            let pause = unblocked.map_or(Duration::from_secs(60), |until| until.saturating_duration_since(now));
            // Either way the lanes are looked at again.
            let _ = tokio::time::timeout(pause, self.0.changed.notified()).await;
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lanes().parked.len()
    }

    fn grant(&self, now: Instant) -> (Vec<Key>, Option<Instant>) {
        let mut lanes = self.lanes();
        let mut keys = Vec::new();
        while let Some((id, entry)) = lanes.soonest(self.0.bounds, now) {
            if !lanes.admits(&id, now) {
                continue;
            }
            lanes.lane(&id).waiting.remove(&entry);
            let (_, key) = entry;
            let permit = self.admit(&mut lanes, &key, &id.origin);
            lanes.parked.remove(&key);
            lanes.granted.insert(key.clone(), permit);
            keys.push(key);
        }
        let unblocked =
            lanes.lanes.values().filter(|lane| !lane.waiting.is_empty()).filter_map(|lane| lane.blocked_until);
        let unblocked = unblocked.min();
        (keys, unblocked)
    }

    fn admit(&self, lanes: &mut Lanes, key: &Key, origin: &str) -> Permit {
        let namespace = key.namespace.clone();
        lanes.active += 1;
        *lanes.active_by_origin.entry(origin.to_owned()).or_default() += 1;
        *lanes.active_by_namespace.entry(namespace.clone()).or_default() += 1;
        Permit { gate: self.clone(), origin: origin.to_owned(), namespace, counts: Counts::Both }
    }
}

/// What one request costs of a credential with so many tokens.
fn cost(tokens: usize) -> NonZeroU32 {
    let tokens = u32::try_from(tokens).unwrap_or(MOST_TOKENS).clamp(1, MOST_TOKENS);
    NonZeroU32::new(WHOLE / tokens).unwrap_or(NonZeroU32::MIN)
}

impl Permit {
    /// The exchange takes long: it no longer counts against the bound on all.
    pub fn step_aside(&mut self) {
        if self.counts == Counts::Both {
            self.counts = Counts::AtOrigin;
            self.leave_all();
        }
    }

    /// The token server is done with it, and another may ask there. What is left to do counts against the bound on all; where it no
    /// longer does, against the origin's still.
    pub fn answered(&mut self) {
        if self.counts == Counts::Both {
            self.counts = Counts::InAll;
            self.leave_origin();
        }
    }

    fn leave_all(&self) {
        let mut lanes = self.gate.lanes();
        lanes.active = lanes.active.saturating_sub(1);
        count_down(&mut lanes.active_by_namespace, &self.namespace);
        drop(lanes);
        self.gate.0.changed.notify_one();
    }

    fn leave_origin(&self) {
        let mut lanes = self.gate.lanes();
        if count_down(&mut lanes.active_by_origin, &self.origin) {
            let origin = &self.origin;
            lanes.lanes.retain(|id, lane| id.origin != *origin || !lane.waiting.is_empty());
        }
        drop(lanes);
        self.gate.0.changed.notify_one();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.counts != Counts::AtOrigin {
            self.leave_all();
        }
        if self.counts != Counts::InAll {
            self.leave_origin();
        }
    }
}

/// One less of these. Whether that was the last.
fn count_down<K: Borrow<Q> + Eq + Hash, Q: Eq + Hash + ?Sized>(active: &mut HashMap<K, usize>, of: &Q) -> bool {
    let Some(count) = active.get_mut(of) else { return false };
    *count = count.saturating_sub(1);
    let was_last = *count == 0;
    if was_last {
        active.remove(of);
    }
    was_last
}

impl Lanes {
    fn lane(&mut self, id: &LaneId) -> &mut Lane {
        self.lanes.entry(id.clone()).or_default()
    }

    /// Counts one request against the limit, or says until when the lane is blocked.
    fn admits(&mut self, id: &LaneId, now: Instant) -> bool {
        if self.lane(id).blocked_until.is_some_and(|until| until > now) {
            return false;
        }
        let refused = id.limit.as_ref().and_then(|limit| {
            let new = || RateLimiter::direct(limit.1.quota());
            self.limiters.entry(limit.clone()).or_insert_with(new).check().err()
        });
        let until = refused.map(|refused| now + refused.wait_time_from(DefaultClock::default().now()));
        self.lane(id).blocked_until = until;
        until.is_none()
    }

    fn has_room(&self, origin: &str, bounds: Bounds) -> bool {
        let active = self.active_by_origin.get(origin).copied().unwrap_or(0);
        self.active < bounds.total && active < bounds.per_origin
    }

    fn unpark(&mut self, key: &Key) {
        if let Some((id, deadline)) = self.parked.remove(key)
            && let Some(lane) = self.lanes.get_mut(&id)
        {
            lane.waiting.remove(&(deadline, key.clone()));
        }
    }

    /// Over all lanes with room: of the namespace with the fewest under way, who expires first.
    fn soonest(&self, bounds: Bounds, now: Instant) -> Option<(LaneId, (Timestamp, Key))> {
        self.lanes
            .iter()
            .filter(|(id, lane)| {
                lane.blocked_until.is_none_or(|until| until <= now) && self.has_room(&id.origin, bounds)
            })
            .filter_map(|(id, lane)| Some((id, lane.waiting.first()?)))
            .min_by_key(|(_, first)| (self.active_by_namespace.get(&first.1.namespace).copied().unwrap_or(0), *first))
            .map(|(id, entry)| (id.clone(), entry.clone()))
    }
}

impl Rate {
    fn quota(self) -> Quota {
        // The limiter counts a full burst in 64 bits of nanoseconds.
        let longest = Duration::from_secs(100 * 365 * 24 * 3600) / self.burst.get();
        let each = (self.per / self.requests.get()).min(longest).max(Duration::from_nanos(1));
        Quota::with_period(each).unwrap_or(Quota::per_second(self.requests)).allow_burst(self.burst)
    }
}
