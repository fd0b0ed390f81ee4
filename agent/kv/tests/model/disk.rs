//! What is written down, and had again.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shoal_kv::{
    AlarmMember, Command, Revision, Store,
    checkpoint::{CheckpointHead, CheckpointVersion},
};

use crate::{clients::Checked, world::World};

/// What was written down.
pub(crate) struct Disk {
    pub(crate) head: CheckpointHead,
    pub(crate) versions: BTreeMap<Revision, CheckpointVersion>,
    /// What the store has forgotten since.
    pub(crate) forgotten: Vec<Revision>,
    /// The commands since.
    pub(crate) log: Vec<Command>,
}

impl World<'_> {
    pub(crate) fn checkpoint(&mut self, chunk: usize) {
        let head = self.store.checkpoint_head();
        let mut above = Revision { main: self.disk.head.revision, sub: u32::MAX };
        loop {
            let versions = self.store.checkpoint_versions(above, head.revision, chunk);
            let count = versions.len();
            for version in versions {
                above = version.revision;
                self.disk.versions.insert(version.revision, version);
            }
            if count < chunk {
                break;
            }
            // Meanwhile the world goes on.
            self.disk.forgotten.extend(self.store.compact_step(1).removed);
        }
        for revision in self.disk.forgotten.drain(..) {
            self.disk.versions.remove(&revision);
        }
        self.disk.head = head;
        self.disk.log.clear();
    }

    pub(crate) fn restore(&mut self) -> Checked {
        let mut restored =
            Store::restore(self.disk.head.clone(), self.disk.versions.values().cloned()).expect("what was written can be read");
        if let Some(bug) = self.bug {
            restored.put_back(bug);
        }
        for command in &self.disk.log {
            restored.apply(command.clone());
        }
        prop_assert_eq!(restored.revision(), self.store.revision());
        prop_assert_eq!(restored.compact_revision(), self.store.compact_revision());
        prop_assert_eq!(restored.hash_kv(0), self.store.hash_kv(0));
        prop_assert_eq!(restored.usage().keys, self.store.usage().keys);
        prop_assert_eq!(restored.leases().collect::<Vec<_>>(), self.oracle.leases.clone().into_iter().collect::<Vec<_>>());
        for &id in self.oracle.leases.keys() {
            prop_assert_eq!(restored.lease(id, true), self.oracle.lease(id));
            prop_assert_eq!(self.store.lease(id, true), self.oracle.lease(id));
        }
        prop_assert_eq!(restored.alarms().collect::<Vec<AlarmMember>>(), self.oracle.alarms.iter().copied().collect::<Vec<_>>());
        self.store = restored;
        Ok(())
    }
}
