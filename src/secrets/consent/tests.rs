use std::collections::BTreeMap;

use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::Time};
use kube::api::ObjectMeta;

use super::*;

fn secret(type_: &str, data: &[(&str, &[u8])]) -> Secret {
    Secret {
        metadata: ObjectMeta {
            creation_timestamp: Some(Time(Timestamp::from_second(1000).unwrap())),
            ..ObjectMeta::default()
        },
        type_: Some(type_.to_owned()),
        data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect()),
        ..Secret::default()
    }
}

const A_TICKET: &[u8] = b"0123456789abcdefghijkl";

fn progress() -> Progress {
    Progress {
        requests: vec![Request {
            state_hash: "a".into(),
            browser_hash: Some("b".into()),
            verifier: Some(SecretText::new("verifier")),
            nonce: Some("n".into()),
            redirect_uri: Some("https://o.example/oauth/callback".into()),
            binding: Binding { servers: vec!["https://idp.example".into()], client_id: "c".into() },
            made_at: Timestamp::from_second(2000).unwrap(),
        }],
        received: Some(Received {
            state_hash: "a".into(),
            outcome: Ok(SecretText::new("code")),
            at: Timestamp::from_second(3000).unwrap(),
        }),
    }
}

#[test]
fn what_is_written_is_read() {
    let denied = Received { outcome: Err(Refusal::Denied), ..progress().received.unwrap() };
    let unknown = Received { outcome: Err(Refusal::Unknown), ..denied.clone() };
    for received in [progress().received, Some(denied), Some(unknown), None] {
        let progress = Progress { received, ..progress() };
        let patch = patch(&progress, Some("https://idp.example/authorize"), "uid", "7");
        assert_eq!(patch["metadata"], json!({"uid": "uid", "resourceVersion": "7"}));
        let data: BTreeMap<String, String> = serde_json::from_value(patch["data"].clone()).unwrap();
        assert_eq!(STANDARD.decode(&data[AUTHORIZATION_URL]).unwrap(), b"https://idp.example/authorize");
        let json = STANDARD.decode(&data[PROGRESS]).unwrap();
        let read = read(secret(CONSENT_TYPE, &[(TICKET, A_TICKET), (PROGRESS, &json)])).unwrap();
        assert_eq!(read.progress, progress);
        assert!(!format!("{read:?}").contains("verifier\""));
    }
}

#[test]
fn a_creators_secret() {
    let bare = read(secret(CONSENT_TYPE, &[(TICKET, b"0123456789abcdefghijkl\n")])).unwrap();
    assert_eq!(bare.ticket.expose().as_bytes(), A_TICKET);
    assert_eq!((bare.pasted, bare.created_at.as_second()), (None, 1000));
    let pasted = read(secret(CONSENT_TYPE, &[(TICKET, A_TICKET), (RESPONSE, b" abc\n")])).unwrap();
    assert_eq!(pasted.pasted.unwrap().expose(), "abc");
}

#[test]
fn what_is_no_consent_secret() {
    for (secret, error) in [
        (secret("Opaque", &[(TICKET, A_TICKET)]), ConsentError::Type),
        (secret(CONSENT_TYPE, &[]), ConsentError::Ticket),
        (secret(CONSENT_TYPE, &[(TICKET, b"short")]), ConsentError::Ticket),
        (secret(CONSENT_TYPE, &[(TICKET, &[0xff; 40])]), ConsentError::Ticket),
        (secret(CONSENT_TYPE, &[(TICKET, A_TICKET), (PROGRESS, b"{}")]), ConsentError::Unreadable),
        (secret(CONSENT_TYPE, &[(TICKET, A_TICKET), (PROGRESS, b"{\"format\": 2}")]), ConsentError::Unreadable),
    ] {
        assert_eq!(read(secret), Err(error));
    }
}
