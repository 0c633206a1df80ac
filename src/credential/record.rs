//! What the state Secret holds, as a type. How it is written is `secrets::state`'s business.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::lifetimes::is_fixed;
use crate::oauth::device::DeviceAuthorization;
use crate::oauth::values::{AccessToken, IdToken, RefreshToken, SecretText};

#[cfg(test)]
mod tests;

/// Hashes of spent tokens that are kept. The oldest go first.
const MOST_SPENT: usize = 256;
/// Received tokens that wait for adoption. More than one leader at a time is rare; more than this is a broken cluster.
const MOST_CANDIDATES: usize = 8;

/// Who makes an attempt: this pod, in this run of the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The pod's uid, or the host's name outside a cluster.
    pub pod: String,
    /// Drawn anew when the process starts.
    pub boot: String,
}

/// Who a token may be sent to. On a mismatch nothing is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The issuer, or the origins of all endpoints that receive a secret, sorted.
    pub servers: Vec<String>,
    pub client_id: String,
}

/// Written before anything consumable is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// Names this attempt, and no other, ever.
    pub attempt: String,
    pub holder: Holder,
    pub lineage: String,
    /// Which token it is for; empty: the main one.
    pub leg: String,
    /// Hash of the refresh token that is about to be sent.
    pub token_hash: String,
    pub binding: Binding,
    pub started_at: Timestamp,
    /// No byte leaves after this.
    pub send_by: Timestamp,
}

/// A person's consent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorized {
    /// Claim `sub` of a verified ID token, where there was one.
    pub subject: Option<String>,
    pub at: Timestamp,
}

/// A device code under which a person is asked to approve (RFC 8628). The intent beside it says who polls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub struct Device {
    pub authorization: DeviceAuthorization,
    /// The lineage that begins with it.
    pub lineage: String,
    pub binding: Binding,
}

/// What one successful exchange brought.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub struct Issued {
    /// Which token it is; empty: the main one.
    pub leg: String,
    pub access_token: AccessToken,
    /// None: the old one stays (rule 10).
    pub refresh_token: Option<RefreshToken>,
    pub id_token: Option<IdToken>,
    pub token_type: Option<String>,
    pub scope: Option<String>,
    /// When it was asked for.
    pub obtained_at: Timestamp,
    /// None: never.
    pub expires_at: Option<Timestamp>,
    pub refresh_token_expires_at: Option<Timestamp>,
    /// The reply's fields without the refresh token, as JSON text.
    pub response: SecretText,
    /// What it was asked for under.
    pub asked_under: AskedUnder,
}

#[cfg(test)]
impl Issued {
    /// Valid for an hour, and nothing more is known of it.
    pub fn for_an_hour(access_token: &str, obtained_at: Timestamp) -> Self {
        Self {
            leg: String::new(),
            access_token: AccessToken::new(access_token),
            refresh_token: None,
            id_token: None,
            token_type: None,
            scope: None,
            obtained_at,
            expires_at: Some(obtained_at + jiff::SignedDuration::from_hours(1)),
            refresh_token_expires_at: None,
            response: SecretText::new("{}"),
            asked_under: AskedUnder::default(),
        }
    }
}

/// Hashes of what a token was asked for under. A difference is a reason to ask again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AskedUnder {
    /// Of the credential's token-relevant spec.
    pub spec: String,
    /// Of the provider's token-relevant spec.
    pub provider: String,
    /// Of the resourceVersions of the Secrets that were read.
    pub inputs: String,
}

/// What a reply brought.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub enum Received {
    Issued(Box<Issued>),
    /// The next refresh token, out of a reply that is of no other use.
    RefreshToken(RefreshToken),
}

impl Received {
    /// The refresh token to use next, if the reply brought one.
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        match self {
            Received::Issued(issued) => issued.refresh_token.as_ref(),
            Received::RefreshToken(token) => Some(token),
        }
    }
}

/// What was received when the state had moved on.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub struct Candidate {
    pub attempt: String,
    pub lineage: String,
    pub received: Received,
}

