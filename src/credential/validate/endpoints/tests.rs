use serde_json::{Value, json};

use super::*;
use crate::{
    api::ProviderSpec,
    credential::validate::tests::{check, check_with, key, refusal},
    oauth::discovery::{ConsentMetadata, Metadata},
};

/// What is discovered, given and bound, in every combination.
#[test]
fn endpoints_are_given_or_discovered() {
    let mutual = json!({"client": {"id": "c", "certificateSecretRef": {"name": "t"}, "authentication": "none"}});
    let found = |spec: &Value, endpoints: Value, known: bool| {
        let provider = json!({"issuer": "https://idp.example/a", "endpoints": endpoints});
        let spec: OAuthCredentialSpec = serde_json::from_value(spec.clone()).unwrap();
        let provider: ProviderSpec = serde_json::from_value(provider).unwrap();
        let url = |text| Url::parse(text).unwrap();
        let metadata = Metadata {
            token: url("https://id.example/token"),
            revocation: None,
            mtls_token: url("https://mtls.example/token"),
            mtls_revocation: None,
            consent: Default::default(),
        };
        let metadata = known.then(|| Arc::new(metadata));
        let given = GivenProvider {
            spec: &provider,
            namespace: "n",
            allowed_addresses: &[],
            id: "p".into(),
            hash: String::new(),
            metadata,
        };
        let found = super::endpoints(&spec, &given).unwrap();
        let text = |url: Option<Url>| url.map_or("-".to_owned(), |url| url.to_string());
        let issuer = found.issuer.is_some();
        format!("{} {} {} {issuer}", text(found.token), text(found.refresh), found.servers.join("+"))
    };
    let plain = json!({"grant": {"clientCredentials": {}}, "client": {"id": "c"}});
    let mutual = json!({"grant": {"clientCredentials": {}}, "client": mutual["client"]});
    let token = json!({"token": "https://own.example/t"});
    let refresh = json!({"refresh": "https://own.example/r"});
    let a = "https://idp.example/a";
    for (spec, endpoints, known, expected) in [
        (&plain, Value::Null, false, format!("- - {a} true")),
        (&plain, Value::Null, true, format!("https://id.example/token https://id.example/token {a} true")),
        (&mutual, Value::Null, true, format!("https://mtls.example/token https://mtls.example/token {a} true")),
        (&plain, refresh.clone(), false, format!("- https://own.example/r {a}+https://own.example true")),
        (&plain, refresh, true, format!("https://id.example/token https://own.example/r {a}+https://own.example true")),
        (&plain, token, true, "https://own.example/t https://own.example/t https://own.example false".to_owned()),
    ] {
        assert_eq!(found(spec, endpoints.clone(), known), expected, "{endpoints} {known}");
    }
    let issuer = |issuer: &str| json!({"issuer": issuer, "endpoints": null});
    assert!(refusal(json!({}), json!({"endpoints": null})).contains("set issuer or endpoints.token"));
    for wrong in ["https://idp.example/?a=b", "https://idp.example/#a", "urn://"] {
        assert!(refusal(json!({}), issuer(wrong)).contains("neither query nor fragment"), "{wrong}");
    }
    let checked = check(json!({}), issuer("https://idp.example")).unwrap();
    assert_eq!((checked.first.url.as_ref(), checked.origin(false)), (None, None));
}

