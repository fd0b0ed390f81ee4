//! A snapshot as bytes: records, each with its length and its sum, so that a snapshot can be cut anywhere and is never taken for whole.
//!
//! ```text
//! snapshot = magic, record(head), record(rows)*, record(end), padding
//! record   = length: u32, crc32c of the payload: u32, payload      (little endian; the payload is protocol buffers)
//! magic    = "shoal snapshot\0" and the version, 1
//! padding  = zeros up to a multiple of 512 bytes, in a backup only
//! ```
//!
//! Rows come in the order of their revisions. The end says how many there were.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use shoal_kv::{AlarmMember, KeyValue, Revision, checkpoint::CheckpointHead};

use crate::{
    codec::{DecodeError, alarm_number, alarm_of_number},
    raft::{
        entry::Attributes,
        wire::{LogIdMessage, StoredMembershipMessage},
    },
    state::Head,
};

/// What a snapshot begins with.
pub(crate) const MAGIC: &[u8; 16] = b"shoal snapshot\0\x01";

/// Bytes in front of a record's payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 8;

/// Bytes of one record's payload, at most: some rows, of which the last may be as large as a request, or a head with very many leases.
/// A longer one is not read: it is no snapshot.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;

/// One part of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    Head(Head),
    Rows(Vec<(Revision, Bytes)>),
    End(End),
}

/// What a snapshot ends with.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct End {
    #[prost(uint64, tag = "1")]
    pub(crate) rows: u64,
}

#[derive(Clone, PartialEq, Message)]
struct RecordMessage {
    #[prost(oneof = "RecordContent", tags = "1, 2, 3")]
    content: Option<RecordContent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum RecordContent {
    #[prost(message, tag = "1")]
    Head(HeadMessage),
    #[prost(message, tag = "2")]
    Rows(RowsMessage),
    #[prost(message, tag = "3")]
    End(End),
}

/// [`Head`], also as the checkpoint keeps it (there without leases, which are rows of their own).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeadMessage {
    #[prost(message, optional, tag = "1")]
    applied: Option<LogIdMessage>,
    #[prost(message, optional, tag = "2")]
    membership: Option<StoredMembershipMessage>,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<Attributes>,
    #[prost(int64, tag = "4")]
    revision: i64,
    #[prost(sint64, tag = "5")]
    compact_revision: i64,
    #[prost(message, repeated, tag = "6")]
    alarms: Vec<AlarmMemberMessage>,
    #[prost(btree_map = "int64, int64", tag = "7")]
    pub(crate) leases: BTreeMap<i64, i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct AlarmMemberMessage {
    #[prost(uint64, tag = "1")]
    member: u64,
    #[prost(uint32, tag = "2")]
    alarm: u32,
}

#[derive(Clone, PartialEq, Message)]
struct RowsMessage {
    #[prost(message, repeated, tag = "1")]
    rows: Vec<RowMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct RowMessage {
    #[prost(int64, tag = "1")]
    main: i64,
    #[prost(uint32, tag = "2")]
    sub: u32,
    #[prost(bytes = "bytes", tag = "3")]
    row: Bytes,
}

/// A version of a key, without its revision.
#[derive(Clone, PartialEq, Eq, Message)]
struct KeyValueMessage {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
    #[prost(int64, tag = "3")]
    create_revision: i64,
    #[prost(int64, tag = "4")]
    version: i64,
    #[prost(int64, tag = "5")]
    lease: i64,
}

impl From<&Head> for HeadMessage {
    fn from(head: &Head) -> Self {
        let alarm = |member: &AlarmMember| AlarmMemberMessage { member: member.member, alarm: alarm_number(member.alarm) };
        Self {
            applied: head.applied.as_ref().map(Into::into),
            membership: Some((&head.membership).into()),
            attributes: head.attributes.values().cloned().collect(),
            revision: head.store.revision,
            compact_revision: head.store.compact_revision,
            alarms: head.store.alarms.iter().map(alarm).collect(),
            leases: head.store.leases.iter().copied().collect(),
        }
    }
}

impl TryFrom<HeadMessage> for Head {
    type Error = DecodeError;

    fn try_from(message: HeadMessage) -> Result<Self, DecodeError> {
        let alarm = |alarm: AlarmMemberMessage| Ok(AlarmMember { member: alarm.member, alarm: alarm_of_number(alarm.alarm)? });
        Ok(Self {
            applied: message.applied.map(Into::into),
            membership: message.membership.unwrap_or_default().try_into()?,
            attributes: message.attributes.into_iter().map(|attributes| (attributes.member, attributes)).collect(),
            store: CheckpointHead {
                revision: message.revision,
                compact_revision: message.compact_revision,
                leases: message.leases.into_iter().collect(),
                alarms: message.alarms.into_iter().map(alarm).collect::<Result<_, DecodeError>>()?,
            },
        })
    }
}

/// A version as a row of the checkpoint. Its mod revision is the row's own.
pub(crate) fn encode_row(kv: &KeyValue) -> Bytes {
    let KeyValue { key, value, create_revision, version, lease, .. } = kv.clone();
    KeyValueMessage { key, value, create_revision, version, lease }.encode_to_vec().into()
}

/// The version in a row. Key and value share the row's memory.
pub(crate) fn decode_row(at: Revision, row: Bytes) -> Result<KeyValue, DecodeError> {
    let KeyValueMessage { key, value, create_revision, version, lease } = KeyValueMessage::decode(row)?;
    Ok(KeyValue { key, value, create_revision, mod_revision: at.main, version, lease })
}

impl Record {
    /// The record with its length and its sum.
    pub(crate) fn encode(self) -> Bytes {
        let content = match self {
            Self::Head(head) => RecordContent::Head((&head).into()),
            Self::Rows(rows) => {
                let row = |(at, row): (Revision, Bytes)| RowMessage { main: at.main, sub: at.sub, row };
                RecordContent::Rows(RowsMessage { rows: rows.into_iter().map(row).collect() })
            }
            Self::End(end) => RecordContent::End(end),
        };
        let message = RecordMessage { content: Some(content) };
        let mut bytes = BytesMut::with_capacity(RECORD_HEADER_BYTES + message.encoded_len());
        bytes.put_bytes(0, RECORD_HEADER_BYTES);
        message.encode_raw(&mut bytes);
        let length = u32::try_from(bytes.len() - RECORD_HEADER_BYTES).expect("a record is bounded by the rows in it");
        let sum = crc32c::crc32c(&bytes[RECORD_HEADER_BYTES..]);
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        bytes.freeze()
    }

    fn decode(payload: Bytes) -> Result<Self, DecodeError> {
        Ok(match RecordMessage::decode(payload)?.content.ok_or(DecodeError::Unknown("snapshot record"))? {
            RecordContent::Head(head) => Self::Head(head.try_into()?),
            RecordContent::Rows(rows) => {
                Self::Rows(rows.rows.into_iter().map(|row| (Revision { main: row.main, sub: row.sub }, row.row)).collect())
            }
            RecordContent::End(end) => Self::End(end),
        })
    }
}

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
}

impl RecordReader {
    /// One that reads on behind the magic.
    pub(crate) fn resumed() -> Self {
        Self { buffer: BytesMut::new(), begun: true }
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
