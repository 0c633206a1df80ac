use serde_json::{Value, json};

use super::*;
use crate::{
    credential::{
        assertion::refuse_audiences,
        checked::{InputKind, RequestSource, ServiceAccountToken},
        record::Binding,
        request::binding,
        rotation::Keeps,
    },
    oauth::request::Authentication,
};

fn limits() -> Limits {
    Limits {
        request_timeout: Duration::from_secs(30),
        secret_types: vec!["example.com/registry".into()],
        api_audiences: vec!["https://kubernetes.default.svc".into()],
        callback: None,
    }
}

/// Checks a credential of the namespace `own` with a provider whose Secrets are in `shared`. Both are written over
/// something that is valid.
pub fn check(spec: Value, provider: Value) -> Checks<Checked> {
    check_with(spec, provider, None)
}

/// The same, where the issuer's metadata were read.
pub fn check_with(spec: Value, provider: Value, metadata: Option<Metadata>) -> Checks<Checked> {
    let mut whole = json!({"grant": {"clientCredentials": {}}, "client": {"id": "c"}});
    let mut whole_provider = json!({"endpoints": {"token": "https://id.example/token"}});
    for (whole, over) in [(&mut whole, spec), (&mut whole_provider, provider)] {
        for (field, value) in over.as_object().unwrap().clone() {
            whole[field] = value;
        }
    }
    let spec: OAuthCredentialSpec = serde_json::from_value(whole).unwrap();
    let provider: ProviderSpec = serde_json::from_value(whole_provider).unwrap();
    let ranges = ["10.0.0.0/8".to_owned()];
    let given = GivenProvider {
        spec: &provider,
        namespace: "shared",
        allowed_addresses: &ranges,
        id: "p".into(),
        hash: String::new(),
        metadata: metadata.map(Arc::new),
    };
    validate("own", "cred", &spec, &given, &limits())
}

pub fn refusal(spec: Value, provider: Value) -> String {
    let problem = check(spec.clone(), provider.clone()).expect_err(&format!("{spec} {provider}"));
    assert_eq!((problem.reason, problem.stalls), (Reason::InvalidSpec, true));
    assert!(problem.message.ends_with('.'), "not a sentence: {}", problem.message);
    problem.message
}

pub fn key(name: &str) -> Value {
    json!({"name": name, "key": "k"})
}

/// Where the id and the secret come from, and how they are sent.
fn resolved(own: Value, shared: Value) -> String {
    let spec = if own.is_null() { json!({"client": null}) } else { json!({"client": own}) };
    let provider = if shared.is_null() { json!({}) } else { json!({"client": shared}) };
    match check(spec, provider) {
        Err(problem) => problem.message,
        Ok(checked) => {
            let place = |input: &InputRef| format!("{}/{}", input.namespace, input.name);
            let id = checked.client.id.as_ref().map(|id| match id {
                TextSource::Literal(text) => text.expose().to_owned(),
                TextSource::Input(input) => place(input),
            });
            let secret = checked.client.secrets.first().map(place);
            let way = (checked.first.shape.authentication, checked.first.shape.basic_encoding);
            format!("{} {} {:?}", id.unwrap_or_default(), secret.unwrap_or_default(), way)
        }
    }
}

