//! What the first request of a credential sends, and what follows from that alone. Each rule names every variant: a new one
//! must not fall on some side by itself.

use super::rotation::Keeps;
use crate::oauth::failure::Class;

#[cfg(test)]
mod tests;

/// What the first request of a credential sends beside the client's proof of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Starts {
    /// Nothing: it can be repeated at any time.
    Client,
    /// A refresh token that was given, once.
    RefreshToken,
    /// Another token (RFC 8693). It can be repeated, and is when that token is another one.
    Token,
    /// A user's name and password. It can be repeated, and a refresh token from its reply is used until that is refused.
    Password,
    /// What a person's consent brings, once.
    Consent,
}

impl Starts {
    /// What an attempt has to keep. `single_use`: a refresh token works once.
    pub fn keeps(self, single_use: bool) -> Keeps {
        match (self, single_use) {
            (Self::Client | Self::Token, _) => Keeps::Nothing,
            (Self::RefreshToken | Self::Password | Self::Consent, true) => Keeps::SingleUse,
            (Self::RefreshToken | Self::Password | Self::Consent, false) => Keeps::Reusable,
        }
    }

    /// Whether the grant is lost with its refresh token, so that a person is needed for another: that is kept alive, and its end is
    /// told of.
    pub fn ends_with_its_refresh_token(self) -> bool {
        match self {
            Self::RefreshToken | Self::Consent => true,
            Self::Client | Self::Token | Self::Password => false,
        }
    }

    /// Whether the status tells the hash of what was sent. A user's name is nothing to tell, not even as a hash: whoever may read the
    /// status could guess it.
    pub fn is_told(self) -> bool {
        match self {
            Self::RefreshToken | Self::Token => true,
            Self::Client | Self::Password | Self::Consent => false,
        }
    }

    /// Whether something else is sent at once when a refresh token failed like this (rule 6): another refresh token that is kept, or
    /// the password.
    pub fn has_another_way(self, failed: Class) -> bool {
        match (self, failed) {
            (_, Class::Backoff) => false,
            (_, Class::Person) => true,
            (Self::Password, Class::Hourly) => true,
            (Self::Client | Self::RefreshToken | Self::Token | Self::Consent, Class::Hourly) => false,
        }
    }
}
