//! `authorize`: a person consents at a real OAuth server's own pages, in each of the ways an answer comes back.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use crate::person::{Person, Ran, Running};
use crate::support::browser::{Browser, at_the_provider};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, free_port, until};

const TITLE: &str = "oauthcredential.oauth-operator.dev/calendar";

/// A token server, and a namespace with a credential of it. `grant` is what authorizationCode holds.
struct Stage {
    namespace: Namespace,
    oidc: Oidc,
    _operator: Operator,
}

impl Stage {
    /// With pages at `pages`, if there are any.
    async fn set(name: &str, redirect_uri: &str, pages: Option<u16>, grant: &str) -> Self {
        let namespace = Cluster::shared().await.namespace(name).await;
        let oidc = Oidc::start(&["--redirect-uri", redirect_uri]).await;
        let served =
            pages.map(|port| [format!("--listen=127.0.0.1:{port}"), format!("--public-url=http://127.0.0.1:{port}")]);
        let mut flags = vec!["--allow-insecure-http"];
        flags.extend(served.iter().flatten().map(String::as_str));
        let operator = Operator::start(&namespace, &flags).await;
        let issuer = &oidc.issuer;
        namespace
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
metadata: {{name: calendar}}
spec:
  providerRef: {{name: idp}}
  client: {{id: web-post, secretRef: {{name: web-post, key: secret}}}}
  grant: {{authorizationCode: {{{grant}}}}}
  scopes: [openid, offline_access]
"#
            ))
            .await;
        namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
        Self { namespace, oidc, _operator: operator }
    }

    async fn with_pages(name: &str) -> Self {
        let port = free_port();
        Self::set(name, &format!("http://127.0.0.1:{port}/oauth/callback"), Some(port), "").await
    }
}

/// From the address with the ticket to the provider, and back with an answer.
async fn consents(address: &str, login: &str, allows: bool) {
    let (page, ticket) = address.split_once('#').unwrap();
    let browser = Browser::new();
    until("the ticket is known", SOON, async || {
        (browser.post(page, &[("ticket", ticket)]).await.status == 200).then_some(())
    })
    .await;
    let provider = browser.post(page, &[("ticket", ticket), ("continue", "yes")]).await.leaves_for();
    let back = at_the_provider(&provider, login, allows).await.unwrap();
    assert_eq!(browser.get(&back).await.status, 200);
}

async fn no_secret_is_left(namespace: &Namespace) {
    until("the Consent Secret is gone", SOON, async || {
        namespace.secret("calendar-oauth-consent").await.is_none().then_some(())
    })
    .await;
}

/// The arguments of a process, which everybody may read.
fn arguments(pid: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_at_the_operators_pages() {
    let stage = Stage::with_pages("authorize").await;
    let person = Person::admin(&stage.namespace);
    let mut running = person.begins(&["authorize", "calendar"]);
    let address = running.line("http://").await;
    assert!(address.contains("/consent/authorize/calendar#"), "{address}");
    let busy = person.runs(&["authorize", "calendar"]).ended(1);
    assert!(
        busy.contains("somebody consents already") && busy.contains("delete secret calendar-oauth-consent"),
        "{busy}"
    );
    consents(&address, "robot", true).await;
    let ran = running.ran().await;
    ran.ended(0);
    assert!(
        ran.stdout.starts_with(&format!("{TITLE} authorized by robot: Ready, the token expires in ")),
        "{}",
        ran.stdout
    );
    stage.namespace.ready("calendar").await;
    no_secret_is_left(&stage.namespace).await;

    // Again, and refused: twice in the same words.
    for _ in 0..2 {
        let mut running = person.begins(&["authorize", "calendar", "-o", "json"]);
        consents(&running.line("http://").await, "robot", false).await;
        let ran = running.ran().await;
        assert_eq!(ran.status, 1);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((&told["name"], &told["authorized"]), (&json!("calendar"), &json!(false)));
        assert!(told["message"].as_str().unwrap().contains("access_denied"), "{told}");
        no_secret_is_left(&stage.namespace).await;
    }
    // By somebody else, who replaces the first.
    let mut running = person.begins(&["authorize", "calendar", "-o", "json"]);
    consents(&running.line("http://").await, "another", true).await;
    let ran = running.ran().await;
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.status, &told["subject"]), (0, &json!("another")), "{told}");

    // Revoked, and given anew.
    person.runs(&["revoke", "calendar", "--yes", "--wait"]).ended(0);
    let lost = stage.namespace.reason("calendar", ConditionType::Stalled, "AuthorizationRequired").await;
    assert!(!lost.is(ConditionType::Ready) && lost.status.unwrap().authorized_by.is_none());
    let told = person.runs(&["status", "calendar"]).ended(1);
    assert!(told.contains("To consent: kubectl oauth --namespace authorize authorize calendar"), "{told}");
    let mut running = person.begins(&["authorize", "calendar"]);
    consents(&running.line("http://").await, "another", true).await;
    running.ran().await.ended(0);
    assert_eq!(stage.oidc.replays().await, 0);
}

