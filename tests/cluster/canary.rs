//! No secret, and not a word of a server, reaches a log, a trace, an Event, a status or a metric: each carries a marker, many ways
//! to fail are driven with the most verbose log, and everything that comes out is searched for it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use oauth_operator::api::ConditionType;
use serde_json::json;

use crate::support::standin::{Fault, Hover, Reply, Standin, Symptom};
use crate::support::{Cluster, Collector, Conditions, Namespace, Operator, SOON, until};

/// In every secret and every word of the server's. Encodings of a text around it contain one of its own (`forms`).
pub const MARKER: &str = "Qx7canaryZ9";

/// What the server answers, twice, and what the credential's spec and provider say besides.
struct Case {
    name: &'static str,
    faults: Vec<Fault>,
    provider: &'static str,
    spec: &'static str,
    client_secret: String,
    ca: Option<&'static str>,
}

impl Case {
    fn new(name: &'static str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let client_secret = format!("{MARKER}/client+secret=&ü");
        Self { name, faults: faults.into_iter().collect(), provider: "", spec: "", client_secret, ca: None }
    }

    fn answer(name: &'static str, reply: Reply) -> Self {
        Self::new(name, [reply.clone(), reply].map(|reply| Fault::Before(Symptom::Answer(reply))))
    }

    fn spec(self, spec: &'static str) -> Self {
        Self { spec, ..self }
    }

    fn provider(self, provider: &'static str) -> Self {
        Self { provider, ..self }
    }
}

/// A good reply whose every value bears the marker.
pub fn issued() -> Reply {
    Reply::json(
        200,
        &json!({
            "access_token": format!("access-{MARKER}"), "refresh_token": format!("refresh-{MARKER}"),
            "id_token": format!("id-{MARKER}"), "token_type": "Bearer", "expires_in": 3600,
            "owner_secret": format!("owner-{MARKER}"),
        }),
    )
}

pub fn error(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"error": code, "error_description": MARKER, "error_uri": format!("https://{MARKER}/")}))
        .header("www-authenticate", &format!("Bearer realm=\"{MARKER}\""))
        .header("x-request-id", MARKER)
}

