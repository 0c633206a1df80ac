//! A person consents: the operator's pages, a real OAuth server's own login and consent pages, and everybody who shouldn't get
//! through.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use oauth_operator::api::{ConditionType, OAuthCredential};
use serde_json::{Value, json};

use crate::support::browser::{Browser, Shown, at_the_provider};
use crate::support::proxy::Proxy;
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, free_port, throughout, until};

/// An operator with pages, and a token server that knows its callback.
pub struct Stage {
    pub namespace: Namespace,
    pub oidc: Oidc,
    pub operator: Operator,
    /// Without a slash at its end.
    pub pages: String,
}

impl Stage {
    pub async fn set(name: &str, oidc_flags: &[&str], flags: &[&str]) -> Self {
        Self::set_behind(None, name, oidc_flags, flags).await
    }

    /// The same, with the operator behind a proxy.
    async fn set_behind(proxy: Option<&Proxy>, name: &str, oidc_flags: &[&str], flags: &[&str]) -> Self {
        let namespace = Cluster::shared().await.namespace(name).await;
        let address = format!("127.0.0.1:{}", free_port());
        let pages = format!("http://{address}");
        let callback = format!("{pages}/oauth/callback");
        let oidc = Oidc::start(&[&["--redirect-uri", &callback], oidc_flags].concat()).await;
        let (listen, public) = (format!("--listen={address}"), format!("--public-url={pages}"));
        let ours = ["--allow-insecure-http", "--log-level=trace", &listen, &public];
        let flags = [&ours, flags].concat();
        let operator = match proxy {
            Some(proxy) => Operator::behind(proxy, &namespace, &flags).await,
            None => Operator::start(&namespace, &flags).await,
        };
        Self { namespace, oidc, operator, pages }
    }

    /// A credential of oidc-provider's client web-post. `grant` is what authorizationCode holds.
    pub async fn credential(&self, name: &str, grant: &str) {
        let issuer = &self.oidc.issuer;
        self.namespace
            .apply(&format!(
                r#"
apiVersion: v1
kind: Secret
metadata: {{name: web-post}}
stringData: {{secret: web-post-secret}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: idp}}
spec:
  issuer: "{issuer}"
  client: {{authentication: client_secret_post}}
  authorizationRequest: {{parameters: [{{name: prompt, value: consent}}]}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  providerRef: {{name: idp}}
  client: {{id: web-post, secretRef: {{name: web-post, key: secret}}}}
  grant: {{authorizationCode: {{{grant}}}}}
  scopes: [openid, offline_access]
"#
            ))
            .await;
    }

    /// Creates the Consent Secret, as whoever may do so. Gives the ticket.
    pub async fn ticket(&self, credential: &str) -> String {
        let ticket = format!("Qx7canaryZ9-{}", uuid::Uuid::new_v4());
        create_consent(&self.namespace, credential, &[("ticket", &ticket)]).await;
        ticket
    }

    pub fn start_page(&self, credential: &str) -> String {
        format!("{}/consent/{}/{credential}", self.pages, self.namespace.name)
    }

    /// From the ticket to the provider's door: where the browser is sent.
    pub async fn depart(&self, browser: &Browser, credential: &str, ticket: &str) -> String {
        let page = self.start_page(credential);
        let asked = self.when_known(browser, &page, ticket).await;
        asked.says(200, "Continue only if you know who asks");
        browser.post(&page, &[("ticket", ticket), ("continue", "yes")]).await.leaves_for()
    }

    /// The page that asks, once the watch has told of the Consent Secret.
    pub async fn when_known(&self, browser: &Browser, page: &str, ticket: &str) -> Shown {
        until("the ticket is known", SOON, async || {
            Some(browser.post(page, &[("ticket", ticket)]).await).filter(|shown| shown.status == 200)
        })
        .await
    }

    /// A whole consent by `login`.
    pub async fn consent(&self, credential: &str, login: &str) -> Shown {
        let (browser, ticket) = (Browser::new(), self.ticket(credential).await);
        let provider = self.depart(&browser, credential, &ticket).await;
        let back = at_the_provider(&provider, login, true).await.unwrap();
        browser.get(&back).await
    }

    /// The operator's own notes in a Consent Secret.
    async fn progress(&self, credential: &str) -> Value {
        let name = format!("{credential}-oauth-consent");
        serde_json::from_str(&self.namespace.value(&name, "progress.json").await).unwrap()
    }
}

