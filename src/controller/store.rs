//! What the watches have seen, kept small: specs and statuses as JSON text, Secrets as the few metadata that matter, and
//! only those whose names are in use. An index says which credentials a changed object concerns. Synchronous; no requests.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    key::{InputKey, Key, ProviderKey, WorkloadKey},
    seen::{CredentialSeen, ProviderSeen, SecretSeen, is_later},
};
use crate::{
    api::{OAuthCredentialSpec, OAuthCredentialStatus, ProviderKind, ProviderSpec},
    credential::{
        checked::{InputKind, InputRef},
        references, upstream,
    },
    operate::metrics::{CredentialSeries, ProviderLabels},
    secrets::state_name,
};
use uses::{Owns, Users, Uses};

#[cfg(test)]
mod tests;
mod uses;

/// Everything seen. One lock guards it; nothing under it waits.
#[derive(Default)]
pub struct Store {
    /// Where Secrets of ClusterOAuthProviders are.
    operator_namespace: String,
    credentials: HashMap<Key, Entry>,
    providers: HashMap<ProviderKey, Arc<ProviderSeen>>,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    secrets: HashMap<Key, SecretSeen>,
    /// resourceVersions.
    config_maps: HashMap<Key, Box<str>>,
    users: Users,
    /// Counts changes of specs and of namespaces' labels.
    edition: u64,
}

struct Entry {
    seen: Arc<CredentialSeen>,
    uses: Uses,
}

/// Whether a change is a reason to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Relevant,
    Irrelevant,
}

impl Store {
    pub fn new(operator_namespace: String) -> Self {
        Self { operator_namespace, ..Self::default() }
    }

    /// Another one each time that a spec, or a namespace's labels, may have changed.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    // Credentials.

    pub fn credential(&self, key: &Key) -> Option<Arc<CredentialSeen>> {
        self.credentials.get(key).map(|entry| entry.seen.clone())
    }

    /// Whether this very version of a credential is known.
    pub fn knows_credential(&self, key: &Key, resource_version: Option<&str>) -> bool {
        self.credentials.get(key).is_some_and(|entry| Some(&*entry.seen.resource_version) == resource_version)
    }

    pub fn keys(&self) -> Vec<Key> {
        self.credentials.keys().cloned().collect()
    }

    /// Takes in a credential. An object that is older than what is known (a watch that lags behind our own write) changes
    /// nothing.
    pub fn put_credential(&mut self, key: &Key, seen: CredentialSeen) -> Change {
        let before = self.credentials.get(key).map(|entry| entry.seen.clone());
        if before.as_ref().is_some_and(|before| before.is_newer_than(&seen)) {
            return Change::Irrelevant;
        }
        let same_spec = before.as_ref().is_some_and(|before| before.same_spec(&seen));
        let relevant = before.as_ref().is_none_or(|before| before.asks_other_than(&seen));
        match self.credentials.get_mut(key) {
            Some(entry) if same_spec => entry.seen = Arc::new(seen),
            _ => {
                self.edition += 1;
                let former = self.unindex(key);
                let entry = Entry { seen: Arc::new(seen), uses: Uses::default() };
                self.credentials.insert(key.clone(), entry);
                self.index(key);
                self.forget_unused(former);
                // Where its output is may be another place now.
                for dependent in self.dependents(key) {
                    self.reindex(&dependent);
                }
            }
        }
        if relevant { Change::Relevant } else { Change::Irrelevant }
    }

    /// Takes in what this process itself has made of a credential, unless it is gone or newer already.
    pub fn update_credential(&mut self, key: &Key, seen: CredentialSeen) {
        if self.credentials.get(key).is_some_and(|entry| entry.seen.uid == seen.uid) {
            self.put_credential(key, seen);
        }
    }

    /// Forgets a credential. The others on its seed may have waited for it to go, and those that exchange its token miss it.
    pub fn remove_credential(&mut self, key: &Key) -> BTreeSet<Key> {
        let mut rivals = self.rivals(key);
        rivals.extend(self.dependents(key));
        self.edition += 1;
        let former = self.unindex(key);
        self.credentials.remove(key);
        self.forget_unused(former);
        rivals
    }

