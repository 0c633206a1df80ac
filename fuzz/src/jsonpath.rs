//! JSONPaths of a provider's spec over a reply. An input is a path, a line break, and the reply.

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use oauth_operator::oauth::{
    reply::{ReplyPaths, ReplyRules, ReplyShape},
    transport::MAX_BODY,
};

use super::shown::assert_sentence;

/// The longest path that the schema takes, in characters.
const MAX_PATH: usize = 512;

/// Reads a reply by the path, wherever a path may stand.
pub fn run(input: &[u8]) {
    let Some((path, body)) = std::str::from_utf8(input).ok().and_then(|text| text.split_once('\n')) else { return };
    if path.chars().count() > MAX_PATH || body.len() > MAX_BODY {
        return;
    }
    let here = || Some(path.to_owned());
    for paths in [
        ReplyPaths { access_token: here(), refresh_token: here(), scope: here(), ..ReplyPaths::default() },
        ReplyPaths {
            expires_in: here(),
            expires_at: here(),
            refresh_token_expires_in: here(),
            error: here(),
            success: Some((path.to_owned(), vec!["true".to_owned()])),
            ..ReplyPaths::default()
        },
    ] {
        match ReplyShape::new(&paths, ReplyRules::default()) {
            Ok(shape) => {
                let read = shape.read(StatusCode::OK, &HeaderMap::new(), body.as_bytes(), Timestamp::UNIX_EPOCH);
                if let Err(failure) = read {
                    assert_sentence(&failure.to_string());
                }
            }
            Err(error) => assert_sentence(&error.to_string()),
        }
    }
}
