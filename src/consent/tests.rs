use super::*;

#[test]
fn routes() {
    let of = |path| Route::of("/op", path);
    assert_eq!(of("/op/oauth/callback"), Some(Route::Callback));
    assert_eq!(of("/op/consent/team-a/hover.one"), Some(Route::Start { namespace: "team-a", name: "hover.one" }));
    let long = format!("/op/consent/a/{}", "b".repeat(64));
    for path in [
        "/",
        "/op",
        "/oauth/callback",
        "/op/consent/a",
        "/op/consent/a/",
        "/op/consent/A/b",
        "/op/consent/a/b/c",
        &long,
    ] {
        assert_eq!(of(path), None, "{path}");
    }
    assert_eq!(Route::of("", "/oauth/callback"), Some(Route::Callback));
    assert_eq!(prefix(&Url::parse("https://a.example/op/").unwrap()), "/op");
    assert_eq!(prefix(&Url::parse("https://a.example").unwrap()), "");
}

#[test]
fn forms_of_other_sites() {
    let own = |pairs: &[(&'static str, &'static str)]| {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        is_own(&headers, "https://a.example")
    };
    assert!(own(&[("origin", "https://a.example")]));
    assert!(own(&[("origin", "https://a.example"), ("sec-fetch-site", "same-origin")]));
    assert!(!own(&[]));
    assert!(!own(&[("origin", "null")]));
    assert!(!own(&[("origin", "https://b.example")]));
    assert!(!own(&[("origin", "https://a.example"), ("sec-fetch-site", "cross-site")]));
}

#[test]
fn each_page_has_its_headers() {
    for page in pages::every::page() {
        let response = page.response();
        let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert!(header("content-security-policy").starts_with("default-src 'none'; "));
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("referrer-policy"), "same-origin");
    }
}
