//! What can go wrong with one request, and the body that makes it happen on the wire.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::reply::Reply;

#[derive(Clone, Debug)]
pub enum Fault {
    /// Before the provider has looked at the request: nothing is spent.
    Before(Symptom),
    /// After it has: the token is spent, the next one is issued, and nobody will learn it.
    After(Symptom),
    /// Handled as ever, but the reply travels badly.
    Reply(Delivery),
}

/// What the client sees instead of the reply.
#[derive(Clone, Debug)]
pub enum Symptom {
    /// Nothing, until it gives up.
    Hang,
    /// The connection ends in good order (FIN), with no reply.
    Close,
    /// The connection is torn down (RST), with no reply.
    Reset,
    /// A head that comes one byte at a time, with this pause after each, and never ends. Over plain http only.
    SlowHead(Duration),
    /// Another answer: a status, a proxy's page, HTML with 200.
    Answer(Reply),
}

#[derive(Clone, Copy, Debug)]
pub enum Delivery {
    /// Content-Length promises all of it, half of it comes, the connection ends.
    Truncated,
    /// One byte at a time, with this pause before each.
    Slow(Duration),
    /// That many blanks in front of the JSON: valid, and only a cap on its size can refuse it. `declared`: with a
    /// Content-Length, else chunked.
    Padded { blanks: usize, declared: bool },
}

/// A response body in pieces.
pub struct Pieces {
    left: VecDeque<Bytes>,
    /// Before every piece.
    pause: Duration,
    sleeping: Option<Pin<Box<Sleep>>>,
    /// None: chunked.
    content_length: Option<u64>,
    cut: bool,
}

impl Pieces {
    pub fn whole(body: String) -> Self {
        Self {
            content_length: Some(body.len() as u64),
            left: [Bytes::from(body)].into_iter().filter(|piece| !piece.is_empty()).collect(),
            pause: Duration::ZERO,
            sleeping: None,
            cut: false,
        }
    }

    pub fn delivered(body: String, delivery: Delivery) -> Self {
        match delivery {
            Delivery::Truncated => Self {
                content_length: Some(body.len() as u64),
                // A pause, so that the half is on its way before the connection ends.
                pause: Duration::from_millis(20),
                cut: true,
                ..Self::whole(body[..body.len() / 2].to_owned())
            },
            Delivery::Slow(pause) => {
                let pieces = body.bytes().map(|byte| Bytes::from(vec![byte])).collect();
                Self { left: pieces, pause, ..Self::whole(body) }
            }
            Delivery::Padded { blanks, declared } => {
                let mut padded = Self::whole(" ".repeat(blanks) + &body);
                padded.content_length = padded.content_length.filter(|_| declared);
                padded
            }
        }
    }

    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.pause.is_zero() {
            return Poll::Ready(());
        }
        let pause = self.pause;
        let sleeping = self.sleeping.get_or_insert_with(|| Box::pin(sleep(pause)));
        ready!(sleeping.as_mut().poll(context));
        self.sleeping = None;
        Poll::Ready(())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        ready!(self.poll_pause(context));
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        self.content_length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
