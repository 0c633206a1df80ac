use kube::api::ObjectMeta;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::{api::CREDENTIAL_LABEL, controller::index::Index};

fn key(name: impl ToString) -> Key {
    Key::new("ns", &name.to_string())
}

fn credential(name: &str, spec: Value, uid: &str, version: u32, created: i64) -> CredentialSeen {
    let object = json!({
        "apiVersion": "oauth-operator.dev/v1alpha1",
        "kind": "OAuthCredential",
        "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": version.to_string(),
            "generation": version, "creationTimestamp": Timestamp::from_second(created).unwrap().to_string()},
        "spec": spec,
    });
    CredentialSeen::of(serde_json::from_value(object).unwrap())
}

fn refreshing(seed: &str) -> Value {
    json!({"providerRef": {"name": "p1"}, "grant": {"refreshToken": {"secretRef": {"name": seed, "key": "k"}}}})
}

fn restarting(seed: &str) -> Value {
    let mut spec = refreshing(seed);
    spec["rolloutRestart"] = json!([{"kind": "Deployment", "name": "app"}]);
    spec
}

fn specs() -> Vec<Value> {
    let own = json!({"id": "c", "secretRef": {"name": "client", "key": "k"}});
    let cluster = json!({"kind": "ClusterOAuthProvider", "name": "p2"});
    vec![
        refreshing("s1"),
        restarting("s2"),
        json!({"providerRef": {"name": "p1"}, "client": own, "grant": {"clientCredentials": {}}}),
        json!({"providerRef": cluster, "grant": {"clientCredentials": {}}, "secret": {"name": "out"}}),
        json!({"grant": "unreadable"}),
    ]
}

fn provider(generation: i64, secret: &str) -> ProviderSeen {
    let spec = json!({
        "endpoints": {"token": "https://id.example/t"},
        "client": {"id": "p", "secretRef": {"name": secret, "key": "k"}},
    });
    ProviderSeen {
        uid: "u".into(),
        generation,
        spec: Ok(serde_json::from_value(spec).unwrap()),
        allowed_namespaces: None,
        allowed_addresses: Vec::new(),
        hash: String::new(),
    }
}

fn sets<I: Clone + Eq + std::hash::Hash>(index: &Index<I>) -> HashMap<I, BTreeSet<Key>> {
    let mut sets: HashMap<I, BTreeSet<Key>> = HashMap::new();
    for (at, key) in index.iter() {
        sets.entry(at.clone()).or_default().insert(key.clone());
    }
    sets
}

fn provider_key(cluster: bool) -> ProviderKey {
    match cluster {
        true => ProviderKey { kind: ProviderKind::ClusterOAuthProvider, key: Key::new("", "p2") },
        false => ProviderKey { kind: ProviderKind::OAuthProvider, key: key("p1") },
    }
}

fn secret(uid: &str, version: u32, ours: bool) -> SecretSeen {
    let labels = ours.then(|| BTreeMap::from([(CREDENTIAL_LABEL.to_owned(), "c".to_owned())]));
    SecretSeen::of(&ObjectMeta {
        uid: Some(uid.into()),
        resource_version: Some(version.to_string()),
        labels,
        ..ObjectMeta::default()
    })
}

