//! A time-out for every request to the API server, as kube has none that spares watches.
//!
//! A request that times out may have taken effect.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tower::{BoxError, Layer, Service};

use super::{metrics::Verb, requests::classify};

/// For the API server's answer to anything but a list; of a watch for its headers only.
const ANSWER: Duration = Duration::from_secs(30);
/// For a list with its body: an API server gives up on a request of its own after 60 s.
const LIST: Duration = Duration::from_secs(75);

/// The request had no whole answer in time. Whether a write took effect is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API server gave no whole answer in time")]
pub struct TimedOut;

/// Gives every request an end.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines;

impl<S> Layer<S> for Deadlines {
    type Service = WithDeadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithDeadline { inner }
    }
}

/// What `Deadlines` wraps a service in.
#[derive(Clone, Debug)]
pub struct WithDeadline<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for WithDeadline<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<TimedBody<R>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (verb, _) = classify(&request);
        let end = Instant::now() + if verb == Verb::List { LIST } else { ANSWER };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = timeout_at(end, answer).await.map_err(|_| TimedOut)?.map_err(Into::into)?;
            let end = (verb != Verb::Watch).then(|| Box::pin(sleep_until(end)));
            Ok(response.map(|inner| TimedBody { inner, end }))
        })
    }
}

/// A response's body that fails at its deadline.
#[derive(Debug)]
pub struct TimedBody<R> {
    inner: R,
    end: Option<Pin<Box<Sleep>>>,
}

impl<R> Body for TimedBody<R>
where
    R: Body + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = R::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        // What has arrived counts, even when it is read late.
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        match &mut self.end {
            Some(end) => {
                ready!(end.as_mut().poll(context));
                Poll::Ready(Some(Err(TimedOut.into())))
            }
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, StreamBody};

    use super::*;

    /// A runtime whose clock runs ahead whenever nothing else can.
    fn in_quick_time<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    #[test]
    fn an_answer_that_never_comes_fails() {
        in_quick_time(async {
            let inner = tower::service_fn(|_: Request<()>| pending::<Result<Response<Empty<Bytes>>, Infallible>>());
            let start = Instant::now();
            let result =
                Deadlines.layer(inner).call(Request::put("/api/v1/namespaces/a/secrets/b").body(()).unwrap()).await;
            assert!(result.unwrap_err().is::<TimedOut>());
            assert_eq!(start.elapsed().as_secs(), ANSWER.as_secs());
        });
    }

    #[test]
    fn a_body_that_stalls_fails_but_a_watch_may_be_silent() {
        in_quick_time(async {
            let inner = tower::service_fn(|_: Request<()>| async {
                let silence = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
                Ok::<_, Infallible>(Response::new(StreamBody::new(silence)))
            });
            let mut service = Deadlines.layer(inner);
            let list = service.call(Request::get("/api/v1/secrets").body(()).unwrap()).await.unwrap();
            assert!(list.into_body().collect().await.unwrap_err().is::<TimedOut>());
            let watch = service.call(Request::get("/api/v1/secrets?watch=true").body(()).unwrap()).await.unwrap();
            let hour = tokio::time::timeout(Duration::from_secs(3600), watch.into_body().collect()).await;
            assert!(hour.is_err());
        });
    }
}
