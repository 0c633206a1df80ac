use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
use serde_json::{Value, json};

use super::*;

fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: Value) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        manager: Some(manager.into()),
        operation: Some(operation.into()),
        subresource: subresource.map(str::to_owned),
        fields_v1: Some(FieldsV1(fields)),
        ..ManagedFieldsEntry::default()
    }
}

/// The fields that one apply of ours owns.
fn fields(label: bool, keys: &[&str]) -> Value {
    let data: serde_json::Map<_, _> = keys.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
    let labels = if label { json!({format!("f:{CREDENTIAL_LABEL}"): {}, "f:team": {}}) } else { json!({"f:team": {}}) };
    let annotations = json!({format!("f:{REVISION}"): {}, format!("f:{LINEAGE}"): {}});
    json!({"f:metadata": {"f:labels": labels, "f:annotations": annotations}, "f:data": data})
}

fn metadata(entries: Vec<ManagedFieldsEntry>) -> ObjectMeta {
    let annotations = [(LINEAGE, "l"), (REVISION, "7"), (WRITTEN_UNDER, "s.p.i.o")];
    ObjectMeta {
        annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        managed_fields: Some(entries),
        ..ObjectMeta::default()
    }
}

fn intact(entries: Vec<ManagedFieldsEntry>) -> bool {
    Notes::of(&metadata(entries)).published(["a", "b"]).intact
}

#[test]
fn an_output_says_what_it_holds() {
    let ours = entry(FIELD_MANAGER, "Apply", None, fields(true, &["a", "b"]));
    let notes = Notes::of(&metadata(vec![ours]));
    assert!(!notes.open_intent);
    let asked_under = AskedUnder { spec: "s".into(), provider: "p".into(), inputs: "i".into() };
    assert_eq!(written_under(&asked_under, "o"), "s.p.i.o");
    let expected = Published { lineage: "l".into(), revision: 7, asked_under, output: "o".into(), intact: true };
    assert_eq!(notes.published(["a", "b"]), expected);
}

#[test]
fn who_changes_a_field_takes_it_over() {
    let ours = |keys: &[&str]| entry(FIELD_MANAGER, "Apply", None, fields(true, keys));
    let theirs = entry("kubectl", "Update", None, json!({"f:data": {"f:b": {}, "f:x": {}}}));
    assert!(intact(vec![ours(&["a", "b"])]));
    assert!(intact(vec![theirs.clone(), ours(&["a", "b", "c"])]), "foreign keys stay");
    assert!(!intact(vec![ours(&["a"]), theirs]), "b is theirs now");
    assert!(!intact(vec![ours(&["ab", "b"])]), "no key is part of another");
    let mut unnumbered = fields(true, &["a", "b"]);
    unnumbered["f:metadata"]["f:annotations"] = json!({"f:note": {}});
    assert!(!intact(vec![entry(FIELD_MANAGER, "Apply", None, unnumbered)]), "somebody else gave it its revision");
}

#[test]
fn what_is_not_our_apply_owns_nothing() {
    let all = || fields(true, &["a", "b"]);
    let mut without_revision = all();
    without_revision["f:metadata"]["f:annotations"] = json!({format!("f:{LINEAGE}"): {}});
    for entries in [
        vec![],
        vec![entry("other", "Apply", None, all())],
        vec![entry(FIELD_MANAGER, "Update", None, all())],
        vec![entry(FIELD_MANAGER, "Apply", Some("status"), all())],
        vec![entry(FIELD_MANAGER, "Apply", None, fields(false, &["a", "b"]))],
        vec![entry(FIELD_MANAGER, "Apply", None, json!({"f:data": {"f:a": {}, "f:b": {}}}))],
        vec![entry(FIELD_MANAGER, "Apply", None, without_revision)],
    ] {
        assert!(!intact(entries.clone()), "{entries:?}");
    }
}

#[test]
fn annotations_that_are_gone_or_wrong() {
    let bare = Notes::of(&ObjectMeta::default());
    assert_eq!(bare.published([]), Published::default());
    let mut wrong = metadata(Vec::new());
    wrong.annotations.as_mut().unwrap().extend([(REVISION.into(), "x".into()), (ATTEMPT.into(), "a".into())]);
    let notes = Notes::of(&wrong);
    assert_eq!((notes.revision, notes.open_intent), (0, true));
    let mut revoked = metadata(Vec::new());
    revoked.annotations.as_mut().unwrap().extend([(REVOKING.into(), "2026-01-01T00:00:00Z".into())]);
    assert!(Notes::of(&revoked).open_intent, "it is read before anything is done");
}
