//! The first phase of a pass: what is known of a credential, from memory, as the plain data that `decide` takes. What isn't
//! in memory is read by `read`, when `decide` asks for it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    Controller,
    discovery::Look,
    key::{InputKey, Key, ProviderKey},
    memory::HeldState,
    seen::{CredentialSeen, SecretSeen},
};
use crate::{
    api::{OAuthCredentialSpec, OAuthCredentialStatus, OUTPUT_SUFFIX, ProviderKind, Reason, SecretStatus},
    clock::BootTime,
    credential::{
        checked::{Checked, Grant, InputRef, InputValues, TokenSource},
        fingerprint,
        observed::{Inputs, InputsSeen, Observed, OutputSeen, Problem, Source, StateSeen},
        record::{AskedUnder, Binding, StateRecord},
        request,
        rotation::Keeps,
        schedule::Jitter,
        upstream,
        validate::{GivenProvider, endpoints, validate},
    },
    oauth::values::RefreshToken,
    secrets::{output, state_name},
};

/// A credential, read and checked.
pub struct Prepared {
    pub seen: Arc<CredentialSeen>,
    pub status: OAuthCredentialStatus,
    pub output_name: String,
    pub spec_hash: String,
    pub checked: Result<Checked, Problem>,
    /// Of the store, when this was made.
    edition: u64,
}

/// What was seen of a checked credential. `Observed` borrows from it.
pub struct View {
    pub now: Timestamp,
    pub asked_under: AskedUnder,
    pub output: OutputSeen,
    /// The output Secret at the version that was seen: what is decided may be written over this one.
    pub output_secret: Option<SecretSeen>,
    pub state: StateView,
    pub inputs: InputsView,
    seed_taken_by: Option<String>,
    intent_seen_for: Duration,
    jitter: Jitter,
}

/// The state Secret.
pub enum StateView {
    NotKept,
    Absent,
    Unread { revision: i64, open_intent: bool },
    Read { record: Arc<StateRecord>, resource_version: String },
    Unusable(String),
}

/// The input Secrets.
pub enum InputsView {
    Unread,
    Read { values: InputValues, binding: Binding, source: SourceView },
    Problem(Problem),
    Undiscovered { problem: Problem, again: Timestamp },
}

/// What the first request sends from an input Secret.
pub enum SourceView {
    Client,
    Seed(RefreshToken, String),
    User(String),
    Tokens(String),
    Consent,
}

impl View {
    /// The input of `decide`.
    pub fn observed<'a>(&'a self, prepared: &'a Prepared, controller: &'a Controller) -> Observed<'a> {
        let checked = prepared.checked.as_ref().ok();
        Observed {
            now: self.now,
            generation: prepared.seen.generation,
            status: &prepared.status,
            refresh_requested: prepared.seen.refresh_requested.as_deref(),
            asked_under: &self.asked_under,
            settings_hash: &controller.settings.settings_hash,
            output_hash: checked.map_or("", |checked| &checked.output.hash),
            output_name: &prepared.output_name,
            output: self.output.clone(),
            state: match &self.state {
                StateView::NotKept => StateSeen::NotKept,
                StateView::Absent => StateSeen::Absent,
                StateView::Unread { revision, open_intent } => {
                    StateSeen::Unread { revision: *revision, open_intent: *open_intent }
                }
                StateView::Read { record, .. } => StateSeen::Read(record),
                StateView::Unusable(sentence) => StateSeen::Unusable(sentence.clone()),
            },
            inputs: match &self.inputs {
                InputsView::Unread => InputsSeen::Unread,
                InputsView::Problem(problem) => InputsSeen::Problem(problem.clone()),
                InputsView::Undiscovered { problem, again } => {
                    InputsSeen::Undiscovered { problem: problem.clone(), again: *again }
                }
                InputsView::Read { binding, source, .. } => InputsSeen::Read(Inputs {
                    binding,
                    source: match source {
                        SourceView::Client => Source::Client,
                        SourceView::Seed(token, hash) => Source::Seed(token, hash.clone()),
                        SourceView::User(hash) => Source::User(hash.clone()),
                        SourceView::Tokens(hash) => Source::Tokens(hash.clone()),
                        SourceView::Consent => Source::Consent,
                    },
                }),
            },
            seed_taken_by: self.seed_taken_by.as_deref(),
            holder: &controller.settings.holder,
            intent_seen_for: self.intent_seen_for,
            jitter: self.jitter,
        }
    }
}

