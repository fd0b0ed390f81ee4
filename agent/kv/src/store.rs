//! The store itself: what [`Command`]s change and reads see.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    checkpoint::{CheckpointHead, CheckpointVersion, RestoreError},
    error::{HashKvError, RangeError, TxnError},
    event::{Revision, RevisionBatch},
    request::{Command, RangeRequest, TxnRequest},
    response::{AlarmMember, Applied, HashKvResponse, LeaseStatus, RangeResponse, TxnResponse},
};

/// Keys with their history back to the compaction, leases and alarms.
#[derive(Debug)]
pub struct Store {}

/// What one [`Store::compact_step`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactStep {
    /// The versions that are gone, for a checkpoint to forget, too.
    pub removed: Vec<Revision>,
    /// Whether nothing is left to do until the next compaction.
    pub done: bool,
}

/// What the store holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Keys that exist now.
    pub keys: u64,
    /// Versions kept, deletions among them.
    pub versions: u64,
    /// Bytes of all keys and values kept, with the store's own overhead.
    pub bytes: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store. It is at revision 1.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        todo!()
    }

    /// The revision of the last compaction; -1 before the first. It can still be read and watched from.
    #[must_use]
    pub fn compact_revision(&self) -> i64 {
        todo!()
    }

    /// Does what a command says. Every member that applies the same commands in the same order has the same state and gives the same outcomes.
    ///
    /// Commands are expected to be validated before they are proposed. One that was not is still applied the same way everywhere, and never
    /// panics; what it then means is nobody's promise.
    pub fn apply(&mut self, command: Command) -> Applied {
        todo!("{command:?}")
    }

    /// `KV.Range`: takes O(log n + page) for the default order without filters, at whatever revision, also for the count.
    ///
    /// # Errors
    /// [`RangeError::Compacted`] and [`RangeError::FutureRevision`]; what [`RangeRequest::validate`] finds is not looked for.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, RangeError> {
        todo!("{request:?}")
    }

    /// A transaction that [only reads](TxnRequest::is_read_only), at the newest revision.
    ///
    /// # Errors
    /// As for a transaction that is applied.
    pub fn read_txn(&self, request: &TxnRequest) -> Result<TxnResponse, TxnError> {
        todo!("{request:?}")
    }

    /// A lease, with its keys if `keys`; `None` if there is no such lease.
    #[must_use]
    pub fn lease(&self, id: i64, keys: bool) -> Option<LeaseStatus> {
        todo!("{id} {keys}")
    }

    /// All leases in the order of their ids, each with the seconds granted.
    pub fn leases(&self) -> impl Iterator<Item = (i64, i64)> {
        std::iter::empty()
    }

    /// All alarms raised, in the order of the members.
    pub fn alarms(&self) -> impl Iterator<Item = AlarmMember> {
        std::iter::empty()
    }

    /// `Maintenance.HashKV`: a hash of everything that may be read or watched at `revision` and before; 0 or less for the newest.
    ///
    /// # Errors
    /// [`HashKvError`] if the revision is compacted or in the future.
    pub fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, HashKvError> {
        todo!("{revision}")
    }

    /// Forgets versions that the last compaction made unreachable, looking at no more than `budget` of them. How far a member has come changes
    /// no answer.
    pub fn compact_step(&mut self, budget: usize) -> CompactStep {
        todo!("{budget}")
    }

    /// The events of a revision, rebuilt from history; `None` if it is below the compaction, or had none.
    #[must_use]
    pub fn batch(&self, revision: i64) -> Option<Arc<RevisionBatch>> {
        todo!("{revision}")
    }

    /// What a checkpoint needs besides the versions.
    #[must_use]
    pub fn checkpoint_head(&self) -> CheckpointHead {
        todo!()
    }

    /// The next versions for a checkpoint: those above `above` and not above the main revision `up_to`, in the order of their revisions, at most
    /// `limit`. Fewer than `limit` means that these were the last.
    ///
    /// A checkpoint is written in chunks while commands go on being applied: take the [head](Self::checkpoint_head), write the versions up to its
    /// revision and above those of the checkpoint before, then take out what [`Self::compact_step`] has removed since that one.
    #[must_use]
    pub fn checkpoint_versions(&self, above: Revision, up_to: i64, limit: usize) -> Vec<CheckpointVersion> {
        todo!("{above:?} {up_to} {limit}")
    }

    /// The store a checkpoint was taken from: the same answers, the same [hash](Self::hash_kv).
    ///
    /// # Errors
    /// [`RestoreError`] if the versions cannot have come from a store.
    pub fn restore(head: CheckpointHead, versions: impl IntoIterator<Item = CheckpointVersion>) -> Result<Self, RestoreError> {
        todo!("{head:?} {}", versions.into_iter().count())
    }

    /// Puts the same value at another place in memory, for instance a mapped file, so that the old place can be given back. Returns whether the
    /// version exists and its value is as long as this one.
    pub fn relocate(&mut self, at: Revision, value: Bytes) -> bool {
        todo!("{at:?} {value:?}")
    }

    /// What the store holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        todo!()
    }
}
