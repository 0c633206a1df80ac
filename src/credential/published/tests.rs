use std::time::Duration;

use super::*;
use crate::{
    credential::{rotation::Keeps, starts::Starts},
    oauth::values::RefreshToken,
};

const HOUR: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn rules(starts: Starts) -> Rules {
    Rules {
        starts,
        keeps: Keeps::SingleUse,
        policy: RefreshPolicy { idle_lifetime: Some(Duration::from_secs(1800)), ..RefreshPolicy::default() },
        suspend: false,
        legs: vec!["mail".into()],
        reuse_grace_period: None,
        grace_ends_on_use: false,
        request_timeout: Duration::from_secs(30),
    }
}

fn issued() -> Issued {
    Issued { refresh_token: Some(RefreshToken::new("r")), scope: Some("a b".into()), ..Issued::for_an_hour("a", at(0)) }
}

fn record() -> StateRecord {
    StateRecord {
        lineage: "l".into(),
        revision: 4,
        seed_hash: Some("source".into()),
        authorized: Some(Authorized { subject: Some("ann".into()), at: at(0) }),
        additional: [("mail".to_owned(), issued())].into(),
        ..StateRecord::default()
    }
}

fn published(starts: Starts) -> PublishedToken {
    let (record, issued) = (record(), issued());
    Publication::of(&record, &issued).written(&rules(starts), "hash".into(), &[], SecretStatus::default())
}

fn status(revision: Option<i64>, token_hash: &str) -> OAuthCredentialStatus {
    OAuthCredentialStatus { revision, token_hash: Some(token_hash.into()), ..OAuthCredentialStatus::default() }
}

#[test]
fn the_newest_token_of_a_state_is_told_of() {
    let token = published(Starts::RefreshToken);
    let legs: Vec<_> = token.additional.iter().map(|leg| (&*leg.name, leg.expiration_time)).collect();
    assert_eq!(legs, [("mail", Some(at(HOUR)))]);
    let expected = PublishedToken {
        revision: 4,
        obtained_at: at(0),
        expires_at: Some(at(HOUR)),
        life: Life { ends: Some(at(HOUR / 2)), warns: None },
        token_hash: "hash".into(),
        scopes: vec!["a".into(), "b".into()],
        seed_hash: Some("source".into()),
        additional: token.additional.clone(),
        authorized: Some(Box::new(Authorized { subject: Some("ann".into()), at: at(0) })),
        secret: SecretStatus::default(),
    };
    assert_eq!(token, expected);
}

/// What each kind of grant has told of its source, and of the end of its refresh token.
#[test]
fn what_is_told_depends_on_the_grant() {
    for (starts, source, ends) in [
        (Starts::RefreshToken, true, true),
        (Starts::Consent, false, true),
        (Starts::Password, false, false),
        (Starts::Token, true, false),
        (Starts::Client, false, false),
    ] {
        let token = published(starts);
        assert_eq!((token.seed_hash.is_some(), token.life.ends.is_some()), (source, ends), "{starts:?}");
    }
}

#[test]
fn the_same_token_again_is_no_newer_revision() {
    let issued = issued();
    for (before, revision) in [
        (OAuthCredentialStatus::default(), 1),
        (status(Some(7), "another"), 8),
        (status(Some(7), "hash"), 7),
        // Nothing was published yet: a hash alone tells nothing.
        (status(None, "hash"), 1),
    ] {
        let publication = Publication::unkept("uid", &issued, "hash", Some("source"), &before);
        assert_eq!((publication.lineage, publication.revision), ("uid", revision), "{before:?}");
        let rules = Rules { keeps: Keeps::Nothing, ..rules(Starts::Token) };
        assert!(publication.record.is_none());
        let token = publication.written(&rules, "hash".into(), &[], SecretStatus::default());
        assert_eq!((token.life, token.seed_hash.as_deref()), (Life::default(), Some("source")));
        assert_eq!((token.additional, token.authorized), (vec![], None));
    }
}

fn next(token: &PublishedToken, before: &OAuthCredentialStatus) -> Option<Timestamp> {
    token.next_refresh(&RefreshPolicy::default(), before, Jitter::from_bits(0))
}

#[test]
fn the_soonest_of_the_tokens_plans_the_next_request() {
    let none = OAuthCredentialStatus::default();
    let mut token = PublishedToken { additional: Vec::new(), life: Life::default(), ..published(Starts::Consent) };
    let main = next(&token, &none);
    assert_eq!(main, RefreshPolicy::default().refresh_at(at(0), Some(at(HOUR)), None, Jitter::from_bits(0)));
    // One that a server only repeats isn't to be had before its expiry.
    assert!(next(&token, &status(Some(3), "hash")) > main);
    let leg = AdditionalTokenStatus { next_refresh_time: Some(at(60)), ..AdditionalTokenStatus::default() };
    token.additional = vec![leg];
    assert_eq!(next(&token, &none), Some(at(60)));
    // Nothing that expires: nothing to plan.
    token = PublishedToken { additional: Vec::new(), expires_at: None, ..token };
    assert_eq!(next(&token, &none), None);
    // The end of the refresh token plans, too.
    token.life.ends = Some(at(2 * HOUR));
    assert_eq!(next(&token, &none), Some(at(HOUR)));
}

#[test]
fn granted_scopes_are_what_the_server_says() {
    let scopes = |scope: Option<&str>| granted_scopes(&Issued { scope: scope.map(str::to_owned), ..issued() });
    assert_eq!(scopes(None), [""; 0]);
    assert_eq!(scopes(Some("a  b,c")), ["a", "b", "c"]);
    assert_eq!(scopes(Some("a \u{202e}b c")), ["a", "c"]);
    assert_eq!(scopes(Some(&"x".repeat(512))).len(), 1);
    assert_eq!(scopes(Some(&"x".repeat(513))), [""; 0]);
    assert_eq!(scopes(Some(&"x ".repeat(200))).len(), 128);
}
