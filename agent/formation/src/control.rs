//! The replicated part: what entries of the log say about the cluster itself, and what they change. A pure function of the entries, applied by the
//! store together with everything else, and by the core for its own account.
//!
//! | entry | fails after | makes fail |
//! |---|---|---|
//! | `Genesis` | another | |
//! | `Admit` | `Dissolve`; the key was admitted before by another process, or was removed; the hardware is revoked | |
//! | `Born` | `Dissolve` | |
//! | `Seal` | `Dissolve`; before `Born` | `Dissolve` |
//! | `Dissolve` | `Seal` | everything |
//! | `Remove` | `Dissolve` | `Admit` of the key, for ever |
//! | a write | `Dissolve` | |

mod parts;

use alloc::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{BootId, ClusterId, HardwareHint, NodeId, NodeKey},
    known_bugs::KnownBug,
    settings::{Medium, Settings},
};
pub use parts::Parts;

/// Who asks to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Its key.
    pub key: NodeKey,
    /// The process that asks. A key that another process was admitted with before is not let in again: whoever holds it may be a copy, or may have
    /// forgotten what it promised in raft.
    pub boot: BootId,
    /// Its hardware.
    pub hint: HardwareHint,
    /// Where it keeps its state.
    pub medium: Medium,
}

/// Why a node is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody wants it.
    Operator,
    /// It was silent for too long, and another takes its vote.
    Replaced,
    /// It never counted: a learner that has become somebody else.
    Superseded,
    /// Somebody wants it, and its hardware is not to come back.
    Revoked,
}

/// An entry about the cluster itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlEntry {
    /// The cluster begins, with its founder as [`NodeId::FOUNDER`].
    Genesis(Admission),
    /// A node is let in; its [`NodeId`] is this entry's index.
    Admit(Admission),
    /// The birth barrier is lifted.
    Born,
    /// From here on the cluster is never wiped or merged.
    Seal,
    /// The cluster ends, and its nodes go to another.
    Dissolve(ClusterId),
    /// A node is out for ever.
    Remove(NodeId, Cause),
}

/// A member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberRecord {
    /// As it was admitted.
    pub admission: Admission,
}

/// A node that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// Its key.
    pub key: NodeKey,
    /// The entry that removed it.
    pub index: u64,
    /// Why.
    pub cause: Cause,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Done,
    /// The key was admitted before, by the same process, as this member: the answer got lost.
    Already(NodeId),
    /// It changed nothing.
    Refused(Refusal),
}

/// Why an entry changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There was a genesis before.
    #[error("the cluster has begun already")]
    Begun,
    /// The cluster is no more.
    #[error("the cluster has dissolved into {0}")]
    Dissolved(ClusterId),
    /// The cluster is sealed.
    #[error("the cluster is sealed and does not dissolve")]
    Sealed,
    /// The birth barrier is not lifted.
    #[error("the cluster is still forming")]
    Unborn,
    /// Another process was admitted with this key.
    #[error("this key was admitted before, by another process")]
    KeyTaken,
    /// The key belongs to a node that was removed.
    #[error("this key was removed")]
    KeyRemoved,
    /// The hardware was revoked.
    #[error("this hardware was revoked")]
    Revoked,
    /// No such member.
    #[error("no such member")]
    NoMember,
}

/// What the entries up to some index have made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    members: BTreeMap<NodeId, MemberRecord>,
    tombstones: BTreeMap<NodeId, Tombstone>,
    revoked: BTreeSet<HardwareHint>,
    begun: bool,
    born: bool,
    sealed: Option<u64>,
    dissolved: Option<(u64, ClusterId)>,
    replacements: u32,
}

