//! A token on its way into the output Secret, and what the status tells of it once it is there. Pure.

use jiff::Timestamp;

use super::{
    decide::Rules,
    legs,
    lifetimes::Life,
    record::{Authorized, Issued, StateRecord},
    report::{is_repeated, whole_seconds},
    schedule::{Jitter, RefreshPolicy},
};
use crate::{
    api::{AdditionalTokenStatus, OAuthCredentialStatus, SecretStatus},
    shown::is_disruptive,
};

#[cfg(test)]
mod tests;

/// Most scopes that the status tells, and the longest.
const MOST_SCOPES: usize = 128;
const LONGEST_SCOPE: usize = 512;

/// A token to publish.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    pub lineage: &'a str,
    pub revision: i64,
    pub issued: &'a Issued,
    /// The state that it comes from, where there is one.
    pub record: Option<&'a StateRecord>,
    /// Hash of what the first request sent.
    source: Option<&'a str>,
}

impl<'a> Publication<'a> {
    /// The newest token of a state.
    pub fn of(record: &'a StateRecord, issued: &'a Issued) -> Self {
        let source = record.seed_hash.as_deref();
        Self { lineage: &record.lineage, revision: record.revision, issued, record: Some(record), source }
    }

    /// A token beside which nothing is kept, in place of the one that `before` tells of. `token_hash` is its own; `source`, the hash
    /// of the tokens that it was exchanged for. The same token again is no newer revision.
    pub fn unkept(
        lineage: &'a str,
        issued: &'a Issued,
        token_hash: &str,
        source: Option<&'a str>,
        before: &OAuthCredentialStatus,
    ) -> Self {
        let known = before.revision.unwrap_or(0);
        let revision = if is_repeated(before, token_hash) { known } else { known + 1 };
        Self { lineage, revision, issued, record: None, source }
    }

    /// What there is to tell once it is in the output Secret, which is `secret` now.
    pub fn written(
        &self,
        rules: &Rules,
        token_hash: String,
        before: &[AdditionalTokenStatus],
        secret: SecretStatus,
    ) -> PublishedToken {
        let Self { revision, issued, record, source, .. } = *self;
        // Where the grant goes on without it, the end of a refresh token is nothing to see to.
        let life = record.filter(|_| rules.starts.ends_with_its_refresh_token());
        PublishedToken {
            token_hash,
            revision,
            obtained_at: issued.obtained_at,
            expires_at: issued.expires_at,
            life: life.map(|record| Life::of(record, issued, &rules.policy)).unwrap_or_default(),
            scopes: granted_scopes(issued),
            seed_hash: source.filter(|_| rules.starts.is_told()).map(str::to_owned),
            additional: record.map(|record| legs::statuses(rules, record, before)).unwrap_or_default(),
            authorized: record.and_then(|record| record.authorized.clone()).map(Box::new),
            secret,
        }
    }
}

/// The token that is in the output Secret.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub struct PublishedToken {
    pub revision: i64,
    pub obtained_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub life: Life,
    /// Hash of the access token.
    pub token_hash: String,
    pub scopes: Vec<String>,
    pub seed_hash: Option<String>,
    pub additional: Vec<AdditionalTokenStatus>,
    /// Under whose consent it was got.
    pub authorized: Option<Box<Authorized>>,
    pub secret: SecretStatus,
}

impl PublishedToken {
    /// When the schedule asks for the token after this one, or for an additional one. `before` is the status before it was published.
    pub fn next_refresh(
        &self,
        policy: &RefreshPolicy,
        before: &OAuthCredentialStatus,
        jitter: Jitter,
    ) -> Option<Timestamp> {
        let (expires, ends) = (self.expires_at.map(whole_seconds), self.life.ends.map(whole_seconds));
        let main = policy.after(is_repeated(before, &self.token_hash));
        let main = main.refresh_at(whole_seconds(self.obtained_at), expires, ends, jitter);
        let legs = self.additional.iter().filter_map(|leg| legs::due_at(policy, leg, jitter));
        main.into_iter().chain(legs).min()
    }
}

/// The scopes that were granted, for the status.
fn granted_scopes(issued: &Issued) -> Vec<String> {
    let scope = issued.scope.as_deref().unwrap_or_default();
    let scopes = scope.split([' ', ',']).filter(|scope| !scope.is_empty() && scope.len() <= LONGEST_SCOPE);
    let scopes = scopes.filter(|scope| !scope.contains(is_disruptive));
    scopes.take(MOST_SCOPES).map(str::to_owned).collect()
}
