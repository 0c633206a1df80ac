//! The send fence: a byte stream whose first write asks whether it may, and records that it did.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Io;
use crate::clock::{BootTime, Moment};

/// What became of the fence: it is passed once, or never.
#[derive(Clone, Debug, Default)]
pub(super) struct Passage(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// No byte has come to it.
    #[default]
    Waiting,
    Opened(Opened),
    /// It was closed when the first byte came.
    Refused,
    /// Given up before a byte came.
    Abandoned,
}

/// A passage through the fence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    /// When the clocks were read, by the wall clock.
    pub at: Timestamp,
    /// From there until the first bytes were handed to the kernel.
    pub took: Duration,
}

/// Why not a byte left, nor ever will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    Refused,
    Abandoned,
}

impl Passage {
    /// Gives up waiting for the first byte: whatever the connection's task is doing meanwhile, from now on either some have left,
    /// or none will.
    pub fn settle(&self) -> Result<Opened, Unsent> {
        let mut state = self.state();
        match *state {
            State::Opened(opened) => Ok(opened),
            State::Refused => Err(Unsent::Refused),
            State::Waiting | State::Abandoned => {
                *state = State::Abandoned;
                Err(Unsent::Abandoned)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A byte stream behind a fence.
pub(super) struct Gate {
    io: Box<dyn Io>,
    fence: Box<dyn Fn(Moment) -> bool + Send>,
    passage: Passage,
    /// The fence is passed.
    open: bool,
}

impl Gate {
    pub fn new(io: Box<dyn Io>, fence: impl Fn(Moment) -> bool + Send + 'static) -> (Self, Passage) {
        let passage = Passage::default();
        (Self { io, fence: Box::new(fence), passage: passage.clone(), open: false }, passage)
    }

    /// Reads both clocks as late as can be: the next thing that happens is the write. Where the stream takes nothing yet, they
    /// are read again the next time. A write that fails may have let something out.
    fn pass(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.passage.state();
        if let State::Refused | State::Abandoned = *state {
            return Poll::Ready(Err(closed()));
        }
        let now = Moment::now();
        if !(self.fence)(now) {
            *state = State::Refused;
            return Poll::Ready(Err(closed()));
        }
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes));
        let took = BootTime::now().0.saturating_sub(now.boot.0);
        *state = State::Opened(Opened { at: now.wall, took });
        self.open = true;
        Poll::Ready(written)
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the send fence is closed")
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").field("passage", &self.passage).finish_non_exhaustive()
    }
}

impl AsyncRead for Gate {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.open { Pin::new(&mut self.io).poll_write(cx, bytes) } else { self.pass(cx, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_stream_that_takes_nothing_yet_has_the_clocks_read_again() {
        let (mut near, mut far) = duplex(4);
        near.write_all(b"full").await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let (mut gate, passage) = Gate::new(Box::new(near), move |_| count.fetch_add(1, Ordering::SeqCst) < 2);
        for _ in 0..2 {
            assert!(gate.write(b"more").now_or_never().is_none());
        }
        far.read_exact(&mut [0; 4]).await.unwrap();
        assert!(gate.write(b"more").await.is_err(), "the fence has closed meanwhile");
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert_eq!(passage.settle().unwrap_err(), Unsent::Refused);
        drop(gate);
        let mut out = Vec::new();
        far.read_to_end(&mut out).await.unwrap();
        assert_eq!(out, b"");
    }

    #[tokio::test]
    async fn what_is_given_up_never_leaves() {
        let (near, mut far) = duplex(64);
        let (mut gate, passage) = Gate::new(Box::new(near), |_| true);
        assert_eq!(passage.settle().unwrap_err(), Unsent::Abandoned);
        assert!(gate.write(b"late").await.is_err());
        drop(gate);
        let mut out = Vec::new();
        far.read_to_end(&mut out).await.unwrap();
        assert_eq!(out, b"");
        assert_eq!(passage.settle().unwrap_err(), Unsent::Abandoned);
    }

    #[tokio::test]
    async fn the_fence_is_passed_once() {
        let (near, mut far) = duplex(64);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let (mut gate, passage) = Gate::new(Box::new(near), move |_| count.fetch_add(1, Ordering::SeqCst) == 0);
        gate.write_all(b"one").await.unwrap();
        gate.write_all(b"two").await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(passage.settle().is_ok());
        let mut out = [0; 6];
        far.read_exact(&mut out).await.unwrap();
        assert_eq!(&out, b"onetwo");
    }
}
