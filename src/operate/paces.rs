//! How often each of many may do something: a burst, then once in a while. Who has rested is forgotten.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

/// Those who have rested are forgotten after so many looks.
const FORGET_EVERY: usize = 1024;

/// A pace for each key.
pub struct Paces<K: Clone + Eq + Hash> {
    limiter: DefaultKeyedRateLimiter<K>,
    checked: AtomicUsize,
}

impl<K: Clone + Eq + Hash> Paces<K> {
    /// For each key `burst` at once, then one every `refill`.
    pub fn new(burst: NonZeroU32, refill: Duration) -> Self {
        let pace = Quota::with_period(refill).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
        Self { limiter: RateLimiter::keyed(pace.allow_burst(burst)), checked: AtomicUsize::new(0) }
    }

    /// Counts one of `key`.
    ///
    /// # Errors
    /// It is too early, by this much.
    pub fn check(&self, key: &K) -> Result<(), Duration> {
        self.check_of(key, NonZeroU32::MIN)
    }

    /// Counts `cost` of `key` at once.
    ///
    /// # Errors
    /// It is too early, by this much; what costs more than a whole burst is always.
    pub fn check_of(&self, key: &K, cost: NonZeroU32) -> Result<(), Duration> {
        let checked = self.checked.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if checked.is_multiple_of(FORGET_EVERY) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        match self.limiter.check_key_n(key, cost) {
            Ok(checked) => checked.map_err(|early| early.wait_time_from(DefaultClock::default().now())),
            Err(_) => Err(Duration::MAX),
        }
    }
}
