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

mod content;
mod control;
mod reader;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use shoal_kv::Revision;

use crate::{codec::DecodeError, state::Head};
pub(crate) use content::{HeadMessage, decode_row, encode_row};
pub use reader::SnapshotDamage;
pub(crate) use reader::{Order, RecordReader};

/// What a snapshot begins with.
pub(crate) const MAGIC: &[u8; 16] = b"shoal snapshot\0\x01";

/// Bytes in front of a record's payload.
pub(crate) const RECORD_HEADER_BYTES: usize = 8;

/// Bytes of one record's payload, at most: some rows, of which the last may be as large as a request, or a head with very many leases.
/// A longer one is not read: it is no snapshot.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 20;

/// One part of a snapshot.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one head in a snapshot, and one record at a time in memory")]
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
#[expect(clippy::large_enum_variant, reason = "there is one head in a snapshot, and one record at a time in memory")]
enum RecordContent {
    #[prost(message, tag = "1")]
    Head(HeadMessage),
    #[prost(message, tag = "2")]
    Rows(RowsMessage),
    #[prost(message, tag = "3")]
    End(End),
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
