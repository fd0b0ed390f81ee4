//! Backups: what [`Replica::snapshot`](crate::Replica::snapshot) has written to a file, read again.
//!
//! ```text
//! backup = snapshot (see `snapshot/record.rs`, with its padding), SHA-256 of it
//! ```
//!
//! Nothing of a backup is believed before all of it has been read: each record has a sum, which says where damage is, the end says how many rows
//! there were, and the digest covers every byte. It is also the backup's name: members that are [restored](crate::restore) from the same one agree
//! on who they are by it.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::snapshot::{
    SNAPSHOT_ALIGNMENT_BYTES,
    record::{MAGIC, Order, Record, RecordReader, SnapshotDamage, decode_row},
};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// Bytes of the digest at the end of a backup.
pub const DIGEST_BYTES: usize = 32;

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
    /// Bytes, without the digest at the end.
    pub bytes: u64,
    /// SHA-256 of these bytes.
    pub digest: [u8; DIGEST_BYTES],
}

/// Why a backup is none.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It could not be read.
    #[error("cannot read the backup")]
    Io(#[from] io::Error),
    /// Something else was taken for one.
    #[error("this is no backup of this store, or one of a newer version (that of an etcd is none, either)")]
    NoBackup,
    /// Some of it is not what was written.
    #[error("the backup is damaged at byte {at}: use another one")]
    Damaged {
        /// Where the record begins that is not what was written.
        at: u64,
        /// In what way.
        source: SnapshotDamage,
    },
    /// It ends too early.
    #[error(
        "the backup ends after {bytes} bytes, in the middle of what begins at byte {at}: it was cut off, or is damaged there. Use another one"
    )]
    Cut {
        /// Its length.
        bytes: u64,
        /// Where the record or the digest begins that is not complete.
        at: u64,
    },
    /// It goes on behind its end.
    #[error("{bytes} bytes follow the end of the backup: something was added to it. Use another one")]
    Longer {
        /// How many, at least.
        bytes: u64,
    },
    /// All records are well, and yet it is not what was written.
    #[error("the backup does not match the SHA-256 at its end: it is damaged. Use another one")]
    Digest,
}

/// Gives the records of a backup, in their order, after each was held to its sum.
#[derive(Debug)]
pub(crate) struct BackupReader<R> {
    from: R,
    records: RecordReader,
    order: Order,
    /// Of what was read, without `last`.
    digest: Sha256,
    /// The last bytes read: the digest, once there are no more.
    last: Vec<u8>,
    buffer: Vec<u8>,
    /// Bytes read.
    read: u64,
    summary: BackupSummary,
}

impl<R: Read> BackupReader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            records: RecordReader::default(),
            order: Order::default(),
            digest: Sha256::new(),
            last: Vec::new(),
            buffer: vec![0; READ_BYTES],
            read: 0,
            summary: BackupSummary::default(),
        }
    }

    /// The next record. `None` comes after the last one, when everything is known to be as it was written.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, BackupError> {
        while !self.order.is_complete() {
            let at = self.records.consumed().max(MAGIC.len() as u64);
            let damaged = |source| match source {
                SnapshotDamage::NoSnapshot => BackupError::NoBackup,
                source => BackupError::Damaged { at, source },
            };
            if let Some(record) = self.records.next().map_err(damaged)? {
                self.check(&record).map_err(damaged)?;
                return Ok(Some(record));
            }
            let count = self.read()?;
            if count == 0 {
                return Err(if self.read < MAGIC.len() as u64 { BackupError::NoBackup } else { BackupError::Cut { bytes: self.read, at } });
            }
            self.records.push(&self.buffer[..count]);
        }
        self.finish()?;
        Ok(None)
    }

    /// What the records so far have said; all of it after the last one.
    pub(crate) const fn summary(&self) -> &BackupSummary {
        &self.summary
    }

    fn check(&mut self, record: &Record) -> Result<(), SnapshotDamage> {
        self.order.check(record)?;
        match record {
            Record::Head(head) => {
                self.summary.revision = head.store.revision;
                self.summary.compact_revision = head.store.compact_revision;
                self.summary.applied_index = head.applied.map_or(0, |last| last.index);
            }
            Record::Rows(rows) => {
                for (at, row) in rows {
                    decode_row(*at, row.clone())?;
                }
            }
            Record::End(_) => self.summary.versions = self.order.rows,
        }
        Ok(())
    }

    /// Reads some bytes into the buffer; none at the end.
    fn read(&mut self) -> io::Result<usize> {
        let count = loop {
            match self.from.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.read += count as u64;
        self.last.extend_from_slice(&self.buffer[..count]);
        let before = self.last.len().saturating_sub(DIGEST_BYTES);
        self.digest.update(&self.last[..before]);
        self.last.drain(..before);
        Ok(count)
    }

    /// Reads what follows the last record.
    fn finish(&mut self) -> Result<(), BackupError> {
        while self.read()? > 0 {}
        let bytes = self.records.consumed().next_multiple_of(SNAPSHOT_ALIGNMENT_BYTES as u64);
        let expected = bytes + DIGEST_BYTES as u64;
        if self.read < expected {
            return Err(BackupError::Cut { bytes: self.read, at: self.records.consumed() });
        }
        if self.read > expected {
            return Err(BackupError::Longer { bytes: self.read - expected });
        }
        let digest: [u8; DIGEST_BYTES] = self.digest.clone().finalize().into();
        if self.last != digest {
            return Err(BackupError::Digest);
        }
        self.summary.bytes = bytes;
        self.summary.digest = digest;
        Ok(())
    }
}

/// Reads all of a backup, and holds every byte of it to what was written.
///
/// # Errors
/// [`BackupError`].
pub fn verify(from: impl Read) -> Result<BackupSummary, BackupError> {
    let mut reader = BackupReader::new(from);
    while reader.next()?.is_some() {}
    Ok(*reader.summary())
}

#[cfg(test)]
pub(crate) mod tests;
