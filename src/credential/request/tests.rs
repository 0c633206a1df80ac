use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    credential::{
        assertion::ServiceAccountTokens,
        checked::ServiceAccountToken,
        consent::Code,
        validate::tests::{check, key},
    },
    oauth::{authorization::AuthorizationRequest, encode::EncodedRequest},
};

/// RFC 8037 appendix A.1.
const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519",
 "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn fresh(tokens: &ServiceAccountTokens) -> Fresh<'_> {
    let id = |id: &str| id.to_owned();
    Fresh {
        now: Timestamp::UNIX_EPOCH,
        client_assertion_id: id("client"),
        grant_assertion_id: id("grant"),
        tokens,
        secret: 0,
    }
}

fn encoded(request: Result<TokenRequest, Unmade>) -> EncodedRequest {
    request.unwrap().encode().unwrap()
}

fn text(request: Result<TokenRequest, Unmade>) -> String {
    String::from_utf8(encoded(request).body().to_vec()).unwrap()
}

/// The value of each input is the name of its Secret.
fn values(checked: &Checked) -> InputValues {
    checked.inputs.iter().map(|input| (input.clone(), SecretText::new(input.name.as_str()))).collect()
}

fn body(checked: &Checked, token: Option<&str>) -> String {
    let tokens = ServiceAccountTokens::new();
    text(token_request(checked, &values(checked), token.map(RefreshToken::new).as_ref(), &fresh(&tokens)))
}

#[test]
fn what_a_refresh_sends() {
    let grant = json!({"refreshToken": {"secretRef": key("seed"), "redirectURI": "https://app.example/cb"}});
    let spec = json!({"grant": grant, "scopes": ["a", "b"], "parameters": [{"name": "resource", "value": "r"}]});
    let map = |parameters: &[&str], placement: &str| {
        parameters.iter().map(|name| json!({"parameter": name, "in": placement})).collect::<Value>()
    };
    let both = map(&["scope", "redirect_uri"], "Body");
    let plain = "grant_type=refresh_token&refresh_token=t&client_id=c";
    for (provider, expected) in [
        (json!({}), plain.to_owned()),
        (json!({"refreshRequest": {"mapping": map(&["scope"], "Body")}}), "grant_type=refresh_token&refresh_token=t&scope=a+b&client_id=c".into()),
        (json!({"refreshRequest": {"mapping": map(&["client_id"], "Body")}}), plain.to_owned()),
        // A mapping for first requests only says where, not whether.
        (json!({"tokenRequest": {"mapping": both}}), plain.to_owned()),
        (json!({"refreshRequest": {"mapping": map(&["scope"], "Omit")}}), plain.to_owned()),
        (json!({"refreshRequest": {"mapping": map(&["client_id"], "Omit")}}), "grant_type=refresh_token&refresh_token=t".into()),
        (
            json!({"refreshRequest": {"mapping": both}, "scopeSeparator": ","}),
            "grant_type=refresh_token&refresh_token=t&scope=a%2Cb&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&client_id=c".into(),
        ),
        // A list replaces the whole list.
        (
            json!({"tokenRequest": {"parameters": [{"name": "x", "value": "1"}]},
                "refreshRequest": {"parameters": [{"name": "y", "value": "2"}]}}),
            format!("{plain}&y=2"),
        ),
        (json!({"tokenRequest": {"parameters": [{"name": "x", "value": "1"}]}}), format!("{plain}&x=1")),
        (
            json!({"tokenRequest": {"parameters": [{"name": "x", "value": "1"}]}, "refreshRequest": {"parameters": []}}),
            plain.to_owned(),
        ),
    ] {
        assert_eq!(body(&check(spec.clone(), provider.clone()).unwrap(), Some("t")), expected, "{provider}");
    }
    let first = check(json!({"scopes": ["a", "b"], "parameters": spec["parameters"]}), json!({})).unwrap();
    assert_eq!(body(&first, None), "grant_type=client_credentials&scope=a+b&client_id=c&resource=r");
}

