//! What each credential uses, and from the name of an object to the credentials that use it. What is named after a credential
//! (its state, its Consent, and mostly its output) needs no index: a hundred thousand credentials have twice as many of those.

use std::collections::BTreeSet;

use crate::{
    api::{OAuthCredentialSpec, OUTPUT_SUFFIX},
    controller::{
        index::Index,
        key::{InputKey, Key, ProviderKey, WorkloadKey},
    },
    credential::{
        checked::{InputKind, InputRef},
        upstream,
    },
    secrets::{CONSENT_SUFFIX, STATE_SUFFIX},
};

/// What one credential uses.
#[derive(Debug, Default)]
pub struct Uses {
    pub provider: Option<ProviderKey>,
    /// Which of the Secrets that are named after it are its own.
    pub owns: Owns,
    /// Other Secrets: those of inputs, and an output with a name of its own.
    secrets: Box<[Key]>,
    rare: Option<Box<Rare>>,
}

/// Which of the Secrets that are named after a credential are its own: none of one that can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owns {
    state: bool,
    output: bool,
    consent: bool,
}

/// What few credentials use.
#[derive(Debug, Default)]
struct Rare {
    /// Of its provider's authorities.
    config_map: Option<Key>,
    upstreams: Vec<Key>,
    seed: Option<InputRef>,
    seed_value: Option<[u8; 32]>,
    workloads: Vec<WorkloadKey>,
}

impl Owns {
    /// How the credential would be called whose Secret this is, and what the Secret's name has behind that.
    pub fn guess(secret: &str) -> Option<(&str, &'static str)> {
        let all = Self { state: true, output: true, consent: true };
        all.suffixes().find_map(|suffix| Some((secret.strip_suffix(suffix)?, suffix)))
    }

    /// What the names of these Secrets have behind that of their credential.
    pub fn suffixes(self) -> impl Iterator<Item = &'static str> {
        let suffixes = [(self.state, STATE_SUFFIX), (self.output, OUTPUT_SUFFIX), (self.consent, CONSENT_SUFFIX)];
        suffixes.into_iter().filter_map(|(owned, suffix)| owned.then_some(suffix))
    }
}

impl Uses {
    /// What a spec says that the credential `key` uses; `inputs` are all its inputs.
    pub fn of(key: &Key, spec: &OAuthCredentialSpec, inputs: Vec<InputRef>) -> Self {
        let provider = spec.provider_ref.as_ref().map(|reference| ProviderKey::of(&key.namespace, reference));
        let (config_maps, inputs): (Vec<_>, Vec<_>) =
            inputs.into_iter().partition(|input| input.kind == InputKind::ConfigMap);
        let output = key.beside(&spec.output_name(&key.name));
        let owns = Owns {
            state: true,
            output: output.name.strip_suffix(OUTPUT_SUFFIX) == Some(&key.name),
            consent: spec.grant.authorization_code.is_some(),
        };
        let mut secrets: BTreeSet<Key> = inputs.iter().map(InputKey::of).map(|input| input.key).collect();
        if !owns.output {
            secrets.insert(output);
        }
        let rare = Rare {
            config_map: config_maps.first().map(|input| InputKey::of(input).key),
            upstreams: upstream::upstreams(spec).map(|upstream| key.beside(upstream)).collect(),
            seed: spec.grant.refresh_token.as_ref().map(|grant| InputRef::secret(&key.namespace, &grant.secret_ref)),
            seed_value: None,
            workloads: spec.rollout_restart.iter().map(|target| WorkloadKey::of(&key.namespace, target)).collect(),
        };
        let none =
            rare.config_map.is_none() && rare.upstreams.is_empty() && rare.seed.is_none() && rare.workloads.is_empty();
        let rare = (!none).then(|| Box::new(rare));
        Self { provider, owns, secrets: secrets.into_iter().collect(), rare }
    }

    /// All its Secrets.
    pub fn secrets(&self, key: &Key) -> Vec<Key> {
        let own = self.owns.suffixes().map(|suffix| key.beside(&format!("{}{suffix}", key.name)));
        self.secrets.iter().cloned().chain(own).collect()
    }

    /// By a hash that only this process can make.
    pub fn seed_value(&self) -> Option<[u8; 32]> {
        self.rare.as_ref()?.seed_value
    }
}

/// Who uses what.
#[derive(Debug, Default)]
pub struct Users {
    pub by_provider: Index<ProviderKey>,
    /// But for those that are named after their credential.
    pub by_secret: Index<Key>,
    pub by_config_map: Index<Key>,
    /// Who exchanges a credential's token.
    pub by_upstream: Index<Key>,
    /// Who has a workload restarted.
    pub by_workload: Index<WorkloadKey>,
    pub(super) by_seed: Index<InputRef>,
    pub(super) by_seed_value: Index<[u8; 32]>,
}

impl Users {
    /// Takes in what `key` uses. The names become the instances that are in use already.
    pub fn add(&mut self, key: &Key, uses: &mut Uses) {
        if let Some(provider) = &mut uses.provider {
            self.by_provider.insert(provider, key);
        }
        for secret in &mut uses.secrets {
            self.by_secret.insert(secret, key);
        }
        let Some(rare) = &mut uses.rare else { return };
        if let Some(config_map) = &mut rare.config_map {
            self.by_config_map.insert(config_map, key);
        }
        for upstream in &mut rare.upstreams {
            self.by_upstream.insert(upstream, key);
        }
        if let Some(seed) = &mut rare.seed {
            self.by_seed.insert(seed, key);
        }
        if let Some(value) = &mut rare.seed_value {
            self.by_seed_value.insert(value, key);
        }
        for workload in &mut rare.workloads {
            self.by_workload.insert(workload, key);
        }
    }

    /// Forgets what `key` uses. Gives its provider's ConfigMap, if nobody uses that any more.
    pub fn remove(&mut self, key: &Key, uses: &Uses) -> Option<Key> {
        if let Some(provider) = &uses.provider {
            self.by_provider.remove(provider, key);
        }
        for secret in &uses.secrets {
            self.by_secret.remove(secret, key);
        }
        let rare = uses.rare.as_ref()?;
        if let Some(config_map) = &rare.config_map {
            self.by_config_map.remove(config_map, key);
        }
        for upstream in &rare.upstreams {
            self.by_upstream.remove(upstream, key);
        }
        if let Some(seed) = &rare.seed {
            self.by_seed.remove(seed, key);
        }
        if let Some(value) = &rare.seed_value {
            self.by_seed_value.remove(value, key);
        }
        for workload in &rare.workloads {
            self.by_workload.remove(workload, key);
        }
        rare.config_map.clone().filter(|config_map| !self.by_config_map.contains(config_map))
    }

    /// Remembers the value of a credential's seed.
    pub fn note_seed_value(&mut self, key: &Key, uses: &mut Uses, mut value: [u8; 32]) {
        let before = uses.rare.get_or_insert_default().seed_value.replace(value);
        if let Some(before) = before.filter(|before| *before != value) {
            self.by_seed_value.remove(&before, key);
        }
        self.by_seed_value.insert(&mut value, key);
    }

    /// The others on the same seed, by its name or by its value.
    pub fn rivals(&self, key: &Key, uses: &Uses) -> BTreeSet<Key> {
        let Some(rare) = &uses.rare else { return BTreeSet::new() };
        let by_name = rare.seed.iter().flat_map(|seed| self.by_seed.of(seed));
        let by_value = rare.seed_value.iter().flat_map(|value| self.by_seed_value.of(value));
        by_name.chain(by_value).filter(|rival| *rival != key).cloned().collect()
    }
}