#[test]
fn client_material_comes_whole_from_one_side() {
    let shared = json!({"id": "p", "secretRef": key("ps"), "authentication": "client_secret_post"});
    let raw = json!({"basicEncoding": "Raw"});
    let own = json!({"id": "c", "secretRef": key("cs")});
    let with = |base: &Value, field: &str, value: &str| {
        let mut base = base.clone();
        base[field] = value.into();
        base
    };
    for (own, shared, expected) in [
        (json!({"id": "c"}), Value::Null, "c  (None, Form)"),
        (own.clone(), Value::Null, "c own/cs (ClientSecretBasic, Form)"),
        (
            json!({"idSecretRef": key("ci"), "secretRef": key("cs")}),
            Value::Null,
            "own/ci own/cs (ClientSecretBasic, Form)",
        ),
        (Value::Null, shared.clone(), "p shared/ps (ClientSecretPost, Form)"),
        (Value::Null, json!({"idSecretRef": key("pi")}), "shared/pi  (None, Form)"),
        // The material is the credential's own; only the way may be the provider's.
        (own.clone(), shared.clone(), "c own/cs (ClientSecretPost, Form)"),
        (own.clone(), json!({"authentication": "client_secret_post"}), "c own/cs (ClientSecretPost, Form)"),
        (with(&own, "authentication", "client_secret_basic"), shared.clone(), "c own/cs (ClientSecretBasic, Form)"),
        (json!({"authentication": "client_secret_basic"}), shared.clone(), "p shared/ps (ClientSecretBasic, Form)"),
        (json!({"authentication": "none"}), shared.clone(), "p shared/ps (None, Form)"),
        // The way goes together: authentication and its encoding.
        (own.clone(), raw.clone(), "c own/cs (ClientSecretBasic, Raw)"),
        (with(&own, "basicEncoding", "Raw"), Value::Null, "c own/cs (ClientSecretBasic, Raw)"),
        (with(&own, "basicEncoding", "Raw"), json!({"id": "p"}), "c own/cs (ClientSecretBasic, Raw)"),
        (with(&own, "basicEncoding", "Raw"), shared.clone(), "c own/cs (ClientSecretPost, Form)"),
        (with(&own, "authentication", "client_secret_basic"), raw, "c own/cs (ClientSecretBasic, Form)"),
    ] {
        assert_eq!(resolved(own.clone(), shared.clone()), expected, "{own} {shared}");
    }
    // An id without its own secret doesn't borrow the provider's.
    for (own, shared) in [
        (json!({"id": "c"}), shared.clone()),
        (json!({"secretRef": key("cs")}), shared),
        (json!({"id": "c", "authentication": "client_secret_post"}), Value::Null),
    ] {
        assert!(resolved(own, shared).contains("needs a client id and a client secret"));
    }
}

#[test]
fn nobody_dictates_what_anothers_key_signs() {
    let shared = json!({"id": "p", "privateKeySecretRef": key("pk"), "assertion": {"audience": "https://id.example"}});
    let dictated = json!({"audience": "https://elsewhere.example", "claims": {"tenant": "another"}});
    for own in [
        json!({"assertion": dictated}),
        json!({"authentication": "private_key_jwt", "assertion": dictated}),
        json!({"assertion": {}}),
    ] {
        let said = refusal(json!({"client": own}), json!({"client": shared}));
        assert!(said.contains("remove it") && said.contains("a client of its own"), "{said}");
    }
    let own = json!({"id": "c", "privateKeySecretRef": key("ck"), "authentication": "private_key_jwt", "assertion": dictated});
    let checked = check(json!({"client": own}), json!({"client": shared})).unwrap();
    assert_eq!(checked.client.assertion.audience.as_deref(), Some("https://elsewhere.example"));
    let checked = check(json!({"client": null}), json!({"client": shared})).unwrap();
    assert_eq!(checked.client.assertion.audience.as_deref(), Some("https://id.example"));
}

#[test]
fn a_requests_own_authentication() {
    let client = json!({"client": {"id": "c", "secretRef": key("cs")}});
    let refresh = json!({"refreshRequest": {"authentication": "client_secret_post"}});
    let checked = check(client, refresh.clone()).unwrap();
    assert_eq!(checked.first.shape.authentication, Authentication::ClientSecretBasic);
    assert_eq!(checked.refresh.shape.authentication, Authentication::ClientSecretPost);
    assert!(refusal(json!({}), refresh.clone()).contains("client secret"));
    let anonymous = json!({"client": {"secretRef": key("cs"), "authentication": "none"}});
    assert!(refusal(anonymous, refresh).contains("client id"));
}

