use proptest::{collection::vec, option, prelude::*};

use super::*;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9.:/-]{0,20}", any::<String>(), Just("\"\\\u{0}\n\u{2028}é".to_owned())]
}

fn times() -> impl Strategy<Value = Timestamp> {
    (0_i64..253_402_207_200, 0_i32..1_000_000_000).prop_map(|(second, nano)| Timestamp::new(second, nano).unwrap())
}

fn bindings() -> impl Strategy<Value = Binding> {
    (vec(texts(), 0..3), texts()).prop_map(|(servers, client_id)| Binding { servers, client_id })
}

prop_compose! {
    fn authorized()(subject in option::of(texts()), at in times()) -> Authorized {
        Authorized { subject, at }
    }
}

prop_compose! {
    fn devices()(code in texts(), shown in (texts(), texts()), expires_at in times(), interval in 1..300_u64,
        lineage in texts(), binding in bindings()) -> Device {
        let (user_code, verification_uri) = shown;
        let interval = Duration::from_secs(interval);
        let authorization =
            DeviceAuthorization { device_code: SecretText::new(code), user_code, verification_uri, expires_at, interval };
        Device { authorization, lineage, binding }
    }
}

prop_compose! {
    fn issueds()(
        access in texts(), refresh in option::of(texts()), id in option::of(texts()), token_type in option::of(texts()),
        scope in option::of(texts()), obtained_at in times(), expires_at in option::of(times()),
        refresh_token_expires_at in option::of(times()), response in texts(), hashes in [texts(), texts(), texts()],
    ) -> Issued {
        let [spec, provider, inputs] = hashes;
        Issued {
            leg: String::new(),
            access_token: AccessToken::new(access),
            refresh_token: refresh.map(RefreshToken::new),
            id_token: id.map(IdToken::new),
            token_type, scope, obtained_at, expires_at, refresh_token_expires_at,
            response: SecretText::new(response),
            asked_under: AskedUnder { spec, provider, inputs },
        }
    }
}

prop_compose! {
    fn intents()(
        names in [texts(), texts(), texts(), texts(), texts(), texts()], binding in bindings(), started_at in times(),
        send_by in times(),
    ) -> Intent {
        let [attempt, pod, boot, lineage, leg, token_hash] = names;
        Intent { attempt, holder: Holder { pod, boot }, lineage, leg, token_hash, binding, started_at, send_by }
    }
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let received = prop_oneof![
        issueds().prop_map(|issued| Received::Issued(Box::new(issued))),
        texts().prop_map(|token| Received::RefreshToken(RefreshToken::new(token))),
    ];
    let one = (texts(), texts(), received);
    vec(one.prop_map(|(attempt, lineage, received)| Candidate { attempt, lineage, received }), 0..3)
}

