use super::*;
use crate::{
    api::OAuthCredentialStatus,
    credential::{
        observed::{Inputs, Source},
        record::{AskedUnder, Holder, Intent},
        rotation::Keeps,
        schedule::{Jitter, RefreshPolicy},
        starts::Starts,
    },
    oauth::values::RefreshToken,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn binding(client: &str) -> Binding {
    Binding { servers: vec!["https://idp.example".into()], client_id: client.into() }
}

fn request(state: &str, browser: Option<&str>) -> Request {
    Request {
        state_hash: digest(state),
        browser_hash: browser.map(digest),
        verifier: Some(SecretText::new(format!("verifier of {state}"))),
        nonce: Some(format!("nonce of {state}")),
        redirect_uri: Some("https://o.example/oauth/callback".into()),
        binding: binding("c"),
        made_at: at(0),
    }
}

fn mailbox(requests: Vec<Request>) -> Mailbox {
    Mailbox {
        created_at: at(0),
        ticket: SecretText::new("0123456789abcdefghijkl"),
        pasted: None,
        progress: Progress { requests, received: None },
    }
}

fn pasted(text: &str, requests: Vec<Request>) -> Mailbox {
    Mailbox { pasted: Some(SecretText::new(text)), ..mailbox(requests) }
}

const HERE: Answerer<'_> = Answerer { issuer: Some("https://idp.example"), names_itself: true };

fn verifier(mailbox: &Mailbox) -> Option<String> {
    match mailbox.reply(&binding("c"), HERE, at(60)) {
        Reply::Code(code) => code.verifier.map(|verifier| verifier.expose().to_owned()),
        other => panic!("{other:?}"),
    }
}

fn refusal(mailbox: &Mailbox) -> String {
    match mailbox.reply(&binding("c"), HERE, at(60)) {
        Reply::Refused(problem) => problem.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn waiting_and_expiry() {
    let here = binding("c");
    let reply = |mailbox: &Mailbox, second| mailbox.reply(&here, HERE, at(second));
    assert_eq!(reply(&mailbox(vec![]), 3599), Reply::Waiting { prepared: false });
    assert_eq!(reply(&mailbox(vec![request("a", Some("b"))]), 0), Reply::Waiting { prepared: false });
    assert_eq!(reply(&mailbox(vec![request("a", None)]), 0), Reply::Waiting { prepared: true });
    assert_eq!(reply(&mailbox(vec![request("a", None)]), 3600), Reply::Expired);
    // What came in time is used: the code has an end of its own.
    assert!(matches!(reply(&pasted("abc", vec![]), 4000), Reply::Code(_)));
}

#[test]
fn a_callback_s_code_goes_with_its_own_request() {
    let open = mailbox(vec![request("a", Some("x")), request("b", Some("y"))]);
    let received = |state: &str, outcome| Received { state_hash: digest(state), outcome, at: at(30) };
    let with = |received| Mailbox { progress: open.with_received(received).unwrap(), ..open.clone() };
    let came = with(received("a", Ok(SecretText::new("code"))));
    assert_eq!(verifier(&came).as_deref(), Some("verifier of a"));
    assert!(came.with_received(received("b", Ok(SecretText::new("other")))).is_none(), "the first counts");
    assert!(refusal(&with(received("a", Err(Refusal::Denied)))).contains("access_denied"));
    assert!(refusal(&with(received("c", Ok(SecretText::new("code"))))).contains("state"));
}

#[test]
fn pasted_responses() {
    let open = || vec![request("a", None), request("b", Some("y"))];
    let address = |rest: &str| format!("https://hover.to/?code=abc&{rest}");
    let iss = "iss=https%3A%2F%2Fidp.example";
    assert_eq!(verifier(&pasted("abc", open())).as_deref(), Some("verifier of a"), "made for whoever reads the Secret");
    assert_eq!(verifier(&pasted("abc", vec![request("b", Some("y"))])).as_deref(), Some("verifier of b"));
    assert_eq!(verifier(&pasted("abc", vec![])), None);
    assert_eq!(verifier(&pasted(&address(&format!("state=b&{iss}")), open())).as_deref(), Some("verifier of b"));
    assert!(refusal(&pasted(&address(&format!("state=c&{iss}")), open())).contains("state"));
    assert!(refusal(&pasted(&address("state=a&iss=https%3A%2F%2Fevil.example"), open())).contains("another issuer"));
    assert!(refusal(&pasted(&address("state=a"), open())).contains("another issuer"));
    assert!(refusal(&pasted("https://hover.to/", open())).contains("neither a code nor"));
    assert!(
        refusal(&pasted("https://hover.to/?error=access_denied&state=a&iss=https%3A%2F%2Fidp.example", open()))
            .contains("access_denied")
    );
}

#[test]
fn a_code_goes_only_where_it_was_asked_for() {
    let mailbox = pasted("abc", vec![request("a", None)]);
    let Reply::Refused(problem) = mailbox.reply(&binding("another"), HERE, at(60)) else { panic!("refused") };
    assert!(problem.message.contains("was changed while"), "{}", problem.message);
}

#[test]
fn tickets_and_states() {
    let mailbox = mailbox(vec![request("a", None)]);
    assert!(mailbox.admits("0123456789abcdefghijkl"));
    for wrong in ["", "0123456789abcdefghijk", "0123456789abcdefghijklm", "0123456789abcdefghijkL"] {
        assert!(!mailbox.admits(wrong), "{wrong}");
    }
    assert_eq!(mailbox.request("a").map(|request| request.made_at), Some(at(0)));
    assert!(mailbox.request("b").is_none() && mailbox.request("").is_none());
}

#[test]
fn old_requests_go() {
    let mut box_ = mailbox(vec![]);
    for state in ["a", "b", "c", "d", "e"] {
        box_.progress = box_.with_request(request(state, None));
    }
    assert_eq!(box_.progress.requests.len(), MOST_REQUESTS);
    assert!(box_.request("a").is_none() && box_.request("e").is_some());
}

/// A grant that is there already, at revision 3.
fn granted() -> StateRecord {
    StateRecord {
        lineage: "old".into(),
        revision: 3,
        refresh_token: Some(RefreshToken::new("r")),
        binding: binding("c"),
        ..StateRecord::default()
    }
}

fn intent(lineage: &str, pod: &str) -> Intent {
    Intent {
        attempt: "a".into(),
        holder: Holder { pod: pod.into(), boot: "boot".into() },
        lineage: lineage.into(),
        leg: String::new(),
        token_hash: "hash of abc".into(),
        binding: binding("c"),
        started_at: at(0),
        send_by: at(5),
    }
}

struct Case {
    mailbox: Option<Mailbox>,
    state: Option<StateRecord>,
    suspend: bool,
    seen_for: u64,
    not_before: Option<i64>,
    now: i64,
    status: OAuthCredentialStatus,
    output: OutputSeen,
    /// The state isn't in memory.
    unread: bool,
}

impl Default for Case {
    fn default() -> Self {
        let mailbox = Some(pasted("abc", vec![request("a", None)]));
        let status = OAuthCredentialStatus { revision: Some(3), ..Default::default() };
        Self {
            mailbox,
            state: Some(granted()),
            suspend: false,
            seen_for: 0,
            not_before: None,
            now: 60,
            status,
            output: OutputSeen::Absent,
            unread: false,
        }
    }
}

fn decided(case: &Case) -> Next {
    let mailbox = case.mailbox.as_ref().map_or(MailboxSeen::None, MailboxSeen::Read);
    let hash = |code: &SecretText| format!("hash of {}", code.expose());
    looked(case, |rules, seen| next(rules, seen, mailbox, Answerer::default(), case.not_before.map(at), hash, "new"))
}

fn looked<T>(case: &Case, look: impl FnOnce(&Rules, &Observed<'_>) -> T) -> T {
    let rules = Rules {
        starts: Starts::Consent,
        keeps: Keeps::SingleUse,
        policy: RefreshPolicy::default(),
        suspend: case.suspend,
        reuse_grace_period: None,
        grace_ends_on_use: false,
        legs: Vec::new(),
        request_timeout: Duration::from_secs(30),
    };
    let (binding, holder) = (binding("c"), Holder { pod: "pod".into(), boot: "boot".into() });
    let asked = AskedUnder::default();
    let seen = Observed {
        now: at(case.now),
        generation: 1,
        status: &case.status,
        refresh_requested: None,
        asked_under: &asked,
        settings_hash: "",
        output_hash: "",
        output_name: "",
        output: case.output.clone(),
        state: match &case.state {
            None => StateSeen::Absent,
            Some(record) if case.unread => StateSeen::Unread { revision: record.revision, open_intent: false },
            Some(record) => StateSeen::Read(record),
        },
        inputs: InputsSeen::Read(Inputs { binding: &binding, source: Source::Consent }),
        seed_taken_by: None,
        holder: &holder,
        intent_seen_for: Duration::from_secs(case.seen_for),
        jitter: Jitter::from_bits(0),
    };
    look(&rules, &seen)
}

#[test]
fn a_code_begins_a_new_lineage_over_one_that_stays() {
    let Next::Exchange(exchanging) = decided(&Case::default()) else { panic!("it is exchanged") };
    assert_eq!(exchanging.base, granted(), "what is there stays as it is");
    assert_eq!((exchanging.begun.lineage.as_str(), exchanging.begun.revision), ("new", 3));
    assert_eq!((exchanging.begun.refresh_token, exchanging.code_hash.as_str()), (None, "hash of abc"));
    let Next::Exchange(first) = decided(&Case { state: None, ..Case::default() }) else { panic!("it is exchanged") };
    assert_eq!(first.base, StateRecord::default());
}

#[test]
fn a_spent_code_is_never_sent_again() {
    let spent = StateRecord { spent: vec!["hash of abc".into()], ..granted() };
    assert_eq!(decided(&Case { state: Some(spent), ..Case::default() }), Next::Discard(None));
}

#[test]
fn an_open_intent_is_let_settle_and_then_the_code_is_sent_again() {
    let open = |lineage, pod| Some(StateRecord { intent: Some(intent(lineage, pod)), ..granted() });
    assert_eq!(decided(&Case { state: open("new", "other"), seen_for: 10, ..Case::default() }), Next::Wait(at(90)));
    for (state, seen_for) in [(open("new", "other"), 40), (open("new", "pod"), 0)] {
        let Next::Exchange(exchanging) = decided(&Case { state, seen_for, ..Case::default() }) else { panic!("sent") };
        assert_eq!(exchanging.base.intent, None, "a refusal of this code settles it");
    }
    // A refresh whose outcome isn't known stays unknown, should the code be refused.
    let Next::Exchange(exchanging) = decided(&Case { state: open("old", "pod"), ..Case::default() }) else {
        panic!("sent")
    };
    assert_eq!(exchanging.base.intent, Some(intent("old", "pod")));
}

#[test]
fn pauses_and_ends() {
    let empty = || Some(mailbox(vec![]));
    assert_eq!(decided(&Case { mailbox: None, ..Case::default() }), Next::Nothing);
    assert_eq!(decided(&Case { suspend: true, ..Case::default() }), Next::Nothing);
    assert_eq!(decided(&Case { not_before: Some(70), ..Case::default() }), Next::Wait(at(70)));
    assert_eq!(decided(&Case { mailbox: empty(), not_before: Some(70), ..Case::default() }), Next::Wait(at(70)));
    assert_eq!(decided(&Case { mailbox: empty(), ..Case::default() }), Next::Prepare);
    let prepared = Some(mailbox(vec![request("a", None)]));
    assert_eq!(decided(&Case { mailbox: prepared, ..Case::default() }), Next::Wait(at(3600)));
    assert_eq!(decided(&Case { mailbox: empty(), now: 3600, ..Case::default() }), Next::Discard(Some(expired())));
    // A code that couldn't be exchanged for an hour is dead everywhere.
    assert_eq!(decided(&Case { now: 3600, ..Case::default() }), Next::Discard(Some(expired())));
}

#[test]
fn what_a_code_needs_to_be_sent() {
    assert_eq!(decided(&Case { output: OutputSeen::Foreign, ..Case::default() }), Next::Nothing);
    // Whether the code is spent is in the state.
    assert_eq!(decided(&Case { unread: true, ..Case::default() }), Next::ReadState);
    // An earlier try is over when its pause is.
    assert!(matches!(decided(&Case { not_before: Some(60), ..Case::default() }), Next::Exchange(_)));
}

/// A person is waited for when nothing else is planned: before the first consent, and after a grant that was lost.
#[test]
fn a_person_is_needed_when_nothing_else_helps() {
    use crate::api::{Condition, ConditionStatus};
    let refreshed = |type_, reason: Reason| Condition {
        type_,
        status: ConditionStatus::False,
        observed_generation: 1,
        last_transition_time: at(0),
        reason: reason.as_str().to_owned(),
        message: String::new(),
    };
    let lost = || OAuthCredentialStatus {
        failed_attempts: Some(1),
        conditions: vec![
            refreshed(ConditionType::Ready, Reason::InvalidGrant),
            refreshed(ConditionType::Refreshed, Reason::InvalidGrant),
        ],
        ..OAuthCredentialStatus::default()
    };
    let needed = |plan: Plan, status: OAuthCredentialStatus| {
        looked(&Case { status, ..Case::default() }, |_, seen| is_needed(&plan, seen))
    };
    let hold = |reason| Plan::Hold { problem: Problem::stalled(reason, "It waits."), until: None };
    assert!(needed(hold(Reason::AuthorizationRequired), OAuthCredentialStatus::default()));
    assert!(!needed(hold(Reason::InvalidSpec), lost()));
    assert!(!needed(Plan::ReadState, lost()));
    let rest = || Plan::Rest { until: None };
    assert!(needed(rest(), lost()));
    assert!(!needed(Plan::Rest { until: Some(at(90)) }, lost()), "something is planned");
    for (what, status) in [
        ("nothing failed", OAuthCredentialStatus { failed_attempts: None, ..lost() }),
        ("nothing fails any more", OAuthCredentialStatus { failed_attempts: Some(0), ..lost() }),
        ("it is tried again", OAuthCredentialStatus { next_refresh_time: Some(at(90)), ..lost() }),
        (
            "the grant wasn't refused",
            OAuthCredentialStatus {
                conditions: vec![
                    refreshed(ConditionType::Ready, Reason::InvalidGrant),
                    refreshed(ConditionType::Refreshed, Reason::OutcomeUnknown),
                ],
                ..lost()
            },
        ),
    ] {
        assert!(!needed(rest(), status), "{what}");
    }
}

/// Only the first consent is something to wait for; after that a person has something to do.
#[test]
fn only_the_first_consent_is_awaited_in_peace() {
    assert_eq!([true, false].map(|first| awaited(first).stalls), [false, true]);
}
