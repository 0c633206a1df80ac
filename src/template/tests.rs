use super::*;
use proptest::prelude::*;
use serde_json::json;

fn render(source: &str, context: serde_json::Value) -> Result<String, TemplateError> {
    Template::parse(source)?.render(value(&context), &mut Work::default()).map(|text| text.to_string())
}

#[test]
fn renders_what_users_write() {
    let context = json!({"access_token": "t<&>", "expires_at": 1_700_000_000, "scope": null,
        "response": {"owner_id": 785, "list": [1, 2]}, "tokens": {"b": {"access_token": "u"}}});
    for (source, expected) in [
        ("Bearer {{ access_token }}", "Bearer t<&>"),
        ("{{ response.owner_id }}", "785"),
        ("{{ response['owner_id'] + 1 }}", "786"),
        ("{{ response | tojson }}", r#"{"list": [1, 2], "owner_id": 785}"#),
        ("{{ access_token | b64encode }}", "dDwmPg=="),
        ("{{ 'dDwmPg' | b64decode }}", "t<&>"),
        ("{{ 'dDwmPg==' | b64decode }}", "t<&>"),
        ("{{ '_-8' | b64encode | b64decode }}", "_-8"),
        ("{{ tokens.b.access_token }}", "u"),
        ("{{ response.missing | default('none') }}", "none"),
        ("{% if response.missing is defined %}a{% else %}b{% endif %}", "b"),
        ("{% for n in response.list %}{{ n }},{% endfor %}", "1,2,"),
        ("a\n", "a\n"),
        ("{{ expires_at }}", "1700000000"),
        ("{{ access_token | urlencode }}", "t%3C%26%3E"),
    ] {
        assert_eq!(render(source, context.clone()).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_missing_field_is_named() {
    let error = render("x\n{{ response.owner_id }}", json!({"response": {}})).unwrap_err();
    assert_eq!(error, TemplateError::MissingField { line: Some(2), expression: Some("response.owner_id".into()) });
    assert_eq!(error.to_string(), "the template uses `response.owner_id`, which is not there (line 2)");
    assert!(matches!(render("{{ nothing }}", json!({})), Err(TemplateError::MissingField { .. })));
    assert!(matches!(render("{{ a.b.c }}", json!({"a": {}})), Err(TemplateError::MissingField { .. })));
}

#[test]
fn a_defect_of_the_engine_is_told_of() {
    let context = json!({"text": "%(\u{e9}"});
    assert_eq!(render("{{ text | format }}", context), Err(TemplateError::Broken));
    assert_eq!(render("{{ '%(\u{e9}' | format }}", json!({})), Err(TemplateError::Broken));
}

#[test]
fn nothing_outside_can_be_reached() {
    for source in [
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% include '/etc/passwd' ignore missing %}",
    ] {
        assert!(Template::parse(source).unwrap_err().is_syntax(), "{source}");
    }
    assert!(render("{{ debug() }}", json!({})).is_err());
    assert!(render("{{ x | nothing }}", json!({"x": 1})).unwrap_err().is_syntax());
    assert!(render("{{ nothing() }}", json!({})).is_err());
}

#[test]
fn work_and_output_are_bounded() {
    let doubling = format!("{{% set x = 'xxxxxxxx' %}}{}{{{{ x }}}}", "{% set x = x ~ x %}".repeat(40));
    for source in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{{ b }}{% endfor %}{% endfor %}",
        "{{ 'x' * 100000000 }}",
        "{{ 'xxxx' | replace('x', 'y' * 100000) | replace('y', 'z' * 100000) }}",
        "{{ ('x' | indent(100000000)) }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        doubling.as_str(),
    ] {
        let error = render(source, json!({})).unwrap_err();
        assert!(!error.is_syntax(), "{source}: {error:?}");
    }
    assert_eq!(render("{{ 'x' * 2000000 }}", json!({})), Err(TemplateError::TooLarge));
    assert_eq!(render("{{ 'x' * 1000000 }}", json!({})).map(|text| text.len()), Ok(1_000_000));
    assert!(Template::parse(&"{{ (".repeat(4000)).is_err());
    assert!(Template::parse(&format!("{{{{ {}1{} }}}}", "(".repeat(4000), ")".repeat(4000))).is_err());
}

/// However many keys there are: what one has done, the next can't.
#[test]
fn work_is_bounded_over_all_that_belong_together() {
    let template = Template::parse("{% for a in range(10000) %}{{ a }}{% endfor %}").unwrap();
    let mut work = Work::default();
    let ends = (0..100).find_map(|_| template.render(value(&json!({})), &mut work).err());
    assert_eq!(ends, Some(TemplateError::TooMuchWork));
    assert!(template.render(value(&json!({})), &mut Work::default()).is_ok());
}

#[test]
fn errors_hold_no_value() {
    const CANARY: &str = "s3cr3t-canary";
    let context = json!({"access_token": CANARY, "response": {}});
    for source in [
        "{{ access_token | int }}",
        "{{ access_token + 1 }}",
        "{{ access_token | b64decode }}",
        "{{ response[access_token] }}",
        "{{ [1] | map(access_token) | list }}",
        "{{ access_token() }}",
        "{{ access_token.nothing() }}",
        "{% for a, b in [access_token] %}{% endfor %}",
    ] {
        let template = Template::parse(source).unwrap();
        let error = template.render(value(&context), &mut Work::default()).unwrap_err();
        for text in [format!("{error:?}"), format!("{error}"), format!("{template:?}")] {
            assert!(!text.contains(CANARY), "{source}: {text}");
        }
    }
}

#[test]
fn errors_hold_nothing_that_a_terminal_obeys() {
    for source in ["{{ 1 | \u{1b}[31m }}", "{{ \"\u{202e}\u{1b}[31m\" + 1 }}", "{{ '\u{202e}' | int }}"] {
        let error = render(source, json!({})).unwrap_err();
        assert!(!format!("{error}").contains(is_disruptive), "{source:?}: {error}");
    }
}

#[test]
fn variables_are_listed() {
    assert_eq!(Template::parse("{{ a.b }}{{ c }}").unwrap().variables(), ["a", "c"]);
}

proptest! {
    #[test]
    fn never_panics(source in "(\\{\\{|\\}\\}|\\{%|%\\}|[ a-z0-9.|()'\"~*+\\[\\]-]|for|if|set|in|range|\n){0,40}") {
        let _ = render(&source, json!({"a": "b", "c": [1]}));
    }
}