#[test]
fn what_is_wrong_is_said() {
    let rate = |per: &str| json!({"rateLimit": {"requests": 1, "per": per}});
    let none = || json!({});
    for (spec, provider, what) in [
        (none(), json!({"endpoints": {"token": "https://"}}), "endpoints.token"),
        (none(), json!({"endpoints": {"token": "https://id.example", "refresh": "x"}}), "endpoints.refresh"),
        (json!({"grant": {}}), none(), "exactly one member"),
        (json!({"refresh": {"before": "0s"}}), none(), "refresh.before"),
        (json!({"refresh": {"before": "99999999999999999999h"}}), none(), "refresh.before"),
        (none(), json!({"defaultLifetime": "99999999999999999999h"}), "defaultLifetime"),
        (none(), json!({"defaultLifetime": "never"}), "defaultLifetime"),
        (none(), json!({"maxLifetime": "-1s"}), "maxLifetime"),
        (none(), json!({"refreshTokens": {"earliestRefresh": "5"}}), "refreshTokens.earliestRefresh"),
        (none(), json!({"refreshTokens": {"idleLifetime": "1d"}}), "refreshTokens.idleLifetime"),
        (none(), json!({"refreshTokens": {"reuseGracePeriod": ""}}), "refreshTokens.reuseGracePeriod"),
        (none(), rate("0s"), "rateLimit.per"),
        (none(), rate("99999999999999999999h"), "rateLimit.per"),
        (none(), json!({"tokenRequest": {"headers": [{"name": "a b", "value": "v"}]}}), "header name"),
        (none(), json!({"tokenRequest": {"headers": [{"name": "A", "template": "{{"}]}}), "template of header A"),
        (none(), json!({"tokenResponse": {"accessToken": "$["}}), "tokenResponse"),
        (json!({"secret": {"type": "kubernetes.io/service-account-token"}}), none(), "--allow-secret-type"),
        (json!({"secret": {"template": {"k": "{{ x"}}}), none(), "spec.secret.template, key k"),
    ] {
        let message = refusal(spec.clone(), provider.clone());
        assert!(message.contains(what), "{spec} {provider}: {message}");
    }
}

#[test]
fn a_credential_overrides_nothing_of_its_provider() {
    let provider = json!({"tokenRequest": {"parameters": [{"name": "audience", "value": "a"}]}});
    let own = |name: &str| json!({"parameters": [{"name": name, "value": "b"}]});
    assert!(refusal(own("audience"), provider.clone()).contains("audience"));
    let checked = check(own("resource"), provider).unwrap();
    assert_eq!(checked.parameters.len(), 1);
}

#[test]
fn scalars_are_overridden_one_by_one() {
    let first = json!({"method": "GET", "encoding": "JSON"});
    let checked = check(json!({}), json!({"tokenRequest": first, "refreshRequest": {"method": "POST"}})).unwrap();
    let shape = |request: &RequestSource| format!("{:?} {:?}", request.shape.method, request.shape.encoding);
    assert_eq!((shape(&checked.first), shape(&checked.refresh)), ("Get Json".into(), "Post Json".into()));
}

#[test]
fn rules_and_durations() {
    let seed = json!({"grant": {"refreshToken": {"secretRef": key("seed")}}});
    let times = json!({"refreshTokens": {"singleUse": false, "idleLifetime": "2h", "lifetime": "24h", "earliestRefresh": "1m",
        "reuseGracePeriod": "90s", "revokesAccessToken": true}});
    let rules = check(seed.clone(), times.clone()).unwrap().rules;
    assert_eq!(rules.keeps, Keeps::Reusable);
    assert_eq!(rules.reuse_grace_period, Some(Duration::from_secs(90)));
    let policy = RefreshPolicy {
        margin: Margin::Default,
        earliest: Some(Duration::from_secs(60)),
        revokes_access_token: true,
        idle_lifetime: Some(Duration::from_secs(7200)),
        lifetime: Some(Duration::from_secs(86400)),
    };
    assert_eq!(rules.policy, policy);
    assert_eq!(check(seed, json!({})).unwrap().rules.keeps, Keeps::SingleUse);
    for consent in
        [json!({"authorizationCode": {"redirectURI": "https://o.example/callback"}}), json!({"deviceCode": {}})]
    {
        let times = json!({"refreshTokens": {"idleLifetime": "2h", "lifetime": "24h"}, "endpoints": {
            "authorization": "https://id.example/a", "deviceAuthorization": "https://id.example/d", "token": "https://id.example/t"}});
        let policy = check(json!({"grant": consent}), times).unwrap().rules.policy;
        let lifetimes = (policy.idle_lifetime, policy.lifetime);
        assert_eq!(lifetimes, (Some(Duration::from_secs(7200)), Some(Duration::from_secs(86400))), "{consent}");
    }
    let client = check(json!({"refresh": {"before": "15m"}}), times).unwrap().rules;
    assert_eq!((client.keeps, client.policy.idle_lifetime, client.policy.lifetime), (Keeps::Nothing, None, None));
    assert_eq!(client.policy.margin, Margin::Before(Duration::from_secs(900)));
    let percent = check(json!({"refresh": {"beforePercent": 40}}), json!({})).unwrap().rules.policy.margin;
    assert_eq!(percent, Margin::Percent(40));
}