fn cases() -> Vec<Case> {
    let text = |status, body: &str| Reply::new(status, "text/plain", body);
    let json_with = |value| Reply::json(200, &value);
    let mut cases = vec![
        Case::answer("issued", issued()),
        Case::answer("templated", issued()).spec(
            r#"  secret: {template: {token: "{{ access_token }}", owner: "{{ response.owner_secret }}"}}"#,
        ),
        Case::answer("template-number", issued())
            .spec(r#"  secret: {template: {token: "{{ response.owner_secret | int }}"}}"#),
        Case::answer("template-base64", issued())
            .spec(r#"  secret: {template: {token: "{{ response.owner_secret | b64decode }}"}}"#),
        Case::answer("template-operator", issued())
            .spec(r#"  secret: {template: {token: "{{ response.owner_secret + 1 }}"}}"#),
        Case::answer("template-call", issued())
            .spec(r#"  secret: {template: {token: "{{ access_token.nothing.more() }}"}}"#),
        Case::answer("template-index", issued())
            .spec(r#"  secret: {template: {token: "{{ {'a': 1}[access_token] }}"}}"#),
        // The API server refuses this Secret, and says why.
        Case::answer("not-docker", issued()).spec(
            r#"  secret: {type: kubernetes.io/dockerconfigjson, template: {.dockerconfigjson: "{{ access_token }}"}}"#,
        ),
        Case::answer("invalid-grant", error(400, "invalid_grant")),
        Case::answer("invalid-client", error(401, "invalid_client")),
        Case::answer("invalid-request", error(400, "invalid_request")),
        Case::answer("unknown-code", error(400, MARKER)),
        Case::answer("slow-down", error(400, "slow_down")),
        Case::answer("limited", error(429, MARKER).header("retry-after", MARKER)),
        Case::answer("unauthorized", Reply::html(401, format!("<h1>{MARKER}</h1>"))),
        Case::answer("forbidden", text(403, MARKER)),
        Case::answer("down", text(503, MARKER)),
        Case::answer("redirect", Reply::empty(302).header("location", &format!("https://{MARKER}.example/{MARKER}"))),
        Case::answer("web-page", Reply::html(200, format!("<h1>{MARKER}</h1>"))),
        Case::answer("not-json", Reply::new(200, "application/json", format!("{{\"access_token\": {MARKER}"))),
        Case::answer("no-token", json_with(json!({"token": MARKER, "data": {"access_token": MARKER}}))),
        Case::answer("wrong-type", json_with(json!({"access_token": {"value": MARKER}, "expires_in": MARKER}))),
        Case::answer("control", json_with(json!({"access_token": format!("{MARKER}\nX: y"), "expires_in": 60}))),
        Case::answer("lifetime", json_with(json!({"access_token": MARKER, "expires_in": MARKER}))),
        Case::answer("type", json_with(json!({"access_token": MARKER, "token_type": format!("{MARKER}\n")}))),
        Case::answer("miss", json_with(json!({"status": MARKER, "access_token": MARKER})))
            .provider("    tokenResponse: {success: {path: $.status, values: [ok]}}"),
        Case::new("cut", [Fault::After(Symptom::Reset), Fault::After(Symptom::Close)]),
        Case::answer("large", json_with(json!({"access_token": MARKER, "padding": MARKER.repeat(10_000)}))),
        Case::answer("header-name", issued()).provider(
            r#"    tokenRequest: {headers: [{name: X-Test, template: "{{ client_secret | int }}"}]}"#,
        ),
        Case::answer("placed", issued()).provider(
            "    tokenRequest:\n      mapping: [{parameter: client_secret, in: Query}, {parameter: refresh_token, in: Header, as: X-Token}]",
        ),
        Case::answer("basic", issued()).provider("    tokenRequest: {authentication: client_secret_basic, encoding: JSON}"),
    ];
    let line_break = format!("{MARKER}\nX-Injected: {MARKER}");
    cases.push(
        Case { client_secret: line_break.clone(), ..Case::answer("line-break", issued()) }
            .provider("    tokenRequest: {mapping: [{parameter: client_secret, in: Header, as: X-Secret}]}"),
    );
    cases.push(Case { client_secret: format!("{MARKER}\n"), ..Case::answer("echoed", issued()) });
    cases.push(Case { ca: Some("Qx7canaryZ9"), ..Case::answer("bad-ca", issued()) });
    cases
}

fn manifest(case: &Case, token_url: &str) -> String {
    let Case { name, provider, spec, .. } = case;
    let encode = |text: &str| STANDARD.encode(text);
    // Where a case says nothing of the request, its parameters and headers come from Secrets.
    let request = match provider.contains("tokenRequest") {
        true => String::new(),
        false => format!(
            "    tokenRequest:\n      encoding: JSON\n      parameters: [{{name: extra, valueSecretRef: {{name: {name}-input, key: extra}}}}]\n      headers: [{{name: X-Extra, valueSecretRef: {{name: {name}-input, key: extra}}}}]"
        ),
    };
    let tls = match case.ca {
        Some(_) => format!("    tls: {{caSecretRef: {{name: {name}-input, key: ca}}}}"),
        None => String::new(),
    };
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}-input}}
data: {{secret: "{secret}", seed: "{seed}", extra: "{extra}", ca: "{ca}"}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider:
    endpoints: {{token: "{token_url}"}}
{request}
{provider}
{tls}
  client:
    id: "3fc0"
    secretRef: {{name: {name}-input, key: secret}}
    authentication: client_secret_post
  grant: {{refreshToken: {{secretRef: {{name: {name}-input, key: seed}}}}}}
{spec}
"#,
        secret = encode(&case.client_secret),
        seed = encode(&format!("seed-{MARKER}-{name}")),
        extra = encode(&format!("extra-{MARKER}")),
        ca = encode(case.ca.unwrap_or_default()),
    )
}

/// A secret as it is, in hex, as a list of bytes, and as it looks inside base64 at each of the three alignments. URL
/// encoding leaves the marker alone.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![
        ("plain", secret.to_lowercase()),
        ("hex", secret.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ("bytes", secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ")),
    ];
    for alignment in 0..3 {
        let encoded = STANDARD.encode(format!("{}{secret}", &"   "[..alignment]));
        // Without the characters that also depend on what stands around the marker.
        let inner = encoded.trim_end_matches('=');
        let inner = &inner[usize::from(alignment > 0) * 4..inner.len() - 2];
        forms.push(("base64", inner.to_lowercase()));
    }
    forms
}

fn assert_clean(place: &str, content: &str, secret: &str) {
    let lower = content.to_lowercase();
    for (form, needle) in forms(secret) {
        if let Some(at) = lower.find(&needle) {
            let around: String = lower.chars().skip(at.saturating_sub(200)).take(400).collect();
            panic!("a secret ({form}) is in {place}:\n…{around}…");
        }
    }
}

/// Drives every case twice, and searches what came out.
async fn nothing_leaks(name: &str, format: &str) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let collector = Collector::start().await;
    let flags = [
        "--allow-insecure-http",
        "--log-level=trace",
        "--leader-election=false",
        "--request-timeout=3s",
        format,
        &collector.flag(),
    ];
    let operator = Operator::start(&namespace, &flags).await;
    let mut standins = Vec::new();
    for case in cases() {
        let standin = Standin::start(Hover::default()).await;
        case.faults.iter().cloned().for_each(|fault| standin.inject(fault));
        namespace.apply(&manifest(&case, &standin.token_url())).await;
        standins.push((case.name, standin));
    }
    for (case, _) in &standins {
        let good = ["issued", "templated", "lifetime", "placed", "basic"].contains(case);
        namespace
            .credential_until(case, "settled", SOON, |credential| {
                let settled = credential.condition(ConditionType::Ready).is_some();
                if good { credential.is(ConditionType::Ready) } else { settled }
            })
            .await;
    }
    // The server saw the secrets: what is searched for was really there.
    let seen = standins[0].1.requests();
    assert!(
        String::from_utf8_lossy(&seen[0].body).contains(MARKER) && seen[0].header("x-extra").unwrap().contains(MARKER)
    );
    assert!(namespace.value("templated-token", "owner").await.contains(MARKER));

    tamper(&namespace).await;
    for (case, _) in &standins {
        namespace.request_refresh(case, "2026-01-01T00:00:00Z").await;
    }
    let issued = standins.iter().find(|(case, _)| *case == "issued").unwrap();
    until("the second round", SOON, async || (issued.1.requests().len() >= 2).then_some(())).await;
    namespace.reason("templated", ConditionType::Stalled, "SecretConflict").await;
    assert_nothing_told(&namespace, operator, &collector, &[MARKER.to_owned()]).await;
}

/// Ends the operator, and searches everything that anybody may read for each of the secrets.
pub async fn assert_nothing_told(
    namespace: &Namespace,
    mut operator: Operator,
    collector: &Collector,
    secrets: &[String],
) {
    let metrics = operator.metrics().await;
    operator.terminate();
    operator.end(Duration::from_secs(60)).await;
    assert!(operator.log().contains("TRACE"), "the log is as verbose as can be");
    let traces = collector.received();
    assert!(collector.spans().iter().any(|span| span.name == "exchange"), "what was done is in the traces");
    let json = |value: serde_json::Result<String>| value.unwrap();
    let mut told = vec![
        ("the log".to_owned(), operator.log()),
        ("/metrics".to_owned(), metrics),
        ("a trace".to_owned(), format!("{traces:?}")),
        ("an Event".to_owned(), json(serde_json::to_string(&namespace.events().await))),
    ];
    for credential in namespace.credentials().list(&kube::api::ListParams::default()).await.unwrap() {
        let name = credential.metadata.name.clone().unwrap();
        told.push((format!("the status of {name}"), json(serde_json::to_string(&credential.status))));
    }
    for secret in namespace.secrets().list(&kube::api::ListParams::default()).await.unwrap() {
        let metadata = kube::api::ObjectMeta { managed_fields: None, ..secret.metadata };
        told.push(("a Secret's metadata".to_owned(), json(serde_json::to_string(&metadata))));
    }
    for (place, content) in &told {
        secrets.iter().for_each(|secret| assert_clean(place, content, secret));
    }
}

/// State and output as somebody else's rubbish, which no error message may quote.
async fn tamper(namespace: &Namespace) {
    let rubbish =
        json!({"stringData": {"state.json": format!("{{\"lineage\": \"{MARKER}\", \"revision\": \"{MARKER}\"}}")}});
    namespace.patch_secret("templated-oauth-state", &rubbish).await;
    namespace.patch_secret("issued-token", &json!({"stringData": {"access_token": MARKER}})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_with_a_text_log() {
    nothing_leaks("canary-text", "--log-format=text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_with_a_json_log() {
    nothing_leaks("canary-json", "--log-format=json").await;
}
