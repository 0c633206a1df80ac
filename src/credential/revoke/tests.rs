use super::*;
use crate::{
    credential::record::{AskedUnder, Candidate, Intent, Received},
    oauth::{
        codes::ErrorCode,
        failure::{NotSent, Spent},
        values::{AccessToken, RefreshToken},
    },
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn issued(leg: &str, access: &str, refresh: Option<&str>) -> Issued {
    Issued {
        leg: leg.to_owned(),
        access_token: AccessToken::new(access),
        refresh_token: refresh.map(RefreshToken::new),
        id_token: None,
        token_type: None,
        scope: None,
        obtained_at: at(0),
        expires_at: None,
        refresh_token_expires_at: None,
        response: SecretText::new("{}"),
        asked_under: AskedUnder::default(),
    }
}

fn record() -> StateRecord {
    let received = |token: Issued| Received::Issued(Box::new(token));
    let mut record = StateRecord::begin("l".into(), Binding::default(), None, "h".into(), None, 0, at(0));
    record = record.with_reply("1", None, received(issued("", "a1", Some("r1"))));
    record = record.with_reply("2", None, received(issued("graph", "g", None)));
    for (lineage, token) in [("l", "r2"), ("former", "r3"), ("l", "r1")] {
        let stray = Candidate {
            attempt: token.into(),
            lineage: lineage.into(),
            received: Received::RefreshToken(RefreshToken::new(token)),
        };
        if lineage == "l" { record.candidates.push(stray) } else { record.aside.push(stray) }
    }
    record
}

fn next(record: Option<&StateRecord>, seen_for: u64) -> Step {
    let holder = Holder { pod: "me".into(), boot: "now".into() };
    let timeout = Duration::from_secs(30);
    step(record, &Binding::default(), &holder, Duration::from_secs(seen_for), timeout, at(1000))
}

#[test]
fn the_state_is_marked_before_anything_is_sent() {
    assert_eq!(next(None, 0), Step::Nothing);
    let Step::Mark(marked) = next(Some(&record()), 0) else { panic!() };
    assert_eq!(marked.revoking, Some(at(1000)));
    let Step::Revoke(tokens) = next(Some(&marked), 0) else { panic!() };
    let tokens: Vec<_> = tokens.iter().map(|token| (token.text.expose(), token.hint)).collect();
    let refresh = ["r1", "r2", "r3"].map(|token| (token, "refresh_token"));
    let access = ["a1", "g"].map(|token| (token, "access_token"));
    assert_eq!(tokens, [refresh.as_slice(), &access].concat());
}

#[test]
fn what_is_another_servers_is_not_sent() {
    let foreign = StateRecord { binding: Binding { client_id: "other".into(), ..Binding::default() }, ..record() };
    assert_eq!(next(Some(&foreign), 0), Step::Foreign);
}

#[test]
fn an_attempt_that_is_under_way_comes_to_its_end() {
    let open = |pod: &str| StateRecord {
        intent: Some(Intent {
            attempt: "3".into(),
            holder: Holder { pod: pod.into(), boot: "b".into() },
            lineage: "l".into(),
            leg: String::new(),
            token_hash: String::new(),
            binding: Binding::default(),
            started_at: at(990),
            send_by: at(995),
        }),
        ..record()
    };
    assert_eq!(next(Some(&open("other")), 10), Step::Wait(at(1030)));
    assert!(matches!(next(Some(&open("other")), 40), Step::Mark(_)));
    assert!(matches!(next(Some(&open("me")), 0), Step::Mark(_)), "this process makes one attempt at a time");
}

#[test]
fn it_is_tried_for_a_while_and_not_for_ever() {
    let down = Failure::NotSent(NotSent::Connect);
    let wait = |elapsed, failure| again(at(0), failure, at(elapsed)).map(Timestamp::as_second);
    assert_eq!(wait(0, Some(&down)), Some(5));
    assert_eq!(wait(60, Some(&down)), Some(90));
    assert_eq!(wait(239, Some(&down)), Some(299));
    assert_eq!(wait(241, Some(&down)), None);
    let limited = Failure::RateLimited { retry_after: Some(Duration::from_secs(100)) };
    assert_eq!(wait(0, Some(&limited)), Some(100));
    let refused = Failure::Refused { code: ErrorCode::InvalidClient, spent: Spent::No, retry_after: None };
    assert_eq!(wait(0, Some(&refused)), None, "nobody is going to mend the client of a credential that goes");
    assert_eq!(wait(0, Some(&Failure::Status(404))), None);
    assert_eq!(wait(0, None), Some(5), "the issuer can't be read, say");
}

#[test]
fn a_request_is_obeyed_once_and_not_in_another_life() {
    let created = "2026-01-01T00:00:10Z".parse().unwrap();
    let ask = |requested: &'static str, handled| asked(Some(requested), handled, created);
    assert_eq!(asked(None, Some("x"), created), Asked::Nothing);
    let request = "2026-01-01T00:00:10Z";
    assert_eq!(ask(request, None), Asked::Revoke(request));
    assert_eq!(ask(request, Some(request)), Asked::Nothing);
    assert_eq!(ask("2026-01-02T00:00:00.5+01:00", Some(request)), Asked::Revoke("2026-01-02T00:00:00.5+01:00"));
    for (refused, why) in [("2026-01-01T00:00:09Z", "older than the credential"), ("now", "RFC 3339")] {
        let Asked::Refused(request, sentence) = ask(refused, None) else { panic!("{refused}") };
        assert!(request == refused && sentence.contains(why), "{sentence}");
        assert_eq!(ask(refused, Some(refused)), Asked::Nothing);
    }
}
