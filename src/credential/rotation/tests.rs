use super::*;
use crate::{
    credential::record::{AskedUnder, Binding, Holder},
    oauth::values::{AccessToken, RefreshToken, SecretText},
};

mod ends;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn issued(refresh_token: Option<&str>) -> Issued {
    Issued {
        leg: String::new(),
        access_token: AccessToken::new(format!("access {refresh_token:?}")),
        refresh_token: refresh_token.map(RefreshToken::new),
        id_token: None,
        token_type: None,
        scope: None,
        obtained_at: at(100),
        expires_at: Some(at(200)),
        refresh_token_expires_at: None,
        response: SecretText::new("{}"),
        asked_under: AskedUnder::default(),
    }
}

fn received(issued: Issued) -> Received {
    Received::Issued(Box::new(issued))
}

fn record(lineage: &str, token: &str) -> StateRecord {
    let binding = Binding { servers: vec!["https://id.example".into()], client_id: "c".into() };
    StateRecord::begin(
        lineage.into(),
        binding,
        Some(&RefreshToken::new(token)),
        format!("hash of {token}"),
        None,
        0,
        Timestamp::UNIX_EPOCH,
    )
}

fn intent(attempt: &str, token: &str) -> Intent {
    Intent {
        attempt: attempt.into(),
        holder: Holder { pod: "pod".into(), boot: "boot".into() },
        lineage: "lineage".into(),
        leg: String::new(),
        token_hash: format!("hash of {token}"),
        binding: Binding::default(),
        started_at: at(0),
        send_by: at(0),
    }
}

fn begin(keeps: Keeps, base: &StateRecord, seen: Option<u32>) -> Attempt<()> {
    let token = base.refresh_token.as_ref().unwrap().expose();
    Attempt::stateful(keeps, base.clone(), seen.map(|version| version.to_string()), intent("mine", token))
}

fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Connect => "Connect",
        Effect::WriteIntent(_) => "WriteIntent",
        Effect::ReadState { .. } => "ReadState",
        Effect::Send => "Send",
        Effect::ClearIntent(_) => "ClearIntent",
        Effect::SaveReply { .. } => "SaveReply",
    }
}

fn connected() -> Event<()> {
    Event::Connected { now: at(50), send_by: at(55) }
}

fn written() -> Event<()> {
    Event::Written { resource_version: "9".into() }
}

/// Feeds events; gives the effects that were asked for, and the end, if it came.
fn follow(
    mut attempt: Attempt<()>,
    events: impl IntoIterator<Item = Event<()>>,
) -> (Vec<&'static str>, Option<Ended<()>>) {
    let mut effects = vec![name(&attempt.effect())];
    for event in events {
        match attempt.on(event) {
            Step::Next(next) => attempt = *next,
            Step::End(ended) => return (effects, Some(ended)),
        }
        effects.push(name(&attempt.effect()));
    }
    (effects, None)
}

