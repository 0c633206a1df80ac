use super::*;

const ALL: [Starts; 5] = [Starts::Client, Starts::RefreshToken, Starts::Token, Starts::Password, Starts::Consent];

fn those(rule: impl Fn(Starts) -> bool) -> Vec<Starts> {
    ALL.into_iter().filter(|starts| rule(*starts)).collect()
}

#[test]
fn a_refresh_token_is_kept_where_one_comes() {
    let keeping = [Starts::RefreshToken, Starts::Password, Starts::Consent];
    for (single_use, keeps) in [(true, Keeps::SingleUse), (false, Keeps::Reusable)] {
        assert_eq!(those(|starts| starts.keeps(single_use) == keeps), keeping);
        assert_eq!(those(|starts| starts.keeps(single_use) == Keeps::Nothing), [Starts::Client, Starts::Token]);
    }
}

#[test]
fn only_what_was_given_once_is_lost() {
    assert_eq!(those(Starts::ends_with_its_refresh_token), [Starts::RefreshToken, Starts::Consent]);
}

/// Where none is told, a look can't see another source: a token would be exchanged again each time.
#[test]
fn what_another_source_is_known_by_is_told() {
    assert_eq!(those(Starts::is_told), [Starts::RefreshToken, Starts::Token]);
}

#[test]
fn what_is_sent_instead() {
    assert!(those(|starts| starts.has_another_way(Class::Backoff)).is_empty());
    assert_eq!(those(|starts| starts.has_another_way(Class::Hourly)), [Starts::Password]);
    assert_eq!(those(|starts| starts.has_another_way(Class::Person)), ALL);
}
