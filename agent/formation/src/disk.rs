//! What a node keeps, each file replaced as a whole: a new one is written, synced, renamed, and its directory synced.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    control::Control,
    facts::RaftFacts,
    ids::{BootId, ClusterId, Identity, NodeId},
    statement::{PastLife, Verified},
};

/// Past lives that are kept; the oldest goes. One is needed until the cluster that was left is gone, and a box does not live through so many in the
/// minutes that takes.
pub const PAST_LIVES: usize = 16;

/// What a node is, over all power cuts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// Blank.
    #[default]
    Virgin,
    /// It has begun to found. With a genesis in the log it goes on; without, it is blank.
    Founding(ClusterId),
    /// A member. Raft may have a log.
    Member(ClusterId, NodeId),
    /// It leaves: raft never starts again with this identity. What was begun is done again after each power cut, until a new identity is minted.
    Leaving(Leaving),
    /// It was removed from this cluster. Blank otherwise, but it never founds.
    ExMember(ClusterId),
}

/// What is to become of a node that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The cluster it was removed from; none if it left by itself.
    pub removed_from: Option<ClusterId>,
    /// What it says about the life that ends.
    pub statement: Option<Verified<PastLife>>,
}

/// What a member was last heard to be. Less than that means that it has forgotten something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// How often it had booted.
    pub epoch: u64,
    /// The boot that epoch belongs to.
    pub boot: BootId,
    /// Its term.
    pub term: u64,
    /// What it knew to be committed. Not the end of its log: that may be cut off rightly.
    pub committed: u64,
}

/// One file, as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// How often this identity has booted.
    Epoch(u64),
    /// See [`Role`].
    Role(Role),
    /// At most [`PAST_LIVES`].
    PastLives(Vec<Verified<PastLife>>),
    /// Of the members of the cluster.
    Floors(BTreeMap<NodeId, Floor>),
}

/// Everything that a node finds when it starts.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Minted when the state partition was made.
    pub identity: Identity,
    /// How often it has booted before.
    pub epoch: u64,
    /// See [`Role`].
    pub role: Role,
    /// See [`Record::PastLives`].
    pub past_lives: Vec<Verified<PastLife>>,
    /// See [`Record::Floors`].
    pub floors: BTreeMap<NodeId, Floor>,
    /// What raft's directory holds, if there is one: as facts, and as far as entries are known to be committed applied.
    pub raft: Option<(RaftFacts, Control)>,
}

impl Disk {
    /// A state partition that was just made.
    #[must_use]
    pub const fn blank(identity: Identity) -> Self {
        Self { identity, epoch: 0, role: Role::Virgin, past_lives: Vec::new(), floors: BTreeMap::new(), raft: None }
    }
}
