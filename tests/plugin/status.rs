//! `status`, from the first look to a token and a failure; and that no command ever shows what a Secret holds.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use kube::api::ListParams;
use oauth_operator::api::ConditionType;
use serde_json::{Value, json};

use crate::person::{Person, credential};
use crate::support::standin::{Hover, Standin};
use crate::support::{Cluster, Namespace, Operator};

#[tokio::test(flavor = "multi_thread")]
async fn one_credential_is_accounted_for() {
    let namespace = Cluster::shared().await.namespace("account").await;
    let standin = Standin::start(Hover::default()).await;
    namespace.apply(&credential("calendar", &standin, "")).await;
    let person = Person::admin(&namespace);

    let nobody = person.runs(&["status", "calendar"]).ended(1);
    assert!(nobody.contains("No operator has looked at this credential yet"), "{nobody}");
    assert!(nobody.contains("Secret calendar-token: not there yet"), "{nobody}");

    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.ready("calendar").await;
    let told = person.runs(&["status", "calendar"]).ended(0);
    for line in [
        "Credential: account/calendar\n",
        "Ready:      True  Issued  (since ",
        "The Secret calendar-token holds a valid access token.",
        "Grant:      refreshToken\n",
        "Secret calendar-input, key client_secret: there\n",
        "State:      Secret calendar-oauth-state: there, revision 1\n",
        "Output:     Secret calendar-token: there, revision 1, keys access_token, expires_at, scope, token_type\n",
        "the token in the Secret expires\n",
        "Next step:  Nothing to do.\n",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let json: Value = serde_json::from_str(&person.runs(&["status", "calendar", "-o", "json"]).ended(0)).unwrap();
    assert_eq!((&json["ready"]["reason"], &json["state"]["revision"]), (&json!("Issued"), &json!(1)));
    let yaml: Value = serde_yaml_ng::from_str(&person.runs(&["status", "calendar", "-o", "yaml"]).ended(0)).unwrap();
    assert_eq!(yaml, json);

    namespace.patch_secret("calendar-input", &json!({"data": {"client_secret": null}})).await;
    namespace.request_refresh("calendar", "2026-01-01T00:00:00Z").await;
    namespace.reason("calendar", ConditionType::Refreshed, "SourceSecretNotFound").await;
    let failing = person.runs(&["status", "calendar"]).ended(0);
    assert!(failing.contains("key client_secret: MISSING: the Secret has no such key"), "{failing}");
    assert!(
        failing.contains("Add the key client_secret to the Secret calendar-input in namespace account."),
        "{failing}"
    );

    let table = person.runs(&["status"]).ended(0);
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["calendar", "True", "Issued", "in"], "{table}");
    let rows: Value = serde_json::from_str(&person.runs(&["status", "-A", "-o", "json"]).stdout).unwrap();
    let mine = rows.as_array().unwrap().iter().find(|row| row["namespace"] == "account").unwrap();
    assert_eq!((&mine["ready"], &mine["secret"]), (&json!(true), &json!("calendar-token")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_viewer_may_not_see_is_said_so() {
    let namespace = Cluster::shared().await.namespace("viewer").await;
    let standin = Standin::start(Hover::default()).await;
    namespace.apply(&credential("calendar", &standin, "")).await;
    let ours = "oauth-operator.dev";
    let viewer =
        Person::with_rights(&namespace, "viewer", &[(ours, "oauthcredentials", &["get", "list", "watch"])]).await;
    let told = viewer.runs(&["status", "calendar"]).ended(1);
    assert_eq!(told.matches("not known: you may not look").count(), 4, "{told}");

    let refused = viewer.runs(&["refresh", "calendar"]).ended(3);
    assert!(refused.contains("you may not annotate the OAuthCredential calendar"), "{refused}");
    assert!(refused.contains("docs/kubectl-oauth.md"), "{refused}");
    let rights = [(ours, "oauthcredentials", &["get", "list", "patch"][..])];
    let impatient = Person::with_rights(&namespace, "impatient", &rights).await;
    let refused = impatient.runs(&["refresh", "calendar", "--wait"]).ended(3);
    assert!(refused.contains("you may not watch the OAuthCredential calendar"), "{refused}");
    let everywhere = viewer.runs(&["status", "-A"]).ended(3);
    assert!(everywhere.contains("you may not list OAuthCredentials"), "{everywhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_from_what_cannot_be_asked() {
    let namespace = Cluster::shared().await.namespace("absent").await;
    let person = Person::admin(&namespace);
    let absent = person.runs(&["status", "nothing"]).ended(3);
    assert!(absent.contains("there is no OAuthCredential nothing in namespace absent"), "{absent}");
    assert_eq!(person.runs(&["status"]).ended(0), "There are no OAuthCredentials in namespace absent.\n");
    let lost = person.runs(&["--context", "elsewhere", "status"]).ended(3);
    assert!(lost.contains("no cluster to talk to") && lost.contains("--context"), "{lost}");
    let wrong = person.runs(&["status", "--nonsense"]).ended(2);
    assert!(wrong.contains("--nonsense"), "{wrong}");
}

/// What is wrong with a kubeconfig is told without what is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_cannot_be_used_is_not_shown() {
    let namespace = Cluster::shared().await.namespace("kubeconfig").await;
    let person = Person::admin(&namespace);
    let runs = |name: &str, content: &str| {
        let path = namespace.dir.join(name);
        std::fs::write(&path, content).unwrap();
        person.runs(&["--kubeconfig", path.to_str().unwrap(), "status"]).ended(3)
    };
    let broken = runs("broken", "users:\n- user: {token: hidden-token\n");
    assert!(broken.contains("the kubeconfig is not valid YAML") && !broken.contains("hidden"), "{broken}");

    let admins = std::fs::read_to_string(namespace.dir.join("kubeconfig")).unwrap();
    let mut kubeconfig: Value = serde_yaml_ng::from_str(&admins).unwrap();
    kubeconfig["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
        "args": ["-c", "echo hidden-token; exit 1"],
    }});
    let refused = runs("exec", &kubeconfig.to_string());
    assert!(refused.contains("way of logging in fails") && !refused.contains("hidden"), "{refused}");
}

/// Every value of every Secret of the namespace, as it is and in base64, and the values inside the state.
async fn secret_values(namespace: &Namespace) -> Vec<String> {
    let mut values = Vec::new();
    for secret in namespace.secrets().list(&ListParams::default()).await.unwrap() {
        let texts = secret.data.unwrap_or_default().into_values().map(|value| String::from_utf8(value.0).unwrap());
        for text in texts {
            if let Ok(state) = serde_json::from_str::<Value>(&text) {
                for key in ["/refreshToken", "/previousRefreshToken", "/issued/accessToken", "/issued/refreshToken"] {
                    values.extend(state.pointer(key).and_then(Value::as_str).map(str::to_owned));
                }
            }
            values.push(text);
        }
    }
    // Short ones, such as a format's number or a token's type, are no secrets, and the expiry is in the status.
    values.retain(|value| (value.len() > 16 || value == "s3cr3t") && value.parse::<Timestamp>().is_err());
    let encoded: Vec<_> = values.iter().map(|value| STANDARD.encode(value)).collect();
    values.into_iter().chain(encoded).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_shows_a_secret() {
    let namespace = Cluster::shared().await.namespace("canary").await;
    let standin = Standin::start(Hover::default()).await;
    namespace.apply(&credential("calendar", &standin, "")).await;
    let _operator = Operator::start(&namespace, &["--allow-insecure-http"]).await;
    namespace.ready("calendar").await;
    let person = Person::admin(&namespace);
    let mut secrets = secret_values(&namespace).await;
    assert!(secrets.len() >= 8, "{}", secrets.len());

    let mut said = String::new();
    let operator = ["--operator-namespace", "canary"];
    for arguments in [
        &["status", "calendar"][..],
        &["status", "calendar", "-o", "json"],
        &["status", "calendar", "-o", "yaml"],
        &["status", "-o", "json"],
        &["status", "-A"],
        &["refresh", "calendar", "--wait"],
        &["refresh", "--all", "--wait"],
        &["revoke", "calendar", "--yes", "--wait"],
        &["prune", "--dry-run"],
        &[&["check", "-o", "json"][..], &operator].concat(),
        &[&["check"][..], &operator].concat(),
        &["__complete", "status", ""],
    ] {
        let ran = person.runs(arguments);
        assert!(!(ran.stdout.is_empty() && ran.stderr.is_empty()), "{arguments:?}");
        said += &format!("{}{}", ran.stdout, ran.stderr);
    }
    secrets.extend(secret_values(&namespace).await);
    assert!(said.contains("calendar-oauth-state") && said.contains("refreshed: the token expires"), "{said}");
    assert!(said.contains("not revoked: The tokens are not revoked."), "{said}");
    for secret in secrets {
        assert!(!said.contains(&secret), "a secret is shown:\n{said}");
    }
}

/// What somebody wrote into a spec does nothing to the terminal of whoever looks at it.
#[tokio::test(flavor = "multi_thread")]
async fn no_spec_reaches_the_terminal_itself() {
    let namespace = Cluster::shared().await.namespace("terminal").await;
    namespace
        .apply(
            r#"
apiVersion: oauth-operator.dev/v1alpha1
kind: OAuthCredential
metadata: {name: hostile}
spec:
  provider: {endpoints: {token: "https://a.example/\e]0;owned\a\e[2J\u202e"}}
  client: {id: a, authentication: none}
  grant: {clientCredentials: {}}
"#,
        )
        .await;
    let person = Person::admin(&namespace);
    let told = person.runs(&["status", "hostile"]).ended(1);
    assert!(told.contains("https://a.example/\u{fffd}]0;owned\u{fffd}\u{fffd}[2J\u{fffd}\n"), "{told}");
    for arguments in [&["status"][..], &["status", "hostile", "-o", "yaml"], &["check"]] {
        let ran = person.runs(arguments);
        assert!(!(ran.stdout.clone() + &ran.stderr).contains(['\u{1b}', '\u{7}', '\u{202e}']), "{arguments:?}");
    }
}
