//! The grants, each with every client authentication, against oidc-provider: over plain http, and with certificates.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::{self, Client};
use crate::credential::{Grant, Site, grants, id};
use crate::matrix::{Case, Server};
use crate::support::Oidc;
use crate::support::certificates::Authority;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What the cases run against.
pub struct Servers {
    plain: (Oidc, Site),
    mutual: (Oidc, Site),
    _dir: TempDir,
}

/// The servers, which send a consenting person to `callback`, and the cases.
pub async fn cases(callback: &str) -> (Servers, Vec<Case>) {
    let authority = Authority::new("clients");
    let clients = clients::all(&authority);
    let registered: Vec<Value> = clients.iter().flat_map(|client| registered(client, callback)).collect();
    let servers = start(&authority, &json!({"clients": registered})).await;
    let mut cases = Vec::new();
    for client in &clients {
        let ((oidc, site), subject) = match client.certificate {
            Some(_) => (&servers.mutual, "client-credentials-tls"),
            None => (&servers.plain, "client-credentials-basic"),
        };
        for name in grants(client) {
            let seed = if name == "refreshToken" { Some(oidc.seed(&id(client, name)).await) } else { None };
            cases.push(site.case(&Grant { client, name, seed, subject }, &clients));
        }
    }
    (servers, cases)
}

async fn start(clients: &Authority, config: &Value) -> Servers {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let servers = Authority::new("servers");
    let server = servers.issue("127.0.0.1");
    let ca = (servers.pem(), file("servers.crt", servers.pem()));
    let files = [
        ("--cert", file("tls.crt", server.certificate.pem())),
        ("--key", file("tls.key", server.key.serialize_pem())),
        ("--client-ca", file("clients.crt", clients.pem())),
    ];
    let flags: Vec<&str> = files.iter().flat_map(|(flag, path)| [*flag, path.to_str().unwrap()]).collect();
    let (plain, mutual) = (Oidc::start_with(config, &[]).await, Oidc::start_with(config, &flags).await);
    let site = |oidc: &Oidc, ca| Site {
        server: Server::OidcProvider,
        provider: json!({"endpoints": {"token": oidc.token_url()}}),
        consenting: json!({
            "issuer": oidc.issuer, "authorizationRequest": {"parameters": [{"name": "prompt", "value": "consent"}]},
        }),
        issuer: "machine-es256",
        device_audience: None,
        ca,
    };
    let sites = (site(&plain, None), site(&mutual, Some(ca)));
    Servers { plain: (plain, sites.0), mutual: (mutual, sites.1), _dir: dir }
}

/// A machine's client and a person's.
fn registered(client: &Client, callback: &str) -> [Value; 2] {
    let machine = json!({
        "redirect_uris": [], "response_types": [], "grant_types": ["client_credentials", JWT_BEARER, TOKEN_EXCHANGE],
    });
    let web = json!({
        "redirect_uris": [callback], "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token", "password", DEVICE_CODE],
    });
    [("clientCredentials", machine), ("refreshToken", web)].map(|(grant, grants)| {
        let mut whole = client.registered.clone();
        whole["client_id"] = id(client, grant).into();
        whole.as_object_mut().unwrap().extend(grants.as_object().unwrap().clone());
        whole
    })
}
