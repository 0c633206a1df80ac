use super::*;
use crate::{
    api::{AdditionalTokenStatus, SecretStatus, WorkloadKind},
    credential::{lifetimes::Life, record::Authorized},
};
use ConditionType::{Ready, Reconciling, Refreshed, Stalled};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn token(revision: i64) -> PublishedToken {
    PublishedToken {
        token_hash: format!("hash {revision}"),
        revision,
        obtained_at: "1970-01-01T00:16:40.9Z".parse().unwrap(),
        expires_at: Some(at(2000)),
        life: Life::default(),
        scopes: vec!["a".into()],
        additional: Vec::new(),
        seed_hash: Some("seed".into()),
        authorized: None,
        secret: SecretStatus { name: "token".into(), uid: "u".into(), resource_version: "1".into() },
    }
}

fn pass(now: i64, outcome: Outcome) -> Pass<'static> {
    Pass {
        now: at(now),
        generation: 1,
        outcome,
        current: true,
        next: Some(at(1700)),
        handled: None,
        restarts: Some(&[]),
        authorization: Default::default(),
        output_name: "token",
    }
}

fn failed(problem: Problem, retry: Option<Timestamp>) -> Outcome {
    Outcome::Failed { problem, retry, inputs: "i".into() }
}

/// A status after a first token.
fn fresh() -> OAuthCredentialStatus {
    let new = OAuthCredentialStatus { observed_generation: Some(-1), ..OAuthCredentialStatus::default() };
    status(&new, &pass(1001, Outcome::Published { token: token(1), fresh: true }))
}

/// The conditions as text: type, status, reason.
fn said(status: &OAuthCredentialStatus) -> Vec<String> {
    let text = |c: &Condition| format!("{:?}={:?}/{}", c.type_, c.status, c.reason);
    status.conditions.iter().map(text).collect()
}

