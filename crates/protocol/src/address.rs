//! Which addresses a stranger may make a program talk to: public ones, and those that its owner names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;

/// Why a URL of a stranger is not asked.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error("`{url}` is refused: {reason}")]
    Refused { url: Box<Url>, reason: String },
    #[error("cannot find the host of `{url}`: {error}")]
    Unknown { url: Box<Url>, error: std::io::Error },
}

/// Hosts that may be private, as the owner's own configuration names them: `host` or `host:port`.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    hosts: Vec<String>,
}

impl Allowed {
    #[must_use]
    pub fn new(hosts: &[String]) -> Self {
        Self { hosts: hosts.iter().map(|host| host.to_lowercase()).collect() }
    }

    fn names(&self, host: &str, port: u16) -> bool {
        let host = host.to_lowercase();
        self.hosts.iter().any(|allowed| *allowed == host || *allowed == format!("{host}:{port}"))
    }

    /// Resolves a URL's host once, and says which addresses may be connected to. The caller connects to these and no
    /// others, so that a name cannot change its meaning in between.
    pub async fn resolve(&self, url: &Url) -> Result<(String, Vec<SocketAddr>), AddressError> {
        let refused = |reason| AddressError::Refused { url: Box::new(url.clone()), reason };
        let host = url.host_str().ok_or_else(|| refused("it names no host".into()))?.to_owned();
        let port = url.port_or_known_default().ok_or_else(|| refused("it names no port".into()))?;
        if !matches!(url.scheme(), "https") && !self.names(&host, port) {
            return Err(refused("only https is allowed".into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it holds a user name".into()));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let found: Vec<SocketAddr> = tokio::net::lookup_host((bare.as_str(), port))
            .await
            .map_err(|error| AddressError::Unknown { url: Box::new(url.clone()), error })?
            .collect();
        if self.names(&host, port) {
            return Ok((host, found));
        }
        match found.iter().find(|address| !is_public(address.ip())) {
            Some(address) => Err(refused(format!("{} is not a public address", address.ip()))),
            None => Ok((host, found)),
        }
    }
}

/// Whether an address belongs to the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Carrier-grade NAT, RFC 6598; protocol assignments, RFC 6890; benchmarks, RFC 2544.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (b == 18 || b == 19));
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // IPv4 in another dress: mapped, compatible, NAT64 and 6to4.
    if let Some(mapped) = address.to_ipv4() {
        return is_public_v4(mapped);
    }
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_public_v4(embedded(segments[6], segments[7]));
    }
    if segments[0] == 0x2002 {
        return is_public_v4(embedded(segments[1], segments[2]));
    }
    // Global unicast is 2000::/3; documentation (2001:db8::/32) and special ranges (2001::/23) are not.
    segments[0] & 0xe000 == 0x2000
        && !(segments[0] == 0x2001 && (segments[1] == 0xdb8 || segments[1] < 0x200))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.1",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn private_addresses_need_the_owners_word() {
        let url = |text: &str| text.parse().unwrap();
        let nobody = Allowed::default();
        for text in [
            "https://127.0.0.1/a",
            "https://localhost/a",
            "https://[::1]/a",
            "https://169.254.169.254/latest/meta-data",
            "https://0x7f000001/a",
            "https://2130706433/a",
            "https://127.1/a",
            "http://1.1.1.1/a",
            "https://user@1.1.1.1/a",
        ] {
            let refused = nobody.resolve(&url(text)).await;
            assert!(matches!(refused, Err(AddressError::Refused { .. })), "{text}: {refused:?}");
        }
        let allowed = Allowed::new(&["127.0.0.1:8443".into(), "localhost".into()]);
        assert!(allowed.resolve(&url("http://127.0.0.1:8443/a")).await.is_ok());
        assert!(
            allowed.resolve(&url("https://127.0.0.1:9/a")).await.is_err(),
            "another port was not named"
        );
        assert!(allowed.resolve(&url("http://localhost:1/a")).await.is_ok());
        assert!(nobody.resolve(&url("https://1.1.1.1/a")).await.is_ok());
    }
}
