//! What `kubectl explain --recursive` shows: each field has a sentence; each field of a spec also a default, and an example or
//! the section that defines it.

use serde_json::{Value, json};

use crate::schema::{inner, is_choice, is_required, kinds};

#[test]
fn every_field_is_described() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (kind, schema) in kinds() {
        for part in ["spec", "status"] {
            let Some(schema) = schema["properties"].get(part) else { continue };
            visit(&format!("{kind}.{part}"), schema, &mut |at, parent, name, field| {
                seen += 1;
                let faults = faults(parent, name, field, part == "spec");
                wrong.extend(faults.into_iter().map(|fault| format!("{at}: {fault}: {}", field["description"])));
            });
        }
    }
    assert!(wrong.is_empty(), "{} of {seen} fields:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen > 500, "only {seen} fields were seen");
}

fn visit(at: &str, schema: &Value, each: &mut impl FnMut(&str, &Value, &str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        each(&at, schema, name, field);
        visit(&at, inner(field), each);
    }
}

/// What a field's text lacks.
fn faults(parent: &Value, name: &str, field: &Value, spec: bool) -> Vec<&'static str> {
    let Some(text) = field["description"].as_str() else { return vec!["no description"] };
    let mut faults = Vec::new();
    let sentence = ["Default: ", "Example: "].iter().filter_map(|mark| text.find(mark)).min();
    let sentence = text[..sentence.unwrap_or(text.len())].trim_end();
    if !sentence.starts_with(|first: char| first.is_uppercase() || first == '`') || !sentence.ends_with(['.', ')']) {
        faults.push("its first words are no sentence");
    }
    if text.contains("  ") || text.contains('\n') {
        faults.push("it is broken into lines");
    }
    if !spec {
        return faults;
    }
    if !is_required(parent, name)
        && !is_choice(parent, name)
        && field.get("default").is_none()
        && !text.contains("Default: ")
    {
        faults.push("it may be left out, and has no default");
    }
    // A value that is one of a few, or yes or no, is its own example; an object's are with its fields.
    let within = inner(field);
    let speaks = field.get("enum").is_some()
        || field["type"] == "boolean"
        || within.get("properties").is_some()
        || name == "clientCredentials";
    let shown = ["Example: ", "RFC "].iter().any(|mark| text.contains(mark));
    if !speaks && !shown {
        faults.push("it has neither an example nor an RFC");
    }
    faults
}

#[test]
fn what_a_text_lacks_is_told() {
    let parent = json!({"required": ["needed"]});
    let string = |text: &str| json!({"type": "string", "description": text});
    let of = |name: &str, field: &Value| faults(&parent, name, field, true).len();
    assert_eq!(of("spare", &json!({"type": "string"})), 1);
    assert_eq!(of("spare", &string("Its name.")), 2);
    assert_eq!(of("needed", &string("Its name.")), 1);
    assert_eq!(of("needed", &string("Its name. Example: x")), 0);
    assert_eq!(of("spare", &string("Its name (RFC 6749). Default: none.")), 0);
    assert_eq!(of("spare", &string("Default: none. Example: x")), 1);
    assert_eq!(of("spare", &json!({"type": "boolean", "default": false, "description": "Whether it is."})), 0);
}
