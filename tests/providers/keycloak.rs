//! The grants, each with every client authentication that Keycloak knows, against Keycloak. tests/e2e/keycloak/run runs this (`make e2e`);
//! the matrix tells of it in every run.

use oauth_operator::api::{ConditionType, OAuthCredential};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::clients::{self, Client};
use crate::credential::{Grant, MACHINES, Site, USER, grants, id, signer};
use crate::matrix::{self, Case, Cell, Server};
use crate::support::certificates::Authority;
use crate::support::keycloak::{Keycloak, Tls, user};
use crate::support::{Cluster, Conditions, Operator, SOON, free_port};

/// What a public client is refused.
const CONFIDENTIAL: [&str; 2] = ["tokenExchange", "jwtBearer"];
/// The realm's name for who signs assertions.
const TRUSTED: &str = "machines";
const ISSUER: &str = "https://machines.example.com";
/// A client's secret while its first refresh token is minted.
const FIRST_SECRET: &str = "until the client proves itself in its own way";

/// What runs against Keycloak, and what it refuses.
pub fn cells() -> Vec<Cell> {
    let clients = clients::all(&Authority::new("clients"));
    let cell = |client: &Client, grant: &str, server| {
        (grant.to_owned(), client.authentication.to_owned(), "Form".to_owned(), server)
    };
    let run =
        clients.iter().flat_map(|client| granted(client).into_iter().map(move |it| cell(client, it, Server::Keycloak)));
    let refused = clients
        .iter()
        .flat_map(|client| refused(client).into_iter().map(move |it| cell(client, it, Server::NotKeycloak)));
    run.chain(refused).collect()
}

fn granted(client: &Client) -> Vec<&'static str> {
    match (client.authentication, client.certificate.is_some()) {
        ("self_signed_tls_client_auth", _) => Vec::new(),
        // A refresh token is bound to the certificate as well, so that its first one has to come with it.
        ("client_secret_post, with a certificate", _) => vec!["clientCredentials", "password"],
        _ => grants(client).into_iter().filter(|grant| !refused(client).contains(grant)).collect(),
    }
}

fn refused(client: &Client) -> Vec<&'static str> {
    if client.authentication == "none" { CONFIDENTIAL.to_vec() } else { Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "tests/e2e/keycloak/run prepares what it needs"]
async fn every_case_obtains_tokens_from_keycloak() {
    let namespace = Cluster::shared().await.namespace("keycloak").await;
    let address = format!("127.0.0.1:{}", free_port());
    let (listen, public) = (format!("--listen={address}"), format!("--public-url=http://{address}"));
    let operator = Operator::start(&namespace, &["--allow-insecure-http", &listen, &public]).await;

    let (authority, servers) = (Authority::new("clients"), Authority::new("servers"));
    let clients = clients::all(&authority);
    let known: Vec<&Client> = clients.iter().filter(|client| !granted(client).is_empty()).collect();
    let realm = realm(&known, &clients, &format!("http://{address}/oauth/callback"));
    let server = servers.issue("127.0.0.1");
    let tls = Tls { server: &server, authority: &servers.pem(), clients: &authority.pem() };
    let keycloak = Keycloak::start(&realm, Some(tls)).await;

    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.crt");
    std::fs::write(&ca, servers.pem()).unwrap();
    let provider = json!({"issuer": keycloak.issuer});
    let site = Site {
        server: Server::Keycloak,
        provider: provider.clone(),
        consenting: provider,
        issuer: ISSUER,
        device_audience: Some(keycloak.issuer.clone()),
        ca: Some((servers.pem(), ca)),
    };
    let (mut cases, mut refusals): (Vec<Case>, Vec<Case>) = Default::default();
    for client in known {
        let add = async |name| {
            let seed = if name == "refreshToken" { Some(seed(&keycloak, client).await) } else { None };
            site.case(&Grant { client, name, seed, subject: "client-credentials-basic" }, &clients)
        };
        for name in granted(client) {
            cases.push(add(name).await);
        }
        for name in refused(client) {
            refusals.push(add(name).await);
        }
        for grant in ["clientCredentials", "refreshToken"] {
            let id = id(client, grant);
            keycloak.update_client(&id, &proof(client)).await;
        }
    }
    matrix::run(&namespace, &cases).await;
    for case in &refusals {
        namespace.apply(&case.manifest).await;
        let refused = |it: &OAuthCredential| it.is(ConditionType::Stalled) && !it.is(ConditionType::Ready);
        namespace.credential_until(&case.name, "refused", SOON, refused).await;
    }
    drop(operator);
}

