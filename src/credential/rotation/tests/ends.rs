//! How an attempt ends, with what it says of the state, and what it writes last.

use super::*;

fn refused() -> Event<()> {
    Event::Failed(NoToken::NotSpent(()))
}

fn reply() -> Event<()> {
    Event::Received(Box::new(issued(Some("r2"))))
}

fn read(record: StateRecord) -> Event<()> {
    Event::Read { state: Some((Box::new(record), "7".into())), credential_exists: true }
}

fn state(record: StateRecord, version: &str) -> Option<(Box<StateRecord>, String)> {
    Some((Box::new(record), version.into()))
}

fn end(keeps: Keeps, events: impl IntoIterator<Item = Event<()>>) -> Ended<()> {
    follow(begin(keeps, &record("lineage", "r1"), Some(1)), events).1.expect("it ends")
}

/// The attempt after these events, which don't end it.
fn after(keeps: Keeps, events: impl IntoIterator<Item = Event<()>>) -> Attempt<()> {
    let mut attempt = begin(keeps, &record("lineage", "r1"), Some(1));
    for event in events {
        let Step::Next(next) = attempt.on(event) else { panic!("it ended") };
        attempt = *next;
    }
    attempt
}

#[test]
fn without_a_token_the_state_is_as_it_was() {
    let before = || state(record("lineage", "r1"), "1");
    let not_spent = |state| Ended::NotSpent { why: (), state };
    for (what, keeps, events, expected) in [
        ("no connection", Keeps::SingleUse, vec![refused()], not_spent(before())),
        ("no intent", Keeps::SingleUse, vec![connected(), Event::WriteRefused(())], not_spent(before())),
        ("a reusable token", Keeps::Reusable, vec![connected(), refused()], not_spent(before())),
        (
            "a reusable token's unknown outcome",
            Keeps::Reusable,
            vec![connected(), Event::Failed(NoToken::Unknown(()))],
            not_spent(before()),
        ),
        (
            "an intent that may stand",
            Keeps::SingleUse,
            vec![connected(), written(), refused(), Event::WriteInDoubt],
            not_spent(None),
        ),
    ] {
        assert_eq!(end(keeps, events), expected, "{what}");
    }
    let Ended::Unknown { state: Some((open, version)), .. } =
        end(Keeps::SingleUse, [connected(), written(), Event::Failed(NoToken::Unknown(()))])
    else {
        panic!()
    };
    assert_eq!((open.intent.map(|intent| intent.attempt).as_deref(), version.as_str()), (Some("mine"), "9"));
}

#[test]
fn the_intent_is_taken_back_over_itself_alone() {
    let Effect::ClearIntent(write) = after(Keeps::SingleUse, [connected(), written(), refused()]).effect() else {
        panic!()
    };
    assert_eq!(*write, Write { record: record("lineage", "r1"), replaces: Some("9".into()) });
}

#[test]
fn an_intent_in_doubt_is_looked_for_four_times() {
    let reads = |failures| [connected(), Event::WriteInDoubt].into_iter().chain(vec![Event::ReadFailed; failures]);
    let Effect::ReadState { after: pause } = after(Keeps::SingleUse, reads(3)).effect() else { panic!() };
    assert_eq!(pause, super::pause(3));
    assert_eq!(end(Keeps::SingleUse, reads(4)), Ended::Superseded);
}

/// What is found when a save is in doubt, and what becomes of the reply.
#[test]
fn a_reply_is_saved_by_what_is_there() {
    let saving = |keeps| {
        let intent = (keeps == Keeps::SingleUse).then(written);
        [Some(connected()), intent, Some(reply()), Some(Event::WriteInDoubt)].into_iter().flatten()
    };
    let saves = |keeps, there: StateRecord| {
        let Effect::SaveReply { write, .. } = after(keeps, saving(keeps).chain([read(there)])).effect() else {
            panic!()
        };
        assert_eq!(write.replaces.as_deref(), Some("7"));
        let main = write.record.refresh_token == Some(RefreshToken::new("r2"));
        (main, write.record.candidates.len(), write.record.aside.len())
    };
    let base = || record("lineage", "r1");
    let (main, candidate, aside) = ((true, 0, 0), (false, 1, 0), (false, 0, 1));
    let with = |intent| StateRecord { intent: Some(intent), ..base() };
    assert_eq!(saves(Keeps::SingleUse, with(intent("mine", "r1"))), main);
    assert_eq!(saves(Keeps::SingleUse, with(intent("other", "r1"))), candidate);
    assert_eq!(saves(Keeps::SingleUse, base()), candidate);
    assert_eq!(saves(Keeps::Reusable, base()), main);
    assert_eq!(saves(Keeps::Reusable, with(intent("other", "r1"))), candidate);
    assert_eq!(saves(Keeps::Reusable, StateRecord { attempt: Some("other".into()), ..base() }), candidate);
    assert_eq!(saves(Keeps::Reusable, record("newer", "s1")), aside);

    // It took effect, and only the answer was lost.
    let saved = base().with_reply("mine", Some("hash of r1"), received(issued(Some("r2"))));
    let Ended::Issued { saved: found, .. } =
        end(Keeps::SingleUse, saving(Keeps::SingleUse).chain([read(saved.clone())]))
    else {
        panic!()
    };
    assert_eq!(found, state(saved, "7"));
    let stray = base().with_stray("mine", "lineage", Some("hash of r1"), received(issued(Some("r2"))));
    assert_eq!(end(Keeps::SingleUse, saving(Keeps::SingleUse).chain([read(stray)])), Ended::Superseded);
}

/// Between an intent whose answer was lost and the look for it, another replica saved what it had received.
#[test]
fn an_intent_that_is_found_keeps_what_others_saved_beside_it() {
    let found = |hash| {
        let there = StateRecord { intent: Some(intent("mine", "r1")), ..record("lineage", "r1") };
        read(there.with_stray("other", "lineage", hash, received(issued(Some("c2")))))
    };
    let spent = end(Keeps::SingleUse, [connected(), Event::WriteInDoubt, found(Some("hash of r1"))]);
    assert_eq!(spent, Ended::Superseded, "the token was answered: it isn't sent again");
    let events = [connected(), Event::WriteInDoubt, found(Some("hash of r0")), refused()];
    let Effect::ClearIntent(write) = after(Keeps::SingleUse, events).effect() else { panic!() };
    assert_eq!((write.record.intent, write.record.candidates.len()), (None, 1));
}
