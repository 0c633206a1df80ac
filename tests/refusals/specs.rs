//! What only the operator can judge of a spec: templates, JSONPaths, combinations. Each is looked at again when it changes.

use serde_json::{Value, json};

use crate::{
    answers::Answers,
    case::{Case, Expect, client, nothing_leaked, run_all, spec},
    objects::{credential, secret},
    support::{Cluster, Operator, namespace::apply},
};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_specs_stall_with_a_sentence() {
    let namespace = Cluster::shared().await.namespace("specs").await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, "specs", vec![client()]).await.unwrap();

    let case = |name: &'static str, patch, says: &[&str]| {
        let url = answers.url(name);
        Case::of_spec(name, spec(&url, &patch), Expect::stalled("InvalidSpec", says), &spec(&url, &json!({})))
    };
    let template = |text: &str| json!({"secret": {"template": {"token": text}}});
    let response = |path: &str| json!({"provider": {"tokenResponse": {"accessToken": path}}});
    let header = |name: &str, template: &str| json!({"provider": {"tokenRequest": {"headers": [{"name": name, "template": template}]}}});
    let authentication = |method: &str| json!({"client": {"secretRef": null, "authentication": method}});
    let cases = [
        case(
            "unclosed",
            template("{{ access_token"),
            &["spec.secret.template, key token", "does not parse", "line 1", "orrect"],
        ),
        case(
            "no-filter",
            template("{{ access_token | rot13 }}"),
            &["spec.secret.template, key token", "rot13", "orrect"],
        ),
        case("includes", template("{% include 'other' %}"), &["spec.secret.template, key token", "does not parse"]),
        case(
            "header-template",
            header("X-A", "{{ client_id"),
            &["The template of header X-A", "does not parse", "orrect"],
        ),
        case("header-field", header("X-A", "{{ nothing }}"), &["header", "nothing"]),
        case("header-framing", header("Content-Length", "0"), &["content-length"]),
        case("header-break", header("X-A", "a\nb"), &["x-a"]),
        case("path-syntax", response("$.a["), &["accessToken is no JSONPath (RFC 9535)", "see position"]),
        case("path-too-wide", response("$..*..*"), &["accessToken searches too widely", "use at most two"]),
        case(
            "secret-type",
            json!({"secret": {"type": "kubernetes.io/service-account-token"}}),
            &[
                "spec.secret.type kubernetes.io/service-account-token is not allowed",
                "use Opaque, kubernetes.io/basic-auth or kubernetes.io/dockerconfigjson",
                "--allow-secret-type",
            ],
        ),
        case(
            "no-material",
            authentication("client_secret_post"),
            &["needs a client id and a client secret", "set client.id (or client.idSecretRef) and client.secretRef"],
        ),
        case("no-time", json!({"refresh": {"before": "0s"}}), &["refresh.before: 0s is not a duration such as 90s"]),
        case(
            "no-json",
            json!({"secret": {"type": "kubernetes.io/dockerconfigjson", "template": {".dockerconfigjson": "{{ access_token }}"}}}),
            &[
                "refuses the Secret no-json-token as invalid",
                "correct the keys, labels, annotations or type in spec.secret",
            ],
        ),
        case(
            "too-long",
            json!({"provider": {"maxLifetime": "99999999999999h"}}),
            &["maxLifetime: 99999999999999h is not a duration such as 90s"],
        ),
        case(
            "no-rate",
            json!({"provider": {"rateLimit": {"requests": 1, "per": "0s"}}}),
            &["rateLimit.per: 0s is not a duration such as 90s"],
        ),
        case(
            "parameter-header",
            json!({"parameters": [{"name": "no header", "value": "a", "in": "Header"}]}),
            &["no header", "header"],
        ),
        case(
            "parameter-framing",
            json!({"parameters": [{"name": "Transfer-Encoding", "value": "chunked", "in": "Header"}]}),
            &["transfer-encoding"],
        ),
        case(
            "token-url",
            json!({"provider": {"endpoints": {"token": "https://[::1/token"}}}),
            &["endpoints.token is not a URL", "correct endpoints.token"],
        ),
    ];
    run_all(&namespace, &cases).await;
    // Nothing was sent before the spec was right, save where only rendering or the API server could tell.
    for case in &cases {
        let sent = answers.arrivals(case.name).len();
        assert!(
            sent == if ["no-filter", "no-json"].contains(&case.name) { 2 } else { 1 },
            "{}: {sent} requests",
            case.name
        );
    }
    nothing_leaked(&namespace, &operator).await;
}

/// A template that wants what the reply doesn't have: what was received is kept, and rendered without another request.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_needs_more_than_the_reply_has() {
    let namespace = Cluster::shared().await.namespace("fields").await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let seed = secret("seed", &[("token", "a-first-refresh-token")]);
    apply(&namespace.client, "fields", vec![client(), seed]).await.unwrap();

    let with = |name: &str, template: &str, grant: &Value| {
        spec(&answers.url(name), &json!({"grant": grant, "secret": {"template": {"owner": template}}}))
    };
    let kept = json!({"clientCredentials": null, "refreshToken": {"secretRef": {"name": "seed", "key": "token"}}});
    let case = |name: &'static str, grant: Value| {
        let expect = Expect::stalled(
            "InvalidResponse",
            &[
                "spec.secret.template, key owner",
                "`response.owner`, which is not there",
                "Correct the template, or what the provider sends",
            ],
        );
        let right = with(name, "{{ response.token_type }}", &grant);
        Case::of_spec(name, with(name, "{{ response.owner }}", &grant), expect, &right)
    };
    let work = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
    let too_much = Case {
        name: "too-much",
        given: vec![],
        spec: with("too-much", work, &json!({})),
        expect: Expect::stalled(
            "InvalidResponse",
            &["spec.secret.template, key owner", "too much work: make it simpler"],
        ),
        cure: vec![credential("too-much", &with("too-much", "a", &json!({})))],
    };
    let cases = [case("kept", kept), case("not-kept", json!({})), too_much];
    run_all(&namespace, &cases).await;
    assert_eq!((answers.arrivals("kept").len(), answers.arrivals("not-kept").len()), (1, 2));
    assert_eq!(namespace.value("kept-token", "owner").await, "Bearer");
    nothing_leaked(&namespace, &operator).await;
}