/// Whoever else consents is refused, whichever way the consent is asked for.
#[test]
fn a_consent_expects_whom_the_spec_names() {
    let endpoints = json!({"endpoints": {"authorization": "https://id.example/a", "token": "https://id.example/t",
        "deviceAuthorization": "https://id.example/d", "jwks": "https://id.example/k"}, "issuer": "https://id.example"});
    let expects = |grant: Value| {
        let checked = check(json!({"grant": grant, "scopes": ["openid"]}), endpoints.clone()).unwrap();
        checked.grant.expected_subject().map(str::to_owned)
    };
    let code = json!({"authorizationCode": {"redirectURI": "https://o.example/callback", "expectedSubject": "robot"}});
    assert_eq!(expects(code).as_deref(), Some("robot"));
    assert_eq!(expects(json!({"deviceCode": {"expectedSubject": "robot"}})).as_deref(), Some("robot"));
    assert_eq!(expects(json!({"deviceCode": {}})), None);
    assert_eq!(expects(json!({"clientCredentials": {}})), None);
}

#[test]
fn the_binding_is_every_origin_that_receives_a_secret() {
    let bound = |spec, provider| {
        let checked = check(spec, provider).unwrap();
        let values = checked.inputs.iter().map(|input| (input.clone(), SecretText::new(input.name.clone()))).collect();
        let Binding { servers, client_id } = binding(&checked, &values).unwrap();
        (servers.join(" "), client_id)
    };
    let two = json!({"endpoints": {"token": "https://id.example:8443/t?x=1", "refresh": "https://A.example/r"}});
    assert_eq!(bound(json!({}), two), ("https://a.example https://id.example:8443".into(), "c".into()));
    let secret_id = json!({"client": {"idSecretRef": key("ci")}});
    assert_eq!(bound(secret_id, json!({})), ("https://id.example".into(), "ci".into()));
}

