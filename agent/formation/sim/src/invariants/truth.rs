//! What is committed, as an observer knows who sees every member: the first word about each entry, and what follows from it by the rules of the page,
//! worked out here and not by the core.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shoal_formation::{
    ClusterId, Configuration, ControlEntry, NodeId, NodeKey,
    control::{Admission, Cause},
    settings::Medium,
};

use crate::raft::{Entry, Payload, Time};

/// One cluster.
#[derive(Debug, Default)]
pub struct Truth {
    /// Every committed entry.
    pub committed: Vec<Entry>,
    /// When the genesis was.
    pub begun: Option<Time>,
    /// When the barrier was lifted.
    pub born: Option<Time>,
    /// When it was sealed, and where.
    pub sealed: Option<(Time, u64)>,
    /// Where it went.
    pub dissolved: Option<ClusterId>,
    /// Who was let in.
    pub admitted: BTreeMap<NodeId, NodeKey>,
    /// Which of them have disks.
    pub with_disk: BTreeSet<NodeId>,
    /// Who was removed, and why.
    pub removed: BTreeMap<NodeId, Cause>,
    /// The newest configuration.
    pub configuration: Arc<Configuration>,
    /// Who has wiped its log.
    pub left: BTreeSet<NodeId>,
    /// People have used it.
    pub used: bool,
    /// The operator has retired it.
    pub retired: bool,
    /// The simulation itself has destroyed or rolled back disks of it.
    pub damaged: bool,
    /// Whose disks it has destroyed.
    pub destroyed: BTreeSet<NodeId>,
    /// When voters were replaced without anybody asking.
    pub replacements: Vec<Time>,
}

/// What an entry has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing that is counted.
    None,
    /// A cluster has begun.
    Founded,
    /// It is no more.
    Dissolved,
    /// It stays for ever.
    Sealed,
    /// A node is in.
    Admitted,
    /// Others vote.
    Voters,
}

impl Truth {
    pub(crate) fn commit(&mut self, now: Time, at: u64, entry: &Entry) -> News {
        self.committed.push(entry.clone());
        let control = match &entry.payload {
            Payload::Configuration(configuration) => {
                let voters = configuration.is_uniform() && !self.configuration.is_uniform();
                self.configuration = configuration.clone();
                return if voters { News::Voters } else { News::None };
            }
            Payload::Control(control) => control,
            Payload::Blank | Payload::Write(_) => return News::None,
        };
        if self.dissolved.is_some() {
            return News::None;
        }
        match control {
            ControlEntry::Genesis(admission) if self.begun.is_none() => {
                self.begun = Some(now);
                self.admit(NodeId::FOUNDER, admission);
                News::Founded
            }
            ControlEntry::Admit(admission) if !self.admitted.values().any(|key| *key == admission.key) => {
                self.admit(NodeId(at), admission);
                News::Admitted
            }
            ControlEntry::Born => {
                self.born.get_or_insert(now);
                News::None
            }
            ControlEntry::Seal if self.born.is_some() && self.sealed.is_none() => {
                self.sealed = Some((now, at));
                News::Sealed
            }
            ControlEntry::Dissolve(into) if self.sealed.is_none() => {
                self.dissolved = Some(*into);
                News::Dissolved
            }
            ControlEntry::Remove(node, cause) if self.admitted.contains_key(node) && !self.removed.contains_key(node) => {
                self.removed.insert(*node, *cause);
                if *cause == Cause::Replaced {
                    self.replacements.push(now);
                }
                News::None
            }
            _ => News::None,
        }
    }

    fn admit(&mut self, node: NodeId, admission: &Admission) {
        self.admitted.insert(node, admission.key);
        if admission.medium == Medium::Disk {
            self.with_disk.insert(node);
        }
    }
}
