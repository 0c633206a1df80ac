//! The connection below hyper: keeps the raw bytes of a request (hyper lower-cases header names), and can tear it down.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What has been read since it was last taken. Between two requests of a client that doesn't pipeline, that is one request.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn extend(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }
}

/// A stream that copies what is read from it into `Seen`. With TLS it goes above that: what it sees is plain text.
pub struct Tap<S> {
    stream: S,
    seen: Seen,
}

impl<S> Tap<S> {
    pub fn new(stream: S, seen: Seen) -> Self {
        Self { stream, seen }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.seen.extend(&buffer.filled()[before..]);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A second handle on a connection's socket, while hyper holds the first. To be dropped after it.
pub struct Socket(TcpStream);

impl Socket {
    pub fn of(stream: &TcpStream) -> io::Result<Self> {
        let twin = stream.as_fd().try_clone_to_owned()?;
        TcpStream::from_std(twin.into()).map(Self)
    }

    /// Past hyper, which has written nothing yet.
    pub async fn write(&self, byte: u8) -> io::Result<()> {
        self.0.writable().await?;
        self.0.try_write(&[byte]).map(drop)
    }

    /// The connection's end will be a RST, and what is not sent yet is lost.
    pub fn reset_when_dropped(&self) -> io::Result<()> {
        self.0.set_zero_linger()
    }
}
