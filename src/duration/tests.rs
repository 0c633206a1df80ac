use proptest::prelude::*;

use super::*;

#[test]
fn what_users_write() {
    for (text, expected) in [
        ("90s", Duration::from_secs(90)),
        ("15m", Duration::from_secs(900)),
        ("1h30m", Duration::from_secs(5400)),
        ("1.5h", Duration::from_secs(5400)),
        ("1m30s500ms", Duration::from_millis(90_500)),
        (".5s", Duration::from_millis(500)),
        ("1.s", Duration::from_secs(1)),
        ("2us", Duration::from_micros(2)),
        ("2\u{b5}s", Duration::from_micros(2)),
        ("2\u{3bc}s", Duration::from_micros(2)),
        ("7ns", Duration::from_nanos(7)),
        ("0.0000000001s", Duration::ZERO),
        ("0s", Duration::ZERO),
        ("0.99999999999999999999999999h", Duration::from_nanos(3_599_999_999_999)),
        ("1000000h", Duration::from_secs(3_600_000_000)),
    ] {
        assert_eq!(parse(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_refused() {
    for text in [
        "",
        "0",
        "5",
        "s",
        ".s",
        "1",
        "1d",
        "5 s",
        " 5s",
        "5s ",
        "-5s",
        "+5s",
        "5s-3s",
        "1e9s",
        "five",
        "1.2.3s",
        "1,5s",
        "5S",
        "5sm",
        "٣s",
        "1000001h",
        "1000000h1h",
        "99999999999999999999h",
        "18446744073709551615h",
        "340282366920938463463374607431768211455s",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[-0-9hmsnuµμ.+e/:٣]{0,48}") {
        let _ = parse(&text);
    }

    /// The two agree wherever kube's parser is safe to ask.
    #[test]
    fn agrees_with_kube(hours in 0_u32..1000, minutes in 0_u32..100, seconds in 0_u32..1000, millis in 0_u32..1000) {
        let text = format!("{hours}h{minutes}m{seconds}s{millis}ms");
        let kubes: kube::core::Duration = text.parse().unwrap();
        prop_assert_eq!(parse(&text), Some(Duration::from(kubes)));
    }

    #[test]
    fn sums_its_parts(parts in prop::collection::vec((0_u64..100_000, 0_usize..4), 1..6)) {
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
        let text: String = parts.iter().map(|(number, unit)| format!("{number}{}", units[*unit].0)).collect();
        let millis: u64 = parts.iter().map(|(number, unit)| number * units[*unit].1).sum();
        prop_assert_eq!(parse(&text), Some(Duration::from_millis(millis)));
    }
}
