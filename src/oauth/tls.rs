//! TLS configurations: ring is named as the provider, never the process default; HTTP/1.1 only; sessions resume.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use rustls::{
    ClientConfig, InconsistentKeys, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use sha2::{Digest, Sha256};
use x509_cert::{Certificate, der::Decode, time::Time};

#[cfg(test)]
pub mod tests;

/// Authorities to trust, from PEM. The configuration made of them is kept, so share one value for each PEM text: TLS
/// sessions resume within it.
pub struct Roots {
    store: Arc<RootCertStore>,
    config: OnceLock<Result<Arc<ClientConfig>, RootsError>>,
}

/// Why certificates can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    #[error("the CA text holds no PEM certificate: put the authority's certificate there")]
    Empty,
    #[error("the CA text holds something that is no certificate: put PEM certificates there, and nothing else")]
    Invalid,
    #[error("TLS could not be set up")]
    Setup,
}

impl Roots {
    /// Reads every certificate of a PEM text.
    ///
    /// # Errors
    /// No certificate at all, or one that is none.
    pub fn parse(pem: &[u8]) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| RootsError::Invalid)?;
            store.add(certificate).map_err(|_| RootsError::Invalid)?;
        }
        if store.is_empty() { Err(RootsError::Empty) } else { Ok(Self::of(store)) }
    }

    /// The system's authorities, and those of further PEM texts (`--ca-file`).
    ///
    /// # Errors
    /// One of the further texts can't be read. An unreadable system certificate is left out, as every client does.
    pub fn system(further: &[&[u8]]) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for pem in further {
            store.roots.extend(Self::parse(pem)?.store.roots.iter().cloned());
        }
        Ok(Self::of(store))
    }

    fn of(store: RootCertStore) -> Self {
        Self { store: Arc::new(store), config: OnceLock::new() }
    }

    /// A configuration for HTTP/1.1, without a certificate of the client's own.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, RootsError> {
        self.config
            .get_or_init(|| {
                let mut config = config(Arc::clone(&self.store))?;
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Ok(Arc::new(config))
            })
            .clone()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Roots({})", self.store.len())
    }
}

/// A client certificate with its key (RFC 8705). `Debug` shows neither.
pub struct Identity {
    key: Arc<CertifiedKey>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why a client certificate can't be used. The words end without a full stop and hold nothing of the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("tls.crt holds no PEM certificate: put the client's certificate there, and its chain after it")]
    NoCertificate,
    #[error(
        "tls.crt holds something that is no certificate: put the client's certificate there, and its chain after it"
    )]
    Certificate,
    #[error("tls.key holds no private key that can be used: put the certificate's key there in PEM, unencrypted")]
    Key,
    #[error("tls.key is not the key of the certificate in tls.crt: put a certificate and its own key there")]
    Mismatch,
    #[error("the client certificate is not valid yet: put one there that is, or check the clock of whoever issued it")]
    NotYetValid,
    #[error("the client certificate has expired: put a new one there")]
    Expired,
}

impl Identity {
    /// Reads a certificate, its chain after it, and its key, all in PEM.
    ///
    /// # Errors
    /// One of them can't be read, or they don't belong together.
    pub fn parse(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(chain)?;
        let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
        let certificate = Certificate::from_der(leaf).map_err(|_| IdentityError::Certificate)?;
        let validity = certificate.tbs_certificate().validity();
        let time = |time: Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).ok();
            seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(IdentityError::Certificate)
        };
        let (not_before, not_after) = (time(validity.not_before)?, time(validity.not_after)?);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::Key)?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::Mismatch,
            rustls::Error::InvalidCertificate(_) => IdentityError::Certificate,
            _ => IdentityError::Key,
        })?;
        Ok(Self { key: Arc::new(key), not_before, not_after })
    }

    /// Whether the certificate is valid at `now`.
    ///
    /// # Errors
    /// Not yet, or no longer.
    pub fn check(&self, now: Timestamp) -> Result<(), IdentityError> {
        match now {
            now if now < self.not_before => Err(IdentityError::NotYetValid),
            now if now > self.not_after => Err(IdentityError::Expired),
            _ => Ok(()),
        }
    }

    /// A configuration in which a server that asks for it sees this certificate. Not kept: no session that was begun
    /// with a former certificate is resumed.
    pub(super) fn config(&self, roots: &Roots) -> Result<Arc<ClientConfig>, RootsError> {
        let mut config = config(Arc::clone(&roots.store))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&self.key)));
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Identity(…)")
    }
}

/// The SHA-256 thumbprint of the first certificate of a PEM text, in base64url (RFC 7515 section 4.1.8, RFC 8705 section 3.1).
///
/// # Errors
/// There is none.
pub fn thumbprint(chain: &[u8]) -> Result<String, IdentityError> {
    let chain = certificates(chain)?;
    Ok(URL_SAFE_NO_PAD.encode(Sha256::digest(chain.first().ok_or(IdentityError::NoCertificate)?)))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| IdentityError::Certificate)
}

/// A configuration that trusts nobody, for a client that never connects.
pub(super) fn without_roots() -> Result<ClientConfig, RootsError> {
    config(Arc::new(RootCertStore::empty()))
}

fn config(store: Arc<RootCertStore>) -> Result<ClientConfig, RootsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| RootsError::Setup)?;
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}
