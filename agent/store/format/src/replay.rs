//! All segments, one after the other: what the log holds, where it goes on, and whether anything is damaged.

use crate::contents::Contents;
use crate::damage::{Damage, Proof, What};
use crate::record::RecordRef;
use crate::scan::{End, Scan};
use crate::segment::SegmentHeader;

/// Where a segment that was read ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Where the next frame goes, in bytes.
    pub offset: u64,
    /// Its sequence.
    pub sequence: u64,
    /// The next segment is said to exist.
    pub closed: bool,
    /// A frame was begun here, and not finished; nobody was told that it is durable.
    pub torn: bool,
}

/// Reads the segments of a log in order.
#[derive(Debug)]
pub struct Replay {
    log: [u8; 16],
    contents: Contents,
    number: u64,
    sequence: u64,
}

impl Replay {
    /// Begins with the first segment that is there.
    #[must_use]
    pub fn begin(first: &SegmentHeader) -> Self {
        Self { log: first.log, contents: Contents::after(&first.head), number: first.number, sequence: first.first_sequence }
    }

    /// Reads one segment: `bytes` is all of its file, `next` the header of the one that follows, if there is one. `each` sees every record
    /// that takes effect, in order.
    ///
    /// # Errors
    /// Something that was durable is not readable any more. What was seen until then remains in [`Replay::contents`].
    pub fn segment(
        &mut self,
        header: &SegmentHeader,
        bytes: &[u8],
        next: Option<&SegmentHeader>,
        each: &mut dyn FnMut(RecordRef<'_>),
    ) -> Result<SegmentEnd, Damage> {
        if bytes.len() as u64 != u64::from(header.segment_bytes) {
            let what = What::Length { expected: header.segment_bytes.into(), actual: bytes.len() as u64 };
            return Err(self.damage(header.number, 0, what));
        }
        if header.log != self.log || header.number != self.number {
            return Err(self.damage(header.number, 0, What::Misplaced));
        }
        // Sequences begin at 1: 0 is what a mark says when nothing is durable yet.
        if header.first_sequence != self.sequence || self.sequence == 0 || !self.contents.agrees_with(&header.head) {
            return Err(self.damage(header.number, 0, What::State));
        }
        let mut scan = Scan::new(header, bytes);
        while let Some(frame) = scan.next() {
            let contradiction = What::Contradiction { sequence: frame.sequence };
            let Some(records) = frame.records() else {
                return Err(self.damage(header.number, frame.offset as u64, contradiction));
            };
            for (record, offset) in records {
                if self.contents.apply(record, header.number, offset).is_err() {
                    return Err(self.damage(header.number, frame.offset as u64, contradiction));
                }
                each(record);
            }
        }
        let end = scan.end();
        let offset = scan.offset as u64;
        self.sequence = scan.sequence;
        self.number = self.number.saturating_add(1);
        let unreadable = |proof| What::Batch { sequence: scan.sequence, proof };
        match (end, next) {
            (End::Damaged(proof), _) => Err(self.damage(header.number, offset, unreadable(proof))),
            (_, Some(next)) if next.first_sequence > scan.sequence => {
                let proof = Proof::NextSegment { first_sequence: next.first_sequence };
                Err(self.damage(header.number, offset, unreadable(proof)))
            }
            (End::Closed, None) => Err(self.damage(header.number, offset, What::Successor)),
            (End::Closed | End::Sealed | End::Open { .. }, _) => Ok(SegmentEnd {
                offset,
                sequence: scan.sequence,
                closed: end == End::Closed,
                torn: end == End::Open { torn: true } && next.is_none(),
            }),
        }
    }

    /// The sequence of the frame that would follow what was seen so far.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// What the log holds so far.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// What the log holds, after the last segment.
    ///
    /// # Errors
    /// Entries that count were in segments that are not there any more.
    pub fn finish(self) -> Result<Contents, Damage> {
        match self.contents.missing() {
            Some((from, to)) => Err(Damage { segment: self.number, offset: 0, what: What::Predecessors { from, to }, last_readable: None }),
            None => Ok(self.contents),
        }
    }

    fn damage(&self, segment: u64, offset: u64, what: What) -> Damage {
        Damage { segment, offset, what, last_readable: self.contents.last() }
    }
}
