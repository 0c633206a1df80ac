//! What kind of address one is, with every way to write an IPv4 address into an IPv6 one undone first.
//!
//! Rules and flags are in `egress`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How an address may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// May be connected to.
    Public,
    /// Private, loopback, CGNAT, unique-local and benchmarking: only where a flag or the provider says.
    Internal,
    /// Link-local, metadata, multicast, unspecified, broadcast, documentation, reserved: whatever anyone says.
    Never,
}

/// What kind of address this is, judged by the strictest of the addresses it stands for.
pub fn kind(address: IpAddr) -> Kind {
    unwrapped(address).0
}

/// The kind, and every address it stands for, itself included.
pub(super) fn unwrapped(address: IpAddr) -> (Kind, Vec<IpAddr>) {
    let IpAddr::V6(outer) = address else {
        let kind = if let IpAddr::V4(address) = address { kind_v4(address) } else { Kind::Never };
        return (kind, vec![address]);
    };
    let Some(inner) = embedded(outer) else { return (kind_v6(outer), vec![address]) };
    let kind = inner.iter().map(|address| kind_v4(*address)).max().unwrap_or(Kind::Never);
    (kind, std::iter::once(address).chain(inner.into_iter().map(IpAddr::V4)).collect())
}

/// The IPv4 addresses that an IPv6 address embeds; None when it is no such address. An empty list is an embedding that
/// can't be read, which counts as Never.
fn embedded(address: Ipv6Addr) -> Option<Vec<Ipv4Addr>> {
    let octets = address.octets();
    let at = |index: usize| Ipv4Addr::new(octets[index], octets[index + 1], octets[index + 2], octets[index + 3]);
    let last = at(12);
    match address.segments() {
        // ::/128 and ::1/128 are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible, IPv4-mapped (RFC 4291 section 2.5.5), IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0, 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => Some(vec![last]),
        // NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(vec![last]),
        // Local-use NAT64 (RFC 8215): only the /96 form can be told for sure.
        [0x64, 0xff9b, 1, _, 0, 0, _, _] => Some(vec![last]),
        [0x64, 0xff9b, 1, ..] => Some(Vec::new()),
        // 6to4 (RFC 3056).
        [0x2002, ..] => Some(vec![at(2)]),
        // Teredo (RFC 4380): the server, and the client with its bits inverted.
        [0x2001, 0, ..] => Some(vec![at(4), Ipv4Addr::from_bits(!last.to_bits())]),
        // ISATAP (RFC 5214), under any prefix that is not judged by itself already.
        [first, .., 0x0000 | 0x0200, 0x5efe, _, _] if first & 0xe000 == 0x2000 => Some(vec![last]),
        _ => None,
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        // Link-local, with the metadata services of most clouds.
        [169, 254, ..] => Kind::Never,
        // Metadata: Alibaba Cloud, Azure's wire server, Oracle's classic.
        [100, 100, 100, 200] | [168, 63, 129, 16] => Kind::Never,
        // "This network", IETF protocol assignments, 6to4 relays, multicast, reserved and broadcast.
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [224..=255, ..] => Kind::Never,
        // Documentation.
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Never,
        // Private, loopback, CGNAT, benchmarking.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Internal,
        [127, ..] | [100, 64..=127, ..] | [198, 18 | 19, ..] => Kind::Internal,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Internal,
        // Metadata: all of AWS's link services, and Google's.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..] => Kind::Never,
        // Unique-local.
        [0xfc00..=0xfdff, ..] => Kind::Internal,
        // IETF protocol assignments (benchmarking and ORCHID among them), documentation.
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Kind::Never,
        // Global unicast. What is outside is link-local, site-local, multicast, discard-only or not assigned.
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never,
    }
}
