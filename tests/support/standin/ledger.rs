//! Every code and token ever issued, and whether it still works. Entries stay for good, so that a replay is told from a
//! token that never was.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Code,
    RefreshToken,
    AccessToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    Unknown,
    /// Issued to another client or partner.
    Foreign,
    Expired,
    Spent,
}

struct Entry {
    kind: Kind,
    owner: String,
    expires: Option<Instant>,
    spent: Option<Instant>,
}

#[derive(Default)]
pub struct Ledger {
    entries: HashMap<String, Entry>,
    random: RandomState,
    replays: usize,
}

impl Ledger {
    /// A new value, bound to its owner. No lifetime: it doesn't expire.
    pub fn issue(&mut self, kind: Kind, owner: &str, lifetime: Option<Duration>) -> String {
        let name = match kind {
            Kind::Code => "code",
            Kind::RefreshToken => "refresh",
            Kind::AccessToken => "access",
        };
        let serial = self.entries.len();
        let value = format!("{name}-{serial}-{:016x}", self.random.hash_one(serial));
        let expires = lifetime.map(|lifetime| Instant::now() + lifetime);
        self.entries.insert(value.clone(), Entry { kind, owner: owner.to_owned(), expires, spent: None });
        value
    }

    /// Whether the owner may use the value now; leaves it as it is.
    pub fn check(&mut self, kind: Kind, owner: &str, value: &str) -> Result<(), Invalid> {
        self.usable(kind, owner, value).map(|_| ())
    }

    /// The one use of a single-use value; with a grace, it may be used again for so long after the first use.
    pub fn spend(&mut self, kind: Kind, owner: &str, value: &str, grace: Option<Duration>) -> Result<(), Invalid> {
        let now = Instant::now();
        if let Some(entry) = self.entries.get_mut(value)
            && entry.spent.zip(grace).is_some_and(|(spent, grace)| now < spent + grace)
        {
            let first = entry.spent.take();
            let entry = self.usable(kind, owner, value)?;
            entry.spent = first;
            return Ok(());
        }
        self.usable(kind, owner, value)?.spent = Some(now);
        Ok(())
    }

    fn usable(&mut self, kind: Kind, owner: &str, value: &str) -> Result<&mut Entry, Invalid> {
        let entry = self.entries.get_mut(value).filter(|entry| entry.kind == kind).ok_or(Invalid::Unknown)?;
        if entry.spent.is_some() {
            self.replays += 1;
            return Err(Invalid::Spent);
        }
        if entry.owner != owner {
            return Err(Invalid::Foreign);
        }
        if entry.expires.is_some_and(|expires| expires <= Instant::now()) {
            return Err(Invalid::Expired);
        }
        Ok(entry)
    }

    pub fn is_live(&self, kind: Kind, value: &str) -> bool {
        self.entries.get(value).is_some_and(|entry| {
            entry.kind == kind && entry.spent.is_none() && entry.expires.is_none_or(|expires| expires > Instant::now())
        })
    }

    pub fn replays(&self) -> usize {
        self.replays
    }
}
