//! When a token expires: the times a reply names, made sense of.
//!
//! No value makes a reply useless, since the token in it may be the only one there is: a time that can't be read, and one
//! that is zero or negative (servers use both for 'unknown' and for 'never'), counts as not named, and one beyond the
//! year 9999 as the end of that year.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::api::ExpiryUnit;

/// From here on a number is milliseconds since 1970, not seconds: as seconds it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// How long an access token lives when its reply names no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifetime {
    For(Duration),
    Never,
}

impl Default for Lifetime {
    /// One hour.
    fn default() -> Self {
        Self::For(Duration::from_secs(3600))
    }
}

/// The time that a reply names: an absolute one, else a lifetime that began when the request was sent.
pub(super) fn named(
    expires_at: Option<&Value>,
    expires_in: Option<&Value>,
    unit: ExpiryUnit,
    sent_at: Timestamp,
) -> Option<Timestamp> {
    expires_at.and_then(absolute).or_else(|| Some(later(sent_at, relative(expires_in?, unit)?)))
}

/// When the access token expires; None: never.
pub(super) fn expiry(
    named: Option<Timestamp>,
    default: Lifetime,
    max: Option<Duration>,
    sent_at: Timestamp,
) -> Option<Timestamp> {
    let believed = named.or(match default {
        Lifetime::For(lifetime) => Some(later(sent_at, lifetime)),
        Lifetime::Never => None,
    });
    let latest = max.map(|max| later(sent_at, max));
    match (believed, latest) {
        (Some(believed), Some(latest)) => Some(believed.min(latest)),
        (believed, latest) => believed.or(latest),
    }
}

fn later(from: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    from.checked_add(duration).unwrap_or(Timestamp::MAX)
}

fn relative(value: &Value, unit: ExpiryUnit) -> Option<Duration> {
    let number = positive_number(value)?;
    let seconds = match unit {
        ExpiryUnit::Seconds => number,
        ExpiryUnit::Milliseconds => number / 1e3,
        ExpiryUnit::Minutes => number * 60.0,
    };
    let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    (!lifetime.is_zero()).then_some(lifetime)
}

fn absolute(value: &Value) -> Option<Timestamp> {
    let time = match positive_number(value) {
        Some(number) => {
            let milliseconds = if number > MILLISECONDS_FROM { number } else { number * 1e3 };
            // `as` saturates, so what is out of range becomes the end of time.
            Timestamp::from_millisecond(milliseconds as i64).unwrap_or(Timestamp::MAX)
        }
        None => value.as_str()?.trim().parse().ok()?,
    };
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

/// A number, or a text that is one. Only finite ones above zero mean a time.
fn positive_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (number.is_finite() && number > 0.0).then_some(number)
}
