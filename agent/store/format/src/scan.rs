//! One segment: its frames, and what stands where they end.

use crate::BLOCK_BYTES;
use crate::damage::Proof;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind, in_blocks};
use crate::record::RecordRef;
use crate::segment::SegmentHeader;

/// What stands where the next frame would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A seal: nothing was being written, or nothing of it arrived.
    Sealed,
    /// A close.
    Closed,
    /// Nothing that counts. `torn`: a frame was begun here.
    Open { torn: bool },
    /// Something that counts follows.
    Damaged(Proof),
}

/// A frame that is whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameRef<'a> {
    pub(crate) sequence: u64,
    /// From the beginning of the segment to the frame, in bytes.
    pub(crate) offset: usize,
    body: &'a [u8],
    records: u32,
}

impl<'a> FrameRef<'a> {
    /// Its records, each with its distance from the beginning of the segment; `None` if one cannot be understood.
    pub(crate) fn records(&self) -> Option<Vec<(RecordRef<'a>, u32)>> {
        let mut records = Vec::new();
        let mut at = 0;
        while let Some(rest) = self.body.get(at..).filter(|rest| !rest.is_empty()) {
            let (record, length) = RecordRef::decode(rest)?;
            records.push((record, (self.offset + FRAME_HEADER_BYTES + at) as u32));
            at += length;
        }
        (records.len() == self.records as usize).then_some(records)
    }
}

/// Walks through the frames of a segment.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    bytes: &'a [u8],
    salt: u64,
    /// Where the next frame would be.
    pub(crate) offset: usize,
    /// Its sequence.
    pub(crate) sequence: u64,
}

impl<'a> Scan<'a> {
    /// `bytes` is the whole segment, of the length that its header says.
    pub(crate) fn new(header: &SegmentHeader, bytes: &'a [u8]) -> Self {
        Self { bytes, salt: header.salt, offset: BLOCK_BYTES, sequence: header.first_sequence }
    }

    /// The next frame, if it is there and whole.
    pub(crate) fn next(&mut self) -> Option<FrameRef<'a>> {
        let rest = self.bytes.get(self.offset..)?;
        let header = FrameHeader::parse(rest, self.salt)?;
        if header.kind != Kind::Batch || header.sequence != self.sequence {
            return None;
        }
        let body = rest.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + header.length as usize)?;
        if crc32c::crc32c(body) != header.crc {
            return None;
        }
        let frame = FrameRef { sequence: header.sequence, offset: self.offset, body, records: header.records };
        self.offset += in_blocks(FRAME_HEADER_BYTES + body.len());
        self.sequence = self.sequence.saturating_add(1);
        Some(frame)
    }

    /// What stands where [`Scan::next`] found no frame. Looks through all the rest of the segment.
    pub(crate) fn end(&self) -> End {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let last = self.sequence - 1;
        for (number, block) in rest.chunks(BLOCK_BYTES).enumerate() {
            let Some(header) = FrameHeader::parse(block, self.salt) else { continue };
            let proves_more = match header.kind {
                // A batch was written when the one before was durable.
                Kind::Batch => header.sequence > self.sequence,
                Kind::Seal | Kind::Close => header.sequence >= self.sequence,
            };
            if proves_more {
                let offset = (self.offset + number * BLOCK_BYTES) as u64;
                return End::Damaged(Proof::Later { offset, sequence: header.sequence });
            }
        }
        match FrameHeader::parse(rest, self.salt) {
            Some(FrameHeader { kind: Kind::Seal, sequence, .. }) if sequence == last => End::Sealed,
            Some(FrameHeader { kind: Kind::Close, sequence, .. }) if sequence == last => End::Closed,
            _ => End::Open { torn: FrameHeader::begins_like_one(rest, self.salt) },
        }
    }
}