/// The index as it must be, from the objects alone.
fn check(store: &Store) {
    let mut by_provider: HashMap<ProviderKey, BTreeSet<Key>> = HashMap::new();
    let mut users: HashMap<Key, BTreeSet<Key>> = HashMap::new();
    let mut by_seed: HashMap<String, BTreeSet<Key>> = HashMap::new();
    let mut by_value: HashMap<[u8; 32], BTreeSet<Key>> = HashMap::new();
    let mut restarting = BTreeSet::new();
    for (name, entry) in &store.credentials {
        by_value.extend(entry.uses.seed_value().map(|value| (value, BTreeSet::new())));
        let Ok(spec) = entry.seen.spec() else { continue };
        restarting.extend(spec.rollout_restart.first().map(|_| name.clone()));
        let reference = spec.provider_ref.as_ref().map(|reference| ProviderKey::of(&name.namespace, reference));
        let shared = if reference.as_ref().is_some_and(|key| key.key.namespace.is_empty()) { "operator" } else { "ns" };
        let client = reference.as_ref().and_then(|key| store.providers.get(key)).map(|seen| seen.spec.clone().unwrap());
        let own = spec.client.as_ref().and_then(|client| client.secret_ref.clone());
        let client = client.filter(|_| own.is_none()).and_then(|spec| spec.client?.secret_ref);
        let seed = spec.grant.refresh_token.as_ref().map(|grant| grant.secret_ref.clone());
        let mut used: BTreeSet<Key> = own.iter().chain(&seed).map(|secret| Key::new("ns", &secret.name)).collect();
        used.extend(client.map(|secret| Key::new(shared, &secret.name)));
        used.extend([key(spec.output_name(&name.name)), key(format!("{}-oauth-state", name.name))]);
        for secret in used {
            users.entry(secret).or_default().insert(name.clone());
        }
        if let Some(reference) = reference {
            by_provider.entry(reference).or_default().insert(name.clone());
        }
        if let Some(seed) = seed {
            by_seed.entry(seed.name.0).or_default().insert(name.clone());
        }
    }
    for (name, entry) in &store.credentials {
        if let Some(value) = entry.uses.seed_value() {
            by_value.entry(value).or_default().insert(name.clone());
        }
    }
    assert_eq!(sets(&store.users.by_provider), by_provider);
    let names = SECRETS.into_iter().map(key).chain((0..4).flat_map(|name| {
        [key(format!("{name}-token")), key(format!("{name}-oauth-state")), key(format!("{name}-oauth-consent"))]
    }));
    for name in names.chain(users.keys().cloned()) {
        assert_eq!(store.users_of(&name), users.get(&name).cloned().unwrap_or_default(), "{name}");
        assert_eq!(store.is_used(&name), users.contains_key(&name), "{name}");
    }
    let found: HashMap<String, BTreeSet<Key>> =
        sets(&store.users.by_seed).into_iter().map(|(seed, keys)| (seed.name, keys)).collect();
    assert_eq!(found, by_seed);
    assert_eq!(sets(&store.users.by_seed_value), by_value);
    assert!(
        sets(&store.users.by_workload).values().all(|keys| *keys == restarting)
            && store.users.by_workload.is_empty() == restarting.is_empty()
    );
    assert!(store.secrets.iter().all(|(name, seen)| seen.is_ours() || users.contains_key(name)));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize, u32, bool),
    Remove(u8),
    Provider(bool, Option<(i64, bool)>),
    Secret(usize, u32, bool),
    RemoveSecret(usize),
    NoteSeed(u8, u8),
}

const SECRETS: [&str; 8] = ["s1", "s2", "client", "shared1", "shared2", "out", "1-token", "3-oauth-state"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => (0_u8..4, 0_usize..5, 0_u32..20, any::<bool>()).prop_map(|(k, s, v, u)| Step::Put(k, s, v, u)),
        1 => (0_u8..4).prop_map(Step::Remove),
        2 => (any::<bool>(), proptest::option::of((0_i64..3, any::<bool>()))).prop_map(|(c, p)| Step::Provider(c, p)),
        2 => (0_usize..8, 0_u32..20, any::<bool>()).prop_map(|(s, v, ours)| Step::Secret(s, v, ours)),
        1 => (0_usize..8).prop_map(Step::RemoveSecret),
        1 => (0_u8..4, 0_u8..2).prop_map(|(k, value)| Step::NoteSeed(k, value)),
    ];
    vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_is_what_the_objects_say(steps in steps()) {
        let mut store = Store::new("operator".into());
        let (mut versions, mut known) = (HashMap::<u8, u32>::new(), HashMap::<&str, u32>::new());
        for step in steps {
            match step {
                Step::Put(name, spec, version, reborn) => {
                    let uid = if reborn { "u2" } else { "u1" };
                    store.put_credential(&key(name), credential(&name.to_string(), specs()[spec].clone(), uid, version, 0));
                    let newest = versions.entry(name).or_insert(version);
                    *newest = version.max(*newest);
                }
                Step::Remove(name) => {
                    store.remove_credential(&key(name));
                    versions.remove(&name);
                }
                Step::Provider(cluster, seen) => {
                    let seen = seen.map(|(generation, first)| provider(generation, if first { "shared1" } else { "shared2" }));
                    let users = store.users.by_provider.concerned(&provider_key(cluster));
                    let told = store.put_provider(&provider_key(cluster), seen);
                    prop_assert!(told.is_empty() || told == users);
                }
                Step::Secret(which, version, ours) => {
                    let name = key(SECRETS[which]);
                    let users = store.users_of(&name);
                    let newer = store.secret(&name).is_none_or(|seen| seen.resource_version.parse::<u32>().unwrap() < version);
                    let told = store.put_secret(&name, secret("u", version, ours));
                    prop_assert_eq!(told, if newer { users } else { BTreeSet::new() });
                    known.insert(SECRETS[which], version);
                }
                Step::RemoveSecret(which) => {
                    store.remove_secret(&key(SECRETS[which]), None);
                    prop_assert!(store.secret(&key(SECRETS[which])).is_none());
                }
                Step::NoteSeed(name, value) => store.note_seed_value(&key(name), [value; 32]),
            }
            check(&store);
            prop_assert_eq!(store.credentials.len(), versions.len());
            for (name, version) in &versions {
                prop_assert_eq!(&*store.credential(&key(name)).unwrap().resource_version, version.to_string());
            }
        }
        for name in 0..4_u8 {
            store.remove_credential(&key(name));
        }
        check(&store);
        prop_assert!(store.users.by_secret.is_empty() && store.users.by_provider.is_empty() && store.users.by_seed.is_empty());
    }
}

