//! A CA of the stand-in's own, and a certificate for one address, made anew at each start.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Also returns the CA's certificate as PEM.
pub fn acceptor(address: IpAddr) -> (TlsAcceptor, String) {
    let mut ca = CertificateParams::new(Vec::new()).expect("no names, so none is wrong");
    // A name of its own: with one name for both, OpenSSL takes the certificate for its own issuer.
    ca.distinguished_name.push(DnType::CommonName, "stand-in CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("a CA");

    let key = KeyPair::generate().expect("a key");
    let names = vec![address.to_string(), "localhost".to_owned()];
    let leaf = CertificateParams::new(names).and_then(|names| names.signed_by(&key, &ca)).expect("a certificate");

    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen writes PKCS #8");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key))
        .expect("key and certificate belong together");
    (TlsAcceptor::from(Arc::new(config)), ca.pem())
}
