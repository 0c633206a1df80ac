//! The pages on which people consent, and who brings them what no browser would: more than they take, faster than they like, and what
//! belongs to others. Whatever comes, tokens are refreshed meanwhile.

use std::time::Duration;

use oauth_operator::api::ConditionType;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::consent::{Stage, create_consent};
use super::manifests::{MACHINES, machine};
use crate::support::browser::Browser;
use crate::support::siege::{MARKER, Siege, bad_requests};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, free_port, say, until};

/// An operator with pages at `address`, and a credential `machine` whose tokens live for seconds.
struct Besieged {
    namespace: Namespace,
    operator: Operator,
    address: String,
    _oidc: Oidc,
}

impl Besieged {
    async fn set(name: &str) -> Self {
        let namespace = Cluster::shared().await.namespace(name).await;
        let oidc = Oidc::start(&["--access-token-ttl", "8"]).await;
        let address = format!("127.0.0.1:{}", free_port());
        let (listen, public) = (format!("--listen={address}"), format!("--public-url=http://{address}"));
        let operator = Operator::start(&namespace, &["--allow-insecure-http", &listen, &public]).await;
        namespace.apply(MACHINES).await;
        namespace.apply(&machine("machine", "post", &oidc.token_url(), "")).await;
        namespace.ready("machine").await;
        Self { namespace, operator, address, _oidc: oidc }
    }

    async fn revision(&self) -> i64 {
        self.namespace.status("machine").await.revision.unwrap()
    }

