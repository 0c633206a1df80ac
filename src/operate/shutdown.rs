//! SIGTERM and SIGINT, as a handle that any task may ask or wait on.
//!
//! Only the request is here. Who must finish what before the process ends is `main`'s affair.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Says whether the process was asked to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

/// Requests the shutdown of everyone who holds the `Shutdown` it came with. Dropping it requests it too, so that
/// nobody waits for a request that can't come any more.
#[derive(Debug)]
pub struct Trigger {
    requested: watch::Sender<bool>,
}

impl Trigger {
    /// Requests the shutdown. A second call changes nothing.
    pub fn request(&self) {
        self.requested.send_replace(true);
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        self.request();
    }
}

impl Shutdown {
    /// A shutdown requested by the returned trigger alone.
    pub fn by_hand() -> (Trigger, Self) {
        let (sender, requested) = watch::channel(false);
        (Trigger { requested: sender }, Self { requested })
    }

    /// A shutdown requested by SIGTERM or SIGINT. Further signals are logged and obey nothing: the process ends when
    /// its work allows, since it may hold a reply that isn't saved yet.
    ///
    /// # Errors
    /// The signal handlers can't be installed. Needs a tokio runtime.
    pub fn on_signal() -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (trigger, shutdown) = Self::by_hand();
        tokio::spawn(listen(terminate, interrupt, trigger));
        Ok(shutdown)
    }

    /// Whether it was requested.
    pub fn requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Returns once it is requested.
    pub async fn wait(&self) {
        // An error means that the trigger is gone, and a trigger requests as it goes.
        let _ = self.requested.clone().wait_for(|requested| *requested).await;
    }
}

async fn listen(mut terminate: Signal, mut interrupt: Signal, trigger: Trigger) {
    loop {
        let name = tokio::select! {
            Some(()) = terminate.recv() => "SIGTERM",
            Some(()) = interrupt.recv() => "SIGINT",
            else => return,
        };
        tracing::info!(signal = name, "shutting down");
        trigger.request();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_reaches_every_clone() {
        let (trigger, shutdown) = Shutdown::by_hand();
        let clone = shutdown.clone();
        assert!(!clone.requested());
        trigger.request();
        clone.wait().await;
        assert!(shutdown.requested());
    }

    #[tokio::test]
    async fn a_dropped_trigger_requests() {
        let (trigger, shutdown) = Shutdown::by_hand();
        drop(trigger);
        shutdown.wait().await;
        assert!(shutdown.requested());
    }
}
