//! The two reads that `decide` asks for: the state Secret, and the input Secrets. Uncached, into memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::{
    Controller,
    effects::Answer,
    key::Key,
    memory::{HeldInput, HeldState},
    observe::{input_secrets, state_key, version},
    seen::SecretSeen,
};
use crate::{
    credential::checked::Checked,
    secrets::{input, state},
};

/// One read of a Secret at a time: a thousand credentials on one client Secret cost one read, not a thousand.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<Key, Weak<Turn<()>>>>);

impl Turns {
    async fn wait(&self, secret: &Key) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(secret).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(secret.clone(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

impl Controller {
    /// Reads the state Secret into memory, uncached.
    pub(super) async fn read_state(&self, key: &Key) -> Answer<()> {
        let secret = self.cluster.read_state(key).await?;
        let held = match secret {
            None => {
                self.store().remove_secret(&state_key(key), None);
                HeldState { resource_version: String::new(), content: Ok(None) }
            }
            Some(secret) => {
                self.store().put_secret(&state_key(key), SecretSeen::of(&secret.metadata));
                let resource_version = secret.metadata.resource_version.clone().unwrap_or_default();
                HeldState { resource_version, content: state::read(secret).map(|record| Some(Arc::new(record))) }
            }
        };
        self.memory().hold_state(key, held);
        Ok(())
    }

    /// Reads the input Secrets that aren't in memory, or all of them where `afresh`.
    pub(super) async fn read_inputs(&self, checked: &Checked, afresh: bool) -> Answer<()> {
        for (secret, keys) in input_secrets(&checked.inputs) {
            let wanted: Vec<&str> = keys.iter().map(|input| input.key.as_str()).collect();
            let _turn = self.turns.wait(&secret).await;
            let known = self.known_keys(&secret);
            if !afresh && wanted.iter().all(|key| known.iter().any(|known| known == key)) {
                continue;
            }
            let read = self.cluster.read_secret(&secret).await?;
            let resource_version = match &read {
                Some(found) => {
                    self.store().put_secret(&secret, SecretSeen::of(&found.metadata));
                    found.metadata.resource_version.clone().unwrap_or_default()
                }
                None => {
                    self.store().remove_secret(&secret, None);
                    String::new()
                }
            };
            let required = self.settings.required_label.as_ref();
            // Other credentials use other keys of the same Secret.
            let keys = wanted.into_iter().chain(known.iter().map(String::as_str));
            let values = input::values(&secret.name, read, keys, required);
            self.memory().hold_input(&secret, HeldInput { resource_version, values });
        }
        Ok(())
    }

    /// The keys of a Secret of which memory knows what they are now.
    fn known_keys(&self, secret: &Key) -> Vec<String> {
        let (store, memory) = (self.store(), self.memory());
        let current = version(store.secret(secret));
        let held = memory.input(secret).filter(|held| held.resource_version == current);
        held.map(|held| held.values.keys().cloned().collect()).unwrap_or_default()
    }
}
