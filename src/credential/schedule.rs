//! When to refresh, and when to try again. Pure arithmetic over `now`; jitter comes in as a number.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

#[cfg(test)]
mod tests;

/// What the kubelet needs to carry a changed Secret into pods, at worst (its sync period plus its cache's time to live).
pub const KUBELET_PROPAGATION: Duration = Duration::from_secs(120);
/// A token is issued after it was asked for, and the status keeps whole seconds of that.
const ISSUE_DELAY: Duration = Duration::from_secs(2);
/// The pause after a first failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
/// A refresh token that dies sooner than in twice this isn't worth a refresh of its own.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(60);
/// The longest pause while attempts are worth repeating.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// The shortest pause that a near expiry can bring the backoff down to.
const URGENT_BACKOFF: Duration = Duration::from_secs(5);
/// How often a request is repeated that a person most likely has to correct first.
pub const HOURLY: Duration = Duration::from_secs(3600);

/// When a credential wants to be refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Margin {
    /// A third of the lifetime left, and what the kubelet needs where the lifetime allows.
    #[default]
    Default,
    /// This long before the expiry.
    Before(Duration),
    /// With this share of the lifetime left, in percent.
    Percent(u8),
    /// At the expiry: sooner, the server would give the same token again.
    Nothing,
}

/// Everything that decides when to refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RefreshPolicy {
    pub margin: Margin,
    /// The provider refuses a refresh sooner after issue.
    pub earliest: Option<Duration>,
    /// A refresh kills the previous access token: refresh as late as is safe.
    pub revokes_access_token: bool,
    /// The refresh token dies when unused this long.
    pub idle_lifetime: Option<Duration>,
    /// The refresh token dies this long after the lineage began, whatever is done.
    pub lifetime: Option<Duration>,
}

/// A share in [0, 1), the same for the same credential and revision: a restart plans what was planned before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// From any 64 bits that differ between credentials.
    pub fn from_bits(bits: u64) -> Self {
        Self((bits >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn of(self, duration: Duration) -> Duration {
        duration.mul_f64(self.0)
    }
}

impl RefreshPolicy {
    /// The policy for a token that the last reply only repeated: the next one isn't to be had before its expiry.
    pub fn after(self, repeated: bool) -> Self {
        if repeated { Self { margin: Margin::Nothing, ..self } } else { self }
    }

    /// When to refresh a token that was asked for at `obtained` and expires at `expires` (None: never), with a refresh token
    /// that dies at `refresh_token_ends` (None: not known). None: not before a person or a changed spec asks for it.
    pub fn refresh_at(
        &self,
        obtained: Timestamp,
        expires: Option<Timestamp>,
        refresh_token_ends: Option<Timestamp>,
        jitter: Jitter,
    ) -> Option<Timestamp> {
        let idle = self.idle_lifetime.map(|idle| later(obtained, idle / 2));
        // Half of what is left, so that an end that doesn't move is met with an access token that is as fresh as can be.
        let half = refresh_token_ends.map(|ends| between(obtained, ends) / 2);
        let kept_alive = half.filter(|half| *half >= SHORTEST_KEEPALIVE).map(|half| later(obtained, half));
        let planned = expires.map(|expires| self.before_expiry(obtained, expires, jitter));
        let planned = [planned, idle, kept_alive].into_iter().flatten().min()?;
        let floor = self.earliest.map_or(planned, |earliest| planned.max(later(obtained, earliest + ISSUE_DELAY)));
        let due = expires.map_or(floor, |expires| floor.min(expires.max(obtained)));
        Some(due.max(later(obtained, shortest_pause(expires.map(|expires| between(obtained, expires))))))
    }

    fn before_expiry(&self, obtained: Timestamp, expires: Timestamp, jitter: Jitter) -> Timestamp {
        let lifetime = between(obtained, expires);
        let left = self.margin_of(lifetime);
        let spread = match self.margin {
            Margin::Nothing => Duration::ZERO,
            _ if self.revokes_access_token => Duration::ZERO,
            // What was obtained at once, after an apply or an outage, is not asked for at once again and again.
            Margin::Default => jitter.of((lifetime - left) / 4),
            Margin::Before(_) | Margin::Percent(_) => jitter.of((lifetime - left) / 10),
        };
        later(obtained, lifetime - left - spread)
    }

    /// How much of the lifetime is left at the refresh, before jitter; at most all of it.
    fn margin_of(&self, lifetime: Duration) -> Duration {
        match self.margin {
            Margin::Before(before) if before >= lifetime => lifetime / 2,
            Margin::Before(before) => before,
            Margin::Nothing => Duration::ZERO,
            Margin::Percent(percent) => lifetime.mul_f64(f64::from(percent.min(100)) / 100.0),
            Margin::Default if self.revokes_access_token => {
                (lifetime / 20).clamp(Duration::from_secs(30), Duration::from_secs(60)).min(lifetime / 2)
            }
            Margin::Default => (lifetime / 3).max(KUBELET_PROPAGATION.min(lifetime / 2)),
        }
    }

    /// The last moment at which a replay is worth waiting for, while the published token still serves.
    pub fn last_call(&self, obtained: Timestamp, expires: Timestamp) -> Timestamp {
        let lifetime = between(obtained, expires);
        later(obtained, lifetime - (lifetime / 10).min(KUBELET_PROPAGATION))
    }
}

/// The least time from one refresh to the next, whatever the spec and the reply say: a token that has expired on arrival (a
/// clock that is off, an absolute time) would else be asked for again without a pause.
fn shortest_pause(lifetime: Option<Duration>) -> Duration {
    match lifetime {
        Some(lifetime) if lifetime >= FIRST_BACKOFF => FIRST_BACKOFF.min(lifetime / 2),
        Some(_) | None => FIRST_BACKOFF,
    }
}

/// When to try again after the `failures`-th failure in a row (1 for the first). `asked` is the server's Retry-After.
pub fn retry_at(
    now: Timestamp,
    failures: i64,
    expires: Option<Timestamp>,
    asked: Option<Duration>,
    jitter: Jitter,
) -> Timestamp {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0).min(16);
    let backoff = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    // Faster as the expiry nears: at least three more tries before it, none closer than the urgent pause.
    let urgent =
        expires.filter(|expires| *expires > now).map(|expires| (between(now, expires) / 4).max(URGENT_BACKOFF));
    let backoff = urgent.map_or(backoff, |urgent| backoff.min(urgent));
    let spread = backoff / 2 + jitter.of(backoff / 2);
    later(now, asked.map_or(spread, |asked| asked.max(spread)))
}

/// When to repeat a request that a person most likely has to correct first.
pub fn retry_hourly(now: Timestamp, asked: Option<Duration>, jitter: Jitter) -> Timestamp {
    let pause = HOURLY + jitter.of(HOURLY / 10);
    later(now, asked.map_or(pause, |asked| asked.max(pause)))
}

/// From `start` to `end`; zero when it is the other way round.
pub fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}

/// `before` earlier than `end`, or the first timestamp there is.
pub fn earlier(end: Timestamp, before: Duration) -> Timestamp {
    let before = SignedDuration::try_from(before).unwrap_or(SignedDuration::MAX);
    end.checked_sub(before).unwrap_or(Timestamp::MIN)
}

/// `after` later than `start`, or the last timestamp there is.
pub fn later(start: Timestamp, after: Duration) -> Timestamp {
    let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
    start.checked_add(after).unwrap_or(Timestamp::MAX)
}
