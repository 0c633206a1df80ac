//! Two clocks. The wall clock says when a token expires; the boot-time clock goes on while the machine sleeps and can't be
//! set, so it measures leases and fences. Only effects read them: decisions take a `Moment`.

use std::time::Duration;

use jiff::Timestamp;

/// Time since boot, sleep included (CLOCK_BOOTTIME). Means nothing in another boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub Duration);

impl BootTime {
    /// Reads the clock.
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        Self(Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default()))
    }

    /// The time `after` later.
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(after))
    }
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub wall: Timestamp,
    pub boot: BootTime,
}

impl Moment {
    /// Reads both clocks.
    pub fn now() -> Self {
        Self { wall: Timestamp::now(), boot: BootTime::now() }
    }

    /// How far the wall clock was set back since `earlier`.
    pub fn set_back_since(self, earlier: Self) -> Duration {
        let passed = self.boot.0.saturating_sub(earlier.boot.0);
        let expected = earlier.wall.checked_add(passed).unwrap_or(Timestamp::MAX);
        Duration::try_from(expected.duration_since(self.wall)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_was_set_back_is_told_from_one_that_goes_on() {
        let at = |wall, boot| Moment {
            wall: Timestamp::from_second(wall).unwrap_or_default(),
            boot: BootTime(Duration::from_secs(boot)),
        };
        let start = at(1_000_000, 50);
        assert_eq!(at(1_000_010, 60).set_back_since(start), Duration::ZERO);
        assert_eq!(at(1_003_610, 60).set_back_since(start), Duration::ZERO);
        assert_eq!(at(996_410, 60).set_back_since(start), Duration::from_secs(3600));
    }
}
