use serde_json::{Value, json};

use super::*;
use crate::api::SecretStatus;

fn spec(exchanges: &[&str], secret: Value) -> OAuthCredentialSpec {
    let token = |name: &&str| json!({"credentialRef": {"name": name}});
    let mut grant = json!({"clientCredentials": {}});
    if let Some(subject) = exchanges.first() {
        grant = json!({"tokenExchange": {"subjectToken": token(subject), "subjectTokenType": "t"}});
        if let Some(actor) = exchanges.get(1) {
            grant["tokenExchange"]["actorToken"] = token(actor);
            grant["tokenExchange"]["actorTokenType"] = "t".into();
        }
    }
    serde_json::from_value(json!({"grant": grant, "secret": secret})).unwrap()
}

fn key(templates: Value) -> Option<String> {
    token_key(&spec(&[], json!({"template": templates}))).map(str::to_owned)
}

#[test]
fn the_token_alone_is_what_is_exchanged() {
    assert_eq!(token_key(&spec(&[], Value::Null)), Some("access_token"));
    for (templates, expected) in [
        (json!({"header": "Bearer {{ access_token }}"}), None),
        (json!({"access_token": "Bearer {{ access_token }}", "b": "{{access_token}}"}), Some("b")),
        (json!({"t": "{{- access_token -}}"}), Some("t")),
        (json!({"t": "{{ access_token | upper }}"}), None),
        (json!({"t": "{{ access_token }}\n"}), None),
        (json!({"t": "{{ access_token }}{{ access_token }}"}), None),
    ] {
        assert_eq!(key(templates.clone()).as_deref(), expected, "{templates}");
    }
}

#[test]
fn circles_are_found() {
    let depends = |name: &str, of: &[(&str, &[&str])]| {
        let look = |one: &str| Some(spec(of.iter().find(|(name, _)| *name == one)?.1, Value::Null));
        depends_on(name, "b", &look)
    };
    assert!(!depends("a", &[("b", &["c"]), ("c", &[])]));
    assert!(!depends("a", &[("b", &["c", "d"]), ("c", &["d"]), ("d", &[])]), "the same one twice");
    assert!(depends("a", &[("b", &["c"]), ("c", &["a"])]));
    assert!(depends("a", &[("b", &["c", "d"]), ("c", &[]), ("d", &["a"])]), "by way of the actor");
    assert!(depends("b", &[]), "itself");
    assert!(depends("a", &[("b", &["c"]), ("c", &["b"])]), "others in a circle");
}

#[test]
fn only_a_token_that_serves_is_exchanged() {
    let now = Timestamp::from_second(1000).unwrap();
    let status = |expires: Option<i64>, published: bool| OAuthCredentialStatus {
        expiration_time: expires.map(|second| Timestamp::from_second(second).unwrap()),
        secret: published.then(SecretStatus::default),
        ..OAuthCredentialStatus::default()
    };
    for (status, serves) in [
        (None, false),
        (Some(status(None, false)), false),
        (Some(status(None, true)), true),
        (Some(status(Some(1000), true)), false),
        (Some(status(Some(1001), true)), true),
    ] {
        assert_eq!(unusable("other", status.as_ref(), now).is_none(), serves, "{status:?}");
    }
}

#[test]
fn what_it_reads_follows_the_others_specs() {
    let look = |name: &str| match name {
        "plain" => Some(spec(&[], Value::Null)),
        "named" => Some(spec(&[], json!({"name": "out", "template": {"t": "{{ access_token }}"}}))),
        _ => None,
    };
    let found = inputs("ns", &spec(&["plain", "named"], Value::Null), look);
    let found: Vec<_> = found.iter().map(|input| format!("{}/{}/{}", input.namespace, input.name, input.key)).collect();
    assert_eq!(found, ["ns/plain-token/access_token", "ns/out/t"]);
    assert_eq!(inputs("ns", &spec(&["gone"], Value::Null), look), []);
}