    /// Forgets what is not in `kept`: after a new list.
    pub fn credentials_not_in(&self, kept: &BTreeSet<Key>) -> Vec<Key> {
        self.credentials.keys().filter(|key| !kept.contains(*key)).cloned().collect()
    }

    /// Who exchanges this credential's token.
    pub fn dependents(&self, key: &Key) -> BTreeSet<Key> {
        self.users.by_upstream.concerned(key)
    }

    /// Who has this workload restarted, with their statuses.
    pub fn restarters(&self, workload: &WorkloadKey) -> Vec<(Key, OAuthCredentialStatus)> {
        let keys = self.users.by_workload.of(workload);
        keys.filter_map(|key| Some((key.clone(), self.credentials.get(key)?.seen.status()))).collect()
    }

    /// The spec of the credential `name` in the namespace of `key`.
    pub fn spec_of(&self, key: &Key, name: &str) -> Option<OAuthCredentialSpec> {
        self.credentials.get(&Key::new(&key.namespace, name))?.seen.spec().ok()
    }

    fn reindex(&mut self, key: &Key) {
        let value = self.credentials.get(key).and_then(|entry| entry.uses.seed_value());
        let former = self.unindex(key);
        self.index(key);
        self.forget_unused(former);
        if let Some(value) = value {
            self.note_seed_value(key, value);
        }
    }

    fn index(&mut self, key: &Key) {
        let Some(entry) = self.credentials.get(key) else { return };
        let Ok(spec) = entry.seen.spec() else { return };
        let mut inputs = self.inputs(key, &spec);
        inputs.extend(upstream::inputs(&key.namespace, &spec, |name| self.spec_of(key, name)));
        let mut uses = Uses::of(key, &spec, inputs);
        self.users.add(key, &mut uses);
        if let Some(entry) = self.credentials.get_mut(key) {
            entry.uses = uses;
        }
    }

    fn inputs(&self, key: &Key, spec: &OAuthCredentialSpec) -> Vec<InputRef> {
        let provider = spec.provider_ref.as_ref().map(|reference| ProviderKey::of(&key.namespace, reference));
        let referred = provider
            .as_ref()
            .and_then(|provider| self.providers.get(provider))
            .and_then(|seen| seen.spec.as_ref().ok());
        let none = ProviderSpec::default();
        let spec_of_provider = referred.or(spec.provider.as_ref()).unwrap_or(&none);
        let shared = match provider.map(|provider| provider.kind) {
            Some(ProviderKind::ClusterOAuthProvider) => self.operator_namespace.as_str(),
            _ => &key.namespace,
        };
        references::inputs(&key.namespace, spec, spec_of_provider, shared)
    }

    /// Takes a credential out of the index; gives the Secrets that it used.
    fn unindex(&mut self, key: &Key) -> Vec<Key> {
        let Some(entry) = self.credentials.get_mut(key) else { return Vec::new() };
        let uses = std::mem::take(&mut entry.uses);
        if let Some(config_map) = self.users.remove(key, &uses) {
            self.config_maps.remove(&config_map);
        }
        uses.secrets(key)
    }

    /// Forgets those of these Secrets that nobody uses any more, and that aren't ours.
    fn forget_unused(&mut self, secrets: Vec<Key>) {
        for secret in secrets {
            if !self.is_used(&secret) && !self.secrets.get(&secret).is_some_and(SecretSeen::is_ours) {
                self.secrets.remove(&secret);
            }
        }
    }

    // Seeds.

    /// Remembers the value of a credential's seed, by a hash that only this process can make.
    pub fn note_seed_value(&mut self, key: &Key, value: [u8; 32]) {
        let Some(entry) = self.credentials.get_mut(key) else { return };
        self.users.note_seed_value(key, &mut entry.uses, value);
    }

