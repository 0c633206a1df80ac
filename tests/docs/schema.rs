//! The CRDs' schemas, as the two readers here need them.

use oauth_operator::api::crd;
use serde_json::Value;

/// Kind of each resource, with its schema.
pub fn kinds() -> Vec<(String, Value)> {
    let kind = |(_, crd)| {
        let crd = serde_json::to_value(crd).unwrap();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
        (crd["spec"]["names"]["kind"].as_str().unwrap().to_owned(), schema.clone())
    };
    crd::all().unwrap().into_iter().map(kind).collect()
}

/// What a field holds once lists and maps are taken off.
pub fn inner(schema: &Value) -> &Value {
    match schema.get("items").or_else(|| schema.get("additionalProperties")) {
        Some(within) => inner(within),
        None => schema,
    }
}

pub fn is_required(parent: &Value, name: &str) -> bool {
    parent["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
}

/// Whether the field is one of several of which its parent takes exactly one: such a field has no default.
pub fn is_choice(parent: &Value, name: &str) -> bool {
    let named = format!("has(self.{name})");
    let rules = parent["x-kubernetes-validations"].as_array().into_iter().flatten();
    let exactly_one = |rule: &Value| {
        let rule = rule["rule"].as_str().unwrap();
        rule.contains(&named)
            && (rule.starts_with('[') && rule.ends_with(".size() == 1")
                || rule.starts_with("has(") && rule.contains(" != has("))
    };
    let alone = serde_json::json!({"required": [name]});
    rules.into_iter().any(exactly_one) || parent["oneOf"].as_array().is_some_and(|ways| ways.contains(&alone))
}