pub async fn create_consent(namespace: &Namespace, credential: &str, data: &[(&str, &str)]) {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into())).collect();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "oauth-operator.dev/consent",
        "metadata": {"name": format!("{credential}-oauth-consent")}, "data": data,
    });
    namespace.secrets().create(&Default::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
}

/// Waits for the consent's end: its Secret is gone.
async fn no_consent_is_left(namespace: &Namespace, credential: &str) {
    let name = format!("{credential}-oauth-consent");
    until("the Consent Secret is gone", SOON, async || namespace.secret(&name).await.is_none().then_some(())).await;
}

fn failure(credential: &OAuthCredential) -> Option<String> {
    Some(credential.status.as_ref()?.authorization.as_ref()?.last_failure.as_ref()?.message.clone())
}

async fn failed(namespace: &Namespace, name: &str, words: &str) -> OAuthCredential {
    let told = |credential: &OAuthCredential| failure(credential).is_some_and(|message| message.contains(words));
    namespace.credential_until(name, &format!("a failure that says {words:?}"), SOON, told).await
}

/// From nothing to a token that refreshes itself, and nothing of what passed is left anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_consent() {
    let stage = Stage::set("consent-first", &[], &[]).await;
    let namespace = &stage.namespace;
    stage.credential("calendar", "").await;
    let waiting = namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
    assert!(waiting.is(ConditionType::Reconciling) && !waiting.is(ConditionType::Stalled), "the first is awaited");
    namespace.keep("inprogress", &waiting);
    let url = waiting.status.unwrap().authorization.unwrap().url.unwrap();
    assert_eq!(url, stage.start_page("calendar"));

    let browser = Browser::new();
    browser.get(&url).await.says(200, "Give your consent");
    let ticket = stage.ticket("calendar").await;
    let asked = stage.when_known(&browser, &url, &ticket).await;
    for part in ["consent-first", "calendar", "web-post", "offline_access", "127.0.0.1"] {
        asked.says(200, part);
    }
    let provider = browser.post(&url, &[("ticket", &ticket), ("continue", "yes")]).await.leaves_for();
    for part in ["code_challenge_method=S256", "prompt=consent", "nonce=", "state=", "response_type=code"] {
        assert!(provider.contains(part), "{part} in {provider}");
    }
    let (cookies, progress) = (browser.cookies(), stage.progress("calendar").await);
    let back = at_the_provider(&provider, "robot", true).await.unwrap();
    let done = browser.get(&back).await;
    done.says(200, "Your consent has arrived");
    done.says(200, "robot");
    assert!(browser.cookies().is_empty(), "the cookie is taken away");

    let ready = namespace.ready("calendar").await;
    let status = ready.status.clone().unwrap();
    assert_eq!(status.authorized_by.unwrap().subject.as_deref(), Some("robot"));
    assert_eq!(status.authorization.unwrap().last_failure, None);
    no_consent_is_left(namespace, "calendar").await;
    namespace.request_refresh("calendar", "2026-01-01T00:00:00Z").await;
    namespace.revision("calendar", 2, SOON).await;
    assert_eq!((stage.oidc.log().await.len(), stage.oidc.replays().await), (2, 0));
    namespace.event("Authorized").await;
    let events = namespace.events().await;

    // A reloaded page brings nothing.
    browser.get(&back).await.says(403, "Not begun in this browser");
    Browser::with_cookies(cookies.clone()).get(&back).await.says(403, "not any more");

    let parameter = |name: &str| {
        let back = url::Url::parse(&back).unwrap();
        back.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    let request = progress["requests"].as_array().unwrap().last().unwrap();
    let verifier = request["verifier"].as_str().unwrap().to_owned();
    let cookie = cookies[0].1.rsplit('/').next().unwrap().to_owned();
    let told = [
        ("the log", stage.operator.log()),
        ("/metrics", stage.operator.metrics().await),
        ("an Event", serde_json::to_string(&events).unwrap()),
        ("the credential", serde_json::to_string(&namespace.credential("calendar").await).unwrap()),
        ("the last page", done.html),
    ];
    assert!(told[0].1.contains("TRACE"));
    for secret in [ticket, parameter("code"), parameter("state"), verifier, cookie] {
        for (place, text) in &told {
            assert!(!text.contains(&secret), "{place} holds {secret}");
        }
    }
}

