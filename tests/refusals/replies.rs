//! What a token endpoint can answer instead of a token. Nothing of it is repeated to anybody.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

use crate::{
    answers::{Answer, Answers, CANARY, answer, error, with_headers},
    case::{Case, Expect, client, nothing_leaked, spec},
    objects::{credential, merged, secret},
    support::{Cluster, Namespace, Operator, free_port, namespace::apply},
};

/// One answer, and what is said of it.
struct Row {
    name: &'static str,
    answer: Answer,
    /// Where nothing is consumed.
    expect: Expect,
    /// Whether a refresh token that was sent may be spent.
    may_be_spent: bool,
}

fn refusal(name: &'static str, answer: Answer, reason: &'static str, says: &[&str]) -> Row {
    Row { name, answer, expect: Expect::stalled(reason, says), may_be_spent: false }
}

fn nonsense(name: &'static str, answer: Answer, says: &[&str]) -> Row {
    Row { name, answer, expect: Expect::retried("InvalidResponse", says), may_be_spent: true }
}

fn failure(name: &'static str, answer: Answer, says: &[&str]) -> Row {
    Row { name, answer, expect: Expect::retried("ProviderUnavailable", says), may_be_spent: true }
}

fn rows() -> Vec<Row> {
    let page = format!("<html><body>{CANARY}</body></html>");
    let html = |status| answer(status, "text/html", &page);
    let json = |status, body: Value| answer(status, "application/json", &body.to_string());
    let whole = answer("200 OK", "application/json", &format!(r#"{{"access_token":"{CANARY}","expires_in":60}}"#));
    let oversized = json!({"access_token": CANARY, "padding": " ".repeat(65 * 1024)});
    vec![
        refusal(
            "client",
            error("401 Unauthorized", "invalid_client"),
            "InvalidClient",
            &["The provider answered invalid_client", "check the client id, its secret and client.authentication"],
        ),
        refusal(
            "client-400",
            error("400 Bad Request", "invalid_client"),
            "InvalidClient",
            &["answered invalid_client"],
        ),
        refusal(
            "scope",
            error("400 Bad Request", "invalid_scope"),
            "InvalidSpec",
            &["The provider answered invalid_scope", "correct the credential's scopes"],
        ),
        refusal(
            "unauthorized",
            error("400 Bad Request", "unauthorized_client"),
            "InvalidClient",
            &["The provider answered unauthorized_client", "allow the grant type for this client at the provider"],
        ),
        refusal(
            "grant-type",
            error("400 Bad Request", "unsupported_grant_type"),
            "InvalidSpec",
            &["The provider answered unsupported_grant_type", "use another grant"],
        ),
        refusal(
            "grant-type-200",
            error("200 OK", "unsupported_grant_type"),
            "InvalidSpec",
            &["unsupported_grant_type"],
        ),
        refusal(
            "foreign-401",
            json("401 Unauthorized", json!({"error": CANARY})),
            "InvalidClient",
            &["answered 401 Unauthorized", "check every parameter"],
        ),
        Row {
            may_be_spent: false,
            ..nonsense(
                "unknown-code",
                error("400 Bad Request", CANARY),
                &["an error code that is not a registered one", "list it in permanentErrors or temporaryErrors"],
            )
        },
        nonsense("html-403", html("403 Forbidden"), &["answered 403 Forbidden", "check the client's permissions"]),
        nonsense(
            "html-404",
            html("404 Not Found"),
            &["No token endpoint answers at this URL", "check endpoints.token"],
        ),
        nonsense("teapot", json("418 Teapot", json!({"message": CANARY})), &["with status 418", "check the endpoint"]),
        failure("json-500", json("500 Oops", json!({"message": CANARY})), &["a server error", "it is tried again"]),
        failure("html-503", html("503 Unavailable"), &["a server error", "check the provider's status if it lasts"]),
        nonsense("html-200", html("200 OK"), &["a web page", "not a login page's"]),
        nonsense("no-token", json("200 OK", json!({"id": CANARY})), &["has no access token", "correct the path"]),
        nonsense("empty", answer("200 OK", "application/json", ""), &["neither JSON nor a form"]),
        nonsense(
            "text",
            answer("200 OK", "text/plain", CANARY),
            &["neither JSON nor a form", "check tokenResponse.encoding"],
        ),
        nonsense(
            "truncated",
            whole.map(|all| all[..all.len() - 4].to_owned()),
            &["broke off", "check what stands between"],
        ),
        nonsense(
            "oversized",
            json("200 OK", oversized),
            &["larger than 64 KiB", "check that the endpoint's URL is right"],
        ),
        nonsense(
            "redirect",
            with_headers("302 Found", &format!("location: /{CANARY}\r\n"), ""),
            &["a redirect, which is never followed", "set the endpoint to the URL that answers by itself"],
        ),
        nonsense(
            "control",
            json("200 OK", json!({"access_token": format!("{CANARY}\nadmin: true")})),
            &["access token has a control character", "ask the provider"],
        ),
        nonsense(
            "no-http",
            Some(format!("SSH-2.0-{CANARY}\r\n")),
            &["not HTTP/1", "check the endpoint's URL and port"],
        ),
        failure("silence", Some(String::new()), &["closed the connection without an answer", "check that it works"]),
    ]
}

pub async fn prepare(name: &str) -> (Namespace, Answers, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, name, vec![client()]).await.unwrap();
    (namespace, answers, operator)
}

/// A refresh token in the Secret `<name>-seed`, and the grant that names it.
pub fn seeded(name: &str) -> (Value, Value) {
    let secret_ref = json!({"name": format!("{name}-seed"), "key": "token"});
    (
        seed(name, &format!("first-{name}")),
        json!({"grant": {"clientCredentials": null, "refreshToken": {"secretRef": secret_ref}}}),
    )
}

pub fn seed(name: &str, token: &str) -> Value {
    secret(&format!("{name}-seed"), &[("token", token)])
}

/// Answers so until the operator has said so; then well. What waits for its time recovers by itself, what is stalled when a
/// person asks for it.
async fn run(namespace: &Namespace, answers: &Answers, row: &Row, case: Case) {
    answers.set(case.name, row.answer.clone());
    case.goes_wrong(namespace).await;
    answers.set(case.name, None);
    case.is_cured(namespace).await;
}

pub fn asked_for(name: &str, spec: &Value) -> Vec<Value> {
    let asked =
        json!({"metadata": {"annotations": {"oauth-operator.dev/refresh-requested-at": "2026-01-01T00:00:00Z"}}});
    vec![merged(&credential(name, spec), &asked)]
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_where_nothing_is_consumed() {
    let (namespace, answers, operator) = prepare("replies").await;
    let rows = rows();
    let runs = rows.iter().map(|row| {
        let spec = spec(&answers.url(row.name), &json!({}));
        let cure = if row.expect.stalled { asked_for(row.name, &spec) } else { vec![] };
        run(&namespace, &answers, row, Case { name: row.name, given: vec![], spec, expect: row.expect.clone(), cure })
    });
    futures::future::join_all(runs).await;
    assert!(answers.arrivals(CANARY).is_empty(), "a redirect was followed");
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_a_single_use_refresh_token() {
    let (namespace, answers, operator) = prepare("replies-kept").await;
    let rows = rows();
    let runs = rows.iter().map(|row| {
        let (first, grant) = seeded(row.name);
        let spec = spec(&answers.url(row.name), &grant);
        let cure = if row.expect.stalled { asked_for(row.name, &spec) } else { vec![] };
        let mut expect = row.expect.clone();
        if row.may_be_spent {
            (expect.reason, expect.refreshed) = ("OutcomeUnknown", "OutcomeUnknown");
            expect.says.push("its outcome is not known".to_owned());
        }
        run(&namespace, &answers, row, Case { name: row.name, given: vec![first], spec, expect, cure })
    });
    futures::future::join_all(runs).await;
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_grant_waits_for_a_new_refresh_token() {
    let (namespace, answers, operator) = prepare("lost").await;
    let (first, grant) = seeded("it");
    let expect = Expect {
        refreshed: "InvalidGrant",
        ..Expect::stalled(
            "AuthorizationRequired",
            &["The provider answered invalid_grant", "put a new refresh token into the input Secret"],
        )
    };
    let spec = spec(&answers.url("it"), &grant);
    let cure = vec![seed("it", "another-token")];
    let case = Case { name: "it", given: vec![first], spec, expect, cure };
    answers.set("it", error("400 Bad Request", "invalid_grant"));
    let lost = case.goes_wrong(&namespace).await;
    assert!(lost.status.unwrap().next_refresh_time.is_none(), "no call is planned");
    answers.set("it", None);
    case.is_cured(&namespace).await;
    assert_eq!(answers.arrivals("it").len(), 2);
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_is_tried_again_with_a_new_secret_and_refused_scopes_with_others() {
    let (namespace, answers, operator) = prepare("mended").await;
    let rows = rows();
    let row = |name| rows.iter().find(|row| row.name == name).unwrap();
    let own = json!({"client": {"secretRef": {"name": "own", "key": "secret"}}});
    let client = Case {
        name: "client",
        given: vec![secret("own", &[("secret", "hunter2-old")])],
        spec: spec(&answers.url("client"), &own),
        expect: row("client").expect.clone(),
        cure: vec![secret("own", &[("secret", "hunter2-new")])],
    };
    let scopes = |scope: &str| spec(&answers.url("scope"), &json!({"scopes": [scope]}));
    let scope = Case::of_spec("scope", scopes("wrong"), row("scope").expect.clone(), &scopes("right"));
    tokio::join!(run(&namespace, &answers, row("client"), client), run(&namespace, &answers, row("scope"), scope),);
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed() {
    let (namespace, answers, operator) = prepare("limited").await;
    let (first, kept) = seeded("kept");
    let expect = || {
        Expect::retried("RateLimited", &["limits how often it is called", "waits as long as it was told", "rateLimit"])
    };
    let case = |name, given, patch| Case {
        name,
        given,
        spec: spec(&answers.url(name), patch),
        expect: expect(),
        cure: vec![],
    };
    let cases = [case("kept", vec![first], &kept), case("not-kept", vec![], &json!({}))];
    let limited = with_headers("429 Too Many", "retry-after: 8\r\n", CANARY);
    futures::future::join_all(cases.iter().map(async |case| {
        answers.set(case.name, limited.clone());
        let said = case.goes_wrong(&namespace).await;
        let status = said.status.unwrap();
        let wait = status.next_refresh_time.unwrap().duration_since(status.last_failure_time.unwrap());
        assert!((8..=9).contains(&wait.as_secs()), "{}: {wait}", case.name);
        answers.set(case.name, None);
        // A person's wish doesn't override it.
        namespace.request_refresh(case.name, "2026-01-01T00:00:00Z").await;
        case.recovers(&namespace).await;
        let arrivals = answers.arrivals(case.name);
        assert_eq!(arrivals.len(), 2, "{}", case.name);
        assert!(arrivals[1] - arrivals[0] >= Duration::from_secs(8), "{}: {:?}", case.name, arrivals[1] - arrivals[0]);
    }))
    .await;
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_late_is_found() {
    let (namespace, answers, operator) = prepare("late").await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let case = Case {
        name: "it",
        given: vec![],
        spec: spec(&format!("http://{address}/it"), &json!({})),
        expect: Expect::retried("ProviderUnavailable", &["accepts no connection", "check its host and port"]),
        cure: vec![],
    };
    case.goes_wrong(&namespace).await;
    let late = Answers::start_at(address).await;
    case.recovers(&namespace).await;
    assert_eq!((late.arrivals("it").len(), answers.arrivals("it").len()), (1, 0));
    nothing_leaked(&namespace, &operator).await;
}
