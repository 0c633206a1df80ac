//! Where a token request may go, and what happens where nobody answers there as it should.

use serde_json::{Value, json};

use crate::{
    case::{Case, Expect, client, nothing_leaked, run_all},
    objects::{merged, secret},
    support::{
        Cluster, Namespace, Operator,
        namespace::apply,
        standin::{Hover, Standin},
    },
};

/// An https server with a CA of its own, and credentials for it, each with a refresh token of its own.
struct Server {
    standin: Standin,
    ca: String,
}

impl Server {
    async fn start() -> Self {
        let (standin, ca) = Standin::start_tls(Hover { client_secret: "hunter2".to_owned(), ..Hover::default() }).await;
        Self { standin, ca }
    }

    /// A spec that works, with the CA from the key `ca.crt` of the Secret `ca`.
    fn spec(&self, seed: &str, ca: &str) -> Value {
        json!({
            "provider": {
                "endpoints": {"token": self.standin.token_url()},
                "tokenRequest": {"encoding": "JSON"},
                "tls": {"caSecretRef": {"name": ca, "key": "ca.crt"}},
            },
            "client": {
                "id": "3fc0",
                "secretRef": {"name": "client", "key": "secret"},
                "authentication": "client_secret_post",
            },
            "grant": {"refreshToken": {"secretRef": {"name": seed, "key": "token"}}},
        })
    }

    fn ca_secret(&self, name: &str) -> Value {
        secret(name, &[("ca.crt", &self.ca)])
    }

    /// A credential that is right save for `patch`, and then right.
    fn case(&self, name: &'static str, patch: &Value, expect: Expect) -> Case {
        let right = self.spec(name, "ca");
        let seed = secret(name, &[("token", &self.standin.seed())]);
        Case { given: vec![seed], ..Case::of_spec(name, merged(&right, patch), expect, &right) }
    }

    /// The same with a CA Secret of its own that has `text`, and then the right one.
    fn case_of_ca(&self, name: &'static str, text: &str, expect: Expect) -> Case {
        let own = format!("{name}-ca");
        let mut case = self.case(name, &json!({"provider": {"tls": {"caSecretRef": {"name": own}}}}), expect);
        case.given.push(secret(&own, &[("ca.crt", text)]));
        case.cure = vec![self.ca_secret(&own)];
        case
    }

    /// The same with a CA ConfigMap of its own, that isn't there if there is no text for it.
    fn case_of_config_map(&self, name: &'static str, text: Option<&str>, expect: Expect) -> Case {
        let reference = json!({"caSecretRef": null, "caConfigMapRef": {"name": name, "key": "ca.crt"}});
        let mut case = self.case(name, &json!({"provider": {"tls": reference}}), expect);
        case.given.extend(text.map(|text| config_map(name, text)));
        case.cure = vec![config_map(name, &self.ca)];
        case
    }
}

fn config_map(name: &str, ca: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": ca}})
}

