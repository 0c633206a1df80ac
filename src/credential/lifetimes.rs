//! When a refresh token dies, and from when on a person should know of it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    record::{Issued, StateRecord},
    schedule::{RefreshPolicy, between, earlier, later},
};

#[cfg(test)]
mod tests;

/// How long ahead of its end a grant that no refresh prolongs is told of: a fifth of the whole, at most this.
const LONGEST_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);
/// A refresh token that nobody refreshed in time is told of when this share of its life is left.
const SHARE: u32 = 5;

/// The end of a refresh token, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub struct Life {
    /// When it dies, should it not be used before. The soonest of what the reply says, `refreshTokens.idleLifetime` after
    /// its last use, and `refreshTokens.lifetime` after the lineage began.
    pub ends: Option<Timestamp>,
    /// From when on a person should see to a new grant, where no refresh puts the end off.
    pub warns: Option<Timestamp>,
}

impl Life {
    /// Of the refresh token that a state holds after `issued` came.
    pub fn of(record: &StateRecord, issued: &Issued, policy: &RefreshPolicy) -> Self {
        let idle = policy.idle_lifetime.map(|idle| later(issued.obtained_at, idle));
        let whole = record.began_at.zip(policy.lifetime).map(|(began, lifetime)| later(began, lifetime));
        let ends = [issued.refresh_token_expires_at, idle, whole].into_iter().flatten().min();
        let fixed = [record.fixed_end, whole].into_iter().flatten().min();
        let warns = fixed.map(|end| {
            let share = record.began_at.map_or(LONGEST_WARNING, |began| between(began, end) / SHARE);
            earlier(end, share.min(LONGEST_WARNING))
        });
        Self { ends, warns }
    }
}

/// Whether a refresh token that was last used at `used` and dies at `ends` should have been used again by now.
pub fn is_neglected(used: Timestamp, ends: Timestamp, now: Timestamp) -> bool {
    now > earlier(ends, between(used, ends) / SHARE)
}

/// Whether the end of the refresh token did not move with this refresh. A server whose tokens live on tells a later end each time;
/// one that counts from the consent tells the same, give or take what it rounds.
pub fn is_fixed(former: &Issued, newer: &Issued) -> bool {
    let (Some(before), Some(after)) = (former.refresh_token_expires_at, newer.refresh_token_expires_at) else {
        return false;
    };
    between(before, after) <= between(former.obtained_at, newer.obtained_at) / 2
}
