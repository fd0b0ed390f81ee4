//! A checkpoint that is read while others are written: for a snapshot, or a backup.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use shoal_kv::Revision;
use shoal_store_files::checkpoint::{Checkpoint, Revision as Row};

use super::{
    READ_BYTES,
    error::CheckpointError,
    rows::{revision_of, row_after},
};
use crate::{error::StorageError, peer::message::SnapshotKey, state::Head};

#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) count: AtomicUsize,
    /// Goes up when rows are taken away from under the readers.
    pub(super) generation: AtomicU64,
}

/// A checkpoint that is being read as a snapshot. None of its rows is removed before it is dropped, as long as it is [current](Self::is_current).
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) key: SnapshotKey,
    pub(crate) head: Arc<Head>,
    pub(super) checkpoint: Checkpoint,
    pub(super) readers: Arc<Readers>,
    pub(super) generation: u64,
}

impl Lent {
    fn is_current(&self) -> bool {
        self.readers.generation.load(Ordering::SeqCst) == self.generation
    }

    /// The next rows above `above`, about [`READ_BYTES`] of them; none at the end. Blocks.
    pub(crate) fn read(&self, above: Option<Revision>) -> Result<Vec<(Revision, Bytes)>, StorageError> {
        let begin = above.map_or_else(Row::default, row_after);
        let end = row_after(Revision { main: self.head.store.revision, sub: u32::MAX });
        let rows = self.checkpoint.read(begin..end, READ_BYTES).map_err(CheckpointError::from)?;
        // After the rows, so that none of them was taken away before it was read.
        if !self.is_current() {
            return Err(StorageError::Timeout);
        }
        rows.into_iter().map(|(at, row)| Ok((revision_of(at)?, row))).collect::<Result<_, CheckpointError>>().map_err(Into::into)
    }

    /// About how many bytes the snapshot has.
    pub(crate) fn size_hint(&self) -> u64 {
        self.checkpoint.size().map_or(0, |size| size.in_use)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.readers.count.fetch_sub(1, Ordering::SeqCst);
    }
}