impl Controller {
    /// Reads and checks a credential. None: it is gone.
    pub(super) fn prepare(&self, key: &Key) -> Option<Box<Prepared>> {
        let (seen, edition) = {
            let store = self.store();
            (store.credential(key)?, store.edition())
        };
        let status = seen.status();
        let unreadable = |_| {
            Problem::stalled(
                Reason::InvalidSpec,
                "The spec can't be read: apply the CRDs of this version of oauth-operator, and the manifest again.",
            )
        };
        let spec = match seen.spec().map_err(unreadable) {
            Ok(spec) => spec,
            Err(problem) => {
                let output_name = format!("{}{OUTPUT_SUFFIX}", key.name);
                let (spec_hash, checked) = (String::new(), Err(problem));
                return Some(Box::new(Prepared { seen, status, output_name, spec_hash, checked, edition }));
            }
        };
        let checked = self.check(key, &spec).and_then(|checked| {
            let store = self.store();
            upstream::resolve(&key.namespace, &key.name, checked, |name| store.spec_of(key, name))
        });
        Some(Box::new(Prepared {
            seen,
            status,
            output_name: spec.output_name(&key.name),
            spec_hash: fingerprint::token_spec(&spec),
            checked,
            edition,
        }))
    }

    /// Whether a credential would be read and checked with the same result again. Where endpoints are discovered that isn't known.
    pub(super) fn still_holds(&self, key: &Key, prepared: &Prepared) -> bool {
        let store = self.store();
        store.edition() == prepared.edition
            && store.credential(key).is_some_and(|seen| Arc::ptr_eq(&seen, &prepared.seen))
            && prepared.checked.as_ref().is_ok_and(|checked| checked.issuer.is_none())
    }

    fn check(&self, key: &Key, spec: &OAuthCredentialSpec) -> Result<Checked, Problem> {
        let limits = &self.settings.limits;
        let Some(reference) = &spec.provider_ref else {
            let provider = spec.provider.clone().unwrap_or_default();
            let id = format!("inline {key}");
            let given = GivenProvider {
                spec: &provider,
                namespace: &key.namespace,
                allowed_addresses: &[],
                id,
                hash: fingerprint::provider(&provider),
                metadata: None,
            };
            return validate(&key.namespace, &key.name, spec, &self.with_metadata(spec, given), limits);
        };
        let provider_key = ProviderKey::of(&key.namespace, reference);
        let (provider, labels) = {
            let store = self.store();
            (store.provider(&provider_key), store.namespace_labels(&key.namespace).cloned())
        };
        let (kind, name) = match reference.kind {
            ProviderKind::OAuthProvider => ("OAuthProvider", &*reference.name),
            ProviderKind::ClusterOAuthProvider => ("ClusterOAuthProvider", &*reference.name),
        };
        let Some(provider) = provider else {
            let message = format!("The {kind} {name} doesn't exist: create it, or correct spec.providerRef.");
            return Err(Problem::passing(Reason::ProviderNotFound, message));
        };
        if let Some(selector) = &provider.allowed_namespaces
            && !labels.is_some_and(|labels| selector.matches(&labels))
        {
            let message = format!(
                "The {kind} {name} doesn't allow this namespace: have its allowedNamespaces select it, or use another provider."
            );
            return Err(Problem::stalled(Reason::NotAllowed, message));
        }
        let spec_of_provider = provider.spec.as_ref().map_err(|_| {
            Problem::stalled(Reason::InvalidSpec, format!("The {kind} {name} can't be read: apply the CRDs of this version of oauth-operator, and the provider again."))
        })?;
        let namespace = match reference.kind {
            ProviderKind::OAuthProvider => &*key.namespace,
            ProviderKind::ClusterOAuthProvider => &self.settings.operator_namespace,
        };
        let given = GivenProvider {
            spec: spec_of_provider,
            namespace,
            allowed_addresses: &provider.allowed_addresses,
            id: format!("{kind} {}", provider_key.key),
            hash: provider.hash.clone(),
            metadata: None,
        };
        validate(&key.namespace, &key.name, spec, &self.with_metadata(spec, given), limits)
    }

