//! `docs/reference.md`: every field of the resources, written from the CRDs' schemas. `make generate`.

use std::{collections::HashMap, fmt::Write, fs, path::Path};

use serde_json::Value;

use crate::schema::{inner, is_choice, is_required, kinds};

const HEAD: &str = "<!-- Written by `make generate` from the types in src/api; change those instead. -->
# Every field

Generated from the CRDs: what `kubectl explain oauthcredential.spec --recursive` and its like say, on one page. How to use them:
[providers.md](providers.md), [outputs.md](outputs.md), [consent.md](consent.md); what the status means: [status.md](status.md).

Objects that are alike are described once, where they come first. A duration is text such as `90s`, `15m` or `1h30m`; a path is an RFC 9535
JSONPath. *One of* marks fields of which the object takes exactly one. `{name, key}` is one key of a Secret (or a ConfigMap) in the object's own
namespace; a ClusterOAuthProvider's are in the operator's.
";

#[test]
fn the_reference_is_what_the_schemas_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let written = page();
    if std::env::var_os("GENERATE").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == found, "docs/reference.md is stale: run `make generate`");
}

fn page() -> String {
    let mut page = Page { text: HEAD.to_owned(), described: HashMap::new() };
    for (kind, schema) in kinds() {
        write!(page.text, "\n## {kind}\n\n{}\n", prose(schema["description"].as_str().unwrap())).unwrap();
        for part in ["spec", "status"] {
            if let Some(schema) = schema["properties"].get(part) {
                page.section(&format!("{kind}.{part}"), schema);
            }
        }
    }
    page.text
}

struct Page {
    text: String,
    /// An object's schema, and where it is described.
    described: HashMap<String, String>,
}

impl Page {
    /// The object at `at`, and after it the objects in it that weren't described yet.
    fn section(&mut self, at: &str, schema: &Value) {
        if let Some(first) = self.described.get(&key(schema)) {
            writeln!(self.text, "\n### {at}\n\nThe same fields as {first}: {}.", link(first)).unwrap();
            return;
        }
        self.described.insert(key(schema), at.to_owned());
        let fields: Vec<(&String, &Value)> = schema["properties"].as_object().into_iter().flatten().collect();
        let mut within = Vec::new();
        for (name, field) in &fields {
            if has_fields(inner(field)) && !self.described.contains_key(&key(inner(field))) {
                let at = format!("{at}.{name}");
                self.described.insert(key(inner(field)), at.clone());
                within.push((at, inner(field)));
            }
        }
        let table: Vec<String> = fields.iter().map(|(name, field)| self.row(schema, name, field)).collect();
        writeln!(
            self.text,
            "\n### {at}\n\n| field | type | default | what it is |\n|---|---|---|---|\n{}",
            table.join("\n")
        )
        .unwrap();
        // An object's rules stand in its own section.
        let own = fields.iter().map(|(_, field)| *field).filter(|field| !has_fields(field));
        let rules: Vec<String> = sentences(schema).into_iter().chain(own.flat_map(sentences)).collect();
        if !rules.is_empty() {
            writeln!(
                self.text,
                "\nThe API server refuses what breaks a rule, with its sentence:\n\n{}",
                rules.join("\n")
            )
            .unwrap();
        }
        for (at, schema) in within {
            self.described.remove(&key(schema));
            self.section(&at, schema);
        }
    }

    fn row(&self, parent: &Value, name: &str, field: &Value) -> String {
        let (text, example) = split(field["description"].as_str().unwrap(), " Example: ");
        let (text, default) = split(text, " Default: ");
        let default = match (field.get("default"), default) {
            (Some(value), _) => format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            (None, Some(default)) => prose(default.trim_end_matches('.')),
            (None, None) if is_required(parent, name) => "required".to_owned(),
            (None, None) if is_choice(parent, name) => "one of".to_owned(),
            (None, None) => String::new(),
        };
        let example =
            example.map_or_else(String::new, |example| format!(" Example: `{}`", example.replace('|', "\\|")));
        format!("| `{name}` | {} | {default} | {}{example} |", self.kind_of(field), prose(text))
    }

    fn kind_of(&self, field: &Value) -> String {
        if let Some(values) = field["enum"].as_array() {
            let values: Vec<String> =
                values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
            return values.join(", ");
        }
        if let Some(items) = field.get("items") {
            return format!("list of {}", self.kind_of(items));
        }
        if let Some(values) = field.get("additionalProperties") {
            return format!("map of {}", self.kind_of(values));
        }
        if let Some(reference) = reference(field) {
            return reference.to_owned();
        }
        match self.described.get(&key(field)) {
            Some(at) => link(at),
            None if field["format"] == "date-time" => "time (RFC 3339)".to_owned(),
            None => field["type"].as_str().unwrap_or("any JSON").to_owned(),
        }
    }
}

/// What makes two objects alike: everything but what is said of the one or the other.
fn key(schema: &Value) -> String {
    let mut schema = schema.clone();
    let object = schema.as_object_mut().unwrap();
    object.remove("description");
    match has_fields(&schema) {
        true => schema.to_string(),
        false => String::new(),
    }
}

/// Whether an object is worth a section: a mere reference says all with its fields' names.
fn has_fields(schema: &Value) -> bool {
    reference(schema).is_none() && schema.get("properties").is_some()
}

/// `{name, key}` or `{name}`, for an object that has these fields only.
fn reference(schema: &Value) -> Option<&'static str> {
    let names: Vec<&str> = schema["properties"].as_object()?.keys().map(String::as_str).collect();
    match names[..] {
        ["key", "name"] => Some("`{name, key}`"),
        ["name"] => Some("`{name}`"),
        _ => None,
    }
}

/// The sentences of an object's or a field's own rules, as list items.
fn sentences(schema: &Value) -> Vec<String> {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    rules.map(|rule| format!("- {}", prose(rule["message"].as_str().unwrap()))).collect()
}

/// Text without its last part, and the part that `mark` begins.
fn split<'a>(text: &'a str, mark: &str) -> (&'a str, Option<&'a str>) {
    text.split_once(mark).map_or((text, None), |(text, part)| (text, Some(part)))
}

fn prose(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*").replace("{{", "`{{").replace("}}", "}}`")
}

/// A link to a section, whose anchor is its heading in small letters without the dots.
fn link(at: &str) -> String {
    let name = at.rsplit('.').next().unwrap();
    format!("[{name}](#{})", at.to_lowercase().replace('.', ""))
}