async fn prepare(name: &str, flags: &[&str]) -> (Namespace, Server, Operator) {
    let namespace = Cluster::shared().await.namespace(name).await;
    let server = Server::start().await;
    let operator = Operator::start(&namespace, flags).await;
    apply(&namespace.client, name, vec![client(), server.ca_secret("ca")]).await.unwrap();
    (namespace, server, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_never_made() {
    let (namespace, server, operator) = prepare("egress", &["--deny-egress", "127.0.0.9"]).await;
    let case = |name, url: &str, says: &[&str]| {
        server.case(name, &json!({"provider": {"endpoints": {"token": url}}}), Expect::stalled("EgressDenied", says))
    };
    let never = ["link-local, metadata or reserved", "never connected to", "correct the host in its URL"];
    let internal = ["internal addresses only", "--allow-egress", "allowedAddresses in a ClusterOAuthProvider"];
    let plain = server.standin.token_url().replace("https", "http");
    let cases = [
        case("plain-http", &plain, &["not https", "correct the URL"]),
        case("another-scheme", "ldap://idp.example.com/token", &["not https"]),
        case("metadata", "https://169.254.169.254/latest/api/token", &never),
        case("metadata-mapped", "https://[::ffff:169.254.169.254]/token", &never),
        case("metadata-decimal", "https://2852039166/token", &never),
        case("unspecified", "https://0.0.0.0/token", &never),
        case("private", "https://10.255.255.1/token", &internal),
        case("private-mapped", "https://[::ffff:192.168.1.1]/token", &internal),
        case("unique-local", "https://[fd00::1]/token", &internal),
        case("loopback", "https://[::1]/token", &internal),
        case("denied", "https://127.0.0.9/token", &["--deny-egress", "use another"]),
        case("user-info", "https://it:hunter2@127.0.0.1/token", &["user name or password", "take it out"]),
        case("fragment", "https://127.0.0.1/token#token", &["fragment", "take it out"]),
        // Where refreshes go is judged as well.
        server.case(
            "refresh-endpoint",
            &json!({"provider": {"endpoints": {"refresh": "https://169.254.169.254/token"}}}),
            Expect::stalled("EgressDenied", &never),
        ),
    ];
    run_all(&namespace, &cases).await;
    assert_eq!((server.standin.requests().len(), server.standin.replays()), (cases.len(), 0));
    nothing_leaked(&namespace, &operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_the_ones_they_should_be() {
    let (namespace, server, operator) = prepare("unreachable", &[]).await;
    let other = Server::start().await;
    let plain = Standin::start(Hover::default()).await;

    let at = |url: &str| json!({"provider": {"endpoints": {"token": url}}});
    let unavailable = |says: &[&str]| Expect::retried("ProviderUnavailable", says);
    let untrusted = || unavailable(&["certificate is not trusted", "tls.caSecretRef", "--ca-file"]);
    let cases = [
        server.case("untrusted", &json!({"provider": {"tls": null}}), untrusted()),
        server.case_of_ca("another-ca", &other.ca, untrusted()),
        server.case_of_ca(
            "no-pem",
            "hunter2",
            Expect::stalled(
                "InvalidSpec",
                &["The provider's tls.caSecretRef", "no PEM certificate", "put the authority's certificate there"],
            ),
        ),
        server.case_of_ca(
            "no-certificate",
            "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----",
            Expect::stalled("InvalidSpec", &["The provider's tls.caSecretRef", "is no certificate"]),
        ),
        server.case_of_config_map(
            "no-config-map",
            None,
            Expect::retried(
                "SourceSecretNotFound",
                &["The ConfigMap no-config-map doesn't exist", "create it, or correct the reference"],
            ),
        ),
        server.case_of_config_map(
            "config-map-no-pem",
            Some("hunter2"),
            Expect::stalled("InvalidSpec", &["The provider's tls.caConfigMapRef", "no PEM certificate"]),
        ),
        server.case_of_config_map("config-map-another-ca", Some(&other.ca), untrusted()),
        server.case(
            "no-tls",
            &at(&plain.token_url().replace("http:", "https:")),
            unavailable(&["TLS handshake", "TLS 1.2 or 1.3"]),
        ),
        server.case(
            "no-name",
            &at("https://idp.invalid/token"),
            unavailable(&["name can't be resolved", "check the host in its URL"]),
        ),
        server.case(
            "nobody",
            &at("https://127.0.0.1:1/token"),
            unavailable(&["accepts no connection", "check its host and port"]),
        ),
    ];
    run_all(&namespace, &cases).await;
    // Nothing was sent before the server had shown who it is: each refresh token was spent once.
    assert_eq!((server.standin.requests().len(), server.standin.replays()), (cases.len(), 0));
    assert!(plain.requests().is_empty() && other.standin.requests().is_empty());
    nothing_leaked(&namespace, &operator).await;
}
