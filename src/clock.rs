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
}