/// Each additional token is a refresh with its own scopes and parameters; nothing of the credential's own goes along.
#[test]
fn an_additional_token_is_a_refresh_of_its_own() {
    let spec = json!({
        "grant": {"refreshToken": {"secretRef": key("seed")}},
        "scopes": ["main"],
        "parameters": [{"name": "own", "value": "1"}],
        "additionalTokens": [
            {"name": "graph", "scopes": ["a", "b"], "parameters": [{"name": "resource", "value": "https://graph.example"}]},
            {"name": "bare"},
        ],
    });
    let checked = check(spec, json!({"scopeSeparator": ","})).unwrap();
    let none = ServiceAccountTokens::new();
    let body = |leg: usize| {
        let token = RefreshToken::new("r");
        text(leg_request(&checked, &InputValues::new(), &token, &checked.legs[leg], &fresh(&none)))
    };
    let common = "grant_type=refresh_token&refresh_token=r";
    assert_eq!(body(0), format!("{common}&scope=a%2Cb&client_id=c&resource=https%3A%2F%2Fgraph.example"));
    assert_eq!(body(1), format!("{common}&client_id=c"));
}

/// A revocation is a form of its own, in which the client authenticates as it does for tokens.
#[test]
fn a_revocation_says_who_asks() {
    let grant = json!({"refreshToken": {"secretRef": key("seed")}});
    let (endpoint, token) = (Url::parse("https://id.example/revoke").unwrap(), SecretText::new("t"));
    let tokens = ServiceAccountTokens::new();
    let request = |client: Value| {
        let spec = json!({"grant": grant, "client": client});
        let checked = check(spec, json!({"tokenRequest": {"encoding": "JSON", "method": "GET"}})).unwrap();
        let asked = (&token, "refresh_token");
        encoded(revocation_request(&checked, &values(&checked), &endpoint, asked, &fresh(&tokens)))
    };
    let plain = "token=t&token_type_hint=refresh_token";
    for (client, expected) in [
        (json!({"id": "c"}), format!("{plain}&client_id=c")),
        (
            json!({"id": "c", "secretRef": key("cs"), "authentication": "client_secret_post"}),
            format!("{plain}&client_id=c&client_secret=cs"),
        ),
    ] {
        let request = request(client);
        assert_eq!(request.body(), expected.as_bytes());
        assert_eq!((request.method(), request.url()), (&http::Method::POST, &endpoint));
    }
    for (encoding, expected) in [("Form", "Basic YTpiJTJCYw=="), ("Raw", "Basic YTpiK2M=")] {
        let request = request(json!({"id": "a", "secretRef": key("b+c"), "basicEncoding": encoding}));
        assert_eq!(request.headers()["authorization"], expected);
        assert_eq!(request.body(), plain.as_bytes());
    }
}

#[test]
fn a_request_has_the_headers_of_its_spec() {
    let headers = json!([
        {"name": "X-Plain", "value": "p"},
        {"name": "X-Secret", "valueSecretRef": key("hidden")},
        {"name": "X-Made", "template": "{{ grant_type }}"},
    ]);
    let checked = check(json!({}), json!({"tokenRequest": {"headers": headers}})).unwrap();
    let tokens = ServiceAccountTokens::new();
    let request = encoded(token_request(&checked, &values(&checked), None, &fresh(&tokens)));
    let header = |name: &str| request.headers()[name].to_str().unwrap();
    assert_eq!(["x-plain", "x-secret", "x-made"].map(header), ["p", "hidden", "client_credentials"]);
}

#[test]
fn secrets_are_tried_in_order_and_those_that_are_absent_are_left_out() {
    let client = json!({"id": "c", "secretRef": key("new"), "authentication": "client_secret_post",
        "fallbackSecretRefs": [key("gone"), key("old")]});
    let checked = check(json!({"client": client}), json!({})).unwrap();
    let mut values = values(&checked);
    values.retain(|input, _| input.name != "gone");
    let there: Vec<_> = secrets(&checked, &values).into_iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(there, ["new", "old"]);
    let tokens = ServiceAccountTokens::new();
    let sends = |secret: usize| token_request(&checked, &values, None, &Fresh { secret, ..fresh(&tokens) });
    assert!(text(sends(0)).ends_with("client_secret=new"));
    assert!(text(sends(1)).ends_with("client_secret=old"));
    assert_eq!(sends(2).map(|_| ()), Err(Unmade::Missing));
}

