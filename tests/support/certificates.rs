//! Certificates for tests with mutual TLS.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256};

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Issued {
    pub certificate: rcgen::Certificate,
    pub key: KeyPair,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, key()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a name or an address, and with it a subject that says it too.
    pub fn issue(&self, name: &str) -> Issued {
        let key = key();
        let certificate = parameters(name).signed_by(&key, &self.0).unwrap();
        Issued { certificate, key }
    }
}

/// A certificate that vouches for itself.
pub fn self_signed(name: &str) -> Issued {
    let key = key();
    let certificate = parameters(name).self_signed(&key).unwrap();
    Issued { certificate, key }
}

/// One that was valid in the year 2000.
pub fn expired(name: &str) -> Issued {
    let key = key();
    let mut parameters = parameters(name);
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    Issued { certificate, key }
}

/// A P-256 key.
pub fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

impl Issued {
    /// As data of a kubernetes.io/tls Secret, indented for `stringData`.
    pub fn secret(&self, name: &str) -> String {
        let block = |pem: String| pem.trim_end().replace('\n', "\n    ");
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
            block(self.certificate.pem()),
            block(self.key.serialize_pem()),
        )
    }
}
