//! Watches that begin when they are first wanted: of kinds that few installations use.

use std::time::Duration;

use tokio::{sync::watch as signal, time::timeout};

/// How long the first list is waited for.
const LISTED_WITHIN: Duration = Duration::from_secs(10);

/// Whether a watch is wanted, and whether it has listed everything once.
pub struct OnDemand {
    wanted: signal::Sender<bool>,
    listed: signal::Sender<bool>,
}

impl Default for OnDemand {
    fn default() -> Self {
        Self { wanted: signal::channel(false).0, listed: signal::channel(false).0 }
    }
}

impl OnDemand {
    /// Has the watch begin.
    pub fn want(&self) {
        self.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
    }

    /// Returns when the watch is wanted.
    pub async fn wanted(&self) {
        // The sender lives as long as this.
        let _ = self.wanted.subscribe().wait_for(|wanted| *wanted).await;
    }

    /// Everything has been listed once.
    pub fn set_listed(&self) {
        self.listed.send_replace(true);
    }

    /// Has the watch begin, and waits for its first list. False: there is none within ten seconds.
    pub async fn listed(&self) -> bool {
        self.want();
        timeout(LISTED_WITHIN, self.listed.subscribe().wait_for(|listed| *listed)).await.is_ok()
    }
}
