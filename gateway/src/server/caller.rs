//! Where a request comes from: the address that is connected, or the one that trusted proxies say they pass on.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::header::FORWARDED;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The header of those proxies that do not write `Forwarded`.
const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// Hops that are looked at; whoever is farther away is not known.
const HOPS_MAX: usize = 32;

/// The address of whoever calls, in a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The address that is connected, in a request's extensions: a proxy's, or the caller's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// What counts as one caller: an IPv4 address, or the /64 that a provider gives to one customer.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// In which header proxies say whom they pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded`, RFC 7239.
    Forwarded,
}

/// The proxies that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.leading_zeros() >= self.bits
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differs = network.to_bits() ^ address.to_bits();
                differs.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither an address nor a network");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits <= most { Ok(Self { address, bits }) } else { Err(wrong()) }
    }
}

impl FromStr for Proxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(Network::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Proxies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Proxies {
    /// Whether that address is one of them.
    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Who calls: the hop nearest to us that is none of them. What a hop says that is not believed counts for nothing,
    /// so a caller's own header is never believed.
    pub(crate) fn caller(&self, peer: IpAddr, header: ForwardedHeader, headers: &HeaderMap) -> ClientAddress {
        let mut nearest = peer;
        if self.contain(peer) {
            for hop in hops(header, headers).into_iter().rev().take(HOPS_MAX) {
                let Some(address) = hop else { break };
                nearest = address;
                if !self.contain(address) {
                    break;
                }
            }
        }
        ClientAddress(nearest)
    }
}

/// The hops from the farthest to the nearest; `None` for one that does not say its address.
fn hops(header: ForwardedHeader, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = |name: &str| -> Vec<String> {
        let lines = headers.get_all(name).iter();
        // A line that is no text hides who is behind it.
        let lines = lines.map(|line| line.to_str().unwrap_or_default().split(',').map(str::to_owned));
        lines.flatten().collect()
    };
    match header {
        ForwardedHeader::XForwardedFor => {
            values(X_FORWARDED_FOR).iter().map(|hop| address(hop.trim())).collect()
        }
        ForwardedHeader::Forwarded => {
            values(FORWARDED.as_str()).iter().map(|hop| forwarded_for(hop)).collect()
        }
    }
}

/// The address of one element of `Forwarded`: `for=192.0.2.60;proto=http`, `for="[2001:db8::1]:4711"`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    address(value.trim().trim_matches('"'))
}

/// An address, perhaps with a port, in brackets where it is IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address: IpAddr = text.parse().ok().or_else(with_port).or_else(bare)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        proxies: &str,
        peer: &str,
        header: ForwardedHeader,
        lines: &[(&'static str, &str)],
        expect: &str,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let proxies: Proxies = proxies.parse().unwrap();
        let caller = proxies.caller(peer.parse().unwrap(), header, &headers);
        assert_eq!(caller, ClientAddress(expect.parse().unwrap()), "{lines:?}");
    }

    #[test]
    fn the_caller_is_the_nearest_hop_that_no_trusted_proxy_is() {
        let x = |proxies: &str, peer: &str, lines: &[&str], expect: &str| {
            let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            check(proxies, peer, ForwardedHeader::XForwardedFor, &lines, expect);
        };
        x("", "10.0.0.1", &["1.1.1.1"], "10.0.0.1");
        x("10.0.0.0/8", "192.0.2.1", &["1.1.1.1"], "192.0.2.1");
        x("10.0.0.0/8", "10.0.0.1", &[], "10.0.0.1");
        x("10.0.0.0/8", "10.0.0.1", &["1.1.1.1"], "1.1.1.1");
        // What the caller has written itself stands to the left of what the proxy saw.
        x("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1");
        x("10.0.0.0/8", "10.0.0.1", &["6.6.6.6", "1.1.1.1, 10.2.3.4"], "1.1.1.1");
        x("10.0.0.0/8", "10.0.0.1", &["10.9.9.9, 10.2.3.4"], "10.9.9.9");
        x("10.0.0.0/8", "10.0.0.1", &["1.1.1.1, unknown, 10.2.3.4"], "10.2.3.4");
        x("10.0.0.0/8", "10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1");
        x("10.0.0.0/8", "10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1");
        x("fd00::/8,10.0.0.1", "fd12::1", &["2001:db8::7, 10.0.0.1"], "2001:db8::7");
    }

    #[test]
    fn only_the_configured_header_is_believed() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=\"[2001:db8::1]:47\";proto=https")];
        check("10.0.0.1", "10.0.0.1", ForwardedHeader::Forwarded, &lines, "2001:db8::1");
        check("10.0.0.1", "10.0.0.1", ForwardedHeader::XForwardedFor, &lines, "6.6.6.6");
        check("10.0.0.1", "10.0.0.1", ForwardedHeader::Forwarded, &lines[..1], "10.0.0.1");
        let several = [("forwarded", "For=6.6.6.6, for=1.1.1.1;by=10.0.0.1")];
        check("10.0.0.1", "10.0.0.1", ForwardedHeader::Forwarded, &several, "1.1.1.1");
        check(
            "10.0.0.1",
            "10.0.0.1",
            ForwardedHeader::Forwarded,
            &[("forwarded", "for=_hidden")],
            "10.0.0.1",
        );
    }

    #[test]
    fn networks_are_written_as_addresses_or_with_their_bits() {
        for wrong in ["10.0.0.0/33", "10.0.0", "proxy", "::/129", "10.0.0.0/x"] {
            assert!(wrong.parse::<Proxies>().is_err(), "{wrong}");
        }
        let all: Proxies = "0.0.0.0/0, ::/0".parse().unwrap();
        assert!(all.contain("8.8.8.8".parse().unwrap()) && all.contain("2001::1".parse().unwrap()));
        assert_eq!(" ".parse(), Ok(Proxies::default()));
    }

    #[test]
    fn ipv6_callers_count_by_their_64_bits() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
