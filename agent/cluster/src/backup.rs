//! Backups: what [`Replica::snapshot`](crate::Replica::snapshot) has written to a file, read again.

use std::io::Read;

use crate::snapshot::{
    SNAPSHOT_ALIGNMENT_BYTES,
    record::{Order, Record, RecordReader, SnapshotDamage, decode_row},
};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// What is in a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupSummary {
    /// The newest revision.
    pub revision: i64,
    /// The revision of the last compaction; -1 before the first.
    pub compact_revision: i64,
    /// Versions of keys, deletions among them.
    pub versions: u64,
    /// The index of the last entry applied.
    pub applied_index: u64,
    /// Bytes, without what follows the backup in the file.
    pub bytes: u64,
}

/// Why a backup is none.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It could not be read.
    #[error("cannot read the backup")]
    Io(#[from] std::io::Error),
    /// It is not what was written.
    #[error("the backup is damaged: use another one")]
    Damaged(#[from] SnapshotDamage),
}

/// Reads all of a backup and checks every sum in it. What follows its end, a checksum of the whole for instance, is not read.
///
/// # Errors
/// [`BackupError`].
pub fn verify(mut from: impl Read) -> Result<BackupSummary, BackupError> {
    let (mut reader, mut order, mut summary) = (RecordReader::default(), Order::default(), BackupSummary::default());
    let mut buffer = vec![0; READ_BYTES];
    while !order.is_complete() {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Err(SnapshotDamage::Cut.into());
        }
        reader.push(&buffer[..read]);
        while !order.is_complete()
            && let Some(record) = reader.next()?
        {
            order.check(&record)?;
            match record {
                Record::Head(head) => {
                    summary.revision = head.store.revision;
                    summary.compact_revision = head.store.compact_revision;
                    summary.applied_index = head.applied.map_or(0, |last| last.index);
                }
                Record::Rows(rows) => {
                    for (at, row) in rows {
                        decode_row(at, row).map_err(SnapshotDamage::from)?;
                    }
                }
                Record::End(_) => {}
            }
        }
    }
    summary.versions = order.rows;
    summary.bytes = reader.consumed().next_multiple_of(SNAPSHOT_ALIGNMENT_BYTES as u64);
    Ok(summary)
}