/// A viewer with the address, guessed tickets, another site's form, and what strangers bring to the callback.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_ticket_gets_nowhere() {
    let stage = Stage::set("consent-strangers", &[], &[]).await;
    let (namespace, browser) = (&stage.namespace, Browser::new());
    stage.credential("calendar", "").await;
    namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
    let page = stage.start_page("calendar");
    let guess = [("ticket", "0123456789abcdefghijklmnop"), ("continue", "yes")];
    browser.post(&page, &guess).await.says(403, "The ticket doesn't fit");
    let nobody = browser.post(&stage.start_page("nobody"), &guess).await;
    assert_eq!(nobody.html, browser.post(&page, &guess).await.html, "nobody learns which credentials there are");

    let ticket = stage.ticket("calendar").await;
    let victim = Browser::new();
    stage.when_known(&victim, &page, &ticket).await;
    browser.post(&page, &guess).await.says(403, "The ticket doesn't fit");
    let form = [("ticket", ticket.as_str()), ("continue", "yes")];
    victim.post_from("https://evil.example", &page, &form).await.says(403, "Not from here");
    assert!(victim.cookies().is_empty(), "another site's form begins nothing");

    // The attacker has a code of an account of their own, and lures the victim's browser to the callback with it.
    let provider = stage.depart(&browser, "calendar", &ticket).await;
    let back = at_the_provider(&provider, "attacker", true).await.unwrap();
    victim.get(&back).await.says(403, "Not begun in this browser");
    // The victim has begun a consent of their own: its cookie is for another state.
    let own = stage.depart(&victim, "calendar", &ticket).await;
    victim.get(&back).await.says(403, "Not begun in this browser");
    let (name, _) = browser.cookies().remove(0);
    let (_, foreign) = victim.cookies().remove(0);
    Browser::with_cookies(vec![(name, foreign)]).get(&back).await.says(403, "not yours to bring");

    let callback = format!("{}/oauth/callback", stage.pages);
    browser.get(&callback).await.says(400, "Nothing came back");
    browser.get(&format!("{callback}?code=x")).await.says(400, "can't be read");
    browser.get(&format!("{callback}?code=x&state=guessed")).await.says(403, "Not begun in this browser");
    let issuer = back.replace("iss=", "iss=https%3A%2F%2Fevil.example%2F&was=");
    browser.get(&issuer).await.says(403, "Another server answered");
    throughout("nothing was used", Duration::from_secs(2), async || {
        let untouched = stage.oidc.log().await.is_empty() && namespace.status("calendar").await.revision.is_none();
        (!untouched).then(|| "a token was asked for".to_owned())
    })
    .await;

    // And whoever began may still end it.
    let back = at_the_provider(&own, "robot", true).await.unwrap();
    victim.get(&back).await.says(200, "Your consent has arrived");
    assert_eq!(
        namespace.ready("calendar").await.status.unwrap().authorized_by.unwrap().subject.as_deref(),
        Some("robot")
    );
    browser.post(&page, &form).await.says(403, "The ticket doesn't fit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_changes_nothing_else() {
    let stage = Stage::set("consent-refused", &["--access-token-ttl", "600"], &[]).await;
    let namespace = &stage.namespace;
    stage.credential("calendar", "").await;
    namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
    let deny = async || {
        let (browser, ticket) = (Browser::new(), stage.ticket("calendar").await);
        let provider = stage.depart(&browser, "calendar", &ticket).await;
        let back = at_the_provider(&provider, "robot", false).await.unwrap();
        browser.get(&back).await.says(200, "access_denied");
        no_consent_is_left(namespace, "calendar").await;
    };
    deny().await;
    let refused = failed(namespace, "calendar", "access_denied").await;
    assert!(refused.is(ConditionType::Reconciling) && refused.message(ConditionType::Ready).contains("access_denied"));
    assert!(stage.oidc.log().await.is_empty());

    stage.consent("calendar", "robot").await.says(200, "Your consent has arrived");
    let ready = namespace.ready("calendar").await;
    assert_eq!(failure(&ready), None, "a success takes it away");
    no_consent_is_left(namespace, "calendar").await;
    let (token, state) = (namespace.value("calendar-token", "access_token").await, namespace.state("calendar").await);
    deny().await;
    let still = failed(namespace, "calendar", "access_denied").await;
    assert!(still.is(ConditionType::Ready) && still.is(ConditionType::Refreshed));
    assert_eq!(namespace.value("calendar-token", "access_token").await, token);
    assert_eq!(namespace.state("calendar").await, state);

    // A code that the server doesn't know.
    create_consent(namespace, "calendar", &[("ticket", "0123456789abcdefghijkl"), ("response", "no-such-code")]).await;
    failed(namespace, "calendar", "invalid_grant").await;
    no_consent_is_left(namespace, "calendar").await;
    assert_eq!(namespace.state("calendar").await["refreshToken"], state["refreshToken"]);
    namespace.request_refresh("calendar", "2026-01-01T00:00:00Z").await;
    namespace.revision("calendar", 2, SOON).await;
}

