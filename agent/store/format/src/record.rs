//! What the log remembers: records, and the ids that order entries.
//!
//! ```text
//!  0  u32  CRC32C of the rest
//!  4  u32  bytes of payload
//!  8  u32  kind: 1 append, 2 truncate, 3 purge, 4 vote, 5 committed
//! 12  u32  committed: 1 if there is an id; else 0
//! 16  u64  append, purge, committed: term
//! 24  u64  append, purge, committed: index; truncate: the lowest index that goes
//! 32       append: the entry; vote: the vote
//! ```

use bytes::Bytes;

use crate::{ENTRY_BYTES_MAX, RECORD_HEADER_BYTES, VOTE_BYTES_MAX};

const APPEND: u32 = 1;
const TRUNCATE: u32 = 2;
const PURGE: u32 = 3;
const VOTE: u32 = 4;
const COMMITTED: u32 = 5;

/// Which entry: raft's (term, index). Ordered by term, then by index, as raft compares logs.
///
/// A leader id that is more than a term belongs into the payload; standard raft has one leader for each term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogId {
    /// The term of the leader that proposed the entry.
    pub term: u64,
    /// The position in the log. The first entry of a cluster may have index 0.
    pub index: u64,
}

/// One entry of the raft log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: LogId,
    /// What was proposed, opaque here. Cloning shares the bytes.
    pub payload: Bytes,
}

/// One thing that the log was told. Records take effect in the order in which they were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The next entry. Its index follows the last one's, or the purged one's when the log holds none.
    Append(Entry),
    /// Entries with this index and above are gone, because another leader wrote others in their place.
    Truncate {
        /// The lowest index that goes.
        from: u64,
    },
    /// Entries up to and including this one are not needed any more. It may lie beyond the last entry (a snapshot was installed): then the
    /// log is empty and goes on behind it.
    Purge {
        /// The highest entry that goes.
        to: LogId,
    },
    /// The vote, opaque here, at most [`VOTE_BYTES_MAX`](crate::VOTE_BYTES_MAX) bytes.
    Vote(Bytes),
    /// How far the log is known to be committed. A hint that saves time after a restart, never needed for safety.
    Committed(Option<LogId>),
}

/// A [`Record`] whose bytes lie elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is that of `Record`")]
pub enum RecordRef<'a> {
    Append { id: LogId, payload: &'a [u8] },
    Truncate { from: u64 },
    Purge { to: LogId },
    Vote(&'a [u8]),
    Committed(Option<LogId>),
}

impl Record {
    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> RecordRef<'_> {
        match self {
            Self::Append(entry) => RecordRef::Append { id: entry.id, payload: &entry.payload },
            Self::Truncate { from } => RecordRef::Truncate { from: *from },
            Self::Purge { to } => RecordRef::Purge { to: *to },
            Self::Vote(vote) => RecordRef::Vote(vote),
            Self::Committed(id) => RecordRef::Committed(*id),
        }
    }

    /// Bytes that it takes within a frame.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.as_ref().payload().len()
    }
}

impl<'a> RecordRef<'a> {
    /// The bytes that follow its header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        match self {
            Self::Append { payload, .. } => payload,
            Self::Vote(vote) => vote,
            Self::Truncate { .. } | Self::Purge { .. } | Self::Committed(_) => &[],
        }
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let (kind, flag, id) = match *self {
            Self::Append { id, .. } => (APPEND, 0, id),
            Self::Truncate { from } => (TRUNCATE, 0, LogId { term: 0, index: from }),
            Self::Purge { to } => (PURGE, 0, to),
            Self::Vote(_) => (VOTE, 0, LogId::default()),
            Self::Committed(id) => (COMMITTED, u32::from(id.is_some()), id.unwrap_or_default()),
        };
        let payload = self.payload();
        let start = into.len();
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        into.extend_from_slice(&kind.to_le_bytes());
        into.extend_from_slice(&u32::to_le_bytes(flag));
        into.extend_from_slice(&id.term.to_le_bytes());
        into.extend_from_slice(&id.index.to_le_bytes());
        into.extend_from_slice(payload);
        let crc = crc32c::crc32c(&into[start + 4..]);
        into[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// The record at the beginning of `bytes` and how many of them it takes. Its own CRC is not looked at: the frame's covers it.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (header, rest) = bytes.split_at_checked(RECORD_HEADER_BYTES)?;
        let payload = rest.get(..u32_at(header, 4) as usize)?;
        let id = LogId { term: u64_at(header, 16), index: u64_at(header, 24) };
        let record = match (u32_at(header, 8), u32_at(header, 12)) {
            (APPEND, 0) if payload.len() <= ENTRY_BYTES_MAX => Self::Append { id, payload },
            (VOTE, 0) if payload.len() <= VOTE_BYTES_MAX => Self::Vote(payload),
            (TRUNCATE, 0) if payload.is_empty() => Self::Truncate { from: id.index },
            (PURGE, 0) if payload.is_empty() => Self::Purge { to: id },
            (COMMITTED, 0) if payload.is_empty() => Self::Committed(None),
            (COMMITTED, 1) if payload.is_empty() => Self::Committed(Some(id)),
            _ => return None,
        };
        Some((record, RECORD_HEADER_BYTES + payload.len()))
    }
}

/// The payload of one entry, from the bytes of its record alone: for reading it without its frame. `None` if they are not the record of this
/// entry as it was written.
#[must_use]
pub fn decode_entry(bytes: &[u8], expected: LogId) -> Option<&[u8]> {
    if bytes.len() < RECORD_HEADER_BYTES || crc32c::crc32c(&bytes[4..]) != u32_at(bytes, 0) {
        return None;
    }
    match RecordRef::decode(bytes)? {
        (RecordRef::Append { id, payload }, length) if id == expected && length == bytes.len() => Some(payload),
        _ => None,
    }
}

/// Panics if `bytes` ends before; callers have split off a header of known length.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[offset + byte]))
}

/// Panics if `bytes` ends before; callers have split off a header of known length.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[offset + byte]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record> {
        let id = LogId { term: 3, index: 7 };
        vec![
            Record::Append(Entry { id, payload: Bytes::from_static(b"payload") }),
            Record::Append(Entry { id: LogId { term: u64::MAX, index: u64::MAX }, payload: Bytes::new() }),
            Record::Truncate { from: 0 },
            Record::Purge { to: id },
            Record::Vote(Bytes::from_static(b"vote")),
            Record::Committed(Some(id)),
            Record::Committed(None),
        ]
    }

    #[test]
    fn what_is_decoded_is_what_was_encoded() {
        let mut bytes = Vec::new();
        for record in all() {
            let start = bytes.len();
            record.as_ref().encode(&mut bytes);
            assert_eq!(bytes.len() - start, record.encoded_bytes());
        }
        let mut rest = &bytes[..];
        for record in all() {
            let (decoded, length) = RecordRef::decode(rest).unwrap();
            assert_eq!(decoded, record.as_ref());
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn an_entry_read_alone_is_the_one_that_was_asked_for_and_whole() {
        let id = LogId { term: 3, index: 7 };
        let mut bytes = Vec::new();
        RecordRef::Append { id, payload: b"payload" }.encode(&mut bytes);
        assert_eq!(decode_entry(&bytes, id), Some(&b"payload"[..]));
        assert_eq!(decode_entry(&bytes, LogId { term: 4, index: 7 }), None);
        assert_eq!(decode_entry(&bytes[..bytes.len() - 1], id), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_entry(&flipped, id), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(decode_entry(&bytes[..length], id), None);
        }
    }
}