/// The state of one credential.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(test, derive(Hash))]
pub struct StateRecord {
    /// New for each consent or seed.
    pub lineage: String,
    /// When the lineage began: its seed was first seen. None in a state from before this was kept.
    pub began_at: Option<Timestamp>,
    /// When the refresh token dies, where the last refresh showed that refreshing doesn't put it off.
    pub fixed_end: Option<Timestamp>,
    /// Counts the tokens obtained, over all lineages. A reply that only repeats the newest doesn't count.
    pub revision: i64,
    /// The attempt that brought the newest token.
    pub attempt: Option<String>,
    pub refresh_token: Option<RefreshToken>,
    pub previous_refresh_token: Option<RefreshToken>,
    /// None until the first exchange.
    pub issued: Option<Issued>,
    /// The additional tokens, by name.
    pub additional: BTreeMap<String, Issued>,
    /// Hash of the seed that this lineage began with, or of the user's name.
    pub seed_hash: Option<String>,
    /// Hashes of spent tokens and seeds, oldest first.
    pub spent: Vec<String>,
    pub binding: Binding,
    /// The person whose consent this lineage began with.
    pub authorized: Option<Authorized>,
    /// A device code that waits for a person.
    pub device: Option<Device>,
    pub intent: Option<Intent>,
    /// Received for this lineage by another attempt: adopted when the newest token is refused.
    pub candidates: Vec<Candidate>,
    /// Since when its tokens are being revoked: nothing in it is used any more.
    pub revoking: Option<Timestamp>,
    /// Received for a lineage that a newer consent replaced: kept to be revoked, never published.
    pub aside: Vec<Candidate>,
    /// The lineage that this one's seed replaced, until this one has brought a token: the seed may be a mistake.
    pub former: Option<Box<StateRecord>>,
}

impl StateRecord {
    /// A record for a new lineage, before its first exchange; without a seed, a request gets the first token. `former` is
    /// what was there before, if anything. Revisions go on from there, and from `published`, the newest that was ever
    /// published: an older number would never be.
    pub fn begin(
        lineage: String,
        binding: Binding,
        seed: Option<&RefreshToken>,
        hash: String,
        former: Option<&Self>,
        published: i64,
        now: Timestamp,
    ) -> Self {
        Self {
            lineage,
            began_at: Some(now),
            fixed_end: None,
            revision: former.map_or(0, |former| former.revision).max(published),
            attempt: None,
            refresh_token: seed.cloned(),
            previous_refresh_token: None,
            issued: None,
            additional: BTreeMap::new(),
            seed_hash: Some(hash),
            spent: former.map(|former| former.spent.clone()).unwrap_or_default(),
            binding,
            authorized: None,
            device: None,
            intent: None,
            candidates: Vec::new(),
            revoking: None,
            aside: former.map(|former| former.aside.clone()).unwrap_or_default(),
            former: former.filter(|_| seed.is_some()).and_then(Self::that_works).map(Box::new),
        }
    }

    /// This lineage if it brought a token, else the one that it replaced.
    fn that_works(&self) -> Option<Self> {
        match &self.former {
            Some(former) => Some((**former).clone()),
            None => self.issued.is_some().then(|| self.clone()),
        }
    }

    /// The lineage that began with this seed, where it was replaced by another that brought no token.
    pub fn restored(&self, seed_hash: &str) -> Option<Self> {
        let former = self.former.as_deref().filter(|former| former.seed_hash.as_deref() == Some(seed_hash))?;
        Some(Self {
            revision: former.revision.max(self.revision),
            spent: self.spent.clone(),
            aside: self.aside.clone(),
            ..former.clone()
        })
    }

    /// The record after a reply: the next token in place, the sent one spent, the intent closed.
    pub fn with_reply(&self, attempt: &str, sent_hash: Option<&str>, received: Received) -> Self {
        let mut next = self.clone();
        if let Some(token) = received.refresh_token()
            && Some(token) != self.refresh_token.as_ref()
        {
            next.previous_refresh_token = self.refresh_token.clone();
            next.refresh_token = Some(token.clone());
            next.spend(sent_hash);
        } else if self.refresh_token.is_none() {
            // What began this lineage is spent, whether or not a refresh token came of it.
            next.spend(sent_hash);
        }
        match received {
            Received::Issued(issued) if issued.leg.is_empty() => next.receive(self, *issued),
            Received::Issued(issued) => {
                // The refresh token is the same for all: its newest end counts, whichever reply names it.
                if let (Some(main), Some(ends)) = (&mut next.issued, issued.refresh_token_expires_at) {
                    main.refresh_token_expires_at = Some(ends);
                }
                next.revision = self.revision + 1;
                next.additional.insert(issued.leg.clone(), *issued);
            }
            Received::RefreshToken(_) => {}
        }
        next.attempt = Some(attempt.to_owned());
        next.intent = None;
        next.former = None;
        next
    }