    /// With what is known of its issuer. What is wrong with it, `validate` says.
    fn with_metadata<'a>(&self, spec: &OAuthCredentialSpec, provider: GivenProvider<'a>) -> GivenProvider<'a> {
        let issuer = endpoints::issuer(spec, &provider).ok().flatten();
        let metadata = issuer.and_then(|issuer| self.discoveries.metadata(&issuer));
        GivenProvider { metadata, ..provider }
    }

    /// What the output Secret says of itself, whether or not the spec can be checked.
    pub(super) fn output_seen(&self, key: &Key, prepared: &Prepared) -> OutputSeen {
        output_seen(key, prepared, self.output_secret(key, prepared).as_ref())
    }

    fn output_secret(&self, key: &Key, prepared: &Prepared) -> Option<SecretSeen> {
        self.store().secret(&Key::new(&key.namespace, &prepared.output_name)).cloned()
    }

    /// Everything that is known of a checked credential.
    pub(super) fn view(&self, key: &Key, prepared: &Prepared, checked: &Checked) -> View {
        let output_secret = self.output_secret(key, prepared);
        let output = output_seen(key, prepared, output_secret.as_ref());
        let inputs = self.inputs_view(key, checked);
        let mut store = self.store();
        if let InputsView::Read { source: SourceView::Seed(token, _), .. } = &inputs {
            store.note_seed_value(key, self.seed_value(token));
        }
        let seed_taken_by = match checked.grant {
            Grant::RefreshToken { .. } => store.seed_taken_by(key),
            _ => None,
        };
        // What exists in another namespace is not told.
        let seed_taken_by = seed_taken_by.map(|other| match other.namespace == key.namespace {
            true => other.name.to_string(),
            false => "of another namespace".to_owned(),
        });
        let mut versions: Vec<(String, String)> = input_objects(&checked.inputs)
            .into_keys()
            .map(|object| (object.to_string(), store.input_version(&object).to_owned()))
            .collect();
        // What a ServiceAccount allows decides as much as what a Secret holds.
        versions.extend(checked.service_account_tokens(false).map(|token| {
            (
                format!("serviceaccount {}/{}", token.namespace, token.name),
                self.accounts.allowed(token).unwrap_or_default(),
            )
        }));
        let state = state_view(key, checked, store.secret(&state_key(key)), self.memory().state(key));
        drop(store);

        let attempt = match &state {
            StateView::Read { record, .. } => record.intent.as_ref().map(|intent| intent.attempt.as_str()),
            _ => None,
        };
        let intent_seen_for = match state {
            StateView::Read { .. } => self.memory().intent_seen_for(key, attempt, BootTime::now()),
            _ => Duration::ZERO,
        };
        View {
            now: Timestamp::now(),
            asked_under: AskedUnder {
                spec: prepared.spec_hash.clone(),
                provider: checked.provider_hash.clone(),
                inputs: fingerprint::hash(&versions),
            },
            output,
            output_secret,
            inputs,
            seed_taken_by,
            intent_seen_for,
            jitter: jitter(&prepared.seen.uid, prepared.status.revision, prepared.status.failed_attempts),
            state,
        }
    }

    pub(super) fn inputs_view(&self, key: &Key, checked: &Checked) -> InputsView {
        if let Some(problem) = self.upstream_problem(key, checked) {
            return InputsView::Problem(problem);
        }
        let mut values = InputValues::new();
        let store = self.store();
        let memory = self.memory();
        for (object, keys) in input_objects(&checked.inputs) {
            let current = store.input_version(&object);
            let Some(held) = memory.input(&object).filter(|held| held.resource_version == current) else {
                return InputsView::Unread;
            };
            for input in keys {
                match held.values.get(&input.key) {
                    None => return InputsView::Unread,
                    // A client secret to fall back on goes when it has served.
                    Some(Err(_)) if checked.client.secrets.iter().skip(1).any(|fallback| fallback == input) => None,
                    Some(Err(problem)) => return InputsView::Problem(problem.clone()),
                    Some(Ok(value)) => values.insert(input.clone(), value.clone()),
                };
            }
        }
        drop((store, memory));
        match self.look_at_issuer(checked) {
            Some(Look::Wanted) => return InputsView::Unread,
            Some(Look::Failed { problem, again }) => return InputsView::Undiscovered { problem, again },
            Some(Look::Known) | None => {}
        }
        // By name and not by uid: what is spent stays spent when the manifest is deleted and applied again.
        let hashed = |input| values.get(input).map(|value| RefreshToken::new(value.expose()));
        let source = match &checked.grant {
            Grant::RefreshToken { seed, .. } => hashed(seed).map(|seed| {
                let hash = seed.hash(&key.to_string());
                SourceView::Seed(seed, hash)
            }),
            Grant::Password { username, .. } => {
                hashed(username).map(|username| SourceView::User(username.hash(&key.to_string())))
            }
            Grant::ClientCredentials | Grant::JwtBearer { .. } | Grant::Custom { .. } => Some(SourceView::Client),
            Grant::TokenExchange(exchange) => {
                // A ServiceAccount's token is another one each time: it stands for its account.
                let tokens: Option<Vec<_>> = exchange
                    .tokens()
                    .map(|token| match token.service_account() {
                        Some(account) => Some(account.name.as_str()),
                        None => values.get(token.input()?).map(|value| value.expose()),
                    })
                    .collect();
                tokens.map(|tokens| SourceView::Tokens(RefreshToken::new(tokens.join("\n")).hash(&key.to_string())))
            }
            Grant::AuthorizationCode { .. } | Grant::DeviceCode { .. } => Some(SourceView::Consent),
        };
        match request::binding(checked, &values).zip(source) {
            Some((binding, source)) => InputsView::Read { values, binding, source },
            None => {
                tracing::warn!(credential = %key, "an input value is missing although its Secret was read");
                InputsView::Unread
            }
        }
    }

    /// What keeps another credential's token from being exchanged.
    fn upstream_problem(&self, key: &Key, checked: &Checked) -> Option<Problem> {
        let Grant::TokenExchange(exchange) = &checked.grant else { return None };
        exchange.tokens().find_map(|token| {
            let TokenSource::Upstream { credential, .. } = token else { return None };
            let seen = self.store().credential(&Key::new(&key.namespace, credential));
            upstream::unusable(credential, seen.map(|seen| seen.status()).as_ref(), Timestamp::now())
        })
    }

    fn seed_value(&self, token: &RefreshToken) -> [u8; 32] {
        Sha256::new().chain_update(self.settings.seed_key).chain_update(token.expose()).finalize().into()
    }
}

