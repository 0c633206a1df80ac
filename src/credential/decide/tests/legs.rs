//! Which of the tokens is asked for, where there are additional ones.

use super::*;
use crate::api::AdditionalTokenStatus;

/// One additional token, which is asked for at `next`.
fn with_leg(case: Case, next: i64) -> Case {
    case.with(|c| {
        c.rules.legs = vec!["mail".into()];
        c.status.additional_tokens = vec![AdditionalTokenStatus {
            name: "mail".into(),
            spec_hash: Some(String::new()),
            next_refresh_time: Some(at(next)),
            ..AdditionalTokenStatus::default()
        }];
    })
}

/// What is asked for: the additional token's name, or the main one (empty).
fn asks(case: &Case) -> String {
    match case.plan() {
        Plan::Exchange(plan) => plan.leg.unwrap_or_default(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_leg_is_asked_for_when_its_time_has_come() {
    for next in [1999, 2000] {
        assert_eq!(asks(&with_leg(case(), next)), "mail");
    }
    assert_eq!(with_leg(case(), 2001).says(), "rest Some(2001)");
}

#[test]
fn the_main_token_goes_first() {
    let at_once = |change: fn(&mut Case)| asks(&with_leg(case(), 2000).with(change));
    assert_eq!(at_once(|c| c.now = 3399), "mail");
    assert_eq!(at_once(|c| c.now = 3400), "", "it is due, too");
    assert_eq!(at_once(|c| c.asked = Some("2026-01-01T00:00:00Z")), "", "a person asks for it");
}

/// The first time, both are published together; a suspended credential publishes what it has.
#[test]
fn a_main_token_waits_for_its_legs() {
    let waiting = || {
        case().with(|c| {
            (c.rules.legs, c.status.revision) = (vec!["mail".into()], Some(2));
        })
    };
    assert_eq!(asks(&waiting()), "mail");
    assert_eq!(waiting().with(|c| c.rules.suspend = true).says(), "Publish");
    let both = waiting().with(|c| {
        let issued = c.record().issued.clone().unwrap();
        c.record().additional = [("mail".to_owned(), issued)].into();
    });
    assert_eq!(both.says(), "Publish");
}