fn find(status: &OAuthCredentialStatus, type_: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

#[test]
fn a_pass_is_overtaken_by_a_newer_token_or_another_failure() {
    let of = |revision| OAuthCredentialStatus { revision, next_refresh_time: revision.map(at), ..Default::default() };
    for (before, now, expected) in [
        (None, None, false),
        (None, Some(1), true),
        (Some(1), Some(2), true),
        (Some(2), Some(2), false),
        (Some(2), None, false),
    ] {
        assert_eq!(is_overtaken(&of(before), &of(now)), expected, "{before:?} {now:?}");
    }
    let failing = |failed_attempts, failed| OAuthCredentialStatus {
        failed_attempts,
        last_failure_time: Some(at(failed)),
        ..of(Some(2))
    };
    assert!(is_overtaken(&of(Some(2)), &failing(Some(1), 10)));
    assert!(is_overtaken(&failing(Some(1), 10), &failing(Some(2), 20)));
    assert!(is_overtaken(&failing(Some(1), 10), &failing(Some(1), 20)), "another one's first");
    assert!(is_overtaken(&failing(Some(1), 10), &of(Some(2))), "it is over");
    assert!(!is_overtaken(&failing(Some(1), 10), &failing(Some(1), 10)));
}

/// Every reason that an attempt or a hold can give, and whether it stalls.
fn problems() -> Vec<Problem> {
    Reason::ALL
        .into_iter()
        .flat_map(|reason| [Problem::passing(reason, "Do this."), Problem::stalled(reason, "Do this.")])
        .collect()
}

#[test]
fn a_first_token() {
    let status = fresh();
    assert_eq!(said(&status), ["Ready=True/Issued", "Refreshed=True/Issued"]);
    assert_eq!(status.last_refresh_time, Some(at(1000)));
    assert_eq!(status.expiration_time, Some(at(2000)));
    assert_eq!(status.next_refresh_time, Some(at(1700)));
    assert_eq!((status.revision, status.scopes.len(), status.seed_hash.as_deref()), (Some(1), 1, Some("seed")));
    assert_eq!(find(&status, Ready).unwrap().message, "The Secret token holds a valid access token.");
}

#[test]
fn nothing_new_is_nothing_written() {
    let status = fresh();
    for now in [1001, 1500, 1999] {
        assert_eq!(super::status(&status, &pass(now, Outcome::Rested)), status);
    }
}

#[test]
fn every_problem_in_every_situation() {
    let new = OAuthCredentialStatus::default();
    for (before, now) in [(new, 1001), (fresh(), 1500), (fresh(), 2000)] {
        for problem in problems() {
            for outcome in [Outcome::Held(problem.clone()), failed(problem.clone(), Some(at(3000)))] {
                let attempt = matches!(outcome, Outcome::Failed { .. });
                let first = Pass { current: before.revision.is_some(), ..pass(now, outcome) };
                let after = status(&before, &first);
                let again = status(&after, &Pass { now: at(now + 7), ..first.clone() });
                assert_eq!(after.conditions, again.conditions, "{problem:?}");
                assert!(after.conditions.iter().all(|condition| condition.observed_generation == 1));

                let valid = before.revision.is_some() && now < 2000;
                let ready = find(&after, Ready).unwrap();
                assert_eq!(ready.status == ConditionStatus::True, valid, "{problem:?}");
                let refreshed = find(&after, Refreshed).unwrap();
                let lost = attempt && problem.reason == Reason::AuthorizationRequired;
                let expected = if lost { Reason::InvalidGrant } else { problem.reason };
                assert_eq!((refreshed.status, &*refreshed.reason), (ConditionStatus::False, expected.as_str()));
                let stalled = find(&after, Stalled).map(|stalled| &*stalled.reason);
                assert_eq!(stalled, problem.stalls.then_some(problem.reason.as_str()));
                let suspended = !attempt && problem.reason == Reason::Suspended;
                let reconciling = find(&after, Reconciling).is_some();
                assert_eq!(reconciling, !valid && !problem.stalls && !suspended, "{problem:?}");
                match (valid, problem.stalls) {
                    (true, _) => assert_eq!(ready.reason, "Issued"),
                    (false, true) => assert_eq!(ready.reason, problem.reason.as_str()),
                    (false, false) if before.revision.is_some() => assert_eq!(ready.reason, "Expired"),
                    (false, false) => assert_eq!(ready.reason, expected.as_str()),
                }
            }
        }
    }
}

#[test]
fn the_transition_time_moves_on_a_flip_only() {
    let problem = Problem::passing(Reason::ProviderUnavailable, "Wait.");
    let mut now = fresh();
    let mut times = Vec::new();
    for (second, outcome) in [
        (1100, failed(problem.clone(), Some(at(1110)))),
        (1110, failed(Problem::passing(Reason::RateLimited, "Wait."), Some(at(1120)))),
        (1120, Outcome::Published { token: token(2), fresh: true }),
        (2000, Outcome::Rested),
        (2001, failed(problem, Some(at(2010)))),
    ] {
        now = status(&now, &pass(second, outcome));
        let time = |type_| find(&now, type_).map(|condition| condition.last_transition_time.as_second());
        times.push((time(Ready), time(Refreshed), time(Reconciling)));
    }
    let expected = [
        (Some(1001), Some(1100), None),
        (Some(1001), Some(1100), None),
        (Some(1001), Some(1120), None),
        (Some(2000), Some(1120), Some(2000)),
        (Some(2000), Some(2001), Some(2000)),
    ];
    assert_eq!(times, expected);
}

#[test]
fn failures_are_counted_and_their_pause_rounded_up() {
    let problem = Problem::passing(Reason::ProviderUnavailable, "Wait.");
    let retry = Some("1970-01-01T00:18:31.2Z".parse().unwrap());
    let one = status(&fresh(), &pass(1100, failed(problem.clone(), retry)));
    assert_eq!((one.failed_attempts, one.last_failure_time), (Some(1), Some(at(1100))));
    assert_eq!((one.next_refresh_time, one.failed_inputs_hash.as_deref()), (Some(at(1112)), Some("i")));
    assert_eq!((failures_after(&one, 1, "i"), failures_after(&one, 2, "i"), failures_after(&one, 1, "j")), (2, 1, 1));
    let two = status(&one, &pass(1112, failed(problem, retry)));
    assert_eq!(two.failed_attempts, Some(2));
    // The output is written again: that was no attempt.
    let republished = status(&two, &pass(1113, Outcome::Published { token: token(1), fresh: false }));
    assert_eq!((republished.failed_attempts, republished.next_refresh_time), (Some(2), Some(at(1112))));
    assert_eq!(said(&republished), ["Ready=True/Issued", "Refreshed=False/ProviderUnavailable"]);
    let mended = status(&two, &pass(1114, Outcome::Published { token: token(2), fresh: true }));
    assert_eq!((mended.failed_attempts, mended.last_failure_time, mended.failed_inputs_hash), (None, None, None));
}

/// A lost grant, a hold that comes and goes, the expiry: the grant stays lost, and says so.
#[test]
fn a_hold_hides_no_failure() {
    let lost = Problem::stalled(Reason::AuthorizationRequired, "Put a new refresh token there.");
    let lost = status(&fresh(), &pass(1100, failed(lost, None)));
    let expected = ["Ready=True/Issued", "Refreshed=False/InvalidGrant", "Stalled=True/AuthorizationRequired"];
    assert_eq!((said(&lost), lost.next_refresh_time), (expected.map(str::to_owned).into(), None));

    let hold = |problem| Pass { next: None, ..pass(1200, Outcome::Held(problem)) };
    let conflict = Problem::stalled(Reason::SecretConflict, "Delete it.");
    let held = status(&lost, &Pass { current: false, ..hold(conflict) });
    let during = ["Ready=False/SecretConflict", "Refreshed=False/InvalidGrant", "Stalled=True/SecretConflict"];
    assert_eq!(said(&held), during);
    let back = status(&held, &Pass { next: None, ..pass(1300, Outcome::Rested) });
    assert_eq!(said(&back), expected);
    assert_eq!(find(&back, Stalled).unwrap().message, "Put a new refresh token there.");
    let expired = status(&back, &Pass { next: None, ..pass(2000, Outcome::Rested) });
    assert_eq!(
        said(&expired),
        ["Ready=False/AuthorizationRequired", "Refreshed=False/InvalidGrant", "Stalled=True/AuthorizationRequired"]
    );

    // A backoff goes on where it was.
    let backoff = failed(Problem::passing(Reason::RateLimited, "Wait."), Some(at(1900)));
    let limited = status(&fresh(), &pass(1100, backoff));
    let held = status(&limited, &hold(Problem::passing(Reason::ProviderNotFound, "Create it.")));
    assert_eq!(said(&held), ["Ready=True/Issued", "Refreshed=False/RateLimited"]);
    let held_unready = Pass { current: false, ..hold(Problem::passing(Reason::ProviderNotFound, "Create it.")) };
    assert_eq!(said(&status(&limited, &held_unready))[0], "Ready=False/ProviderNotFound");
    let back = status(&held, &pass(1300, Outcome::Rested));
    assert_eq!((back.next_refresh_time, back.failed_attempts), (Some(at(1900)), Some(1)));
    assert_eq!(said(&back), ["Ready=True/Issued", "Refreshed=False/RateLimited"]);
}

#[test]
fn reasons_that_only_a_person_can_solve_stall_as_long_as_they_last() {
    for reason in [Reason::InvalidGrant, Reason::InvalidClient, Reason::InvalidSpec, Reason::EgressDenied] {
        let failed = status(&fresh(), &pass(1100, failed(Problem::stalled(reason, "Do this."), Some(at(4700)))));
        let rested = status(&failed, &pass(1200, Outcome::Rested));
        assert_eq!(rested.conditions, failed.conditions);
        assert_eq!(said(&rested)[2], format!("Stalled=True/{}", reason.as_str()));
    }
    let some = [Reason::SecretConflict, Reason::InvalidResponse].map(|reason| [(reason, true), (reason, false)]);
    for (reason, stalls) in some.into_iter().flatten() {
        let problem = Problem { stalls, ..Problem::passing(reason, "Do this.") };
        let failed = status(&fresh(), &pass(1100, failed(problem, Some(at(4700)))));
        assert_eq!(status(&failed, &pass(1200, Outcome::Rested)).conditions, failed.conditions);
        assert_eq!(find(&failed, Stalled).is_some(), stalls);
    }
}

#[test]
fn suspended() {
    let problem = Problem::passing(Reason::Suspended, "Set it to false.");
    let hold = |now, current| Pass { current, next: None, ..pass(now, Outcome::Held(problem.clone())) };
    let valid = status(&fresh(), &hold(1100, true));
    assert_eq!(said(&valid), ["Ready=True/Issued", "Refreshed=False/Suspended"]);
    assert_eq!(valid.next_refresh_time, None);
    let expired = status(&valid, &hold(2000, true));
    assert_eq!(said(&expired), ["Ready=False/Expired", "Refreshed=False/Suspended"]);
    let never = status(&OAuthCredentialStatus::default(), &hold(1100, false));
    assert_eq!(said(&never), ["Ready=False/Suspended", "Refreshed=False/Suspended"]);
    let resumed = status(&valid, &pass(1200, Outcome::Rested));
    assert_eq!((said(&resumed), resumed.next_refresh_time), (said(&fresh()), Some(at(1700))));
}

#[test]
fn an_outcome_that_is_not_known() {
    let problem = Problem::passing(Reason::OutcomeUnknown, "Nothing needs to be done.");
    let one = status(&fresh(), &pass(1100, failed(problem.clone(), Some(at(1880)))));
    assert_eq!(said(&one), ["Ready=True/Issued", "Refreshed=False/OutcomeUnknown"]);
    let held = status(&one, &Pass { next: Some(at(1890)), ..pass(1200, Outcome::Held(problem)) });
    assert_eq!((said(&held), held.next_refresh_time), (said(&one), Some(at(1890))));
}

#[test]
fn a_spec_change_starts_afresh_even_if_a_hold_comes_first() {
    let lost = Problem::stalled(Reason::AuthorizationRequired, "Put a new refresh token there.");
    let lost = status(&fresh(), &pass(1100, failed(lost, None)));
    for outcome in [Outcome::Rested, Outcome::Held(Problem::stalled(Reason::SecretConflict, "Delete it."))] {
        let after = status(&lost, &Pass { generation: 2, next: None, ..pass(1200, outcome) });
        assert_eq!((after.observed_generation, after.failed_inputs_hash.as_deref()), (Some(2), None));
        assert!(after.conditions.iter().all(|condition| condition.observed_generation == 2));
    }
}

/// Whoever reads it, with no attempt since, sees that it is over and that a new one comes.
#[test]
fn an_expired_token_is_said_to_be() {
    let expired = status(&fresh(), &pass(2000, Outcome::Rested));
    assert_eq!(said(&expired), ["Ready=False/Expired", "Refreshed=True/Issued", "Reconciling=True/Expired"]);
    let problem = Problem::passing(Reason::ProviderUnavailable, "Wait.");
    for outcome in [failed(problem.clone(), Some(at(2010))), Outcome::Held(problem)] {
        let failed = status(&expired, &pass(2005, outcome));
        assert_eq!(said(&failed)[0], "Ready=False/Expired");
        assert_eq!(find(&failed, Ready).unwrap().message, "The access token has expired. Wait.");
    }
}

/// One workload after the other is tried; the condition tells of those that failed, and of nothing else.
#[test]
fn restarts_are_recorded_one_by_one() {
    let record = |kind: WorkloadKind, name: &str, reason: Option<&str>| RolloutRestartStatus {
        kind,
        name: name.to_owned(),
        pending_since: Some(at(1000)),
        last_restart_time: None,
        revision: None,
        reason: reason.map(str::to_owned),
        message: reason.map(|_| format!("Grant {name}.")),
    };
    let (deployment, set) = (WorkloadKind::Deployment, WorkloadKind::StatefulSet);
    let before = OAuthCredentialStatus {
        rollout_restarts: vec![record(deployment, "a", None), record(set, "a", None), record(deployment, "b", None)],
        ..fresh()
    };
    let one = restarted(&before, &[record(set, "a", Some("NotAllowed"))], at(1100));
    let tried: Vec<_> = one.rollout_restarts.iter().map(|record| record.reason.is_some()).collect();
    assert_eq!(tried, [false, true, false]);
    let told = |status: &OAuthCredentialStatus| {
        let found = find(status, ConditionType::RestartFailed)?;
        Some((found.reason.clone(), found.message.clone(), found.last_transition_time, found.observed_generation))
    };
    assert_eq!(told(&one), Some(("NotAllowed".into(), "Grant a.".into(), at(1100), 1)));
    let conditions = ["Ready=True/Issued", "Refreshed=True/Issued", "RestartFailed=True/NotAllowed"];
    assert_eq!(said(&one), conditions);

    let two = restarted(&one, &[record(deployment, "b", Some("NotAllowed"))], at(1200));
    assert_eq!(told(&two), Some(("NotAllowed".into(), "Grant a. Grant b.".into(), at(1100), 1)), "since when it fails");
    let told_still = status(&two, &Pass { restarts: None, ..pass(1300, Outcome::Rested) });
    assert_eq!((told(&told_still), said(&told_still)), (told(&two), conditions.map(str::to_owned).into()));
    let mended = restarted(&two, &[record(set, "a", None), record(deployment, "b", None)], at(1400));
    assert_eq!(mended, before);
}

#[test]
fn a_request_is_recorded_with_the_attempt_that_obeyed_it() {
    let asked = |outcome, handled| Pass { handled, ..pass(1100, outcome) };
    let rested = status(&fresh(), &asked(Outcome::Rested, None));
    assert_eq!(rested.last_handled_refresh_request, None);
    let obeyed = status(&fresh(), &asked(Outcome::Published { token: token(2), fresh: true }, Some("now")));
    assert_eq!(obeyed.last_handled_refresh_request.as_deref(), Some("now"));
    assert_eq!(status(&obeyed, &pass(1200, Outcome::Rested)), obeyed);
}

#[test]
fn a_token_of_an_older_spec_is_not_ready() {
    let rested = status(&fresh(), &Pass { current: false, ..pass(1100, Outcome::Rested) });
    assert_eq!(said(&rested), ["Ready=False/Pending", "Refreshed=True/Issued", "Reconciling=True/Pending"]);
}

#[test]
fn a_grant_whose_end_no_refresh_puts_off_is_told_of_until_a_later_one_comes() {
    let expiring = |status: &OAuthCredentialStatus| find(status, ConditionType::RefreshTokenExpiring).cloned();
    let with = |revision, warns| PublishedToken { life: Life { ends: Some(at(9000)), warns }, ..token(revision) };
    let issued =
        |before: &OAuthCredentialStatus, token| status(before, &pass(1002, Outcome::Published { token, fresh: true }));
    let early = issued(&fresh(), with(2, Some(at(1003))));
    assert_eq!((early.refresh_token_expiration_time, expiring(&early)), (Some(at(9000)), None));

    let near = issued(&early, with(3, Some(at(1002))));
    let said = expiring(&near).expect("it is told");
    assert_eq!(
        (said.status, said.reason.as_str(), said.message.as_str()),
        (ConditionStatus::True, "ExpiresSoon", FIXED_END)
    );
    assert!(find(&near, Ready).is_some_and(|ready| ready.status == ConditionStatus::True), "the token serves");
    let rested = status(&near, &pass(1500, Outcome::Rested));
    assert_eq!(expiring(&rested), Some(said), "it stays as it is");

    assert_eq!(expiring(&issued(&rested, with(4, None))), None);
    // A lost grant is worse, and Stalled tells of it.
    let lost = Problem::stalled(Reason::AuthorizationRequired, "Do this.");
    assert_eq!(expiring(&status(&rested, &pass(1501, failed(lost, None)))), None);
}

#[test]
fn a_refresh_token_that_is_about_to_die_unused_is_told_of() {
    let token = PublishedToken { life: Life { ends: Some(at(2000)), warns: None }, ..token(1) };
    let issued = status(&fresh(), &pass(1001, Outcome::Published { token, fresh: true }));
    let problem = Problem::passing(Reason::ProviderUnavailable, "Do this.");
    let failing = |now| status(&issued, &pass(now, failed(problem.clone(), Some(at(now + 60)))));
    assert_eq!(find(&failing(1700), ConditionType::RefreshTokenExpiring), None);
    let said = failing(1900);
    let said = find(&said, ConditionType::RefreshTokenExpiring).expect("it is told");
    assert_eq!(said.message, NEGLECTED);
}

/// A refresh that brings the very token that is there already.
#[test]
fn a_repeated_token_is_no_news() {
    let mut pass = pass(100, Outcome::Published { token: token(1), fresh: true });
    let first = status(&OAuthCredentialStatus::default(), &pass);
    assert_eq!((first.last_unchanged_time, first.token_hash.as_deref()), (None, Some("hash 1")));
    pass.outcome = Outcome::Published { token: token(1), fresh: false };
    assert_eq!(status(&first, &pass).last_unchanged_time, None, "written again: no refresh has repeated it");
    assert!(!is_repeated(&OAuthCredentialStatus::default(), "hash 1") && is_repeated(&first, "hash 1"));
    let again = PublishedToken { obtained_at: at(50), ..token(1) };
    pass.outcome = Outcome::Published { token: again.clone(), fresh: true };
    let second = status(&first, &pass);
    assert_eq!((second.last_unchanged_time, second.revision), (Some(at(50)), Some(1)));
    pass.outcome = Outcome::Published { token: again, fresh: false };
    assert_eq!(status(&second, &pass).last_unchanged_time, Some(at(50)), "written again");
    pass.outcome = Outcome::Published { token: token(2), fresh: true };
    assert_eq!(status(&second, &pass).last_unchanged_time, None);
}

#[test]
fn a_refresh_token_that_dies_with_its_access_token_is_told_of() {
    let said = |ends: Option<i64>| {
        let life = Life { ends: ends.map(at), warns: None };
        let token = PublishedToken { life, expires_at: Some(at(4600)), ..token(1) };
        let pass = pass(100, Outcome::Published { token, fresh: true });
        let status = status(&OAuthCredentialStatus::default(), &pass);
        let refreshed = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Refreshed);
        refreshed.unwrap().message.contains("costs a new authorization")
    };
    assert_eq!([said(None), said(Some(4600)), said(Some(9000))], [false, true, false]);
}

