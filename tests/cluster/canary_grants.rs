//! The same as `canary`, for what the grants and client authentications have for secrets: keys, assertions, tokens of ServiceAccounts,
//! passwords, tokens to exchange, codes. What is made for one request alone is taken from that request.

use std::time::Duration;

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use crate::assertions::{account, allow_tokens, form};
use crate::canary::{MARKER, assert_nothing_told, error, issued};
use crate::support::standin::{Fault, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Collector, Conditions, Namespace, Operator, SOON, certificates, until};

/// Long enough to be searched for, and in no other text.
const LEAST: usize = 20;
const CALLBACK: &str = "https://oauth.example.com/oauth/callback";

struct Case {
    name: &'static str,
    client: Value,
    grant: Value,
    /// What becomes of it first: a token, or a failure.
    good: bool,
    answers: Vec<Reply>,
}

/// A case whose first request brings a token, and the next ones errors that repeat what they were sent.
fn case(name: &'static str, client: Value, grant: Value) -> Case {
    let answers = vec![issued(), error(400, "invalid_grant"), error(401, "invalid_client"), error(400, MARKER)];
    Case { name, client, grant, good: true, answers }
}

fn input(key: &str) -> Value {
    json!({"name": "input", "key": key})
}

fn cases() -> Vec<Case> {
    let none = json!({"id": "3fc0", "authentication": "none"});
    let signed =
        |key: &str| json!({"id": "3fc0", "authentication": "private_key_jwt", "privateKeySecretRef": input(key)});
    let machine = json!({"clientCredentials": {}});
    let federated = json!({"name": "reports", "audiences": ["acme"]});
    let bearer = |key: &str| json!({"jwtBearer": {"privateKeySecretRef": input(key), "issuer": "robot"}});
    let exchange = |subject: Value| json!({"tokenExchange": {"subjectToken": subject, "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt"}});
    let failing = |case: Case| Case { good: false, ..case };
    let pending = [
        Reply::json(
            200,
            &json!({
                "device_code": format!("device-{MARKER}"), "user_code": "WDJB-MJHT", "verification_uri": "https://example.com/device",
                "expires_in": 600, "interval": 1,
            }),
        ),
        error(400, "authorization_pending"),
        issued(),
    ];
    vec![
        case("signed", signed("key"), machine.clone()),
        case(
            "hashed",
            json!({"id": "3fc0", "authentication": "client_secret_jwt", "secretRef": input("secret")}),
            machine.clone(),
        ),
        case(
            "federated",
            json!({"id": "3fc0", "authentication": "private_key_jwt", "serviceAccountRef": federated}),
            machine.clone(),
        ),
        case("bearer", none.clone(), bearer("key")),
        case("bearer-account", none.clone(), json!({"jwtBearer": {"serviceAccountRef": federated}})),
        case(
            "password",
            none.clone(),
            json!({"password": {"usernameSecretRef": input("username"), "passwordSecretRef": input("password")}}),
        ),
        case("exchange", none.clone(), exchange(json!({"secretRef": input("subject")}))),
        case("exchange-account", none.clone(), exchange(json!({"serviceAccountRef": federated}))),
        Case { answers: pending.to_vec(), ..case("device", none.clone(), json!({"deviceCode": {}})) },
        failing(Case {
            answers: vec![error(400, "invalid_grant")],
            ..case("code", none.clone(), json!({"authorizationCode": {"redirectURI": CALLBACK}}))
        }),
        failing(case("not-a-key", signed("broken-key"), machine.clone())),
        failing(case("not-a-jwk", none, bearer("broken-jwk"))),
        failing(case(
            "not-a-certificate",
            json!({"id": "3fc0", "certificateSecretRef": {"name": "broken-tls"}}),
            machine,
        )),
    ]
}

fn secrets(key: &str) -> String {
    let pem = |kind: &str| format!("-----BEGIN {kind}-----\n{MARKER}\n-----END {kind}-----\n");
    let input = json!({
        "key": key, "secret": format!("{MARKER}, and as long as an HS256 key has to be"), "username": format!("{MARKER}@example.com"),
        "password": format!("{MARKER}&password"), "subject": format!("subject-{MARKER}"), "broken-key": pem("PRIVATE KEY"),
        "broken-jwk": format!(r#"{{"kty": "EC", "crv": "P-256", "d": "{MARKER}"}}"#),
    });
    let tls = json!({"tls.crt": pem("CERTIFICATE"), "tls.key": pem("PRIVATE KEY")});
    let secret = |name: &str, kind: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name}, "stringData": data});
    format!("{}\n---\n{}\n", secret("input", "Opaque", input), secret("broken-tls", "kubernetes.io/tls", tls))
}

