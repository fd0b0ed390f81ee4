//! Ranges of IPv4 addresses, and the choice of two that collide with nothing at a site.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Prefix length of a node's part of the pods' range: 254 pods, twice the kubelet's own limit, so that an address rests before it is used again.
pub const NODE_PREFIX: u8 = 24;

/// Prefix length of the pods' and of the Services' range: 256 nodes, and 65 thousand Services.
const PREFIX: u8 = 16;

/// Candidates, the second octet for pods and for Services in 10.0.0.0/8. First what everybody knows from kubeadm; the others are far from it and from
/// the low numbers that sites give themselves.
const CANDIDATES: [(u8, u8); 4] = [(244, 96), (245, 97), (212, 213), (152, 153)];

/// Addresses that share a prefix, as `10.244.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    first: Ipv4Addr,
    prefix: u8,
}

/// A text that is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a range of addresses: write it like 10.244.0.0/16")]
pub struct NotARange(String);

impl Range {
    /// The range of `prefix` bits (at most 32) that `address` is in.
    #[must_use]
    pub const fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix as u32) };
        Self { first: Ipv4Addr::from_bits(address.to_bits() & mask), prefix }
    }

    /// Its first address.
    #[must_use]
    pub const fn first(&self) -> Ipv4Addr {
        self.first
    }

    /// How many bits its addresses share.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        Self::of(address, self.prefix) == *self
    }

    /// Whether some address is in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let prefix = self.prefix.min(other.prefix);
        Self::of(self.first, prefix) == Self::of(other.first, prefix)
    }

    /// The address with this number in it.
    ///
    /// # Panics
    /// If it is beyond the range: a plan with another node's addresses must not be made.
    #[must_use]
    pub fn host(&self, number: u32) -> Ipv4Addr {
        let address = Ipv4Addr::from_bits(self.first.to_bits() + number);
        assert!(self.contains(address), "{self} has no address number {number}");
        address
    }

    /// Its part number `number` of those with `prefix` bits.
    ///
    /// # Panics
    /// If it has not so many parts.
    #[must_use]
    pub fn part(&self, prefix: u8, number: u32) -> Self {
        Self { first: self.host(number << (32 - u32::from(prefix))), prefix }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.prefix)
    }
}

impl FromStr for Range {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let range = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix) = (address.parse().ok()?, prefix.parse().ok().filter(|prefix| *prefix <= 32)?);
            // Bits behind the prefix are a slip of whoever wrote it.
            Some(Self::of(address, prefix)).filter(|range| range.first == address)
        };
        range().ok_or_else(|| NotARange(text.to_owned()))
    }
}

impl TryFrom<String> for Range {
    type Error = NotARange;

    fn try_from(text: String) -> Result<Self, NotARange> {
        text.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> Self {
        range.to_string()
    }
}

/// Ranges for pods and Services that share no address with `used`, what the node's links have. If a site uses a part of every candidate, the first
/// one is taken: a cluster with some of its site's addresses hidden is better than none.
#[must_use]
pub fn choose(used: &[Range]) -> (Range, Range) {
    let range = |octet| Range::of(Ipv4Addr::new(10, octet, 0, 0), PREFIX);
    let free = |range: &Range| !used.iter().any(|used| used.overlaps(range));
    let mut candidates = CANDIDATES.into_iter().map(|(pods, services)| (range(pods), range(services)));
    candidates.find(|(pods, services)| free(pods) && free(services)).unwrap_or((range(CANDIDATES[0].0), range(CANDIDATES[0].1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> Range {
        text.parse().expect(text)
    }

    #[test]
    fn ranges_are_read_and_written_and_slips_are_refused() {
        assert_eq!(range("10.244.0.0/16").to_string(), "10.244.0.0/16");
        for text in ["", "10.244.0.0", "10.244.0.0/33", "10.244.0.1/16", "10.244.0/16", "a/8"] {
            assert!(text.parse::<Range>().unwrap_err().to_string().contains("write it like"), "{text}");
        }
    }

    #[test]
    fn nodes_have_parts_that_do_not_overlap() {
        let pods = range("10.244.0.0/16");
        assert_eq!(pods.part(NODE_PREFIX, 0), range("10.244.0.0/24"));
        assert_eq!(pods.part(NODE_PREFIX, 255), range("10.244.255.0/24"));
        assert_eq!(range("10.96.0.0/16").host(10), Ipv4Addr::new(10, 96, 0, 10));
    }

    #[test]
    #[should_panic(expected = "has no address number")]
    fn a_node_beyond_the_range_gets_no_other_nodes_addresses() {
        let _ = range("10.244.0.0/16").part(NODE_PREFIX, 256);
    }

    #[test]
    fn a_site_that_uses_a_range_gets_another() {
        assert_eq!(choose(&[]), (range("10.244.0.0/16"), range("10.96.0.0/16")));
        assert_eq!(choose(&[range("10.96.7.0/24")]), (range("10.245.0.0/16"), range("10.97.0.0/16")));
        assert_eq!(choose(&[range("10.244.0.0/14")]), (range("10.212.0.0/16"), range("10.213.0.0/16")));
        assert_eq!(choose(&[range("10.0.0.0/8")]), choose(&[]), "there is no way out");
    }

    proptest! {
        #[test]
        fn what_is_chosen_overlaps_nothing_unless_all_of_it_is_used(used in proptest::collection::vec((any::<u32>(), 9_u8..=32), 0..6)) {
            let used: Vec<Range> = used.into_iter().map(|(bits, prefix)| Range::of(Ipv4Addr::from_bits(bits & 0x00ff_ffff | 10 << 24), prefix)).collect();
            let (pods, services) = choose(&used);
            prop_assert!(!pods.overlaps(&services));
            if used.len() < CANDIDATES.len() && used.iter().all(|range| range.prefix >= PREFIX) {
                prop_assert!(!used.iter().any(|range| range.overlaps(&pods) || range.overlaps(&services)));
            }
        }
    }
}