#[test]
fn what_was_published_ends_with_its_revocation() {
    let before = OAuthCredentialStatus {
        authorized_by: Some(AuthorizedBy { subject: None, time: at(1000) }),
        refresh_token_expiration_time: Some(at(9000)),
        additional_tokens: vec![
            AdditionalTokenStatus { name: "had".into(), last_refresh_time: Some(at(1000)), ..Default::default() },
            AdditionalTokenStatus { name: "never".into(), ..AdditionalTokenStatus::default() },
        ],
        ..fresh()
    };
    let revoked = revocation(&before, "r", Ok(()), at(1500));
    let last = revoked.last_revocation.clone().unwrap();
    assert_eq!((last.request.as_str(), last.revoked, last.time), ("r", true, at(1500)));
    assert_eq!((revoked.expiration_time, revoked.next_refresh_time), (Some(at(1500)), None));
    assert_eq!((revoked.refresh_token_expiration_time, &revoked.authorized_by), (None, &None));
    let ends = revoked.additional_tokens.iter().map(|token| token.expiration_time);
    assert_eq!(ends.collect::<Vec<_>>(), [Some(at(1500)), None]);
    assert_eq!(revoked.revision, before.revision, "revisions never go back");
    let lost = status(&revoked, &pass(1501, Outcome::Held(Problem::stalled(Reason::AuthorizationRequired, "Do it."))));
    assert_eq!(find(&lost, Ready).unwrap().reason, "AuthorizationRequired");
    assert_eq!(find(&lost, Ready).unwrap().status, ConditionStatus::False);

    // What had expired before stays so, and what never was published has no end.
    assert_eq!(revocation(&before, "r", Ok(()), at(3000)).expiration_time, Some(at(2000)));
    assert_eq!(revocation(&OAuthCredentialStatus::default(), "r", Ok(()), at(3000)).expiration_time, None);
    let failed = revocation(&before, "r", Err("Why not."), at(1500));
    let last = failed.last_revocation.clone().unwrap();
    assert_eq!((last.revoked, last.message.as_str()), (false, "Why not."));
    assert_eq!(OAuthCredentialStatus { last_revocation: None, ..failed }, before, "nothing else changes");
}

