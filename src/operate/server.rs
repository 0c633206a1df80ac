//! A small HTTP/1.1 server, with limits on everything that a peer can take: connections, headers, time. What is answered is its
//! users' business.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{certificate::Certificate, shutdown::Shutdown};

/// Connections at once. One that says nothing is dropped after `READ_HEADERS`, so that nobody waits longer than that.
const CONNECTIONS: usize = 128;
/// For a request's headers, and between two requests on one connection.
const READ_HEADERS: Duration = Duration::from_secs(5);
/// For a connection as a whole, so that one whose peer reads nothing ends too.
const CONNECTION: Duration = Duration::from_secs(120);
const HEADERS: usize = 64;
const BUFFER: usize = 32 * 1024;

/// Serves `answer` on `listener` until `stop`, in plain HTTP.
pub fn serve<A, F>(listener: TcpListener, answer: A, stop: Shutdown) -> JoinHandle<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    serve_as(listener, None, answer, stop)
}

/// The same by TLS, where there is a certificate.
pub fn serve_as<A, F>(
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    answer: A,
    stop: Shutdown,
) -> JoinHandle<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::spawn(async move {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        // An answer isn't kept back until the one before has been acknowledged. Without it they are slower, and right.
                        drop(stream.set_nodelay(true));
                        let (certificate, answer, stop) = (certificate.clone(), answer.clone(), stop.clone());
                        tokio::spawn(async move {
                            let Some(certificate) = certificate else { return converse(stream, answer, stop, permit).await };
                            let secured = TlsAcceptor::from(certificate.config()).accept(stream);
                            if let Ok(Ok(stream)) = timeout(READ_HEADERS, secured).await {
                                converse(stream, answer, stop, permit).await;
                            }
                        });
                    }
                    Err(error) => pause_after(&error).await,
                },
                () = stop.wait() => return,
            }
        }
    })
}

/// A connection that its peer gave up is no reason to wait; the lack of file descriptors is.
async fn pause_after(error: &io::Error) {
    let theirs = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !theirs.contains(&error.kind()) {
        tracing::warn!(%error, "a connection can't be accepted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn converse<S, A, F>(stream: S, answer: A, stop: Shutdown, _permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_HEADERS)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let limit = tokio::time::sleep(CONNECTION);
    // How a connection ends concerns its peer alone.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = limit => {}
        () = stop.wait() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(READ_HEADERS, connection).await;
}
