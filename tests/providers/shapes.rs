//! The encodings that no real server at hand takes, each with the client authentications that they change, against the stand-in.

use serde_json::{Value, json};

use crate::matrix::{Case, Server};
use crate::support::standin::{Carried, Proof, Shaped, Standin};

/// The stand-ins, one a shape, and the cases.
pub async fn cases() -> (Vec<Standin>, Vec<Case>) {
    let (mut standins, mut cases) = (Vec::new(), Vec::new());
    for (carried, encoding) in [
        (Carried::Form, "Form"),
        (Carried::Json, "JSON"),
        (Carried::Multipart, "Multipart"),
        (Carried::Query, "Query"),
        (Carried::Get, "GET"),
    ] {
        for (proof, authentication) in [
            (Proof::Post, "client_secret_post"),
            (Proof::BasicForm, "client_secret_basic"),
            (Proof::BasicRaw, "client_secret_basic, Raw"),
            (Proof::Public, "none"),
        ] {
            // The others run against real servers.
            if carried == Carried::Form && proof != Proof::BasicRaw {
                continue;
            }
            let shaped = Shaped::new(carried, proof);
            let standin = Standin::start(shaped.clone()).await;
            let at = (encoding, authentication);
            cases.extend(grants(&standin, proof).into_iter().map(|grant| case(&standin, &shaped, at, grant)));
            standins.push(standin);
        }
    }
    (standins, cases)
}

/// Name, spec and what its Secret holds.
fn grants(standin: &Standin, proof: Proof) -> Vec<(&'static str, Value, Value)> {
    let own = |key: &str| json!({"name": "", "key": key});
    let password = json!({"usernameSecretRef": own("username"), "passwordSecretRef": own("password")});
    let mut grants = vec![
        ("refreshToken", json!({"secretRef": own("seed")}), json!({"seed": standin.seed()})),
        ("password", password, json!({"username": "alice", "password": "alice's password"})),
    ];
    if proof != Proof::Public {
        let exchange = json!({
            "subjectToken": {"secretRef": own("subject")}, "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
        });
        grants.push(("clientCredentials", json!({}), json!({})));
        grants.push(("custom", json!({"grantType": "account_credentials"}), json!({})));
        grants.push(("tokenExchange", exchange, json!({"subject": "a subject's token"})));
    }
    grants
}

fn case(
    standin: &Standin,
    shaped: &Shaped,
    (encoding, authentication): (&'static str, &str),
    (grant, spec, data): (&'static str, Value, Value),
) -> Case {
    let name = format!("{encoding}-{:?}-{grant}", shaped.proof).to_lowercase();
    let request = match shaped.carried {
        Carried::Get => json!({"method": "GET"}),
        _ => json!({"encoding": encoding}),
    };
    let mut client = json!({"id": shaped.client_id, "authentication": authentication.trim_end_matches(", Raw")});
    if shaped.proof != Proof::Public {
        client["secretRef"] = json!({"name": name, "key": "client_secret"});
    }
    if shaped.proof == Proof::BasicRaw {
        client["basicEncoding"] = "Raw".into();
    }
    let mut grants = json!({});
    grants[grant] = spec;
    let text = grants.to_string().replace(r#""name":"""#, &format!(r#""name":"{name}""#));
    let grants: Value = serde_json::from_str(&text).unwrap();
    let mut data = data;
    data["client_secret"] = shaped.client_secret.clone().into();
    let mut fields = json!({
        "provider": {"endpoints": {"token": standin.token_url()}, "tokenRequest": request},
        "client": client, "grant": grants, "scopes": ["read", "write"],
    });
    if grant == "custom" {
        fields["parameters"] = json!([{"name": "account_id", "value": "7"}]);
    }
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
    let credential = json!({
        "apiVersion": "oauth-operator.dev/v1alpha1", "kind": "OAuthCredential", "metadata": {"name": name}, "spec": fields,
    });
    Case {
        grant,
        authentication: authentication.to_owned(),
        encoding,
        server: Server::StandIn,
        name,
        manifest: format!("{secret}\n---\n{credential}\n"),
        consent: None,
        ca: None,
    }
}