/// The grant is revoked at the server: the token serves to its end, and a new consent replaces it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_consent_is_given_again() {
    let stage = Stage::set("consent-again", &["--access-token-ttl", "600"], &[]).await;
    let namespace = &stage.namespace;
    stage.credential("calendar", "").await;
    stage.consent("calendar", "robot").await.says(200, "Your consent has arrived");
    let ready = namespace.ready("calendar").await;
    let token = namespace.value("calendar-token", "access_token").await;
    let refresh_token = namespace.state("calendar").await["refreshToken"].as_str().unwrap().to_owned();
    let revoked = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = [("token", refresh_token.as_str()), ("client_id", "web-post"), ("client_secret", "web-post-secret")];
    let revoked = revoked.post(format!("{}/token/revocation", stage.oidc.issuer)).form(&form).send().await.unwrap();
    assert!(revoked.status().is_success());

    namespace.request_refresh("calendar", "2026-01-01T00:00:00Z").await;
    let lost = namespace.reason("calendar", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(lost.is(ConditionType::Ready), "the old token still serves");
    assert_eq!(namespace.value("calendar-token", "access_token").await, token);
    namespace.keep("failed", &lost);
    let before = stage.oidc.log().await.len();

    stage.consent("calendar", "another").await.says(200, "another");
    let again = namespace
        .credential_until("calendar", "well", SOON, |it| it.is(ConditionType::Ready) && !it.is(ConditionType::Stalled))
        .await;
    let (was, is) = (ready.status.unwrap(), again.status.unwrap());
    assert_eq!(is.authorized_by.unwrap().subject.as_deref(), Some("another"));
    assert!(is.revision > was.revision);
    assert_ne!(namespace.value("calendar-token", "access_token").await, token);
    assert_eq!(stage.oidc.log().await.len(), before + 1, "the lost one is not tried again");
}

/// Hover redirects to its own page: a person copies the code, or the whole address.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_pasted() {
    let namespace = Cluster::shared().await.namespace("consent-pasted").await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    for (name, whole) in [("code", false), ("address", true)] {
        let standin = Standin::start(Hover { redirect_uri: "https://hover.to/".into(), ..Hover::default() }).await;
        namespace
            .apply(&format!(
                r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}-client}}