/// The first refresh token, from a time when the client had a plain secret.
async fn seed(keycloak: &Keycloak, client: &Client) -> String {
    let id = id(client, "refreshToken");
    let mut form = vec![("grant_type", "password"), ("client_id", &id), ("username", USER.0), ("password", USER.1)];
    if client.authentication != "none" {
        form.push(("client_secret", FIRST_SECRET));
    }
    keycloak.token(&form).await["refresh_token"].as_str().unwrap().to_owned()
}

/// The clients with a plain secret each, and a user whom the signer of assertions may speak for.
fn realm(known: &[&Client], clients: &[Client], callback: &str) -> Value {
    let key = KeyPair::from_pem(signer(clients).as_str().unwrap()).unwrap().public_key_pem();
    let mut robot = user(USER.0, USER.1);
    robot["federatedIdentities"] = json!([{"identityProvider": TRUSTED, "userId": USER.0, "userName": USER.0}]);
    json!({
        "realm": "acme", "enabled": true, "accessTokenLifespan": 600, "revokeRefreshToken": true, "refreshTokenMaxReuse": 0,
        "users": [robot],
        "clients": known.iter().flat_map(|client| registered(client, known, callback)).collect::<Vec<_>>(),
        "identityProviders": [{
            "alias": TRUSTED, "providerId": "jwt-authorization-grant", "enabled": true,
            "config": {
                "issuer": ISSUER, "jwtAuthorizationGrantEnabled": "true", "jwtAuthorizationGrantAssertionSignatureAlg": "ES256",
                "useJwksUrl": "false", "publicKeySignatureVerifier": key, "publicKeySignatureVerifierKeyId": "2026-11",
            },
        }],
    })
}

/// A machine's client and a person's. Their names are their ids, too.
fn registered(client: &Client, known: &[&Client], callback: &str) -> [Value; 2] {
    let public = client.authentication == "none";
    // Who exchanges a token must be in its audience, and it is the first client's that is exchanged.
    let audience = |exchanger: &&Client| {
        let id = id(exchanger, "tokenExchange");
        json!({
            "name": id, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.client.audience": id, "access.token.claim": "true"},
        })
    };
    let machine = json!({
        "standardFlowEnabled": false, "serviceAccountsEnabled": !public, "protocolMappers": known.iter().map(audience).collect::<Vec<_>>(),
        "attributes": {
            "standard.token.exchange.enabled": "true",
            "oauth2.jwt.authorization.grant.enabled": "true", "oauth2.jwt.authorization.grant.idp": TRUSTED,
        },
    });
    let web = json!({
        "standardFlowEnabled": true, "directAccessGrantsEnabled": true, "redirectUris": [callback],
        "attributes": {"oauth2.device.authorization.grant.enabled": "true"},
    });
    [(MACHINES[0], machine), ("refreshToken", web)].map(|(grant, mut whole)| {
        let id = id(client, grant);
        whole["id"] = id.clone().into();
        whole["clientId"] = id.into();
        whole["publicClient"] = public.into();
        if !public {
            whole["secret"] = FIRST_SECRET.into();
        }
        whole
    })
}

/// How the client proves itself, as Keycloak's administrators write it.
fn proof(client: &Client) -> Value {
    let authenticator = match client.authentication {
        "none" => return json!({}),
        "client_secret_jwt" => "client-secret-jwt",
        "private_key_jwt" => "client-jwt",
        "tls_client_auth" => "client-x509",
        _ => "client-secret",
    };
    let mut attributes = json!({});
    if let Some(algorithm) = client.spec.get("signingAlgorithm") {
        attributes["token.endpoint.auth.signing.alg"] = algorithm.clone();
    }
    if let Some(keys) = client.registered.get("jwks") {
        attributes["use.jwks.string"] = "true".into();
        attributes["jwks.string"] = keys.to_string().into();
    }
    match client.authentication {
        "tls_client_auth" => attributes["x509.subjectdn"] = "CN=client.example.com".into(),
        "client_secret_post, with a certificate" => {
            attributes["tls.client.certificate.bound.access.tokens"] = "true".into()
        }
        _ => {}
    }
    json!({"clientAuthenticatorType": authenticator, "secret": client.secret.get("secret"), "attributes": attributes})
}
