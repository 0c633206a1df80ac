use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn record() -> StateRecord {
    let seed = RefreshToken::new("r0");
    StateRecord::begin("l".into(), Binding::default(), Some(&seed), "hash of r0".into(), None, 0, at(0))
}

fn issued(access_token: &str, refresh_token: Option<&str>, refresh_token_ends: Option<i64>) -> Received {
    Received::Issued(Box::new(Issued {
        leg: String::new(),
        access_token: AccessToken::new(access_token),
        refresh_token: refresh_token.map(RefreshToken::new),
        id_token: None,
        token_type: None,
        scope: None,
        obtained_at: at(10),
        expires_at: Some(at(20)),
        refresh_token_expires_at: refresh_token_ends.map(at),
        response: SecretText::new("{}"),
        asked_under: AskedUnder::default(),
    }))
}

fn replied(record: &StateRecord, reply: Received) -> StateRecord {
    record.with_reply("a", Some("sent"), reply)
}

#[test]
fn the_revision_counts_tokens_that_are_new() {
    let first = replied(&record(), issued("a1", Some("r1"), None));
    let after = |reply| replied(&first, reply).revision;
    assert_eq!(first.revision, 1);
    assert_eq!(after(issued("a2", None, None)), 2);
    assert_eq!(after(issued("a1", None, None)), 1, "the very token again");
    assert_eq!(after(issued("a1", Some("r1"), None)), 1, "with the very refresh token");
    assert_eq!(after(issued("a1", Some("r2"), None)), 2, "with another refresh token");
    assert_eq!(after(Received::RefreshToken(RefreshToken::new("r2"))), 1, "no access token");
}

#[test]
fn what_is_replaced_is_spent_once() {
    let kept = replied(&record(), issued("a1", None, None));
    assert_eq!((kept.spent.len(), kept.previous_refresh_token), (0, None), "a server that keeps its refresh token");
    let same = replied(&record(), issued("a1", Some("r0"), None));
    assert_eq!((same.spent.len(), same.previous_refresh_token), (0, None), "and says so");
    let next = replied(&record(), issued("a1", Some("r1"), None));
    assert_eq!(
        (next.spent.as_slice(), next.previous_refresh_token.as_ref()),
        (&["sent".to_owned()][..], Some(&RefreshToken::new("r0")))
    );
    assert_eq!(replied(&next, issued("a2", Some("r2"), None)).spent, ["sent"]);

    let many = (0..300)
        .fold(record(), |record, n| record.with_stray("b", "l", Some(&n.to_string()), issued("a", Some("r"), None)));
    let (newest, oldest): (Vec<_>, Vec<_>) = (0..300).map(|n| n.to_string()).partition(|n| many.is_spent(n));
    assert_eq!((newest.len(), oldest.last().map(String::as_str)), (MOST_SPENT, Some("43")));
    assert_eq!(many.candidates.len(), MOST_CANDIDATES);
}

/// A reply that says nothing of the refresh token's end has not moved it, unless it brings another.
#[test]
fn an_end_goes_with_its_refresh_token() {
    let first = replied(&record(), issued("a1", Some("r1"), Some(900)));
    let ends = |reply| replied(&first, reply).issued.unwrap().refresh_token_expires_at;
    assert_eq!(ends(issued("a2", None, None)), Some(at(900)));
    assert_eq!(ends(issued("a2", None, Some(950))), Some(at(950)));
    assert_eq!(ends(issued("a2", Some("r2"), None)), None);
}

#[test]
fn a_mistaken_seed_leaves_the_former_lineage_all_it_knows() {
    let former = replied(&record(), issued("a1", Some("r1"), None));
    let wrong = RefreshToken::new("wrong");
    let mistaken = StateRecord::begin(
        "m".into(),
        Binding::default(),
        Some(&wrong),
        "hash of wrong".into(),
        Some(&former),
        7,
        at(5),
    );
    let mistaken = mistaken.with_stray("b", "m", Some("also sent"), issued("a9", Some("r9"), None));
    let mistaken = mistaken.with_stray("b", "another", None, issued("a8", Some("r8"), None));
    assert_eq!(mistaken.restored("hash of wrong"), None);
    let restored = mistaken.restored("hash of r0").unwrap();
    assert_eq!((restored.lineage.as_str(), restored.refresh_token), ("l", Some(RefreshToken::new("r1"))));
    assert_eq!(restored.revision, 7, "what was published meanwhile is not gone back to");
    assert_eq!((restored.spent, restored.aside), (mistaken.spent, mistaken.aside));
    assert_eq!(restored.former, None);
}

