//! The grants beside a given refresh token and client credentials, against oidc-provider.

use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use super::manifests::{MACHINES, machine, web};
use crate::support::{Cluster, Conditions, Namespace, Oidc, Operator, SOON, text};

/// A password credential for the client `user-post`, with its input Secret `<name>-input`.
fn password(name: &str, oidc: &Oidc, user: &str, password: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}-input}}
stringData: {{client_secret: user-post-secret, username: {user}, password: {password}}}
---
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider: {{issuer: "{issuer}"}}
  client:
    id: user-post
    secretRef: {{name: {name}-input, key: client_secret}}
    authentication: client_secret_post
  grant:
    password:
      usernameSecretRef: {{name: {name}-input, key: username}}
      passwordSecretRef: {{name: {name}-input, key: password}}
"#,
        issuer = oidc.issuer
    )
}

async fn started(name: &str) -> (Namespace, Oidc, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let oidc = Oidc::start(&[]).await;
    let operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    (namespace, oidc, operator)
}

/// What was asked for, and with which status: one entry a request.
async fn asked(oidc: &Oidc) -> Vec<String> {
    let entry = |entry: &Value| format!("{} {}", entry["grant_type"].as_str().unwrap_or("?"), entry["status"]);
    oidc.log().await.iter().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_sent_once_and_again_when_its_refresh_token_is_refused() {
    let (namespace, oidc, mut operator) = started("grant-password").await;
    namespace.apply(&password("legacy", &oidc, "robot", "robot-password")).await;
    namespace.ready("legacy").await;
    assert_eq!(namespace.status("legacy").await.seed_hash, None, "a user's name is not told");
    let lineage = namespace.state("legacy").await["lineage"].clone();

    namespace.request_refresh("legacy", "2026-01-01T00:00:00Z").await;
    namespace.revision("legacy", 2, SOON).await;
    operator.restart().await;
    namespace.request_refresh("legacy", "2026-01-01T00:00:01Z").await;
    namespace.revision("legacy", 3, SOON).await;
    assert_eq!(asked(&oidc).await, ["password 200", "refresh_token 200", "refresh_token 200"]);
    assert_eq!(namespace.state("legacy").await["lineage"], lineage);

    // The grant is revoked at the server.
    let token = namespace.state("legacy").await["refreshToken"].as_str().unwrap().to_owned();
    let form = [("token", token.as_str()), ("client_id", "user-post"), ("client_secret", "user-post-secret")];
    let revoked = reqwest::Client::builder().no_proxy().build().unwrap();
    let revoked = revoked.post(format!("{}/token/revocation", oidc.issuer)).form(&form).send().await.unwrap();
    assert!(revoked.status().is_success());
    namespace.request_refresh("legacy", "2026-01-01T00:00:02Z").await;
    let credential = namespace.revision("legacy", 4, SOON).await;
    assert!(credential.is(ConditionType::Ready) && credential.is(ConditionType::Refreshed));
    assert_eq!(asked(&oidc).await[3..], ["refresh_token 400", "password 200"]);
    assert_ne!(namespace.state("legacy").await["lineage"], lineage);

    // Another user's token is another one; another password is not.
    let before = namespace.value("legacy-token", "access_token").await;
    namespace.apply(&password("legacy", &oidc, "someone", "someone-password")).await;
    namespace.revision("legacy", 5, SOON).await;
    assert_ne!(namespace.value("legacy-token", "access_token").await, before);
    assert_eq!((asked(&oidc).await[5..].to_vec(), oidc.replays().await), (vec!["password 200".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_not_tried_again_and_again() {
    let (namespace, oidc, operator) = started("grant-password-wrong").await;
    namespace.apply(&password("wrong", &oidc, "robot", "hunter2")).await;
    let said = namespace.reason("wrong", ConditionType::Stalled, "InvalidGrant").await;
    assert!(said.message(ConditionType::Stalled).contains("correct the user's name and password"));
    let next = said.status.unwrap().next_refresh_time.unwrap().duration_since(jiff::Timestamp::now());
    assert!(next.as_secs() > 3500, "{next}");
    assert_eq!(asked(&oidc).await, ["password 400"; 1]);
    namespace.apply(&password("wrong", &oidc, "robot", "robot-password")).await;
    namespace.ready("wrong").await;
    assert!(!operator.log().contains("hunter2") && !operator.log().contains("robot-password"));
}

/// Without a refresh token in the reply, the password is what every token costs.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_without_a_refresh_token_is_sent_each_time() {
    let (namespace, oidc, _operator) = started("grant-password-once").await;
    let spec = password("once", &oidc, "robot", "robot-password")
        .replace("id: user-post", "id: user-once")
        .replace("    secretRef: {name: once-input, key: client_secret}\n", "")
        .replace("authentication: client_secret_post", "authentication: none");
    namespace.apply(&spec).await;
    namespace.ready("once").await;
    namespace.request_refresh("once", "2026-01-01T00:00:00Z").await;
    namespace.revision("once", 2, SOON).await;
    assert_eq!(asked(&oidc).await, ["password 200", "password 200"]);
    // What is published is kept, so that it can be restored without a request.
    let token = namespace.value("once-token", "access_token").await;
    namespace.delete_secret("once-token").await;
    namespace
        .secret_until("once-token", "restored", |secret| text(secret, "access_token") == Some(token.clone()))
        .await;
    assert_eq!(asked(&oidc).await.len(), 2);
}

/// Any grant that is one request, here one that the server knows well; the provider's and the credential's parameters go along.
#[tokio::test(flavor = "multi_thread")]
async fn a_custom_grant_is_one_request() {
    let (namespace, oidc, _operator) = started("grant-custom").await;
    let spec = machine("custom", "post", &oidc.token_url(), "  scopes: [read]\n  parameters: [{name: x, value: y}]")
        .replace("clientCredentials: {}", "custom: {grantType: client_credentials}");
    namespace.apply(&format!("{MACHINES}\n---\n{spec}")).await;
    namespace.ready("custom").await;
    namespace.request_refresh("custom", "2026-01-01T00:00:00Z").await;
    let credential = namespace.revision("custom", 2, SOON).await;
    assert_eq!(credential.status.unwrap().scopes, ["read"]);
    assert_eq!(asked(&oidc).await, ["client_credentials 200", "client_credentials 200"]);

    let wrong = json!({"spec": {"grant": {"custom": {"grantType": "account_credentials"}}}});
    namespace.patch_credential("custom", &wrong).await;
    let said = namespace.reason("custom", ConditionType::Stalled, "InvalidSpec").await;
    assert!(said.message(ConditionType::Stalled).contains("unsupported_grant_type"));
}

/// A credential that exchanges the access token of `machine`, and acts as `actor` where there is one.
fn exchanged(name: &str, oidc: &Oidc, subject: &str, more: &str) -> String {
    format!(
        r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {{name: {name}}}
spec:
  provider: {{issuer: "{issuer}"}}
  client: {{id: exchanger, secretRef: {{name: exchanger, key: secret}}}}
  grant:
    tokenExchange:
      subjectToken: {subject}
      subjectTokenType: urn:ietf:params:oauth:token-type:access_token
      {more}
  parameters: [{{name: audience, value: downstream}}]
  secret:
    template:
      access_token: "{{{{ access_token }}}}"
      said: "{{{{ response.issued_token_type }}}} {{{{ response.subject }}}} {{{{ response.actor | default('nobody') }}}} {{{{ response.audience }}}}"
"#,
        issuer = oidc.issuer
    )
}

const EXCHANGER: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: exchanger}
stringData: {secret: exchanger-secret}
"#;
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[tokio::test(flavor = "multi_thread")]
async fn another_credentials_token_is_exchanged_and_again_when_it_changes() {
    let (namespace, oidc, mut operator) = started("grant-exchange").await;
    let exchange = exchanged(
        "exchanged",
        &oidc,
        "{credentialRef: {name: machine}}",
        &format!(
            "actorToken: {{credentialRef: {{name: actor}}}}\n      actorTokenType: {ACCESS_TOKEN}\n      requestedTokenType: {ACCESS_TOKEN}"
        ),
    );
    // Before the credentials that it depends on: it waits for them.
    namespace.apply(&format!("{MACHINES}\n---\n{EXCHANGER}\n---\n{exchange}")).await;
    let waiting = namespace.reason("exchanged", ConditionType::Ready, "SourceSecretNotFound").await;
    assert!(waiting.message(ConditionType::Ready).contains("The credential machine doesn't exist"));
    namespace.apply(&machine("machine", "basic", &oidc.token_url(), "")).await;
    let named = machine("actor", "post", &oidc.token_url(), "  secret: {name: elsewhere}");
    namespace.apply(&named).await;
    namespace.ready("exchanged").await;
    let said = namespace.value("exchanged-token", "said").await;
    assert_eq!(said, format!("{ACCESS_TOKEN} machine-basic machine-post downstream"));

    for (at, changed) in ["machine", "actor"].into_iter().enumerate() {
        namespace.request_refresh(changed, "2026-01-01T00:00:00Z").await;
        namespace.revision("exchanged", at as i64 + 2, SOON).await;
    }
    let before = asked(&oidc).await.len();
    operator.restart().await;
    namespace.patch_secret("elsewhere", &json!({"metadata": {"labels": {"touched": "yes"}}})).await;
    namespace.looked_at_again("exchanged").await;
    assert_eq!(asked(&oidc).await.len(), before, "the same tokens aren't exchanged again");

    // The output of a credential is where its spec says, also when that changes.
    namespace.apply(&named.replace("name: elsewhere", "name: moved, template: {t: \"{{ access_token }}\"}")).await;
    namespace.revision("exchanged", 4, SOON).await;
    let hidden = json!({"spec": {"secret": {"template": {"t": "Bearer {{ access_token }}"}}}});
    namespace.patch_credential("actor", &hidden).await;
    let said = namespace.reason("exchanged", ConditionType::Stalled, "InvalidSpec").await;
    assert!(said.message(ConditionType::Stalled).contains("has no key that is the access token alone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_exchanged_is_said() {
    let (namespace, oidc, _operator) = started("grant-exchange-refused").await;
    let given = "apiVersion: v1\nkind: Secret\nmetadata: {name: given}\nstringData: {token: nonsense}";
    let from_secret = exchanged("given", &oidc, "{secretRef: {name: given, key: token}}", "");
    let circle = |name: &str, other: &str| exchanged(name, &oidc, &format!("{{credentialRef: {{name: {other}}}}}"), "");
    let manifests = [
        EXCHANGER.to_owned(),
        given.to_owned(),
        from_secret,
        circle("one", "two"),
        circle("two", "one"),
        MACHINES.to_owned(),
        machine("machine", "basic", &oidc.token_url(), ""),
    ];
    namespace.apply(&manifests.join("\n---\n")).await;
    for name in ["one", "two"] {
        let said = namespace.reason(name, ConditionType::Stalled, "InvalidSpec").await;
        assert!(said.message(ConditionType::Stalled).contains("itself depends on this one's token"), "{name}");
    }
    let refused = namespace.reason("given", ConditionType::Stalled, "InvalidSpec").await;
    assert!(refused.message(ConditionType::Stalled).contains("invalid_request"));
    namespace.ready("machine").await;
    let token = namespace.value("machine-token", "access_token").await;
    namespace.patch_secret("given", &json!({"stringData": {"token": token}})).await;
    namespace.revision("given", 1, SOON).await;
    namespace.looked_at_again("given").await;
    assert_eq!(asked(&oidc).await.iter().filter(|entry| entry.contains("token-exchange")).count(), 2);
}

/// One refresh token, three access tokens: one leg at a time, so that a server that kills a grant for a replay has none to see.
#[tokio::test(flavor = "multi_thread")]
async fn additional_tokens_come_from_one_refresh_token() {
    let (namespace, oidc, mut operator) = started("grant-additional").await;
    let seed = oidc.seed_scoped("web-post", "openid offline_access read write").await;
    let spec = r#"
  additionalTokens:
  - {name: reader, scopes: [read]}
  - {name: writer, scopes: [write]}
  secret:
    template:
      main: "{{ access_token }}"
      reader: "{{ tokens.reader.access_token }}"
      writer: "{{ tokens.writer.scope }} {{ tokens.writer.access_token }}""#;
    namespace.apply(&web("many", &oidc, &seed, spec)).await;
    let ready = namespace.ready("many").await;
    assert!(ready.is(ConditionType::Refreshed));
    let status = ready.status.unwrap();
    assert_eq!(status.revision, Some(3), "published once, with all of them");
    let names: Vec<_> = status.additional_tokens.iter().map(|token| token.name.as_str()).collect();
    assert_eq!(names, ["reader", "writer"]);
    assert!(status.additional_tokens.iter().all(|token| token.expiration_time.is_some() && token.reason.is_none()));
    assert_eq!(asked(&oidc).await, ["refresh_token 200"; 3]);
    let value = async |key: &str| namespace.value("many-token", key).await;
    let (main, reader, writer) = (value("main").await, value("reader").await, value("writer").await);
    assert!(main != reader && writer.starts_with("write ") && !writer.contains(&reader));

    // The main token's refresh is its own.
    namespace.request_refresh("many", "2026-01-01T00:00:00Z").await;
    namespace.revision("many", 4, SOON).await;
    assert_ne!(value("main").await, main);
    assert_eq!(value("reader").await, reader);
    operator.restart().await;
    namespace.looked_at_again("many").await;
    assert_eq!(asked(&oidc).await.len(), 4, "nothing is due");

    // A scope that the grant has not: said of that token; the main one goes on, and so does the other.
    let wrong = json!({"spec": {"additionalTokens": [{"name": "reader", "scopes": ["read"]}, {"name": "writer", "scopes": ["admin"]}]}});
    namespace.patch_credential("many", &wrong).await;
    let said = namespace
        .credential_until("many", "a sentence about writer", SOON, |credential| {
            let tokens =
                credential.status.as_ref().map(|status| status.additional_tokens.as_slice()).unwrap_or_default();
            tokens.iter().any(|token| token.name == "writer" && token.reason.as_deref() == Some("InvalidSpec"))
                && credential.is(ConditionType::Ready)
        })
        .await;
    let writer_status = &said.status.as_ref().unwrap().additional_tokens[1];
    assert!(writer_status.message.as_deref().unwrap().contains("correct the credential's scopes"));
    assert!(writer_status.next_refresh_time.is_some());
    assert!(said.is(ConditionType::Refreshed) && said.condition(ConditionType::Stalled).is_none());
    assert_ne!(value("reader").await, reader);
    assert_eq!(value("writer").await, writer, "the one that it had");
    assert_eq!(oidc.replays().await, 0);
}

/// Each has a lifetime of its own, and default keys in the output; what others do to them is undone.
#[tokio::test(flavor = "multi_thread")]
async fn additional_tokens_are_refreshed_by_their_own_expiry() {
    let namespace = Cluster::shared().await.namespace("grant-additional-short").await;
    let oidc = Oidc::start(&["--access-token-ttl", "12"]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let seed = oidc.seed_scoped("web-post", "openid offline_access read").await;
    namespace.apply(&web("short", &oidc, &seed, "  additionalTokens: [{name: reader, scopes: [read]}]")).await;
    namespace.ready("short").await;
    let first = namespace.value("short-token", "reader.access_token").await;
    namespace
        .secret_until("short-token", "another reader", |secret| {
            text(secret, "reader.access_token").is_some_and(|token| token != first)
        })
        .await;
    namespace.patch_secret("short-token", &json!({"stringData": {"reader.access_token": "mine"}})).await;
    namespace
        .secret_until("short-token", "restored", |secret| {
            text(secret, "reader.access_token").is_some_and(|token| token != "mine")
        })
        .await;
    let status = namespace.status("short").await;
    assert!(status.next_refresh_time.is_some() && status.failed_attempts.is_none());
    assert_eq!(oidc.replays().await, 0);
}

/// As many tokens as a credential may have, each of a few seconds: more requests a minute than one token would be let make.
#[tokio::test(flavor = "multi_thread")]
async fn as_many_additional_tokens_as_there_may_be_are_all_refreshed_in_time() {
    let namespace = Cluster::shared().await.namespace("grant-additional-most").await;
    let oidc = Oidc::start(&["--access-token-ttl", "10"]).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    let seed = oidc.seed_scoped("web-post", "openid offline_access read").await;
    let names: Vec<String> = (0..16).map(|number| format!("{{name: t{number}, scopes: [read]}}")).collect();
    namespace.apply(&web("most", &oidc, &seed, &format!("  additionalTokens: [{}]", names.join(", ")))).await;
    // Each of them four times, in less time than one token would be let ask so often.
    namespace.revision("most", 4 * 17, SOON * 2).await;
    let status = namespace.status("most").await;
    assert!(status.failed_attempts.is_none() && status.additional_tokens.len() == 16);
    assert!(status.additional_tokens.iter().all(|token| token.reason.is_none()));
    assert_eq!(oidc.replays().await, 0);
}