stringData: {{client_id: "3fc0", client_secret: s3cr3t}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider:
    endpoints: {{authorization: "{}", token: "{}"}}
    tokenRequest: {{encoding: {}}}
    refreshRequest: {{encoding: JSON}}
  client:
    idSecretRef: {{name: {name}-client, key: client_id}}
    secretRef: {{name: {name}-client, key: client_secret}}
    authentication: client_secret_post
  grant: {{authorizationCode: {{redirectURI: "https://hover.to/", pkce: Disabled}}}}
  scopes: [all]
  secret: {{template: {{token: "{{{{ access_token }}}}", owner: "{{{{ response.owner_id }}}}"}}}}
"#,
                standin.authorize_url(),
                standin.token_url(),
                if whole { "Multipart" } else { "JSON" },
            ))
            .await;
        let waiting = namespace.reason(name, ConditionType::Ready, "AuthorizationRequired").await;
        assert_eq!(waiting.status.unwrap().authorization, None, "there are no pages to send anybody to");
        create_consent(&namespace, name, &[("ticket", "0123456789abcdefghijkl")]).await;
        let secret = format!("{name}-oauth-consent");
        let ready = |secret: &k8s_openapi::api::core::v1::Secret| {
            secret.data.as_ref().is_some_and(|data| data.contains_key("authorization-url"))
        };
        namespace.secret_until(&secret, "where to go", ready).await;
        let url = namespace.value(&secret, "authorization-url").await;
        assert!(!url.contains("code_challenge"), "{url}");
        // The person presses Allow.
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let redirected = http.post(&url).send().await.unwrap();
        let address = redirected.headers()["location"].to_str().unwrap().to_owned();
        assert!(address.starts_with("https://hover.to/?code="), "{address}");
        let code = address.split("code=").nth(1).unwrap().split('&').next().unwrap();
        let response = if whole { address.as_str() } else { code };
        namespace.patch_secret(&secret, &json!({"stringData": {"response": response}})).await;
        namespace.ready(name).await;
        assert_eq!(namespace.value(&format!("{name}-token"), "owner").await, "785");
        no_consent_is_left(&namespace, name).await;
        namespace.request_refresh(name, "2026-01-01T00:00:00Z").await;
        namespace.revision(name, 2, SOON).await;
        assert_eq!(standin.replays(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_consent_secret_is_said() {
    let stage = Stage::set("consent-wrong", &[], &[]).await;
    let namespace = &stage.namespace;
    stage.credential("calendar", "").await;
    namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
    let start_over = async || {
        namespace.delete_secret("calendar-oauth-consent").await;
        no_consent_is_left(namespace, "calendar").await;
    };
    create_consent(namespace, "calendar", &[("ticket", "short")]).await;
    failed(namespace, "calendar", "no ticket of at least 22 characters").await;
    start_over().await;
    namespace.apply("{apiVersion: v1, kind: Secret, metadata: {name: calendar-oauth-consent}}").await;
    failed(namespace, "calendar", "not of type oauth-operator.dev/consent").await;
    assert!(namespace.secret("calendar-oauth-consent").await.is_some(), "somebody else's is left alone");
    start_over().await;
    let foreign = "https://hover.to/?code=abc&state=foreign";
    let foreign = format!("{foreign}&iss={}", stage.oidc.issuer.replace(':', "%3A").replace('/', "%2F"));
    create_consent(namespace, "calendar", &[("ticket", "0123456789abcdefghijkl"), ("response", &foreign)]).await;
    failed(namespace, "calendar", "state is not one that was given out").await;
    no_consent_is_left(namespace, "calendar").await;
    create_consent(namespace, "calendar", &[("ticket", "0123456789abcdefghijkl"), ("response", "https://hover.to/")])
        .await;
    failed(namespace, "calendar", "neither a code nor the address").await;
    no_consent_is_left(namespace, "calendar").await;
    assert!(stage.oidc.log().await.is_empty());
}

/// The server takes no request that wasn't pushed (RFC 9126).
#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_request() {
    let stage = Stage::set("consent-pushed", &["--require-par"], &[]).await;
    stage.credential("calendar", "").await;
    let (browser, ticket) = (Browser::new(), stage.ticket("calendar").await);
    let provider = stage.depart(&browser, "calendar", &ticket).await;
    assert!(provider.contains("request_uri=urn") && !provider.contains("state="), "{provider}");
    let back = at_the_provider(&provider, "robot", true).await.unwrap();
    browser.get(&back).await.says(200, "robot");
    stage.namespace.ready("calendar").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_consent() {
    let stage = Stage::set("consent-subject", &[], &[]).await;
    let namespace = &stage.namespace;
    stage.credential("calendar", "expectedSubject: robot").await;
    stage.consent("calendar", "somebody-else").await.says(200, "Another account consented");
    let refused = failed(namespace, "calendar", "expectedSubject").await;
    assert!(!refused.is(ConditionType::Ready) && refused.status.unwrap().authorized_by.is_none());
    assert!(namespace.secret("calendar-token").await.is_none(), "nothing was published");
    assert_eq!(namespace.state("calendar").await["refreshToken"], Value::Null, "and nothing kept");
    no_consent_is_left(namespace, "calendar").await;
    stage.consent("calendar", "robot").await.says(200, "Your consent has arrived");
    namespace.ready("calendar").await;
}

/// The leader that took the code in doesn't wait for the watch, which has nothing new to tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_used_before_the_watch_tells_of_it() {
    let proxy = Proxy::start(Cluster::shared().await).await;
    let stage = Stage::set_behind(Some(&proxy), "consent-watch", &[], &[]).await;
    stage.credential("calendar", "").await;
    let (browser, ticket) = (Browser::new(), stage.ticket("calendar").await);
    let provider = stage.depart(&browser, "calendar", &ticket).await;
    let back = at_the_provider(&provider, "robot", true).await.unwrap();
    proxy.hold_events();
    browser.get(&back).await;
    stage.namespace.ready("calendar").await;
    proxy.let_events_pass();
    assert_eq!(stage.oidc.log().await.len(), 1);
}

/// The leader dies while the person is away; the callback comes to the other replica, which leads then.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_changes_meanwhile() {
    let mut stage = Stage::set("consent-leader", &[], &["--lease-duration=10s"]).await;
    let address = format!("127.0.0.1:{}", free_port());
    let (listen, public) = (format!("--listen={address}"), format!("--public-url={}", stage.pages));
    let flags = ["--allow-insecure-http", "--lease-duration=10s", &listen, &public];
    let _second = Operator::in_pod(&stage.namespace, "second", &flags).await;
    stage.credential("calendar", "").await;
    let (browser, ticket) = (Browser::new(), stage.ticket("calendar").await);
    let provider = stage.depart(&browser, "calendar", &ticket).await;
    let back = at_the_provider(&provider, "robot", true).await.unwrap();
    stage.operator.kill();
    let elsewhere = back.replace(&stage.pages, &format!("http://{address}"));
    let shown = browser.get(&elsewhere).await;
    assert!(shown.status == 200 || shown.status == 202, "{}", shown.html);
    stage.namespace.ready("calendar").await;
    assert_eq!(stage.oidc.log().await.len(), 1);
}

