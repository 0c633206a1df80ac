use serde_json::{Value, json};

use super::*;

#[test]
fn selectors_select_as_kubernetes_does() {
    let one = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    let both = json!({"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "env", "operator": "Exists"}]});
    let cases: [(Value, [bool; 3]); 11] = [
        (json!({}), [true, true, true]),
        (json!({"matchLabels": {"team": "a"}}), [false, true, true]),
        (json!({"matchLabels": {"team": "a", "env": "prod"}}), [false, false, true]),
        (one("team", "In", &["b", "a"]), [false, true, true]),
        (one("team", "In", &["b"]), [false, false, false]),
        (one("env", "NotIn", &["prod"]), [true, true, false]),
        (one("env", "NotIn", &["test"]), [true, true, true]),
        (one("env", "Exists", &[]), [false, false, true]),
        (one("env", "DoesNotExist", &[]), [true, true, false]),
        (both, [false, false, true]),
        (json!({"matchLabels": {"team": ""}}), [false, false, false]),
    ];
    for (selector, expected) in cases {
        let parsed: NamespaceSelector = serde_json::from_value(selector.clone()).unwrap();
        let found = [&[][..], &[("team", "a")], &[("team", "a"), ("env", "prod")]].map(|labels| {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            parsed.matches(&labels)
        });
        assert_eq!(found, expected, "{selector}");
    }
}
