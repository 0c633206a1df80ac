//! The text of a duration, in Go's syntax (90s, 15m, 1h30m, 1.5h), as specs and flags have it. kube's own parser panics on
//! large numbers, so this is the only one used.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// The longest duration that is taken: more than a hundred years. What is computed from it can't overflow.
const LONGEST_HOURS: u64 = 1_000_000;

/// Parses a duration. None: it isn't one, is negative, or is longer than a million hours.
pub fn parse(text: &str) -> Option<Duration> {
    let mut total = 0_u128;
    let mut rest = text;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_ends);
        total = total.checked_add(nanoseconds(number, unit)?)?;
        rest = after;
    }
    let longest = u128::from(LONGEST_HOURS * 3600);
    let seconds = total / 1_000_000_000;
    let nanoseconds = u32::try_from(total % 1_000_000_000).ok()?;
    (!text.is_empty() && seconds <= longest).then_some(Duration::new(u64::try_from(seconds).ok()?, nanoseconds))
}

/// A decimal number of a unit. What is finer than a nanosecond is cut off.
fn nanoseconds(number: &str, unit: &str) -> Option<u128> {
    let per_unit: u128 = match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(digits(whole) && digits(fraction)) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // A nanosecond of an hour is its thirteenth decimal.
    let fraction = &fraction[..fraction.len().min(13)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    Some(u128::from(whole) * per_unit + u128::from(fraction) * per_unit / scale)
}
