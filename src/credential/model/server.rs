//! The token server of the model: families of single-use refresh tokens. What is sent twice revokes its family, at once or after
//! a grace.

use std::time::Duration;

use jiff::Timestamp;

use crate::{credential::schedule::later, oauth::values::RefreshToken};

/// A refresh token: the how-manieth of which family. A person who consents, or gives another seed, begins a family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    pub family: u8,
    pub serial: u8,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.family, self.serial)
    }
}

impl Token {
    pub fn text(self) -> RefreshToken {
        RefreshToken::new(format!("{}.{}", self.family, self.serial))
    }

    pub fn of(text: &RefreshToken) -> Self {
        let (family, serial) = text.expose().split_once('.').unwrap();
        Self { family: family.parse().unwrap(), serial: serial.parse().unwrap() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Family {
    /// When each token but the newest was replaced.
    replaced: Vec<Timestamp>,
    revoked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    families: Vec<Family>,
    grace: Option<Duration>,
}

impl Server {
    pub fn new(grace: Option<Duration>) -> Self {
        Self { families: vec![Family::default()], grace }
    }

    /// A person consents: the first token of a new family.
    pub fn consent(&mut self) -> Token {
        self.families.push(Family::default());
        Token { family: u8::try_from(self.families.len()).unwrap() - 1, serial: 0 }
    }

    pub fn accepts(&self, token: Token, now: Timestamp) -> bool {
        let family = &self.families[usize::from(token.family)];
        let replaced = family.replaced.get(usize::from(token.serial));
        !family.revoked && replaced.is_none_or(|at| self.grace.is_some_and(|grace| now < later(*at, grace)))
    }

    /// Takes a refresh token; the next one, or `invalid_grant`.
    pub fn refresh(&mut self, token: Token, now: Timestamp) -> Option<Token> {
        let accepted = self.accepts(token, now);
        let family = &mut self.families[usize::from(token.family)];
        family.revoked |= !accepted;
        accepted.then(|| {
            family.replaced.push(now);
            Token { family: token.family, serial: u8::try_from(family.replaced.len()).unwrap() }
        })
    }
}
