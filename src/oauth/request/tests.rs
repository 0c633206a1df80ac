use super::*;
use http::header;
use serde_json::json;

const CANARY: &str = "s3cr3t-canary";

fn refresh() -> TokenRequest {
    TokenRequest {
        url: "https://id.example.com/oauth/token?tenant=1".parse().unwrap(),
        shape: RequestShape { authentication: Authentication::ClientSecretPost, ..RequestShape::default() },
        client: Client { id: Some("my id".into()), secret: Some(ClientSecret::new("s&c:ret")), assertion: None },
        standard: vec![
            ("grant_type", ParameterValue::text("refresh_token")),
            ("refresh_token", ParameterValue::text("r/1+2=")),
        ],
        additional: Vec::new(),
    }
}

fn map(parameter: &str, placement: Placement, rename: Option<&str>) -> ParameterMapping {
    ParameterMapping { parameter: parameter.into(), placement, rename: rename.map(str::to_owned) }
}

fn extra(name: &str, value: ParameterValue, location: ParameterLocation) -> ExtraParameter {
    ExtraParameter { name: name.into(), value, location }
}

fn header(name: &'static str, value: &str) -> ExtraHeader {
    ExtraHeader { name: HeaderName::from_static(name), value: HeaderValueSource::Text(SecretText::new(value)) }
}

fn templated(name: &'static str, source: &str) -> ExtraHeader {
    ExtraHeader {
        name: HeaderName::from_static(name),
        value: HeaderValueSource::Template(Template::parse(source).unwrap()),
    }
}

/// The whole request as text: method, path and query, headers in order of their names, body. Content-Length, Accept and
/// User-Agent are looked at apart.
fn wire(request: &TokenRequest) -> String {
    let encoded = request.encode().unwrap();
    let url = encoded.url();
    let length = encoded.headers().get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap().parse().unwrap());
    assert_eq!(length, (encoded.method() == http::Method::POST).then_some(encoded.body().len()));
    let mut headers: Vec<String> = encoded
        .headers()
        .iter()
        .filter(|(name, _)| !matches!(**name, header::ACCEPT | header::USER_AGENT | header::CONTENT_LENGTH))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let body = String::from_utf8_lossy(encoded.body());
    format!("{} {}{query}\n{}\n\n{body}", encoded.method(), url.path(), headers.join("\n"))
}

