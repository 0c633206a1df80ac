//! The ways to write one address: those of the URL standard, and the IPv6 addresses that stand for an IPv4 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is as the host of a URL, in every spelling (WHATWG URL, "IPv4 parser"; RFC 4291 section 2.2).
pub fn of(address: IpAddr) -> Vec<String> {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    }
}

fn of_v4(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let whole = address.to_bits();
    let (last_two, last_three) = (whole & 0xffff, whole & 0x00ff_ffff);
    let dotted = address.to_string();
    vec![
        format!("{dotted}."),
        dotted.replace('.', "。"),
        dotted.replace('.', "%2E"),
        dotted.chars().map(|c| if c == '.' { '.' } else { char::from_u32(c as u32 + 0xfee0).unwrap() }).collect(),
        dotted.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        format!("{whole}"),
        format!("{whole:#x}"),
        format!("{whole:#X}").replace("0X", "0x000"),
        format!("0{whole:o}"),
        format!("{a}.{last_three}"),
        format!("{a}.{b}.{last_two}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:#x}.0{b:o}.{last_two}"),
        format!("0000{a:o}.{b}.{c:#x}.{d}"),
        dotted,
    ]
}

fn of_v6(address: Ipv6Addr) -> Vec<String> {
    let groups = address.segments();
    let written = |each: &dyn Fn(u16) -> String| groups.iter().map(|group| each(*group)).collect::<Vec<_>>().join(":");
    let [.., high, low] = groups;
    let tail = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    let head: Vec<String> = groups[..6].iter().map(|group| format!("{group:x}")).collect();
    [
        address.to_string(),
        address.to_string().to_uppercase(),
        written(&|group| format!("{group:x}")),
        written(&|group| format!("{group:04X}")),
        format!("{}:{tail}", head.join(":")),
    ]
    .map(|text| format!("[{text}]"))
    .to_vec()
}

/// The IPv6 addresses behind which a router or the kernel may find this IPv4 address.
pub fn embedded(address: Ipv4Addr) -> Vec<Ipv6Addr> {
    let group = |a: u8, b: u8| u16::from_be_bytes([a, b]);
    let [a, b, c, d] = address.octets();
    let (high, low) = (group(a, b), group(c, d));
    // 1.1.1.1, where an address of a relay or a client is wanted beside it.
    let one = 0x0101;
    [
        [0, 0, 0, 0, 0, 0xffff, high, low],       // mapped (RFC 4291 section 2.5.5.2)
        [0, 0, 0, 0, 0xffff, 0, high, low],       // translated (RFC 2765)
        [0x64, 0xff9b, 0, 0, 0, 0, high, low],    // NAT64 (RFC 6052)
        [0x64, 0xff9b, 1, 0, 0, 0, high, low],    // NAT64 of a network's own (RFC 8215)
        [0x2002, high, low, 0, 0, 0, 0, 1],       // 6to4 (RFC 3056)
        [0x2001, 0, one, one, 0, 0, !high, !low], // Teredo, the client (RFC 4380)
        [0x2001, 0, high, low, 0, 0, !one, !one], // Teredo, the server
        [0x2a00, 0, 0, 0, 0, 0x5efe, high, low],  // ISATAP (RFC 5214)
        [0x2a00, 0, 0, 0, 0x0200, 0x5efe, high, low],
        [0, 0, 0, 0, 0, 0, high, low], // compatible (RFC 4291 section 2.5.5.1)
    ]
    .map(Ipv6Addr::from)
    .to_vec()
}
