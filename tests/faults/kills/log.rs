//! The token server's own log, read as it grows.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::ledger::Micros;

#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    refresh_token_sha256: Option<String>,
    pub status: Option<u16>,
    pub replay: bool,
    pub committed_us: Option<Micros>,
}

pub struct ServerLog {
    file: File,
    read: u64,
    /// By the refresh token's SHA-256.
    pub entries: HashMap<String, Vec<Entry>>,
}

impl ServerLog {
    pub fn open(path: &Path) -> Self {
        Self { file: File::open(path).unwrap(), read: 0, entries: HashMap::new() }
    }

    /// Reads what was written since. A line is there before the client has its reply.
    pub fn catch_up(&mut self) -> &HashMap<String, Vec<Entry>> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(self.read)).unwrap();
        self.file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        self.read += whole.len() as u64;
        for line in whole.lines() {
            let entry: Entry = serde_json::from_str(line).unwrap();
            let token = entry.refresh_token_sha256.clone().unwrap_or_default();
            self.entries.entry(token).or_default().push(entry);
        }
        &self.entries
    }
}