#[test]
fn encodings_and_authentications() {
    use Authentication as A;
    let form = "content-type: application/x-www-form-urlencoded";
    let json = "content-type: application/json";
    for (method, encoding, authentication, expected) in [
        (Method::Post, Encoding::Form, A::ClientSecretPost,
            format!("POST /oauth/token?tenant=1\n{form}\n\ngrant_type=refresh_token&refresh_token=r%2F1%2B2%3D&client_id=my+id&client_secret=s%26c%3Aret")),
        (Method::Post, Encoding::Form, A::ClientSecretBasic,
            format!("POST /oauth/token?tenant=1\nauthorization: Basic bXkraWQ6cyUyNmMlM0FyZXQ=\n{form}\n\ngrant_type=refresh_token&refresh_token=r%2F1%2B2%3D")),
        (Method::Post, Encoding::Form, A::None,
            format!("POST /oauth/token?tenant=1\n{form}\n\ngrant_type=refresh_token&refresh_token=r%2F1%2B2%3D&client_id=my+id")),
        (Method::Post, Encoding::Json, A::ClientSecretPost,
            format!("POST /oauth/token?tenant=1\n{json}\n\n{}", r#"{"grant_type":"refresh_token","refresh_token":"r/1+2=","client_id":"my id","client_secret":"s&c:ret"}"#)),
        (Method::Post, Encoding::Json, A::ClientSecretBasic,
            format!("POST /oauth/token?tenant=1\nauthorization: Basic bXkraWQ6cyUyNmMlM0FyZXQ=\n{json}\n\n{}", r#"{"grant_type":"refresh_token","refresh_token":"r/1+2="}"#)),
        (Method::Post, Encoding::Query, A::ClientSecretPost,
            "POST /oauth/token?tenant=1&grant_type=refresh_token&refresh_token=r%2F1%2B2%3D&client_id=my+id&client_secret=s%26c%3Aret\n\n\n".into()),
        (Method::Get, Encoding::Form, A::None,
            "GET /oauth/token?tenant=1&grant_type=refresh_token&refresh_token=r%2F1%2B2%3D&client_id=my+id\n\n\n".into()),
        (Method::Get, Encoding::Json, A::ClientSecretBasic,
            "GET /oauth/token?tenant=1&grant_type=refresh_token&refresh_token=r%2F1%2B2%3D\nauthorization: Basic bXkraWQ6cyUyNmMlM0FyZXQ=\n\n".into()),
    ] {
        let mut request = refresh();
        request.shape = RequestShape { method, encoding, authentication, ..RequestShape::default() };
        assert_eq!(wire(&request), expected, "{method:?} {encoding:?} {authentication:?}");
    }
}

#[test]
fn multipart_bytes() {
    let mut request = refresh();
    request.shape.encoding = Encoding::Multipart;
    let encoded = request.encode().unwrap();
    let content_type = encoded.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let part = |name: &str, value: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "r/1+2="),
        ("client_id", "my id"),
        ("client_secret", "s&c:ret"),
    ];
    let expected: String = parts.iter().map(|(name, value)| part(name, value)).collect();
    assert_eq!(String::from_utf8_lossy(encoded.body()), format!("{expected}--{boundary}--\r\n"));
    assert_eq!(encoded.headers()[header::CONTENT_LENGTH], encoded.body().len().to_string());
    request.shape.headers = vec![header("content-type", "text/plain")];
    assert_eq!(request.encode().unwrap_err(), EncodeError::ForbiddenHeader(header::CONTENT_TYPE));
}

#[test]
fn mapping_reaches_client_authentication() {
    let mut request = refresh();
    request.shape.mapping = vec![
        map("client_id", Placement::Body, Some("client_key")),
        map("client_secret", Placement::Header, Some("X-Secret")),
        map("grant_type", Placement::Query, Some("kind")),
        map("refresh_token", Placement::Omit, None),
        map("scope", Placement::Header, None),
    ];
    assert_eq!(
        wire(&request),
        "POST /oauth/token?tenant=1&kind=refresh_token\ncontent-type: application/x-www-form-urlencoded\nx-secret: s&c:ret\n\nclient_key=my+id"
    );
}

#[test]
fn the_partner_apis_headers() {
    let request = TokenRequest {
        url: "https://partner.example.com/v1/auth/token".parse().unwrap(),
        shape: RequestShape {
            encoding: Encoding::Json,
            headers: vec![header("partnerid", "12345")],
            mapping: vec![
                map("grant_type", Placement::Header, Some("grantType")),
                map("refresh_token", Placement::Body, Some("refreshToken")),
            ],
            ..RequestShape::default()
        },
        client: Client::default(),
        standard: refresh().standard,
        additional: Vec::new(),
    };
    assert_eq!(
        wire(&request),
        "POST /v1/auth/token\ncontent-type: application/json\ngranttype: refresh_token\npartnerid: 12345\n\n{\"refreshToken\":\"r/1+2=\"}"
    );
}

#[test]
fn added_parameters_replace_repeat_and_keep_order() {
    let mut request = refresh();
    request.shape.authentication = Authentication::None;
    request.shape.parameters = vec![
        extra("grant_type", ParameterValue::text("custom"), ParameterLocation::Body),
        extra("api_key", ParameterValue::text("k"), ParameterLocation::Query),
        extra("permissions", ParameterValue::Json(json!({"read": true})), ParameterLocation::Body),
        extra("x-h", ParameterValue::Json(json!([1])), ParameterLocation::Header),
    ];
    request.additional = vec![
        extra("resource", ParameterValue::text("a"), ParameterLocation::Body),
        extra("resource", ParameterValue::text("b"), ParameterLocation::Body),
    ];
    assert_eq!(
        wire(&request).split_once("\n\n").unwrap().1,
        "refresh_token=r%2F1%2B2%3D&client_id=my+id&grant_type=custom&permissions=%7B%22read%22%3Atrue%7D&resource=a&resource=b"
    );
    request.shape.encoding = Encoding::Json;
    let text = wire(&request);
    assert!(text.starts_with("POST /oauth/token?tenant=1&api_key=k\n"));
    assert!(text.contains("\nx-h: [1]\n"));
    assert_eq!(
        text.split_once("\n\n").unwrap().1,
        r#"{"refresh_token":"r/1+2=","client_id":"my id","grant_type":"custom","permissions":{"read":true},"resource":["a","b"]}"#
    );
}

#[test]
fn without_body_parameters_there_is_no_body() {
    for encoding in [Encoding::Form, Encoding::Json, Encoding::Multipart, Encoding::Query] {
        let mut request = refresh();
        request.shape = RequestShape {
            encoding,
            headers: vec![header("x-a", " 1 "), header("x-a", "2")],
            ..RequestShape::default()
        };
        request.client = Client::default();
        request.standard.clear();
        assert_eq!(wire(&request), "POST /oauth/token?tenant=1\nx-a: 1\nx-a: 2\n\n", "{encoding:?}");
    }
}

#[test]
fn our_own_headers_can_be_overridden() {
    let mut request = refresh();
    let encoded = request.encode().unwrap();
    assert_eq!(encoded.headers()[header::ACCEPT], "application/json");
    assert_eq!(encoded.headers()[header::USER_AGENT], concat!("oauth-operator/", env!("CARGO_PKG_VERSION")));
    assert!(!encoded.headers().contains_key(header::ACCEPT_ENCODING));
    request.shape.authentication = Authentication::ClientSecretBasic;
    request.shape.headers = vec![
        header("accept", "text/plain"),
        header("user-agent", "x"),
        header("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        templated("authorization", "Basic {{ (client_secret ~ ':') | b64encode }}\n"),
    ];
    let encoded = request.encode().unwrap();
    let all = |name| encoded.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all(header::ACCEPT), ["text/plain"]);
    assert_eq!(all(header::USER_AGENT), ["x"]);
    assert_eq!(all(header::CONTENT_TYPE), ["application/x-www-form-urlencoded; charset=utf-8"]);
    assert_eq!(all(header::AUTHORIZATION), ["Basic cyZjOnJldDo="]);
}

#[test]
fn templates_see_every_parameter() {
    let mut request = refresh();
    request.shape.authentication = Authentication::None;
    request.shape.mapping = vec![map("refresh_token", Placement::Omit, None), map("client_id", Placement::Omit, None)];
    request.shape.parameters = vec![
        extra("account_id", ParameterValue::text("7"), ParameterLocation::Body),
        extra("n", ParameterValue::Json(json!({"a": 1})), ParameterLocation::Body),
    ];
    request.additional = vec![
        extra("resource", ParameterValue::text("a"), ParameterLocation::Body),
        extra("resource", ParameterValue::text("b"), ParameterLocation::Body),
    ];
    request.shape.headers = vec![
        templated(
            "x-1",
            "{{ client_id }}:{{ client_secret }}:{{ refresh_token }}:{{ grant_type }}:{{ account_id }}:{{ n.a }}:{{ resource | join('+') }}",
        ),
        templated("x-2", "{{ uuid() }}"),
        templated("x-3", "{{ uuid() }}"),
    ];
    let encoded = request.encode().unwrap();
    let value = |name: &str| encoded.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(value("x-1"), "my id:s&c:ret:r/1+2=:refresh_token:7:1:a+b");
    assert_eq!((value("x-2").len(), value("x-2")), (36, value("x-3")));
    assert_ne!(request.encode().unwrap().headers()["x-2"], encoded.headers()["x-2"]);
    request.shape.headers = vec![templated("x-1", "{{ scope }}")];
    assert!(matches!(request.encode(), Err(EncodeError::Template { error: TemplateError::MissingField { .. }, .. })));
}

#[test]
fn basic_encodings() {
    let mut request = refresh();
    request.shape.authentication = Authentication::ClientSecretBasic;
    let basic = |request: &TokenRequest| {
        request.encode().map(|it| it.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned())
    };
    assert_eq!(basic(&request), Ok("Basic bXkraWQ6cyUyNmMlM0FyZXQ=".into()), "my+id:s%26c%3Aret");
    request.shape.basic_encoding = BasicEncoding::Raw;
    assert_eq!(basic(&request), Ok("Basic bXkgaWQ6cyZjOnJldA==".into()), "my id:s&c:ret");
    request.client.id = Some("a:b".into());
    assert_eq!(basic(&request), Err(EncodeError::ColonInClientId));
    request.client.id = None;
    assert_eq!(basic(&request), Err(EncodeError::MissingClientId));
    request.client = Client { id: Some("a".into()), secret: None, assertion: None };
    assert_eq!(basic(&request), Err(EncodeError::MissingClientSecret));
    request.shape.authentication = Authentication::ClientSecretPost;
    assert_eq!(basic(&request), Err(EncodeError::MissingClientSecret));
}

#[test]
fn headers_that_cannot_be() {
    for (name, value, expected) in [
        ("x-a", "a\nb", EncodeError::HeaderValue(HeaderName::from_static("x-a"))),
        ("x-a", "a\0", EncodeError::HeaderValue(HeaderName::from_static("x-a"))),
        ("host", "evil", EncodeError::ForbiddenHeader(header::HOST)),
        ("transfer-encoding", "chunked", EncodeError::ForbiddenHeader(header::TRANSFER_ENCODING)),
        ("content-length", "1", EncodeError::ForbiddenHeader(header::CONTENT_LENGTH)),
        ("accept-encoding", "gzip", EncodeError::ForbiddenHeader(header::ACCEPT_ENCODING)),
    ] {
        let mut request = refresh();
        request.shape.headers = vec![header(name, value)];
        assert_eq!(request.encode().unwrap_err(), expected);
        request.shape.headers.clear();
        request.shape.parameters = vec![extra(name, ParameterValue::text(value), ParameterLocation::Header)];
        assert_eq!(request.encode().unwrap_err(), expected);
    }
    let mut request = refresh();
    request.shape.mapping = vec![map("grant_type", Placement::Header, Some("a b"))];
    assert_eq!(request.encode().unwrap_err(), EncodeError::HeaderName("a b".into()));
}

#[test]
fn debug_shows_no_secret() {
    let mut request = refresh();
    request.client.secret = Some(ClientSecret::new(CANARY));
    request.standard =
        vec![("refresh_token", ParameterValue::text(CANARY)), ("scope", ParameterValue::Json(json!([CANARY])))];
    request.additional = vec![extra("k", ParameterValue::text(CANARY), ParameterLocation::Query)];
    request.shape.headers = vec![header("x-a", CANARY), templated("x-b", CANARY)];
    for encoding in [Encoding::Form, Encoding::Json, Encoding::Multipart, Encoding::Query] {
        request.shape.encoding = encoding;
        let encoded = request.encode().unwrap();
        let shown = format!("{request:?} {request:#?} {encoded:?} {encoded:#?} {:?}", encoded.headers());
        assert!(!shown.contains(CANARY), "{shown}");
    }
    request.shape.headers = vec![templated("x-b", "{{ refresh_token | int }}")];
    let error = request.encode().unwrap_err();
    assert!(!format!("{error:?} {error}").contains(CANARY));
    request.shape.headers = vec![header("x-a", &format!("{CANARY}\n\u{1}"))];
    let error = request.encode().unwrap_err();
    assert!(!format!("{error:?} {error}").contains(CANARY));
}
