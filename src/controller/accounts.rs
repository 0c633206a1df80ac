//! Tokens of ServiceAccounts: which audiences each allows, by a watch that begins when the first is wanted, and the request for one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Controller, effects::Fault, key::Key, on_demand::OnDemand};
use crate::{
    api::Reason,
    credential::{
        assertion::{ServiceAccountTokens, refuse_audiences},
        checked::{Checked, ServiceAccountToken},
        failed::Why,
        observed::Problem,
    },
};

/// What ServiceAccounts allow.
#[derive(Default)]
pub struct Accounts {
    pub watch: OnDemand,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The annotation, of those that have it.
    allowed: HashMap<Key, String>,
    /// Who was refused: a change may mend it.
    refused: HashMap<Key, BTreeSet<Key>>,
}

impl Accounts {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a ServiceAccount's annotation, or that it has none; gives the credentials that it concerns.
    pub fn put(&self, account: &Key, allowed: Option<String>) -> BTreeSet<Key> {
        let mut known = self.known();
        let before = match allowed.clone() {
            Some(allowed) => known.allowed.insert(account.clone(), allowed),
            None => known.allowed.remove(account),
        };
        if before == allowed { BTreeSet::new() } else { known.refused.remove(account).unwrap_or_default() }
    }

    pub fn not_in(&self, kept: &BTreeSet<Key>) -> Vec<Key> {
        self.known().allowed.keys().filter(|account| !kept.contains(*account)).cloned().collect()
    }

    /// What an account allows, as far as it is known.
    pub fn allowed(&self, token: &ServiceAccountToken) -> Option<String> {
        self.known().allowed.get(&Key::new(&token.namespace, &token.name)).cloned()
    }
}

impl Controller {
    /// New tokens of the ServiceAccounts that the next request needs.
    pub(super) async fn mint(
        &self,
        key: &Key,
        checked: &Checked,
        refreshes: bool,
    ) -> Result<ServiceAccountTokens, Why> {
        let mut tokens = ServiceAccountTokens::new();
        for wanted in checked.service_account_tokens(refreshes) {
            if !self.accounts.watch.listed().await {
                return Err(Why::Problem(Problem::passing(
                    Reason::NotAllowed,
                    "The ServiceAccounts can't be listed: grant the operator list and watch on serviceaccounts.",
                )));
            }
            if let Err(problem) = refuse_audiences(wanted, self.accounts.allowed(wanted).as_deref()) {
                let account = Key::new(&wanted.namespace, &wanted.name);
                self.accounts.known().refused.entry(account).or_default().insert(key.clone());
                return Err(Why::Problem(problem));
            }
            let token =
                self.cluster.create_token(wanted).await.map_err(|fault| Why::Problem(refused(wanted, fault)))?;
            tokens.insert(wanted.clone(), token);
        }
        Ok(tokens)
    }
}

fn refused(wanted: &ServiceAccountToken, fault: Fault) -> Problem {
    let name = &wanted.name;
    match fault {
        Fault::NotFound => Problem::passing(
            Reason::SourceSecretNotFound,
            format!("The ServiceAccount {name} doesn't exist: create it, or correct serviceAccountRef."),
        ),
        Fault::Forbidden => Problem::passing(
            Reason::NotAllowed,
            format!(
                "The operator may not request tokens of the ServiceAccount {name}: grant it create on serviceaccounts/token in this namespace."
            ),
        ),
        Fault::Invalid => Problem::stalled(
            Reason::InvalidSpec,
            format!(
                "The API server refuses a token of the ServiceAccount {name} for these audiences: correct serviceAccountRef.audiences."
            ),
        ),
        Fault::Conflict | Fault::Unanswered => Problem::passing(
            Reason::ProviderUnavailable,
            format!(
                "The API server did not answer the request for a token of the ServiceAccount {name}: it is tried again with growing delays."
            ),
        ),
    }
}