#[test]
fn happy_paths() {
    let reply = || Event::Received(Box::new(issued(Some("r2"))));
    let base = record("lineage", "r1");
    let (effects, ended) =
        follow(begin(Keeps::SingleUse, &base, Some(1)), [connected(), written(), reply(), written()]);
    assert_eq!(effects, ["Connect", "WriteIntent", "Send", "SaveReply"]);
    let Some(Ended::Issued { saved: Some((saved, version)), .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(version, "9");
    assert_eq!(saved.refresh_token, Some(RefreshToken::new("r2")));
    assert_eq!(saved.previous_refresh_token, Some(RefreshToken::new("r1")));
    assert_eq!((saved.spent.as_slice(), saved.revision), (["hash of r1".to_owned()].as_slice(), 1));
    assert_eq!((saved.intent, saved.attempt.as_deref()), (None, Some("mine")));

    let (effects, ended) = follow(begin(Keeps::Reusable, &base, Some(1)), [connected(), reply(), written()]);
    assert_eq!(effects, ["Connect", "Send", "SaveReply"]);
    assert!(matches!(ended, Some(Ended::Issued { saved: Some(_), .. })));

    let (effects, ended) = follow(Attempt::stateless("mine".into()), [connected(), reply()]);
    assert_eq!(effects, ["Connect", "Send"]);
    assert!(matches!(ended, Some(Ended::Issued { saved: None, .. })));
}

#[test]
fn the_intent_says_who_sends_what_and_until_when() {
    let Step::Next(attempt) = begin(Keeps::SingleUse, &record("lineage", "r1"), Some(1)).on(connected()) else {
        panic!()
    };
    let Effect::WriteIntent(write) = attempt.effect() else { panic!() };
    assert_eq!(write.replaces.as_deref(), Some("1"));
    assert_eq!(write.record.intent, Some(Intent { started_at: at(50), send_by: at(55), ..intent("mine", "r1") }));
    assert_eq!(write.record.without_intent(), record("lineage", "r1"));
}

/// What an earlier attempt may have spent isn't settled by one that can't have.
#[test]
fn an_unknown_outcome_stays_open_until_it_is_settled() {
    let open = Intent { attempt: "earlier".into(), started_at: at(7), ..intent("earlier", "r1") };
    let base = StateRecord { intent: Some(open.clone()), ..record("lineage", "r1") };
    let Step::Next(attempt) = begin(Keeps::SingleUse, &base, Some(1)).on(connected()) else { panic!() };
    let Effect::WriteIntent(write) = attempt.effect() else { panic!() };
    assert_eq!(write.record.intent.map(|intent| (intent.attempt, intent.started_at)), Some(("mine".into(), at(7))));
    let events = [connected(), written(), Event::Failed(NoToken::NotSpent(())), written()];
    let (_, ended) = follow(begin(Keeps::SingleUse, &base, Some(1)), events);
    let Some(Ended::NotSpent { state: Some((state, _)), .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(state.intent, Some(open));
    let events = [connected(), written(), Event::Received(Box::new(issued(None))), written()];
    let (_, ended) = follow(begin(Keeps::SingleUse, &base, Some(1)), events);
    let Some(Ended::Issued { saved: Some((state, _)), .. }) = ended else { panic!("{ended:?}") };
    assert_eq!((state.intent, state.refresh_token), (None, Some(RefreshToken::new("r1"))));
}

#[test]
fn a_reply_in_hand_is_held_whatever_happens() {
    let reply = || Event::Received(Box::new(issued(Some("r2"))));
    for event in [connected(), reply(), Event::Failed(NoToken::Unknown(())), Event::ReadFailed, Event::WriteInDoubt] {
        let saving = [connected(), written(), reply()];
        let mut attempt = begin(Keeps::SingleUse, &record("lineage", "r1"), Some(1));
        for event in saving.into_iter().chain([event]) {
            let Step::Next(next) = attempt.on(event) else { panic!("the reply was dropped") };
            attempt = *next;
        }
        assert!(attempt.holds_reply());
        assert!(matches!(attempt.effect(), Effect::ReadState { after } if !after.is_zero()));
    }
}

/// What is saved when this attempt's reply finds another state than it wrote.
fn saved_over(mut attempt: Attempt<()>, there: StateRecord) -> StateRecord {
    let reply = Event::Received(Box::new(issued(Some("r2"))));
    let read = Event::Read { state: Some((Box::new(there), "7".into())), credential_exists: true };
    for event in [connected(), written(), reply, Event::WriteInDoubt, read] {
        let Step::Next(next) = attempt.on(event) else { panic!("the reply was dropped") };
        attempt = *next;
    }
    let Effect::SaveReply { write, .. } = attempt.effect() else { panic!() };
    assert_eq!(write.replaces.as_deref(), Some("7"));
    write.record
}

/// The lineages of the candidates, and of what is put aside.
fn strays(record: &StateRecord) -> (Vec<&str>, Vec<&str>) {
    (
        record.candidates.iter().map(|stray| stray.lineage.as_str()).collect(),
        record.aside.iter().map(|stray| stray.lineage.as_str()).collect(),
    )
}

/// Two began a lineage each with the same token: what the one was answered is no stranger to the other.
#[test]
fn a_reply_to_the_very_token_that_is_there_is_a_candidate() {
    let stray = |there| {
        let saved = saved_over(begin(Keeps::SingleUse, &record("lineage", "r1"), Some(1)), there);
        assert_eq!(saved.spent, ["hash of r1"]);
        saved
    };
    let other = |token| StateRecord { intent: Some(intent("other", token)), ..record("another", token) };
    assert_eq!(strays(&stray(other("r1"))), (vec!["another"], vec![]));
    assert_eq!(strays(&stray(other("s1"))), (vec![], vec!["lineage"]));
}

/// Another attempt of the same lineage was answered first: both replies are kept.
#[test]
fn a_reply_beside_another_of_its_lineage_is_a_candidate() {
    let base = record("lineage", "r1");
    let answered = base.with_reply("other", Some("hash of r1"), received(issued(Some("o2"))));
    let saved = saved_over(begin(Keeps::SingleUse, &base, Some(1)), answered.clone());
    assert_eq!(strays(&saved), (vec!["lineage"], vec![]));
    assert_eq!(StateRecord { candidates: vec![], ..saved }, answered);
}

/// A consent's reply is for the lineage that it was to begin, whichever token is there.
#[test]
fn a_consents_reply_is_no_candidate_of_another_lineage() {
    let (base, begun) = (record("lineage", "r1"), record("consented", "code"));
    let intent = Intent { lineage: "consented".into(), ..intent("mine", "code") };
    let attempt = Attempt::consenting(Keeps::SingleUse, base, begun, Some("1".into()), intent);
    let saved = saved_over(attempt, record("another", "r1"));
    assert_eq!(strays(&saved), (vec![], vec!["consented"]));
    assert_eq!(saved.refresh_token, Some(RefreshToken::new("r1")));
}

#[test]
fn pauses_grow_to_five_seconds() {
    assert_eq!(pause(0), Duration::ZERO);
    assert_eq!(
        [1, 2, 5, 6, 7, 8, u32::MAX].map(|tries| pause(tries).as_millis()),
        [200, 400, 3200, 5000, 5000, 5000, 5000]
    );
}

/// The cluster and the server, as far as an attempt can tell, and what may still go wrong.
#[derive(Clone)]
struct Surroundings {
    keeps: Keeps,
    secret: Option<(StateRecord, u32)>,
    version: u32,
    credential_exists: bool,
    intent_stands: bool,
    sent: Option<Sent>,
    /// Changes by others, and failures of the API server, that are left.
    others: u32,
    faults: u32,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Sent {
    Rotated,
    Kept,
    /// Rotated, in a reply that is of no other use.
    Salvaged,
    NotSpent,
    Unknown,
}

impl Sent {
    /// What came back, if anything did.
    fn received(self) -> Option<Received> {
        match self {
            Sent::Rotated => Some(received(issued(Some("r2")))),
            Sent::Kept => Some(received(issued(None))),
            Sent::Salvaged => Some(Received::RefreshToken(RefreshToken::new("r2"))),
            Sent::NotSpent | Sent::Unknown => None,
        }
    }
}

/// What is done by others between two effects.
#[derive(Clone, Copy)]
enum Other {
    Touch,
    Delete,
    DeleteAll,
    Intend,
    Reply,
    NewLineage,
}

impl Surroundings {
    fn put(&mut self, record: StateRecord) {
        self.version += 1;
        self.secret = Some((record, self.version));
    }

    fn meddle(&self, other: Other) -> Option<Self> {
        let mut next = Self { others: self.others.checked_sub(1)?, ..self.clone() };
        let record = || self.secret.as_ref().map(|(record, _)| record);
        match other {
            Other::Touch => next.put(record()?.clone()),
            Other::Delete => next.secret = record().and(None),
            Other::DeleteAll => (next.secret, next.credential_exists) = (None, false),
            Other::Intend => next.put(StateRecord { intent: Some(intent("other", "r1")), ..record()?.clone() }),
            Other::Reply => next.put(record()?.with_reply("other", Some("hash of r1"), received(issued(Some("o2"))))),
            Other::NewLineage => {
                let (seed, former) = (RefreshToken::new("s1"), record());
                let hash = "hash of s1".to_owned();
                next.put(StateRecord::begin(
                    "newer".into(),
                    Binding::default(),
                    Some(&seed),
                    hash,
                    former,
                    0,
                    Timestamp::UNIX_EPOCH,
                ));
            }
        }
        Some(next)
    }

    /// What was received, if anything was.
    fn received(&self) -> Option<Received> {
        self.sent.and_then(Sent::received)
    }

    /// Whether what was received is somewhere.
    fn keeps_reply(&self, reply: &Received) -> bool {
        self.secret.as_ref().is_some_and(|(record, _)| {
            let main = match reply {
                Received::Issued(issued) => {
                    record.issued.as_ref() == Some(issued)
                        && (issued.refresh_token.is_none() || record.refresh_token == issued.refresh_token)
                }
                Received::RefreshToken(token) => record.refresh_token.as_ref() == Some(token),
            };
            let mut strays = record.candidates.iter().chain(&record.aside);
            main || strays.any(|stray| stray.attempt == "mine" && stray.received == *reply)
        })
    }

    /// Every way in which an effect may end, each with what is there afterwards.
    fn ends(&self, effect: &Effect) -> Vec<(Self, Event<()>)> {
        let fault = |event| self.faults.checked_sub(1).map(|faults| (Self { faults, ..self.clone() }, event));
        match effect {
            Effect::Connect => {
                vec![(self.clone(), connected()), (self.clone(), Event::Failed(NoToken::NotSpent(())))]
            }
            Effect::Send => [Sent::Rotated, Sent::Kept, Sent::Salvaged, Sent::NotSpent, Sent::Unknown]
                .map(|sent| {
                    let event = match (sent, sent.received()) {
                        (_, Some(Received::Issued(issued))) => Event::Received(issued),
                        (_, Some(Received::RefreshToken(token))) => Event::Salvaged { refresh_token: token, why: () },
                        (Sent::NotSpent, None) => Event::Failed(NoToken::NotSpent(())),
                        (_, None) => Event::Failed(NoToken::Unknown(())),
                    };
                    (Self { sent: Some(sent), ..self.clone() }, event)
                })
                .into(),
            Effect::ReadState { .. } => {
                let state = self.secret.clone().map(|(record, version)| (Box::new(record), version.to_string()));
                let read = (self.clone(), Event::Read { state, credential_exists: self.credential_exists });
                [Some(read), fault(Event::ReadFailed)].into_iter().flatten().collect()
            }
            Effect::WriteIntent(write) | Effect::ClearIntent(write) | Effect::SaveReply { write, .. } => {
                let there = self.secret.as_ref().map(|(_, version)| version.to_string());
                let refused = fault(Event::WriteRefused(()));
                let lost = fault(Event::WriteInDoubt);
                let done = if there == write.replaces {
                    self.check_write(&write.record, matches!(effect, Effect::SaveReply { .. }));
                    let mut after = self.clone();
                    after.put(write.record.clone());
                    after.intent_stands |= matches!(effect, Effect::WriteIntent(_));
                    let answer_lost = after.faults.checked_sub(1).map(|faults| Self { faults, ..after.clone() });
                    let version = after.version.to_string();
                    let answered = (after, Event::Written { resource_version: version });
                    vec![Some(answered), answer_lost.map(|after| (after, Event::WriteInDoubt))]
                } else {
                    vec![Some((self.clone(), Event::WriteInDoubt))]
                };
                done.into_iter().chain([refused, lost]).flatten().collect()
            }
        }
    }

    /// A write takes nothing away that somebody else received.
    fn check_write(&self, next: &StateRecord, saves: bool) {
        let Some((before, _)) = &self.secret else { return };
        let kept = |stray| next.candidates.contains(stray) || next.aside.contains(stray);
        assert!(before.candidates.iter().chain(&before.aside).all(kept));
        assert_eq!(before.lineage, next.lineage, "a lineage was replaced");
        let ours = before.intent.as_ref().is_none_or(|intent| intent.attempt == "mine");
        assert!(ours || next.intent == before.intent, "another attempt's intent was taken away");
        if saves && before.attempt.as_deref() == Some("other") {
            assert_eq!((&before.refresh_token, &before.issued), (&next.refresh_token, &next.issued));
        }
    }
}

/// Goes every way from here; counts the ends.
fn explore(attempt: &Attempt<()>, surroundings: &Surroundings, depth: u32, ends: &mut [usize; 5]) {
    assert!(depth < 40, "no end");
    let meddled = [Other::Touch, Other::Delete, Other::DeleteAll, Other::Intend, Other::Reply, Other::NewLineage];
    let effect = attempt.effect();
    let worlds = meddled.into_iter().filter_map(|other| surroundings.meddle(other)).chain([surroundings.clone()]);
    let received = surroundings.received().is_some();
    assert_eq!(attempt.holds_reply(), received && surroundings.keeps != Keeps::Nothing);
    match effect {
        Effect::Send => {
            assert!(surroundings.sent.is_none(), "sent twice");
            assert!(surroundings.intent_stands || surroundings.keeps != Keeps::SingleUse, "sent without an intent");
        }
        Effect::ClearIntent(_) => assert_eq!(surroundings.sent, Some(Sent::NotSpent)),
        Effect::SaveReply { .. } => assert!(received),
        Effect::WriteIntent(_) => assert_eq!(surroundings.keeps, Keeps::SingleUse),
        Effect::Connect | Effect::ReadState { .. } => {}
    }
    for world in worlds {
        for (after, event) in world.ends(&effect) {
            match attempt.clone().on(event) {
                Step::Next(next) => explore(&next, &after, depth + 1, ends),
                Step::End(ended) => ends[check_end(&ended, &after)] += 1,
            }
        }
    }
}

fn check_end(ended: &Ended<()>, after: &Surroundings) -> usize {
    let single_use = after.keeps == Keeps::SingleUse;
    if let Some(reply) = after.received().filter(|_| after.keeps != Keeps::Nothing) {
        let gone = *ended == Ended::Gone && !after.credential_exists;
        assert!(after.keeps_reply(&reply) || gone, "a reply was dropped: {ended:?}");
        let salvaged = matches!((ended, &reply), (Ended::NotSpent { .. }, Received::RefreshToken(_)));
        let settled = matches!(ended, Ended::Issued { .. } | Ended::Superseded | Ended::Gone);
        assert!(salvaged || settled, "{ended:?}");
    }
    match ended {
        Ended::Issued { saved, .. } => {
            let there = after.secret.clone().map(|(record, version)| (Box::new(record), version.to_string()));
            assert_eq!(*saved, there, "not what is there");
            0
        }
        Ended::NotSpent { .. } => {
            assert!(matches!(after.sent, None | Some(Sent::NotSpent | Sent::Salvaged)) || !single_use);
            1
        }
        Ended::Unknown { .. } => {
            assert_eq!((after.sent, single_use), (Some(Sent::Unknown), true));
            2
        }
        Ended::Superseded => 3,
        Ended::Gone => 4,
    }
}

fn every_way(keeps: Keeps, there: bool) -> [usize; 5] {
    let base = record("lineage", "r1");
    let secret = there.then(|| (base.clone(), 1));
    let surroundings = Surroundings {
        keeps,
        secret: secret.filter(|_| keeps != Keeps::Nothing),
        version: 1,
        credential_exists: true,
        intent_stands: false,
        sent: None,
        others: if keeps == Keeps::Nothing { 0 } else { 2 },
        faults: 2,
    };
    let attempt = match keeps {
        Keeps::Nothing => Attempt::stateless("mine".into()),
        _ => begin(keeps, &base, there.then_some(1)),
    };
    let mut ends = [0; 5];
    explore(&attempt, &surroundings, 0, &mut ends);
    ends
}

#[test]
fn every_way_of_a_single_use_token() {
    for there in [true, false] {
        let ends = every_way(Keeps::SingleUse, there);
        assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
    }
}

#[test]
fn every_way_of_a_reusable_token() {
    for there in [true, false] {
        let [issued, not_spent, unknown, superseded, gone] = every_way(Keeps::Reusable, there);
        assert!(issued > 0 && not_spent > 0 && unknown == 0 && superseded > 0 && gone > 0);
    }
}

#[test]
fn every_way_of_a_grant_that_keeps_nothing() {
    let ends = every_way(Keeps::Nothing, false);
    assert!(ends[0] > 0 && ends[1] > 0 && ends[2..] == [0, 0, 0], "{ends:?}");
}

/// A person consents anew over a grant that is there; one with a code whose hash is "hash of code".
fn consenting() -> (StateRecord, Attempt<()>) {
    let base = record("old", "r0");
    let code = "hash of code".to_owned();
    let begun = StateRecord::begin("new".into(), base.binding.clone(), None, code, Some(&base), 3, at(50));
    let intent = Intent { lineage: "new".into(), ..intent("mine", "code") };
    (base.clone(), Attempt::consenting(Keeps::SingleUse, base, begun, Some("1".into()), intent))
}

fn next(attempt: Attempt<()>, event: Event<()>) -> Attempt<()> {
    match attempt.on(event) {
        Step::Next(next) => *next,
        Step::End(ended) => panic!("it goes on, and doesn't end in {ended:?}"),
    }
}

/// The code has been sent.
fn code_sent() -> (StateRecord, Attempt<()>) {
    let (base, attempt) = consenting();
    let attempt = next(attempt, Event::Connected { now: at(60), send_by: at(65) });
    let Effect::WriteIntent(write) = attempt.effect() else { panic!("the intent comes first") };
    assert_eq!((&write.record.lineage, &write.record.refresh_token), (&base.lineage, &base.refresh_token));
    assert_eq!(write.record.intent.unwrap().lineage, "new");
    let attempt = next(attempt, Event::Written { resource_version: "2".into() });
    assert_eq!(attempt.effect(), Effect::Send);
    (base, attempt)
}

fn consented() -> Event<()> {
    Event::Consented { issued: Box::new(issued(Some("r1"))), subject: Some("robot".into()) }
}

#[test]
fn a_consents_reply_begins_its_lineage() {
    let (_, attempt) = code_sent();
    let attempt = next(attempt, consented());
    let Effect::SaveReply { write, .. } = attempt.effect() else { panic!("it is saved") };
    assert_eq!((write.record.lineage.as_str(), write.record.revision), ("new", 4));
    assert_eq!(write.record.refresh_token, Some(RefreshToken::new("r1")));
    assert!(write.record.is_spent("hash of code") && write.record.intent.is_none());
    assert_eq!(write.record.authorized.as_ref().unwrap().subject.as_deref(), Some("robot"));
    assert!(matches!(
        attempt.on(Event::Written { resource_version: "3".into() }),
        Step::End(Ended::Issued { saved: Some(_), .. })
    ));
}

#[test]
fn a_refused_code_leaves_the_grant_that_was_there() {
    let (base, attempt) = code_sent();
    let attempt = next(attempt, Event::Failed(NoToken::NotSpent(())));
    let Effect::ClearIntent(write) = attempt.effect() else { panic!("the intent is withdrawn") };
    assert_eq!(write.record, base);
}

#[test]
fn a_consents_reply_is_saved_over_whatever_became_of_the_old_lineage() {
    let (base, attempt) = code_sent();
    let attempt = next(next(attempt, consented()), Event::WriteInDoubt);
    // Another process judged the intent, and refreshed the old lineage.
    let refreshed = base.with_reply("theirs", Some("hash of r0"), received(issued(Some("r9"))));
    let there = (Box::new(refreshed.clone()), "7".to_owned());
    let attempt = next(attempt, Event::Read { state: Some(there), credential_exists: true });
    let Effect::SaveReply { write, .. } = attempt.effect() else { panic!("it is saved") };
    assert_eq!((write.record.lineage.as_str(), write.replaces.as_deref()), ("new", Some("7")));
    assert!(write.record.revision > refreshed.revision);
    assert!(write.record.is_spent("hash of r0") && write.record.is_spent("hash of code"));
    // A newer consent has begun meanwhile: this one is put aside.
    let (_, attempt) = code_sent();
    let attempt = next(next(attempt, consented()), Event::WriteInDoubt);
    let there = (Box::new(record("newest", "r7")), "8".to_owned());
    let attempt = next(attempt, Event::Read { state: Some(there), credential_exists: true });
    let Effect::SaveReply { write, .. } = attempt.effect() else { panic!("it is kept") };
    assert_eq!((write.record.lineage.as_str(), write.record.aside.len()), ("newest", 1));
}
