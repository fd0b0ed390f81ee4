//! Frames: what is written and synced at once.
//!
//! ```text
//!  0  u32  magic
//!  4  u32  CRC32C of the 32 bytes that follow
//!  8  u64  the segment's salt
//! 16  u64  sequence; of a mark: that of the last durable frame
//! 24  u32  bytes of records
//! 28  u32  CRC32C of the records
//! 32  u32  kind: 1 batch, 2 seal, 3 close
//! 36  u32  number of records
//! 40       records
//! ```

use crate::BLOCK_BYTES;
use crate::record::{RecordRef, u32_at, u64_at};

/// "SHLF" in the file.
const MAGIC: u32 = u32::from_le_bytes(*b"SHLF");

/// Bytes in front of a frame's records.
pub(crate) const FRAME_HEADER_BYTES: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Batch = 1,
    Seal = 2,
    Close = 3,
}

/// The header of a frame or a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: Kind,
    pub(crate) salt: u64,
    pub(crate) sequence: u64,
    pub(crate) length: u32,
    pub(crate) crc: u32,
    pub(crate) records: u32,
}

impl FrameHeader {
    /// The header at the beginning of `bytes`, if it is one of a segment with this salt, and whole.
    pub(crate) fn parse(bytes: &[u8], salt: u64) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_BYTES)?;
        if !Self::begins_like_one(header, salt) || u32_at(header, 4) != crc32c::crc32c(&header[8..]) {
            return None;
        }
        let kind = match u32_at(header, 32) {
            1 => Kind::Batch,
            2 => Kind::Seal,
            3 => Kind::Close,
            _ => return None,
        };
        let (sequence, length, crc, records) = (u64_at(header, 16), u32_at(header, 24), u32_at(header, 28), u32_at(header, 36));
        Some(Self { kind, salt, sequence, length, crc, records })
    }

    /// Whether somebody began to write a header here: for telling people about a torn write, not for deciding anything.
    pub(crate) fn begins_like_one(bytes: &[u8], salt: u64) -> bool {
        bytes.len() >= 16 && u32_at(bytes, 0) == MAGIC && u64_at(bytes, 8) == salt
    }

    fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.crc.to_le_bytes());
        bytes[32..36].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[36..40].copy_from_slice(&self.records.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// Whole blocks that `bytes` bytes need, in bytes.
pub(crate) const fn in_blocks(bytes: usize) -> usize {
    bytes.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// A frame that is being put together. The buffer is used again for the next one.
#[derive(Debug)]
pub struct Frame {
    buffer: Vec<u8>,
    records: u32,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// One without records.
    #[must_use]
    pub fn new() -> Self {
        Self { buffer: vec![0; FRAME_HEADER_BYTES], records: 0 }
    }

    /// Takes out all records.
    pub fn clear(&mut self) {
        self.buffer.truncate(FRAME_HEADER_BYTES);
        self.records = 0;
    }

    /// Puts a record in and says how far from the beginning of the frame it lies, in bytes.
    pub fn push(&mut self, record: RecordRef<'_>) -> u32 {
        let offset = self.buffer.len() as u32;
        record.encode(&mut self.buffer);
        self.records += 1;
        offset
    }

    /// How many bytes it takes in the segment, padding included.
    #[must_use]
    pub fn padded_bytes(&self) -> usize {
        in_blocks(self.buffer.len())
    }

    /// The most bytes of records that fit into a frame of `padded_bytes`.
    #[must_use]
    pub const fn records_that_fit(padded_bytes: usize) -> usize {
        padded_bytes.saturating_sub(FRAME_HEADER_BYTES)
    }

    /// The bytes to write, padded to whole blocks. Records that are pushed afterwards need a [`Frame::clear`] first.
    pub fn finish(&mut self, salt: u64, sequence: u64) -> &[u8] {
        let body = &self.buffer[FRAME_HEADER_BYTES..];
        let header =
            FrameHeader { kind: Kind::Batch, salt, sequence, length: body.len() as u32, crc: crc32c::crc32c(body), records: self.records };
        self.buffer[..FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
        self.buffer.resize(in_blocks(self.buffer.len()), 0);
        &self.buffer
    }
}

/// What is said about the frames before, where the next one would begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// All frames up to this one are durable.
    Seal,
    /// And the log goes on in the next segment, which exists.
    Close,
}

/// The block of a mark: `sequence` is that of the last durable frame, 0 if there is none.
#[must_use]
pub fn mark(kind: Mark, salt: u64, sequence: u64) -> [u8; BLOCK_BYTES] {
    let kind = match kind {
        Mark::Seal => Kind::Seal,
        Mark::Close => Kind::Close,
    };
    let mut block = [0; BLOCK_BYTES];
    let header = FrameHeader { kind, salt, sequence, length: 0, crc: 0, records: 0 };
    block[..FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_any_bit_flipped_is_none() {
        let block = mark(Mark::Seal, 77, 5);
        assert_eq!(FrameHeader::parse(&block, 77).map(|header| (header.kind, header.sequence)), Some((Kind::Seal, 5)));
        assert_eq!(FrameHeader::parse(&block, 78), None);
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut flipped = block;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::parse(&flipped, 77), None, "bit {bit}");
        }
    }

    #[test]
    fn frames_are_whole_blocks_and_the_buffer_is_used_again() {
        let mut frame = Frame::new();
        frame.push(RecordRef::Vote(&[1; 200]));
        assert_eq!(frame.padded_bytes(), BLOCK_BYTES);
        let first = frame.finish(1, 1).to_vec();
        assert_eq!(first.len(), BLOCK_BYTES);
        frame.clear();
        frame.push(RecordRef::Vote(&[1; 200]));
        assert_eq!(frame.finish(1, 1), first, "nothing of the last one is left");
        frame.clear();
        let offset = frame.push(RecordRef::Append { id: crate::LogId::default(), payload: &[0; BLOCK_BYTES] });
        assert_eq!((offset as usize, frame.padded_bytes()), (FRAME_HEADER_BYTES, 2 * BLOCK_BYTES));
    }
}
