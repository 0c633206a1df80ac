use super::*;

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
