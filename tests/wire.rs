//! The second wire shape, byte for byte: Hover's exchange of an authorization code, in both encodings that its guide allows.
//! The stand-in refuses whatever the guide doesn't have. (The other two shapes are `cluster::shapes`, through the operator.)

#[path = "support/standin/mod.rs"]
mod standin;

use oauth_operator::{
    api::{Encoding, ResponseSpec},
    oauth::{
        egress::{EgressRule, EgressRules},
        reply::{ReplyPaths, ReplyRules, ReplyShape, TokenReply},
        request::{Authentication, Client, ParameterValue, RequestShape, TokenRequest},
        transport::{Target, Transport, TransportConfig},
        values::ClientSecret,
    },
};
use standin::{Hover, Recorded, Standin};

const REDIRECT_URI: &str = "https://oauth.example.com/oauth/callback";

/// Exchanges a fresh code; gives what arrived at the server, the code, and the reply.
async fn exchange(encoding: Encoding) -> (Recorded, String, TokenReply) {
    let standin = Standin::start(Hover::default()).await;
    let code = standin.code();
    let text = |value: &str| ParameterValue::text(value);
    let request = TokenRequest {
        url: standin.token_url().parse().unwrap(),
        shape: RequestShape { encoding, authentication: Authentication::ClientSecretPost, ..RequestShape::default() },
        client: Client { id: Some("3fc0".into()), secret: Some(ClientSecret::new("s3cr3t")), assertion: None },
        standard: vec![
            ("grant_type", text("authorization_code")),
            ("code", text(&code)),
            ("redirect_uri", text(REDIRECT_URI)),
        ],
        additional: Vec::new(),
    };
    let egress = EgressRules {
        allow: vec!["127.0.0.0/8".parse::<EgressRule>().unwrap()],
        allow_insecure_http: true,
        ..EgressRules::default()
    };
    let transport = Transport::new(TransportConfig { egress, ..TransportConfig::default() }).unwrap();
    let target = Target { url: request.url.clone(), ca: None, identity: None, allowed_addresses: Vec::new() };
    let connection = transport.connect(&target).await.unwrap();
    let reply = connection.send(request.encode().unwrap(), |_| true).await.unwrap();
    let shape = ReplyShape::new(&ReplyPaths::from(&ResponseSpec::default()), ReplyRules::default()).unwrap();
    let tokens = shape.read(reply.status, &reply.headers, &reply.body, reply.sent_at);
    let recorded = standin.requests().remove(0);
    assert_eq!(recorded.refused, None);
    (recorded, code, tokens.unwrap())
}

#[tokio::test]
async fn hovers_code_exchange_in_json() {
    let (request, code, reply) = exchange(Encoding::Json).await;
    assert_eq!((request.method.as_str(), request.path.as_str(), &request.query), ("POST", "/oauth/token", &None));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let body = format!(
        r#"{{"grant_type":"authorization_code","code":"{code}","redirect_uri":"{REDIRECT_URI}","client_id":"3fc0","client_secret":"s3cr3t"}}"#
    );
    assert_eq!(String::from_utf8_lossy(&request.body), body);
    assert!(reply.refresh_token.is_some());
    assert_eq!(reply.response.expose()["owner_id"], 785);
}

#[tokio::test]
async fn hovers_code_exchange_in_multipart() {
    let (request, code, reply) = exchange(Encoding::Multipart).await;
    let content_type = request.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT_URI),
        ("client_id", "3fc0"),
        ("client_secret", "s3cr3t"),
    ];
    let part = |(name, value): (&str, &str)| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body: String = fields.map(part).concat() + &format!("--{boundary}--\r\n");
    assert_eq!(String::from_utf8_lossy(&request.body), body);
    assert!(reply.refresh_token.is_some());
}
