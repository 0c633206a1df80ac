//! What a revocation endpoint's reply means (RFC 7009 section 2.2).

use serde_json::Value;

use super::{
    codes::ErrorCode,
    failure::{self, Failure, Spent},
    transport::RawReply,
};

#[cfg(test)]
mod tests;

/// Whether the token is of no use any more. A token that the server doesn't know is as good as revoked, and so is one of a
/// kind that it doesn't revoke: there is nothing more to be done.
///
/// # Errors
/// How the request failed.
pub fn read(reply: &RawReply) -> Result<(), Failure> {
    if reply.status.is_success() {
        return Ok(());
    }
    let retry_after = failure::retry_after(&reply.headers, reply.sent_at);
    let error = serde_json::from_slice::<Value>(&reply.body).ok();
    let code = error.as_ref().and_then(|error| error.get("error")?.as_str()).and_then(ErrorCode::parse);
    match code {
        Some(ErrorCode::UnsupportedTokenType) => Ok(()),
        Some(code) if reply.status.is_client_error() && reply.status.as_u16() != 429 => {
            Err(Failure::Refused { code, spent: Spent::No, retry_after })
        }
        _ => Err(Failure::of_status(reply.status, retry_after)),
    }
}