/// Of each request that arrived: what it alone had.
fn sent(standin: &Standin) -> Vec<String> {
    let mut sent = Vec::new();
    for request in standin.requests() {
        for (name, value) in form(&request) {
            let is_secret =
                ["client_assertion", "assertion", "subject_token", "code_verifier"].contains(&name.as_str());
            if is_secret && !value.contains(MARKER) {
                // The last part is a token's signature.
                sent.push(value.rsplit('.').next().unwrap().to_owned());
                sent.push(value);
            }
        }
    }
    sent
}

/// Consents as one who pastes a code. Gives the ticket.
async fn paste_a_code(namespace: &Namespace, credential: &str) -> String {
    let ticket = uuid::Uuid::new_v4().to_string();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "oauth-operator.dev/consent",
        "metadata": {"name": format!("{credential}-oauth-consent")},
        "stringData": {"ticket": ticket, "response": format!("code-{MARKER}")},
    });
    namespace.secrets().create(&Default::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    ticket
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_any_grant_leaks() {
    let namespace = Cluster::shared().await.namespace("canary-grants").await;
    let collector = Collector::start().await;
    let flags = [
        "--allow-insecure-http",
        "--log-level=trace",
        "--leader-election=false",
        "--request-timeout=3s",
        &collector.flag(),
    ];
    let operator = Operator::start(&namespace, &flags).await;
    allow_tokens(&namespace).await;
    let key = certificates::key().serialize_pem();
    namespace.apply(&format!("{}---\n{}", account("acme"), secrets(&key))).await;
    let mut cases_at = Vec::new();
    for case in cases() {
        let standin = Standin::start(Hover::default()).await;
        for reply in &case.answers {
            standin.inject(Fault::Before(Symptom::Answer(reply.clone())));
        }
        // The stand-in has no device authorization endpoint: its token endpoint answers what it is told to.
        let token = standin.token_url();
        let endpoints = json!({"token": token, "deviceAuthorization": token, "authorization": standin.authorize_url()});
        let credential = json!({
            "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "metadata": {"name": case.name},
            "spec": {"provider": {"endpoints": endpoints}, "client": case.client, "grant": case.grant},
        });
        namespace.apply(&credential.to_string()).await;
        cases_at.push((case, standin));
    }
    let ticket = paste_a_code(&namespace, "code").await;

    for (case, standin) in &cases_at {
        if case.good {
            namespace.ready(case.name).await;
            if case.answers.len() > 3 {
                namespace.request_refresh(case.name, "2026-01-01T00:00:00Z").await;
                until("another request", SOON, async || (standin.requests().len() >= 2).then_some(())).await;
                namespace.credential_until(case.name, "refused", SOON, |it| !it.is(ConditionType::Refreshed)).await;
            }
        } else if case.name == "code" {
            let failed = |it: &oauth_operator::api::OAuthCredential| {
                it.status.as_ref().and_then(|it| it.authorization.as_ref()?.last_failure.clone()).is_some()
            };
            namespace.credential_until(case.name, "a consent that failed", SOON, failed).await;
        } else {
            let said = namespace.reason(case.name, ConditionType::Stalled, "InvalidSpec").await;
            assert!(standin.requests().is_empty(), "{}: {}", case.name, said.message(ConditionType::Stalled));
        }
    }

    let mut secrets = vec![MARKER.to_owned(), ticket];
    secrets.extend(key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
    let of_requests: Vec<String> = cases_at.iter().flat_map(|(_, standin)| sent(standin)).collect();
    assert!(of_requests.len() >= 20, "what is searched for was really sent: {}", of_requests.len());
    secrets.extend(of_requests);
    assert!(secrets.iter().all(|secret| secret == MARKER || secret.len() >= LEAST), "{secrets:?}");
    let asked = |name: &str| cases_at.iter().find(|(case, _)| case.name == name).unwrap().1.requests();
    let polled = form(&asked("device")[1]);
    assert_eq!(polled["device_code"], format!("device-{MARKER}"));
    assert_eq!(form(&asked("code")[0])["code"], format!("code-{MARKER}"));
    let searched = assert_nothing_told(&namespace, operator, &collector, &secrets);
    tokio::time::timeout(Duration::from_secs(120), searched).await.unwrap();
}
