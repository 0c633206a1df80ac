use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn rules(allow: &[&str], deny: &[&str]) -> EgressRules {
    let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
    EgressRules { allow: parse(allow), deny: parse(deny), allow_insecure_http: false }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn kinds() {
    for (kind_expected, addresses) in [
        (
            Kind::Public,
            "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 11.0.0.1 223.255.255.255 2606:4700::1111 2a00::1",
        ),
        (
            Kind::Public,
            "::ffff:1.1.1.1 ::1.1.1.1 64:ff9b::1.1.1.1 64:ff9b:1::1.1.1.1 2002:101:101::1 2001:0:101:101:0:0:fefe:fefe",
        ),
        (
            Kind::Internal,
            "10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 127.0.0.1 127.255.255.255 100.64.0.1 198.18.7.1 ::1 fd00::1 fc00::1",
        ),
        (
            Kind::Internal,
            "::ffff:10.0.0.1 ::10.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::127.0.0.1 2002:a00:1::1 2002:7f00:1:: 2001:db9::5efe:10.0.0.1",
        ),
        (Kind::Internal, "2001:0:101:101:0:0:80ff:fffe 2a00::200:5efe:192.168.1.1"),
        (
            Kind::Never,
            "169.254.169.254 169.254.0.1 100.100.100.200 168.63.129.16 0.0.0.0 0.1.2.3 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255",
        ),
        (
            Kind::Never,
            "192.0.0.192 192.0.2.1 198.51.100.1 203.0.113.1 192.88.99.1 fe80::1 febf::1 fec0::1 :: ff02::1 fd00:ec2::254 fd00:ec2::23 fd20:ce::254",
        ),
        (
            Kind::Never,
            "2001:db8::1 3fff::1 100::1 5f00::1 2001:2::1 2001:20::1 4000::1 64:ff9b:2::1 64:ff9b:1:0:a:0:1:1",
        ),
        (
            Kind::Never,
            "::ffff:169.254.169.254 ::169.254.169.254 ::ffff:0:169.254.169.254 64:ff9b::169.254.169.254 64:ff9b:1::169.254.169.254",
        ),
        (
            Kind::Never,
            "2002:a9fe:a9fe::1 2001:0:101:101:0:0:5601:5601 2001:0:a9fe:a9fe:0:0:fefe:fefe 2a00::5efe:169.254.169.254 ::ffff:0.0.0.0 ::2",
        ),
    ] {
        for address in addresses.split(' ') {
            assert_eq!(kind(ip(address)), kind_expected, "{address}");
        }
    }
}

#[test]
fn spellings_of_hosts() {
    let rules = rules(&[], &[]);
    let judge = |host: &str| rules.judge_url(&format!("https://{host}/token").parse().unwrap(), &[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.1.",
        "127.0.0.1..",
        "0x7f.1...",
        "%31%32%37.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1:8443",
        "0xa.0.0.1",
        "012.0.0.1",
    ] {
        assert_eq!(judge(host), Err(EgressDenial::Internal), "{host}");
    }
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:a9fe:a9fe]",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "0",
        "2852039166..",
        "[::]",
        "[fe80::1]",
        "255.255.255.255",
    ] {
        assert_eq!(judge(host), Err(EgressDenial::Never), "{host}");
    }
    for host in [
        "example.com",
        "EXAMPLE.com.",
        "localhost.",
        "localhost",
        "1.1.1.1",
        "xn--bcher-kva.example",
        "metadata.google.internal",
    ] {
        assert_eq!(judge(host), Ok(()), "{host}: a name is judged by its addresses");
    }
}

#[test]
fn urls() {
    let strict = rules(&[], &[]);
    let lenient = EgressRules { allow_insecure_http: true, ..strict.clone() };
    for (url, expected) in [
        ("http://example.com/", Err(EgressDenial::Scheme)),
        ("ftp://example.com/", Err(EgressDenial::Scheme)),
        ("file:///etc/passwd", Err(EgressDenial::Scheme)),
        ("data:text/plain,x", Err(EgressDenial::Scheme)),
        ("https://user@example.com/", Err(EgressDenial::UserInfo)),
        ("https://:pass@example.com/", Err(EgressDenial::UserInfo)),
        ("https://example.com@10.0.0.1/", Err(EgressDenial::UserInfo)),
        ("https://example.com/#f", Err(EgressDenial::Fragment)),
        ("https://example.com/#", Err(EgressDenial::Fragment)),
        ("https://./", Err(EgressDenial::NoHost)),
        ("https://1.2.3.4.5../", Err(EgressDenial::NoHost)),
        ("HTTPS://example.com:8443/token?a=b", Ok(())),
    ] {
        assert_eq!(strict.judge_url(&url.parse().unwrap(), &[]), expected, "{url}");
    }
    assert_eq!(lenient.judge_url(&"http://example.com/".parse().unwrap(), &[]), Ok(()));
    assert_eq!(lenient.judge_url(&"ftp://example.com/".parse().unwrap(), &[]), Err(EgressDenial::Scheme));
}

