//! How the plugin writes tables and times: as kubectl does.

use jiff::Timestamp;

/// Rows under their headings, padded, without lines.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let headings = headings.iter().map(|&heading| heading.to_owned()).collect::<Vec<_>>();
    let all = || std::iter::once(&headings).chain(rows);
    let widths: Vec<usize> = (0..headings.len())
        .map(|column| all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in all() {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   "));
        text.push_str(padded.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

/// `in 5m`, `7s ago`, or `now`.
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.as_second() - now.as_second();
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {}", span(seconds)),
        _ => format!("{} ago", span(-seconds)),
    }
}

/// A length of time in at most two units, as kubectl's AGE column has it.
pub fn span(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |large: i64, large_unit: &str, small: i64, small_unit: &str| match seconds % large / small {
        0 => format!("{}{large_unit}", seconds / large),
        rest => format!("{}{large_unit}{rest}{small_unit}", seconds / large),
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(DAY, "d", HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        _ => two(YEAR, "y", DAY, "d"),
    }
}

/// `1 credential`, `2 credentials`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_padded_to_the_widest_cell_and_not_at_the_end() {
        let rows = [vec!["a".into(), "True".into(), "x".into()], vec!["longer".into(), String::new(), String::new()]];
        assert_eq!(table(&["NAME", "READY", "Z"], &rows), "NAME     READY   Z\na        True    x\nlonger\n");
    }

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |seconds: i64| relative(Timestamp::from_second(1_000_000 + seconds).unwrap(), now);
        assert_eq!((at(0), at(42), at(-42)), ("now".into(), "in 42s".into(), "42s ago".into()));
        assert_eq!(at(7_200), "in 120m");
    }

    #[test]
    fn spans_are_kubectls() {
        for (seconds, text) in [
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (12_000, "3h20m"),
            (28_800, "8h"),
            (176_400, "2d1h"),
            (700_000, "8d"),
            (63_072_000, "2y"),
            (64_000_000, "2y10d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
