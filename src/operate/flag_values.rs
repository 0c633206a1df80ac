//! How the texts of flags are parsed and what is wrong with a bad one.
//!
//! Which flags there are is in `flags`. No message here repeats a value: clap does that, except for the proxy's.

use std::{ffi::OsStr, net::IpAddr, str::FromStr, time::Duration};

use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::duration;

/// Why a flag's value is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    #[error("a namespace is a lower-case DNS label such as team-a")]
    Namespace,
    #[error("the CIDR has bits set beyond its prefix: write {0}")]
    HostBits(IpNet),
    #[error("neither a CIDR such as 10.0.0.0/8, nor an address, nor a host name such as idp.example.com")]
    AddressRule,
    #[error("a label is a key such as example.com/input, or key=value")]
    Label,
    #[error("a Secret type is such as example.com/registry, with no spaces and at most 253 characters")]
    SecretType,
    #[error("Secrets of this type carry power of the cluster itself and can't be allowed")]
    PowerfulSecretType,
    #[error("a duration is such as 30s, 1m30s or 500ms")]
    Duration,
    #[error("must be from {} to {}", kube::core::Duration::from(*.0), kube::core::Duration::from(*.1))]
    OutOfRange(Duration, Duration),
    #[error("must be whole seconds, as a Lease keeps nothing finer")]
    NotWholeSeconds,
    #[error("must be a URL such as http://proxy.example.com:3128, without a path")]
    Proxy,
    #[error("must not hold a user name or password")]
    ProxyUser,
    #[error("must be an https URL such as https://oauth.example.com, with neither query nor fragment")]
    PublicUrl,
    #[error(
        "must be an http or https URL such as http://otel-collector.observability.svc:4318, with neither user name, query nor fragment"
    )]
    OtlpEndpoint,
    #[error("not a filter such as info or info,oauth_operator=debug: {0}")]
    LogDirectives(String),
}

/// Where requests may or may not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressRule {
    /// Any address of this network. A single address is a network of one.
    Cidr(IpNet),
    /// This host name (lower case, no final dot), whatever it resolves to.
    Host(String),
}

impl FromStr for AddressRule {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(net) = text.parse::<IpNet>() {
            // 10.1.2.3/8 may mean the address or the network: guess neither.
            return if net.trunc() == net { Ok(Self::Cidr(net)) } else { Err(FlagError::HostBits(net.trunc())) };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Cidr(address.into()));
        }
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        // A last label of digits alone is a mistyped address (RFC 3696 section 2: no top level domain is one).
        let named = host.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
        if named && host.len() <= 253 && host.split('.').all(is_dns_label) {
            Ok(Self::Host(host))
        } else {
            Err(FlagError::AddressRule)
        }
    }
}

/// A label that input Secrets must bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputLabel {
    pub key: String,
    /// Any value will do where there is none here.
    pub value: Option<String>,
}

impl FromStr for InputLabel {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
        let prefix_is_good = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label));
        let value_is_good = value.is_none_or(|value| value.is_empty() || is_label_text(value));
        if prefix_is_good && is_label_text(name) && value_is_good {
            Ok(Self { key: key.to_owned(), value: value.map(str::to_owned) })
        } else {
            Err(FlagError::Label)
        }
    }
}

/// Where browsers reach this operator.
pub(super) fn parse_public_url(text: &str) -> Result<Url, FlagError> {
    let url = Url::parse(text).map_err(|_| FlagError::PublicUrl)?;
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    if is_plain && is_safe && url.password().is_none() { Ok(url) } else { Err(FlagError::PublicUrl) }
}

/// A URL. A parser of its own, since clap repeats a refused value in its message, and this may hold a password.
#[derive(Clone)]
pub(super) struct UnquotedUrl(pub(super) fn(&str) -> Result<Url, FlagError>);

impl TypedValueParser for UnquotedUrl {
    type Value = Url;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Url, clap::Error> {
        (self.0)(&value.to_string_lossy()).map_err(|error| {
            let flag = argument.map(ToString::to_string).unwrap_or_default();
            clap::Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{flag}': {error}\n"))
                .with_cmd(command)
        })
    }
}

pub(super) fn parse_proxy(text: &str) -> Result<Url, FlagError> {
    let url = Url::parse(text).map_err(|_| FlagError::Proxy)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FlagError::ProxyUser);
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if url.scheme() == "http" && url.has_host() && bare { Ok(url) } else { Err(FlagError::Proxy) }
}

/// The base URL of an OTLP collector, perhaps with a path.
pub(super) fn parse_otlp_endpoint(text: &str) -> Result<Url, FlagError> {
    let url = Url::parse(text).map_err(|_| FlagError::OtlpEndpoint)?;
    let is_plain = url.query().is_none() && url.fragment().is_none();
    let is_open = url.username().is_empty() && url.password().is_none();
    let is_http = ["http", "https"].contains(&url.scheme()) && url.has_host();
    if is_plain && is_open && is_http { Ok(url) } else { Err(FlagError::OtlpEndpoint) }
}

