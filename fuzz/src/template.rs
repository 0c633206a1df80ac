//! Templates of a tenant's over the fields of a reply. An input is the template, a line `---`, and the fields as JSON.

use oauth_operator::{
    oauth::transport::MAX_BODY,
    template::{MAX_OUTPUT, Template, TemplateError, Work, value},
};
use serde_json::{Value, json};

use super::shown::{CANARY, assert_sentence};

/// The longest template that the schema takes, in characters.
const MAX_TEMPLATE: usize = 16_384;

/// Parses and renders.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (source, fields) = text.split_once("\n---\n").unwrap_or((text, "{}"));
    if source.chars().count() > MAX_TEMPLATE || fields.len() > MAX_BODY {
        return;
    }
    let template = match Template::parse(source) {
        Ok(template) => template,
        Err(error) => return told(source, &error),
    };
    let _ = template.variables();
    let response: Value = serde_json::from_str(fields).unwrap_or_default();
    let context =
        value(&json!({"access_token": CANARY, "scope": "a b", "expires_at": 1_767_225_600, "response": response}));
    let rendered = template.render(context.clone(), &mut Work::default());
    assert!(!format!("{template:?}").contains(CANARY));
    match &rendered {
        Ok(text) => assert!(text.len() <= MAX_OUTPUT),
        Err(error) => told(source, error),
    }
    // An output that differs each time would be written anew each time.
    assert_eq!(rendered, template.render(context, &mut Work::default()));
}

/// Words of the source are repeated; a source that has the canary in it proves nothing.
fn told(source: &str, error: &TemplateError) {
    if !source.contains(CANARY) {
        assert_sentence(&error.to_string());
        assert!(!format!("{error:?}").contains(CANARY));
    }
}