#[test]
fn a_failed_consent_is_told_of_until_another_succeeds() {
    let problem = Problem::passing(Reason::InvalidGrant, "The code is over.");
    let failed = consent_failed(&fresh(), &problem, "1970-01-01T00:16:50.9Z".parse().unwrap());
    let told = |status: &OAuthCredentialStatus| status.authorization.clone()?.last_failure;
    let failure =
        AuthorizationFailure { reason: "InvalidGrant".into(), message: "The code is over.".into(), time: at(1010) };
    assert_eq!(told(&failed), Some(failure.clone()));
    assert_eq!(OAuthCredentialStatus { authorization: None, ..failed.clone() }, fresh(), "nothing else changes");

    let url = AuthorizationStatus { url: Some("https://o.example".into()), ..AuthorizationStatus::default() };
    let rested = status(&failed, &Pass { authorization: url, ..pass(1020, Outcome::Rested) });
    assert_eq!(told(&rested), Some(failure));
    assert_eq!(rested.authorization.clone().unwrap().url.as_deref(), Some("https://o.example"));

    let authorized = Some(Box::new(Authorized { subject: None, at: at(1030) }));
    let token = PublishedToken { authorized, ..token(2) };
    let consented = status(&rested, &pass(1030, Outcome::Published { token, fresh: true }));
    assert_eq!(consented.authorization, None);
    assert_eq!(status(&fresh(), &pass(1020, Outcome::Rested)).authorization, None);
}
