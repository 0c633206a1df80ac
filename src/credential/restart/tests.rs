use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn target(name: &str) -> RolloutTarget {
    serde_json::from_value(json!({"kind": "Deployment", "name": name})).unwrap()
}

/// A status with this token, whose records come of `before`.
fn with_token(
    before: &OAuthCredentialStatus,
    hash: &str,
    targets: &[RolloutTarget],
    now: i64,
) -> OAuthCredentialStatus {
    let mut after = before.clone();
    after.revision = Some(before.revision.unwrap_or(0) + 1);
    after.token_hash = Some(hash.to_owned());
    after.rollout_restarts = records(before, &after, targets, at(now));
    after
}

fn after_restart(before: &OAuthCredentialStatus, restarted: Restarted, now: i64) -> OAuthCredentialStatus {
    let mut status = before.clone();
    status.rollout_restarts = before
        .rollout_restarts
        .iter()
        .map(|record| after(record.clone(), restarted, before.revision, at(now)))
        .collect();
    status
}

#[test]
fn a_first_token_and_the_same_token_restart_nothing() {
    let app = target("app");
    let first = with_token(&OAuthCredentialStatus::default(), "a", std::slice::from_ref(&app), 100);
    assert_eq!(first.rollout_restarts, []);
    // Another refresh token came with the same access token: the output is as it was.
    let same = with_token(&first, "a", std::slice::from_ref(&app), 200);
    assert_eq!(step(&same, &app, [&same], at(1_000)), Step::Nothing);
}

#[test]
fn a_new_token_waits_for_others_then_restarts_once() {
    let app = target("app");
    let targets = [app.clone()];
    let first = with_token(&OAuthCredentialStatus::default(), "a", &targets, 0);
    let second = with_token(&first, "b", &targets, 100);
    assert_eq!(step(&second, &app, [&second], at(100)), Step::Wait(at(110)));
    // A further token doesn't make it wait longer.
    let third = with_token(&second, "c", &targets, 105);
    assert_eq!(step(&third, &app, [&third], at(110)), Step::Restart);
    let done = after_restart(&third, Restarted::Done, 110);
    assert_eq!(step(&done, &app, [&done], at(10_000)), Step::Nothing);
    assert_eq!(
        (done.rollout_restarts[0].last_restart_time, done.rollout_restarts[0].revision),
        (Some(at(110)), Some(3))
    );
    // The next one waits for the interval.
    let next = with_token(&done, "d", &targets, 200);
    assert_eq!(step(&next, &app, [&next], at(250)), Step::Wait(at(410)));
    assert_eq!(step(&next, &app, [&next], at(410)), Step::Restart);
}

#[test]
fn credentials_that_name_one_workload_share_its_interval_and_its_restarts() {
    let app = target("app");
    let targets = [app.clone()];
    let first = with_token(&OAuthCredentialStatus::default(), "a", &targets, 0);
    let (one, other) = (with_token(&first, "b", &targets, 100), with_token(&first, "c", &targets, 105));
    assert_eq!(annotation("one", &one, &app).unwrap().0, "rollout.oauth-operator.dev/one");
    let promised = annotation("other", &other, &app).unwrap();
    assert_eq!(promised.1, "revision 2, 1970-01-01T00:01:45Z");
    let one = after_restart(&one, Restarted::Done, 110);
    assert_eq!(annotation("one", &one, &app), None);
    assert_eq!(step(&other, &app, [&one, &other], at(200)), Step::Wait(at(410)));
    // What it will annotate is what the first restart has annotated for it: no pod is replaced again.
    assert_eq!(annotation("other", &other, &app), Some(promised.clone()));
    let newer = with_token(&other, "d", &targets, 300);
    assert_ne!(annotation("other", &newer, &app), Some(promised));
}

#[test]
fn an_additional_token_counts_too() {
    let app = target("app");
    let mut first = with_token(&OAuthCredentialStatus::default(), "a", &[], 0);
    first.additional_tokens =
        serde_json::from_value(json!([{"name": "mail", "lastRefreshTime": "2026-01-01T00:00:00Z"}])).unwrap();
    let mut second = first.clone();
    second.additional_tokens[0].failed_attempts = Some(1);
    assert_eq!(records(&first, &second, std::slice::from_ref(&app), at(1)), []);
    second.additional_tokens[0].last_refresh_time = Some(at(5));
    assert_eq!(records(&first, &second, &[app], at(7))[0].pending_since, Some(at(7)));
}

#[test]
fn what_is_no_longer_named_is_forgotten() {
    let targets = [target("app"), target("web")];
    let first = with_token(&OAuthCredentialStatus::default(), "a", &targets, 0);
    let second = with_token(&first, "b", &targets, 100);
    assert_eq!(second.rollout_restarts.len(), 2);
    let kept = records(&second, &second, &targets[1..], at(200));
    assert_eq!(kept.iter().map(|record| &*record.name).collect::<Vec<_>>(), ["web"]);
}

#[test]
fn what_failed_says_so_until_it_succeeds() {
    let app = target("app");
    let targets = [app.clone()];
    let first = with_token(&OAuthCredentialStatus::default(), "a", &targets, 0);
    let second = with_token(&first, "b", &targets, 100);
    for (restarted, reason, says, pending) in [
        (Restarted::NotFound, "WorkloadNotFound", "There was no Deployment app", false),
        (Restarted::Forbidden, "NotAllowed", "grant it patch on deployments", true),
        (Restarted::Refused, "NotAllowed", "refuses to have the Deployment app restarted", true),
    ] {
        let failed = after_restart(&second, restarted, 110);
        let (said, message) = failing(&failed.rollout_restarts).unwrap();
        assert!(said == reason && message.contains(says), "{said} {message}");
        assert_eq!(step(&failed, &app, [&failed], at(500)) == Step::Restart, pending, "{restarted:?}");
        let again = with_token(&failed, "c", &targets, 600);
        assert_eq!(failing(&after_restart(&again, Restarted::Done, 610).rollout_restarts), None);
    }
    assert_eq!(after_restart(&second, Restarted::Unanswered, 110), second);
}

#[test]
fn a_message_fits_into_the_status_and_a_clock_set_back_keeps_nobody_waiting() {
    let long = "a".repeat(253);
    let targets: Vec<RolloutTarget> = (0..16).map(|index| target(&format!("{}{index:02}", &long[2..]))).collect();
    let first = with_token(&OAuthCredentialStatus::default(), "a", &targets, 0);
    let second = with_token(&first, "b", &targets, 100_000);
    let failed = after_restart(&second, Restarted::Forbidden, 100_010);
    let message = failing(&failed.rollout_restarts).unwrap().1;
    assert!(message.len() <= LONGEST && message.matches("grant it").count() > 2, "{}", message.len());
    assert_eq!(step(&second, &targets[0], [&second], at(10)), Step::Restart);

    // What just fits, with the space between, is said.
    let saying = |length: usize| RolloutRestartStatus {
        reason: Some("NotAllowed".into()),
        message: Some("a".repeat(length)),
        ..RolloutRestartStatus::of(&target("app"))
    };
    let said = |first: usize, second: usize| failing(&[saying(first), saying(second)]).unwrap().1.len();
    assert_eq!(said(1000, LONGEST - 1001), LONGEST);
    assert_eq!(said(1000, LONGEST - 1000), 1000);
}
