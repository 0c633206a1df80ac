use super::*;

const NONE: Jitter = Jitter(0.0);
const HALF: Jitter = Jitter(0.5);

fn at(seconds: f64) -> Timestamp {
    later(Timestamp::UNIX_EPOCH, Duration::from_secs_f64(seconds))
}

/// When a token that was asked for at 0 is refreshed, in seconds.
fn due(policy: RefreshPolicy, lifetime: Option<f64>, jitter: Jitter) -> Option<f64> {
    let due = policy.refresh_at(at(0.0), lifetime.map(at), None, jitter)?;
    Some(between(at(0.0), due).as_secs_f64())
}

#[test]
fn jitter_spreads_what_may_be_early() {
    let usual = RefreshPolicy::default();
    assert_eq!(due(usual, Some(3600.0), NONE), Some(2400.0));
    assert_eq!(due(usual, Some(3600.0), HALF), Some(2100.0), "by a quarter at most");
    let asked = RefreshPolicy { margin: Margin::Percent(50), ..usual };
    assert_eq!(due(asked, Some(3600.0), HALF), Some(1710.0), "by a tenth at most");
    // What is to be as late as is safe isn't spread.
    let revokes = RefreshPolicy { revokes_access_token: true, ..usual };
    let repeated = usual.after(true);
    for jitter in [NONE, HALF] {
        assert_eq!(due(revokes, Some(3600.0), jitter), Some(3540.0));
        assert_eq!(due(repeated, Some(3600.0), jitter), Some(3600.0));
    }
    assert_eq!(Jitter::from_bits(1 << 63), HALF);
}

#[test]
fn an_idle_refresh_token_is_used_at_half_of_its_life() {
    let idle = RefreshPolicy { idle_lifetime: Some(Duration::from_secs(7200)), ..RefreshPolicy::default() };
    assert_eq!(due(idle, None, NONE), Some(3600.0));
    assert_eq!(due(idle, Some(3600.0), NONE), Some(2400.0));
    assert_eq!(due(RefreshPolicy::default(), None, NONE), None);
}

/// With half of what is left, so that an access token from the last hour is there when the end comes.
#[test]
fn a_refresh_token_with_an_end_is_used_before_it() {
    let due = |ends: f64| {
        let due = RefreshPolicy::default().refresh_at(at(0.0), None, Some(at(ends)), HALF)?;
        Some(between(at(0.0), due).as_secs_f64())
    };
    assert_eq!([due(1000.0), due(120.0), due(119.0)], [Some(500.0), Some(60.0), None]);
}

/// A token that lives for less than the pause, or has expired on arrival, is not asked for again without one.
#[test]
fn there_is_a_pause_between_two_refreshes() {
    for (lifetime, expected) in [(0.0, 5.0), (3.0, 5.0), (5.0, 2.5), (8.0, 4.0)] {
        assert_eq!(due(RefreshPolicy::default(), Some(lifetime), NONE), Some(expected), "{lifetime}");
    }
}

#[test]
fn retries_come_faster_as_the_expiry_nears() {
    let fourth = |expires: Option<f64>, asked: Option<u64>| {
        let retry = retry_at(at(100.0), 4, expires.map(at), asked.map(Duration::from_secs), NONE);
        between(at(100.0), retry).as_secs_f64()
    };
    assert_eq!(fourth(None, None), 20.0);
    assert_eq!(fourth(Some(1100.0), None), 20.0);
    assert_eq!(fourth(Some(140.0), None), 5.0, "a quarter of what is left");
    assert_eq!(fourth(Some(101.0), None), 2.5, "not closer than the urgent pause");
    assert_eq!(fourth(Some(100.0), None), 20.0, "it has expired: nothing is urgent any more");
    assert_eq!(fourth(Some(140.0), Some(60)), 60.0, "what the server asks for comes first");
    let spread = retry_at(at(100.0), 4, None, None, HALF);
    assert_eq!(spread, at(130.0), "half of the pause is spread");
}
