//! Which hosts other instances may have. Their addresses come from a topic: whoever can write to it must not be able to
//! make this process ask anything else, or show a caller's token to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::Uri;

/// Private addresses: who set no `http.peers` has instances on one network.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
/// Allowed where this instance itself is known under such an address.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// The hosts that may be asked; by default private ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Network {
        address: IpAddr,
        bits: u32,
    },
    /// In lower case. Whatever it resolves to.
    Name(String),
}

/// Another instance, as its URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_secure: bool,
    /// As it stands in `Host`.
    pub(crate) authority: String,
}

impl Peers {
    /// Reads `http.peers`.
    ///
    /// # Errors
    /// A sentence that names the part that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<Vec<Rule>, String>>().map(Self)
    }

    /// Those of `addresses`, which the peer's host resolves to, that may be asked by an instance known as `own_url`.
    pub(crate) fn admit(&self, peer: &Peer, own_url: &str, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let host = peer.host.to_lowercase();
        if self.0.iter().any(|rule| matches!(rule, Rule::Name(name) if *name == host)) {
            return addresses;
        }
        let is_near = own_url.is_empty() || Peer::parse(own_url).is_some_and(|own| own.is_loopback());
        let unset = PRIVATE.iter().chain(LOOPBACK.iter().filter(|_| is_near));
        let unset: Vec<Rule> = unset.filter_map(|rule| rule.parse().ok()).collect();
        let rules = if self.0.is_empty() { &unset } else { &self.0 };
        addresses.into_iter().filter(|at| rules.iter().any(|rule| rule.holds(at.ip()))).collect()
    }
}

impl Rule {
    fn holds(&self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Self::Network { address: IpAddr::V4(network), bits }, IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(*bits);
                let head = |of: Ipv4Addr| u32::from(of).checked_shr(shift).unwrap_or(0);
                head(*network) == head(address)
            }
            (Self::Network { address: IpAddr::V6(network), bits }, IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(*bits);
                let head = |of: Ipv6Addr| u128::from(of).checked_shr(shift).unwrap_or(0);
                head(*network) == head(address)
            }
            (Self::Network { .. } | Self::Name(_), IpAddr::V4(_) | IpAddr::V6(_)) => false,
        }
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no network like 10.0.0.0/8, no address and no host name");
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network { address, bits: if address.is_ipv4() { 32 } else { 128 } });
        }
        if let Some((address, bits)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| bad())?;
            let bits_max = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(bad)?;
            return Ok(Self::Network { address, bits });
        }
        let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if is_name { Ok(Self::Name(text.to_lowercase())) } else { Err(bad()) }
    }
}

impl Peer {
    /// The peer in a URL without anything behind its host and port; none when it is not one that an instance may announce.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.trim_end_matches('/').parse().ok()?;
        let is_secure = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _other => return None,
        };
        let authority = uri.authority()?;
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return None;
        }
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Some(Self { host, port, is_secure, authority: authority.to_string() })
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an instance at `own_url` may ask `url`, whose host resolves to `address`.
    fn allows(peers: &str, own_url: &str, url: &str, address: &str) -> bool {
        let peer = Peer::parse(url).unwrap();
        let addresses = vec![SocketAddr::new(address.parse().unwrap(), peer.port)];
        !Peers::parse(peers).unwrap().admit(&peer, own_url, addresses).is_empty()
    }

    #[test]
    fn without_a_list_peers_are_private_and_loopback_is_for_those_that_are_on_it() {
        let (near, far) = ("http://127.0.0.1:9733", "http://grid-1:9733");
        for address in ["10.1.2.3", "172.31.0.1", "192.168.7.7", "fd00::7", "::ffff:10.0.0.1"] {
            assert!(allows("", near, "http://grid-2:9733", address), "{address}");
            assert!(allows("", far, "http://grid-2:9733", address), "{address}");
        }
        for address in ["127.0.0.1", "::1", "127.9.9.9", "::ffff:127.0.0.1"] {
            assert!(allows("", near, "http://grid-2:9733", address), "{address}");
            assert!(!allows("", far, "http://grid-2:9733", address), "{address}");
        }
        // Link-local has the clouds' servers of secrets; the others are anywhere.
        for address in ["169.254.169.254", "8.8.8.8", "172.32.0.1", "2001:db8::1", "fe80::1", "0.0.0.0"] {
            assert!(!allows("", near, "http://grid-2:9733", address), "{address}");
        }
    }

    #[test]
    fn a_list_is_all_there_is() {
        let list = "10.7.0.0/16, Grid-2.example, 2001:db8::/32, 192.0.2.1";
        for (url, address, is_allowed) in [
            ("http://any:1", "10.7.255.1", true),
            ("http://any:1", "10.8.0.1", false),
            ("http://any:1", "127.0.0.1", false),
            ("http://grid-2.EXAMPLE:1", "8.8.8.8", true),
            ("http://grid-3.example:1", "8.8.8.8", false),
            ("http://[2001:db8::7]:1", "2001:db8::7", true),
            ("http://192.0.2.1", "192.0.2.1", true),
            ("http://192.0.2.2", "192.0.2.2", false),
        ] {
            assert_eq!(allows(list, "http://127.0.0.1:9733", url, address), is_allowed, "{url} {address}");
        }
        assert!(allows("0.0.0.0/0", "http://x", "http://y", "8.8.8.8"));
        for bad in ["10.0.0.0/33", "10.0.0/8", "a b", "http://x", "x/8"] {
            assert!(Peers::parse(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_peer_is_a_host_and_a_port_and_nothing_else() {
        let peer = Peer::parse("http://grid-1:9733/").unwrap();
        assert_eq!((peer.host.as_str(), peer.port, peer.is_secure), ("grid-1", 9733, false));
        let peer = Peer::parse("http://[::1]:7").unwrap();
        assert_eq!((peer.host.as_str(), peer.authority.as_str()), ("::1", "[::1]:7"));
        assert_eq!(Peer::parse("https://grid-1").map(|peer| (peer.port, peer.is_secure)), Some((443, true)));
        for bad in [
            "",
            "grid-1:9733",
            "ftp://x",
            "http://a@b:1",
            "http://x/containers",
            "http://x/?a=",
            "file:///etc",
        ] {
            assert_eq!(Peer::parse(bad), None, "{bad}");
        }
    }
}