    /// The older credential on the same seed, if there is one.
    pub fn seed_taken_by(&self, key: &Key) -> Option<Key> {
        let mine = self.credentials.get(key)?.seen.seniority();
        let older = |rival: &Key| self.credentials.get(rival).is_some_and(|entry| entry.seen.seniority() < mine);
        self.rivals(key).into_iter().find(older)
    }

    fn rivals(&self, key: &Key) -> BTreeSet<Key> {
        self.credentials.get(key).map_or_else(BTreeSet::new, |entry| self.users.rivals(key, &entry.uses))
    }

    // Providers and namespaces.

    pub fn provider(&self, key: &ProviderKey) -> Option<Arc<ProviderSeen>> {
        self.providers.get(key).cloned()
    }

    /// Takes in a provider, or its absence; says whom it concerns.
    pub fn put_provider(&mut self, key: &ProviderKey, seen: Option<ProviderSeen>) -> BTreeSet<Key> {
        let same = match (&seen, self.providers.get(key)) {
            (Some(seen), Some(before)) => seen.uid == before.uid && seen.generation == before.generation,
            (None, None) => true,
            _ => false,
        };
        if same {
            return BTreeSet::new();
        }
        self.edition += 1;
        match seen {
            Some(seen) => self.providers.insert(key.clone(), Arc::new(seen)),
            None => self.providers.remove(key),
        };
        let concerned = self.users.by_provider.concerned(key);
        for credential in &concerned {
            self.reindex(credential);
        }
        concerned
    }

    pub fn providers_not_in(&self, kind: ProviderKind, kept: &BTreeSet<Key>) -> Vec<ProviderKey> {
        self.providers.keys().filter(|known| known.kind == kind && !kept.contains(&known.key)).cloned().collect()
    }

    pub fn namespace_labels(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(namespace)
    }

