//! TLS configurations: ring is named as the provider, never the process default; HTTP/1.1 only; sessions resume.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

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

    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, RootsError> {
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