/// What a consent needs, given or discovered. What the issuer's metadata may still tell is no fault of the spec.
#[test]
fn what_a_consent_needs_is_given_or_discovered() {
    let url = |name: &str| Some(Url::parse(&format!("https://m.example/{name}")).unwrap());
    let all = ConsentMetadata {
        authorization: url("authorize"),
        device_authorization: url("device"),
        pushed_authorization_request: url("par"),
        requires_pushed: true,
        names_itself: true,
        jwks: url("keys"),
    };
    let metadata = |consent: ConsentMetadata| Metadata {
        token: url("token").unwrap(),
        revocation: None,
        mtls_token: url("token").unwrap(),
        mtls_revocation: None,
        consent,
    };
    let (client, code) =
        (json!({"clientCredentials": {}}), json!({"authorizationCode": {"redirectURI": "https://o.example/cb"}}));
    let device = json!({"deviceCode": {}});
    let found = |grant: &Value, endpoints: Value, consent: Option<&ConsentMetadata>| {
        let provider = json!({"issuer": "https://idp.example", "endpoints": endpoints});
        let checked = check_with(json!({"grant": grant}), provider, consent.cloned().map(metadata));
        checked.map_or_else(
            |problem| problem.message,
            |checked| {
                let ConsentSource { authorization, device_authorization, pushed, jwks, names_itself, .. } =
                    checked.consent;
                let urls = [authorization, device_authorization, pushed, jwks].into_iter();
                let path = |url: Option<Url>| url.map_or("-".to_owned(), |url| url.path()[1..].to_owned());
                format!("{} {names_itself}", urls.map(path).collect::<Vec<_>>().join(" "))
            },
        )
    };
    let own = json!({"token": "https://o.example/t", "authorization": "https://o.example/a",
        "deviceAuthorization": "https://o.example/d", "pushedAuthorizationRequest": "https://o.example/p", "jwks": "https://o.example/k"});
    let no = |what: &str| format!("The issuer's metadata name no {what} endpoint: set endpoints.");
    let willing = ConsentMetadata { requires_pushed: false, ..all.clone() };
    let none = ConsentMetadata::default();
    for (grant, endpoints, consent, expected) in [
        (&client, Value::Null, Some(&all), "- - - - false".to_owned()),
        (&code, Value::Null, Some(&all), "authorize device par keys true".to_owned()),
        (&device, Value::Null, Some(&all), "authorize device par keys true".to_owned()),
        (&code, Value::Null, Some(&willing), "authorize device - keys true".to_owned()),
        (&code, Value::Null, None, "- - - - false".to_owned()),
        (&device, Value::Null, None, "- - - - false".to_owned()),
        (&code, own.clone(), None, "a d p k false".to_owned()),
        (&device, own.clone(), None, "a d p k false".to_owned()),
        (&code, Value::Null, Some(&none), no("authorization") + "authorization."),
        (&device, Value::Null, Some(&none), no("device authorization") + "deviceAuthorization."),
        // Each grant needs its own alone.
        (
            &code,
            Value::Null,
            Some(&ConsentMetadata { authorization: url("a"), ..none.clone() }),
            "a - - - false".to_owned(),
        ),
        (
            &device,
            Value::Null,
            Some(&ConsentMetadata { device_authorization: url("d"), ..none.clone() }),
            "- d - - false".to_owned(),
        ),
    ] {
        assert_eq!(found(grant, endpoints.clone(), consent), expected, "{grant} {endpoints} {consent:?}");
    }
    for (grant, expected) in [(code, Some("https://idp.example")), (client, None)] {
        let provider = json!({"issuer": "https://idp.example"});
        let endpoints = json!({"grant": grant});
        assert_eq!(check(endpoints, provider).unwrap().consent.issuer.as_deref(), expected);
    }
}

/// Tokens are revoked where they came from, and nowhere else.
#[test]
fn tokens_are_revoked_at_their_own_server() {
    let spec = json!({"grant": {"refreshToken": {"secretRef": key("seed")}}, "revocationPolicy": "OnDelete"});
    let endpoints = |revocation: &str| json!({"endpoints": {"token": "https://id.example/token", "refresh": "https://r.example/r", "revocation": revocation}});
    let at = |url: &str| Revocation::At(Url::parse(url).unwrap());
    for url in ["https://id.example/revoke", "https://r.example/revoke"] {
        assert_eq!(check(spec.clone(), endpoints(url)).unwrap().revocation, at(url));
    }
    let never = json!({"grant": {"refreshToken": {"secretRef": key("seed")}}});
    let never = check(never, endpoints("https://id.example/revoke")).unwrap();
    assert!(
        !never.revokes_on_deletion && never.revocation == at("https://id.example/revoke"),
        "a person may ask for it"
    );
    for (provider, why) in
        [(endpoints("https://other.example/revoke"), "another origin"), (json!({}), "set endpoints.revocation.")]
    {
        let asked = json!({"grant": {"refreshToken": {"secretRef": key("seed")}}});
        let Revocation::Nowhere(sentence) = check(asked, provider).unwrap().revocation else { panic!("{why}") };
        assert!(sentence.contains(why) && !sentence.contains("revocationPolicy"), "{sentence}");
    }
    let client = check(json!({}), json!({})).unwrap().revocation;
    assert_eq!(client, Revocation::Nowhere("For this grant the operator keeps nothing.".to_owned()));
    let issuer = json!({"issuer": "https://id.example", "endpoints": null});
    assert_eq!(check(spec.clone(), issuer).unwrap().revocation, Revocation::Undiscovered);
    assert!(refusal(spec.clone(), endpoints("https://other.example/revoke")).contains("sent to no other"));
    assert!(
        refusal(spec.clone(), json!({}))
            .contains("Revocation needs an endpoint: set endpoints.revocation, or leave out")
    );
    assert!(refusal(json!({"revocationPolicy": "OnDelete"}), json!({})).contains("keeps nothing"));
}
