//! The first block of a segment.
//!
//! ```text
//!   0  [u8; 8]   magic
//!   8  u32       CRC32C of the 512 bytes from the magic on, with zeros here: the same place in every version
//!  12  u16       version
//!  14  u16       which of the state's parts there are: 1 purged, 2 last, 4 vote, 8 committed
//!  16  [u8; 16]  log id
//!  32  u64       number
//!  40  u64       salt
//!  48  u64       sequence of its first frame
//!  56  u32       bytes of the segment
//!  60  u32       bytes of the vote
//!  64  u64 u64   purged: term, index
//!  80  u64 u64   last
//!  96  u64 u64   committed
//! 112            vote
//! ```

use bytes::Bytes;

use crate::contents::Head;
use crate::record::{LogId, u32_at, u64_at};
use crate::{BLOCK_BYTES, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, VOTE_BYTES_MAX};

const MAGIC: [u8; 8] = *b"SHOALLOG";
const VERSION: u16 = 1;
/// Bytes that the CRC covers. The block's others mean nothing.
const CHECKED_BYTES: usize = 512;
const VOTE_OFFSET: usize = 112;

const PURGED: u16 = 1;
const LAST: u16 = 2;
const VOTE: u16 = 4;
const COMMITTED: u16 = 8;

/// What a segment says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which log it belongs to: random bits, the same in all segments.
    pub log: [u8; 16],
    /// Its number; the first is 1, and there are no holes.
    pub number: u64,
    /// Random bits of its own, which its frames repeat.
    pub salt: u64,
    /// The sequence of its first frame: all before are durable.
    pub first_sequence: u64,
    /// Its length in bytes.
    pub segment_bytes: u32,
    /// The state before its first frame.
    pub head: Head,
}

/// The first block is not that of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is not whole.
    #[error("the segment's header is not readable")]
    Damaged,
    /// It was written by a version with another format.
    #[error("format version {version} is not known")]
    Version {
        /// What it says.
        version: u16,
    },
}

impl SegmentHeader {
    /// The block to write.
    #[must_use]
    pub fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        let head = &self.head;
        let vote = head.vote.as_deref().unwrap_or_default();
        let flag = |there: bool, flag: u16| if there { flag } else { 0 };
        let flags = flag(head.purged.is_some(), PURGED)
            | flag(head.last.is_some(), LAST)
            | flag(head.vote.is_some(), VOTE)
            | flag(head.committed.is_some(), COMMITTED);
        block[0..8].copy_from_slice(&MAGIC);
        block[12..14].copy_from_slice(&VERSION.to_le_bytes());
        block[14..16].copy_from_slice(&flags.to_le_bytes());
        block[16..32].copy_from_slice(&self.log);
        block[32..40].copy_from_slice(&self.number.to_le_bytes());
        block[40..48].copy_from_slice(&self.salt.to_le_bytes());
        block[48..56].copy_from_slice(&self.first_sequence.to_le_bytes());
        block[56..60].copy_from_slice(&self.segment_bytes.to_le_bytes());
        block[60..64].copy_from_slice(&(vote.len() as u32).to_le_bytes());
        for (id, offset) in [(head.purged, 64), (head.last, 80), (head.committed, 96)] {
            let id = id.unwrap_or_default();
            block[offset..offset + 8].copy_from_slice(&id.term.to_le_bytes());
            block[offset + 8..offset + 16].copy_from_slice(&id.index.to_le_bytes());
        }
        block[VOTE_OFFSET..VOTE_OFFSET + vote.len()].copy_from_slice(vote);
        let crc = crc32c::crc32c(&block[..CHECKED_BYTES]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// The header in the first block of a file.
    ///
    /// # Errors
    /// It is none, or one of another version.
    pub fn parse(block: &[u8]) -> Result<Self, HeaderError> {
        let mut checked: [u8; CHECKED_BYTES] = block.first_chunk().copied().ok_or(HeaderError::Damaged)?;
        let crc = u32_at(&checked, 8);
        checked[8..12].fill(0);
        if checked[..8] != MAGIC || crc32c::crc32c(&checked) != crc {
            return Err(HeaderError::Damaged);
        }
        let version = u16::from_le_bytes([checked[12], checked[13]]);
        if version != VERSION {
            return Err(HeaderError::Version { version });
        }
        let flags = u16::from_le_bytes([checked[14], checked[15]]);
        let id = |flag, offset| (flags & flag != 0).then(|| LogId { term: u64_at(&checked, offset), index: u64_at(&checked, offset + 8) });
        let vote_bytes = u32_at(&checked, 60) as usize;
        let segment_bytes = u32_at(&checked, 56);
        if vote_bytes > VOTE_BYTES_MAX
            || !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes)
            || !segment_bytes.is_multiple_of(BLOCK_BYTES as u32)
        {
            return Err(HeaderError::Damaged);
        }
        Ok(Self {
            log: std::array::from_fn(|byte| checked[16 + byte]),
            number: u64_at(&checked, 32),
            salt: u64_at(&checked, 40),
            first_sequence: u64_at(&checked, 48),
            segment_bytes,
            head: Head {
                purged: id(PURGED, 64),
                last: id(LAST, 80),
                committed: id(COMMITTED, 96),
                vote: (flags & VOTE != 0).then(|| Bytes::copy_from_slice(&checked[VOTE_OFFSET..VOTE_OFFSET + vote_bytes])),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(head: Head) -> SegmentHeader {
        SegmentHeader { log: [7; 16], number: 3, salt: 99, first_sequence: 12, segment_bytes: SEGMENT_BYTES_MIN, head }
    }

    #[test]
    fn what_is_parsed_is_what_was_encoded() {
        let id = LogId { term: 1, index: 2 };
        for head in [
            Head::default(),
            Head { vote: Some(Bytes::new()), ..Head::default() },
            Head { purged: Some(id), last: Some(id), committed: Some(id), vote: Some(Bytes::from(vec![9; VOTE_BYTES_MAX])) },
        ] {
            let header = header(head);
            assert_eq!(SegmentHeader::parse(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_or_means_nothing() {
        let header = header(Head { vote: Some(Bytes::from_static(b"vote")), ..Head::default() });
        let block = header.encode();
        for bit in 0..BLOCK_BYTES * 8 {
            let mut flipped = block;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit / 8 < CHECKED_BYTES { Err(HeaderError::Damaged) } else { Ok(header.clone()) };
            assert_eq!(SegmentHeader::parse(&flipped), expected, "bit {bit}");
        }
        assert_eq!(SegmentHeader::parse(&block[..100]), Err(HeaderError::Damaged));
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut block = header(Head::default()).encode();
        block[12] = 2;
        block[8..12].fill(0);
        let crc = crc32c::crc32c(&block[..CHECKED_BYTES]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::parse(&block), Err(HeaderError::Version { version: 2 }));
    }
}
