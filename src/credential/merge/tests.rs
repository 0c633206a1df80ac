use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::*;

/// Each field that a refresh sets replaces the first one's, whole, and no other.
fn each_field_overrides_its_own<T: Serialize + DeserializeOwned + Default>(
    merge: fn(&T, Option<&T>) -> T,
    first: Value,
    refresh: Value,
) {
    let spec = |value: &Value| serde_json::from_value::<T>(value.clone()).unwrap();
    let merged = |over: Option<&T>| serde_json::to_value(merge(&spec(&first), over)).unwrap();
    let all = serde_json::to_value(merge(&T::default(), Some(&spec(&refresh)))).unwrap();
    assert_eq!((merged(None), merged(Some(&T::default())), all), (first.clone(), first.clone(), refresh.clone()));
    for (field, value) in refresh.as_object().unwrap() {
        let mut expected = first.clone();
        expected[field] = value.clone();
        assert_eq!(merged(Some(&spec(&json!({field.as_str(): value})))), expected, "{field}");
    }
}

#[test]
fn a_refresh_is_asked_for_as_the_first_token_save_for_what_it_says() {
    let named = |name: &str| json!([{"name": name, "value": "v"}]);
    let parameters = |name: &str| json!([{"name": name, "value": "v", "in": "Body"}]);
    let mapping = |name: &str| json!([{"parameter": name, "in": "Query"}]);
    each_field_overrides_its_own(
        merge_request,
        json!({"method": "POST", "encoding": "Form", "authentication": "none", "headers": named("a"),
            "parameters": parameters("a"), "mapping": mapping("scope")}),
        json!({"method": "GET", "encoding": "JSON", "authentication": "client_secret_post", "headers": named("b"),
            "parameters": parameters("b"), "mapping": mapping("client_id")}),
    );
}

#[test]
fn a_refreshs_reply_is_read_as_the_first_save_for_what_it_says() {
    let paths = |mark: &str, encoding: &str, unit: &str| {
        let path = |field: &str| format!("$.{mark}.{field}");
        json!({
            "encoding": encoding, "expiresInUnit": unit,
            "accessToken": path("a"), "refreshToken": path("r"), "tokenType": path("t"), "scope": path("s"),
            "idToken": path("i"), "expiresIn": path("e"), "expiresAt": path("x"), "refreshTokenExpiresIn": path("re"),
            "refreshTokenExpiresAt": path("rx"), "error": path("f"), "success": {"path": path("ok"), "values": [mark]},
            "permanentErrors": [mark, "p"], "temporaryErrors": [mark, "t"],
        })
    };
    each_field_overrides_its_own(merge_response, paths("first", "JSON", "Minutes"), paths("later", "Form", "Seconds"));
}