#[test]
fn every_secret_that_a_request_reads_is_an_input() {
    let header = json!([{"name": "X", "valueSecretRef": key("h")}]);
    let endpoints = json!({"token": "https://id.example/token", "authorization": "https://id.example/authorize",
        "deviceAuthorization": "https://id.example/device"});
    let provider = json!({"client": {"id": "p", "secretRef": key("ps")}, "tls": {"caSecretRef": key("ca")},
        "endpoints": endpoints, "authorizationRequest": {"parameters": [{"name": "a", "valueSecretRef": key("asked")}]},
        "tokenRequest": {"headers": header, "parameters": [{"name": "a", "valueSecretRef": key("first")}]},
        "refreshRequest": {"parameters": [{"name": "a", "valueSecretRef": key("later")}]}});
    let own = json!({"client": null, "parameters": [{"name": "b", "valueSecretRef": key("mine")}]});
    let inputs = |spec: &Value| {
        let checked = check(spec.clone(), provider.clone()).unwrap();
        checked.inputs.iter().map(|input| format!("{}/{}", input.namespace, input.name)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(&own), ["own/mine", "shared/ca", "shared/first", "shared/h", "shared/ps"]);
    let mut refreshing = own;
    refreshing["grant"] = json!({"refreshToken": {"secretRef": key("seed")}});
    assert_eq!(inputs(&refreshing), ["own/seed", "shared/ca", "shared/h", "shared/later", "shared/ps"]);
    // What begins with one request and goes on with refreshes reads what both need.
    let shared = ["shared/ca", "shared/first", "shared/h", "shared/later", "shared/ps"];
    for (grant, others) in [
        (json!({"password": {"usernameSecretRef": key("u"), "passwordSecretRef": key("w")}}), &["own/u", "own/w"][..]),
        (json!({"deviceCode": {}}), &[]),
        (json!({"authorizationCode": {"redirectURI": "https://o.example/callback"}}), &["shared/asked"]),
    ] {
        let expected: BTreeSet<_> = others.iter().chain(&["own/mine"]).chain(&shared).copied().collect();
        refreshing["grant"] = grant;
        let found = inputs(&refreshing);
        assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    }
    let ca = |tls: Value| check(json!({}), json!({"tls": tls})).unwrap().ca.unwrap();
    let (secret, map) = (ca(json!({"caSecretRef": key("ca")})), ca(json!({"caConfigMapRef": key("ca")})));
    assert_eq!((secret.kind, map.kind), (InputKind::Secret, InputKind::ConfigMap));
    assert_eq!((&*map.namespace, map.name.as_str(), map.key.as_str()), ("shared", "ca", "k"));
}

#[test]
fn service_accounts_are_not_for_the_api_server() {
    let account =
        |audience: &str| json!({"id": "c", "serviceAccountRef": {"name": "a", "audiences": ["ok", audience]}});
    assert!(check(json!({"client": account("https://idp.example")}), json!({})).is_ok());
    let grant = |audience: &str| json!({"jwtBearer": {"serviceAccountRef": {"name": "a", "audiences": [audience]}}});
    for spec in [
        json!({"client": account("https://kubernetes.default.svc")}),
        json!({"grant": grant("https://kubernetes.default.svc"), "client": null}),
    ] {
        let problem = check(spec, json!({})).unwrap_err();
        assert_eq!((problem.reason, problem.stalls), (Reason::NotAllowed, true));
        assert!(problem.message.contains("an audience of the API server itself"), "{}", problem.message);
    }
}

#[test]
fn a_service_account_says_what_it_allows() {
    let wanted =
        ServiceAccountToken { namespace: "n".into(), name: "a".into(), audiences: vec!["x".into(), "y".into()] };
    for (annotation, missing) in
        [(Some("x, y"), None), (Some("y,x,z"), None), (Some("x"), Some("y")), (Some(""), Some("x")), (None, Some("x"))]
    {
        let refused = refuse_audiences(&wanted, annotation).err();
        let named = missing.map(|audience| format!("doesn't allow the audience {audience}:"));
        assert_eq!(refused.is_some(), named.is_some(), "{annotation:?}");
        if let (Some(problem), Some(named)) = (refused, named) {
            assert!(problem.message.contains(&named) && problem.reason == Reason::NotAllowed, "{}", problem.message);
        }
    }
}

#[test]
fn assertions_are_checked_with_their_client() {
    let client = |client: Value| json!({"client": client});
    let by_key = json!({"id": "c", "privateKeySecretRef": key("k"), "authentication": "private_key_jwt"});
    let with = |field: &str, value: Value| {
        let mut client = by_key.clone();
        client[field] = value;
        json!({"client": client})
    };
    let bearer = |over: Value| {
        let mut grant = json!({"privateKeySecretRef": key("k")});
        grant.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        json!({"grant": {"jwtBearer": grant}, "client": {"authentication": "none"}})
    };
    for (spec, says) in [
        (client(json!({"id": "c", "authentication": "private_key_jwt"})), "needs a client id and a key"),
        (client(json!({"privateKeySecretRef": key("k")})), "needs a client id and a key"),
        (client(json!({"id": "c", "authentication": "client_secret_jwt"})), "needs a client id and a client secret"),
        (client(json!({"id": "c", "authentication": "tls_client_auth"})), "needs a client id and a certificate"),
        (client(json!({"certificateSecretRef": {"name": "t"}})), "needs a client id and a certificate"),
        (with("signingAlgorithm", json!("HS256")), "private_key_jwt signs with a private key"),
        (
            client(
                json!({"id": "c", "secretRef": key("s"), "authentication": "client_secret_jwt", "signingAlgorithm": "RS256"}),
            ),
            "client_secret_jwt signs with the client secret",
        ),
        (with("assertion", json!({"claims": {"aud": "x"}})), "claims may not have aud: say it by audience"),
        (with("assertion", json!({"claims": {"iss": "x"}})), "claims may not have iss: say it by issuer"),
        (with("assertion", json!({"claims": {"exp": 1}})), "claims may not have exp: say how long"),
        (with("assertion", json!({"claims": {"iat": 1}})), "claims may not have iat: say how long"),
        (with("assertion", json!({"claims": {"sub": "x"}})), "claims may not have sub: it is the client id"),
        (with("assertion", json!({"claims": {"jti": "x"}})), "claims may not have jti: it is new for each request"),
        (with("assertion", json!({"certificateThumbprint": true})), "needs the certificate"),
        (with("assertion", json!({"lifetime": "0s"})), "client.assertion.lifetime"),
        (bearer(json!({})), "needs an issuer"),
        (bearer(json!({"issuer": "i", "signingAlgorithm": "HS256"})), "signs with a private key"),
        (bearer(json!({"issuer": "i", "claims": {"exp": 1}})), "grant.jwtBearer.claims may not have exp"),
    ] {
        let message = refusal(spec.clone(), json!({}));
        assert!(message.contains(says), "{spec}: {message}");
    }
    for (own, expected) in [
        (json!({"id": "c", "privateKeySecretRef": key("k")}), Authentication::PrivateKeyJwt),
        (json!({"id": "c", "serviceAccountRef": {"name": "a", "audiences": ["b"]}}), Authentication::PrivateKeyJwt),
        (json!({"id": "c", "certificateSecretRef": {"name": "t"}}), Authentication::TlsClientAuth),
        (
            json!({"id": "c", "secretRef": key("s"), "certificateSecretRef": {"name": "t"}}),
            Authentication::ClientSecretBasic,
        ),
    ] {
        assert_eq!(check(client(own), json!({})).unwrap().client.authentication, expected);
    }
    assert!(check(bearer(json!({"issuer": "i"})), json!({})).is_ok());
    let by_secret = |algorithm: Value| {
        client(
            json!({"id": "c", "secretRef": key("s"), "authentication": "client_secret_jwt", "signingAlgorithm": algorithm}),
        )
    };
    for spec in [by_secret(json!("HS512")), by_secret(Value::Null), with("signingAlgorithm", json!("ES256"))] {
        assert!(check(spec.clone(), json!({})).is_ok(), "{spec}");
    }
}

#[test]
fn additional_tokens_need_a_provider_that_lets_them_live() {
    let parameters = json!([{"name": "resource", "value": "https://graph.example"}]);
    let legs = json!([{"name": "graph", "parameters": parameters}, {"name": "bare"}]);
    let spec = json!({"grant": {"refreshToken": {"secretRef": key("seed")}}, "additionalTokens": legs});
    let checked = check(spec.clone(), json!({})).unwrap();
    assert_eq!(checked.rules.legs, ["graph", "bare"]);
    assert_eq!(checked.tokens(), 3, "and its own");

    let sentence = refusal(spec.clone(), json!({"refreshTokens": {"revokesAccessToken": true}}));
    assert!(sentence.contains("would kill the token before"), "{sentence}");
    let taken = json!({"tokenRequest": {"parameters": [{"name": "resource", "value": "x"}]}});
    assert!(refusal(spec, taken).contains("sets the parameter resource itself"));
}
