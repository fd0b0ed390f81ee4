//! Names of nodes, clusters and processes. All of them are drawn outside, by a generator that an attacker cannot guess.

use core::fmt;

/// A node's public key: what it is known by to everybody. Minted on the device, and again after each wipe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey(pub [u8; 32]);

/// 128 random bits, drawn by whoever founds. Never baked into an image: two halves of a fleet would share it, and could mix their logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// A member's number in raft: the index of the log entry that admitted it, so that none is ever given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The founder: raft's first entry is the configuration that has only it.
    pub const FOUNDER: Self = Self(1);
}

/// Random bits minted with the identity. The lowest founds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// Random bits drawn at each start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

/// A keyed hash of what the hardware says of itself. It tells a box from others for people, and supersedes what a box without a disk was before;
/// it is never an identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardwareHint(pub u64);

/// One process of one node: the other end of an authenticated session. Two copies of a stick have the same key, and different boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Proven by the session.
    pub key: NodeKey,
    /// Said in the session.
    pub boot: BootId,
}

/// A node as it was minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its public key.
    pub key: NodeKey,
    /// See [`Incarnation`].
    pub incarnation: Incarnation,
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NodeKey {
    /// The first four bytes: enough for people to tell nodes apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ClusterId {
    /// The first four bytes: enough for people to tell clusters apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}