/// Nobody finishes: what was begun is taken away.
#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_consent_leaves_nothing() {
    let stage = Stage::with_pages("authorize-abandoned").await;
    let person = Person::admin(&stage.namespace);
    let mut running = person.begins(&["authorize", "calendar"]);
    running.line("http://").await;
    assert!(stage.namespace.secret("calendar-oauth-consent").await.is_some());
    running.interrupt();
    let said = running.ran().await.ended(1);
    assert!(said.contains("not authorized: given up"), "{said}");
    assert!(stage.namespace.secret("calendar-oauth-consent").await.is_none());

    let said = person.begins(&["authorize", "calendar", "--timeout", "3s"]).ran().await.ended(1);
    assert!(said.contains("not authorized within 3 s") && said.contains("kubectl oauth status calendar"), "{said}");
    assert!(stage.namespace.secret("calendar-oauth-consent").await.is_none());
    let credential = stage.namespace.credential("calendar").await;
    assert!(credential.status.unwrap().authorization.unwrap().last_failure.is_none(), "nothing else changes");
}

/// A browser is given a file that only the person can read, and no ticket.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_opened_where_there_is_one() {
    let stage = Stage::with_pages("authorize-browser").await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(
        at("xdg-open"),
        format!(
            "#!/bin/sh\ncd {}\nprintf '%s' \"$*\" > arguments\nstat -c %a \"$(dirname \"$1\")\" > mode\ncat \"$1\" > page.new\nmv page.new page\n",
            folder.path().display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(at("xdg-open"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(at("run")).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let run = at("run").to_str().unwrap().to_owned();
    let environment = [("PATH", path.as_str()), ("DISPLAY", ":0"), ("XDG_RUNTIME_DIR", &run)];

    let person = Person::admin(&stage.namespace);
    let mut running = person.begins_with(&["authorize", "calendar"], &environment);
    let address = running.line("http://").await;
    running.line("A browser was asked to open it.").await;
    let page = until("the browser has the file", SOON, async || std::fs::read_to_string(at("page")).ok()).await;
    assert!(page.contains(&format!("0;url={address}\"")), "{page}");
    let ticket = address.split_once('#').unwrap().1;
    let given = std::fs::read_to_string(at("arguments")).unwrap();
    assert!(given.starts_with(&run) && given.ends_with(".html") && !given.contains(ticket), "{given}");
    assert_eq!(std::fs::read_to_string(at("mode")).unwrap(), "700\n");
    assert!(!arguments(running.pid()).contains(ticket));
    consents(&address, "robot", true).await;
    running.ran().await.ended(0);
    assert_eq!(std::fs::read_dir(&run).unwrap().count(), 0, "the file is gone");

    let mut running = person.begins_with(&["authorize", "calendar", "--no-browser"], &environment);
    running.line("http://").await;
    running.interrupt();
    let said = running.ran().await.ended(1);
    assert!(!said.contains("A browser was asked"), "{said}");
}

/// Hover redirects to its own page: the code, or the whole address, is pasted.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_pasted() {
    let namespace = Cluster::shared().await.namespace("authorize-paste").await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let standin = Standin::start(Hover { redirect_uri: "https://hover.to/".into(), ..Hover::default() }).await;
    namespace
        .apply(&format!(
            r#"
apiVersion: v1
kind: Secret
metadata: {{name: hover-client}}
stringData: {{client_secret: s3cr3t}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: calendar}}
spec:
  provider:
    endpoints: {{authorization: "{}", token: "{}"}}
    tokenRequest: {{encoding: JSON}}
  client: {{id: "3fc0", secretRef: {{name: hover-client, key: client_secret}}, authentication: client_secret_post}}
  grant: {{authorizationCode: {{redirectURI: "https://hover.to/", pkce: Disabled}}}}
  scopes: [all]
"#,
            standin.authorize_url(),
            standin.token_url(),
        ))
        .await;
    let person = Person::admin(&namespace);
    // The person presses Allow. Gives the address in the browser, and the code in it.
    let allows = async |url: &str| {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let redirected = http.post(url).send().await.unwrap();
        let address = redirected.headers()["location"].to_str().unwrap().to_owned();
        let code = address.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
        (address, code)
    };
    let is_silent = |ran: &Ran, code: &str| {
        assert!(!ran.stdout.contains(code) && !ran.stderr.contains(code), "{}{}", ran.stdout, ran.stderr);
    };

    let mut running = person.begins(&["authorize", "calendar"]);
    let url = running.line("http://").await;
    let told = running.line("You end up at").await;
    assert!(told.contains("begins with https://hover.to/"), "{told}");
    let (address, code) = allows(&url).await;
    running.types(&address);
    let ran = running.ran().await;
    ran.ended(0);
    assert!(ran.stdout.starts_with(&format!("{TITLE} authorized: Ready")), "{}", ran.stdout);
    is_silent(&ran, &code);

    no_secret_is_left(&namespace).await;
    let mut running = person.begins(&["authorize", "calendar", "--paste"]);
    let (_, code) = allows(&running.line("http://").await).await;
    running.types(&code);
    let ran = running.ran().await;
    ran.ended(0);
    is_silent(&ran, &code);

    // At a terminal: what is no answer is asked for again, and nothing that is pasted is shown.
    let quoted = |command: &Command| {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
    };
    no_secret_is_left(&namespace).await;
    let inner = person.command(&["authorize", "calendar", "--paste"]);
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &quoted(&inner), "/dev/null"]);
    terminal.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = Running::start(terminal);
    let url = running.line("http://").await;
    running.line("You end up at").await;
    until("the prompt", SOON, async || running.said().contains("(it isn't shown)").then_some(())).await;
    running.types("https://hover.to/?nothing=here");
    running.line("That is no response").await;
    let (address, code) = allows(&url).await;
    until("the prompt again", SOON, async || (running.said().matches("(it isn't shown)").count() == 2).then_some(()))
        .await;
    running.types(&address);
    let ran = running.ran().await;
    ran.ended(0);
    is_silent(&ran, &code);
    assert!(!ran.stdout.contains("nothing=here"), "{}", ran.stdout);

    // What is no answer, from a pipe; and an answer that the operator refuses.
    no_secret_is_left(&namespace).await;
    let mut running = person.begins(&["authorize", "calendar", "--paste"]);
    running.line("You end up at").await;
    running.types("https://hover.to/");
    let said = running.ran().await.ended(2);
    assert!(said.contains("standard input has no response: the address has neither a code nor an error"), "{said}");
    assert!(namespace.secret("calendar-oauth-consent").await.is_none());
    let mut running = person.begins(&["authorize", "calendar", "--paste"]);
    running.line("You end up at").await;
    running.types("https://hover.to/?code=abcdefgh&state=foreign");
    let said = running.ran().await.ended(1);
    assert!(said.contains("state is not one that was given out"), "{said}");
    assert!(namespace.ready("calendar").await.status.unwrap().authorized_by.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_to_this_machine() {
    let port = free_port();
    let redirect = format!("http://127.0.0.1:{port}/callback");
    let stage = Stage::set("authorize-loopback", &redirect, None, &format!("redirectURI: '{redirect}'")).await;
    let person = Person::admin(&stage.namespace);
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let refused = person.runs(&["authorize", "calendar", "--loopback"]).ended(2);
    assert!(
        refused.contains(&format!("can't listen at 127.0.0.1, port {port}")) && refused.contains("--paste"),
        "{refused}"
    );
    assert!(stage.namespace.secret("calendar-oauth-consent").await.is_none());
    drop(taken);

    let mut running = person.begins(&["authorize", "calendar", "--loopback"]);
    let url = running.line("http://").await;
    let browser = Browser::new();
    browser.get(&format!("http://127.0.0.1:{port}/favicon.ico")).await.says(404, "nothing here");
    browser.get(&redirect).await.says(400, "no answer of a provider");
    browser.get(&format!("{redirect}?code=lure&state=guessed")).await.says(400, "another request");
    browser.post(&redirect, &[("code", "lure")]).await.says(405, "by GET");
    let back = at_the_provider(&url, "robot", true).await.unwrap();
    assert!(back.starts_with(&redirect), "{back}");
    browser.get(&back).await.says(200, "Your answer has arrived");
    let ran = running.ran().await;
    let said = ran.ended(0);
    assert!(said.contains(&format!("{TITLE} authorized by robot")), "{said}");
    let code = url::Url::parse(&back).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    assert!(!said.contains(&code), "{said}");
    assert_eq!(stage.oidc.log().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_code_is_shown() {
    let namespace = Cluster::shared().await.namespace("authorize-device").await;
    let oidc = Oidc::start(&[]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace
        .apply(&format!(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: calendar}}
spec:
  provider: {{issuer: "{}"}}
  client: {{id: web-public, authentication: none}}
  grant: {{deviceCode: {{}}}}
  scopes: [openid, offline_access]
"#,
            oidc.issuer
        ))
        .await;
    let person = Person::admin(&namespace);
    // "Open URI and enter the code CODE. It expires in 10m."
    let told = async |running: &mut Running| {
        let line = running.line("Open http").await;
        let words: Vec<_> = line.split(' ').collect();
        format!("{}?user_code={}", words[1], words[6].trim_end_matches('.'))
    };
    let mut running = person.begins(&["authorize", "calendar"]);
    let page = told(&mut running).await;
    at_the_provider(&page, "robot", false).await;
    let refused = running.ran().await.ended(1);
    assert!(refused.contains("not authorized: ") && refused.contains("access_denied"), "{refused}");

    let mut running = person.begins(&["authorize", "calendar"]);
    let page = told(&mut running).await;
    at_the_provider(&page, "robot", true).await;
    let said = running.ran().await.ended(0);
    assert!(said.contains(&format!("{TITLE} authorized by robot: Ready")), "{said}");
    let said = person.runs(&["authorize", "calendar"]).ended(0);
    assert!(said.contains("authorized by robot already: Ready"), "{said}");

    person.runs(&["revoke", "calendar", "--yes", "--wait"]).ended(0);
    let mut running = person.begins(&["authorize", "calendar"]);
    at_the_provider(&told(&mut running).await, "another", true).await;
    let said = running.ran().await.ended(0);
    assert!(said.contains(&format!("{TITLE} authorized by another: Ready")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_said() {
    let stage = Stage::with_pages("authorize-refused").await;
    let (namespace, person) = (&stage.namespace, Person::admin(&stage.namespace));
    let ours = "oauth-operator.dev";
    let viewer = Person::with_rights(namespace, "viewer", &[(ours, "oauthcredentials", &["get", "list"])]).await;
    let refused = viewer.runs(&["authorize", "calendar"]).ended(3);
    assert!(refused.contains("you may not create the Secret calendar-oauth-consent"), "{refused}");
    // To create is the right to consent: no more is needed where the operator has pages.
    let rights = [(ours, "oauthcredentials", &["get", "list"][..]), ("", "secrets", &["create"][..])];
    let creator = Person::with_rights(namespace, "creator", &rights).await;
    let mut running = creator.begins(&["authorize", "calendar"]);
    consents(&running.line("http://").await, "robot", true).await;
    running.ran().await.ended(0);

    let loopback = person.runs(&["authorize", "calendar", "--loopback"]).ended(2);
    assert!(
        loopback.contains("grant.authorizationCode.redirectURI") && loopback.contains("It is not set."),
        "{loopback}"
    );
    namespace.patch_credential("calendar", &json!({"spec": {"suspend": true}})).await;
    let suspended = person.runs(&["authorize", "calendar"]).ended(1);
    assert!(suspended.contains("spec.suspend"), "{suspended}");
    let absent = person.runs(&["authorize", "nothing"]).ended(3);
    assert!(absent.contains("there is no OAuthCredential nothing"), "{absent}");
    let other = json!({
        "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "metadata": {"name": "machine"},
        "spec": {"provider": {"endpoints": {"token": "https://a.example/t"}}, "grant": {"clientCredentials": {}}, "suspend": true},
    });
    namespace.apply(&other.to_string()).await;
    let nobody = person.runs(&["authorize", "machine"]).ended(1);
    assert!(nobody.contains("needs nobody's consent"), "{nobody}");
}
