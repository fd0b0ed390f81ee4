//! What identifies fleets, clusters and nodes, and a fleet's policy.

use core::{fmt, num::NonZeroU32};

use alloc::{string::String, vec::Vec};
use sha2::{Digest, Sha256};

use crate::text::hexadecimal;

/// Nodes that a fleet can be said to expect, at most: as many peers as a node keeps in its table.
pub const EXPECT_MAX: u32 = 256;

/// A 128-bit number that identifies something in public.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            /// 32 hexadecimal digits.
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                hexadecimal(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }
    };
}

id! {
    /// Which fleet an image belongs to: the boxes of one owner. Public.
    FleetId
}
id! {
    /// Which cluster: minted at random by its founder. Two halves of a fleet that found apart from each other have two.
    ClusterId
}

/// The index of the log entry that admitted a node to its cluster. It is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// Which build an image is. Public: whoever has the image has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// What the image was built from, as one hash: images with the same contents have the same.
    pub id: [u8; 32],
    /// Seconds since 1970, at least 1: the earliest time that can be now.
    pub time: u32,
}

impl Build {
    /// The fleet of all unclaimed boxes with this build.
    #[must_use]
    pub fn unclaimed_fleet(&self) -> FleetId {
        let hash: [u8; 32] = Sha256::new_with_prefix(b"shoal unclaimed fleet v1").chain_update(self.id).finalize().into();
        let (id, _) = hash.split_first_chunk().expect("a hash is longer than an id");
        FleetId(*id)
    }
}

/// Which join secret of a fleet, counted from 1. Each rotation makes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(NonZeroU32);

impl Generation {
    /// That of a new fleet.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// `None` for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The one after this; `None` after four thousand million rotations.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a node that has the join secret gets, once the cluster is sealed. Before that, anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// Anything: a stick from the owner's image replaces a dead box without a command.
    #[default]
    Open,
    /// To be a worker. To vote, and to hold keys, an operator has to approve it.
    Guarded,
    /// Nothing, until an operator approves it.
    Strict,
}

impl Admission {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Guarded => 1,
            Self::Strict => 2,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Open),
            1 => Some(Self::Guarded),
            2 => Some(Self::Strict),
            _ => None,
        }
    }
}

/// How many nodes a fleet has, where that is known: 1 to [`EXPECT_MAX`]. More than half must be there before one of them founds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expect(NonZeroU32);

impl Expect {
    /// `None` if it is 0 or more than [`EXPECT_MAX`].
    #[must_use]
    pub fn new(nodes: u32) -> Option<Self> {
        NonZeroU32::new(nodes).filter(|nodes| nodes.get() <= EXPECT_MAX).map(Self)
    }

    /// The number of nodes.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// What is decided when an image is built or stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Until an entry of the log, signed by the operator, says otherwise.
    pub admission: Admission,
    /// How many nodes there will be, if that is known.
    pub expect: Option<Expect>,
}

/// 64 bits by which nodes on a link see whether a beacon concerns them, without telling others more than that two beacons are of the same fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FleetTag(pub [u8; 8]);

/// 64 bits by which nodes see whether two beacons are of the same cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterTag(pub [u8; 8]);

impl FleetId {
    /// What beacons show of it.
    #[must_use]
    pub fn tag(&self) -> FleetTag {
        FleetTag(tag(b"shoal fleet tag v1", &self.0))
    }
}

impl ClusterId {
    /// What beacons show of it.
    #[must_use]
    pub fn tag(&self) -> ClusterTag {
        ClusterTag(tag(b"shoal cluster tag v1", &self.0))
    }
}

fn tag(label: &[u8], id: &[u8; 16]) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::new_with_prefix(label).chain_update(id).finalize().into();
    let (tag, _) = hash.split_first_chunk().expect("a hash is longer than a tag");
    *tag
}

/// What an operator calls a fleet: 1 to 32 of `a`–`z`, `0`–`9` and `-`, a letter first. It is in the operator's own files only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetName(String);

impl FleetName {
    /// Characters at most: it goes into file names.
    pub const CHARACTERS_MAX: usize = 32;

    /// `None` if it is no such name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let bytes: Vec<u8> = name.bytes().collect();
        let is_allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        let is_name =
            bytes.len() <= Self::CHARACTERS_MAX && bytes.first().is_some_and(u8::is_ascii_lowercase) && bytes.iter().all(is_allowed);
        is_name.then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn ids_are_shown_as_32_digits() {
        assert_eq!(FleetId([0x0a; 16]).to_string(), "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a");
    }

    #[test]
    fn tags_of_fleets_and_clusters_differ_for_equal_ids() {
        assert_ne!(FleetId([1; 16]).tag().0, ClusterId([1; 16]).tag().0);
    }

    #[test]
    fn names_of_fleets_are_plain() {
        let table = [
            ("site1", true),
            ("a", true),
            ("my-home", true),
            ("", false),
            ("1site", false),
            ("-a", false),
            ("Site", false),
            ("a/b", false),
        ];
        for (name, is_name) in table {
            assert_eq!(FleetName::new(name).is_some(), is_name, "{name}");
        }
        assert!(FleetName::new(&"a".repeat(32)).is_some() && FleetName::new(&"a".repeat(33)).is_none());
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!((Expect::new(0), Expect::new(257), Expect::new(256).map(Expect::get)), (None, None, Some(256)));
        assert_eq!(
            (Generation::new(0), Generation::FIRST.next(), Generation::new(u32::MAX).unwrap().next()),
            (None, Generation::new(2), None)
        );
    }
}
