use std::time::Duration;

use super::*;
use crate::{
    api::{OAuthCredentialStatus, Reason},
    credential::{
        observed::{InputsSeen, OutputSeen, StateSeen},
        record::{AskedUnder, Holder, Intent, Issued},
        rotation::Keeps,
        starts::Starts,
    },
};

const NOW: i64 = 2000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn token(name: &str, obtained: Option<i64>) -> AdditionalTokenStatus {
    AdditionalTokenStatus {
        name: name.to_owned(),
        last_refresh_time: obtained.map(at),
        expiration_time: obtained.map(|obtained| at(obtained + 3600)),
        spec_hash: Some("s".to_owned()),
        ..AdditionalTokenStatus::default()
    }
}

fn issued(leg: &str, spec: &str) -> Issued {
    Issued {
        leg: leg.into(),
        asked_under: AskedUnder { spec: spec.into(), ..AskedUnder::default() },
        ..Issued::for_an_hour("a", at(1000))
    }
}

fn rules() -> Rules {
    Rules {
        legs: vec!["mail".into(), "files".into()],
        keeps: Keeps::SingleUse,
        starts: Starts::Consent,
        policy: RefreshPolicy::default(),
        suspend: false,
        reuse_grace_period: None,
        grace_ends_on_use: false,
        request_timeout: Duration::from_secs(30),
    }
}

fn holder() -> Holder {
    Holder { pod: "p".into(), boot: "b".into() }
}