#[test]
fn flags_and_providers_open_internal_ranges_only() {
    let public = ip("1.1.1.1");
    let internal = ip("10.1.2.3");
    let metadata = ip("169.254.169.254");
    let all = rules(&["0.0.0.0/0", "::/0", "idp.internal"], &[]);
    assert_eq!(all.judge_address(None, internal, &[]), Ok(()));
    assert_eq!(all.judge_address(None, ip("::ffff:10.1.2.3"), &[]), Ok(()));
    assert_eq!(all.judge_address(Some("idp.internal"), metadata, &[]), Err(EgressDenial::Never));
    assert_eq!(all.judge_address(None, ip("fe80::1"), &["fe80::/10".parse().unwrap()]), Err(EgressDenial::Never));

    let named = rules(&["IDP.internal."], &[]);
    assert_eq!(named.judge_address(Some("idp.INTERNAL"), internal, &[]), Ok(()));
    assert_eq!(named.judge_address(Some("idp.internal."), internal, &[]), Ok(()));
    assert_eq!(named.judge_address(Some("evil.idp.internal"), internal, &[]), Err(EgressDenial::Internal));
    assert_eq!(named.judge_address(None, internal, &[]), Err(EgressDenial::Internal));

    let none = rules(&[], &[]);
    assert_eq!(none.judge_address(None, internal, &["10.0.0.0/8".parse().unwrap()]), Ok(()));
    assert_eq!(none.judge_address(None, ip("64:ff9b::10.1.2.3"), &["10.0.0.0/8".parse().unwrap()]), Ok(()));
    assert_eq!(none.judge_address(None, internal, &["::ffff:10.0.0.0/104".parse().unwrap()]), Ok(()));
    assert_eq!(none.judge_address(None, internal, &["192.168.0.0/16".parse().unwrap()]), Err(EgressDenial::Internal));
    assert_eq!(none.judge_address(None, public, &[]), Ok(()));
}

#[test]
fn deny_wins() {
    let rules = rules(&["10.0.0.0/8", "idp.internal"], &["10.1.0.0/16", "1.1.1.1", "bad.example", "2606::/16"]);
    let provider: IpNet = "10.0.0.0/8".parse().unwrap();
    for (host, address, expected) in [
        (None, "10.1.2.3", Err(EgressDenial::Denied)),
        (Some("idp.internal"), "10.1.2.3", Err(EgressDenial::Denied)),
        (Some("idp.internal"), "::ffff:10.1.2.3", Err(EgressDenial::Denied)),
        (None, "64:ff9b::10.1.2.3", Err(EgressDenial::Denied)),
        (None, "1.1.1.1", Err(EgressDenial::Denied)),
        (None, "2606:4700::1111", Err(EgressDenial::Denied)),
        (Some("Bad.Example."), "8.8.8.8", Err(EgressDenial::Denied)),
        (Some("good.example"), "8.8.8.8", Ok(())),
        (None, "10.2.0.1", Ok(())),
    ] {
        assert_eq!(rules.judge_address(host, ip(address), &[provider]), expected, "{host:?} {address}");
    }
    assert_eq!(rules.judge_url(&"https://BAD.example./".parse().unwrap(), &[]), Err(EgressDenial::Denied));
}

#[test]
fn rules_are_read() {
    for (text, expected) in [
        ("10.0.0.0/8", Some(EgressRule::Cidr("10.0.0.0/8".parse().unwrap()))),
        ("10.0.0.1", Some(EgressRule::Cidr("10.0.0.1/32".parse().unwrap()))),
        ("::1", Some(EgressRule::Cidr("::1/128".parse().unwrap()))),
        ("[::1]", Some(EgressRule::Cidr("::1/128".parse().unwrap()))),
        ("::ffff:10.0.0.0/104", Some(EgressRule::Cidr("10.0.0.0/8".parse().unwrap()))),
        ("Example.COM.", Some(EgressRule::Host("example.com".into()))),
        ("10.0.0.0/33", None),
        ("exa mple", None),
        ("https://example.com", None),
        ("example.com:443", None),
        ("", None),
    ] {
        assert_eq!(text.parse::<EgressRule>().ok(), expected, "{text}");
    }
}

proptest! {
    /// However an IPv4 address is wrapped, it is judged as strictly as itself.
    #[test]
    fn wrapping_gains_nothing(bits: u32) {
        let v4 = Ipv4Addr::from_bits(bits);
        let [a, b, c, d] = v4.octets().map(u16::from);
        let (high, low) = (a << 8 | b, c << 8 | d);
        let inner = kind(v4.into());
        for segments in [
            [0, 0, 0, 0, 0, 0xffff, high, low],
            [0, 0, 0, 0, 0xffff, 0, high, low],
            [0x64, 0xff9b, 0, 0, 0, 0, high, low],
            [0x64, 0xff9b, 1, 0, 0, 0, high, low],
            [0x2002, high, low, 0, 0, 0, 0, 1],
            [0x2001, 0, 0x0101, 0x0101, 0, 0, !high, !low],
            [0x2001, 0, high, low, 0, 0, !0x0101, !0x0101],
            [0x2a00, 0, 0, 0, 0, 0x5efe, high, low],
        ] {
            let address = Ipv6Addr::from(segments);
            prop_assert_eq!(kind(address.into()), inner, "{}", address);
        }
    }

    /// No flag and no provider opens a link-local address.
    #[test]
    fn never_means_never(bits: u16) {
        let [a, b] = bits.to_be_bytes();
        let all = rules(&["0.0.0.0/0", "::/0", "host"], &[]);
        let allowed: Vec<IpNet> = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        prop_assert_eq!(all.judge_address(Some("host"), Ipv4Addr::new(169, 254, a, b).into(), &allowed), Err(EgressDenial::Never));
    }

    /// Whatever a URL looks like, judging it doesn't panic, and what passes has an https scheme.
    #[test]
    fn judging_never_panics(text in "(https?://)?[0-9a-fxA-F.:\\[\\]@%#/?-]{0,40}") {
        if let Ok(url) = text.parse::<Url>() && rules(&[], &[]).judge_url(&url, &[]).is_ok() {
            prop_assert_eq!(url.scheme(), "https");
        }
    }
}
