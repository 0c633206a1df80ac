use serde_json::{Value, json};

use super::*;

fn spec(over: Value) -> OAuthCredentialSpec {
    let mut whole = json!({
        "providerRef": {"kind": "ClusterOAuthProvider", "name": "p"},
        "client": {"id": "c", "secretRef": {"name": "s", "key": "k"}, "authentication": "client_secret_post"},
        "grant": {"refreshToken": {"secretRef": {"name": "seed", "key": "k"}, "redirectURI": "https://app.example/cb"}},
        "scopes": ["a", "b"],
        "parameters": [{"name": "resource", "value": "r", "in": "Query"}, {"name": "n", "jsonValue": {"b": 1, "a": [2]}}],
        "additionalTokens": [{"name": "t", "scopes": ["c"]}],
    });
    for (field, value) in over.as_object().unwrap() {
        whole[field] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn provider_spec(over: Value) -> ProviderSpec {
    let mut whole = json!({
        "issuer": "https://id.example",
        "endpoints": {"token": "https://id.example/t", "refresh": "https://id.example/r"},
        "client": {"id": "p", "basicEncoding": "Raw"},
        "scopeSeparator": ",",
        "tokenRequest": {
            "method": "GET",
            "encoding": "JSON",
            "headers": [{"name": "X", "template": "{{ client_id }}"}],
            "mapping": [{"parameter": "client_id", "in": "Header", "as": "X-Client"}],
        },
        "tokenResponse": {"accessToken": "$.token", "expiresInUnit": "Minutes", "permanentErrors": ["e"]},
        "defaultLifetime": "Never",
    });
    for (field, value) in over.as_object().unwrap() {
        whole[field] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

/// These values are in Secrets of every cluster. If one changes, the first start of the new version asks for every token
/// again, all at once: leave a field that is added out of the JSON while it has its default.
#[test]
fn golden_values() {
    assert_eq!(hash(&json!({"a": 1})), "015abd7f5cc57a2d");
    let minimal =
        json!({"grant": {"clientCredentials": {}}, "provider": {"endpoints": {"token": "https://id.example/t"}}});
    let minimal: OAuthCredentialSpec = serde_json::from_value(minimal).unwrap();
    assert_eq!(token_spec(&minimal), "8c0aa20524c28204");
    assert_eq!(token_spec(&spec(json!({}))), "ba1cf72e4d351b7c");
    assert_eq!(provider(minimal.provider.as_ref().unwrap()), "1424201b61852cdc");
    assert_eq!(provider(&provider_spec(json!({}))), "3aff7082c9f2c740");
    assert_eq!(output(None, "cred-token"), "bcc9881196770de6");
    let secret = json!({"name": "n", "labels": {"a": "b"}, "template": {"k": "{{ access_token }}"}});
    assert_eq!(output(Some(&serde_json::from_value(secret).unwrap()), "n"), "7230d14adef4d7ba");
}

#[test]
fn only_what_decides_the_token_counts() {
    let plain = token_spec(&spec(json!({})));
    for same in [
        json!({"secret": {"name": "other"}}),
        json!({"refresh": {"before": "5m"}}),
        json!({"suspend": true}),
        json!({"rolloutRestart": [{"kind": "Deployment", "name": "d"}]}),
        json!({"revocationPolicy": "OnDelete"}),
    ] {
        assert_eq!(token_spec(&spec(same.clone())), plain, "{same}");
    }
    for other in [
        json!({"scopes": ["b", "a"]}),
        json!({"scopes": []}),
        json!({"providerRef": {"name": "p"}}),
        json!({"client": {"id": "d"}}),
        json!({"grant": {"clientCredentials": {}}}),
        json!({"parameters": []}),
        json!({"additionalTokens": []}),
    ] {
        assert_ne!(token_spec(&spec(other.clone())), plain, "{other}");
    }

    let plain = provider(&provider_spec(json!({})));
    for same in [
        json!({"rateLimit": {"requests": 1, "per": "1s"}}),
        json!({"tls": {"caSecretRef": {"name": "ca", "key": "k"}}}),
        json!({"refreshTokens": {"singleUse": false}}),
        json!({"authorizationRequest": {"parameters": []}}),
    ] {
        assert_eq!(provider(&provider_spec(same.clone())), plain, "{same}");
    }
    for other in [json!({"defaultLifetime": "1h"}), json!({"scopeSeparator": " "}), json!({"client": {"id": "q"}})] {
        assert_ne!(provider(&provider_spec(other.clone())), plain, "{other}");
    }
}
