//! Secret values. Each is wiped when dropped, shows nothing in `Debug`, and can't be printed or serialized by accident:
//! `expose` is the only way to its text.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

macro_rules! secret_text {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(Zeroizing::new(text.into()))
            }

            /// The secret itself. Every caller is a place to audit.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        #[cfg(test)]
        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
                self.expose().hash(hasher);
            }
        }
    )+ };
}

secret_text! {
    /// RFC 6749 section 1.4.
    AccessToken,
    /// RFC 6749 section 1.5.
    RefreshToken,
    /// OpenID Connect Core section 2.
    IdToken,
    /// RFC 6749 section 2.3.1.
    ClientSecret,
    /// Any other secret text: a parameter's or header's value, a rendered key, a reply's fields.
    SecretText,
}

impl RefreshToken {
    /// SHA-256 of the token, keyed by `key` (a credential's namespace and name) so that hashes of two credentials can't be compared. Hex.
    pub fn hash(&self, key: &str) -> String {
        hash(self.expose(), key)
    }
}

impl AccessToken {
    /// As a refresh token's.
    pub fn hash(&self, key: &str) -> String {
        hash(self.expose(), key)
    }
}

fn hash(text: &str, key: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update((key.len() as u64).to_be_bytes());
    hasher.update(key.as_bytes());
    hasher.update(text.as_bytes());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
