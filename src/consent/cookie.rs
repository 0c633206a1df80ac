//! The cookie that binds a consent to the browser that began it. Its name follows from the state, so that several consents can be
//! under way in one browser; its value says whose consent it is, and bears a secret whose hash is in the Consent Secret.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};

use crate::credential::consent::digest;

/// `__Host-`: of this host only, over https only, for all paths (RFC 6265bis section 4.1.3.2).
const PREFIX: &str = "__Host-oauth-operator-";
/// In seconds: as long as a consent may take.
const MAX_AGE: u64 = crate::credential::consent::LIFETIME.as_secs();

/// Whose consent a browser has begun.
#[derive(Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    /// The secret.
    pub browser: &'a str,
}

/// A new secret.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn name(state: &str) -> String {
    format!("{PREFIX}{}", &digest(state)[..16])
}

impl<'a> Cookie<'a> {
    /// The value of Set-Cookie, for the consent with this state. Lax, not Strict: it has to come along from the provider's site.
    pub fn set(&self, state: &str) -> String {
        let Cookie { namespace, name: credential, browser } = self;
        let name = name(state);
        format!("{name}={namespace}/{credential}/{browser}; Max-Age={MAX_AGE}; Path=/; Secure; HttpOnly; SameSite=Lax")
    }

    /// What a cookie's value says.
    pub fn parse(value: &'a str) -> Option<Self> {
        let mut parts = value.split('/');
        let (namespace, name, browser) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && super::is_name(namespace) && super::is_name(name);
        (whole && browser.len() == 43).then_some(Self { namespace, name, browser })
    }
}

/// The value of Set-Cookie that takes it away.
pub fn clear(state: &str) -> String {
    format!("{}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax", name(state))
}

/// The value of the cookie for this state, among those that the browser sent.
pub fn find(headers: &HeaderMap, state: &str) -> Option<String> {
    let wanted = name(state);
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = sent.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_comes_back() {
        let browser = random();
        let cookie = Cookie { namespace: "team-a", name: "hover.one", browser: &browser };
        let set = cookie.set("xyz");
        assert!(set.starts_with("__Host-oauth-operator-") && set.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"));
        let mut headers = HeaderMap::new();
        let sent = format!("a=b; {}; c=d", set.split(';').next().unwrap());
        headers.insert(header::COOKIE, HeaderValue::from_str(&sent).unwrap());
        assert_eq!(Cookie::parse(&find(&headers, "xyz").unwrap()), Some(cookie));
        assert_eq!(find(&headers, "another state"), None);
        assert_eq!(clear("xyz").split('=').next(), set.split('=').next());
    }

    #[test]
    fn forged_ones_name_nothing() {
        let browser = random();
        for value in [
            "",
            "a",
            "a/b",
            "a/b/short",
            &format!("A/b/{browser}"),
            &format!("a/../{browser}/x"),
            &format!("a//{browser}"),
        ] {
            assert_eq!(Cookie::parse(value), None, "{value}");
        }
    }
}