async fn device(namespace: &Namespace, name: &str, issuer: &str, grant: &str) {
    namespace
        .apply(&format!(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider: {{issuer: "{issuer}"}}
  client: {{id: web-public, authentication: none}}
  grant: {{deviceCode: {{{grant}}}}}
  scopes: [openid, offline_access]
"#
        ))
        .await;
}

fn user_code(credential: &OAuthCredential) -> Option<(String, String)> {
    let authorization = credential.status.as_ref()?.authorization.as_ref()?;
    Some((authorization.user_code.clone()?, authorization.verification_uri.clone()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code() {
    let namespace = Cluster::shared().await.namespace("consent-device").await;
    let oidc = Oidc::start(&[]).await;
    let mut operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    device(&namespace, "tv", &oidc.issuer, "").await;
    let shown = namespace.credential_until("tv", "a user code", SOON, |it| user_code(it).is_some()).await;
    assert_eq!(shown.reason(ConditionType::Ready), Some("AuthorizationRequired"));
    let (code, page) = user_code(&shown).unwrap();
    // The next poll is told to slow down, and the operator is killed: the same code is polled on.
    oidc.configure(&json!({"fail": {"status": 400, "body": {"error": "slow_down"}}})).await;
    until("a poll", SOON, async || (!oidc.log().await.is_empty()).then_some(())).await;
    operator.restart().await;
    at_the_provider(&format!("{page}?user_code={code}"), "robot", true).await;
    let ready = namespace.ready("tv").await;
    let status = ready.status.unwrap();
    assert_eq!(status.authorized_by.unwrap().subject.as_deref(), Some("robot"));
    assert_eq!(status.authorization, None, "there is nothing left to confirm");
    namespace.request_refresh("tv", "2026-01-01T00:00:00Z").await;
    namespace.revision("tv", 2, SOON).await;
    assert_eq!(oidc.replays().await, 0);
    assert!(namespace.state("tv").await["device"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn device_codes_that_come_to_nothing() {
    let namespace = Cluster::shared().await.namespace("consent-device-over").await;
    let oidc = Oidc::start(&["--device-code-ttl", "3"]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    device(&namespace, "tv", &oidc.issuer, "").await;
    let first = namespace.credential_until("tv", "a user code", SOON, |it| user_code(it).is_some()).await;
    let other = |it: &OAuthCredential| user_code(it).is_some_and(|code| Some(code) != user_code(&first));
    namespace.credential_until("tv", "another user code", SOON * 2, other).await;
    failed(&namespace, "tv", "expired before anyone confirmed").await;

    let oidc = Oidc::start(&[]).await;
    device(&namespace, "radio", &oidc.issuer, "expectedSubject: robot").await;
    let shown = namespace.credential_until("radio", "a user code", SOON, |it| user_code(it).is_some()).await;
    let (code, page) = user_code(&shown).unwrap();
    at_the_provider(&format!("{page}?user_code={code}"), "somebody-else", true).await;
    let refused = failed(&namespace, "radio", "expectedSubject").await;
    assert!(!refused.is(ConditionType::Ready) && namespace.secret("radio-token").await.is_none());
    let other = |it: &OAuthCredential| user_code(it).is_some_and(|now| now.0 != code);
    let shown = namespace.credential_until("radio", "another user code", SOON * 2, other).await;
    let (code, page) = user_code(&shown).unwrap();
    at_the_provider(&format!("{page}?user_code={code}"), "robot", true).await;
    namespace.ready("radio").await;
}
