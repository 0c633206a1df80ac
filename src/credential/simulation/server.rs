//! The simulated token server.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    credential::schedule::later,
    oauth::{
        codes::ErrorCode,
        failure::{Failure, Spent},
    },
};

/// How the server answers one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Token,
    Unreachable,
    ServerError(Option<u64>),
    RateLimited(Option<u64>),
    InvalidGrant,
    InvalidClient,
    /// No reply. Whether the server had carried out the request all the same.
    Lost {
        carried_out: bool,
    },
}

/// The token server. One refresh token is good at a time; older ones only within the grace.
#[derive(Clone, Debug, Default)]
pub struct Server {
    pub script: VecDeque<Answer>,
    pub lifetime: Option<Duration>,
    pub grace: Option<Duration>,
    pub good: String,
    pub replaced: BTreeMap<String, Timestamp>,
    pub serial: u64,
}

impl Server {
    pub fn answer(&mut self, token: Option<&str>, now: Timestamp) -> Result<String, Failure> {
        let after = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        let refused = |code| Failure::Refused { code, spent: Spent::No, retry_after: None };
        let answer = self.script.pop_front().unwrap_or(Answer::Token);
        match answer {
            Answer::ServerError(asked) => return Err(Failure::ServerError { retry_after: after(asked) }),
            Answer::RateLimited(asked) => return Err(Failure::RateLimited { retry_after: after(asked) }),
            Answer::InvalidGrant => return Err(refused(ErrorCode::InvalidGrant)),
            Answer::InvalidClient => return Err(refused(ErrorCode::InvalidClient)),
            Answer::Unreachable | Answer::Lost { carried_out: false } => return Err(Failure::Cut),
            Answer::Token | Answer::Lost { carried_out: true } => {}
        }
        if let Some(token) = token {
            let in_grace =
                || self.replaced.get(token).zip(self.grace).is_some_and(|(at, grace)| now < later(*at, grace));
            if token != self.good && !in_grace() {
                return Err(refused(ErrorCode::InvalidGrant));
            }
            self.replaced.entry(token.to_owned()).or_insert(now);
        }
        self.serial += 1;
        self.good = format!("refresh token {}", self.serial);
        match answer {
            Answer::Lost { .. } => Err(Failure::Cut),
            _ => Ok(self.good.clone()),
        }
    }
}