prop_compose! {
    fn records()(
        lineage in texts(), revision in any::<i64>(), attempt in option::of(texts()), now in option::of(texts()),
        previous in option::of(texts()), ends in [option::of(times()), option::of(times())], issued in option::of(issueds()), seed_hash in option::of(texts()),
        spent in vec(texts(), 0..4), binding in bindings(), intent in option::of(intents()), kept in (candidates(), candidates()),
        consent in (option::of(authorized()), option::of(devices())),
    ) -> StateRecord {
        StateRecord {
            lineage, revision, attempt,
            began_at: ends[0], fixed_end: ends[1],
            refresh_token: now.map(RefreshToken::new),
            previous_refresh_token: previous.map(RefreshToken::new),
            additional: issued.iter().map(|issued| ("graph".to_owned(), Issued { leg: "graph".to_owned(), ..issued.clone() })).collect(),
            issued, seed_hash, spent, binding, intent, candidates: kept.0, aside: kept.1, revoking: ends[0], former: None,
            authorized: consent.0, device: consent.1,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(record in records().boxed(), former in option::of(records().boxed())) {
        let record = StateRecord { former: former.map(Box::new), ..record };
        let secret = write(&record, "ns", "cred").unwrap();
        let annotations = secret.metadata.annotations.clone().unwrap();
        prop_assert_eq!(&annotations[REVISION], &record.revision.to_string());
        prop_assert_eq!(annotations.get(ATTEMPT), record.intent.as_ref().map(|intent| &intent.attempt));
        prop_assert_eq!(annotations.contains_key(REVOKING), record.revoking.is_some());
        prop_assert_eq!(read(secret), Ok(record));
    }

    #[test]
    fn no_content_panics(json in "[\\[\\]{}\",:a-z0-9]{0,60}") {
        let data = BTreeMap::from([(FORMAT_KEY.into(), ByteString("1".into())), (STATE_KEY.into(), ByteString(json.into()))]);
        let secret = Secret { type_: Some(STATE_TYPE.into()), data: Some(data), ..Secret::default() };
        prop_assert_eq!(read(secret), Err(StateError::Unreadable));
    }
}

#[test]
fn the_secret_bears_name_label_and_type() {
    let secret = write(&StateRecord::default(), "ns", "cred").unwrap();
    assert_eq!(secret.metadata.name.as_deref(), Some("cred-oauth-state"));
    assert_eq!(secret.metadata.namespace.as_deref(), Some("ns"));
    assert_eq!(secret.metadata.labels.unwrap()[CREDENTIAL_LABEL], "cred");
    assert_eq!(secret.type_.as_deref(), Some("oauth-operator.dev/state"));
    assert_eq!(secret.metadata.owner_references, None, "it outlives the credential");
}

#[test]
fn what_is_not_a_state_of_this_format_is_refused() {
    let written = || write(&StateRecord::default(), "ns", "cred").unwrap();
    let with_format = |format: Option<&[u8]>| {
        let mut secret = written();
        let data = secret.data.as_mut().unwrap();
        match format {
            Some(format) => data.insert(FORMAT_KEY.into(), ByteString(format.to_vec())),
            None => data.remove(FORMAT_KEY),
        };
        secret
    };
    let without_state = {
        let mut secret = written();
        secret.data.as_mut().unwrap().remove(STATE_KEY);
        secret
    };
    for (secret, error) in [
        (Secret { type_: Some("Opaque".into()), ..written() }, StateError::Foreign),
        (Secret { type_: None, ..written() }, StateError::Foreign),
        (with_format(Some(b"2")), StateError::UnknownFormat),
        (with_format(Some(b"999")), StateError::UnknownFormat),
        (with_format(Some(b"x")), StateError::Unreadable),
        (with_format(Some(b"\xff")), StateError::Unreadable),
        (with_format(None), StateError::Unreadable),
        (without_state, StateError::Unreadable),
        (Secret { data: None, ..written() }, StateError::Unreadable),
    ] {
        assert_eq!(read(secret), Err(error));
    }
}

/// A state that an earlier version wrote is read for ever.
#[test]
fn a_state_of_format_1() {
    let json = r#"{"lineage":"l","revision":3,"attempt":"a","refreshToken":"r2","previousRefreshToken":"r1","issued":{
        "accessToken":"t","refreshToken":"r2","idToken":null,"tokenType":"Bearer","scope":"s","obtainedAt":"2026-01-01T00:00:00.5Z",
        "expiresAt":"2026-01-01T01:00:00.5Z","refreshTokenExpiresAt":null,"response":"{}","specHash":"s","providerHash":"p",
        "inputsHash":"i"},"seedHash":"h","spent":["h"],"binding":{"servers":["https://id.example"],"clientId":"c"},"intent":{
        "attempt":"b","pod":"p","boot":"o","lineage":"l","leg":"","tokenHash":"g","binding":{"servers":[],"clientId":""},
        "startedAt":"2026-01-01T00:40:00Z","sendBy":"2026-01-01T00:40:05Z"},"candidates":[],"aside":[]}"#;
    let data =
        BTreeMap::from([(FORMAT_KEY.into(), ByteString("1".into())), (STATE_KEY.into(), ByteString(json.into()))]);
    let record = read(Secret { type_: Some(STATE_TYPE.into()), data: Some(data), ..Secret::default() }).unwrap();
    assert_eq!((record.revision, record.refresh_token), (3, Some(RefreshToken::new("r2"))));
    assert_eq!(record.intent.map(|intent| intent.send_by), Some("2026-01-01T00:40:05Z".parse().unwrap()));
}
