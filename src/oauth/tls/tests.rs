use rcgen::{CertificateParams, KeyPair};

use super::*;

/// RFC 8705 appendix A.
pub const RFC_8705: &str = "-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Valid in the year 2000.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn the_rfcs_thumbprint() {
    assert_eq!(thumbprint(RFC_8705.as_bytes()).unwrap(), "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0");
    assert_eq!(thumbprint(b""), Err(IdentityError::NoCertificate));
}

#[test]
fn a_certificate_is_used_while_it_is_valid() {
    let (certificate, key) = pair();
    let identity = Identity::parse(certificate.as_bytes(), key.as_bytes()).unwrap();
    for (now, expected) in [
        (946_684_799, Err(IdentityError::NotYetValid)),
        (946_684_800, Ok(())),
        (978_307_200, Ok(())),
        (978_307_201, Err(IdentityError::Expired)),
    ] {
        assert_eq!(identity.check(at(now)), expected);
    }
    assert_eq!(format!("{identity:?}"), "Identity(…)");
}

#[test]
fn certificates_that_cannot_be_used_say_why() {
    let ((certificate, key), (other, _)) = (pair(), pair());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (chain, key, expected) in [
        ("", key.as_str(), IdentityError::NoCertificate),
        (&key, &key, IdentityError::NoCertificate),
        (broken, &key, IdentityError::Certificate),
        (&certificate, "", IdentityError::Key),
        (&certificate, &certificate, IdentityError::Key),
        (&other, &key, IdentityError::Mismatch),
    ] {
        assert_eq!(Identity::parse(chain.as_bytes(), key.as_bytes()).unwrap_err(), expected);
    }
    // A chain follows its certificate.
    assert!(Identity::parse(format!("{certificate}{other}").as_bytes(), key.as_bytes()).is_ok());
}
