use std::time::Duration;

use super::*;
use crate::{
    api::OAuthCredentialStatus,
    credential::{
        observed::{Inputs, Source},
        record::{AskedUnder, Binding, Holder},
        rotation::Keeps,
        schedule::{Jitter, RefreshPolicy},
        starts::Starts,
    },
    oauth::device::DeviceAuthorization,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn holder(pod: &str, boot: &str) -> Holder {
    Holder { pod: pod.into(), boot: boot.into() }
}

fn binding(client: &str) -> Binding {
    Binding { servers: vec!["https://idp.example".into()], client_id: client.into() }
}

fn device() -> Device {
    Device {
        authorization: DeviceAuthorization {
            device_code: SecretText::new("d"),
            user_code: "ABCD".into(),
            verification_uri: "https://idp.example/device".into(),
            expires_at: at(600),
            interval: Duration::from_secs(5),
        },
        lineage: "new".into(),
        binding: binding("c"),
    }
}

fn record(device: Option<Device>, held_by: Holder) -> StateRecord {
    let intent = Intent {
        attempt: "a".into(),
        holder: held_by,
        lineage: "new".into(),
        leg: String::new(),
        token_hash: "hash of d".into(),
        binding: binding("c"),
        started_at: at(0),
        send_by: at(5),
    };
    StateRecord { intent: device.as_ref().map(|_| intent), device, ..StateRecord::default() }
}

struct Case {
    state: Option<StateRecord>,
    now: i64,
    needed: bool,
    seen_for: u64,
    next_poll: Option<i64>,
    not_before: Option<i64>,
    client: &'static str,
}

const CASE: Case =
    Case { state: None, now: 100, needed: true, seen_for: 0, next_poll: None, not_before: None, client: "c" };

fn decided(case: &Case) -> Next {
    decided_beside(case, false, OutputSeen::Absent, case.state.as_ref().map_or(StateSeen::Absent, StateSeen::Read))
}

fn decided_beside(case: &Case, suspend: bool, output: OutputSeen, state: StateSeen<'_>) -> Next {
    let rules = Rules {
        starts: Starts::Consent,
        keeps: Keeps::SingleUse,
        policy: RefreshPolicy::default(),
        suspend,
        reuse_grace_period: None,
        grace_ends_on_use: false,
        legs: Vec::new(),
        request_timeout: Duration::from_secs(30),
    };
    let (here, binding) = (holder("pod", "boot"), binding(case.client));
    let (status, asked) = (OAuthCredentialStatus::default(), AskedUnder::default());
    let seen = Observed {
        now: at(case.now),
        generation: 1,
        status: &status,
        refresh_requested: None,
        asked_under: &asked,
        settings_hash: "",
        output_hash: "",
        output_name: "",
        output,
        state,
        inputs: InputsSeen::Read(Inputs { binding: &binding, source: Source::Consent }),
        seed_taken_by: None,
        holder: &here,
        intent_seen_for: Duration::from_secs(case.seen_for),
        jitter: Jitter::from_bits(0),
    };
    let hash = |code: &SecretText| format!("hash of {}", code.expose());
    next(&rules, &seen, case.needed, case.not_before.map(at), case.next_poll.map(at), hash)
}

#[test]
fn a_code_is_asked_for_when_nothing_else_helps() {
    assert_eq!(decided(&CASE), Next::Start);
    assert_eq!(decided(&Case { needed: false, ..CASE }), Next::Nothing);
    let pending = || Some(record(Some(device()), holder("pod", "boot")));
    // Another client's code is of no use.
    assert_eq!(decided(&Case { state: pending(), client: "d", ..CASE }), Next::Start);
}

#[test]
fn polls_keep_their_pace_and_end() {
    let state = || Some(record(Some(device()), holder("pod", "boot")));
    assert_eq!(decided(&Case { state: state(), next_poll: Some(105), ..CASE }), Next::Wait(at(105)));
    assert_eq!(decided(&Case { state: state(), next_poll: Some(900), ..CASE }), Next::Wait(at(600)));
    let Next::Poll(polling) = decided(&Case { state: state(), next_poll: Some(100), needed: false, ..CASE }) else {
        panic!("it is polled")
    };
    assert_eq!((polling.begun.lineage.as_str(), polling.begun.seed_hash.as_deref()), ("new", Some("hash of d")));
    assert!(polling.begun.device.is_none() && polling.base.device.is_some());
    assert_eq!(decided(&Case { state: state(), now: 600, ..CASE }), Next::Drop(expired()));
}

#[test]
fn another_process_is_let_finish() {
    let other = || Some(record(Some(device()), holder("other", "boot")));
    assert_eq!(decided(&Case { state: other(), seen_for: 10, ..CASE }), Next::Wait(at(130)));
    assert_eq!(decided(&Case { state: other(), seen_for: 40, ..CASE }), Next::Adopt);
    // An earlier run of our own pod is dead.
    let earlier = Some(record(Some(device()), holder("pod", "before")));
    assert_eq!(decided(&Case { state: earlier, ..CASE }), Next::Adopt);
}

#[test]
fn nothing_is_asked_for_in_vain() {
    let state = || StateSeen::Absent;
    assert_eq!(decided_beside(&CASE, true, OutputSeen::Absent, state()), Next::Nothing, "suspended");
    assert_eq!(decided_beside(&CASE, false, OutputSeen::Foreign, state()), Next::Nothing, "the output is another's");
    // An earlier try failed.
    assert_eq!(decided(&Case { not_before: Some(101), ..CASE }), Next::Wait(at(101)));
    for not_before in [99, 100] {
        assert_eq!(decided(&Case { not_before: Some(not_before), ..CASE }), Next::Start);
    }
}

/// A state is read where it may hold a code: an attempt is open, or nothing else can bring a token.
#[test]
fn a_state_is_read_when_it_matters() {
    for (needed, open_intent, expected) in [
        (true, true, Next::ReadState),
        (true, false, Next::ReadState),
        (false, true, Next::ReadState),
        (false, false, Next::Nothing),
    ] {
        let unread = StateSeen::Unread { revision: 3, open_intent };
        assert_eq!(decided_beside(&Case { needed, ..CASE }, false, OutputSeen::Absent, unread), expected);
    }
}
