//! Links, as the shell finds them.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};

use alloc::vec::Vec;
use shoal_trust::beacon::{ADDRESSES_MAX, is_address_of_a_peer};

/// The kernel's number of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkIndex(pub u32);

/// A physical link that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: LinkIndex,
    /// Its addresses that can be used, in any order.
    pub addresses: Vec<IpAddr>,
}

impl Link {
    /// The addresses to announce on it, ascending: [`ADDRESSES_MAX`] at most. The link-local one of IPv6 first, since it needs neither router nor server;
    /// then those of IPv4; then the rest.
    pub(crate) fn announced(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = self.addresses.iter().copied().filter(|address| is_address_of_a_peer(*address)).collect();
        addresses.sort_unstable_by_key(|address| {
            let rank = match address {
                IpAddr::V6(address) if address.is_unicast_link_local() => 0,
                IpAddr::V4(_) => 1,
                IpAddr::V6(_) => 2,
            };
            (rank, *address)
        });
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        addresses.sort_unstable();
        addresses
    }
}

/// Where to connect to for an address that was heard of on a link: a link-local one of IPv6 is one there only.
pub(crate) fn on_link(address: IpAddr, port: u16, link: LinkIndex) -> SocketAddr {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => SocketAddrV6::new(address, port, 0, link.0).into(),
        address => SocketAddr::new(address, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_addresses_that_need_the_least_are_announced() {
        let mut addresses: Vec<IpAddr> = (1..=20_u16).map(|low| IpAddr::V6([0xfd00, 0, 0, 0, 0, 0, 0, low].into())).collect();
        addresses.extend([ip("192.168.1.2"), ip("127.0.0.1"), ip("fe80::7"), ip("192.168.1.2"), ip("::1")]);
        let announced = Link { index: LinkIndex(3), addresses }.announced();
        assert_eq!(announced.len(), ADDRESSES_MAX);
        assert!(announced.contains(&ip("fe80::7")) && announced.contains(&ip("192.168.1.2")) && announced.contains(&ip("fd00::6")));
        assert!(announced.windows(2).all(|pair| pair[0] < pair[1]), "as beacons want them");
    }

    #[test]
    fn only_link_local_addresses_are_bound_to_a_link() {
        let table = vec![("fe80::1", "[fe80::1%9]:5"), ("fd00::1", "[fd00::1]:5"), ("169.254.1.1", "169.254.1.1:5")];
        for (address, expected) in table {
            assert_eq!(on_link(ip(address), 5, LinkIndex(9)), expected.parse().unwrap());
        }
    }
}
