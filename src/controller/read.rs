//! The two reads that `decide` asks for, into memory: the state Secret, uncached, and the inputs, as the watch has seen them or later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use k8s_openapi::api::core::v1::Secret;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::{
    Controller,
    effects::{Answer, Fault},
    key::{InputKey, Key},
    memory::{HeldInput, HeldState},
    observe::{input_objects, state_key},
    seen::SecretSeen,
};
use crate::{
    api::Reason,
    credential::{
        checked::{Checked, InputKind},
        observed::Problem,
    },
    secrets::{input, state},
};

/// One read of an object at a time: a thousand credentials on one client Secret cost one read, not a thousand.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<InputKey, Weak<Turn<()>>>>);

impl Turns {
    pub(super) async fn wait(&self, object: &InputKey) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(object).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(object.clone(), Arc::downgrade(&turn));
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

    /// Reads the inputs that aren't in memory, or all of them where `afresh`.
    pub(super) async fn read_inputs(&self, checked: &Checked, afresh: bool) -> Answer<()> {
        for (object, keys) in input_objects(&checked.inputs) {
            let wanted: Vec<&str> = keys.iter().map(|input| input.key.as_str()).collect();
            let _turn = self.turns.wait(&object).await;
            let known = self.known_keys(&object);
            if !afresh && wanted.iter().all(|key| known.iter().any(|known| known == key)) {
                continue;
            }
            // Other credentials use other keys of the same object.
            let keys = wanted.into_iter().chain(known.iter().map(String::as_str));
            let held = match object.kind {
                InputKind::Secret => self.read_secret(&object.key, keys, afresh).await?,
                InputKind::ConfigMap => self.read_config_map(&object.key, keys).await?,
            };
            self.memory().hold_input(&object, held);
        }
        Ok(())
    }

    async fn read_secret<'a>(
        &self,
        secret: &Key,
        keys: impl Iterator<Item = &'a str>,
        afresh: bool,
    ) -> Answer<HeldInput> {
        let seen = if afresh { None } else { self.read_seen_secret(secret).await };
        let read = match seen {
            None => self.cluster.read_secret(secret).await?,
            found => found,
        };
        let resource_version = match &read {
            Some(found) => {
                // The watch, should it tell of this later, has nothing new to say: whom it concerns is woken here.
                let concerned = self.store().put_secret(secret, SecretSeen::of(&found.metadata));
                self.wake(&concerned);
                found.metadata.resource_version.clone().unwrap_or_default()
            }
            None => {
                let concerned = self.store().remove_secret(secret, None);
                self.wake(&concerned);
                String::new()
            }
        };
        let required = self.settings.required_label.as_ref();
        Ok(HeldInput { resource_version, values: input::values(&secret.name, read, keys, required) })
    }

    /// Reads a Secret as the watch has seen it, or later. None: it was not seen, or can't be had so.
    async fn read_seen_secret(&self, secret: &Key) -> Option<Secret> {
        let version = self.store().secret(secret)?.resource_version.clone();
        self.cluster.read_seen_secret(secret, &version).await.ok()
    }

    /// Has ConfigMaps watched from now on, so that this one is read again when it changes.
    async fn read_config_map<'a>(&self, config_map: &Key, keys: impl Iterator<Item = &'a str>) -> Answer<HeldInput> {
        self.config_maps.want();
        let read = match self.cluster.read_config_map(config_map).await {
            Err(Fault::Forbidden) => Err(Problem::passing(
                Reason::NotAllowed,
                "The operator may not read ConfigMaps: grant it get, list and watch on configmaps, or use tls.caSecretRef.",
            )),
            read => Ok(read?),
        };
        let found = read.as_ref().ok().and_then(Option::as_ref);
        let version = found.and_then(|found| found.metadata.resource_version.clone());
        let concerned = self.store().put_config_map(config_map, version.as_deref());
        self.wake(&concerned);
        let values = input::public_values(&config_map.name, read, keys);
        Ok(HeldInput { resource_version: version.unwrap_or_default(), values })
    }

    /// The keys of an object of which memory knows what they are now.
    fn known_keys(&self, object: &InputKey) -> Vec<String> {
        let (store, memory) = (self.store(), self.memory());
        let current = store.input_version(object);
        let held = memory.input(object).filter(|held| held.resource_version == current);
        held.map(|held| held.values.keys().cloned().collect()).unwrap_or_default()
    }
}
