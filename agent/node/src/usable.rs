//! Whether the network is usable: a decision without I/O.
//!
//! It is, once a link has an address that somebody gave it, by a lease or a router advertisement; or once a link was up for [`CARRIER_ALONE`]: where nobody
//! gives addresses there are link-local ones, and a switch that learns its spanning tree (IEEE 802.1D: 2 × 15 s of forward delay) forwards by then.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use shoal_discovery_core::{Link, LinkIndex};

/// How long a link has to be up if nobody gives it an address.
pub const CARRIER_ALONE: Duration = Duration::from_secs(60);

/// What is known of the links. Moments are on any clock that does not go back.
#[derive(Debug, Default)]
pub struct Usable {
    up_since: BTreeMap<LinkIndex, Duration>,
    has_address: bool,
}

impl Usable {
    /// The links have changed: those that are up, with their addresses.
    pub fn links(&mut self, now: Duration, links: &[Link]) {
        self.up_since.retain(|index, _| links.iter().any(|link| link.index == *index));
        for link in links {
            self.up_since.entry(link.index).or_insert(now);
        }
        self.has_address = links.iter().flat_map(|link| &link.addresses).any(|address| was_given(*address));
    }

    /// Whether it is usable.
    #[must_use]
    pub fn is_usable(&self, now: Duration) -> bool {
        self.has_address || self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When it is usable, if no link changes; none if it is by its address, or there is no link.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let first = self.up_since.values().min().filter(|_| !self.has_address);
        first.map(|since| since.saturating_add(CARRIER_ALONE))
    }
}

/// Whether somebody gave a node this address. Link-local ones it gives itself (RFC 3927, RFC 4862).
const fn was_given(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_loopback(),
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn link(index: u32, addresses: &[&str]) -> Link {
        Link { index: LinkIndex(index), addresses: addresses.iter().map(|address| address.parse().unwrap()).collect() }
    }

    #[test]
    fn an_address_that_somebody_gave_makes_it_usable_at_once() {
        for (address, expected) in [
            ("192.168.1.7", true),
            ("fd00::7", true),
            ("2001:db8::7", true),
            ("169.254.3.4", false),
            ("fe80::1", false),
            ("127.0.0.1", false),
        ] {
            let mut usable = Usable::default();
            usable.links(seconds(5), &[link(2, &[]), link(3, &["fe80::9", address])]);
            assert_eq!(usable.is_usable(seconds(5)), expected, "{address}");
        }
    }

    #[test]
    fn without_one_the_link_that_was_up_longest_decides_after_a_minute() {
        let mut usable = Usable::default();
        assert!(usable.deadline().is_none() && !usable.is_usable(seconds(1000)));
        usable.links(seconds(10), &[link(2, &[])]);
        usable.links(seconds(30), &[link(2, &["fe80::1"]), link(3, &[])]);
        assert_eq!(usable.deadline(), Some(seconds(70)));
        assert!(!usable.is_usable(seconds(69)) && usable.is_usable(seconds(70)));
        // The cable was pulled and put back.
        usable.links(seconds(71), &[link(3, &[])]);
        usable.links(seconds(72), &[link(2, &[]), link(3, &[])]);
        assert!(!usable.is_usable(seconds(72)) && usable.deadline() == Some(seconds(90)));
        usable.links(seconds(80), &[]);
        assert!(!usable.is_usable(seconds(200)));
    }

    #[test]
    fn an_address_that_was_taken_back_counts_no_more() {
        let mut usable = Usable::default();
        usable.links(seconds(0), &[link(2, &["10.0.0.5"])]);
        assert!(usable.is_usable(seconds(0)) && usable.deadline().is_none());
        usable.links(seconds(20), &[link(2, &[])]);
        assert!(!usable.is_usable(seconds(20)) && usable.is_usable(seconds(60)));
    }
}
