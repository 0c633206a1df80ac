//! The send fence: a byte stream whose first write asks whether it may, and records that it did.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Io;
use crate::clock::Moment;

/// What became of the fence.
#[derive(Clone, Debug, Default)]
pub(super) struct Passage(Arc<State>);

#[derive(Debug, Default)]
struct State {
    opened: OnceLock<Timestamp>,
    refused: AtomicBool,
}

impl Passage {
    /// When the first byte was handed on; None: not one was.
    pub fn opened(&self) -> Option<Timestamp> {
        self.0.opened.get().copied()
    }

    /// Whether the fence was closed when the first byte came to it.
    pub fn is_refused(&self) -> bool {
        self.0.refused.load(Ordering::Acquire)
    }
}

/// A byte stream behind a fence.
pub(super) struct Gate {
    io: Box<dyn Io>,
    fence: Box<dyn Fn(Moment) -> bool + Send>,
    passage: Passage,
}

impl Gate {
    pub fn new(io: Box<dyn Io>, fence: impl Fn(Moment) -> bool + Send + 'static) -> (Self, Passage) {
        let passage = Passage::default();
        (Self { io, fence: Box::new(fence), passage: passage.clone() }, passage)
    }

    /// Reads both clocks as late as can be: the next thing that happens is the write.
    fn pass(&self) -> io::Result<()> {
        let state = &self.passage.0;
        if state.opened.get().is_some() {
            return Ok(());
        }
        let now = Moment::now();
        if state.refused.load(Ordering::Acquire) || !(self.fence)(now) {
            state.refused.store(true, Ordering::Release);
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the send fence is closed"));
        }
        state.opened.get_or_init(|| now.wall);
        Ok(())
    }
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
        if let Err(error) = self.pass() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
