use super::*;
use crate::oauth::{egress::EgressDenial, request::EncodeError};

fn refused(code: ErrorCode) -> Failure {
    Failure::Refused { code, spent: Spent::No, retry_after: None }
}

fn every_failure() -> Vec<Failure> {
    use Failure as F;
    let mut all = vec![
        F::Unencodable(EncodeError::MissingClientId),
        F::Egress(EgressDenial::Scheme),
        F::FenceClosed,
        F::TimedOut,
        F::Cut,
        F::Truncated,
        F::Oversized,
        F::NotHttp,
        F::Permanent { spent: Spent::No },
        F::Temporary { spent: Spent::No, retry_after: None },
        F::UnknownCode { spent: Spent::Unknown },
        F::Unauthorized,
        F::RateLimited { retry_after: None },
        F::ServerError { retry_after: None },
        F::Redirect,
        F::Status(404),
        F::Status(403),
        F::Status(418),
        F::Html,
        F::Unreadable,
        F::MissingAccessToken,
        F::ControlCharacter(Field::Scope),
    ];
    use NotSent::{Certificate, Connect, Cut, Proxy, Resolve, TimedOut, Tls};
    all.extend([Resolve, Connect, TimedOut, Certificate, Tls, Proxy, Cut].map(F::NotSent));
    all.extend(ErrorCode::ALL.iter().map(|code| refused(*code)));
    all
}

#[test]
fn codes_have_their_reasons_and_classes() {
    use Class::{Backoff, Hourly, Person};
    for (code, reason, class) in [
        ("invalid_grant", Reason::InvalidGrant, Person),
        ("access_denied", Reason::InvalidGrant, Person),
        ("expired_token", Reason::InvalidGrant, Person),
        ("interaction_required", Reason::InvalidGrant, Person),
        ("consent_required", Reason::InvalidGrant, Person),
        ("invalid_client", Reason::InvalidClient, Hourly),
        ("unauthorized_client", Reason::InvalidClient, Hourly),
        ("invalid_request", Reason::InvalidSpec, Hourly),
        ("invalid_scope", Reason::InvalidSpec, Hourly),
        ("unsupported_grant_type", Reason::InvalidSpec, Hourly),
        ("invalid_target", Reason::InvalidSpec, Hourly),
        ("temporarily_unavailable", Reason::ProviderUnavailable, Backoff),
        ("server_error", Reason::ProviderUnavailable, Backoff),
        ("slow_down", Reason::RateLimited, Backoff),
        ("authorization_pending", Reason::Pending, Backoff),
    ] {
        let failure = refused(ErrorCode::parse(code).unwrap());
        assert_eq!((failure.reason(), failure.class(), failure.code()), (reason, class, Some(code)), "{code}");
        assert!(failure.sentence().contains(code), "{code}");
    }
    assert_eq!(Failure::Permanent { spent: Spent::No }.reason(), Reason::InvalidGrant);
    assert_eq!(Failure::Permanent { spent: Spent::No }.code(), None);
    assert_eq!((Failure::Unauthorized.reason(), Failure::Unauthorized.class()), (Reason::InvalidClient, Hourly));
}

#[test]
fn only_what_is_known_not_to_be_spent_is_said_so() {
    for failure in every_failure() {
        let not_spent = match &failure {
            Failure::Unencodable(_) | Failure::Egress(_) | Failure::FenceClosed | Failure::NotSent(_) => true,
            Failure::Unauthorized | Failure::RateLimited { .. } => true,
            Failure::Refused { spent, .. } | Failure::Permanent { spent } => *spent == Spent::No,
            Failure::Temporary { spent, .. } | Failure::UnknownCode { spent } => *spent == Spent::No,
            _ => false,
        };
        assert_eq!(failure.spent() == Spent::No, not_spent, "{failure:?}");
    }
}

#[test]
fn sentences_are_distinct_and_fit_a_condition() {
    let mut sentences: Vec<String> = every_failure().iter().map(|failure| failure.sentence().into_owned()).collect();
    assert!(
        sentences.iter().all(|sentence| sentence.len() < 400 && !sentence.ends_with('.') && sentence.contains(": "))
    );
    sentences.sort();
    let count = sentences.len();
    sentences.dedup();
    assert_eq!(sentences.len(), count);
}

#[test]
fn a_401_names_the_documented_cure() {
    let sentence = Failure::Unauthorized.sentence();
    assert!(sentence.contains("check every parameter"));
    assert!(sentence.contains("when they are right, start again from the authorization code"));
}

#[test]
fn retry_after_is_read_and_capped() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    for (text, seconds) in [
        ("0", Some(0)),
        ("120", Some(120)),
        (" 7 ", Some(7)),
        ("86401", Some(86_400)),
        ("99999999999999999999999", Some(86_400)),
        ("Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
        ("Thursday, 01-Jan-26 00:01:00 GMT", Some(60)),
        ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
        ("Fri, 01 Jan 2027 00:00:00 GMT", Some(86_400)),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
    ] {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
    assert_eq!(refused(ErrorCode::SlowDown).retry_after(), Some(Duration::from_secs(5)));
}

#[test]
fn labels_are_static_words() {
    for failure in every_failure() {
        assert!(failure.label().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    }
}
