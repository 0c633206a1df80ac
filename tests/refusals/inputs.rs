//! Input Secrets and providers: missing, incomplete, unusable, not allowed. Each is looked at again as soon as it changes.

use serde_json::{Value, json};

use crate::{
    answers::Answers,
    case::{Case, Expect, client, nothing_leaked, run_all, spec},
    objects::{credential, merged, object, secret},
    support::{Cluster, Operator, namespace::apply},
};

fn with_data(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
}

/// A credential whose client secret is the key `secret` of the Secret `name`.
fn reading(answers: &Answers, name: &'static str, given: Vec<Value>, expect: Expect) -> Case {
    let spec = spec(&answers.url(name), &json!({"client": {"secretRef": {"name": name}}}));
    Case { name, given, spec, expect, cure: vec![secret(name, &[("secret", "hunter2")])] }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_secrets_are_asked_for_by_name_and_key() {
    let namespace = Cluster::shared().await.namespace("inputs").await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, "inputs", vec![client()]).await.unwrap();

    let missing = |says: &[&str]| Expect::retried("SourceSecretNotFound", says);
    let unusable = |says: &[&str]| Expect::stalled("InvalidSpec", says);
    let url = |name: &str| answers.url(name);
    let of_provider = |request: Value| json!({"provider": {"tokenRequest": request}});
    let cases = [
        reading(
            &answers,
            "no-secret",
            vec![],
            missing(&["The Secret no-secret doesn't exist", "create it, or correct the reference"]),
        ),
        reading(
            &answers,
            "no-key",
            vec![secret("no-key", &[("other", "hunter2")])],
            missing(&["The Secret no-key has no key secret", "add it, or correct the reference"]),
        ),
        reading(
            &answers,
            "empty",
            vec![secret("empty", &[("secret", "")])],
            unusable(&["The key secret of the Secret empty is empty", "put the value there"]),
        ),
        reading(
            &answers,
            "line-break",
            vec![secret("line-break", &[("secret", "hunter2\n")])],
            unusable(&["The key secret of the Secret line-break ends with a line break", "printf"]),
        ),
        reading(
            &answers,
            "carriage-return",
            vec![secret("carriage-return", &[("secret", "hunter2\r\n")])],
            unusable(&["ends with a line break"]),
        ),
        reading(
            &answers,
            "no-text",
            vec![with_data("no-text", &json!({"secret": "//79"}))],
            unusable(&["The key secret of the Secret no-text is not UTF-8 text", "correct its value"]),
        ),
        Case {
            name: "no-client-id",
            given: vec![],
            spec: spec(
                &url("no-client-id"),
                &json!({"client": {"id": null, "idSecretRef": {"name": "an-id", "key": "id"}}}),
            ),
            expect: missing(&["The Secret an-id doesn't exist"]),
            cure: vec![secret("an-id", &[("id", "it")])],
        },
        Case {
            name: "no-seed",
            given: vec![secret("a-seed", &[("another", "x")])],
            spec: spec(
                &url("no-seed"),
                &json!({"grant": {"clientCredentials": null, "refreshToken": {"secretRef": {"name": "a-seed", "key": "token"}}}}),
            ),
            expect: missing(&["The Secret a-seed has no key token"]),
            cure: vec![secret("a-seed", &[("token", "a-first-refresh-token")])],
        },
        Case {
            name: "no-parameter",
            given: vec![],
            spec: spec(
                &url("no-parameter"),
                &json!({"parameters": [{"name": "tenant", "valueSecretRef": {"name": "a-tenant", "key": "id"}}]}),
            ),
            expect: missing(&["The Secret a-tenant doesn't exist"]),
            cure: vec![secret("a-tenant", &[("id", "acme")])],
        },
        Case {
            name: "no-header",
            given: vec![],
            spec: spec(
                &url("no-header"),
                &of_provider(
                    json!({"headers": [{"name": "X-Key", "valueSecretRef": {"name": "an-api-key", "key": "key"}}]}),
                ),
            ),
            expect: missing(&["The Secret an-api-key doesn't exist"]),
            cure: vec![secret("an-api-key", &[("key", "hunter2")])],
        },
        Case {
            name: "no-ca",
            given: vec![secret("a-ca", &[("tls.crt", "x")])],
            spec: spec(
                &url("no-ca"),
                &json!({"provider": {"tls": {"caSecretRef": {"name": "a-ca", "key": "ca.crt"}}}}),
            ),
            expect: missing(&["The Secret a-ca has no key ca.crt"]),
            // Another way out: to do without.
            cure: vec![credential("no-ca", &spec(&url("no-ca"), &json!({})))],
        },
    ];
    run_all(&namespace, &cases).await;
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_label_is_asked_for() {
    let namespace = Cluster::shared().await.namespace("labelled").await;
    let answers = Answers::start().await;
    let flags = ["--allow-insecure-http", "--require-input-label", "example.com/oauth-input=yes"];
    let operator = Operator::start(&namespace, &flags).await;

    let labelled = |object: &Value, value: &str| {
        merged(object, &json!({"metadata": {"labels": {"example.com/oauth-input": value}}}))
    };
    let case = |name, given: Value| Case {
        cure: vec![labelled(&given, "yes")],
        ..reading(
            &answers,
            name,
            vec![given],
            Expect::stalled(
                "NotAllowed",
                &[&format!("The Secret {name} lacks the label example.com/oauth-input"), "add it"],
            ),
        )
    };
    let unlabelled = secret("unlabelled", &[("secret", "hunter2")]);
    let mislabelled = labelled(&secret("mislabelled", &[("secret", "hunter2")]), "no");
    let cases = [case("unlabelled", unlabelled), case("mislabelled", mislabelled)];
    run_all(&namespace, &cases).await;
    // What is labelled nobody was asked to send.
    assert_eq!((answers.arrivals("unlabelled").len(), answers.arrivals("mislabelled").len()), (1, 1));
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_are_asked_for_by_kind_and_name() {
    let namespace = Cluster::shared().await.namespace("providers").await;
    let answers = Answers::start().await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    apply(&namespace.client, "providers", vec![client()]).await.unwrap();

    let provider = |kind, name, spec: &Value| {
        let endpoints = json!({"endpoints": {"token": answers.url(name)}});
        object(kind, name, json!({"spec": merged(&endpoints, spec)}))
    };
    let of = |kind, name| spec("", &json!({"provider": null, "providerRef": {"kind": kind, "name": name}}));
    let by_name = json!({"allowedNamespaces": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}});
    let selecting = |label: &str| json!({"allowedNamespaces": {"matchLabels": {"oauth": label}}});
    let label = |value: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "providers", "labels": {"oauth": value}}});
    let overrides = spec(
        "",
        &json!({"provider": null, "providerRef": {"name": "overridden"}, "parameters": [{"name": "audience", "value": "a"}]}),
    );
    let cases = [
        Case {
            name: "unknown",
            given: vec![],
            spec: of("OAuthProvider", "unknown"),
            expect: Expect::retried(
                "ProviderNotFound",
                &["The OAuthProvider unknown doesn't exist", "create it, or correct spec.providerRef"],
            ),
            cure: vec![provider("OAuthProvider", "unknown", &json!({}))],
        },
        Case {
            name: "unknown-in-cluster",
            given: vec![],
            spec: of("ClusterOAuthProvider", "refusals-unknown"),
            expect: Expect::retried(
                "ProviderNotFound",
                &["The ClusterOAuthProvider refusals-unknown doesn't exist", "create it, or correct spec.providerRef"],
            ),
            cure: vec![provider("ClusterOAuthProvider", "refusals-unknown", &json!({}))],
        },
        Case {
            name: "not-allowed",
            given: vec![provider("ClusterOAuthProvider", "refusals-selective", &selecting("yes"))],
            spec: of("ClusterOAuthProvider", "refusals-selective"),
            expect: Expect::stalled(
                "NotAllowed",
                &[
                    "The ClusterOAuthProvider refusals-selective doesn't allow this namespace",
                    "have its allowedNamespaces select it",
                ],
            ),
            cure: vec![label("yes")],
        },
        Case {
            name: "allowed-later",
            given: vec![provider("ClusterOAuthProvider", "refusals-late", &selecting("never"))],
            spec: of("ClusterOAuthProvider", "refusals-late"),
            expect: Expect::stalled("NotAllowed", &["doesn't allow this namespace", "or use another provider"]),
            cure: vec![provider("ClusterOAuthProvider", "refusals-late", &by_name)],
        },
        Case {
            name: "secret-of-provider",
            given: vec![provider(
                "ClusterOAuthProvider",
                "refusals-secret",
                &json!({
                    "allowedNamespaces": {},
                    "tokenRequest": {"headers": [{"name": "X-Key", "valueSecretRef": {"name": "shared-key", "key": "key"}}]},
                }),
            )],
            spec: of("ClusterOAuthProvider", "refusals-secret"),
            expect: Expect::retried("SourceSecretNotFound", &["The Secret shared-key doesn't exist"]),
            cure: vec![secret("shared-key", &[("key", "hunter2")])],
        },
        Case {
            name: "metadata-allowed",
            given: vec![object(
                "ClusterOAuthProvider",
                "refusals-metadata",
                json!({"spec": {
                    "endpoints": {"token": "http://169.254.169.254/token"},
                    "allowedAddresses": ["169.254.0.0/16", "0.0.0.0/0"],
                }}),
            )],
            spec: of("ClusterOAuthProvider", "refusals-metadata"),
            expect: Expect::stalled("EgressDenied", &["link-local, metadata or reserved", "never connected to"]),
            cure: vec![object(
                "ClusterOAuthProvider",
                "refusals-metadata",
                json!({"spec": {"endpoints": {"token": answers.url("refusals-metadata")}}}),
            )],
        },
        Case {
            name: "overridden",
            given: vec![provider(
                "OAuthProvider",
                "overridden",
                &json!({"tokenRequest": {"parameters": [{"name": "audience", "value": "b"}]}}),
            )],
            spec: overrides,
            expect: Expect::stalled(
                "InvalidSpec",
                &["The provider sets the parameter audience itself", "remove it from the credential's parameters"],
            ),
            cure: vec![provider("OAuthProvider", "overridden", &json!({}))],
        },
        Case {
            name: "no-endpoint",
            given: vec![object("OAuthProvider", "no-endpoint", json!({"spec": {"issuer": "https://idp.invalid"}}))],
            spec: of("OAuthProvider", "no-endpoint"),
            expect: Expect::retried("ProviderUnavailable", &["the issuer's name can't be resolved", "check the host"]),
            cure: vec![provider("OAuthProvider", "no-endpoint", &json!({}))],
        },
    ];
    run_all(&namespace, &cases).await;
    nothing_leaked(&namespace, &operator).await;
}
