//! The state Secret, and the Consent Secret, as somebody may have altered them. An input is the format of a state, a line break, and
//! JSON: the state, or how far a consent is.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use oauth_operator::secrets::{consent, state};

use super::shown::assert_sentence;

/// Reads what stands there.
pub fn run(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (format, json) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    state(format, json);
    consent(json);
}

fn secret(type_: &str, data: &[(&str, &[u8])]) -> Secret {
    Secret {
        type_: Some(type_.to_owned()),
        data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect()),
        ..Secret::default()
    }
}

fn state(format: &[u8], json: &[u8]) {
    let data: [(&str, &[u8]); 2] = [("format", format), ("state.json", json)];
    assert!(state::read(secret("Opaque", &data)).is_err(), "another's Secret");
    match state::read(secret(state::STATE_TYPE, &data)) {
        Ok(record) => {
            assert_eq!(format, b"1");
            let written = state::write(&record, "a", "b").expect("what was read can be written");
            assert_eq!(state::read(written).as_ref(), Ok(&record), "what is written is what is read");
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
}

fn consent(json: &[u8]) {
    let read = |json: &[u8]| {
        let ticket = [b't'; 22];
        consent::read(secret(consent::CONSENT_TYPE, &[("ticket", &ticket), ("progress.json", json)]))
    };
    match read(json) {
        Ok(mailbox) => {
            let patch = consent::patch(&mailbox.progress, None, "a", "1");
            let written = STANDARD.decode(patch["data"]["progress.json"].as_str().unwrap()).unwrap();
            assert_eq!(read(&written).map(|mailbox| mailbox.progress), Ok(mailbox.progress));
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
}