impl Control {
    /// Applies the committed entry at `index`. Only tests have `settings` that change what this does.
    pub fn apply(&mut self, index: u64, entry: &ControlEntry, settings: &Settings) -> Outcome {
        if let Some((_, into)) = self.dissolved
            && !(settings.breaks(KnownBug::SealAfterDissolve) && *entry == ControlEntry::Seal)
        {
            return Outcome::Refused(Refusal::Dissolved(into));
        }
        match *entry {
            ControlEntry::Genesis(_) if self.begun => return Outcome::Refused(Refusal::Begun),
            ControlEntry::Genesis(admission) => {
                self.begun = true;
                self.members.insert(NodeId::FOUNDER, MemberRecord { admission });
            }
            ControlEntry::Admit(admission) => match self.may_admit(&admission, settings) {
                Outcome::Done => {
                    self.members.insert(NodeId(index), MemberRecord { admission });
                }
                other => return other,
            },
            ControlEntry::Born => self.born = true,
            ControlEntry::Seal if !self.born => return Outcome::Refused(Refusal::Unborn),
            ControlEntry::Seal => {
                self.sealed.get_or_insert(index);
            }
            ControlEntry::Dissolve(_) if self.sealed.is_some() && !settings.breaks(KnownBug::DissolveAfterSeal) => {
                return Outcome::Refused(Refusal::Sealed);
            }
            ControlEntry::Dissolve(into) => self.dissolved = Some((index, into)),
            ControlEntry::Remove(node, cause) => {
                let Some(record) = self.members.remove(&node) else { return Outcome::Refused(Refusal::NoMember) };
                self.tombstones.insert(node, Tombstone { key: record.admission.key, index, cause });
                match cause {
                    Cause::Revoked => {
                        self.revoked.insert(record.admission.hint);
                    }
                    Cause::Replaced => self.replacements += 1,
                    Cause::Operator | Cause::Superseded => {}
                }
            }
        }
        Outcome::Done
    }

    /// What [`ControlEntry::Admit`] would come to now. [`Outcome::Done`] promises nothing: another entry may come first.
    #[must_use]
    pub fn may_admit(&self, admission: &Admission, settings: &Settings) -> Outcome {
        if let Some((_, into)) = self.dissolved {
            return Outcome::Refused(Refusal::Dissolved(into));
        }
        if let Some((node, record)) = self.by_key(admission.key) {
            let same = record.admission.boot == admission.boot || settings.breaks(KnownBug::AdmitWhoeverHasTheKey);
            return if same { Outcome::Already(node) } else { Outcome::Refused(Refusal::KeyTaken) };
        }
        if self.tombstones.values().any(|tombstone| tombstone.key == admission.key) {
            return Outcome::Refused(Refusal::KeyRemoved);
        }
        if self.revoked.contains(&admission.hint) {
            return Outcome::Refused(Refusal::Revoked);
        }
        Outcome::Done
    }

    /// Whether a write may be applied now.
    ///
    /// # Errors
    /// [`Refusal::Dissolved`]: nothing of this cluster will be kept.
    pub fn may_write(&self) -> Result<(), Refusal> {
        self.dissolved.map_or(Ok(()), |(_, into)| Err(Refusal::Dissolved(into)))
    }

    /// The members, removed ones not among them.
    pub fn members(&self) -> impl Iterator<Item = (NodeId, &MemberRecord)> {
        self.members.iter().map(|(node, record)| (*node, record))
    }

    /// A member.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<&MemberRecord> {
        self.members.get(&node)
    }

    /// The member that has this key.
    #[must_use]
    pub fn by_key(&self, key: NodeKey) -> Option<(NodeId, &MemberRecord)> {
        self.members().find(|(_, record)| record.admission.key == key)
    }

    /// The tombstone of a node.
    #[must_use]
    pub fn tombstone(&self, node: NodeId) -> Option<&Tombstone> {
        self.tombstones.get(&node)
    }

    /// Everybody who was removed.
    pub fn removed(&self) -> impl Iterator<Item = NodeId> {
        self.tombstones.keys().copied()
    }

    /// Whether the genesis is applied.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the birth barrier is lifted.
    #[must_use]
    pub const fn is_born(&self) -> bool {
        self.born
    }

    /// The entry that sealed.
    #[must_use]
    pub const fn sealed(&self) -> Option<u64> {
        self.sealed
    }

    /// Where the cluster has gone.
    #[must_use]
    pub fn dissolved(&self) -> Option<ClusterId> {
        self.dissolved.map(|(_, into)| into)
    }

    /// How many voters were replaced without anybody asking.
    #[must_use]
    pub const fn replacements(&self) -> u32 {
        self.replacements
    }
}
