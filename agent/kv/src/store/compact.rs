//! Forgetting history.
//!
//! After a compaction at revision C, everything from C on can still be read and watched. So these versions are *kept*:
//!
//! - all made at C or later, deletions too: a watcher may start at C;
//! - of those made before C the last one of each key, if it is not a deletion: reads at C see it, or, if the key was changed at C, that event's
//!   previous value is it.
//!
//! Which versions are kept is a matter of the revisions alone, the same on every member. When the others really go is every member's own business:
//! no answer shows it.

use super::{Store, history::Version};
use crate::{error::CompactionError, event::Revision, request::CompactionRequest, response::CompactionResponse, store::CompactStep};

impl Store {
    pub(super) fn compact(&mut self, request: CompactionRequest) -> Result<CompactionResponse, CompactionError> {
        if request.revision <= self.compact_revision {
            return Err(CompactionError::Compacted);
        }
        if request.revision > self.revision {
            return Err(CompactionError::FutureRevision);
        }
        // What was made before the last compaction was looked at then; what was made at it was kept because of it.
        let from = Revision { main: self.compact_revision, sub: 0 };
        self.compact_next = Some(self.compact_next.map_or(from, |next| next.min(from)));
        self.compact_revision = request.revision;
        Ok(CompactionResponse { revision: self.revision })
    }

    /// Forgets versions that the last compaction made unreachable, looking at no more than `budget` of them. How far a member has come changes
    /// no answer.
    pub fn compact_step(&mut self, budget: usize) -> CompactStep {
        let mut removed = Vec::new();
        for _ in 0..budget {
            if !self.compact_one(&mut removed) {
                self.compact_next = None;
                break;
            }
        }
        CompactStep { removed, done: self.compact_next.is_none() }
    }

    /// Looks at the next version made before the compaction: its predecessor is not needed any more, and neither is a deletion itself. Returns
    /// whether there was such a version.
    fn compact_one(&mut self, removed: &mut Vec<Revision>) -> bool {
        let Some(next) = self.compact_next else { return false };
        let end = Revision { main: self.compact_floor(), sub: 0 };
        if next >= end {
            return false;
        }
        let Some((&at, &id)) = self.log.range(next..end).next() else { return false };
        self.compact_next = Some(Revision { sub: at.sub + 1, ..at });

        let key = self.keys.get(id);
        let (version, _) = key.find(at).expect("what is logged is in the key's history");
        let (dead, birth_or_death) = (version.is_deletion(), version.is_birth_or_death());
        if birth_or_death {
            self.index.trim(&key.name, self.compact_revision);
        }
        while let Some(version) = self.keys.get_mut(id).pop_below(at) {
            self.forget(&version, removed);
        }
        if dead {
            // Nothing before it is left, so it is the oldest.
            let after = Revision { sub: at.sub + 1, ..at };
            if let Some(version) = self.keys.get_mut(id).pop_below(after) {
                self.forget(&version, removed);
            } else {
                self.index.remove(&self.keys, id, self.compact_revision);
                let key = self.keys.remove(id);
                self.usage.remove_key(&key.name);
                self.forget(key.latest(), removed);
            }
        }
        true
    }

    fn compact_floor(&self) -> i64 {
        #[cfg(feature = "known-bugs")]
        if self.has_bug(crate::known_bugs::KnownBug::CompactionTakesOneMore) {
            return self.compact_revision + 1;
        }
        self.compact_revision
    }

    fn forget(&mut self, version: &Version, removed: &mut Vec<Revision>) {
        self.log.remove(&version.at);
        self.usage.remove_version(version);
        removed.push(version.at);
    }

    /// Whether a version is kept, see the head of this file. `next` is the key's version after it.
    pub(super) fn is_kept(&self, version: &Version, next: Option<&Version>) -> bool {
        version.at.main >= self.compact_revision || !version.is_deletion() && next.is_none_or(|next| next.at.main >= self.compact_revision)
    }
}
