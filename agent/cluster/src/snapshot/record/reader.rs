//! Records out of bytes that come in pieces, held to their sums and to their order.

use bytes::{Buf, BytesMut};
use shoal_kv::Revision;

use super::{End, MAGIC, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, Record};
use crate::codec::DecodeError;

/// What is wrong with the bytes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotDamage {
    /// It does not begin as a snapshot.
    #[error("this is no snapshot of a store, or one of a newer version")]
    NoSnapshot,
    /// A record is longer than any that is written.
    #[error("a record of {0} bytes is too long")]
    TooLong(usize),
    /// A record is not what was written.
    #[error("a record does not match its sum")]
    Sum,
    /// A record cannot be understood.
    #[error("a record cannot be read")]
    Record(#[from] DecodeError),
    /// Records come in another order than they are written in.
    #[error("a record is out of order")]
    Order,
    /// It says that it has more or fewer rows than it has.
    #[error("it has {found} rows instead of {expected}")]
    Rows {
        /// Rows that were read.
        found: u64,
        /// Rows that were written.
        expected: u64,
    },
    /// It ends before its end.
    #[error("it is cut off")]
    Cut,
}

/// Takes bytes as they come and gives records.
#[derive(Debug, Default)]
pub(crate) struct RecordReader {
    buffer: BytesMut,
    begun: bool,
    consumed: u64,
}

impl RecordReader {
    /// One that reads on behind the magic.
    pub(crate) fn resumed() -> Self {
        Self { begun: true, ..Self::default() }
    }

    /// Bytes of all records given so far, and of the magic.
    pub(crate) const fn consumed(&self) -> u64 {
        self.consumed
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next record; `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, SnapshotDamage> {
        if !self.begun {
            if self.buffer.len() < MAGIC.len() {
                return if MAGIC.starts_with(&self.buffer) { Ok(None) } else { Err(SnapshotDamage::NoSnapshot) };
            }
            if !self.buffer.starts_with(MAGIC) {
                return Err(SnapshotDamage::NoSnapshot);
            }
            self.buffer.advance(MAGIC.len());
            self.consumed += MAGIC.len() as u64;
            self.begun = true;
        }
        let Some(header) = self.buffer.first_chunk::<RECORD_HEADER_BYTES>() else { return Ok(None) };
        let [l0, l1, l2, l3, s0, s1, s2, s3] = *header;
        let (length, sum) = (u32::from_le_bytes([l0, l1, l2, l3]) as usize, u32::from_le_bytes([s0, s1, s2, s3]));
        if length > RECORD_BYTES_MAX {
            return Err(SnapshotDamage::TooLong(length));
        }
        if self.buffer.len() < RECORD_HEADER_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(RECORD_HEADER_BYTES);
        self.consumed += (RECORD_HEADER_BYTES + length) as u64;
        let payload = self.buffer.split_to(length).freeze();
        if crc32c::crc32c(&payload) != sum {
            return Err(SnapshotDamage::Sum);
        }
        Ok(Some(Record::decode(payload)?))
    }
}

/// Holds the records of a snapshot to their order, whoever reads them.
#[derive(Debug, Default)]
pub(crate) struct Order {
    head: bool,
    ended: bool,
    pub(crate) rows: u64,
    pub(crate) last: Option<Revision>,
}

impl Order {
    pub(crate) fn check(&mut self, record: &Record) -> Result<(), SnapshotDamage> {
        if self.ended {
            return Err(SnapshotDamage::Order);
        }
        match record {
            Record::Head(_) if !self.head => self.head = true,
            Record::Rows(rows) if self.head => {
                for (at, _) in rows {
                    if self.last.is_some_and(|last| last >= *at) {
                        return Err(SnapshotDamage::Order);
                    }
                    self.last = Some(*at);
                }
                self.rows += rows.len() as u64;
            }
            Record::End(End { rows }) if self.head => {
                self.ended = true;
                if *rows != self.rows {
                    return Err(SnapshotDamage::Rows { found: self.rows, expected: *rows });
                }
            }
            Record::Head(_) | Record::Rows(_) | Record::End(_) => return Err(SnapshotDamage::Order),
        }
        Ok(())
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.ended
    }
}