#[test]
fn the_newest_candidate_with_a_refresh_token_is_adopted() {
    let stray = |record: &StateRecord, attempt: &str, lineage: &str, token| {
        record.with_stray(attempt, lineage, None, issued("a", token, None))
    };
    let record = stray(&record(), "b1", "l", Some("c1"));
    let record = stray(&record, "b2", "l", Some("c2"));
    let record = stray(&record, "b3", "l", None);
    let record = stray(&record, "b4", "former", Some("c4"));
    let adopted = record.adopt_candidate().unwrap();
    assert_eq!((adopted.attempt.as_deref(), adopted.refresh_token), (Some("b2"), Some(RefreshToken::new("c2"))));
    assert_eq!((adopted.candidates.len(), adopted.aside.len()), (2, 1));
}

/// An additional token counts as a newer one, and the refresh token's newest end is everybody's.
#[test]
fn an_additional_token_is_a_revision_of_its_own() {
    let main = StateRecord { revision: 6, ..replied(&record(), issued("a1", Some("r1"), Some(900))) };
    let Received::Issued(leg) = issued("a2", Some("r2"), Some(950)) else { panic!() };
    let after = replied(&main, Received::Issued(Box::new(Issued { leg: "mail".into(), ..*leg })));
    assert_eq!((after.revision, after.refresh_token), (7, Some(RefreshToken::new("r2"))));
    assert_eq!(after.additional["mail"].access_token, AccessToken::new("a2"));
    let issued = after.issued.unwrap();
    assert_eq!((issued.access_token, issued.refresh_token_expires_at), (AccessToken::new("a1"), Some(at(950))));
}

/// A consent begins its lineage over whatever is there when its reply comes.
#[test]
fn a_new_lineage_knows_all_that_the_former_one_knew() {
    let begun = StateRecord { revision: 4, spent: vec!["code".into(), "both".into()], ..record() };
    let stray = record().with_stray("b", "another", None, issued("a8", Some("r8"), None));
    let there = |revision| StateRecord { revision, spent: vec!["old".into(), "both".into()], ..stray.clone() };
    for (former, revision) in [(3, 4), (9, 9)] {
        let over = begun.over(&there(former));
        assert_eq!((over.revision, over.aside.len()), (revision, 1));
        assert_eq!(over.spent, ["old", "both", "code"]);
        assert_eq!((over.lineage, over.refresh_token), (begun.lineage.clone(), begun.refresh_token.clone()));
    }
}

/// After a revocation no token is left, and all that is known of them is.
#[test]
fn an_emptied_state_has_no_token() {
    let first = replied(&record(), issued("a1", Some("r1"), None));
    let stray = |record: StateRecord, lineage| record.with_stray("b", lineage, None, issued("a9", Some("r9"), None));
    let Received::Issued(leg) = issued("a2", None, None) else { panic!() };
    let intent = Intent {
        attempt: "c".into(),
        holder: Holder { pod: "p".into(), boot: "b".into() },
        lineage: "l".into(),
        leg: String::new(),
        token_hash: "hash of r1".into(),
        binding: Binding::default(),
        started_at: at(0),
        send_by: at(5),
    };
    let full = StateRecord {
        additional: [("mail".to_owned(), *leg)].into(),
        intent: Some(intent),
        former: Some(Box::new(record())),
        revoking: Some(at(30)),
        ..stray(stray(first, "l"), "another")
    };
    let emptied = full.emptied();
    let known = StateRecord {
        lineage: full.lineage,
        began_at: full.began_at,
        revision: full.revision,
        attempt: full.attempt,
        seed_hash: full.seed_hash,
        spent: full.spent,
        revoking: Some(at(30)),
        ..StateRecord::default()
    };
    assert_eq!(emptied, known);
}
