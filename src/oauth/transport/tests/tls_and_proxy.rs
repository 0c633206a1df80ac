//! TLS with a certificate authority of the test's own, and the egress proxy.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

/// Answers every connection; says of each whether its TLS session was resumed.
async fn serve_tls(
    authority: &Authority,
    name: &str,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<(bool, Option<Vec<u8>>)>) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority.issuer).unwrap();
    let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let session = stream.get_ref().1;
            let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            let _ = sender.send((resumed, session.alpn_protocol().map(<[u8]>::to_vec)));
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&reply("200 OK", "{}").unwrap()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn tls_trusts_who_it_is_told_to() {
    let (ours, other) = (authority(), authority());
    let (address, mut seen) = serve_tls(&ours, "id.example").await;
    let port = address.port();
    let resolver = names(&[("id.example", &["127.0.0.1"]), ("wrong.example", &["127.0.0.1"])]);
    let with = |config| Transport::with_resolver(config, Arc::<Names>::clone(&resolver)).unwrap();
    let system = with(config(&["127.0.0.0/8"]));
    let own = with(TransportConfig { ca_files: vec![ours.pem.clone().into_bytes()], ..config(&["127.0.0.0/8"]) });
    let roots = |authority: &Authority| Some(Arc::new(Roots::parse(authority.pem.as_bytes()).unwrap()));
    let to = |host: &str, ca| Target { ca, ..target(&format!("https://{host}:{port}/")) };
    let untrusted = Some(Failure::NotSent(NotSent::Certificate));
    for (transport, target, expected) in [
        (&system, to("id.example", None), &untrusted),
        (&system, to("id.example", roots(&other)), &untrusted),
        (&system, to("wrong.example", roots(&ours)), &untrusted),
        (&own, to("id.example", roots(&other)), &untrusted),
        (&system, to("id.example", roots(&ours)), &None),
        (&system, to("id.example.", roots(&ours)), &Some(Failure::NotSent(NotSent::Resolve))),
        (&own, to("id.example", None), &None),
    ] {
        assert_eq!(transport.connect(&target).await.err(), *expected, "{target:?}");
    }
    // Of the two that were trusted.
    for _ in 0..2 {
        assert!(seen.recv().await.is_some());
    }

    let target = to("id.example", roots(&ours));
    for resumed in [false, true] {
        let connection = system.connect(&target).await.unwrap();
        let got = connection.send(request(target.url.as_str()), |_| true).await.unwrap();
        assert_eq!(got.body.as_slice(), b"{}");
        assert_eq!(seen.recv().await, Some((resumed, Some(b"http/1.1".to_vec()))));
    }
    let connection = system.connect(&target).await.unwrap();
    assert_eq!(connection.send(request(target.url.as_str()), |_| false).await.unwrap_err(), Failure::FenceClosed);
}

#[tokio::test]
async fn what_is_no_tls_fails_before_anything_is_sent() {
    let server = serve(Some(Vec::new())).await;
    let url = format!("https://{}/", server.address);
    let mut quick = config(&["127.0.0.0/8"]);
    quick.connect_timeout = Duration::from_millis(200);
    let failure = transport(quick).connect(&target(&url)).await.unwrap_err();
    assert_eq!((failure.clone(), failure.spent()), (Failure::NotSent(NotSent::TimedOut), Spent::No));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 plain\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let failure = transport(config(&["127.0.0.0/8"])).connect(&target(&url)).await.unwrap_err();
    assert_eq!(failure, Failure::NotSent(NotSent::Tls));
}

#[test]
fn roots_are_read() {
    let pem = authority().pem;
    let twice = format!("{pem}\n{}", authority().pem);
    assert_eq!(format!("{:?}", Roots::parse(twice.as_bytes()).unwrap()), "Roots(2)");
    assert_eq!(Roots::parse(b"").unwrap_err(), RootsError::Empty);
    assert_eq!(Roots::parse(b"no pem").unwrap_err(), RootsError::Empty);
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(Roots::parse(broken.as_bytes()).unwrap_err(), RootsError::Invalid);
}

/// A proxy that answers with `answer` and then connects to `to`; says what it was asked.
async fn serve_proxy(answer: &'static str, to: SocketAddr) -> (Url, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://me:p%40ss@{}", listener.local_addr().unwrap()).parse().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        if answer.contains("200") {
            let mut onward = TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
        }
        String::from_utf8(asked).unwrap()
    });
    (url, asked)
}

#[tokio::test]
async fn the_egress_proxy_gets_names() {
    let server = serve(reply("200 OK", "{}")).await;
    let (proxy, asked) = serve_proxy("HTTP/1.1 200 Connection established\r\n\r\n", server.address).await;
    let resolver = names(&[]);
    let through = TransportConfig { proxy: Some(proxy), ..config(&[]) };
    let transport = Transport::with_resolver(through, Arc::<Names>::clone(&resolver)).unwrap();
    let url = "http://id.example:8080/";
    let connection = transport.connect(&target(url)).await.unwrap();
    assert_eq!(connection.send(request(url), |_| true).await.unwrap().body.as_slice(), b"{}");
    let asked = asked.await.unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("connect id.example:8080 http/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nproxy-authorization: basic bwu6cebzcw==\r\n"), "me:p@ss: {asked}");
    assert!(resolver.1.lock().unwrap().is_empty(), "the proxy resolves");
    let literal = transport.connect(&target("http://10.0.0.1/")).await.unwrap_err();
    assert_eq!(literal, Failure::Egress(EgressDenial::Internal), "literals are judged here");
}

#[tokio::test]
async fn a_proxy_may_refuse() {
    let server = serve(reply("200 OK", "{}")).await;
    let (proxy, _) = serve_proxy("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", server.address).await;
    let through = transport(TransportConfig { proxy: Some(proxy), ..config(&[]) });
    let failure = through.connect(&target("http://id.example/")).await.unwrap_err();
    assert_eq!((failure.clone(), failure.spent()), (Failure::NotSent(NotSent::Proxy), Spent::No));
    let https = TransportConfig { proxy: Some("https://proxy.example".parse().unwrap()), ..config(&[]) };
    assert!(matches!(Transport::with_resolver(https, names(&[])), Err(TransportError::Proxy)));
}

/// Ambient proxies are for others. The variables are set for a process of its own: this test's executable, again.
#[test]
fn ambient_proxies_are_ignored() {
    let executable = std::env::current_exe().unwrap();
    let mut child = std::process::Command::new(executable);
    child.args(["--exact", "oauth::transport::tests::a_request_and_its_reply"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, "http://127.0.0.1:9");
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