    /// Puts the main token in place; `before` is the record as it was.
    fn receive(&mut self, before: &Self, mut issued: Issued) {
        let former = before.issued.as_ref();
        if issued.refresh_token.is_none() && issued.refresh_token_expires_at.is_none() {
            issued.refresh_token_expires_at = former.and_then(|former| former.refresh_token_expires_at);
        }
        let fixed = former.is_some_and(|former| is_fixed(former, &issued));
        self.fixed_end = issued.refresh_token_expires_at.filter(|_| fixed);
        // The very token that was there already is no new one. One that comes with another refresh token is: an older state
        // must be told from this one (rule 7).
        let repeated = former.is_some_and(|former| former.access_token == issued.access_token)
            && self.refresh_token == before.refresh_token;
        self.revision = if repeated { before.revision } else { before.revision + 1 };
        self.issued = Some(issued);
    }

    /// This record of a new lineage, begun over what is there by now.
    pub fn over(&self, former: &Self) -> Self {
        let new = self.spent.iter().filter(|hash| !former.is_spent(hash));
        Self {
            revision: self.revision.max(former.revision),
            spent: former.spent.iter().chain(new).cloned().collect(),
            aside: former.aside.clone(),
            ..self.clone()
        }
    }

    /// The record with a reply that came for another attempt of the same lineage, or for a lineage that is over. The token that
    /// was sent for it is spent either way.
    pub fn with_stray(&self, attempt: &str, lineage: &str, sent_hash: Option<&str>, received: Received) -> Self {
        let mut next = self.clone();
        if received.refresh_token().is_some() {
            next.spend(sent_hash);
        }
        let list = if lineage == self.lineage { &mut next.candidates } else { &mut next.aside };
        list.push(Candidate { attempt: attempt.to_owned(), lineage: lineage.to_owned(), received });
        let surplus = list.len().saturating_sub(MOST_CANDIDATES);
        list.drain(..surplus);
        next
    }

    /// The record with its newest candidate adopted, if there is one that brings a refresh token.
    pub fn adopt_candidate(&self) -> Option<Self> {
        let mut next = self.clone();
        let at = next.candidates.iter().rposition(|candidate| candidate.received.refresh_token().is_some())?;
        let candidate = next.candidates.remove(at);
        Some(next.with_reply(&candidate.attempt, None, candidate.received))
    }

    /// The record with none of its tokens: what is left to know of it.
    pub fn emptied(&self) -> Self {
        Self {
            refresh_token: None,
            previous_refresh_token: None,
            issued: None,
            additional: BTreeMap::new(),
            candidates: Vec::new(),
            aside: Vec::new(),
            former: None,
            intent: None,
            ..self.clone()
        }
    }

    /// The record without its intent.
    pub fn without_intent(&self) -> Self {
        Self { intent: None, ..self.clone() }
    }

    /// The open intent to send this lineage's own refresh token.
    pub fn refresh_intent(&self) -> Option<&Intent> {
        self.intent.as_ref().filter(|intent| intent.lineage == self.lineage)
    }

    /// Whether the token with this hash must never be sent again.
    pub fn is_spent(&self, hash: &str) -> bool {
        self.spent.iter().any(|spent| spent == hash)
    }

    fn spend(&mut self, hash: Option<&str>) {
        if let Some(hash) = hash.filter(|hash| !hash.is_empty())
            && !self.is_spent(hash)
        {
            self.spent.push(hash.to_owned());
            let surplus = self.spent.len().saturating_sub(MOST_SPENT);
            self.spent.drain(..surplus);
        }
    }
}
