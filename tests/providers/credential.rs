//! A case as a credential: what one grant of one client says at one server.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::clients::Client;
use crate::matrix::{Case, Consent, Server};

/// Grants of a machine's own.
pub const MACHINES: [&str; 4] = ["clientCredentials", "custom", "tokenExchange", "jwtBearer"];
/// Grants behind which there is a person.
pub const PERSONS: [&str; 4] = ["refreshToken", "password", "authorizationCode", "deviceCode"];
/// Whoever is behind them.
pub const USER: (&str, &str) = ("robot", "robot-password");

/// What cases run against.
pub struct Site {
    pub server: Server,
    /// As in `spec.provider`, for grants that need no page.
    pub provider: Value,
    /// The same, for those where a person consents.
    pub consenting: Value,
    /// Whom the server trusts to sign the assertions of jwtBearer, with the key of `signer`.
    pub issuer: &'static str,
    /// The audience that client assertions need at the device authorization endpoint, where that endpoint itself won't do.
    pub device_audience: Option<String>,
    /// The authority that the server's certificate is from, as PEM and in a file, if that isn't one of the system's.
    pub ca: Option<(String, PathBuf)>,
}

/// What a client asks for.
pub struct Grant<'a> {
    pub client: &'a Client,
    /// As in `spec.grant`.
    pub name: &'static str,
    /// The first refresh token, for `refreshToken`.
    pub seed: Option<String>,
    /// The credential whose token is exchanged, for `tokenExchange`.
    pub subject: &'static str,
}

/// The grants that a client runs: the first one of its authentication all of them.
pub fn grants(client: &Client) -> Vec<&'static str> {
    let mut grants = match client.is_first() {
        true => [MACHINES, PERSONS].concat(),
        false => vec!["clientCredentials", "refreshToken"],
    };
    // A server knows a client with no authentication by its name alone, which is no proof for a grant of the client's own.
    grants.retain(|grant| client.authentication != "none" || !["clientCredentials", "custom"].contains(grant));
    grants
}

/// The name of this client at the server: one for machines, one for people.
pub fn id(client: &Client, grant: &str) -> String {
    let kind = if MACHINES.contains(&grant) { "machine" } else { "web" };
    format!("{kind}-{}", client.id)
}

/// The key that signs the assertions of jwtBearer: the private key, as PEM, of the client `es256`.
pub fn signer(clients: &[Client]) -> &Value {
    &clients.iter().find(|client| client.id == "es256").unwrap().secret["key"]
}

impl Grant<'_> {
    /// As in `spec.grant`, and what its Secret holds. The Secret's name is left empty.
    fn spec(&self, site: &Site, clients: &[Client]) -> (Value, Value) {
        let own = |key: &str| json!({"name": "", "key": key});
        match self.name {
            "custom" => (json!({"grantType": "client_credentials"}), json!({})),
            "refreshToken" => (json!({"secretRef": own("seed")}), json!({"seed": self.seed})),
            "password" => (
                json!({"usernameSecretRef": own("username"), "passwordSecretRef": own("password")}),
                json!({"username": USER.0, "password": USER.1}),
            ),
            "tokenExchange" => {
                let subject = json!({"credentialRef": {"name": self.subject}});
                let access_token = "urn:ietf:params:oauth:token-type:access_token";
                (json!({"subjectToken": subject, "subjectTokenType": access_token}), json!({}))
            }
            "jwtBearer" => {
                let reference = own("assertion-key");
                (
                    json!({"privateKeySecretRef": reference, "keyID": "2026-11", "issuer": site.issuer, "subject": USER.0}),
                    json!({"assertion-key": signer(clients)}),
                )
            }
            _ => (json!({}), json!({})),
        }
    }
}

impl Site {
    pub fn case(&self, grant: &Grant, clients: &[Client]) -> Case {
        let client = grant.client;
        let kind: String = grant
            .name
            .chars()
            .flat_map(|c| if c.is_uppercase() { vec!['-', c.to_ascii_lowercase()] } else { vec![c] })
            .collect();
        let name = format!("{kind}-{}", client.id);
        let mut own = client.spec.clone();
        own["id"] = id(client, grant.name).into();
        if let (Some(audience), "deviceCode", true) = (&self.device_audience, grant.name, client.signs()) {
            own["assertion"] = json!({"audience": audience});
        }
        let (spec, data) = grant.spec(self, clients);
        let mut grants = json!({});
        grants[grant.name] = spec;
        for fields in [&mut own, &mut grants[grant.name]] {
            let references =
                fields.as_object_mut().unwrap().iter_mut().filter(|(field, _)| field.ends_with("ecretRef"));
            references.for_each(|(_, reference)| reference["name"] = name.clone().into());
        }
        let mut held = client.secret.clone();
        held.extend(data.as_object().unwrap().clone());
        let consent = match grant.name {
            "authorizationCode" => Some(Consent::Code),
            "deviceCode" => Some(Consent::Device),
            _ => None,
        };
        let mut provider = if consent.is_some() { &self.consenting } else { &self.provider }.clone();
        let mut manifest = String::new();
        if let Some(certificate) = &client.certificate {
            let tls = format!("{name}-tls");
            manifest = certificate.secret(&tls) + "---\n";
            own["certificateSecretRef"]["name"] = tls.into();
        }
        if let Some((pem, _)) = &self.ca {
            provider["tls"] = json!({"caSecretRef": {"name": name, "key": "ca"}});
            held.insert("ca".to_owned(), pem.clone().into());
        }
        let scopes = if consent.is_some() { json!(["openid", "offline_access"]) } else { json!([]) };
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": held});
        let credential = json!({
            "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "metadata": {"name": name},
            "spec": {"provider": provider, "client": own, "grant": grants, "scopes": scopes},
        });
        Case {
            grant: grant.name,
            authentication: client.authentication.to_owned(),
            encoding: "Form",
            server: self.server,
            name,
            manifest: format!("{manifest}{secret}\n---\n{credential}\n"),
            consent,
            ca: self.ca.as_ref().map(|(_, file)| file.clone()),
        }
    }
}
