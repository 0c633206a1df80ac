use super::*;
use crate::{
    api::OAuthCredentialStatus,
    credential::{
        observed::Published,
        record::{AskedUnder, Binding, Holder, Issued, Received},
        schedule::Jitter,
    },
    oauth::values::AccessToken,
};

mod edges;
mod legs;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A single-use refresh token in the middle of its token's lifetime. The seed was r0, the state is at revision 3.
struct Case {
    rules: Rules,
    now: i64,
    status: OAuthCredentialStatus,
    output: OutputSeen,
    state: Option<StateRecord>,
    read: bool,
    seed: &'static str,
    binding: Binding,
    taken_by: Option<&'static str>,
    intent_seen_for: u64,
    asked: Option<&'static str>,
    /// Instead of a Secret that was read.
    inputs: Option<InputsSeen<'static>>,
    unusable: Option<&'static str>,
}

fn hash(token: &str) -> String {
    format!("hash of {token}")
}

fn binding(client_id: &str) -> Binding {
    Binding { servers: vec!["https://id.example".into()], client_id: client_id.into() }
}

fn case() -> Case {
    let mut record = StateRecord::begin(
        "l".into(),
        binding("c"),
        Some(&RefreshToken::new("r0")),
        hash("r0"),
        None,
        2,
        Timestamp::UNIX_EPOCH,
    );
    let issued = Issued { refresh_token: Some(RefreshToken::new("r1")), ..Issued::for_an_hour("a", at(1000)) };
    record = record.with_reply("a1", Some(&hash("r0")), Received::Issued(Box::new(issued)));
    Case {
        rules: Rules {
            starts: Starts::RefreshToken,
            keeps: Keeps::SingleUse,
            policy: RefreshPolicy::default(),
            suspend: false,
            legs: Vec::new(),
            reuse_grace_period: None,
            grace_ends_on_use: false,
            request_timeout: Duration::from_secs(30),
        },
        now: 2000,
        status: OAuthCredentialStatus {
            observed_generation: Some(1),
            revision: Some(3),
            last_refresh_time: Some(at(1000)),
            expiration_time: Some(at(4600)),
            seed_hash: Some(hash("r0")),
            ..OAuthCredentialStatus::default()
        },
        output: OutputSeen::Ours(Published {
            lineage: "l".into(),
            revision: 3,
            asked_under: AskedUnder::default(),
            output: "o".into(),
            intact: true,
        }),
        state: Some(record),
        read: true,
        seed: "r0",
        binding: binding("c"),
        taken_by: None,
        intent_seen_for: 0,
        asked: None,
        inputs: None,
        unusable: None,
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn record(&mut self) -> &mut StateRecord {
        self.state.as_mut().unwrap()
    }

    fn open_intent(&mut self, pod: &str, started_at: i64) {
        self.record().intent = Some(Intent {
            attempt: "a2".into(),
            holder: Holder { pod: pod.into(), boot: "b".into() },
            lineage: "l".into(),
            leg: String::new(),
            token_hash: hash("r1"),
            binding: binding("c"),
            started_at: at(started_at),
            send_by: at(started_at + 5),
        });
    }

    fn plan(&self) -> Plan {
        self.look(|seen| decide(&self.rules, seen, "new"))
    }

    fn look<T>(&self, look: impl FnOnce(&Observed<'_>) -> T) -> T {
        let (seed, asked_under) = (RefreshToken::new(self.seed), AskedUnder::default());
        let holder = Holder { pod: "me".into(), boot: "now".into() };
        let state = match &self.state {
            _ if self.rules.keeps == Keeps::Nothing => StateSeen::NotKept,
            _ if self.unusable.is_some() => StateSeen::Unusable(self.unusable.unwrap().to_owned()),
            None => StateSeen::Absent,
            Some(record) if self.read => StateSeen::Read(record),
            Some(record) => StateSeen::Unread { revision: record.revision, open_intent: record.intent.is_some() },
        };
        let seen = Observed {
            now: at(self.now),
            generation: 1,
            status: &self.status,
            refresh_requested: self.asked,
            asked_under: &asked_under,
            settings_hash: "",
            output_hash: "o",
            output_name: "token",
            output: self.output.clone(),
            state,
            inputs: self.inputs.clone().unwrap_or_else(|| {
                InputsSeen::Read(Inputs {
                    binding: &self.binding,
                    source: match self.rules.starts {
                        Starts::Client => Source::Client,
                        Starts::RefreshToken => Source::Seed(&seed, hash(self.seed)),
                        Starts::Password => Source::User(hash(self.seed)),
                        Starts::Token => Source::Tokens(hash(self.seed)),
                        Starts::Consent => Source::Consent,
                    },
                })
            }),
            seed_taken_by: self.taken_by,
            holder: &holder,
            intent_seen_for: Duration::from_secs(self.intent_seen_for),
            jitter: Jitter::from_bits(0),
        };
        look(&seen)
    }

    /// The plan as one line: what is sent and of which lineage, or why not.
    fn says(&self) -> String {
        match self.plan() {
            Plan::Rest { until } => format!("rest {:?}", until.map(Timestamp::as_second)),
            Plan::Hold { problem, until } => {
                assert!(problem.message.ends_with('.'));
                format!("{} {:?} {}", problem.reason.as_str(), until.map(Timestamp::as_second), problem.stalls)
            }
            Plan::Exchange(Exchange { base, .. }) => {
                let base = base.unwrap();
                let token = base.refresh_token.as_ref().map_or("password", |token| token.expose());
                format!("{token} of {} after {}", base.lineage, base.revision)
            }
            other => format!("{other:?}"),
        }
    }
}

#[test]
fn a_state_and_what_may_be_sent_from_it() {
    let due = |case: Case| case.with(|case| case.now = 4000);
    for (what, case, expected) in [
        ("fresh", case(), "rest Some(3400)"),
        ("due", due(case()), "r1 of l after 3"),
        ("foreign output", due(case()).with(|c| c.output = OutputSeen::Foreign), "SecretConflict None true"),
        ("suspended", due(case()).with(|c| c.rules.suspend = true), "Suspended None false"),
        ("output gone", case().with(|c| c.output = OutputSeen::Absent), "Publish"),
        (
            "output gone, state not in memory",
            case().with(|c| (c.output, c.read) = (OutputSeen::Absent, false)),
            "ReadState",
        ),
        (
            "output gone, suspended",
            case().with(|c| (c.output, c.rules.suspend) = (OutputSeen::Absent, true)),
            "Publish",
        ),
        ("state newer than the status", case().with(|c| c.status.revision = Some(2)), "Publish"),
        ("newer, but expired", case().with(|c| (c.status.revision, c.now) = (Some(2), 5000)), "r1 of l after 3"),
        // Rule 7.
        ("a backup", due(case()).with(|c| c.status.revision = Some(4)), "AuthorizationRequired None true"),
        (
            "a backup, output gone",
            case().with(|c| (c.status.revision, c.output) = (Some(4), OutputSeen::Absent)),
            "AuthorizationRequired None true",
        ),
        (
            "a backup, and the credential made anew beside its output",
            case().with(|c| (c.status, c.record().revision) = (OAuthCredentialStatus::default(), 2)),
            "AuthorizationRequired None true",
        ),
        (
            "a backup of before the seed",
            due(case()).with(|c| {
                (c.status.revision, c.status.seed_hash, c.seed) = (Some(4), Some(hash("s")), "s");
            }),
            "AuthorizationRequired None true",
        ),
        ("a backup, new seed", due(case()).with(|c| (c.status.revision, c.seed) = (Some(4), "s")), "s of new after 4"),
        ("no state", due(case()).with(|c| c.state = None), "AuthorizationRequired None true"),
        ("no state, new seed", due(case()).with(|c| (c.state, c.seed) = (None, "s")), "s of new after 3"),
        ("new seed", case().with(|c| c.seed = "s"), "s of new after 3"),
        (
            "a spent seed comes back",
            case().with(|c| c.seed = "s").with(|c| c.record().spent.push(hash("s"))),
            "rest Some(3400)",
        ),
        ("another client", due(case()).with(|c| c.binding = binding("d")), "AuthorizationRequired None true"),
        (
            "another client, new seed",
            due(case()).with(|c| (c.binding, c.seed) = (binding("d"), "s")),
            "s of new after 3",
        ),
        ("seed of another credential", due(case()).with(|c| c.taken_by = Some("other")), "InvalidSpec None true"),
        ("no token left", due(case()).with(|c| c.record().refresh_token = None), "AuthorizationRequired None true"),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

/// Rule 9: a state that is being revoked is never used, and nothing in it is sent again.
#[test]
fn what_is_being_revoked_is_not_adopted() {
    let revoking = || {
        case().with(|c| {
            c.record().revoking = Some(at(1500));
            (c.now, c.status, c.output) = (4000, OAuthCredentialStatus::default(), OutputSeen::Absent);
        })
    };
    assert_eq!(revoking().says(), "AuthorizationRequired None true");
    // Its token may be good for long: that isn't waited for.
    assert_eq!(case().with(|c| c.record().revoking = Some(at(1500))).says(), "AuthorizationRequired None true");
    assert_eq!(revoking().with(|c| c.seed = "s").says(), "s of new after 3");
    let base = |case: Case| match case.plan() {
        Plan::Exchange(Exchange { base: Some(base), .. }) => base,
        other => panic!("{other:?}"),
    };
    let begun = base(revoking().with(|c| c.seed = "s"));
    assert!(
        begun.is_spent(&hash("r0")) && begun.former.is_none() && begun.aside.is_empty() && begun.revoking.is_none()
    );
    // What began it, and what is known to be spent, each by itself.
    let seed_of_it = revoking().with(|c| c.record().spent.clear());
    let spent = revoking().with(|c| c.seed = "s").with(|c| c.record().spent.push(hash("s")));
    for case in [seed_of_it, spent] {
        let Plan::Hold { problem, until: None } = case.plan() else { panic!("{:?}", case.plan()) };
        assert!(problem.message.contains("was being revoked") && problem.stalls, "{}", problem.message);
    }
    let user = revoking().with(|c| (c.rules.starts, c.record().seed_hash) = (Starts::Password, Some(hash("r0"))));
    assert_eq!(user.says(), "password of new after 3");
}

/// A password can be sent again at any time: whatever speaks against the refresh token begins anew with it.
#[test]
fn a_password_begins_anew() {
    let user = |case: Case| {
        case.with(|c| {
            c.rules.starts = Starts::Password;
            c.status.seed_hash = None;
        })
    };
    let due = || user(case()).with(|c| c.now = 4000);
    let touched = |case: Case| {
        case.with(|c| {
            let OutputSeen::Ours(published) = &mut c.output else { panic!() };
            published.asked_under.inputs = "before".into();
        })
    };
    for (what, case, expected) in [
        ("fresh", user(case()), "rest Some(3400)"),
        ("due", due(), "r1 of l after 3"),
        ("no state yet", due().with(|c| c.state = None), "password of new after 3"),
        ("the reply had no refresh token", due().with(|c| c.record().refresh_token = None), "password of l after 3"),
        ("an open intent", due().with(|c| c.open_intent("other", 3400)), "password of new after 3"),
        ("a backup", due().with(|c| c.status.revision = Some(4)), "password of new after 4"),
        ("another client", due().with(|c| c.binding = binding("d")), "password of new after 3"),
        ("another user", touched(user(case())).with(|c| c.seed = "s"), "password of new after 3"),
        ("another password", touched(user(case())), "rest Some(3400)"),
        ("inputs touched, state not in memory", touched(user(case())).with(|c| c.read = false), "ReadState"),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
    let record = case().state.unwrap();
    let rules = user(case()).rules;
    let refused = [hash("r1")];
    let next =
        after_refusal(&rules, &record, &record, &refused, |token| hash(token.expose()), at(1010), "anew").unwrap();
    assert_eq!((next.refresh_token, next.lineage.as_str(), next.revision), (None, "anew", 3));
    assert_eq!(next.seed_hash, record.seed_hash);
}

/// Without a lineage that a person's consent began, and that still holds, one is waited for.
#[test]
fn a_consent_is_waited_for() {
    let consented = |case: Case| {
        case.with(|c| {
            (c.rules.starts, c.now) = (Starts::Consent, 4000);
            c.status.seed_hash = None;
        })
    };
    for (what, case, expected) in [
        ("given", consented(case()), "r1 of l after 3"),
        ("not in memory", consented(case()).with(|c| c.read = false), "ReadState"),
        ("none yet", consented(case()).with(|c| c.state = None), "AuthorizationRequired None true"),
        (
            "none but a device code that waits",
            consented(case()).with(|c| *c.record() = StateRecord { revision: 3, ..StateRecord::default() }),
            "AuthorizationRequired None true",
        ),
        (
            "revoked",
            consented(case()).with(|c| c.record().revoking = Some(at(1500))),
            "AuthorizationRequired None true",
        ),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

/// A token that is exchanged: another one is exchanged at once, the same one when its time has come.
#[test]
fn an_exchanged_token_follows_its_subject() {
    let asks = |seed, inputs: &str, now| {
        let case = case().with(|c| {
            (c.rules.starts, c.rules.keeps, c.seed, c.now) = (Starts::Token, Keeps::Nothing, seed, now);
            let OutputSeen::Ours(published) = &mut c.output else { panic!() };
            published.asked_under.inputs = inputs.into();
        });
        match case.plan() {
            Plan::Exchange(_) => true,
            Plan::Rest { until: Some(_) } => false,
            other => panic!("{other:?}"),
        }
    };
    assert!(!asks("r0", "", 2000));
    assert!(!asks("r0", "touched", 2000), "the same token, written again");
    assert!(asks("another", "touched", 2000));
    assert!(asks("r0", "", 4000), "its time has come");
}

#[test]
fn an_open_intent_is_judged() {
    let ours = |now| case().with(|c| (c.open_intent("me", 3400), c.now = now).0);
    let theirs =
        |seen_for| case().with(|c| (c.open_intent("other", 3400), (c.now, c.intent_seen_for) = (4590, seen_for)).0);
    let grace = |case: Case| case.with(|c| c.rules.reuse_grace_period = Some(Duration::from_secs(100)));
    for (what, case, expected) in [
        ("while the token serves", ours(3500), "OutcomeUnknown Some(4480) false"),
        ("near its expiry", ours(4480), "r1 of l after 3"),
        ("after its expiry", ours(5000), "r1 of l after 3"),
        ("within the grace", grace(ours(3464)), "r1 of l after 3"),
        ("when a send could end after the grace", grace(ours(3465)), "OutcomeUnknown Some(4480) false"),
        ("of another process, just seen", theirs(0), "rest Some(4630)"),
        ("of another process, almost settled", theirs(39), "rest Some(4591)"),
        ("of another process, settled", theirs(40), "r1 of l after 3"),
        ("not in memory", ours(3500).with(|c| c.read = false), "ReadState"),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

/// What a newer consent brought was not refused: it is used, also where a crash left it unpublished until it expired.
#[test]
fn a_lost_grant_waits_for_a_newer_one() {
    let refused = |inputs: &str| {
        case().with(|c| {
            (c.now, c.status.revision) = (5000, Some(2));
            (c.status.failed_attempts, c.status.failed_inputs_hash) = (Some(1), Some(inputs.to_owned()));
        })
    };
    assert_eq!(refused("...3").says(), "rest None");
    assert_eq!(refused("...2").says(), "r1 of l after 3");
    assert_eq!(refused("...2").with(|c| c.read = false).says(), "ReadState");
}

/// Rule 7: what is known to be spent isn't sent again, however the state came to be as it is.
#[test]
fn what_others_were_answered_is_used() {
    let stray = |token: &str| {
        let issued = case().record().issued.clone().unwrap();
        Received::Issued(Box::new(Issued { refresh_token: Some(RefreshToken::new(token)), ..issued }))
    };
    let answered = |pod, seen_for| {
        case().with(|c| {
            c.open_intent(pod, 3400);
            c.state = Some(c.record().with_stray("a3", "l", Some(&hash("r1")), stray("c1")));
            (c.now, c.intent_seen_for) = (3500, seen_for);
        })
    };
    let used = || answered("me", 0).with(|c| c.record().candidates.clear());
    for (what, case, expected) in [
        ("by our own hand", answered("me", 0), "c1 of l after 4"),
        ("another process may still be sending", answered("other", 39), "rest Some(3501)"),
        ("it isn't", answered("other", 40), "c1 of l after 4"),
        ("the answer was used up", used(), "OutcomeUnknown Some(4480) false"),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

/// What is planned by a clock that is an hour ahead would be an hour late once it is right.
#[test]
fn a_clock_that_was_set_back() {
    let failed = |now| {
        case().with(|c| {
            c.now = now;
            (c.status.failed_attempts, c.status.failed_inputs_hash) = (Some(1), Some("...3".into()));
            (c.status.last_failure_time, c.status.next_refresh_time) = (Some(at(4000)), Some(at(4005)));
        })
    };
    let intended = |now| {
        case().with(|c| {
            c.open_intent("me", 3400);
            (c.now, c.rules.reuse_grace_period) = (now, Some(Duration::from_secs(100)));
        })
    };
    for (what, case, expected) in [
        ("before its token was obtained", case().with(|c| c.now = 939), "r1 of l after 3"),
        ("by less than replicas differ", case().with(|c| c.now = 940), "rest Some(3400)"),
        ("a failure", failed(4001), "rest Some(4005)"),
        ("before the failure", failed(3939), "r1 of l after 3"),
        (
            "before a failure that waits for a person",
            failed(3939).with(|c| c.status.next_refresh_time = None),
            "rest None",
        ),
        ("before the intent: nothing is known of the grace", intended(3394), "OutcomeUnknown Some(4480) false"),
        ("by less than the fence", intended(3395), "r1 of l after 3"),
    ] {
        assert_eq!(case.says(), expected, "{what}");
    }
}

#[test]
fn after_a_refusal_what_is_kept_is_tried_in_turn() {
    let stray = Issued { refresh_token: Some(RefreshToken::new("c1")), ..case().record().issued.clone().unwrap() };
    let record = case().record().with_stray("other", "l", None, Received::Issued(Box::new(stray)));
    let next = |rules: &Rules, refused: &[&str], now| {
        let refused: Vec<String> = refused.iter().map(|token| hash(token)).collect();
        let next = after_refusal(rules, &record, &record, &refused, |token| hash(token.expose()), at(now), "anew")?;
        assert_eq!(next.intent, None);
        let previous = next.previous_refresh_token.map(|token| token.expose().to_owned());
        Some((next.refresh_token.unwrap().expose().to_owned(), previous.unwrap()))
    };
    let found = |token: &str, previous: &str| Some((token.to_owned(), previous.to_owned()));
    let strict = case().rules;
    let lenient = Rules { reuse_grace_period: Some(Duration::from_secs(100)), ..strict.clone() };
    assert_eq!(next(&strict, &["r0"], 1010), found("r1", "r0"), "a newer one is there by now");
    assert_eq!(next(&strict, &["r1"], 1010), found("c1", "r1"), "another attempt's");
    assert_eq!(next(&strict, &["r1", "c1"], 1010), None);
    assert_eq!(next(&lenient, &["r1", "c1"], 1064), found("r0", "r1"), "the one before, and nothing is forgotten");
    assert_eq!(next(&lenient, &["r1", "c1"], 1065), None);
    assert_eq!(next(&lenient, &["r1", "c1", "r0"], 1010), None);
    let used = Rules { grace_ends_on_use: true, ..lenient.clone() };
    assert_eq!(next(&used, &["r1", "c1"], 1010), None, "what is published counts as used");
}

/// Where nothing is kept, each restored output costs a request: the first at once, the next after a pause.
#[test]
fn an_output_that_is_altered_again_and_again_is_restored_with_pauses() {
    let altered = |now, output| {
        case().with(|c| {
            (c.now, c.output) = (now, output);
            c.rules.keeps = Keeps::Nothing;
        })
    };
    let broken =
        || OutputSeen::Ours(Published { revision: 3, output: "o".into(), intact: false, ..Published::default() });
    for output in [OutputSeen::Absent, broken()] {
        assert!(matches!(altered(1010, output.clone()).plan(), Plan::Exchange(_)));
        assert_eq!(altered(1009, output).plan(), Plan::Rest { until: Some(at(1010)) });
    }
}

/// Somebody put a wrong value into the input Secret: its lineage took the state over, and the server refused it.
#[test]
fn a_mistaken_seed_gives_way_to_the_former_one() {
    let replaced = |seed: &str| {
        let mut mistaken = case().with(|c| c.seed = "wrong");
        let Plan::Exchange(Exchange { base: Some(base), .. }) = mistaken.plan() else {
            panic!("{:?}", mistaken.plan())
        };
        assert_eq!(base.refresh_token, Some(RefreshToken::new("wrong")));
        mistaken.state = Some(base.without_intent());
        mistaken.status.failed_attempts = Some(1);
        mistaken.with(|c| c.seed = ["wrong", "r0", "s"].into_iter().find(|known| *known == seed).unwrap())
    };
    assert_eq!(replaced("r0").says(), "r1 of l after 3", "the former goes on with what it had");
    assert_eq!(replaced("s").says(), "s of new after 3", "a third one is as good as any");
    // What is not the former's own server and client doesn't get its token.
    let elsewhere = replaced("r0").with(|c| c.binding = binding("d"));
    assert_eq!(elsewhere.says(), "AuthorizationRequired None true");

    // Two mistakes in a row.
    let mut twice = replaced("s");
    let Plan::Exchange(Exchange { base: Some(base), .. }) = twice.plan() else { panic!("{:?}", twice.plan()) };
    twice.state = Some(*base);
    twice.seed = "r0";
    assert_eq!(twice.says(), "r1 of l after 3");

    // Once the new one has brought a token, there is no way back.
    let mut accepted = replaced("wrong");
    let issued = case().record().issued.clone().unwrap();
    let reply = Received::Issued(Box::new(Issued { access_token: AccessToken::new("b"), ..issued }));
    let record = accepted.record().with_reply("a3", Some(&hash("wrong")), reply);
    accepted.status.revision = Some(record.revision);
    accepted.status.seed_hash = Some(hash("wrong"));
    assert_eq!(record.former, None);
    accepted.state = Some(record);
    accepted.seed = "r0";
    assert_ne!(accepted.says(), "r1 of l after 3");
}
