use super::*;
use crate::api::Reason;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn token(name: &str, obtained: Option<i64>) -> AdditionalTokenStatus {
    AdditionalTokenStatus {
        name: name.to_owned(),
        last_refresh_time: obtained.map(at),
        expiration_time: obtained.map(|obtained| at(obtained + 3600)),
        spec_hash: Some("s".to_owned()),
        ..AdditionalTokenStatus::default()
    }
}

#[test]
fn an_additional_token_has_a_time_of_its_own() {
    let policy = RefreshPolicy { idle_lifetime: Some(std::time::Duration::from_secs(60)), ..RefreshPolicy::default() };
    let due = |token: &AdditionalTokenStatus| due_at(&policy, token, Jitter::from_bits(0)).map(Timestamp::as_second);
    assert_eq!(due(&token("a", Some(1000))), Some(3400), "the refresh token's idleness is the main token's business");
    let for_ever = AdditionalTokenStatus { expiration_time: None, ..token("a", Some(1000)) };
    assert_eq!(due(&for_ever), None);
    let failing = AdditionalTokenStatus { next_refresh_time: Some(at(2000)), ..token("a", Some(1000)) };
    assert_eq!(due(&failing), Some(2000));
}

#[test]
fn failures_are_counted_for_each() {
    let problem = Problem::passing(Reason::InvalidSpec, "It may not.");
    let once = failed(&[token("a", Some(1000)), token("b", None)], "b", &problem, at(2000), "s");
    assert_eq!((once[0].failed_attempts, once[1].failed_attempts), (None, Some(1)));
    assert_eq!((once[1].reason.as_deref(), once[1].message.as_deref()), (Some("InvalidSpec"), Some("It may not.")));
    let twice = failed(&once, "b", &problem, at(3000), "s");
    assert_eq!((twice[1].failed_attempts, twice[1].next_refresh_time), (Some(2), Some(at(3000))));
    assert_eq!(
        failed(&twice, "b", &problem, at(3000), "other")[1].failed_attempts,
        Some(1),
        "a changed spec starts afresh"
    );
    let new = failed(&[], "c", &problem, at(2000), "s");
    assert_eq!((new.len(), new[0].last_refresh_time), (1, None));
}
