use super::*;
use crate::{
    credential::{record::Received, schedule::Jitter},
    oauth::values::{AccessToken, RefreshToken, SecretText},
};

const DAY: i64 = 24 * 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn days(days: i64) -> Duration {
    Duration::from_secs((days * DAY).unsigned_abs())
}

fn issued(obtained: i64, refresh_token_ends: Option<i64>) -> Issued {
    Issued {
        leg: String::new(),
        access_token: AccessToken::new("a"),
        refresh_token: Some(RefreshToken::new(format!("r{obtained}"))),
        id_token: None,
        token_type: None,
        scope: None,
        obtained_at: at(obtained),
        expires_at: None,
        refresh_token_expires_at: refresh_token_ends.map(at),
        response: SecretText::new("{}"),
        asked_under: Default::default(),
    }
}

/// The state after these replies, of a lineage that began at 0.
fn record(replies: &[Issued]) -> StateRecord {
    let seed = RefreshToken::new("seed");
    let begun = StateRecord::begin("l".into(), Default::default(), Some(&seed), "hash".into(), None, 0, at(0));
    replies.iter().fold(begun, |record, reply| record.with_reply("a", None, Received::Issued(Box::new(reply.clone()))))
}

fn life(replies: &[Issued], policy: &RefreshPolicy) -> Life {
    let record = record(replies);
    Life::of(&record, record.issued.as_ref().unwrap(), policy)
}

#[test]
fn nothing_is_known_where_nobody_tells() {
    assert_eq!(life(&[issued(10, None)], &RefreshPolicy::default()), Life::default());
}

#[test]
fn the_soonest_end_counts() {
    let policy = RefreshPolicy { idle_lifetime: Some(days(30)), lifetime: Some(days(100)), ..RefreshPolicy::default() };
    let ends = |obtained, told| life(&[issued(obtained, told)], &policy).ends;
    assert_eq!(ends(10 * DAY, None), Some(at(40 * DAY)), "unused for 30 days");
    assert_eq!(ends(90 * DAY, None), Some(at(100 * DAY)), "100 days from the beginning");
    assert_eq!(ends(10 * DAY, Some(11 * DAY)), Some(at(11 * DAY)), "the reply says so");
}

#[test]
fn of_a_lifetime_from_the_consent_a_person_is_told_ahead() {
    let warns = |lifetime| {
        let policy = RefreshPolicy { lifetime: Some(lifetime), ..RefreshPolicy::default() };
        life(&[issued(10, None)], &policy).warns
    };
    assert_eq!(warns(days(365)), Some(at(351 * DAY)), "two weeks");
    assert_eq!(warns(days(10)), Some(at(8 * DAY)), "a fifth of the whole, where that is less");
}

#[test]
fn an_end_that_refreshing_moves_is_no_reason_to_tell() {
    let moving = [issued(0, Some(30 * DAY)), issued(DAY, Some(31 * DAY)), issued(2 * DAY, Some(32 * DAY))];
    assert_eq!(life(&moving, &RefreshPolicy::default()).warns, None);
    // Only the first is known yet: it may move.
    assert_eq!(life(&moving[..1], &RefreshPolicy::default()).warns, None);
}

#[test]
fn an_end_that_stays_where_it_was_is_fixed_whatever_is_rounded() {
    for rounded in [-1, 0, 1] {
        let staying = [issued(0, Some(30 * DAY)), issued(DAY, Some(30 * DAY + rounded))];
        let expected = earlier(at(30 * DAY + rounded), Duration::from_secs((30 * DAY + rounded).unsigned_abs()) / 5);
        assert_eq!(life(&staying, &RefreshPolicy::default()).warns, Some(expected));
    }
    // A server that keeps the refresh token, and says nothing more of its end, has not moved it.
    let kept = [issued(0, Some(30 * DAY)), Issued { refresh_token: None, ..issued(DAY, None) }];
    assert!(life(&kept, &RefreshPolicy::default()).warns.is_some());
    // A new end is forgotten as soon as a reply moves it.
    let moved = [issued(0, Some(30 * DAY)), issued(DAY, Some(30 * DAY)), issued(2 * DAY, Some(60 * DAY))];
    assert_eq!(life(&moved, &RefreshPolicy::default()).warns, None);
}

#[test]
fn a_token_is_neglected_in_the_last_fifth_of_its_life() {
    assert!(!is_neglected(at(0), at(1000), at(800)));
    assert!(is_neglected(at(0), at(1000), at(801)));
    assert!(is_neglected(at(0), at(1000), at(2000)), "and for ever after");
}

/// A server whose refresh tokens die 90 days after the consent, and whose access tokens live for a week.
#[test]
fn a_person_is_told_in_time_and_the_server_is_not_hammered_at_the_end() {
    let policy = RefreshPolicy { lifetime: Some(days(90)), ..RefreshPolicy::default() };
    let (mut now, mut refreshes, mut told) = (0, 0, None);
    while now < 90 * DAY {
        let token = issued(now, None);
        let life = life(std::slice::from_ref(&token), &policy);
        if told.is_none() && life.warns.is_some_and(|warns| warns <= at(now)) {
            told = Some(now);
        }
        let next = policy.refresh_at(at(now), Some(at(now + 7 * DAY)), life.ends, Jitter::from_bits(0)).unwrap();
        now = next.as_second();
        refreshes += 1;
    }
    let told = told.expect("a person is told");
    assert!((7 * DAY..=14 * DAY).contains(&(90 * DAY - told)), "told {} days ahead", (90 * DAY - told) / DAY);
    assert!(refreshes < 40, "{refreshes} refreshes");
}