pub(super) fn parse_namespace(text: &str) -> Result<String, FlagError> {
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if lower && is_dns_label(text) { Ok(text.to_owned()) } else { Err(FlagError::Namespace) }
}

pub(super) fn parse_secret_type(text: &str) -> Result<String, FlagError> {
    // The control plane fills the first with a token, and obeys the second.
    let powerful = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"].contains(&text);
    if powerful || text.starts_with("oauth-operator.dev/") {
        return Err(FlagError::PowerfulSecretType);
    }
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && (1..=253).contains(&text.len()) { Ok(text.to_owned()) } else { Err(FlagError::SecretType) }
}

pub(super) fn parse_request_timeout(text: &str) -> Result<Duration, FlagError> {
    within(parse_duration(text)?, Duration::from_secs(1), Duration::from_secs(300))
}

/// At least 10 seconds: it is renewed each third, and nothing is sent in its last five seconds; with less, hardly any
/// time would be left for sending.
pub(super) fn parse_lease_duration(text: &str) -> Result<Duration, FlagError> {
    let duration = within(parse_duration(text)?, Duration::from_secs(10), Duration::from_secs(300))?;
    if duration.subsec_nanos() == 0 { Ok(duration) } else { Err(FlagError::NotWholeSeconds) }
}

pub(super) fn log_directives(text: &str) -> Result<String, FlagError> {
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(FlagError::LogDirectives(error.to_string())),
    }
}

fn parse_duration(text: &str) -> Result<Duration, FlagError> {
    duration::parse(text).ok_or(FlagError::Duration)
}

fn within(duration: Duration, least: Duration, most: Duration) -> Result<Duration, FlagError> {
    if (least..=most).contains(&duration) { Ok(duration) } else { Err(FlagError::OutOfRange(least, most)) }
}

/// A label of RFC 1123 section 2.1, in either case.
fn is_dns_label(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    inner && (1..=63).contains(&text.len()) && !text.starts_with('-') && !text.ends_with('-')
}

/// What Kubernetes takes as a label's name or value.
fn is_label_text(text: &str) -> bool {
    let inner = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    inner && text.len() <= 63 && ends(text.chars().next()) && ends(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn address_rules() {
        let cidr = |text: &str| Ok(AddressRule::Cidr(text.parse().unwrap()));
        let host = |text: &str| Ok(AddressRule::Host(text.to_owned()));
        for (text, expected) in [
            ("10.0.0.0/8", cidr("10.0.0.0/8")),
            ("127.0.0.1", cidr("127.0.0.1/32")),
            ("fd00::/8", cidr("fd00::/8")),
            ("::1", cidr("::1/128")),
            ("10.1.2.3/8", Err(FlagError::HostBits("10.0.0.0/8".parse().unwrap()))),
            ("localhost", host("localhost")),
            ("Keycloak.Identity.svc.", host("keycloak.identity.svc")),
            ("10.0.0.256", Err(FlagError::AddressRule)),
            ("10.0.0.0/33", Err(FlagError::AddressRule)),
            ("idp:8443", Err(FlagError::AddressRule)),
            ("*.example.com", Err(FlagError::AddressRule)),
            ("", Err(FlagError::AddressRule)),
        ] {
            assert_eq!(text.parse::<AddressRule>(), expected, "{text}");
        }
    }

    #[test]
    fn input_labels() {
        let label =
            |key: &str, value: Option<&str>| Ok(InputLabel { key: key.to_owned(), value: value.map(str::to_owned) });
        for (text, expected) in [
            ("input", label("input", None)),
            ("example.com/input=yes", label("example.com/input", Some("yes"))),
            ("input=", label("input", Some(""))),
            ("=yes", Err(FlagError::Label)),
            ("a/b/c", Err(FlagError::Label)),
            ("input=a=b", Err(FlagError::Label)),
            ("-input", Err(FlagError::Label)),
            ("", Err(FlagError::Label)),
        ] {
            assert_eq!(text.parse::<InputLabel>(), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        for text in ["", "5", "-5s", "5s-3s", "1e9s", "five", "99999999999999999999h"] {
            assert_eq!(parse_duration(text), Err(FlagError::Duration), "{text}");
        }
        let most = parse_lease_duration("6m").unwrap_err().to_string();
        assert_eq!(most, "must be from 10s to 300s");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "[-0-9hmsnuµμ.+e/:a=]{0,24}") {
            let _ = parse_duration(&text);
            let _ = text.parse::<AddressRule>();
            let _ = text.parse::<InputLabel>();
            let _ = parse_proxy(&text);
        }
    }
}