fn seen<T>(status: &OAuthCredentialStatus, look: impl FnOnce(&Observed<'_>) -> T) -> T {
    let (asked_under, holder) = (AskedUnder { spec: "s".into(), ..AskedUnder::default() }, holder());
    look(&Observed {
        now: at(NOW),
        generation: 1,
        status,
        refresh_requested: None,
        asked_under: &asked_under,
        settings_hash: "",
        output_hash: "",
        output_name: "token",
        output: OutputSeen::Absent,
        state: StateSeen::NotKept,
        inputs: InputsSeen::Unread,
        seed_taken_by: None,
        holder: &holder,
        intent_seen_for: Duration::ZERO,
        jitter: Jitter::from_bits(0),
    })
}

/// A new main token, and what is known of its additional ones.
struct Case {
    rules: Rules,
    record: StateRecord,
    status: OAuthCredentialStatus,
}

impl Case {
    /// Which one the main token waits for.
    fn waits_for(change: impl FnOnce(&mut Self)) -> Option<String> {
        let record = StateRecord { revision: 3, issued: Some(issued("", "s")), ..StateRecord::default() };
        let status = OAuthCredentialStatus { revision: Some(2), ..OAuthCredentialStatus::default() };
        let mut case = Self { rules: rules(), record, status };
        change(&mut case);
        seen(&case.status, |seen| missing(&case.rules, seen, &case.record).map(str::to_owned))
    }

    fn keep(&mut self, leg: &str, spec: &str) {
        self.record.additional.insert(leg.into(), issued(leg, spec));
    }

    fn main(&mut self) -> &mut Issued {
        self.record.issued.as_mut().unwrap()
    }
}

#[test]
fn a_new_main_token_waits_for_those_that_it_has_not() {
    let waits = |change: fn(&mut Case)| Case::waits_for(change);
    let (mail, files) = (Some("mail".to_owned()), Some("files".to_owned()));
    assert_eq!(waits(|_| ()), mail);
    assert_eq!(waits(|c| c.keep("mail", "s")), files);
    assert_eq!(waits(|c| c.keep("files", "s")), mail);
    assert_eq!(waits(|c| c.keep("mail", "former")), mail, "one of another spec");
    assert_eq!(waits(|c| (c.keep("mail", "s"), c.keep("files", "s")).0), None);
}

#[test]
fn nothing_waits_in_vain() {
    let waits = |change: fn(&mut Case)| Case::waits_for(change);
    assert_eq!(waits(|c| c.record.issued = None), None, "there is no main token");
    assert_eq!(waits(|c| c.status.revision = Some(3)), None, "it is published");
    assert_eq!(waits(|c| c.status.revision = Some(4)), None, "a newer one is published");
    assert_eq!(waits(|c| c.main().expires_at = Some(at(NOW))), None, "it has expired");
    assert!(waits(|c| c.main().expires_at = Some(at(NOW + 1))).is_some());
    assert!(waits(|c| c.main().expires_at = None).is_some());
    assert_eq!(waits(|c| c.rules.policy.earliest = Some(Duration::from_secs(1))), None, "a pause is wanted");
    let open = |c: &mut Case| {
        c.record.intent = Some(Intent {
            attempt: "a".into(),
            holder: holder(),
            lineage: String::new(),
            leg: String::new(),
            token_hash: String::new(),
            binding: Default::default(),
            started_at: at(NOW),
            send_by: at(NOW),
        });
    };
    assert_eq!(waits(open), None, "an attempt is under way");
}

#[test]
fn what_fails_just_now_is_not_waited_for() {
    let failing = |spec: &str, next| {
        let known =
            AdditionalTokenStatus { spec_hash: Some(spec.into()), next_refresh_time: next, ..token("mail", None) };
        Case::waits_for(|c| c.status.additional_tokens = vec![known])
    };
    assert_eq!(failing("s", Some(at(2500))).as_deref(), Some("files"));
    assert_eq!(failing("former", Some(at(2500))).as_deref(), Some("mail"), "a changed spec starts afresh");
    assert_eq!(failing("s", None).as_deref(), Some("mail"), "it didn't fail");
}

#[test]
fn the_one_that_is_due_first_is_next() {
    let next = |name: &str, spec: &str, next| AdditionalTokenStatus {
        spec_hash: Some(spec.into()),
        next_refresh_time: Some(at(next)),
        ..token(name, Some(1500))
    };
    let first = |asked: Option<i64>, known: &[AdditionalTokenStatus], earliest: Option<u64>| {
        let status = OAuthCredentialStatus {
            last_refresh_time: asked.map(at),
            additional_tokens: known.to_vec(),
            ..OAuthCredentialStatus::default()
        };
        let policy = RefreshPolicy { earliest: earliest.map(Duration::from_secs), ..RefreshPolicy::default() };
        let rules = Rules { policy, ..rules() };
        seen(&status, |seen| due(&rules, seen).map(|(at, leg)| (at.as_second(), leg.to_owned())))
    };
    let says = |at: i64, leg: &str| Some((at, leg.to_owned()));
    let both = [next("files", "s", 2400), next("mail", "s", 2500)];
    assert_eq!(first(Some(1000), &both, None), says(2400, "files"));
    assert_eq!(first(None, &both, None), None, "there is no main token yet");
    assert_eq!(first(Some(1000), &both[..1], None), says(NOW, "mail"), "never asked for");
    let respecified = [next("files", "s", 2400), next("mail", "former", 2500)];
    assert_eq!(first(Some(1000), &respecified, None), says(NOW, "mail"));
    // A pause counts from the newest of all.
    assert_eq!(first(Some(1000), &both, Some(800)), says(2400, "files"));
    assert_eq!(first(Some(1000), &both, Some(1200)), says(2700, "files"));
    assert_eq!(first(Some(1700), &both, Some(1200)), says(2900, "files"));
}

#[test]
fn what_is_published_is_told_of() {
    let record = StateRecord {
        additional: [("mail".to_owned(), issued("mail", "s")), ("gone".to_owned(), issued("gone", "s"))].into(),
        ..StateRecord::default()
    };
    let told = |before: &[AdditionalTokenStatus]| statuses(&rules(), &record, before);
    let fresh = token("mail", Some(1000));
    assert_eq!(told(&[]), std::slice::from_ref(&fresh));
    // The same token: what failed since is still told. A newer one: no more.
    let failing = |obtained| AdditionalTokenStatus { failed_attempts: Some(2), ..token("mail", Some(obtained)) };
    assert_eq!(told(&[failing(1000)]), [failing(1000)]);
    assert_eq!(told(&[failing(900)]), std::slice::from_ref(&fresh));
    // One that there is no token of yet keeps what is told of it.
    let wanted = AdditionalTokenStatus { failed_attempts: Some(1), ..token("files", None) };
    assert_eq!(told(&[wanted.clone(), failing(900)]), [fresh, wanted]);
}

#[test]
fn an_additional_token_has_a_time_of_its_own() {
    let policy = RefreshPolicy { idle_lifetime: Some(std::time::Duration::from_secs(60)), ..RefreshPolicy::default() };
    let due = |token: &AdditionalTokenStatus| due_at(&policy, token, Jitter::from_bits(0)).map(Timestamp::as_second);
    assert_eq!(due(&token("a", Some(1000))), Some(3400), "the refresh token's idleness is the main token's business");
    let for_ever = AdditionalTokenStatus { expiration_time: None, ..token("a", Some(1000)) };
    assert_eq!(due(&for_ever), None);
    let failing = AdditionalTokenStatus { next_refresh_time: Some(at(2000)), ..token("a", Some(1000)) };
    assert_eq!(due(&failing), Some(2000));
}

#[test]
fn failures_are_counted_for_each() {
    let problem = Problem::passing(Reason::InvalidSpec, "It may not.");
    let once = failed(&[token("a", Some(1000)), token("b", None)], "b", &problem, at(2000), "s");
    assert_eq!((once[0].failed_attempts, once[1].failed_attempts), (None, Some(1)));
    assert_eq!((once[1].reason.as_deref(), once[1].message.as_deref()), (Some("InvalidSpec"), Some("It may not.")));
    let twice = failed(&once, "b", &problem, at(3000), "s");
    assert_eq!((twice[1].failed_attempts, twice[1].next_refresh_time), (Some(2), Some(at(3000))));
    assert_eq!(
        failed(&twice, "b", &problem, at(3000), "other")[1].failed_attempts,
        Some(1),
        "a changed spec starts afresh"
    );
    let new = failed(&[], "c", &problem, at(2000), "s");
    assert_eq!((new.len(), new[0].last_refresh_time), (1, None));
    assert_eq!(new[0].name, "c");
}