#[test]
fn without_its_endpoint_there_is_no_request() {
    let checked = check(json!({}), json!({"issuer": "https://idp.example", "endpoints": null})).unwrap();
    let tokens = ServiceAccountTokens::new();
    let request = token_request(&checked, &InputValues::new(), None, &fresh(&tokens));
    assert_eq!(request.map(|_| ()), Err(Unmade::Missing));
}

/// The header and the claims of the client's assertion.
fn assertion(checked: &Checked, values: &InputValues) -> [Value; 2] {
    let tokens = ServiceAccountTokens::new();
    let body = text(token_request(checked, values, None, &fresh(&tokens)));
    let mut parameters = url::form_urlencoded::parse(body.as_bytes());
    let (_, assertion) = parameters.find(|(name, _)| name == "client_assertion").unwrap();
    let mut parts = assertion.split('.');
    [0, 1].map(|_| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap()).unwrap())
}

/// RFC 7523 section 3: who says it, of whom, to whom, until when.
#[test]
fn a_client_signs_for_itself() {
    let claims = |issuer: &str| json!({"iss": issuer, "sub": "c", "aud": "https://id.example/token", "jti": "client", "iat": 0, "exp": 300});
    let by_secret = json!({"id": "c", "secretRef": key("cs"), "authentication": "client_secret_jwt"});
    let by_key = json!({"id": "c", "privateKeySecretRef": key("pk"), "certificateSecretRef": {"name": "t"},
        "authentication": "private_key_jwt", "assertion": {"issuer": "i", "certificateThumbprint": true}});
    for (client, header, claims) in [
        (by_secret, json!({"typ": "JWT", "alg": "HS256"}), claims("c")),
        // RFC 8705 appendix A: the certificate's thumbprint.
        (
            by_key,
            json!({"typ": "JWT", "alg": "EdDSA", "x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}),
            claims("i"),
        ),
    ] {
        let checked = check(json!({"client": client}), json!({})).unwrap();
        let mut values = values(&checked);
        for (input, value) in &mut values {
            match input.key.as_str() {
                "k" if input.name == "pk" => *value = SecretText::new(KEY),
                "tls.crt" => *value = SecretText::new(crate::oauth::tls::tests::RFC_8705),
                _ => {}
            }
        }
        assert_eq!(assertion(&checked, &values), [header, claims]);
    }
}

/// A token that the cluster issues is the assertion, or is exchanged; it is obtained for the requests that bear it, and for no other.
#[test]
fn service_accounts_speak_where_the_spec_says() {
    let account = |name: &str| json!({"name": name, "audiences": ["https://id.example"]});
    let token = |name: &str| ServiceAccountToken {
        namespace: "own".into(),
        name: name.into(),
        audiences: vec!["https://id.example".into()],
    };
    let tokens: ServiceAccountTokens =
        ["client", "grant", "subject", "actor"].map(|name| (token(name), SecretText::new(format!("of {name}")))).into();
    let client = json!({"id": "c", "serviceAccountRef": account("client"), "authentication": "private_key_jwt"});
    let exchange = json!({"subjectToken": {"serviceAccountRef": account("subject")}, "subjectTokenType": "t",
        "actorToken": {"serviceAccountRef": account("actor")}, "actorTokenType": "t"});
    let mixed = json!({"subjectToken": {"secretRef": key("held")}, "subjectTokenType": "t"});
    let seed = json!({"refreshToken": {"secretRef": key("seed")}});
    for (client, grant, first, refresh) in [
        (json!({"id": "c"}), json!({"clientCredentials": {}}), &[][..], &[][..]),
        (client.clone(), json!({"clientCredentials": {}}), &["client"], &["client"]),
        (client.clone(), seed, &["client"], &["client"]),
        (json!({"id": "c"}), json!({"jwtBearer": {"serviceAccountRef": account("grant")}}), &["grant"], &[]),
        (json!({"id": "c"}), json!({"tokenExchange": exchange}), &["subject", "actor"], &[]),
        (client, json!({"tokenExchange": exchange}), &["client", "subject", "actor"], &["client"]),
        (json!({"id": "c"}), json!({"tokenExchange": mixed}), &[], &[]),
        // Another way to authenticate was chosen: the account has nothing to say.
        (
            json!({"id": "c", "serviceAccountRef": account("client"), "authentication": "none"}),
            json!({"clientCredentials": {}}),
            &[],
            &[],
        ),
    ] {
        let checked = check(json!({"client": client, "grant": grant}), json!({})).unwrap();
        for (refreshes, expected) in [(false, first), (true, refresh)] {
            let asked: Vec<_> = checked.service_account_tokens(refreshes).map(|token| token.name.as_str()).collect();
            assert_eq!(asked, expected, "{client} {grant} {refreshes}");
        }
        if grant.get("refreshToken").is_some() {
            continue;
        }
        let body = text(token_request(&checked, &values(&checked), None, &fresh(&tokens)));
        for name in first {
            assert!(body.contains(&format!("=of+{name}")), "{name}: {body}");
        }
        assert_eq!(
            body.contains("subject_token=held"),
            grant["tokenExchange"]["subjectToken"].get("secretRef").is_some()
        );
        if !first.is_empty() {
            let none = ServiceAccountTokens::new();
            let request = token_request(&checked, &values(&checked), None, &fresh(&none));
            assert_eq!(request.map(|_| ()), Err(Unmade::Missing), "{grant}");
        }
    }
}

#[test]
fn the_next_request_goes_to_its_own_origin() {
    let grant = json!({"grant": {"refreshToken": {"secretRef": key("seed")}}});
    let endpoints = json!({"endpoints": {"token": "https://id.example/token", "refresh": "https://r.example:8443/a"}});
    let checked = check(grant, endpoints).unwrap();
    assert_eq!(checked.origin(false).as_deref(), Some("https://id.example"));
    assert_eq!(checked.origin(true).as_deref(), Some("https://r.example:8443"));
    let input = |name: &str| InputRef { name: name.into(), ..checked.inputs[0].clone() };
    assert!(checked.is_seed(&input("seed")) && !checked.is_seed(&input("other")));
    assert!(!check(json!({}), json!({})).unwrap().is_seed(&input("seed")));
}

fn by_consent(grant: Value, over: Value) -> Checked {
    let mut spec = json!({"grant": {"authorizationCode": grant}});
    spec.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
    let endpoints = json!({"token": "https://id.example/token", "authorization": "https://id.example/authorize",
        "pushedAuthorizationRequest": "https://id.example/par", "jwks": "https://id.example/keys"});
    let asked =
        json!({"parameters": [{"name": "prompt", "value": "consent"}, {"name": "X", "value": "h", "in": "Header"}]});
    let provider = json!({"endpoints": endpoints, "issuer": "https://id.example", "authorizationRequest": asked});
    check(spec, provider).unwrap()
}

fn asked(checked: &Checked) -> AuthorizationRequest {
    let (state, nonce, verifier) = ("s".to_owned(), "n".to_owned(), SecretText::new("v"));
    authorization_request(checked, &values(checked), state, nonce, verifier).unwrap()
}

/// What a browser carries to the authorization endpoint (RFC 6749 section 4.1.1).
#[test]
fn what_an_authorization_request_says() {
    let callback = "https://o.example/callback";
    let names = |grant: Value, over: Value| {
        let request = asked(&by_consent(grant, over));
        let said = request.parameters().into_iter().map(|(name, value)| (name, value.expose().to_owned()));
        let said = said.filter(|(name, _)| name != "code_challenge").map(|(name, value)| format!("{name}={value}"));
        said.collect::<Vec<_>>().join(" ")
    };
    let begin = format!("response_type=code client_id=c redirect_uri={callback}");
    let pkce = "code_challenge_method=S256";
    let end = "prompt=consent";
    let plain = json!({"redirectURI": callback});
    for (grant, over, expected) in [
        (plain.clone(), json!({}), format!("{begin} state=s {pkce} {end}")),
        (json!({"redirectURI": callback, "pkce": "Disabled"}), json!({}), format!("{begin} state=s {end}")),
        (plain.clone(), json!({"scopes": ["a", "b"]}), format!("{begin} scope=a b state=s {pkce} {end}")),
        // Only who asks for an ID token has something to compare the nonce with.
        (
            plain.clone(),
            json!({"scopes": ["openid", "b"]}),
            format!("{begin} scope=openid b state=s nonce=n {pkce} {end}"),
        ),
        (
            json!({"redirectURI": callback, "expectedSubject": "robot"}),
            json!({"scopes": ["a"]}),
            format!("{begin} scope=a state=s nonce=n {pkce} {end}"),
        ),
        (
            plain,
            json!({"parameters": [{"name": "resource", "value": "r"}, {"name": "Y", "value": "h", "in": "Header"}]}),
            format!("{begin} state=s {pkce} {end} resource=r"),
        ),
    ] {
        assert_eq!(names(grant.clone(), over.clone()), expected, "{grant} {over}");
    }
    let (state, nonce, verifier) = ("s".to_owned(), "n".to_owned(), SecretText::new("v"));
    let other = check(json!({}), json!({})).unwrap();
    assert!(authorization_request(&other, &values(&other), state, nonce, verifier).is_none(), "nobody consents");
}

/// As a JSON array to the token endpoint; a browser carries them joined.
#[test]
fn scopes_that_are_an_array_are_joined_for_browsers() {
    for (scopes, joined, nonce) in [(["a", "openid"], "a openid", Some("n")), (["a", "b"], "a b", None)] {
        let spec =
            json!({"grant": {"authorizationCode": {"redirectURI": "https://o.example/callback"}}, "scopes": scopes});
        let endpoints = json!({"token": "https://id.example/token", "authorization": "https://id.example/authorize"});
        let request = asked(&check(spec, json!({"scopeFormat": "Array", "endpoints": endpoints})).unwrap());
        assert_eq!((request.scope.as_deref(), request.nonce.as_deref()), (Some(joined), nonce));
    }
    let provider = json!({"scopeFormat": "Array", "tokenRequest": {"encoding": "JSON"}});
    let sent = body(&check(json!({"scopes": ["a", "b"]}), provider).unwrap(), None);
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(sent, json!({"grant_type": "client_credentials", "scope": ["a", "b"], "client_id": "c"}));
}

/// RFC 9126: the client pushes as itself, and only where there is an endpoint to push to.
#[test]
fn a_request_is_pushed_where_the_provider_wants_that() {
    let tokens = ServiceAccountTokens::new();
    let client = json!({"client": {"id": "c", "secretRef": key("cs"), "authentication": "client_secret_post"}});
    let checked = by_consent(json!({"redirectURI": "https://o.example/callback"}), client);
    let request = asked(&checked);
    let pushed = pushed_request(&checked, &values(&checked), &request, &fresh(&tokens)).unwrap().unwrap();
    assert_eq!(pushed.url.as_str(), "https://id.example/par");
    let body = text(Ok(pushed));
    assert!(body.contains("client_secret=cs") && body.contains("state=s") && body.contains("prompt=consent"), "{body}");

    let mut nowhere = checked;
    nowhere.consent.pushed = None;
    assert!(pushed_request(&nowhere, &values(&nowhere), &request, &fresh(&tokens)).unwrap().is_none());
}

/// RFC 6749 section 4.1.3: the redirect URI is that of the authorization request.
#[test]
fn a_code_is_exchanged_with_the_redirect_uri_that_it_was_asked_for_with() {
    let tokens = ServiceAccountTokens::new();
    let checked = by_consent(json!({"redirectURI": "https://o.example/now"}), json!({}));
    for (then, sent) in [(Some("https://o.example/then"), "then"), (None, "now")] {
        let redirect_uri = then.map(str::to_owned);
        let code = Code { code: SecretText::new("x"), verifier: Some(SecretText::new("v")), nonce: None, redirect_uri };
        assert_eq!(
            text(code_request(&checked, &values(&checked), &code, &fresh(&tokens))),
            format!(
                "grant_type=authorization_code&code=x&redirect_uri=https%3A%2F%2Fo.example%2F{sent}&code_verifier=v&client_id=c"
            )
        );
    }
}
