//! Servers that mean harm with how they send, not with what: replies without an end, one byte at a time, or packed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header;

use super::*;
use crate::oauth::reply::{ReplyPaths, ReplyRules, ReplyShape};

/// Of what a server sends for ever, the kernel's buffers take some megabytes before it notices that nobody reads.
const MOST_SENT: usize = 32 << 20;

/// A server that answers with `start`, and then sends `piece` again and again, with this pause before each, until the client
/// hangs up. Says how much it sent.
async fn serve_endless(start: &str, piece: &str, pause: Duration) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (start, piece) = (start.to_owned().into_bytes(), piece.to_owned().into_bytes());
    let sent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"refresh_token=r") {
            assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
        }
        let (mut sent, mut next) = (0, start);
        while stream.write_all(&next).await.is_ok() {
            sent += next.len();
            assert!(sent < MOST_SENT, "the client goes on reading");
            next.clone_from(&piece);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        sent
    });
    (address, sent)
}

async fn asked(address: SocketAddr, request_timeout: Duration) -> Result<RawReply, Failure> {
    let url = format!("http://{address}/token");
    let transport = transport(TransportConfig { request_timeout, ..config(&["127.0.0.0/8"]) });
    let connection = transport.connect(&target(&url)).await?;
    connection.send(request(&url), |_| true).await
}

#[tokio::test]
async fn replies_without_an_end() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let kilobyte = "x".repeat(1024);
    for (what, start, piece, expected) in [
        ("body", "HTTP/1.1 200 OK\r\n\r\n", kilobyte.clone(), Failure::Oversized),
        ("chunks", CHUNKED, format!("400\r\n{kilobyte}\r\n"), Failure::Oversized),
        ("tiny chunks", CHUNKED, "1\r\nx\r\n".repeat(256), Failure::Oversized),
        (
            "a promised body",
            "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
            kilobyte.clone(),
            Failure::Oversized,
        ),
        (
            "a chunk's extension",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            kilobyte.clone(),
            Failure::Truncated,
        ),
        (
            "trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "X-A: b\r\n".repeat(128),
            Failure::Truncated,
        ),
        ("one header", "HTTP/1.1 200 OK\r\nX-A: ", kilobyte.clone(), Failure::Oversized),
        ("headers", "HTTP/1.1 200 OK\r\n", "X-A: b\r\n".repeat(128), Failure::Oversized),
        ("the status line", "HTTP/1.1 200 ", kilobyte.clone(), Failure::Oversized),
    ] {
        let (address, sent) = serve_endless(start, &piece, Duration::ZERO).await;
        let failure = asked(address, Duration::from_secs(30)).await.unwrap_err();
        assert_eq!((failure.clone(), failure.spent()), (expected, Spent::Unknown), "{what}");
        sent.await.unwrap();
    }
}

/// Each piece comes soon; the whole is bounded all the same.
#[tokio::test]
async fn replies_that_trickle() {
    let slowly = Duration::from_millis(20);
    for (what, start, piece) in [
        ("body", "HTTP/1.1 200 OK\r\n\r\n{", " "),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"),
        ("a header", "HTTP/1.1 200 OK\r\nX-A: ", "x"),
        ("interim replies", "", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ] {
        let (address, sent) = serve_endless(start, piece, slowly).await;
        let failure = asked(address, Duration::from_millis(400)).await.unwrap_err();
        assert_eq!((failure.clone(), failure.spent()), (Failure::TimedOut, Spent::Unknown), "{what}");
        sent.await.unwrap();
    }
}

/// Packed replies are never asked for, and never unpacked: what is read is what was sent.
#[tokio::test]
async fn packed_replies_stay_packed() {
    // 100,000 blanks and a reply, by gzip.
    let packed = "H4sIAAAAAAAC/+3BsQ2AMAwAsFeqnMEzKIo6VSpD2BC/8waD7TEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACAv3oiq2b3eV9r7jgi4/0ADHvdBLSGAQA=";
    let packed = STANDARD.decode(packed).unwrap();
    for encoding in ["gzip", "deflate", "br, gzip", "identity"] {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", packed.len());
        let server = serve(Some([head.into_bytes(), packed.clone()].concat())).await;
        let got = exchange(&server).await.unwrap();
        assert_eq!(*got.body, packed, "{encoding}");
        assert!(!String::from_utf8(server.received.await.unwrap()).unwrap().to_lowercase().contains("accept-encoding"));
        let shape = ReplyShape::new(&ReplyPaths::default(), ReplyRules::default()).unwrap();
        let read = shape.read(got.status, &got.headers, &got.body, got.sent_at);
        assert_eq!(read, Err(Failure::Unreadable), "{encoding}");
        assert!(got.headers.contains_key(header::CONTENT_ENCODING));
    }
}
