//! What was written to the medium, by cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Entries of the raft log, with their frames' headers and padding.
    Entries,
    /// The vote.
    Vote,
    /// The commit hint, truncations and purges.
    Bookkeeping,
    /// The marks that tell rot of the last frame from a torn write. They are not synced, and the next frame takes their place in the page
    /// cache: of all that is counted here, only what is followed by half a minute of silence reaches the medium.
    Seal,
    /// Heads of new segments, closing of old ones, and their directory.
    Rotation,
    /// Zeros written ahead so that appends need not allocate.
    Preallocation,
    /// Commits of the checkpoint.
    Checkpoint,
    /// Rewriting the checkpoint into a new file, or replacing it by a snapshot.
    Rewrite,
}

/// All causes, in the order of [`Wear::read`].
pub const CAUSES: [Cause; 8] = [
    Cause::Entries,
    Cause::Vote,
    Cause::Bookkeeping,
    Cause::Seal,
    Cause::Rotation,
    Cause::Preallocation,
    Cause::Checkpoint,
    Cause::Rewrite,
];

/// How much was written for one cause since the counter was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Bytes handed to the file system, with all padding.
    pub bytes: u64,
    /// Calls of fsync and fdatasync, on files and on directories.
    pub syncs: u64,
}

/// Counts bytes and syncs by cause. Shared by the log and the checkpoint of one node; reading never waits.
#[derive(Debug, Default)]
pub struct Wear {
    counters: [(AtomicU64, AtomicU64); CAUSES.len()],
}

impl Wear {
    /// What was written so far for every cause.
    #[must_use]
    pub fn read(&self) -> [(Cause, Written); CAUSES.len()] {
        CAUSES.map(|cause| (cause, self.of(cause)))
    }

    /// What was written so far for one cause.
    #[must_use]
    pub fn of(&self, cause: Cause) -> Written {
        let (bytes, syncs) = &self.counters[cause as usize];
        Written { bytes: bytes.load(Ordering::Relaxed), syncs: syncs.load(Ordering::Relaxed) }
    }

    /// What was written so far, all together.
    #[must_use]
    pub fn total(&self) -> Written {
        self.read()
            .into_iter()
            .fold(Written::default(), |sum, (_, one)| Written { bytes: sum.bytes + one.bytes, syncs: sum.syncs + one.syncs })
    }

    /// Counts bytes that were handed to the file system.
    pub fn wrote(&self, cause: Cause, bytes: usize) {
        self.counters[cause as usize].0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a sync.
    pub fn synced(&self, cause: Cause) {
        self.counters[cause as usize].1.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_counter() {
        let wear = Wear::default();
        for (number, cause) in CAUSES.into_iter().enumerate() {
            wear.wrote(cause, number + 1);
            (0..number).for_each(|_| wear.synced(cause));
        }
        for (number, (cause, written)) in wear.read().into_iter().enumerate() {
            assert_eq!(written, Written { bytes: number as u64 + 1, syncs: number as u64 }, "{cause:?}");
        }
        assert_eq!(wear.total(), Written { bytes: 36, syncs: 28 });
    }
}
