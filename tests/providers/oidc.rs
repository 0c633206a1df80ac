//! The grants, each with every client authentication, against oidc-provider: over plain http, and with certificates.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients::{self, Client};
use crate::matrix::{Case, Consent, Server};
use crate::support::Oidc;
use crate::support::certificates::Authority;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The client whose key signs the assertions of jwtBearer.
const ISSUER: &str = "es256";

/// What the cases run against.
pub struct Servers {
    plain: Oidc,
    mutual: Oidc,
    servers: Authority,
    _dir: TempDir,
    ca: PathBuf,
}

/// The servers, which send a consenting person to `callback`, and the cases.
pub async fn cases(callback: &str) -> (Servers, Vec<Case>) {
    let authority = Authority::new("clients");
    let clients = clients::all(&authority);
    let registered: Vec<Value> = clients.iter().flat_map(|client| registered(client, callback)).collect();
    let servers = start(&authority, &json!({"clients": registered})).await;
    let mut cases = Vec::new();
    for client in &clients {
        servers.add(client, &clients, &mut cases).await;
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
    let ca = file("servers.crt", servers.pem());
    let files = [
        ("--cert", file("tls.crt", server.certificate.pem())),
        ("--key", file("tls.key", server.key.serialize_pem())),
        ("--client-ca", file("clients.crt", clients.pem())),
    ];
    let flags: Vec<&str> = files.iter().flat_map(|(flag, path)| [*flag, path.to_str().unwrap()]).collect();
    let (plain, mutual) = (Oidc::start_with(config, &[]).await, Oidc::start_with(config, &flags).await);
    Servers { plain, mutual, servers, _dir: dir, ca }
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
    [("machine", machine), ("web", web)].map(|(kind, grants)| {
        let mut whole = client.registered.clone();
        whole["client_id"] = format!("{kind}-{}", client.id).into();
        whole.as_object_mut().unwrap().extend(grants.as_object().unwrap().clone());
        whole
    })
}

impl Servers {
    async fn add(&self, client: &Client, clients: &[Client], cases: &mut Vec<Case>) {
        let (oidc, subject) = match client.certificate {
            Some(_) => (&self.mutual, "client-credentials-tls"),
            None => (&self.plain, "client-credentials-basic"),
        };
        let (machine, web) = (format!("machine-{}", client.id), format!("web-{}", client.id));
        let own = |key: &str| json!({"name": "", "key": key});
        let mut add = |id: &str, grant: &'static str, spec: Value, data: Value| {
            cases.push(self.case(oidc, client, id, grant, spec, data));
        };
        let seed = oidc.seed(&web).await;
        add(&web, "refreshToken", json!({"secretRef": own("seed")}), json!({"seed": seed}));
        // A server knows a client with no authentication by its name alone, which is no proof for a grant of the client's own.
        if client.authentication != "none" {
            add(&machine, "clientCredentials", json!({}), json!({}));
        }
        if !client.is_first() {
            return;
        }
        if client.authentication != "none" {
            add(&machine, "custom", json!({"grantType": "client_credentials"}), json!({}));
        }
        let password = json!({"usernameSecretRef": own("username"), "passwordSecretRef": own("password")});
        add(&web, "password", password, json!({"username": "robot", "password": "robot-password"}));
        let exchange = json!({
            "subjectToken": {"credentialRef": {"name": subject}},
            "subjectTokenType": "urn:ietf:params:oauth:token-type:access_token",
        });
        add(&machine, "tokenExchange", exchange, json!({}));
        let signer = clients.iter().find(|client| client.id == ISSUER).unwrap();
        let bearer = json!({
            "privateKeySecretRef": own("assertion-key"), "keyID": "2026-11", "issuer": format!("machine-{ISSUER}"), "subject": "robot",
        });
        add(&machine, "jwtBearer", bearer, json!({"assertion-key": signer.secret["key"]}));
        add(&web, "authorizationCode", json!({}), json!({}));
        add(&web, "deviceCode", json!({}), json!({}));
    }

    /// `name`s that are empty in `spec` are of the case's own Secret, which holds `data` and the client's own.
    fn case(&self, oidc: &Oidc, client: &Client, id: &str, grant: &'static str, spec: Value, data: Value) -> Case {
        let kind: String = grant
            .chars()
            .flat_map(|c| if c.is_uppercase() { vec!['-', c.to_ascii_lowercase()] } else { vec![c] })
            .collect();
        let name = format!("{kind}-{}", client.id);
        let mut own = client.spec.clone();
        own["id"] = id.into();
        let mut grants = json!({});
        grants[grant] = spec;
        for fields in [&mut own, &mut grants[grant]] {
            let references =
                fields.as_object_mut().unwrap().iter_mut().filter(|(field, _)| field.ends_with("ecretRef"));
            references.for_each(|(_, reference)| reference["name"] = name.clone().into());
        }
        let mut held = client.secret.clone();
        held.extend(data.as_object().unwrap().clone());
        let consent = match grant {
            "authorizationCode" => Some(Consent::Code),
            "deviceCode" => Some(Consent::Device),
            _ => None,
        };
        let mut provider = match consent {
            Some(_) => json!({
                "issuer": oidc.issuer,
                "authorizationRequest": {"parameters": [{"name": "prompt", "value": "consent"}]},
            }),
            None => json!({"endpoints": {"token": oidc.token_url()}}),
        };
        let mut manifest = String::new();
        if let Some(certificate) = &client.certificate {
            let tls = format!("{name}-tls");
            manifest = certificate.secret(&tls) + "---\n";
            own["certificateSecretRef"]["name"] = tls.into();
            provider["tls"] = json!({"caSecretRef": {"name": name, "key": "ca"}});
            held.insert("ca".to_owned(), self.servers.pem().into());
        }
        let scopes = if consent.is_some() { json!(["openid", "offline_access"]) } else { json!([]) };
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": held});
        let credential = json!({
            "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "metadata": {"name": name},
            "spec": {"provider": provider, "client": own, "grant": grants, "scopes": scopes},
        });
        Case {
            grant,
            authentication: client.authentication.to_owned(),
            encoding: "Form",
            server: Server::OidcProvider,
            name,
            manifest: format!("{manifest}{secret}\n---\n{credential}\n"),
            consent,
            ca: client.certificate.as_ref().map(|_| self.ca.clone()),
        }
    }
}
