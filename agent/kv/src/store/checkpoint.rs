//! Writing a store down and having it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use bytes::Bytes;

use super::{
    FIRST_REVISION, Leases, NEVER_COMPACTED, Store, UsageCount,
    history::{Key, Version},
    lease::NO_LEASE,
};
use crate::{
    checkpoint::{CheckpointHead, CheckpointVersion, RestoreError},
    event::Revision,
    index::{Index, KeyId, Keys},
};

impl Store {
    /// What a checkpoint needs besides the versions.
    #[must_use]
    pub fn checkpoint_head(&self) -> CheckpointHead {
        CheckpointHead {
            revision: self.revision,
            compact_revision: self.compact_revision,
            leases: self.leases.iter().collect(),
            alarms: self.alarms.iter().copied().collect(),
        }
    }

    /// The next versions for a checkpoint: those above `above` and not above the main revision `up_to`, in the order of their revisions, at most
    /// `limit`. Fewer than `limit` means that these were the last.
    ///
    /// A checkpoint is written in chunks while commands go on being applied: take the [head](Self::checkpoint_head), write the versions up to its
    /// revision and above those of the checkpoint before, then take out what [`Self::compact_step`] has removed since that one was begun.
    #[must_use]
    pub fn checkpoint_versions(&self, above: Revision, up_to: i64, limit: usize) -> Vec<CheckpointVersion> {
        let bounds = (Bound::Excluded(above), Bound::Unbounded);
        self.log
            .range(bounds)
            .take_while(|(at, _)| at.main <= up_to)
            .take(limit)
            .map(|(&at, &id)| {
                let key = self.keys.get(id);
                let (version, _) = key.find(at).expect("what is logged is in the key's history");
                CheckpointVersion { revision: at, kv: version.key_value(&key.name) }
            })
            .collect()
    }

    /// The store a checkpoint was taken from: the same answers, the same [hash](Self::hash_kv).
    ///
    /// The head's revision may lie above that of all versions, and its compaction revision anywhere up to there: a backup is restored as if
    /// history had gone on and been forgotten, so that no client sees time go backwards.
    ///
    /// # Errors
    /// [`RestoreError`] if the versions cannot have come from a store.
    pub fn restore(head: CheckpointHead, versions: impl IntoIterator<Item = CheckpointVersion>) -> Result<Self, RestoreError> {
        let CheckpointHead { revision, compact_revision, .. } = head;
        if revision < FIRST_REVISION || !(NEVER_COMPACTED..=revision).contains(&compact_revision) {
            return Err(RestoreError::ImpossibleHead { revision, compact_revision });
        }
        let mut keys = Keys::default();
        let mut names: BTreeMap<Bytes, KeyId> = BTreeMap::new();
        let mut log: Vec<(Revision, KeyId)> = Vec::new();
        let mut usage = UsageCount::default();
        for CheckpointVersion { revision: at, kv } in versions {
            if let Some(&(after, _)) = log.last()
                && at <= after
            {
                return Err(RestoreError::OutOfOrder { at, after });
            }
            let version = Version { at, create_revision: kv.create_revision, version: kv.version, lease: kv.lease, value: kv.value };
            if kv.key.is_empty() || kv.mod_revision != at.main || at.main > revision || !is_possible(&version) {
                return Err(RestoreError::ImpossibleVersion { at });
            }
            usage.add_version(&version);
            let id = match names.get(&kv.key) {
                Some(&id) => {
                    keys.get_mut(id).push(version);
                    id
                }
                None => {
                    usage.add_key(&kv.key);
                    let key = Key::new(&kv.key, version);
                    let name = key.name.clone();
                    let id = keys.add(key);
                    names.insert(name, id);
                    id
                }
            };
            log.push((at, id));
        }

        let mut leases = Leases::default();
        for (id, ttl) in head.leases {
            leases.add(id, ttl);
        }
        for &id in names.values() {
            let latest = keys.get(id).latest();
            usage.alive += u64::from(!latest.is_deletion());
            if latest.lease != NO_LEASE {
                if !leases.contains(latest.lease) {
                    return Err(RestoreError::UnknownLease { at: latest.at, lease: latest.lease });
                }
                leases.attach(latest.lease, id);
            }
        }
        let sorted: Vec<KeyId> = names.into_values().collect();
        Ok(Self {
            index: Index::build(&keys, &sorted, compact_revision),
            keys,
            log: log.into_iter().collect(),
            revision,
            compact_revision,
            // How far forgetting had come, nobody wrote down.
            compact_next: Some(Revision::default()),
            leases,
            alarms: head.alarms.into_iter().collect::<BTreeSet<_>>(),
            usage,
            #[cfg(feature = "known-bugs")]
            bug: None,
        })
    }

    /// Puts the same value at another place in memory, for instance a mapped file, so that the old place can be given back. Returns whether the
    /// version exists and its value is as long as this one.
    pub fn relocate(&mut self, at: Revision, value: Bytes) -> bool {
        let Some(&id) = self.log.get(&at) else { return false };
        let version = self.keys.get_mut(id).find_mut(at).expect("what is logged is in the key's history");
        if version.value.len() != value.len() {
            return false;
        }
        debug_assert!(version.value == value, "the same value at another place");
        version.value = value;
        true
    }
}

fn is_possible(version: &Version) -> bool {
    if version.is_deletion() {
        version.create_revision == 0 && version.lease == NO_LEASE && version.value.is_empty()
    } else {
        version.version > 0 && (1..=version.at.main).contains(&version.create_revision)
    }
}
