//! Where the operator may connect. Pure rules, over URLs, names and addresses; `transport` asks them at the moment a
//! connection is made, about the very address it connects to. `address` says what kind of address one is.
//!
//! Behind an egress proxy the operator resolves no names: there, names and IP literals of URLs are judged, and what a
//! name resolves to is the proxy's to judge.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;
use url::{Host, Url};

mod address;
#[cfg(test)]
mod tests;

pub use address::{Kind, kind};

/// What the operator's flags say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressRules {
    /// `--allow-egress`: internal addresses that may be used. Public ones may be anyway.
    pub allow: Vec<EgressRule>,
    /// `--deny-egress`: wins over everything.
    pub deny: Vec<EgressRule>,
    /// `--allow-insecure-http`: for tests.
    pub allow_insecure_http: bool,
}

/// A range of addresses, or a host name with whatever addresses it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressRule {
    Cidr(IpNet),
    /// In lower case, without a trailing dot.
    Host(String),
}

/// Why a rule can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a CIDR such as 10.0.0.0/8, an address, or a host name")]
pub struct EgressRuleError;

impl FromStr for EgressRule {
    type Err = EgressRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        if let Ok(net) = net {
            return Ok(Self::Cidr(unmapped(net)));
        }
        match Host::parse(text).map_err(|_| EgressRuleError)? {
            Host::Ipv4(address) => Ok(Self::Cidr(IpAddr::V4(address).into())),
            Host::Ipv6(address) => Ok(Self::Cidr(unmapped(IpAddr::V6(address).into()))),
            Host::Domain(name) => Ok(Self::Host(normal_name(&name))),
        }
    }
}

/// Why egress rules forbid an endpoint. Holds no address: what a name resolves to is not told to everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EgressDenial {
    #[error("the endpoint's URL is not https, and anything else is refused: correct the URL")]
    Scheme,
    #[error("the endpoint's URL holds a user name or password: take it out, and use client.authentication or a header")]
    UserInfo,
    #[error("the endpoint's URL has a fragment, which is never sent: take it out")]
    Fragment,
    #[error("the endpoint's URL has no host: correct the URL")]
    NoHost,
    #[error("the operator's --deny-egress forbids this endpoint: use another, or ask whoever runs the operator")]
    Denied,
    #[error(
        "the endpoint has no address but link-local, metadata or reserved ones, which are never connected to: correct the host in its URL"
    )]
    Never,
    #[error(
        "the endpoint has internal addresses only: ask whoever runs the operator for --allow-egress, or for allowedAddresses in a ClusterOAuthProvider"
    )]
    Internal,
    #[error("the request is for another origin than its connection: this is a defect of the operator, report it")]
    OtherOrigin,
}

impl EgressRules {
    /// Judges everything about a URL that can be judged without resolving its host: scheme, form, name, and the address
    /// if the host is one. `allowed` are the provider's own internal ranges.
    ///
    /// # Errors
    /// What forbids it.
    pub fn judge_url(&self, url: &Url, allowed: &[IpNet]) -> Result<(), EgressDenial> {
        match url.scheme() {
            "https" => {}
            "http" if self.allow_insecure_http => {}
            _ => return Err(EgressDenial::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EgressDenial::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(EgressDenial::Fragment);
        }
        match url.host().ok_or(EgressDenial::NoHost)? {
            Host::Ipv4(address) => self.judge_address(None, address.into(), allowed),
            Host::Ipv6(address) => self.judge_address(None, address.into(), allowed),
            Host::Domain(name) if names(&self.deny, name) => Err(EgressDenial::Denied),
            Host::Domain(name) => match Host::parse(&normal_name(name)) {
                // With several dots after it an address is a name to the URL standard, and an address to some proxies.
                Ok(Host::Ipv4(address)) => self.judge_address(None, address.into(), allowed),
                Ok(_) => Ok(()),
                Err(_) => Err(EgressDenial::NoHost),
            },
        }
    }

    /// Judges one address that `host` resolved to (None: the URL has the address itself). `allowed` are the provider's
    /// own internal ranges.
    ///
    /// # Errors
    /// What forbids it.
    pub fn judge_address(&self, host: Option<&str>, address: IpAddr, allowed: &[IpNet]) -> Result<(), EgressDenial> {
        let (kind, aliases) = address::unwrapped(address);
        let within = |net: &IpNet| aliases.iter().any(|alias| net.contains(alias));
        let ranges =
            |rules: &[EgressRule]| rules.iter().any(|rule| matches!(rule, EgressRule::Cidr(net) if within(net)));
        if ranges(&self.deny) || host.is_some_and(|host| names(&self.deny, host)) {
            return Err(EgressDenial::Denied);
        }
        match kind {
            Kind::Public => Ok(()),
            Kind::Never => Err(EgressDenial::Never),
            Kind::Internal => {
                let by_name = host.is_some_and(|host| names(&self.allow, host));
                let may = by_name || ranges(&self.allow) || allowed.iter().any(|net| within(&unmapped(*net)));
                if may { Ok(()) } else { Err(EgressDenial::Internal) }
            }
        }
    }
}

fn names(rules: &[EgressRule], host: &str) -> bool {
    let host = normal_name(host);
    rules.iter().any(|rule| matches!(rule, EgressRule::Host(name) if *name == host))
}

fn normal_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// An IPv4 range written as IPv4-mapped IPv6 is that IPv4 range.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return net };
    let inner = mapped.addr().to_ipv4_mapped().filter(|_| mapped.prefix_len() >= 96);
    inner.and_then(|address| IpNet::new(address.into(), mapped.prefix_len() - 96).ok()).unwrap_or(net)
}
