//! The clients of the real servers: one for each way to authenticate, and each algorithm of those that sign.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Map, Value, json};

use crate::support::certificates::{Authority, Issued, self_signed};

/// RFC 7515 appendix A.2.1: ring makes no RSA keys.
const RSA: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB","d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ","p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc","q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc","dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0","dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU","qi":"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"}"#;

/// A client of the server, and what a credential says of it.
pub struct Client {
    /// Says what it is, in names too.
    pub id: &'static str,
    /// The row of the matrix.
    pub authentication: &'static str,
    /// As in OpenID Connect Dynamic Client Registration, less its id and grants.
    pub registered: Value,
    /// As in `spec.client`, less its id.
    pub spec: Value,
    /// What its Secret holds.
    pub secret: Map<String, Value>,
    pub certificate: Option<Issued>,
}

impl Client {
    /// Whether it stands for its authentication with every grant; the others differ from one of these in the algorithm alone.
    pub fn is_first(&self) -> bool {
        ["basic", "post", "public", "hs256", "es256", "tls", "self-signed"].contains(&self.id)
    }

    /// Whether it proves itself by an assertion.
    pub fn signs(&self) -> bool {
        self.authentication.ends_with("_jwt")
    }
}

/// One client for each authentication and algorithm.
pub fn all(authority: &Authority) -> Vec<Client> {
    let mut clients = Vec::new();
    let mut add = |id, authentication, registered: Value, spec: Value, secret: Value| {
        let secret = secret.as_object().unwrap().clone();
        clients.push(Client { id, authentication, registered, spec, secret, certificate: None });
    };
    let by_secret = json!({"secretRef": {"key": "secret"}});
    let secret = json!({"secret": "a client secret: with=signs&, long enough for HS512, which takes sixty-four bytes"});
    for (id, method, algorithm) in [
        ("basic", "client_secret_basic", None),
        ("post", "client_secret_post", None),
        ("hs256", "client_secret_jwt", Some("HS256")),
        ("hs384", "client_secret_jwt", Some("HS384")),
        ("hs512", "client_secret_jwt", Some("HS512")),
    ] {
        let mut registered = json!({"token_endpoint_auth_method": method, "client_secret": secret["secret"]});
        let mut spec = by_secret.clone();
        spec["authentication"] = method.into();
        if let Some(algorithm) = algorithm {
            registered["token_endpoint_auth_signing_alg"] = algorithm.into();
            spec["signingAlgorithm"] = algorithm.into();
        }
        add(id, method, registered, spec, secret.clone());
    }
    add("public", "none", json!({"token_endpoint_auth_method": "none"}), json!({"authentication": "none"}), json!({}));

    let rsa: Value = serde_json::from_str(RSA).unwrap();
    let public_rsa = json!({"kty": "RSA", "n": rsa["n"], "e": rsa["e"]});
    let pem = |algorithm| KeyPair::generate_for(algorithm).unwrap();
    let (p256, p384, ed25519) = (pem(&PKCS_ECDSA_P256_SHA256), pem(&PKCS_ECDSA_P384_SHA384), pem(&PKCS_ED25519));
    let (es256, es384, eddsa) = (public_jwk(&p256), public_jwk(&p384), public_jwk(&ed25519));
    for (id, algorithm, public, private) in [
        ("rs256", "RS256", &public_rsa, RSA.to_owned()),
        ("rs384", "RS384", &public_rsa, RSA.to_owned()),
        ("rs512", "RS512", &public_rsa, RSA.to_owned()),
        ("ps256", "PS256", &public_rsa, RSA.to_owned()),
        ("ps384", "PS384", &public_rsa, RSA.to_owned()),
        ("ps512", "PS512", &public_rsa, RSA.to_owned()),
        ("es256", "ES256", &es256, p256.serialize_pem()),
        ("es384", "ES384", &es384, p384.serialize_pem()),
        ("eddsa", "EdDSA", &eddsa, ed25519.serialize_pem()),
    ] {
        let mut public = public.clone();
        public["kid"] = "2026-11".into();
        public["use"] = "sig".into();
        let registered = json!({
            "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public]},
            "token_endpoint_auth_signing_alg": algorithm,
        });
        let spec = json!({
            "authentication": "private_key_jwt", "privateKeySecretRef": {"key": "key"}, "keyID": "2026-11",
            "signingAlgorithm": algorithm,
        });
        add(id, "private_key_jwt", registered, spec, json!({"key": private}));
    }

    let named =
        json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "client.example.com"});
    let own = self_signed("client.example.com");
    let mut key = public_jwk(&own.key);
    key["x5c"] = json!([STANDARD.encode(own.certificate.der())]);
    let known = json!({"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [key]}});
    for (id, method, registered, certificate) in [
        ("tls", "tls_client_auth", named, authority.issue("client.example.com")),
        ("self-signed", "self_signed_tls_client_auth", known, own),
    ] {
        clients.push(Client {
            id,
            authentication: method,
            registered,
            spec: json!({"authentication": method, "certificateSecretRef": {}}),
            secret: Map::new(),
            certificate: Some(certificate),
        });
    }
    // A certificate goes with any authentication: this client's tokens are bound to it (RFC 8705 section 3), and there are none without.
    clients.push(Client {
        id: "bound",
        authentication: "client_secret_post, with a certificate",
        registered: json!({
            "token_endpoint_auth_method": "client_secret_post", "client_secret": secret["secret"],
            "tls_client_certificate_bound_access_tokens": true,
        }),
        spec: json!({"authentication": "client_secret_post", "secretRef": {"key": "secret"}, "certificateSecretRef": {}}),
        secret: secret.as_object().unwrap().clone(),
        certificate: Some(authority.issue("client.example.com")),
    });
    clients
}

fn public_jwk(key: &KeyPair) -> Value {
    let raw = key.public_key_raw();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match raw.len() {
        32 => json!({"kty": "OKP", "crv": "Ed25519", "x": text(raw)}),
        length => {
            let (x, y) = raw[1..].split_at((length - 1) / 2);
            json!({"kty": "EC", "crv": if length == 65 { "P-256" } else { "P-384" }, "x": text(x), "y": text(y)})
        }
    }
}