fn output_seen(key: &Key, prepared: &Prepared, secret: Option<&SecretSeen>) -> OutputSeen {
    let Some(secret) = secret else { return OutputSeen::Absent };
    if !owns(key, &prepared.status, secret) {
        return OutputSeen::Foreign;
    }
    let additional = prepared.status.additional_tokens.iter().filter(|token| token.last_refresh_time.is_some());
    let additional = additional.map(|token| token.name.as_str());
    let keys = prepared.checked.as_ref().map(|checked| {
        output::keys(&checked.output, additional.filter(|name| checked.legs.iter().any(|leg| leg.name == *name)))
    });
    let keys = keys.unwrap_or_default();
    let keys = keys.iter().map(|key| &**key);
    let mut published = secret.notes.as_ref().map(|notes| notes.published(keys)).unwrap_or_default();
    // One that the status doesn't know, for a crash or another replica's write, is written again, and the status with it.
    let told = |known: &SecretStatus| known.name == prepared.output_name && *known.uid == *secret.uid;
    published.intact &= prepared.status.secret.as_ref().is_none_or(told);
    OutputSeen::Ours(published)
}

/// Whether an output Secret is this credential's: it bears its label, or is the one its status names.
pub fn owns(key: &Key, status: &OAuthCredentialStatus, secret: &SecretSeen) -> bool {
    secret.credential.as_deref() == Some(&*key.name)
        || status.secret.as_ref().is_some_and(|known| *known.uid == *secret.uid && !known.uid.is_empty())
}

/// The key of a credential's state Secret.
pub fn state_key(key: &Key) -> Key {
    key.beside(&state_name(&key.name))
}

fn state_view(key: &Key, checked: &Checked, seen: Option<&SecretSeen>, held: Option<&HeldState>) -> StateView {
    if checked.rules.keeps == Keeps::Nothing {
        return StateView::NotKept;
    }
    let Some(seen) = seen else { return StateView::Absent };
    let Some(held) = held.filter(|held| *held.resource_version == *seen.resource_version) else {
        let notes = seen.notes.as_ref().filter(|_| seen.credential.as_deref() == Some(&*key.name));
        // A Secret that isn't marked as ours is read, to say what it is.
        let (revision, open_intent) = notes.map_or((0, true), |notes| (notes.revision, notes.open_intent));
        return StateView::Unread { revision, open_intent };
    };
    match &held.content {
        Ok(Some(record)) => StateView::Read { record: record.clone(), resource_version: held.resource_version.clone() },
        Ok(None) => StateView::Absent,
        Err(error) => StateView::Unusable(error.to_string()),
    }
}

/// The resourceVersion of a Secret as it was last seen; empty: there is none.
pub fn version(seen: Option<&SecretSeen>) -> &str {
    seen.map_or("", |seen| &seen.resource_version)
}

/// The objects of these keys.
pub fn input_objects(inputs: &[InputRef]) -> BTreeMap<InputKey, Vec<&InputRef>> {
    let mut objects: BTreeMap<InputKey, Vec<&InputRef>> = BTreeMap::new();
    for input in inputs {
        objects.entry(InputKey::of(input)).or_default().push(input);
    }
    objects
}

/// The same for the same credential, revision and failure, so that a restart plans what was planned before.
pub fn jitter(uid: &str, revision: Option<i64>, failures: Option<i64>) -> Jitter {
    let digest = Sha256::new()
        .chain_update(uid)
        .chain_update(revision.unwrap_or(0).to_be_bytes())
        .chain_update(failures.unwrap_or(0).to_be_bytes())
        .finalize();
    let mut bits = [0; 8];
    bits.copy_from_slice(&digest[..8]);
    Jitter::from_bits(u64::from_be_bytes(bits))
}
