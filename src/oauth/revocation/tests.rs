use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::*;
use crate::oauth::failure::Class;

fn answered(status: u16, body: &str) -> Result<(), Failure> {
    read(&RawReply {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.as_bytes().to_vec()),
        sent_at: Timestamp::UNIX_EPOCH,
        fence_to_send: std::time::Duration::ZERO,
    })
}

/// RFC 7009 sections 2.2 and 2.2.1.
#[test]
fn replies_mean_what_the_specification_says() {
    assert_eq!([answered(200, ""), answered(204, ""), answered(200, "anything")], [Ok(()), Ok(()), Ok(())]);
    assert_eq!(answered(400, r#"{"error":"unsupported_token_type"}"#), Ok(()));
    for (status, body, class) in [
        (503, "", Class::Backoff),
        (429, r#"{"error":"invalid_request"}"#, Class::Backoff),
        (401, r#"{"error":"invalid_client"}"#, Class::Hourly),
        (401, "", Class::Hourly),
        (400, r#"{"error":"invalid_request"}"#, Class::Hourly),
    ] {
        let failure = answered(status, body).unwrap_err();
        assert_eq!(failure.class(), class, "{status} {body}");
    }
    assert!(answered(404, "<html>").unwrap_err().sentence_about("the revocation endpoint").contains("URL"));
}
