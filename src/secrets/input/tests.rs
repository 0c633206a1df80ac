use k8s_openapi::ByteString;
use kube::api::ObjectMeta;

use super::*;

fn secret(data: &[(&str, &[u8])], labels: &[(&str, &str)]) -> Secret {
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Secret {
        metadata: ObjectMeta { labels: Some(labels), ..ObjectMeta::default() },
        data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect()),
        ..Secret::default()
    }
}

/// The first key that has no value, or the values.
fn all(
    secret: Option<Secret>,
    keys: Vec<&str>,
    required: Option<&RequiredLabel>,
) -> Result<BTreeMap<String, SecretText>, Problem> {
    values("s", secret, keys, required).into_iter().map(|(key, value)| Ok((key, value?))).collect()
}

fn read(value: &[u8]) -> Result<String, Problem> {
    let values = all(Some(secret(&[("k", value), ("other", b"\xff")], &[])), vec!["k"], None)?;
    assert_eq!(values.len(), 1, "only what was asked for");
    Ok(values["k"].expose().to_owned())
}

/// White space around a JSON object is nobody's, so it doesn't matter; in a text that only looks like one it does.
#[test]
fn a_json_key_may_end_with_a_line_break() {
    assert_eq!(read(b"{\"kty\": \"EC\"}\n").unwrap(), "{\"kty\": \"EC\"}");
    assert!(read(b"{not json\n").unwrap_err().message.contains("ends with a line break"));
    assert_eq!(read(b"{not json").unwrap(), "{not json");
}

#[test]
fn a_config_map_is_named_as_one() {
    let data = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let found = |data| Ok(Some(ConfigMap { data: Some(data), ..ConfigMap::default() }));
    let of = |config_map| public_values("authorities", config_map, ["ca.crt"]).remove("ca.crt").unwrap();
    assert_eq!(of(found(data("ca.crt", "pem"))).unwrap().expose(), "pem");
    for (config_map, says) in [
        (found(data("other", "pem")), "The ConfigMap authorities has no key ca.crt"),
        (found(data("ca.crt", "")), "The key ca.crt of the ConfigMap authorities is empty"),
        (Ok(None), "The ConfigMap authorities doesn't exist"),
        (Err(missing("it is forbidden".to_owned())), "it is forbidden"),
    ] {
        assert!(of(config_map).unwrap_err().message.contains(says), "{says}");
    }
}

#[test]
fn values_are_text_as_it_stands() {
    for good in ["v", " v ", "a\nb", "-----BEGIN\nx\n-----END\n", "ü", "\t"] {
        assert_eq!(read(good.as_bytes()).unwrap(), good);
    }
    for (bad, what) in [
        (&b"v\n"[..], "ends with a line break"),
        (b"v\r\n", "ends with a line break"),
        (b"v\n\n", "ends with a line break"),
        (b"\n", "ends with a line break"),
        (b"", "is empty"),
        (b"v\xff", "is not UTF-8"),
    ] {
        let problem = read(bad).unwrap_err();
        assert_eq!((problem.reason, problem.stalls), (Reason::InvalidSpec, true));
        assert!(
            problem.message.starts_with("The key k of the Secret s") && problem.message.contains(what),
            "{problem:?}"
        );
    }
}

#[test]
fn what_is_missing_may_come() {
    for (found, keys, what) in [
        (None, vec!["k"], "The Secret s doesn't exist"),
        (Some(secret(&[("k", b"v")], &[])), vec!["k", "l"], "has no key l"),
        (Some(Secret::default()), vec!["k"], "has no key k"),
    ] {
        let problem = all(found, keys, None).unwrap_err();
        assert_eq!((problem.reason, problem.stalls), (Reason::SourceSecretNotFound, false));
        assert!(problem.message.contains(what), "{problem:?}");
    }
}

#[test]
fn the_required_label() {
    let required = |value: Option<&str>| RequiredLabel { key: "input".into(), value: value.map(str::to_owned) };
    let cases: [(&[(&str, &str)], _, _); 6] = [
        (&[], None, false),
        (&[("other", "yes")], None, false),
        (&[("input", "")], None, true),
        (&[("input", "no")], None, true),
        (&[("input", "no")], Some("yes"), false),
        (&[("input", "yes")], Some("yes"), true),
    ];
    for (labels, value, allowed) in cases {
        let found = all(Some(secret(&[("k", b"v")], labels)), vec!["k"], Some(&required(value)));
        assert_eq!(
            found.as_ref().err().map(|problem| (problem.reason, problem.stalls)),
            (!allowed).then_some((Reason::NotAllowed, true))
        );
    }
    // What isn't there is not accused of lacking a label.
    let missing = all(None, vec!["k"], Some(&required(None))).unwrap_err();
    assert_eq!(missing.reason, Reason::SourceSecretNotFound);
}

#[test]
fn a_bad_key_is_nothing_to_those_who_use_another() {
    let values = values("s", Some(secret(&[("good", b"v"), ("bad", b"\xff")], &[])), ["good", "bad", "absent"], None);
    assert_eq!(values["good"].as_ref().map(SecretText::expose), Ok("v"));
    assert!(values["bad"].is_err() && values["absent"].is_err());
}
