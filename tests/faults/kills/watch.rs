//! What both proxies tell, and the kill: it strikes within the proxy, at the very event that it is aimed at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::aim::{Aim, Seen};
use super::ledger::{Ledger, Progress};
use super::tap;
use crate::support::proxy::{self, Write};

/// The longest that a request or a reply is held up where it may be.
const HOLD_UP: Duration = Duration::from_millis(20);

struct Armed {
    pid: Pid,
    aim: Aim,
}

/// The eyes of one lane.
#[derive(Default)]
pub struct Watch {
    holds_up: bool,
    ledger: Mutex<Ledger>,
    armed: Mutex<Option<Armed>>,
    struck: Mutex<Option<Progress>>,
    told: Notify,
}

impl Watch {
    /// `holds_up`: requests and replies, so that at any moment some are on their way.
    pub fn new(holds_up: bool) -> Self {
        Self { holds_up, ..Self::default() }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills this process when the time has come, which is `patience` from now at the latest. Says how far the attempt had come
    /// that was nearest to a loss.
    pub async fn kill(self: &Arc<Self>, pid: u32, aim: Aim, patience: Duration) -> Progress {
        let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
        let patience = if let Aim::Anywhere(delay) = aim { delay } else { patience };
        *self.armed() = Some(Armed { pid, aim });
        // In vain: what was waited for doesn't come, or there is nothing to wait for.
        if tokio::time::timeout(patience, self.told.notified()).await.is_err() {
            if self.armed().take().is_some() {
                self.strike(pid);
            }
            // Else it is about to strike.
            self.told.notified().await;
        }
        self.struck.lock().unwrap().take().unwrap()
    }

    fn armed(&self) -> MutexGuard<'_, Option<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, pid: Pid) {
        kill_process(pid, Signal::KILL).unwrap();
        let progress = self.ledger().killed();
        *self.struck.lock().unwrap() = Some(progress);
        self.told.notify_one();
    }

    /// Something passes by. False: it gets no further.
    fn sees(self: &Arc<Self>, seen: Seen) -> bool {
        let mut armed = self.armed();
        let Some(Armed { pid, aim }) = armed.as_mut() else { return true };
        let pid = *pid;
        match aim {
            Aim::At { seen: wanted, nth, goes_on } if *wanted == seen => {
                if *nth > 0 {
                    *nth -= 1;
                    return true;
                }
                let goes_on = *goes_on;
                *armed = None;
                drop(armed);
                self.strike(pid);
                goes_on
            }
            Aim::After { seen: wanted, nth, delay } if *wanted == seen => {
                if *nth > 0 {
                    *nth -= 1;
                    return true;
                }
                let (watch, delay) = (self.clone(), *delay);
                *armed = None;
                std::thread::spawn(move || {
                    // The moment is what is random here; nothing is waited for.
                    std::thread::sleep(delay);
                    watch.strike(pid);
                });
                true
            }
            _ => true,
        }
    }
}

/// The `Watch`, as the proxies know it.
pub struct Eyes(pub Arc<Watch>);

impl proxy::Watcher for Eyes {
    fn before(&self, credential: &str, write: Write, body: &[u8]) -> bool {
        match write {
            Write::Intent => {
                let (object, state) = state_in(body);
                let attempt = object["metadata"]["annotations"]["oauth-operator.dev/attempt"].as_str().unwrap();
                let token = sha256(state["refreshToken"].as_str().unwrap());
                self.0.ledger().intends(credential, attempt, token);
            }
            Write::State => {
                let (_, state) = state_in(body);
                let attempt = state["attempt"].as_str().unwrap_or_default();
                self.0.ledger().saves(credential, attempt);
            }
            _ => {}
        }
        self.0.sees(Seen::Before(write))
    }

    fn after(&self, credential: &str, write: Write, body: &[u8], status: u16) -> bool {
        if (200..300).contains(&status) {
            let mut ledger = self.0.ledger();
            match write {
                Write::Intent => ledger.intended(credential),
                Write::State => {
                    let (_, state) = state_in(body);
                    ledger.saved(credential, state["attempt"].as_str().unwrap_or_default());
                }
                Write::Output => ledger.published(credential),
                Write::Status => ledger.reported(credential),
                Write::Removal | Write::ReadBack => {}
            }
        }
        self.0.sees(Seen::After(write))
    }
}

impl tap::Watcher for Eyes {
    fn request(&self, token: &str) -> bool {
        let goes_on = self.0.sees(Seen::Request);
        if goes_on {
            self.0.ledger().sends(token);
        }
        goes_on
    }

    fn reply(&self, token: &str) -> bool {
        self.0.ledger().answered(token);
        self.0.sees(Seen::Reply)
    }

    fn delay(&self) -> Duration {
        if self.0.holds_up { HOLD_UP } else { Duration::ZERO }
    }
}

/// The Secret that a write of the state carries, and the record in it.
fn state_in(body: &[u8]) -> (Value, Value) {
    let object: Value = serde_json::from_slice(body).unwrap();
    let record = STANDARD.decode(object["data"]["state.json"].as_str().unwrap()).unwrap();
    let record = serde_json::from_slice(&record).unwrap();
    (object, record)
}

pub fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