    /// The most memory that the operator has had, in KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.operator.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What comes back for these bytes until the connection ends, or says nothing more for a while.
    async fn answer(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        // It may be closed before all was sent.
        drop(stream.write_all(request).await);
        let mut answer = Vec::new();
        let end = Duration::from_secs(8);
        drop(tokio::time::timeout(end, stream.read_to_end(&mut answer)).await);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_refreshed_whatever_comes_to_the_pages() {
    let besieged = Besieged::set("pages-besieged").await;
    let namespace = &besieged.namespace;
    let (before, peak) = (besieged.revision().await, besieged.peak());
    let siege = Siege::lay(&besieged.address, None);
    // By its own schedule, twice, and because somebody asks for it.
    namespace.revision("machine", before + 2, SOON * 2).await;
    namespace.request_refresh("machine", "2026-01-01T00:00:00Z").await;
    let wished = namespace
        .credential_until("machine", "refreshed on request", SOON * 2, |credential| {
            let status = credential.status.as_ref();
            status.is_some_and(|status| status.last_handled_refresh_request.is_some())
        })
        .await;
    assert!(wished.is(ConditionType::Ready) && wished.is(ConditionType::Refreshed));
    let (answered, took) = siege.lift().await;
    let grown = besieged.peak().saturating_sub(peak) / 1024;
    let rate = answered as f64 / took.as_secs_f64();
    say(&format!(
        "{answered} bad requests to the pages, {rate:.0} a second, cost {grown} MiB at the peak; refreshes went on"
    ));
    assert!(answered > 1_000, "nobody was besieged");
    assert!(grown < 48, "{grown} MiB more than before");
    let page = format!("http://{}/consent/{}/machine", besieged.address, namespace.name);
    Browser::new().get(&page).await.says(200, "Give your consent");
}

/// Connections that say nothing, or a byte now and then, are as many as may be, and only for a while.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_keeps_nobody_out() {
    let besieged = Besieged::set("pages-silent").await;
    let (before, peak) = (besieged.revision().await, besieged.peak());
    let mut silent = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(&besieged.address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /consent/a/b HTTP/1.1\r\nhost: a\r\nx-slow: ").await.unwrap();
        }
        silent.push(stream);
    }
    // They wait behind the others until those are dropped, and are served.
    let page = format!("http://{}/consent/{}/machine", besieged.address, besieged.namespace.name);
    Browser::new().get(&page).await.says(200, "Give your consent");
    besieged.namespace.revision("machine", before + 1, SOON).await;
    let grown = besieged.peak().saturating_sub(peak) / 1024;
    assert!(grown < 48, "{grown} MiB more than before");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_takes_is_refused_and_nothing_comes_back_of_it() {
    let besieged = Besieged::set("pages-limits").await;
    let address = &besieged.address;
    let close = "connection: close\r\n";
    let from_here = format!("origin: http://{address}\r\nhost: {address}\r\n");
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let many: String = (0..100).map(|number| format!("x-{number}: {MARKER}\r\n")).collect();
    let post = "POST /consent/nobody/nothing HTTP/1.1\r\n";
    let large = format!("ticket={}", MARKER.repeat(400));
    let chunk = format!("{:x}\r\n{}\r\n", 4096, "a".repeat(4096));
    for (what, request, statuses) in [
        ("a long head", format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", MARKER.repeat(4_000)), vec!["431", ""]),
        (
            "a long address",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", MARKER.repeat(8_000)),
            vec!["414", "431", ""],
        ),
        ("many headers", format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), vec!["431", "400"]),
        (
            "a long form",
            format!("{post}{from_here}{form}{close}content-length: {}\r\n\r\n{large}", large.len()),
            vec!["400"],
        ),
        (
            "a form without end",
            format!("{post}{from_here}{form}{close}transfer-encoding: chunked\r\n\r\n{}", chunk.repeat(64)),
            vec!["400", ""],
        ),
        (
            "two lengths",
            format!("{post}{from_here}{form}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            vec!["400"],
        ),
        ("no HTTP", format!("{MARKER}\r\n\r\n"), vec!["400", ""]),
        (
            "another type",
            format!("{post}{from_here}{close}content-type: text/plain\r\ncontent-length: 2\r\n\r\nab"),
            vec!["400"],
        ),
    ] {
        let answer = besieged.answer(request.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(statuses.contains(&status), "{what}: {answer}");
        assert!(!answer.contains(MARKER), "{what} comes back: {answer}");
    }

    for request in bad_requests(address) {
        let closing = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        let answer = besieged.answer(closing.as_bytes()).await.to_lowercase();
        assert!(!answer.contains(&MARKER.to_lowercase()), "comes back: {answer}");
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "content-security-policy: default-src 'none'",
            "content-type: text/html; charset=utf-8",
        ] {
            assert!(answer.contains(header), "{header} is missing:\n{request}\n{answer}");
        }
        assert!(!answer.contains("set-cookie") && !answer.contains("\r\nserver:"), "{answer}");
    }
}

/// A form of another site begins nothing, whatever it says or leaves out of where it comes from.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_begins_nothing() {
    let stage = Stage::set("pages-forms", &[], &[]).await;
    stage.credential("calendar", "").await;
    stage.namespace.reason("calendar", ConditionType::Ready, "AuthorizationRequired").await;
    let (page, ticket) = (stage.start_page("calendar"), stage.ticket("calendar").await);
    stage.when_known(&Browser::new(), &page, &ticket).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let own = stage.pages.as_str();
    for headers in [
        vec![],
        vec![("origin", "null")],
        vec![("origin", "https://evil.example")],
        vec![("origin", own), ("sec-fetch-site", "cross-site")],
        vec![("origin", own), ("sec-fetch-site", "same-site")],
        vec![("origin", own), ("sec-fetch-site", "none")],
        vec![("referer", own), ("sec-fetch-site", "same-origin")],
    ] {
        let form = [("ticket", ticket.as_str()), ("continue", "yes")];
        let request =
            headers.iter().fold(http.post(&page).form(&form), |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 403, "{headers:?}");
        assert!(!response.headers().contains_key("set-cookie"), "{headers:?}");
    }
}

/// A ticket and a cookie say whose consent they are for, and are good for no other namespace's credential of that name.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_and_a_cookie_are_for_one_namespaces_credential() {
    let mallory = Cluster::shared().await.namespace("pages-mallory").await;
    let stage = Stage::set("pages-victim", &[], &["--namespace=pages-mallory"]).await;
    for name in ["calendar", "diary"] {
        stage.credential(name, "").await;
        stage.namespace.reason(name, ConditionType::Ready, "AuthorizationRequired").await;
    }
    mallory
        .apply(&format!(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: calendar}}
spec:
  provider: {{issuer: "{}"}}
  client: {{id: web-public, authentication: none}}
  grant: {{authorizationCode: {{}}}}
"#,
            stage.oidc.issuer
        ))
        .await;
    let (theirs, own) = (stage.start_page("calendar"), format!("{}/consent/pages-mallory/calendar", stage.pages));
    // The victim is about to consent.
    let ticket = stage.ticket("calendar").await;
    stage.depart(&Browser::new(), "calendar", &ticket).await;

    let of_mallory = "Qx7mallory-0123456789abcdef";
    create_consent(&mallory, "calendar", &[("ticket", of_mallory)]).await;
    let browser = Browser::new();
    stage.when_known(&browser, &own, of_mallory).await;
    let form = [("ticket", of_mallory), ("continue", "yes")];
    browser.post(&theirs, &form).await.says(403, "The ticket doesn't fit");
    browser.post(&stage.start_page("diary"), &form).await.says(403, "The ticket doesn't fit");
    assert!(browser.cookies().is_empty());

    // With the cookie of a consent of mallory's own, made out to the victim's.
    let provider = browser.post(&own, &form).await.leaves_for();
    let state = url::Url::parse(&provider).unwrap();
    let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let (name, value) = browser.cookies().remove(0);
    let secret = value.rsplit('/').next().unwrap();
    let issuer = url::form_urlencoded::byte_serialize(stage.oidc.issuer.as_bytes()).collect::<String>();
    let back = format!("{}/oauth/callback?code=attackers&state={state}&iss={issuer}", stage.pages);
    for credential in ["calendar", "diary"] {
        let forged = format!("pages-victim/{credential}/{secret}");
        let shown = Browser::with_cookies(vec![(name.clone(), forged)]).get(&back).await;
        assert_eq!(shown.status, 403, "{}", shown.html);
    }
    let progress = stage.namespace.value("calendar-oauth-consent", "progress.json").await;
    assert!(!progress.contains("attackers"), "no code was taken in");
    until("nobody asked for a token", SOON, async || stage.oidc.log().await.is_empty().then_some(())).await;
}
