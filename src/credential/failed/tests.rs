use std::time::Duration;

use super::*;
use crate::{
    api::{AdditionalTokenStatus, OAuthCredentialStatus},
    credential::{
        observed::{InputsSeen, OutputSeen, Published, StateSeen},
        record::{AskedUnder, Holder},
        schedule::{Jitter, RefreshPolicy},
    },
    oauth::{
        codes::ErrorCode,
        failure::{NotSent, Spent},
    },
};

const NOW: i64 = 2000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn rules(keeps: Keeps) -> Rules {
    Rules {
        starts: if keeps == Keeps::Nothing { Starts::Client } else { Starts::RefreshToken },
        keeps,
        policy: RefreshPolicy::default(),
        suspend: false,
        legs: Vec::new(),
        reuse_grace_period: None,
        grace_ends_on_use: false,
        request_timeout: Duration::from_secs(30),
    }
}

/// What `failed` says where a token serves until 4600, as (reason, stalls, seconds until the next try).
fn say(outcome: impl FnOnce(&Observed<'_>) -> Outcome) -> (Reason, bool, Option<i64>) {
    match seen(outcome) {
        Outcome::Failed { problem, retry, .. } => {
            (problem.reason, problem.stalls, retry.map(|retry| retry.as_second() - NOW))
        }
        Outcome::Held(problem) => (problem.reason, problem.stalls, None),
        other => panic!("{other:?}"),
    }
}

/// Its sentence.
fn tell(outcome: impl FnOnce(&Observed<'_>) -> Outcome) -> String {
    match seen(outcome) {
        Outcome::Failed { problem, .. } => problem.message,
        other => panic!("{other:?}"),
    }
}

fn seen(outcome: impl FnOnce(&Observed<'_>) -> Outcome) -> Outcome {
    seen_with(Vec::new(), outcome)
}

fn seen_with(additional_tokens: Vec<AdditionalTokenStatus>, outcome: impl FnOnce(&Observed<'_>) -> Outcome) -> Outcome {
    let status = OAuthCredentialStatus {
        observed_generation: Some(1),
        revision: Some(1),
        expiration_time: Some(at(4600)),
        additional_tokens,
        ..OAuthCredentialStatus::default()
    };
    let (asked_under, holder) = (AskedUnder::default(), Holder { pod: "p".into(), boot: "b".into() });
    let seen = Observed {
        now: at(NOW),
        generation: 1,
        status: &status,
        refresh_requested: None,
        asked_under: &asked_under,
        settings_hash: "",
        output_hash: "",
        output_name: "token",
        output: OutputSeen::Ours(Published::default()),
        state: StateSeen::NotKept,
        inputs: InputsSeen::Unread,
        seed_taken_by: None,
        holder: &holder,
        intent_seen_for: Duration::ZERO,
        jitter: Jitter::from_bits(0),
    };
    outcome(&seen)
}

fn refused(code: ErrorCode) -> Why {
    Why::Request(Failure::Refused { code, spent: Spent::No, retry_after: None })
}

#[test]
fn what_was_not_spent_is_tried_again_as_its_class_says() {
    let limited = |seconds| Why::Request(Failure::RateLimited { retry_after: Some(Duration::from_secs(seconds)) });
    let quota = Why::Problem(Problem::passing(Reason::SecretConflict, "quota"));
    let ca = Why::Problem(Problem::stalled(Reason::InvalidSpec, "CA"));
    for (keeps, why, expected) in [
        (Keeps::SingleUse, refused(ErrorCode::InvalidGrant), (Reason::AuthorizationRequired, true, None)),
        (Keeps::Reusable, refused(ErrorCode::InvalidGrant), (Reason::AuthorizationRequired, true, None)),
        (Keeps::Nothing, refused(ErrorCode::InvalidGrant), (Reason::InvalidGrant, true, Some(3600))),
        (Keeps::SingleUse, refused(ErrorCode::InvalidClient), (Reason::InvalidClient, true, Some(3600))),
        (Keeps::SingleUse, Why::Request(Failure::Unauthorized), (Reason::InvalidClient, true, Some(3600))),
        (Keeps::Nothing, refused(ErrorCode::InvalidScope), (Reason::InvalidSpec, true, Some(3600))),
        (
            Keeps::SingleUse,
            Why::Request(Failure::NotSent(NotSent::Connect)),
            (Reason::ProviderUnavailable, false, Some(2)),
        ),
        (Keeps::SingleUse, limited(90), (Reason::RateLimited, false, Some(90))),
        (Keeps::SingleUse, quota, (Reason::SecretConflict, false, Some(2))),
        (Keeps::SingleUse, ca, (Reason::InvalidSpec, true, Some(3600))),
    ] {
        assert_eq!(say(|seen| not_spent(&rules(keeps), seen, why.clone(), at(NOW))), expected, "{keeps:?} {why:?}");
    }
}

#[test]
fn a_refused_password_is_sent_again_hourly() {
    let user = Rules { starts: Starts::Password, ..rules(Keeps::SingleUse) };
    let refused = say(|seen| not_spent(&user, seen, refused(ErrorCode::InvalidGrant), at(NOW)));
    assert_eq!(refused, (Reason::InvalidGrant, true, Some(3600)));
    let cut = say(|seen| unknown(&user, seen, Why::Request(Failure::Cut), None, at(NOW)));
    assert_eq!(cut, (Reason::OutcomeUnknown, false, Some(2)), "the password is sent again, and nothing is lost");
}

fn issued() -> Issued {
    Issued::for_an_hour("a", at(1000))
}

#[test]
fn an_unknown_outcome_waits_while_a_token_serves() {
    let issued = issued();
    let cut = || Why::Request(Failure::Cut);
    let strict = rules(Keeps::SingleUse);
    let lenient = Rules { reuse_grace_period: Some(Duration::from_secs(60)), ..strict.clone() };
    let unknown_after =
        |rules: &Rules, published: Option<&Issued>| say(|seen| unknown(rules, seen, cut(), published, at(NOW)));
    assert_eq!(unknown_after(&strict, Some(&issued)), (Reason::OutcomeUnknown, false, Some(4480 - NOW)));
    assert_eq!(unknown_after(&lenient, Some(&issued)), (Reason::OutcomeUnknown, false, Some(2)), "within the grace");
    let for_ever = Issued { expires_at: None, ..issued.clone() };
    assert_eq!(unknown_after(&strict, Some(&for_ever)), (Reason::OutcomeUnknown, false, Some(2)), "no end to wait for");
    assert_eq!(unknown_after(&strict, None), (Reason::OutcomeUnknown, false, Some(2)), "nothing serves");
}

#[test]
fn what_can_not_be_published_is_asked_for_again_only_where_it_was_not_kept() {
    let template = || Problem::stalled(Reason::InvalidResponse, "template");
    let held = |keeps, problem| say(|seen| unpublished(&rules(keeps), seen, problem, at(NOW)));
    assert_eq!(held(Keeps::SingleUse, template()), (Reason::InvalidResponse, true, None));
    assert_eq!(held(Keeps::Nothing, template()), (Reason::InvalidResponse, true, Some(3600)));
    let quota = Problem::passing(Reason::SecretConflict, "quota");
    assert_eq!(held(Keeps::Nothing, quota), (Reason::SecretConflict, false, Some(2)));
    assert_eq!(held(Keeps::Nothing, Problem::foreign_output("o")), (Reason::SecretConflict, true, None));
}

#[test]
fn a_refusal_says_what_was_refused() {
    let sentence = |starts, code| {
        let rules = Rules { starts, ..rules(Keeps::SingleUse) };
        tell(|seen| not_spent(&rules, seen, refused(code), at(NOW)))
    };
    let own = |code| as_sentence(&Failure::Refused { code, spent: Spent::No, retry_after: None });
    for (starts, expected) in [
        (Starts::Client, REFUSED_WITHOUT_GRANT.to_owned()),
        (Starts::Password, REFUSED_PASSWORD.to_owned()),
        (Starts::Token, REFUSED_TOKEN.to_owned()),
        (Starts::RefreshToken, own(ErrorCode::InvalidGrant)),
    ] {
        assert_eq!(sentence(starts, ErrorCode::InvalidGrant), expected);
        assert_eq!(sentence(starts, ErrorCode::InvalidScope), own(ErrorCode::InvalidScope), "{starts:?}");
    }
    let own = own(ErrorCode::InvalidScope);
    assert!(own.starts_with(char::is_uppercase) && own.ends_with('.') && own.len() > 20, "{own}");
    let grant = rules(Keeps::SingleUse);
    let scope = say(|seen| not_spent(&grant, seen, refused(ErrorCode::InvalidScope), at(NOW)));
    assert_eq!(scope, (Reason::InvalidSpec, true, Some(3600)), "not the grant's end");
}

#[test]
fn an_unknown_outcome_says_when_it_is_sent_again() {
    let told = |rules: &Rules| tell(|seen| unknown(rules, seen, Why::Request(Failure::Cut), None, at(NOW)));
    let cause = as_sentence(&Failure::Cut);
    let strict = rules(Keeps::SingleUse);
    let user = Rules { starts: Starts::Password, ..strict.clone() };
    assert_eq!(told(&strict), format!("{SENT_AGAIN} {cause}"));
    let serving = issued();
    let put_off = tell(|seen| unknown(&strict, seen, Why::Request(Failure::Cut), Some(&serving), at(NOW)));
    assert_eq!(put_off, format!("{} {cause}", outcome_unknown().message));
    assert_eq!(told(&user), format!("{BEGUN_ANEW} {cause}"));
}

/// An additional token that can't be had waits by its own count of failures, under its own spec.
#[test]
fn an_additional_token_waits_for_itself() {
    let known = |name: &str, spec: &str, failed| AdditionalTokenStatus {
        name: name.to_owned(),
        spec_hash: Some(spec.to_owned()),
        failed_attempts: Some(failed),
        ..AdditionalTokenStatus::default()
    };
    let known = [known("mail", "", 3), known("files", "", 1), known("chat", "former", 3)];
    let waits = |leg: &str, why: Why| {
        let rules = rules(Keeps::SingleUse);
        match seen_with(known.to_vec(), |seen| leg_not_spent(&rules, seen, leg, why, at(NOW))) {
            Outcome::LegFailed { leg: of, problem, retry, .. } if of == leg => {
                (problem.reason, retry.as_second() - NOW)
            }
            Outcome::Failed { problem, retry: None, .. } => (problem.reason, 0),
            other => panic!("{other:?}"),
        }
    };
    let busy = || Why::Request(Failure::RateLimited { retry_after: None });
    for (leg, seconds) in [("mail", 20), ("files", 5), ("chat", 2), ("new", 2)] {
        assert_eq!(waits(leg, busy()), (Reason::RateLimited, seconds), "{leg}");
    }
    assert_eq!(waits("new", refused(ErrorCode::InvalidScope)), (Reason::InvalidSpec, 3600));
    let quota = Problem::passing(Reason::SecretConflict, "quota");
    assert_eq!(waits("new", Why::Problem(quota)), (Reason::SecretConflict, 2));
    let ca = Problem::stalled(Reason::InvalidSpec, "CA");
    assert_eq!(waits("new", Why::Problem(ca)), (Reason::InvalidSpec, 3600));
    // The refresh token itself is refused: that is the main token's end.
    assert_eq!(waits("mail", refused(ErrorCode::InvalidGrant)), (Reason::AuthorizationRequired, 0));
}
