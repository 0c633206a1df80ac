//! ring's signatures for the JOSE library, so that the process has one cryptographic library. What a key's bytes are is settled
//! between here and `key`.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED,
        ECDSA_P384_SHA384_FIXED_SIGNING, ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
        RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};

/// Signs and verifies.
pub static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(signer(*algorithm, key)?)),
    verifier_factory: |algorithm, key| Ok(Box::new(verifier(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Whether ring accepts the key.
pub fn check(algorithm: Algorithm, key: &EncodingKey) -> Result<(), Error> {
    signer(algorithm, key).map(drop)
}

enum Keys {
    Secret(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

struct Signer {
    algorithm: Algorithm,
    keys: Keys,
}

fn signer(algorithm: Algorithm, key: &EncodingKey) -> Result<Signer, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let bytes = key.as_bytes();
    let keys = match algorithm {
        Algorithm::HS256 => Keys::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes)),
        Algorithm::HS384 => Keys::Secret(hmac::Key::new(hmac::HMAC_SHA384, bytes)),
        Algorithm::HS512 => Keys::Secret(hmac::Key::new(hmac::HMAC_SHA512, bytes)),
        Algorithm::RS256 => rsa(bytes, &RSA_PKCS1_SHA256)?,
        Algorithm::RS384 => rsa(bytes, &RSA_PKCS1_SHA384)?,
        Algorithm::RS512 => rsa(bytes, &RSA_PKCS1_SHA512)?,
        Algorithm::PS256 => rsa(bytes, &RSA_PSS_SHA256)?,
        Algorithm::PS384 => rsa(bytes, &RSA_PSS_SHA384)?,
        Algorithm::PS512 => rsa(bytes, &RSA_PSS_SHA512)?,
        Algorithm::ES256 => ec(bytes, 32, &ECDSA_P256_SHA256_FIXED_SIGNING)?,
        Algorithm::ES384 => ec(bytes, 48, &ECDSA_P384_SHA384_FIXED_SIGNING)?,
        Algorithm::EdDSA => {
            Keys::Ed(Ed25519KeyPair::from_seed_unchecked(bytes).map_err(|_| ErrorKind::InvalidEddsaKey)?)
        }
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(Signer { algorithm, keys })
}

fn rsa(der: &[u8], encoding: &'static dyn RsaEncoding) -> Result<Keys, Error> {
    let pair = RsaKeyPair::from_der(der).map_err(|rejected| ErrorKind::InvalidRsaKey(rejected.to_string()))?;
    Ok(Keys::Rsa(pair, encoding))
}

/// The private number is `length` bytes long (of fixed length in SEC1 and JWK alike), the public point is the rest.
fn ec(bytes: &[u8], length: usize, algorithm: &'static EcdsaSigningAlgorithm) -> Result<Keys, Error> {
    let (private, public) = bytes.split_at_checked(length).ok_or(ErrorKind::InvalidEcdsaKey)?;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &SystemRandom::new());
    Ok(Keys::Ec(pair.map_err(|_| ErrorKind::InvalidEcdsaKey)?))
}

impl signature::Signer<Vec<u8>> for Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        let failed = |_| signature::Error::new();
        match &self.keys {
            Keys::Secret(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Keys::Rsa(pair, encoding) => {
                let mut signed = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
            Keys::Ec(pair) => pair.sign(&random, message).map(|signed| signed.as_ref().to_vec()).map_err(failed),
            Keys::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl JwtSigner for Signer {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// A public key of a server's, and how it verifies.
enum PublicKey {
    Rsa { parameters: &'static RsaParameters, n: Vec<u8>, e: Vec<u8> },
    Point(&'static dyn VerificationAlgorithm, Vec<u8>),
}

struct Verifier {
    algorithm: Algorithm,
    key: PublicKey,
}

/// Asymmetric keys only: a server's keys are public, and as a secret they would verify whatever anybody signs.
fn verifier(algorithm: Algorithm, key: &DecodingKey) -> Result<Verifier, Error> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let rsa = |parameters| match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => Ok(PublicKey::Rsa { parameters, n: n.clone(), e: e.clone() }),
        DecodingKeyKind::SecretOrDer(_) => Err(Error::from(ErrorKind::InvalidKeyFormat)),
    };
    let point = |verification: &'static dyn VerificationAlgorithm| {
        Ok::<_, Error>(PublicKey::Point(verification, key.try_get_as_bytes()?.to_vec()))
    };
    let key = match algorithm {
        Algorithm::RS256 => rsa(&RSA_PKCS1_2048_8192_SHA256)?,
        Algorithm::RS384 => rsa(&RSA_PKCS1_2048_8192_SHA384)?,
        Algorithm::RS512 => rsa(&RSA_PKCS1_2048_8192_SHA512)?,
        Algorithm::PS256 => rsa(&RSA_PSS_2048_8192_SHA256)?,
        Algorithm::PS384 => rsa(&RSA_PSS_2048_8192_SHA384)?,
        Algorithm::PS512 => rsa(&RSA_PSS_2048_8192_SHA512)?,
        Algorithm::ES256 => point(&ECDSA_P256_SHA256_FIXED)?,
        Algorithm::ES384 => point(&ECDSA_P384_SHA384_FIXED)?,
        Algorithm::EdDSA => point(&ED25519)?,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(Verifier { algorithm, key })
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match &self.key {
            PublicKey::Rsa { parameters, n, e } => RsaPublicKeyComponents { n, e }.verify(parameters, message, signed),
            PublicKey::Point(algorithm, point) => UnparsedPublicKey::new(*algorithm, point).verify(message, signed),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
