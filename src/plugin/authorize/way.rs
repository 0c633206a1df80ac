//! How a person's answer comes back: to the operator's pages, to this machine, or by copying it. Pure.

use url::{Host, Url};

use crate::{
    api::{ConditionStatus, ConditionType, OAuthCredential, Reason},
    plugin::{failure::Failure, flags::Authorize},
};

/// How a person's answer comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the operator's own pages; its start page.
    Page(String),
    /// The person copies it; where the provider sends them, if it is in the spec.
    Paste(Option<String>),
    /// To a port of this machine.
    Loopback(Url),
}

/// What stands in the way of a consent, whoever gives it.
pub fn obstacle(credential: &OAuthCredential) -> Option<String> {
    let grant = &credential.spec.grant;
    if grant.authorization_code.is_none() && grant.device_code.is_none() {
        return Some(
            "not authorized: its grant needs nobody's consent; only authorizationCode and deviceCode do.".to_owned(),
        );
    }
    if credential.spec.suspend {
        return Some("not authorized: it is suspended; set spec.suspend to false first.".to_owned());
    }
    let ready = credential.status.as_ref()?.condition(ConditionType::Ready)?;
    let hindering = [
        Reason::InvalidSpec,
        Reason::NotAllowed,
        Reason::ProviderNotFound,
        Reason::SecretConflict,
        Reason::SourceSecretNotFound,
        Reason::EgressDenied,
    ];
    let hinders = ready.status != ConditionStatus::True && hindering.iter().any(|it| it.as_str() == ready.reason);
    hinders.then(|| format!("not authorized: {}: {}", ready.reason, ready.message))
}

/// What was asked for, or else what the redirect URI tells.
pub fn choose(credential: &OAuthCredential, asked: &Authorize) -> Result<Way, Failure> {
    let redirect = credential.spec.grant.authorization_code.as_ref().and_then(|grant| grant.redirect_uri.as_ref());
    let redirect = redirect.map(|uri| uri.0.clone());
    let loopback = redirect.as_deref().and_then(loopback);
    if asked.paste {
        return Ok(Way::Paste(redirect));
    }
    if asked.loopback {
        return loopback.map(Way::Loopback).ok_or_else(|| {
            let is = redirect.map_or_else(|| "not set".to_owned(), |uri| uri.clone());
            Failure::Usage(format!(
                "--loopback listens where grant.authorizationCode.redirectURI says: an address such as http://127.0.0.1:8000/callback, which the client is registered with. It is {is}."
            ))
        });
    }
    let page = credential.status.as_ref().and_then(|status| status.authorization.as_ref()?.url.clone());
    let page = page.filter(|page| redirect.as_ref().is_none_or(|redirect| callback(page).as_ref() == Some(redirect)));
    Ok(match (page, loopback) {
        (Some(page), _) => Way::Page(page),
        (None, Some(address)) => Way::Loopback(address),
        (None, None) => Way::Paste(redirect),
    })
}

/// A redirect URI of RFC 8252 section 7.3.
fn loopback(redirect: &str) -> Option<Url> {
    let url = Url::parse(redirect).ok().filter(|url| url.scheme() == "http")?;
    let is_here = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    is_here.then_some(url)
}

/// The operator's callback, from one of its start pages.
fn callback(page: &str) -> Option<String> {
    let (public, _) = page.rsplit_once("/consent/")?;
    Some(format!("{public}/oauth/callback"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PAGE: &str = "https://oauth.example.com/consent/n/a";

    fn credential(redirect: Option<&str>, page: Option<&str>) -> OAuthCredential {
        let grant = redirect.map_or_else(|| "{}".to_owned(), |uri| format!("{{redirectURI: '{uri}'}}"));
        let status = page.map_or_else(|| "{}".to_owned(), |page| format!("{{authorization: {{url: '{page}'}}}}"));
        serde_yaml_ng::from_str(&format!(
            "{{apiVersion: oauth-operator.dev/v1alpha1, kind: OAuthCredential, metadata: {{name: a, namespace: n}}, spec: {{grant: {{authorizationCode: {grant}}}}}, status: {status}}}"
        ))
        .unwrap()
    }

    fn asked(paste: bool, loopback: bool) -> Authorize {
        let (name, timeout) = ("a".to_owned(), Duration::from_secs(1));
        Authorize { name, paste, loopback, no_browser: true, timeout, output: None }
    }

    fn chosen(redirect: Option<&str>, page: Option<&str>) -> Way {
        choose(&credential(redirect, page), &asked(false, false)).unwrap()
    }

    #[test]
    fn the_redirect_uri_tells_how_the_answer_comes_back() {
        let callback = "https://oauth.example.com/oauth/callback";
        assert_eq!(chosen(None, Some(PAGE)), Way::Page(PAGE.to_owned()));
        assert_eq!(chosen(Some(callback), Some(PAGE)), Way::Page(PAGE.to_owned()));
        assert_eq!(chosen(Some(callback), None), Way::Paste(Some(callback.to_owned())));
        assert_eq!(chosen(Some("https://hover.to"), Some(PAGE)), Way::Paste(Some("https://hover.to".to_owned())));
        for here in ["http://127.0.0.1:8000/cb", "http://localhost:8000/cb", "http://[::1]:8000/cb"] {
            assert_eq!(chosen(Some(here), Some(PAGE)), Way::Loopback(Url::parse(here).unwrap()));
        }
        assert!(matches!(chosen(Some("https://127.0.0.1:8000/cb"), None), Way::Paste(_)), "there is no certificate");
        assert!(matches!(chosen(Some("http://127.0.0.1.example:8000/cb"), None), Way::Paste(_)));
    }

    #[test]
    fn what_was_asked_for_is_done_or_refused() {
        let paste = choose(&credential(None, Some(PAGE)), &asked(true, false));
        assert_eq!(paste.unwrap(), Way::Paste(None));
        let refused = choose(&credential(Some("https://hover.to"), None), &asked(false, true)).unwrap_err();
        assert!(refused.to_string().contains("It is https://hover.to."), "{refused}");
    }

    #[test]
    fn what_stands_in_the_way_is_said() {
        let with = |reason: &str| {
            let mut credential = credential(None, Some(PAGE));
            credential.status = serde_json::from_value(serde_json::json!({"conditions": [{
                "type": "Ready", "status": "False", "reason": reason, "message": "Do this.",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]}))
            .unwrap();
            obstacle(&credential)
        };
        assert_eq!(with("AuthorizationRequired"), None);
        assert_eq!(with("InvalidSpec").unwrap(), "not authorized: InvalidSpec: Do this.");
        let mut suspended = credential(None, None);
        suspended.spec.suspend = true;
        assert!(obstacle(&suspended).unwrap().contains("spec.suspend"));
    }
}
