//! JSON text of which a hundred thousand are kept, and each is read seldom: compressed, with a dictionary of what most of them say.

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};

/// What specs and statuses have in common. What isn't in it takes more room, no more; the last of it is found soonest.
const COMMON: &[u8] = concat!(
    r#"{"clientID":"","grant":{"authorizationCode":{"redirectURI":"https://"},"deviceCode":{},"password":{"usernameSecretRef":{"#,
    r#""tokenExchange":{"subjectToken":{"jwtBearer":{"additionalTokens":[{"deletionPolicy":"Retain","revocationPolicy":"OnDelete","#,
    r#""provider":{"issuer":"https://","endpoints":{"token":"https://"}},"providerRef":{"kind":"ClusterOAuthProvider","name":""#,
    r#""refresh":{"before":"10m"},"scopes":["openid","offline_access"],"secret":{"name":"","template":{"data":{"#,
    r#""client":{"authentication":"client_secret_basic","client_secret_post","id":"","secretRef":{"key":"client_secret","name":""}},"#,
    r#""grant":{"refreshToken":{"secretRef":{"key":"refresh_token","name":""}},"clientCredentials":{}},"#,
    r#""providerRef":{"kind":"OAuthProvider","name":""}}"#,
    r#"{"additionalTokens":[{"name":"","authorization":{"lastFailure":{"failedAttempts":1,"lastFailureTime":"2026-"#,
    r#"{"lastTransitionTime":"2026-","message":"","observedGeneration":1,"reason":"TokenEndpointUnreachable","status":"True","type":"Stalled"},"#,
    r#"{"conditions":[{"lastTransitionTime":"2026-","message":"The Secret holds a token that is good until 2026-","observedGeneration":1,"#,
    r#""reason":"Issued","status":"True","type":"Ready"},{"lastTransitionTime":"2026-","message":"","observedGeneration":1,"#,
    r#""reason":"Refreshed","status":"False","type":"Refreshed"},{"type":"Reconciling","status":"False"},"#,
    r#""expirationTime":"2026-","lastRefreshTime":"2026-","lineage":"","nextRefreshTime":"2026-","observedGeneration":1,"revision":1,"#,
    r#""refreshTokenExpirationTime":"2026-","secret":{"name":"-token","resourceVersion":"","uid":""},"tokenHash":""}"#,
)
.as_bytes();

/// A compressed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

impl Packed {
    pub fn of(text: &[u8]) -> Self {
        Self(compress_prepend_size_with_dict(text, COMMON).into())
    }

    /// The text as it was.
    pub fn text(&self) -> Vec<u8> {
        // What was packed here can be unpacked; were it ever otherwise, the text would be unreadable JSON, which is told.
        decompress_size_prepended_with_dict(&self.0, COMMON).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_comes_back_as_it_was(text in proptest::collection::vec(any::<u8>(), 0..4000)) {
            prop_assert_eq!(Packed::of(&text).text(), text);
        }

        #[test]
        fn repeated_text_comes_back_as_it_was(word in "[a-z\":{},]{1,12}", times in 0_usize..500) {
            let text = word.repeat(times).into_bytes();
            prop_assert_eq!(Packed::of(&text).text(), text);
        }
    }
}