#[test]
fn a_watch_that_lags_changes_nothing() {
    let mut store = Store::new("operator".into());
    let put = |store: &mut Store, uid: &str, version: u32, seed: &str| {
        store.put_credential(&key("c"), credential("c", refreshing(seed), uid, version, 0))
    };
    assert_eq!(put(&mut store, "u1", 5, "s1"), Change::Relevant);
    assert_eq!(put(&mut store, "u1", 5, "s1"), Change::Irrelevant);
    assert_eq!(put(&mut store, "u1", 4, "s2"), Change::Irrelevant);
    // Deleted and made anew: what is told of the former one afterwards is old.
    assert_eq!(put(&mut store, "u2", 9, "s2"), Change::Relevant);
    assert_eq!(put(&mut store, "u1", 8, "s1"), Change::Irrelevant);
    assert_eq!(&*store.credential(&key("c")).unwrap().uid, "u2");

    let output = key("c-token");
    assert_eq!(store.put_secret(&output, secret("x2", 9, true)), BTreeSet::from([key("c")]));
    assert!(store.put_secret(&output, secret("x2", 9, true)).is_empty());
    assert!(store.put_secret(&output, secret("x2", 8, false)).is_empty());
    assert!(store.put_secret(&output, secret("x1", 7, true)).is_empty());
    assert!(store.remove_secret(&output, Some("x1")).is_empty());
    assert_eq!(store.secret(&output), Some(&secret("x2", 9, true)));
    assert_eq!(store.remove_secret(&output, Some("x2")), BTreeSet::from([key("c")]));
}

#[test]
fn secrets_of_no_interest_are_not_kept() {
    let mut store = Store::new("operator".into());
    assert!(store.put_secret(&key("any"), secret("u", 1, false)).is_empty());
    assert_eq!(store.secret(&key("any")), None);
    store.put_secret(&key("orphan"), secret("u", 1, true));
    assert!(store.secret(&key("orphan")).is_some(), "ours are kept, to be counted");
    // A change of the provider keeps what is still used.
    store.put_credential(&key("c"), credential("c", refreshing("s1"), "u", 1, 0));
    store.put_secret(&key("s1"), secret("u", 1, false));
    store.put_provider(&provider_key(false), Some(provider(1, "shared1")));
    assert!(store.secret(&key("s1")).is_some());
    store.put_credential(&key("c"), credential("c", refreshing("s2"), "u", 2, 0));
    assert_eq!(store.secret(&key("s1")), None);
}

#[test]
fn the_older_credential_has_the_seed() {
    let mut store = Store::new("operator".into());
    for (name, seed, uid, created) in [("young", "s1", "a", 9), ("old", "s1", "z", 1), ("apart", "s2", "b", 5)] {
        store.put_credential(&key(name), credential(name, refreshing(seed), uid, 1, created));
    }
    assert_eq!(store.seed_taken_by(&key("young")), Some(key("old")));
    assert_eq!(store.seed_taken_by(&key("old")), None);
    assert_eq!(store.seed_taken_by(&key("apart")), None);
    // The same token under another name.
    store.note_seed_value(&key("old"), [1; 32]);
    store.note_seed_value(&key("apart"), [1; 32]);
    assert_eq!(store.seed_taken_by(&key("apart")), Some(key("old")));
    store.note_seed_value(&key("apart"), [2; 32]);
    assert_eq!(store.seed_taken_by(&key("apart")), None);
    assert_eq!(store.remove_credential(&key("old")), BTreeSet::from([key("young")]));
    assert_eq!(store.seed_taken_by(&key("young")), None);
    // Of the same age, the uid decides.
    store.put_credential(&key("twin"), credential("twin", refreshing("s1"), "0", 1, 9));
    assert_eq!(store.seed_taken_by(&key("young")), Some(key("twin")));
}
