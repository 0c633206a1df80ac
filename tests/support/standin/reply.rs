//! What is sent back.

use serde_json::Value;

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// No body, and no Content-Type.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// `body` goes out as it is, whatever `content_type` says of it.
    pub fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }.header("content-type", content_type)
    }

    pub fn html(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    /// RFC 6749 section 5.1: a reply that holds a token is not to be stored.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string()).header("cache-control", "no-store")
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A request that the provider turns down: what it says, and why, which it doesn't say.
#[derive(Debug)]
pub struct Refused {
    pub reply: Reply,
    pub why: String,
}

impl Refused {
    pub fn new(reply: Reply, why: impl Into<String>) -> Self {
        Self { reply, why: why.into() }
    }
}
