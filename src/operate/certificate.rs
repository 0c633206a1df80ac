//! The certificate under which /metrics is served, from files that may be replaced at any time, as cert-manager does.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

/// Why a certificate can't be used; a person must change the files or the flags.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{0} can't be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    #[error(
        "{0} holds no PEM certificate, or something that is none: put the certificate there, and its chain after it"
    )]
    Chain(PathBuf),
    #[error("{0} holds no private key that can be used: put the certificate's key there in PEM, unencrypted")]
    Key(PathBuf),
    #[error("the certificate and the key don't belong together")]
    Mismatch,
}

/// A certificate and its key, as they are now. `Debug` shows their files' names only.
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// They can't be used.
    pub fn read(chain: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let current = Mutex::new(read(&chain, &key, None)?);
        Ok(Self { chain, key, current })
    }

    /// A configuration for the next connection: of the files as they are now, or else of those that could be used last.
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.chain, &self.key, Some(&current)) {
            Ok(now) => *current = now,
            // One file may have been replaced, and the other not yet.
            Err(error) => tracing::warn!(%error, "the former certificate of /metrics is used on"),
        }
        Arc::clone(&current.config)
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Certificate({}, {})", self.chain.display(), self.key.display())
    }
}

fn read(chain_file: &PathBuf, key_file: &PathBuf, former: Option<&Current>) -> Result<Current, CertificateError> {
    let content =
        |file: &PathBuf| std::fs::read(file).map_err(|error| CertificateError::Unreadable(file.clone(), error));
    let (chain, key) = (content(chain_file)?, Zeroizing::new(content(key_file)?));
    if let Some(former) = former.filter(|former| former.chain == chain && former.key == key) {
        return Ok(Current { chain, key, config: Arc::clone(&former.config) });
    }
    let unusable = || CertificateError::Chain(chain_file.clone());
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>().map_err(|_| unusable())?;
    if certificates.is_empty() {
        return Err(unusable());
    }
    let unencrypted = PrivateKeyDer::from_pem_slice(&key).map_err(|_| CertificateError::Key(key_file.clone()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| CertificateError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(certificates, unencrypted)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch,
            rustls::Error::InvalidCertificate(_) => unusable(),
            _ => CertificateError::Key(key_file.clone()),
        })?;
    Ok(Current { chain, key, config: Arc::new(config) })
}
