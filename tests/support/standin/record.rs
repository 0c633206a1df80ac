//! A request as it came over the wire.

use std::time::Instant;

use bytes::Bytes;
use hyper::{Method, Uri};

#[derive(Clone, Debug)]
pub struct Recorded {
    pub at: Instant,
    pub method: String,
    pub path: String,
    /// Without its question mark; None where there is none.
    pub query: Option<String>,
    /// In the order and the case in which they were sent.
    pub headers: Vec<(String, String)>,
    /// Exact bytes, less the framing of a chunked body.
    pub body: Bytes,
    /// Why the stand-in turned it down, for the author of a test: the reply doesn't say.
    pub refused: Option<String>,
}

impl Recorded {
    /// `head` is the raw request line and headers, which hyper has found well-formed.
    pub(super) fn new(method: &Method, uri: &Uri, head: &[u8], body: Bytes) -> Self {
        let head = String::from_utf8_lossy(head);
        let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
        let headers = lines.filter_map(|line| line.split_once(':'));
        Self {
            at: Instant::now(),
            method: method.to_string(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers: headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect(),
            body,
            refused: None,
        }
    }

    /// The header's value, where it was sent exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    pub fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }
}
