use std::time::Duration;

use super::*;
use crate::{
    api::{OAuthCredentialSpec, ProviderSpec},
    credential::{
        record::AskedUnder,
        validate::{GivenProvider, Limits, validate},
    },
    oauth::values::{AccessToken, IdToken, RefreshToken},
};

const OWNER: Owner<'_> = Owner { namespace: "ns", name: "cred", uid: "u" };

fn checked(secret: Value, scopes: &[&str]) -> Checked {
    let spec = json!({"grant": {"clientCredentials": {}}, "client": {"id": "c"}, "scopes": scopes, "secret": secret});
    let spec: OAuthCredentialSpec = serde_json::from_value(spec).unwrap();
    let provider: ProviderSpec =
        serde_json::from_value(json!({"endpoints": {"token": "https://id.example/t"}})).unwrap();
    let given = GivenProvider {
        spec: &provider,
        namespace: "ns",
        allowed_addresses: &[],
        id: String::new(),
        hash: String::new(),
        metadata: None,
    };
    let limits = Limits {
        request_timeout: Duration::from_secs(30),
        secret_types: Vec::new(),
        api_audiences: Vec::new(),
        callback: None,
    };
    validate("ns", "cred", &spec, &given, &limits).unwrap()
}

fn issued() -> Issued {
    Issued {
        leg: String::new(),
        access_token: AccessToken::new("at"),
        refresh_token: Some(RefreshToken::new("s3cr3t")),
        id_token: None,
        token_type: None,
        scope: None,
        obtained_at: Timestamp::UNIX_EPOCH,
        expires_at: Some("2026-01-02T03:04:05.6Z".parse().unwrap()),
        refresh_token_expires_at: None,
        response: SecretText::new(r#"{"access_token":"at","team":{"id":7}}"#),
        asked_under: AskedUnder { spec: "s".into(), provider: "p".into(), inputs: "i".into() },
    }
}

fn rendered(checked: &Checked, issued: &Issued) -> BTreeMap<String, String> {
    let rendered = render(checked, OWNER, issued, &BTreeMap::new()).unwrap();
    rendered.into_iter().map(|(key, value)| (key, value.expose().to_owned())).collect()
}

fn template(source: &str, issued: &Issued) -> Result<String, Problem> {
    let rendered = render(&checked(json!({"template": {"k": source}}), &["a", "b"]), OWNER, issued, &BTreeMap::new())?;
    Ok(rendered["k"].expose().to_owned())
}

#[test]
fn the_default_keys() {
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let plain = checked(json!({}), &["a", "b"]);
    let times = "2026-01-02T03:04:05Z";
    let expected = map(&[("access_token", "at"), ("token_type", "Bearer"), ("expires_at", times), ("scope", "a b")]);
    assert_eq!(rendered(&plain, &issued()), expected);
    let told = Issued { token_type: Some("mac".into()), scope: Some("a".into()), expires_at: None, ..issued() };
    assert_eq!(rendered(&plain, &told), map(&[("access_token", "at"), ("token_type", "mac"), ("scope", "a")]));
    assert_eq!(rendered(&checked(json!({}), &[]), &issued())["scope"], "");
    // What is watched for drift is there whatever the token.
    assert_eq!(keys(&plain.output, std::iter::empty()), ["access_token", "token_type", "scope"]);
    assert_eq!(keys(&plain.output, ["graph"].into_iter())[3], "graph.access_token");
    assert_eq!(keys(&checked(json!({"template": {"b": "", "a": ""}}), &[]).output, ["graph"].into_iter()), ["a", "b"]);
}

#[test]
fn what_a_template_sees() {
    let with_id = Issued { id_token: Some(IdToken::new("it")), ..issued() };
    for (source, expected) in [
        ("Bearer {{ access_token }}\n", "Bearer at\n"),
        ("{{ expires_at }}", "1767323045"),
        ("{{ expires_at + 1 }}", "1767323046"),
        ("{{ token_type }} {{ scope }}", "Bearer a b"),
        ("{{ id_token }}", "it"),
        ("{{ response.team.id }}", "7"),
        ("{{ credential.namespace }}/{{ credential.name }}", "ns/cred"),
        ("{{ tokens | length }}", "0"),
        ("{{ tokens.x is defined }}", "False"),
    ] {
        assert_eq!(template(source, &with_id).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn no_template_sees_a_refresh_token() {
    for source in ["{{ refresh_token }}", "{{ response.refresh_token }}", "{{ client_secret }}"] {
        assert_eq!(template(source, &issued()).unwrap_err().reason, Reason::InvalidResponse, "{source}");
    }
    let everything =
        "{{ response | tojson }}{{ tokens | tojson }}{{ credential | tojson }}{{ access_token }}{{ scope }}";
    assert!(!template(everything, &issued()).unwrap().contains("s3cr3t"));
}

#[test]
fn a_template_that_fails() {
    let never = Issued { expires_at: None, ..issued() };
    for (source, issued, reason) in [
        ("{{ response.owner }}", issued(), Reason::InvalidResponse),
        ("{{ id_token }}", issued(), Reason::InvalidResponse),
        ("{{ expires_at }}", never, Reason::InvalidResponse),
        ("{{ access_token | int }}", issued(), Reason::InvalidResponse),
        ("{{ access_token | nothing }}", issued(), Reason::InvalidSpec),
    ] {
        let problem = template(source, &issued).unwrap_err();
        assert_eq!((problem.reason, problem.stalls), (reason, true), "{source}");
        assert!(problem.message.starts_with("spec.secret.template, key k: ") && problem.message.ends_with('.'));
    }
}

#[test]
fn all_keys_together_are_bounded() {
    let long = "{% for i in range(900) %}{% for j in range(12) %}0123456789012345678901234567890123456789{% endfor %}{% endfor %}";
    let of = |keys: usize| {
        let templates: BTreeMap<String, &str> = (0..keys).map(|key| (format!("k{key}"), long)).collect();
        render(&checked(json!({"template": templates}), &[]), OWNER, &issued(), &BTreeMap::new())
    };
    assert_eq!(of(2).unwrap().len(), 2);
    let problem = of(3).unwrap_err();
    assert_eq!((problem.reason, problem.stalls), (Reason::InvalidSpec, true));
    assert!(problem.message.contains("more than 1 MiB over all its keys"), "{}", problem.message);
}

#[test]
fn the_object_that_is_applied() {
    let spec = json!({"labels": {"team": "a"}, "annotations": {"note": "b"}, "type": "Opaque"});
    let checked = checked(spec, &[]);
    let issued = issued();
    let token = Token { lineage: "l", revision: 3, issued: &issued };
    let data = BTreeMap::from([("k".to_owned(), SecretText::new("v"))]);
    let object = applied(&checked.output, OWNER, token, &data, &Precondition::Absent);
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "cred-token",
            "namespace": "ns",
            "labels": {"team": "a", "oauth-operator.dev/credential": "cred"},
            "annotations": {
                "note": "b",
                "oauth-operator.dev/revision": "3",
                "oauth-operator.dev/lineage": "l",
                "oauth-operator.dev/written-under": format!("s.p.i.{}", checked.output.hash),
            },
            "ownerReferences": [
                {"apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "name": "cred", "uid": "u"}
            ],
            "resourceVersion": "1",
        },
        "type": "Opaque",
        "data": {"k": "dg=="},
    });
    assert_eq!(object, expected);

    let is = Precondition::Is { uid: "x".into(), resource_version: "9".into() };
    let metadata = &applied(&checked.output, OWNER, token, &data, &is)["metadata"];
    assert_eq!((&metadata["uid"], &metadata["resourceVersion"]), (&json!("x"), &json!("9")));
    let retained = super::tests::checked(json!({"deletionPolicy": "Retain"}), &[]);
    let object = applied(&retained.output, OWNER, token, &data, &is);
    assert_eq!(object["metadata"].get("ownerReferences"), None);
}
