//! Where the API of a cluster is reached.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use rustls::pki_types::ServerName;
pub use shoal_access::API_PORT;

/// An address or a name, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: ServerName<'static>,
    port: u16,
}

impl Server {
    /// Reads `ADDRESS[:PORT]`; an IPv6 address with a port stands in brackets (RFC 3986 §3.2.2).
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let (host, port) = if let Ok(address) = bare.parse::<IpAddr>() {
            (Some(ServerName::from(address)), Some(API_PORT))
        } else if let Ok(address) = text.parse::<SocketAddr>() {
            (Some(ServerName::from(address.ip())), Some(address.port()))
        } else {
            let (name, port) = text.split_once(':').map_or((text, Some(API_PORT)), |(name, port)| (name, port.parse().ok()));
            (ServerName::try_from(name.to_owned()).ok(), port)
        };
        match (host, port) {
            (Some(host), Some(port @ 1..)) => Ok(Self { host, port }),
            _ => Err("write an address or a name, and a port if it is not 6443, such as 192.168.1.20 or box.example:6443".to_owned()),
        }
    }

    pub(super) const fn host(&self) -> &ServerName<'static> {
        &self.host
    }

    /// All addresses that it has; a name has at least one.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<SocketAddr> = (&*self.host.to_str(), self.port).to_socket_addrs()?.collect();
        if addresses.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")) } else { Ok(addresses) }
    }
}

impl fmt::Display for Server {
    /// `ADDRESS:PORT`, as it stands in a URI.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.to_str();
        if host.contains(':') { write!(formatter, "[{host}]:{}", self.port) } else { write!(formatter, "{host}:{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_or_a_name_with_a_port_or_without() {
        let table = [
            ("10.0.0.5", "10.0.0.5:6443"),
            ("10.0.0.5:7000", "10.0.0.5:7000"),
            ("box.example", "box.example:6443"),
            ("box:1", "box:1"),
            ("fd00::5", "[fd00::5]:6443"),
            ("[fd00::5]", "[fd00::5]:6443"),
            ("[fd00::5]:7000", "[fd00::5]:7000"),
        ];
        for (text, shown) in table {
            assert_eq!(Server::parse(text).map(|server| server.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in ["", "https://10.0.0.5", "10.0.0.5:0", "10.0.0.5:", "box:x", "box:70000", "a b", "[10.0.0.5"] {
            assert!(Server::parse(text).is_err(), "{text}");
        }
    }
}