    /// Takes in a namespace's labels; says whom they concern.
    pub fn put_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) -> Vec<Key> {
        let same = self.namespaces.get(name) == labels.as_ref();
        self.edition += u64::from(!same);
        match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
        if same {
            return Vec::new();
        }
        let cluster = self.users.by_provider.iter().filter(|(key, _)| key.kind == ProviderKind::ClusterOAuthProvider);
        cluster.map(|(_, key)| key).filter(|key| &*key.namespace == name).cloned().collect()
    }

    // Secrets.

    pub fn secret(&self, key: &Key) -> Option<&SecretSeen> {
        self.secrets.get(key)
    }

    /// The credential that has this Secret named after it.
    fn owner(&self, secret: &Key) -> Option<&Key> {
        let (name, suffix) = Owns::guess(&secret.name)?;
        let (owner, entry) = self.credentials.get_key_value(&secret.beside(name))?;
        entry.uses.owns.suffixes().any(|owned| owned == suffix).then_some(owner)
    }

    fn is_used(&self, secret: &Key) -> bool {
        self.users.by_secret.contains(secret) || self.owner(secret).is_some()
    }

    fn users_of(&self, secret: &Key) -> BTreeSet<Key> {
        let mut users = self.users.by_secret.concerned(secret);
        users.extend(self.owner(secret).cloned());
        users
    }

    /// A Secret's name, as far as it is in memory already from there.
    fn known_name(&self, secret: &Key) -> Key {
        if let Some(known) = self.users.by_secret.name(secret) {
            return known.clone();
        }
        self.owner(secret).map_or_else(|| secret.clone(), |owner| owner.beside(&secret.name))
    }

    /// Takes in a Secret's metadata, if its name is in use or it is ours; says whom the change concerns.
    pub fn put_secret(&mut self, key: &Key, seen: SecretSeen) -> BTreeSet<Key> {
        if !self.is_used(key) && !seen.is_ours() {
            self.secrets.remove(key);
            return BTreeSet::new();
        }
        if let Some(known) = self.secrets.get_mut(key) {
            if known.is_newer_than(&seen) {
                return BTreeSet::new();
            }
            if std::mem::replace(known, seen).resource_version == known.resource_version {
                return BTreeSet::new();
            }
        } else {
            self.secrets.insert(self.known_name(key), seen);
        }
        self.users_of(key)
    }

    /// A Secret is gone; with `uid`, only that one is (a new one of its name may be known already).
    pub fn remove_secret(&mut self, key: &Key, uid: Option<&str>) -> BTreeSet<Key> {
        let known = self.secrets.get(key).is_some_and(|seen| uid.is_none_or(|uid| &*seen.uid == uid));
        if !known {
            return BTreeSet::new();
        }
        self.secrets.remove(key);
        self.users_of(key)
    }

    // ConfigMaps.

    /// Whether any provider's authorities are in one.
    pub fn uses_config_maps(&self) -> bool {
        !self.users.by_config_map.is_empty()
    }

    /// Takes in a ConfigMap's resourceVersion, if its name is in use, or that it is gone; says whom the change concerns.
    pub fn put_config_map(&mut self, key: &Key, version: Option<&str>) -> BTreeSet<Key> {
        if !self.users.by_config_map.contains(key) {
            return BTreeSet::new();
        }
        let before = self.config_maps.get(key).map(|before| &**before);
        if before == version || before.zip(version).is_some_and(|(before, version)| is_later(before, version)) {
            return BTreeSet::new();
        }
        match version {
            Some(version) => self.config_maps.insert(key.clone(), version.into()),
            None => self.config_maps.remove(key),
        };
        self.users.by_config_map.concerned(key)
    }

    pub fn config_maps_not_in(&self, kept: &BTreeSet<Key>) -> Vec<Key> {
        self.config_maps.keys().filter(|key| !kept.contains(*key)).cloned().collect()
    }

    /// The resourceVersion of what holds an input, as it was last seen; empty: there is none.
    pub fn input_version(&self, input: &InputKey) -> &str {
        match input.kind {
            InputKind::Secret => self.secrets.get(&input.key).map_or("", |seen| &seen.resource_version),
            InputKind::ConfigMap => self.config_maps.get(&input.key).map_or("", |version| version),
        }
    }

    pub fn secrets_not_in(&self, kept: &BTreeSet<Key>) -> Vec<Key> {
        self.secrets.keys().filter(|key| !kept.contains(*key)).cloned().collect()
    }

    /// How many credentials are Ready, not Ready, Stalled, overdue for a refresh and so on, and how many states are nobody's.
    pub fn census(&self, now: Timestamp) -> Census {
        let mut census = Census::default();
        for entry in self.credentials.values() {
            let ready = entry.seen.is_ready();
            census.ready += usize::from(ready);
            census.not_ready += usize::from(!ready);
            census.stalled += usize::from(entry.seen.is_stalled());
            census.expiring += usize::from(entry.seen.is_expiring());
            census.overdue += usize::from(entry.seen.is_overdue(now));
            census.waiting += usize::from(entry.seen.is_waiting());
        }
        census.orphaned = self.secrets.iter().filter(|(key, seen)| self.is_orphaned(key, seen)).count();
        census
    }

    /// Whether this is the state of a credential that is gone.
    fn is_orphaned(&self, key: &Key, seen: &SecretSeen) -> bool {
        let Some(owner) = &seen.credential else { return false };
        *key.name == *state_name(owner) && !self.credentials.contains_key(&Key::new(&key.namespace, owner))
    }

    /// What metrics tell of each credential.
    pub fn series(&self) -> Vec<CredentialSeries> {
        self.credentials.iter().map(|(key, entry)| entry.seen.series(key)).collect()
    }

    /// The provider object that a credential refers to, while it is there, as metrics name it.
    pub fn provider_labels_of(&self, credential: &Key) -> Option<ProviderLabels> {
        let provider = self.credentials.get(credential)?.uses.provider.as_ref()?;
        self.providers.contains_key(provider).then(|| provider.into())
    }

    /// All provider objects, as metrics name them.
    pub fn provider_labels(&self) -> HashSet<ProviderLabels> {
        self.providers.keys().map(ProviderLabels::from).collect()
    }
}

/// Counts of credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub ready: usize,
    pub not_ready: usize,
    pub stalled: usize,
    pub expiring: usize,
    pub overdue: usize,
    pub waiting: usize,
    pub orphaned: usize,
}
