use super::*;
use crate::api::Reason;

fn issuer(identifier: &str) -> Issuer {
    Issuer { identifier: identifier.to_owned(), ca: None, allowed_addresses: Vec::new() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}

fn wanted(identifier: &str) -> Wanted {
    Wanted { issuer: issuer(identifier), roots: None, under: String::new() }
}

fn found(fresh_for: u64) -> Found {
    let url = Url::parse("https://idp.example.com/token").unwrap();
    let consent = Default::default();
    let metadata = Metadata { token: url.clone(), revocation: None, mtls_token: url, mtls_revocation: None, consent };
    Found { metadata, fresh_for: Duration::from_secs(fresh_for) }
}

fn problem() -> Problem {
    Problem::passing(Reason::ProviderUnavailable, "It is down.")
}

/// What is read next, now. None: nothing, or there is no room for it.
async fn next(discoveries: &Discoveries) -> Option<(String, Place<Wanted>)> {
    let next = timeout(Duration::ZERO, discoveries.next()).await.ok();
    next.map(|(wanted, place)| (wanted.issuer.identifier, place))
}

#[tokio::test(start_paused = true)]
async fn one_read_serves_all_who_wait() {
    let discoveries = Discoveries::default();
    assert_eq!(discoveries.look(&issuer("a"), "", at(0)), Look::Wanted);
    for name in ["one", "two", "one"] {
        discoveries.want(wanted("a"), &key(name));
    }
    discoveries.want(wanted("b"), &key("three"));
    let reads = [next(&discoveries).await.unwrap(), next(&discoveries).await.unwrap()];
    assert_eq!(reads.each_ref().map(|(issuer, _)| issuer.as_str()), ["a", "b"]);
    discoveries.want(wanted("a"), &key("two"));
    assert!(next(&discoveries).await.is_none(), "each is read once");
    assert_eq!(discoveries.look(&issuer("a"), "", at(0)), Look::Wanted, "still under way");

    let waiting = discoveries.settle(&issuer("a"), "", Ok(found(600)), None, at(1));
    assert_eq!(waiting, BTreeSet::from([key("one"), key("two")]));
    assert_eq!(discoveries.look(&issuer("a"), "", at(600)), Look::Known);
    assert_eq!(discoveries.look(&issuer("a"), "", at(601)), Look::Wanted);
    assert_eq!(discoveries.look(&issuer("b"), "", at(1)), Look::Wanted);
}

/// Somebody names a thousand issuers, and that of a neighbour among them. The neighbour's is read in the neighbour's turn.
#[tokio::test(start_paused = true)]
async fn who_names_many_issuers_keeps_no_other_namespace_waiting() {
    let discoveries = Discoveries::default();
    let mallory = |number: usize| Key::new("mallory", &number.to_string());
    for number in 0..1000 {
        discoveries.want(wanted(&format!("hangs-{number}")), &mallory(number));
    }
    discoveries.want(wanted("shared"), &mallory(1000));
    let mut held = Vec::new();
    while let Some(read) = next(&discoveries).await {
        held.push(read);
    }
    assert_eq!(held.len(), AT_ONCE);

    discoveries.want(wanted("shared"), &key("victim"));
    held.pop();
    let (issuer, place) = next(&discoveries).await.unwrap();
    assert_eq!(issuer, "shared");
    let waiting = discoveries.settle(&self::issuer("shared"), "", Ok(found(600)), None, at(1));
    assert_eq!(waiting, BTreeSet::from([mallory(1000), key("victim")]));
    drop(place);
    held.clear();
    let mut left = 0;
    while let Some((issuer, _)) = next(&discoveries).await {
        assert_ne!(issuer, "shared", "it isn't read again in mallory's turn");
        left += 1;
    }
    assert_eq!(left, 1000 - AT_ONCE);
}

#[test]
fn a_failure_is_backed_off_and_mended_by_other_authorities() {
    let discoveries = Discoveries::default();
    let mut last = at(0);
    for times in 1..12 {
        discoveries.settle(&issuer("a"), "1", Err(problem()), None, last);
        let Look::Failed { problem: told, again } = discoveries.look(&issuer("a"), "1", last) else { panic!() };
        assert_eq!(told, problem());
        let pause = again.duration_since(last).as_secs();
        assert!((2..=300).contains(&pause) && (times < 8 || pause >= 150), "{times}: {pause}");
        assert_eq!(discoveries.look(&issuer("a"), "2", last), Look::Wanted, "with other authorities");
        last = again;
        assert_eq!(discoveries.look(&issuer("a"), "1", last), Look::Wanted);
    }
    discoveries.settle(&issuer("a"), "1", Err(problem()), Some(Duration::from_secs(900)), last);
    let told = discoveries.look(&issuer("a"), "1", later(last, Duration::from_secs(899)));
    assert!(matches!(told, Look::Failed { .. }), "Retry-After is obeyed: {told:?}");
}

#[test]
fn an_old_document_serves_while_its_server_is_down() {
    let discoveries = Discoveries::default();
    discoveries.settle(&issuer("a"), "", Ok(found(600)), None, at(0));
    discoveries.settle(&issuer("a"), "", Err(problem()), None, at(700));
    assert_eq!(discoveries.look(&issuer("a"), "", at(701)), Look::Known);
    assert!(discoveries.metadata(&issuer("a")).is_some());
    assert_eq!(discoveries.look(&issuer("a"), "", at(1100)), Look::Wanted, "and is asked for again");
}

#[test]
fn a_failing_endpoint_casts_doubt_on_a_document_but_not_on_a_new_one() {
    let discoveries = Discoveries::default();
    discoveries.settle(&issuer("a"), "", Ok(found(3600)), None, at(0));
    discoveries.doubt(&issuer("a"), at(59));
    assert_eq!(discoveries.look(&issuer("a"), "", at(59)), Look::Known);
    discoveries.doubt(&issuer("a"), at(60));
    assert_eq!(discoveries.look(&issuer("a"), "", at(60)), Look::Wanted);
    // Not while the issuer itself fails: its own delay holds.
    discoveries.settle(&issuer("a"), "", Err(problem()), None, at(60));
    discoveries.doubt(&issuer("a"), at(61));
    assert_eq!(discoveries.look(&issuer("a"), "", at(61)), Look::Known);
}

/// Whoever trusts other authorities, or reaches other networks, reads for himself.
#[test]
fn issuers_are_shared_only_under_the_same_rules() {
    let discoveries = Discoveries::default();
    discoveries.settle(&issuer("a"), "", Ok(found(600)), None, at(0));
    let ranges = vec!["10.0.0.0/8".parse().unwrap()];
    let internal = Issuer { allowed_addresses: ranges, ..issuer("a") };
    assert_eq!(discoveries.metadata(&internal), None);
    let ca = crate::credential::checked::InputRef {
        kind: crate::credential::checked::InputKind::Secret,
        namespace: "x".into(),
        name: "ca".into(),
        key: "ca.crt".into(),
    };
    assert_eq!(discoveries.metadata(&Issuer { ca: Some(ca), ..issuer("a") }), None);
}
