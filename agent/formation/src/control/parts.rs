//! [`Control`] taken apart, for whoever keeps it in files or sends it in a snapshot, and put together again.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Control, MemberRecord, Tombstone};
use crate::ids::{ClusterId, HardwareHint, NodeId};

/// Everything that [`Control`] is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// The members, removed ones not among them.
    pub members: BTreeMap<NodeId, MemberRecord>,
    /// Nodes that were removed.
    pub tombstones: BTreeMap<NodeId, Tombstone>,
    /// Hardware that is not let in again.
    pub revoked: BTreeSet<HardwareHint>,
    /// Whether the genesis is applied.
    pub begun: bool,
    /// Whether the birth barrier is lifted.
    pub born: bool,
    /// The entry that sealed.
    pub sealed: Option<u64>,
    /// The entry that dissolved the cluster, and where it has gone.
    pub dissolved: Option<(u64, ClusterId)>,
    /// How many voters were replaced without anybody asking.
    pub replacements: u32,
}

impl From<Control> for Parts {
    fn from(control: Control) -> Self {
        let Control { members, tombstones, revoked, begun, born, sealed, dissolved, replacements } = control;
        Self { members, tombstones, revoked, begun, born, sealed, dissolved, replacements }
    }
}

impl From<Parts> for Control {
    fn from(parts: Parts) -> Self {
        let Parts { members, tombstones, revoked, begun, born, sealed, dissolved, replacements } = parts;
        Self { members, tombstones, revoked, begun, born, sealed, dissolved, replacements }
    }
}
