use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use pkcs8::{PrivateKeyInfoRef, der::Encode, spki::AlgorithmIdentifierRef};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, KeyPair as _, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::json;

use super::*;

/// RFC 7515 appendix A.1 to A.3: what is signed there.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// RFC 7515 appendix A.2.1.
const RSA: &str = r#"{"kty":"RSA",
 "n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
 "e":"AQAB",
 "d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
 "p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
 "q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
 "dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
 "dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
 "qi":"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"}"#;
/// RFC 7515 appendix A.2.1: the signature of `PAYLOAD` by RS256.
const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// RFC 7515 appendix A.3.1.
const EC: &str = r#"{"kty":"EC", "crv":"P-256",
 "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
 "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

/// RFC 8037 appendix A.1.
const ED: &str = r#"{"kty":"OKP","crv":"Ed25519",
 "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn member(jwk: &str, name: &str) -> Vec<u8> {
    let jwk: Value = serde_json::from_str(jwk).unwrap();
    decoded(jwk[name].as_str().unwrap())
}

fn signature(key: &SigningKey, header: &str, algorithm: Algorithm) -> String {
    install_provider();
    let message = format!("{}.{PAYLOAD}", URL_SAFE_NO_PAD.encode(header));
    jsonwebtoken::crypto::sign(message.as_bytes(), key.encoding(), algorithm).unwrap()
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn pkcs1() -> Vec<u8> {
    SigningKey::parse(RSA, None).unwrap().encoding().as_bytes().to_vec()
}

fn pkcs8(oid: &str, curve: Option<&str>, private: &[u8]) -> Vec<u8> {
    let curve = curve.map(|oid| pkcs8::ObjectIdentifier::new(oid).unwrap());
    let algorithm = AlgorithmIdentifierRef {
        oid: pkcs8::ObjectIdentifier::new(oid).unwrap(),
        parameters: curve.as_ref().map(Into::into),
    };
    let key = pkcs8::der::asn1::OctetStringRef::new(private).unwrap();
    PrivateKeyInfoRef::new(algorithm, key).to_der().unwrap()
}

/// RFC 5915, with or without the curve and the public point.
fn ec_private_key(curve: Option<&str>, public: bool) -> Vec<u8> {
    let point = [vec![4], member(EC, "x"), member(EC, "y")].concat();
    let parameters = curve.map(|oid| sec1::EcParameters::NamedCurve(pkcs8::ObjectIdentifier::new(oid).unwrap()));
    sec1::EcPrivateKey { private_key: &member(EC, "d"), parameters, public_key: public.then_some(&point) }
        .to_der()
        .unwrap()
}

const P256: &str = "1.2.840.10045.3.1.7";

#[test]
fn the_rfcs_own_signatures() {
    // RFC 7515 appendix A.1.
    let secret = decoded("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
    let signed =
        signature(&SigningKey::of_secret(&secret), "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}", Algorithm::HS256);
    assert_eq!(signed, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    // Appendix A.2.
    let rsa = SigningKey::parse(RSA, None).unwrap();
    assert_eq!(signature(&rsa, r#"{"alg":"RS256"}"#, Algorithm::RS256), RSA_SIGNATURE);
    // Appendix A.3: such a signature differs each time.
    let ec = SigningKey::parse(EC, None).unwrap();
    let signed = signature(&ec, r#"{"alg":"ES256"}"#, Algorithm::ES256);
    let point = [vec![4], member(EC, "x"), member(EC, "y")].concat();
    verified(&ECDSA_P256_SHA256_FIXED, &point, &format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}"), &signed);
    assert_ne!(signed, signature(&ec, r#"{"alg":"ES256"}"#, Algorithm::ES256));
    // RFC 8037 appendix A.4.
    let ed = SigningKey::parse(ED, None).unwrap();
    let signed = jsonwebtoken::crypto::sign(
        b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        ed.encoding(),
        Algorithm::EdDSA,
    );
    assert_eq!(
        signed.unwrap(),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

fn verified(algorithm: &'static dyn VerificationAlgorithm, public: &[u8], message: &str, signature: &str) {
    UnparsedPublicKey::new(algorithm, public).verify(message.as_bytes(), &decoded(signature)).unwrap();
}

#[test]
fn every_form_of_a_key() {
    let rsa = "1.2.840.113549.1.1.1";
    let seed = [&[4, 32][..], &member(ED, "d")].concat();
    for (text, kind) in [
        (RSA.to_owned(), KeyKind::Rsa),
        (pem("RSA PRIVATE KEY", &pkcs1()), KeyKind::Rsa),
        (pem("PRIVATE KEY", &pkcs8(rsa, None, &pkcs1())), KeyKind::Rsa),
        (pem("PRIVATE KEY", &pkcs8("1.2.840.113549.1.1.10", None, &pkcs1())), KeyKind::RsaPss),
        (EC.to_owned(), KeyKind::P256),
        (pem("EC PRIVATE KEY", &ec_private_key(Some(P256), true)), KeyKind::P256),
        (pem("PRIVATE KEY", &pkcs8("1.2.840.10045.2.1", Some(P256), &ec_private_key(None, true))), KeyKind::P256),
        (ED.to_owned(), KeyKind::Ed25519),
        (pem("PRIVATE KEY", &pkcs8("1.3.101.112", None, &seed)), KeyKind::Ed25519),
        (rcgen_pem(&rcgen::PKCS_ECDSA_P256_SHA256), KeyKind::P256),
        (rcgen_pem(&rcgen::PKCS_ECDSA_P384_SHA384), KeyKind::P384),
        (rcgen_pem(&rcgen::PKCS_ED25519), KeyKind::Ed25519),
    ] {
        let key = SigningKey::parse(&format!("\n{text}\n"), None).unwrap();
        assert_eq!(format!("{key:?}"), format!("SigningKey({kind:?})"), "{text}");
        if kind == KeyKind::Rsa {
            assert_eq!(signature(&key, r#"{"alg":"RS256"}"#, Algorithm::RS256), RSA_SIGNATURE);
        }
    }
}

fn rcgen_pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
    rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem()
}

#[test]
fn keys_that_cannot_sign_say_why() {
    let without = |jwk: &str, name: &str| {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        jwk.as_object_mut().unwrap().remove(name);
        jwk.to_string()
    };
    let with = |jwk: &str, name: &str, value: &str| {
        let mut jwk: Value = serde_json::from_str(jwk).unwrap();
        jwk[name] = value.into();
        jwk.to_string()
    };
    // RFC 7515 appendix A.4: ES512 is not among what can be had.
    let p521 = r#"{"kty":"EC","crv":"P-521","x":"AQ","y":"AQ","d":"AQ"}"#;
    let oct = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#;
    let set = format!(r#"{{"keys":[{RSA},{EC}]}}"#);
    let small = r#"{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ","p":"AQ","q":"AQ","dp":"AQ","dq":"AQ","qi":"AQ"}"#;
    for (text, id, expected) in [
        ("", None, KeyError::Unreadable),
        ("secret", None, KeyError::Unreadable),
        ("{", None, KeyError::Unreadable),
        (&with(EC, "d", "*"), None, KeyError::Unreadable),
        (&pem("PRIVATE KEY", b"no DER"), None, KeyError::Unreadable),
        (&pem("PUBLIC KEY", b"anything"), None, KeyError::NotPrivate),
        (&pem("CERTIFICATE", b"anything"), None, KeyError::NotPrivate),
        (&without(RSA, "d"), None, KeyError::NotPrivate),
        (&pem("ENCRYPTED PRIVATE KEY", b"anything"), None, KeyError::Encrypted),
        (&pem("PRIVATE KEY", &pkcs8("1.3.101.113", None, b"Ed448")), None, KeyError::Unsupported),
        (p521, None, KeyError::Unsupported),
        (oct, None, KeyError::Unsupported),
        (&without(RSA, "qi"), None, KeyError::Incomplete),
        (&pem("EC PRIVATE KEY", &ec_private_key(Some(P256), false)), None, KeyError::Incomplete),
        (&with(EC, "d", "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LA"), None, KeyError::Rejected),
        (&with(ED, "x", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"), None, KeyError::Rejected),
        (small, None, KeyError::Rejected),
        (&set, None, KeyError::Ambiguous),
        (&set, Some("a"), KeyError::NoSuchKey),
        (&format!(r#"{{"keys":[{}]}}"#, without(EC, "d")), None, KeyError::NotPrivate),
    ] {
        assert_eq!(SigningKey::parse(text, id).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn a_set_is_searched_by_key_id() {
    let named = |jwk: &str, id: &str| jwk.replacen('{', &format!(r#"{{"kid":"{id}","#), 1);
    let set = format!(r#"{{"keys":[{},{}]}}"#, named(RSA, "a"), named(EC, "b"));
    for (id, kind) in [("a", "SigningKey(Rsa)"), ("b", "SigningKey(P256)")] {
        let key = SigningKey::parse(&set, Some(id)).unwrap();
        assert_eq!((format!("{key:?}").as_str(), key.id()), (kind, Some(id)));
    }
}

#[test]
fn algorithms_follow_the_key() {
    let rsa = |with: &str| SigningKey::parse(&RSA.replacen('{', &format!("{{{with}"), 1), None).unwrap();
    let ec = SigningKey::parse(EC, None).unwrap();
    use SigningAlgorithm as S;
    for (key, wanted, expected) in [
        (&rsa(""), None, Ok(Algorithm::RS256)),
        (&rsa(r#""alg":"PS384","#), None, Ok(Algorithm::PS384)),
        (&rsa(r#""alg":"PS384","#), Some(S::RS512), Ok(Algorithm::RS512)),
        (&rsa(r#""alg":"RSA-OAEP","#), None, Ok(Algorithm::RS256)),
        (&rsa(""), Some(S::ES256), Err(KeyError::Mismatch(KeyKind::Rsa))),
        (&ec, None, Ok(Algorithm::ES256)),
        (&ec, Some(S::ES384), Err(KeyError::Mismatch(KeyKind::P256))),
        (&ec, Some(S::HS256), Err(KeyError::Mismatch(KeyKind::P256))),
        (&SigningKey::parse(ED, None).unwrap(), None, Ok(Algorithm::EdDSA)),
        (&SigningKey::of_secret(b"s"), None, Ok(Algorithm::HS256)),
        (&SigningKey::of_secret(b"s"), Some(S::HS512), Ok(Algorithm::HS512)),
        (&SigningKey::of_secret(b"s"), Some(S::EdDSA), Err(KeyError::Mismatch(KeyKind::Secret))),
    ] {
        assert_eq!(key.algorithm(wanted), expected, "{key:?} {wanted:?}");
    }
}

fn assertion() -> Assertion {
    Assertion {
        issuer: "https://jwt-idp.example.com".into(),
        subject: "mailto:mike@example.com".into(),
        audience: "https://jwt-rp.example.net".into(),
        lifetime: Duration::from_secs(1300819380 - 1300815780),
        claims: Map::new(),
        key_id: None,
        certificate_thumbprint: None,
    }
}

fn parts(token: &SecretText) -> [Value; 2] {
    let mut parts = token.expose().split('.');
    [0, 1].map(|_| serde_json::from_slice(&decoded(parts.next().unwrap())).unwrap())
}

/// RFC 7523 section 4: its example, and what is always there besides.
#[test]
fn an_assertion_says_what_the_rfcs_example_says() {
    let claims = json!({"nbf": 1300815780, "http://claims.example.com/member": true});
    let said = Assertion {
        claims: claims.as_object().unwrap().clone(),
        key_id: Some("16".into()),
        certificate_thumbprint: Some("thumb".into()),
        ..assertion()
    };
    let now = Timestamp::from_second(1300815780).unwrap();
    let token = said.sign(&SigningKey::parse(EC, None).unwrap(), None, now, "unique").unwrap();
    let [header, claims] = parts(&token);
    assert_eq!(header, json!({"alg": "ES256", "kid": "16", "typ": "JWT", "x5t#S256": "thumb"}));
    assert_eq!(
        claims,
        json!({
            "iss": "https://jwt-idp.example.com", "sub": "mailto:mike@example.com", "aud": "https://jwt-rp.example.net",
            "nbf": 1300815780, "iat": 1300815780, "exp": 1300819380, "jti": "unique",
            "http://claims.example.com/member": true,
        })
    );
    assert!(!format!("{said:?} {token:?}").contains("mike"));
}

#[test]
fn the_key_id_is_the_specs_or_the_keys_own() {
    let jwk = EC.replacen('{', r#"{"kid":"own","#, 1);
    let key = SigningKey::parse(&jwk, None).unwrap();
    for (given, expected) in [(None, "own"), (Some("given".to_owned()), "given")] {
        let token = Assertion { key_id: given, ..assertion() }.sign(&key, None, Timestamp::UNIX_EPOCH, "a").unwrap();
        assert_eq!(parts(&token)[0]["kid"], expected);
    }
}

#[test]
fn every_algorithm_signs() {
    use SigningAlgorithm as S;
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let rsa = RsaKeyPair::from_der(&pkcs1()).unwrap().public_key().as_ref().to_vec();
    let cases: [(S, String, &'static dyn VerificationAlgorithm, Vec<u8>); 7] = [
        (S::RS384, RSA.into(), &RSA_PKCS1_2048_8192_SHA384, rsa.clone()),
        (S::RS512, RSA.into(), &RSA_PKCS1_2048_8192_SHA512, rsa.clone()),
        (S::PS256, RSA.into(), &RSA_PSS_2048_8192_SHA256, rsa.clone()),
        (S::PS384, RSA.into(), &RSA_PSS_2048_8192_SHA384, rsa.clone()),
        (S::PS512, RSA.into(), &RSA_PSS_2048_8192_SHA512, rsa),
        (S::ES384, p384.serialize_pem(), &ECDSA_P384_SHA384_FIXED, p384.public_key_raw().to_vec()),
        (S::EdDSA, ED.into(), &ED25519, member(ED, "x")),
    ];
    for (algorithm, key, verification, public) in cases {
        let key = SigningKey::parse(&key, None).unwrap();
        let token = assertion().sign(&key, Some(algorithm), Timestamp::UNIX_EPOCH, "a").unwrap();
        let (message, signature) = token.expose().rsplit_once('.').unwrap();
        verified(verification, &public, message, signature);
        assert_eq!(parts(&token)[0]["alg"], format!("{algorithm:?}"));
    }
}
