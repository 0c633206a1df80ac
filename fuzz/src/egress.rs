//! Where the operator may connect. An input is a URL, and on further lines rules: `+` allows, `-` denies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use oauth_operator::oauth::{
    discovery,
    egress::{EgressDenial, EgressRule, EgressRules, Kind, kind},
};
use url::{Host, Url};

use super::shown::assert_sentence;

/// Judges the URL by the rules, and by none.
pub fn run(input: &[u8]) {
    if let Ok(octets) = <[u8; 16]>::try_from(input) {
        address(Ipv6Addr::from(octets));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let Some(url) = lines.next() else { return };
    let mut rules = EgressRules::default();
    for line in lines {
        let (list, rule) = match line.split_at_checked(1) {
            Some(("+", rule)) => (&mut rules.allow, rule),
            Some(("-", rule)) => (&mut rules.deny, rule),
            _ => continue,
        };
        match rule.parse::<EgressRule>() {
            Ok(rule) => list.push(rule),
            Err(error) => assert_sentence(&error.to_string()),
        }
    }
    let is_issuer = discovery::is_issuer(url);
    let Ok(url) = Url::parse(url) else { return assert!(!is_issuer) };
    judged(&url, &EgressRules::default());
    judged(&url, &rules);
    if is_issuer {
        for address in discovery::addresses(&url) {
            // Not their origins: those of schemes that nobody knows are never equal.
            let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port());
            assert_eq!(place(&address), place(&url), "metadata are where the issuer is");
        }
    }
}

fn judged(url: &Url, rules: &EgressRules) {
    match rules.judge_url(url, &[]) {
        Ok(()) => {
            assert_eq!(url.scheme(), "https");
            assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            match url.host().expect("it has a host") {
                Host::Ipv4(address) => permitted(address.into(), rules),
                Host::Ipv6(address) => permitted(address.into(), rules),
                Host::Domain(name) => {
                    // What a resolver, or a proxy, would take for an address.
                    if let Some(address) = as_address(name) {
                        permitted(Ipv4Addr::from_bits(address).into(), rules);
                    }
                    assert!(!rules.deny.contains(&EgressRule::Host(name.trim_end_matches('.').to_owned())));
                }
            }
        }
        Err(denial) => {
            assert_ne!(denial, EgressDenial::OtherOrigin);
            assert_sentence(&denial.to_string());
        }
    }
}

/// What must hold of an address that a URL may name, said in another way than the rules say it.
fn permitted(address: IpAddr, rules: &EgressRules) {
    let within = |rules: &[EgressRule]| {
        rules.iter().any(|rule| matches!(rule, EgressRule::Cidr(net) if net.contains(&plain(address))))
    };
    assert!(!within(&rules.deny), "{address} is denied");
    if is_internal(plain(address)) {
        assert!(!rules.allow.is_empty(), "{address} is internal");
    }
    assert!(!is_never(plain(address)), "{address} is for nobody");
}

fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(address.into(), IpAddr::V4),
        address => address,
    }
}

fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

fn is_never(address: IpAddr) -> bool {
    let common = address.is_unspecified() || address.is_multicast();
    common
        || match address {
            IpAddr::V4(address) => address.is_link_local() || address.is_broadcast() || address.is_documentation(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}

/// Every IPv6 address that embeds an IPv4 address is judged no milder than that.
fn address(address: Ipv6Addr) {
    if is_internal(plain(address.into())) || is_never(plain(address.into())) {
        assert_ne!(kind(address.into()), Kind::Public, "{address}");
    }
    let inner = Ipv4Addr::from_bits(u128::from(address) as u32);
    let [high, low] = [(inner.to_bits() >> 16) as u16, inner.to_bits() as u16];
    for outer in [
        inner.to_ipv6_mapped(),
        inner.to_ipv6_compatible(),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
    ] {
        // ::/127 are addresses of their own.
        if inner.to_bits() > 1 {
            assert!(kind(outer.into()) >= kind(inner.into()), "{outer} and {inner}");
        }
    }
}

/// inet_aton's way of reading addresses: one to four numbers, decimal, octal or hexadecimal, of which the last fills what is left.
fn as_address(name: &str) -> Option<u32> {
    let parts: Vec<u64> = name.trim_end_matches('.').split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - first.len());
    (*last < 1 << room).then(|| {
        let high = first.iter().fold(0, |sum, part| sum << 8 | part);
        (high << room | last) as u32
    })
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
}
