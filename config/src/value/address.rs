//! Networks, and the addresses that nothing may ever be sent to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::{ValueError, leaf};

/// A network in CIDR form; a lone address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Its first and its last address.
    pub fn ends(&self) -> (IpAddr, IpAddr) {
        (self.0.network(), self.0.broadcast())
    }

    /// Whether this network lies wholly in loopback space: the one exception that can be asked for.
    pub fn is_loopback(&self) -> bool {
        match self.0 {
            IpNet::V4(net) => net.network().is_loopback() && net.prefix_len() >= 8,
            IpNet::V6(net) => net.network().is_loopback() && net.prefix_len() == 128,
        }
    }
}

impl FromStr for Network {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| {
                ValueError::new("is not a network").hint("write CIDR such as 10.20.0.0/16 or fd12:3456::/32")
            })?,
        };
        if net.network() != net.addr() {
            return Err(ValueError::new("has bits set behind its prefix").hint(format!("write {}", net.trunc())));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

leaf!(Network, "postern-network", "A network in CIDR form.", "10.20.0.0/16");

/// Why an address is refused whatever a boundary says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Forbidden {
    /// `127.0.0.0/8`, `::1`. The only kind that can be permitted, by an explicit flag.
    #[error("a loopback address")]
    Loopback,
    /// `169.254.0.0/16`, `fe80::/10`, `fd00:ec2::/32`: instance metadata, task credentials, link-local.
    #[error("a link-local or metadata address")]
    LinkLocal,
    /// `0.0.0.0/8`, `::`.
    #[error("an unspecified address")]
    Unspecified,
    /// Multicast, broadcast, reserved and documentation space: nothing listens there.
    #[error("a multicast, broadcast or reserved address")]
    Reserved,
    /// An IPv6 form that carries an IPv4 address: mapped, compatible, NAT64, 6to4, Teredo. The same
    /// host under another spelling, which would pass a check of the plain one.
    #[error("an IPv6 form of an IPv4 address")]
    Embedded,
}

/// Whether `address` may never be dialled, and why.
pub fn forbidden(address: IpAddr) -> Option<Forbidden> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<Forbidden> {
    match address.octets() {
        [0, ..] => Some(Forbidden::Unspecified),
        [127, ..] => Some(Forbidden::Loopback),
        [169, 254, ..] => Some(Forbidden::LinkLocal),
        [192, 0, 0, _] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(Forbidden::Reserved),
        [224..=255, ..] => Some(Forbidden::Reserved),
        _ => None,
    }
}

fn forbidden_v6(address: Ipv6Addr) -> Option<Forbidden> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Forbidden::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Forbidden::Loopback),
        // ::/96 (compatible), ::ffff:0:0/96 (mapped), ::ffff:0:0:0/96 (translated).
        [0, 0, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0, 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => {
            Some(Forbidden::Embedded)
        }
        // 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215).
        [0x64, 0xff9b, ..] => Some(Forbidden::Embedded),
        // Teredo 2001::/32 and 6to4 2002::/16.
        [0x2001, 0, ..] | [0x2002, ..] => Some(Forbidden::Embedded),
        [0x2001, 0xdb8, ..] | [0x100, 0, 0, 0, ..] => Some(Forbidden::Reserved),
        [0xfd00, 0xec2, ..] => Some(Forbidden::LinkLocal),
        [0xfe80..=0xfeff, ..] => Some(Forbidden::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Forbidden::Reserved),
        // ISATAP (RFC 5214): an interface identifier that holds an IPv4 address.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => Some(Forbidden::Embedded),
        _ => None,
    }
}

/// Whether `address` belongs to private space, which a destination must name to be reached.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || matches!(v4.octets(), [100, 64..=127, ..]),
        IpAddr::V6(v6) => matches!(v6.segments()[0], 0xfc00..=0xfdff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_forbidden_addresses_are_refused() {
        for text in [
            "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "169.254.170.23",
            "169.254.169.253", "169.254.169.123", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
            "192.0.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9", "::", "::1", "::ffff:127.0.0.1",
            "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::169.254.169.254", "::ffff:0:127.0.0.1",
            "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
            "2001::1", "2001:0:53aa:64c::1", "fd00:ec2::254", "fd00:ec2::23", "fe80::1", "fec0::1", "ff02::1",
            "2001:db8::1", "100::1", "fd12::5efe:7f00:1", "fd12::200:5efe:a9fe:a9fe",
        ] {
            assert!(forbidden(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in ["10.20.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd12:3456::1", "2600:1f18::1"]
        {
            assert_eq!(forbidden(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn a_network_is_written_in_its_own_form() {
        assert_eq!("10.0.0.1".parse::<Network>().unwrap().to_string(), "10.0.0.1/32");
        assert!("10.0.0.1/8".parse::<Network>().is_err());
        assert!("127.0.0.0/8".parse::<Network>().unwrap().is_loopback());
        assert!("127.0.0.1".parse::<Network>().unwrap().is_loopback());
        assert!("::1/128".parse::<Network>().unwrap().is_loopback());
        assert!(!"0.0.0.0/0".parse::<Network>().unwrap().is_loopback());
    }
}
