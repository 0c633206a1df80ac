//! A namespace with an operator that has pages, and a credential that awaits a person.

use oauth_operator::api::{ConditionType, OAuthCredential};
use serde_json::json;

use crate::chromium::Chromium;
use crate::support::browser::Browser;
use crate::support::namespace::apply;
use crate::support::{Cluster, Conditions, Namespace, Operator, SOON, until};

pub struct Stage {
    pub namespace: Namespace,
    pub operator: Operator,
    /// Without a slash at its end.
    pub pages: String,
}

/// A port that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Stage {
    /// `port` is where the pages will be.
    pub async fn set(name: &str, port: u16) -> Self {
        let namespace = Cluster::shared().await.namespace(name).await;
        let pages = format!("http://127.0.0.1:{port}");
        let (listen, public) = (format!("--listen=127.0.0.1:{port}"), format!("--public-url={pages}"));
        let flags = ["--allow-insecure-http", "--log-level=trace", &listen, &public];
        let operator = Operator::start(&namespace, &flags).await;
        Self { namespace, operator, pages }
    }

    /// The Secret `client` and a credential `calendar` of this issuer.
    pub async fn credential(&self, issuer: &str, client: &str, secret: &str) {
        self.namespace
            .apply(&format!(
                r#"
apiVersion: v1
kind: Secret
metadata: {{name: client}}
stringData: {{secret: {secret}}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: calendar}}
spec:
  provider:
    issuer: "{issuer}"
    authorizationRequest: {{parameters: [{{name: prompt, value: consent}}]}}
  client: {{id: {client}, secretRef: {{name: client, key: secret}}, authentication: client_secret_post}}
  grant: {{authorizationCode: {{}}}}
  scopes: [openid, offline_access]
"#
            ))
            .await;
        self.namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
    }

    /// Creates the Consent Secret of `credential`; gives its ticket.
    pub async fn ticket(&self, credential: &str) -> String {
        let ticket = uuid::Uuid::new_v4().to_string();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "oauth-operator.dev/consent",
            "metadata": {"name": format!("{credential}-oauth-consent")}, "stringData": {"ticket": &ticket},
        });
        apply(&self.namespace.client, &self.namespace.name, vec![secret]).await.unwrap();
        ticket
    }

    /// The page that says what is asked for, reached with the ticket behind a `#`.
    pub async fn asked(&self, browser: &Chromium, credential: &str) -> String {
        let ticket = self.ticket(credential).await;
        let page = format!("{}/consent/{}/{credential}", self.pages, self.namespace.name);
        until("the ticket is known", SOON, async || {
            (Browser::new().post(&page, &[("ticket", &ticket)]).await.status == 200).then_some(())
        })
        .await;
        browser.open(&format!("{page}#{ticket}")).await;
        browser.reads("This is what you are asked for", &self.namespace.name).await;
        let shown = browser.address().await;
        assert_eq!(shown.fragment(), None, "the ticket has left the address");
        assert!(browser.history().await.iter().all(|address| !address.contains(&ticket)), "and the history");
        ticket
    }

    /// The status once a consent has failed for this reason.
    pub async fn failed(&self, says: &str) -> OAuthCredential {
        let failure = |it: &OAuthCredential| it.status.clone()?.authorization?.last_failure;
        self.namespace
            .credential_until("calendar", says, SOON, |it| failure(it).is_some_and(|it| it.message.contains(says)))
            .await
    }

    /// Looks at what a person must not see, and a log must not hold.
    pub async fn nothing_leaked(&self, browser: &Chromium, tickets: &[String]) {
        let state = self.namespace.state("calendar").await;
        let token = self.namespace.value("calendar-token", "access_token").await;
        for secret in [&token, state["refreshToken"].as_str().unwrap()] {
            browser.never_saw(secret);
            assert!(!self.operator.log().contains(secret));
        }
        for ticket in tickets {
            assert!(!self.operator.log().contains(ticket));
        }
    }

    /// Denial, consent, revocation at the server, and consent again: with a person who knows this server's pages.
    pub async fn goes_through(&self, issuer: &str, client: (&str, &str), person: &impl Person) {
        let namespace = &self.namespace;
        self.credential(issuer, client.0, client.1).await;
        let browser = Chromium::start(&[]).await;
        let mut tickets = Vec::new();

        tickets.push(self.asked(&browser, "calendar").await);
        browser.follows("main button").await;
        person.denies(&browser).await;
        browser.reads("This consent brought nothing", "access_denied").await;
        let refused = self.failed("access_denied").await;
        assert!(!refused.is(ConditionType::Ready) && refused.is(ConditionType::Reconciling));
        assert!(namespace.secret("calendar-token").await.is_none());
        if person.is_photographed() {
            browser.photographs("failure").await;
        }

        tickets.push(self.asked(&browser, "calendar").await);
        if person.is_photographed() {
            browser.photographs("asked").await;
        }
        browser.follows("main button").await;
        person.allows(&browser).await;
        browser.reads("Your consent has arrived", "calendar").await;
        if person.is_photographed() {
            browser.photographs("success").await;
        }
        let ready = namespace.ready("calendar").await;
        let first = ready.status.unwrap();
        assert!(first.authorized_by.unwrap().subject.is_some());
        self.nothing_leaked(&browser, &tickets).await;
        let token = namespace.value("calendar-token", "access_token").await;

        self.revoke(issuer, client).await;
        namespace.request_refresh("calendar", "2026-01-01T00:00:00Z").await;
        let lost = namespace.reason("calendar", ConditionType::Stalled, "AuthorizationRequired").await;
        assert!(lost.is(ConditionType::Ready), "the old token still serves");
        tickets.push(self.asked(&browser, "calendar").await);
        browser.follows("main button").await;
        person.allows(&browser).await;
        browser.reads("Your consent has arrived", "calendar").await;
        let again = namespace
            .credential_until("calendar", "well", SOON, |it| {
                it.is(ConditionType::Ready) && !it.is(ConditionType::Stalled)
            })
            .await;
        assert!(again.status.unwrap().revision > first.revision);
        assert_ne!(namespace.value("calendar-token", "access_token").await, token);
        self.nothing_leaked(&browser, &tickets).await;
        browser.close().await;
    }

    /// The person takes the consent back at the server (RFC 7009).
    async fn revoke(&self, issuer: &str, (client, secret): (&str, &str)) {
        let state = self.namespace.state("calendar").await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let metadata = http.get(format!("{issuer}/.well-known/openid-configuration")).send().await.unwrap();
        let metadata: serde_json::Value = metadata.json().await.unwrap();
        let form =
            [("token", state["refreshToken"].as_str().unwrap()), ("client_id", client), ("client_secret", secret)];
        let revoked = http.post(metadata["revocation_endpoint"].as_str().unwrap()).form(&form).send().await.unwrap();
        assert!(revoked.status().is_success());
    }
}

/// Somebody who finds their way through a server's own pages.
pub trait Person {
    async fn denies(&self, browser: &Chromium);

    async fn allows(&self, browser: &Chromium);

    /// Whether our pages are photographed on this person's way.
    fn is_photographed(&self) -> bool {
        false
    }
}
