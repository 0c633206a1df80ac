//! A person's part in a case: at the operator's pages, and at oidc-provider's own.

use std::path::PathBuf;

use oauth_operator::api::OAuthCredential;
use serde_json::json;

use crate::support::browser::{Browser, at_the_provider_trusting};
use crate::support::{Namespace, SOON, until};

/// Consents once in a browser: the ticket, the page that asks, the provider's pages, and back.
pub async fn consents(namespace: &Namespace, credential: &str, ca: Option<PathBuf>) {
    let url = |it: &OAuthCredential| it.status.as_ref()?.authorization.as_ref()?.url.clone();
    let waiting = namespace.credential_until(credential, "a page", SOON, |it| url(it).is_some()).await;
    let (page, ticket) = (url(&waiting).unwrap(), uuid::Uuid::new_v4().to_string());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "oauth-operator.dev/consent",
        "metadata": {"name": format!("{credential}-oauth-consent")}, "stringData": {"ticket": ticket},
    });
    namespace.secrets().create(&Default::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let browser = Browser::new();
    until("the ticket is known", SOON, async || {
        (browser.post(&page, &[("ticket", &ticket)]).await.status == 200).then_some(())
    })
    .await;
    let provider = browser.post(&page, &[("ticket", &ticket), ("continue", "yes")]).await.leaves_for();
    let back = at_the_provider_trusting(ca, &provider, "robot", true).await.unwrap();
    browser.get(&back).await.says(200, "Your consent has arrived");
}

/// Confirms a device's code on the provider's page.
pub async fn confirms(namespace: &Namespace, credential: &str, ca: Option<PathBuf>) {
    let shown = |it: &OAuthCredential| {
        let authorization = it.status.as_ref()?.authorization.as_ref()?;
        Some(format!("{}?user_code={}", authorization.verification_uri.clone()?, authorization.user_code.clone()?))
    };
    let waiting = namespace.credential_until(credential, "a user code", SOON, |it| shown(it).is_some()).await;
    at_the_provider_trusting(ca, &shown(&waiting).unwrap(), "robot", true).await;
}
