//! What each check of the chain turns on, alone.

use super::*;
use crate::api::{Condition, ConditionStatus, ConditionType};

fn published(case: &mut Case) -> &mut Published {
    let OutputSeen::Ours(published) = &mut case.output else { panic!() };
    published
}

fn under(case: &mut Case) -> &mut AskedUnder {
    &mut published(case).asked_under
}

#[test]
fn a_state_that_cannot_be_used_stops_everything() {
    let unusable = case().with(|c| (c.unusable, c.now) = (Some("It is another's."), 4000));
    assert_eq!(unusable.says(), "SecretConflict None true");
    let Plan::Hold { problem, .. } = unusable.plan() else { panic!() };
    assert_eq!(problem.message, "It is another's.");
}

#[test]
fn a_state_is_read_where_it_may_be_ahead_and_nowhere_else() {
    let unread = || case().with(|c| c.read = false);
    let failing = |case: Case| {
        case.with(|c| {
            (c.status.failed_attempts, c.status.next_refresh_time) = (Some(1), Some(at(2005)));
            c.status.failed_inputs_hash = Some(format!("...{}", c.state.as_ref().unwrap().revision));
        })
    };
    for (what, case, expected) in [
        ("fresh", unread(), "rest Some(3400)"),
        (
            "ahead of status and output",
            unread().with(|c| (c.status.revision, published(c).revision) = (Some(2), 2)),
            "ReadState",
        ),
        (
            "the output is to be written again, whatever failed",
            failing(unread()).with(|c| c.output = OutputSeen::Absent),
            "ReadState",
        ),
        (
            "nothing was obtained yet",
            failing(unread().with(|c| {
                (c.output, c.status.revision, c.record().revision) = (OutputSeen::Absent, None, 0);
            })),
            "rest Some(2005)",
        ),
        ("expires this second", case().with(|c| (c.status.revision, c.now) = (Some(2), 4600)), "r1 of l after 3"),
        ("a second before", case().with(|c| (c.status.revision, c.now) = (Some(2), 4599)), "Publish"),
        (
            "what others write into the output isn't believed",
            case().with(|c| (published(c).revision, published(c).intact) = (9, false)),
            "Publish",
        ),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

#[test]
fn inputs_are_read_where_they_were_touched_or_are_needed() {
    let unread = || case().with(|c| c.inputs = Some(InputsSeen::Unread));
    let user =
        |case: Case| case.with(|c| (c.rules.starts, c.status.seed_hash, c.read) = (Starts::Password, None, false));
    let problem = || Problem::passing(Reason::SourceSecretNotFound, "It is not there.");
    for (what, case, expected) in [
        ("fresh", unread(), "rest Some(3400)"),
        ("touched", unread().with(|c| under(c).inputs = "before".into()), "ReadInputs"),
        (
            "touched, and nothing of them is a source",
            unread().with(|c| (c.rules.starts, under(c).inputs) = (Starts::Client, "before".into())),
            "rest Some(3400)",
        ),
        ("due", unread().with(|c| c.now = 4000), "ReadInputs"),
        ("a user's, untouched", user(case()), "rest Some(3400)"),
        (
            "missing",
            case().with(|c| (c.now, c.inputs) = (4000, Some(InputsSeen::Problem(problem())))),
            "SourceSecretNotFound None false",
        ),
        (
            "metadata that can't be read",
            case().with(|c| {
                c.now = 4000;
                c.inputs = Some(InputsSeen::Undiscovered { problem: problem(), again: at(4100) });
            }),
            "SourceSecretNotFound Some(4100) false",
        ),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

/// Each reason to ask for a token before its time, alone.
#[test]
fn a_token_is_wanted_before_its_time() {
    let nothing_kept =
        |now, case: Case| case.with(|c| (c.now, c.rules.keeps, c.rules.starts) = (now, Keeps::Nothing, Starts::Client));
    let failed = |next| {
        case().with(|c| {
            (c.status.failed_attempts, c.status.failed_inputs_hash) = (Some(1), Some("...3".into()));
            c.status.next_refresh_time = next;
        })
    };
    let asked = |case: Case| case.with(|c| c.asked = Some("2026-01-01T00:00:00Z"));
    let limited = |case: Case| {
        case.with(|c| {
            c.status.conditions = vec![Condition {
                type_: ConditionType::Refreshed,
                status: ConditionStatus::False,
                observed_generation: 1,
                last_transition_time: at(1900),
                reason: Reason::RateLimited.as_str().into(),
                message: String::new(),
            }];
        })
    };
    let next = || failed(Some(at(2001)));
    for (what, case, expected) in [
        ("its time has come", case().with(|c| c.now = 3400), "r1 of l after 3"),
        ("a second before", case().with(|c| c.now = 3399), "rest Some(3400)"),
        ("another spec", case().with(|c| under(c).spec = "before".into()), "r1 of l after 3"),
        ("another provider", case().with(|c| under(c).provider = "before".into()), "r1 of l after 3"),
        ("asked for", asked(case()), "r1 of l after 3"),
        (
            "asked for, and obeyed",
            asked(case()).with(|c| c.status.last_handled_refresh_request = Some("2026-01-01T00:00:00Z".into())),
            "rest Some(3400)",
        ),
        ("an open intent", case().with(|c| c.open_intent("me", 1500)), "OutcomeUnknown Some(4480) false"),
        ("a retry", failed(Some(at(2000))), "r1 of l after 3"),
        ("a retry, a second before", next(), "rest Some(2001)"),
        ("none failed", failed(None).with(|c| c.status.failed_attempts = Some(0)), "rest Some(3400)"),
        ("waits for a change", failed(None), "rest None"),
        ("another generation", failed(None).with(|c| c.status.observed_generation = Some(0)), "r1 of l after 3"),
        ("a retry that is asked for", asked(next()), "r1 of l after 3"),
        ("a lost grant that is asked for", asked(failed(None)), "rest None"),
        ("a server that limits, asked for", limited(asked(next())), "rest Some(2001)"),
        ("nothing kept, as it should be", nothing_kept(1005, case()), "rest Some(3400)"),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

#[test]
fn a_seed_and_what_is_known_of_it() {
    let due = |case: Case| case.with(|c| c.now = 4000);
    for (what, case, expected) in [
        (
            "no state, and no token was obtained",
            due(case()).with(|c| (c.state, c.output, c.status.revision) = (None, OutputSeen::Absent, None)),
            "r0 of new after 0",
        ),
        (
            "a token was obtained from it, of which the state knows nothing",
            due(case()).with(|c| (c.seed, c.status.seed_hash) = ("s", Some(hash("s")))),
            "s of new after 3",
        ),
        (
            "a server that keeps its refresh token",
            due(case()).with(|c| {
                c.record().refresh_token = Some(RefreshToken::new("r0"));
                c.record().spent.clear();
            }),
            "r0 of l after 3",
        ),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

/// A refusal in an exchange that began with revision 3 of the lineage l: what somebody has put into the state since is not sent
/// unjudged.
#[test]
fn after_a_refusal_an_older_or_another_state_is_not_sent() {
    let begun = case().state.unwrap();
    let next = |change: &dyn Fn(&mut StateRecord)| {
        let mut record = begun.clone();
        record.refresh_token = Some(RefreshToken::new("r2"));
        change(&mut record);
        let hash = |token: &RefreshToken| hash(token.expose());
        let next = after_refusal(&case().rules, &begun, &record, &[super::hash("r1")], hash, at(1010), "anew")?;
        Some(next.refresh_token.unwrap().expose().to_owned())
    };
    let sent = Some("r2".to_owned());
    assert_eq!(next(&|_| ()), sent);
    assert_eq!(next(&|record| record.revision = 4), sent, "another process was answered");
    assert_eq!(next(&|record| (record.lineage, record.revision) = ("newer".into(), 4)), sent, "a newer consent");
    assert_eq!(next(&|record| record.revision = 2), None, "a backup");
    assert_eq!(next(&|record| record.lineage = "other".into()), None, "another input's");
    assert_eq!(next(&|record| record.binding = binding("d")), None, "another client's");
    assert_eq!(next(&|record| (record.revision, record.binding) = (4, binding("d"))), None, "another client's consent");

    // A password begins anew all the same, and above what was obtained.
    let user = Rules { starts: Starts::Password, ..case().rules };
    let backup = StateRecord { revision: 2, ..begun.clone() };
    let hash = |token: &RefreshToken| hash(token.expose());
    let next = after_refusal(&user, &begun, &backup, &[], hash, at(1010), "anew").unwrap();
    assert_eq!((next.refresh_token, next.revision), (None, 3));
}

/// Another process sends another token: its intent is waited for, and not taken over.
#[test]
fn after_a_refusal_another_attempt_is_left_alone() {
    let refused = [hash("r1")];
    let open = case().with(|c| c.open_intent("other", 1000)).state.unwrap();
    let begun = case().state.unwrap();
    assert!(!is_under_way(&begun, &begun, &refused));
    assert!(is_under_way(&begun, &open, &[hash("r0")]));
    assert!(!is_under_way(&begun, &open, &refused), "what was refused is not under way");
    assert!(!is_under_way(&open, &open, &[hash("r0")]), "it was judged before");
    let consent = StateRecord { lineage: "replaced by a consent".into(), ..open };
    assert!(!is_under_way(&begun, &consent, &[hash("r0")]), "another's token");
}

/// A replay waits for the end of a token only while that is in the output, and valid.
#[test]
fn what_serves() {
    let serves = |change: fn(&mut Case)| case().with(change).look(|seen| seen.serves());
    assert!(serves(|_| ()));
    assert!(serves(|c| c.status.expiration_time = None));
    assert!(serves(|c| c.now = 4599));
    assert!(!serves(|c| c.now = 4600));
    assert!(!serves(|c| c.output = OutputSeen::Absent));
    assert!(!serves(|c| c.output = OutputSeen::Foreign));
    assert!(!serves(|c| c.status.revision = None));
}
