//! What the reader makes of segments: torn tails, damage, old bytes, and bytes that a client made up.

use bytes::Bytes;
use shoal_store_format::{
    BLOCK_BYTES, Contents, Damage, Entry, Frame, Head, LogId, Mark, Proof, Record, Replay, SEGMENT_BYTES_MIN, SegmentEnd, SegmentHeader,
    What, mark,
};

const LENGTH: usize = SEGMENT_BYTES_MIN as usize;

/// The segments of a log, as they lie on a disk.
type Segments = Vec<(SegmentHeader, Vec<u8>)>;

/// A log in memory, written as the promises say.
#[derive(Clone)]
struct Writer {
    segments: Segments,
    offset: usize,
    sequence: u64,
    contents: Contents,
}

impl Writer {
    fn new() -> Self {
        let mut writer = Self { segments: Vec::new(), offset: 0, sequence: 1, contents: Contents::default() };
        writer.begin_segment(vec![0; LENGTH]);
        writer
    }

    /// Goes on in a segment that holds `old` bytes.
    fn begin_segment(&mut self, mut old: Vec<u8>) {
        if !self.segments.is_empty() {
            self.mark(Mark::Close);
        }
        let number = self.segments.last().map_or(1, |(header, _)| header.number + 1);
        let header = SegmentHeader {
            log: [5; 16],
            number,
            salt: 1000 + number,
            first_sequence: self.sequence,
            segment_bytes: SEGMENT_BYTES_MIN,
            head: self.contents.head(),
        };
        old[..BLOCK_BYTES].copy_from_slice(&header.encode());
        self.segments.push((header, old));
        self.offset = BLOCK_BYTES;
    }

    /// Writes a frame and gives its length.
    fn write(&mut self, records: &[Record]) -> usize {
        let (header, bytes) = self.segments.last_mut().unwrap();
        let mut frame = Frame::new();
        for record in records {
            let offset = frame.push(record.as_ref());
            self.contents.apply(record.as_ref(), header.number, self.offset as u32 + offset).unwrap();
        }
        let frame = frame.finish(header.salt, self.sequence);
        bytes[self.offset..self.offset + frame.len()].copy_from_slice(frame);
        self.offset += frame.len();
        self.sequence += 1;
        frame.len()
    }

    fn append(&mut self, size: usize) -> usize {
        let id = LogId { term: 1, index: self.contents.next().unwrap_or(0) };
        self.write(&[Record::Append(Entry { id, payload: Bytes::from(vec![0xa5; size]) })])
    }

    fn mark(&mut self, kind: Mark) {
        let (header, bytes) = self.segments.last_mut().unwrap();
        bytes[self.offset..self.offset + BLOCK_BYTES].copy_from_slice(&mark(kind, header.salt, self.sequence - 1));
    }

    fn read(&self) -> Result<(Contents, SegmentEnd), Damage> {
        read(&self.segments)
    }
}

fn read(segments: &[(SegmentHeader, Vec<u8>)]) -> Result<(Contents, SegmentEnd), Damage> {
    let mut replay = Replay::begin(&segments[0].0);
    let mut end = None;
    for (number, (header, bytes)) in segments.iter().enumerate() {
        end = Some(replay.segment(header, bytes, segments.get(number + 1).map(|next| &next.0), &mut |_| {})?);
    }
    Ok((replay.finish()?, end.unwrap()))
}

#[test]
fn what_is_read_is_what_was_written_and_where() {
    let mut writer = Writer::new();
    writer.append(10);
    writer.write(&[Record::Vote(Bytes::from_static(b"vote")), Record::Committed(Some(LogId { term: 1, index: 0 }))]);
    writer.begin_segment(vec![0; LENGTH]);
    writer.append(5000);
    writer.mark(Mark::Seal);
    let (contents, end) = writer.read().unwrap();
    assert_eq!(contents, writer.contents);
    assert_eq!(end, SegmentEnd { offset: writer.offset as u64, sequence: 4, closed: false, torn: false });
}

#[test]
fn a_frame_of_which_any_sectors_are_missing_is_torn() {
    let mut whole = Writer::new();
    whole.append(10);
    let before = whole.clone();
    let length = whole.append(3000);
    let sectors = length / 512;
    for kept in 0..1_u32 << sectors {
        let mut torn = before.clone();
        for sector in (0..sectors).filter(|sector| kept & 1 << sector != 0) {
            let range = before.offset + sector * 512..before.offset + (sector + 1) * 512;
            torn.segments[0].1[range.clone()].copy_from_slice(&whole.segments[0].1[range]);
        }
        let (contents, end) = torn.read().unwrap();
        // Sectors of padding are not missed.
        let expected = if torn.segments[0].1 == whole.segments[0].1 { &whole } else { &before };
        assert_eq!((&contents, end.offset), (&expected.contents, expected.offset as u64), "sectors {kept:b}");
        assert_eq!(end.torn, end.offset as usize == before.offset && kept & 1 != 0, "told when its header shows");
    }
}

#[test]
fn any_flipped_bit_is_harmless_or_reported() {
    let mut writer = Writer::new();
    writer.append(10);
    writer.append(5000);
    writer.write(&[Record::Vote(Bytes::from_static(b"vote"))]);
    writer.begin_segment(vec![0; LENGTH]);
    writer.append(100);
    writer.mark(Mark::Seal);
    let (mut harmless, mut reported) = (0, 0);
    for segment in 0..2 {
        for byte in 0..LENGTH {
            let mut segments = writer.segments.clone();
            segments[segment].1[byte] ^= 1 << (byte % 8);
            let read = SegmentHeader::parse(&segments[segment].1).ok().map(|_| read(&segments));
            match read {
                Some(Ok((contents, _))) => {
                    assert_eq!(contents, writer.contents, "byte {byte} of segment {segment}");
                    harmless += 1;
                }
                Some(Err(damage)) => {
                    assert_eq!(damage.segment, segment as u64 + 1);
                    assert!(damage.offset as usize <= byte, "{damage:?}");
                    reported += 1;
                }
                None => reported += 1,
            }
        }
    }
    // Two headers, the heads of four frames, and 5,114 bytes of payload.
    assert_eq!(reported, 2 * 512 + 4 * (40 + 32) + 10 + 5000 + 4 + 100);
    assert_eq!(harmless + reported, 2 * LENGTH);
}

#[test]
fn old_bytes_of_a_segment_used_before_never_count() {
    let mut first = Writer::new();
    (0..8).for_each(|_| _ = first.append(100));
    let old = first.segments[0].1.clone();
    let mut second = first.clone();
    second.begin_segment(old);
    second.append(100);
    let (contents, end) = second.read().unwrap();
    assert_eq!((contents, end.offset), (second.contents.clone(), 2 * BLOCK_BYTES as u64));
}

#[test]
fn bytes_that_a_client_made_up_to_look_like_a_frame_are_no_proof() {
    // A whole frame and a seal, as another segment has them, at the boundaries of blocks within a payload.
    let mut other = Writer::new();
    other.begin_segment(vec![0; LENGTH]);
    other.sequence = 100;
    other.append(10);
    other.mark(Mark::Seal);
    let forged = &other.segments[1].1[BLOCK_BYTES..3 * BLOCK_BYTES];
    let mut payload = vec![0; BLOCK_BYTES - 40 - 32];
    payload.extend_from_slice(forged);

    let mut writer = Writer::new();
    let entry = Entry { id: LogId::default(), payload: Bytes::from(payload) };
    writer.write(&[Record::Append(entry)]);
    assert_eq!(writer.segments[0].1[2 * BLOCK_BYTES..4 * BLOCK_BYTES], *forged, "they lie where the reader looks");
    assert_eq!(writer.read().unwrap().0, writer.contents);
    // Torn, it is torn still.
    writer.segments[0].1[BLOCK_BYTES + 50] ^= 1;
    let (contents, end) = writer.read().unwrap();
    assert_eq!((contents.last(), end.torn), (None, true));
}

#[test]
fn each_kind_of_damage_says_what_it_is() {
    let mut whole = Writer::new();
    whole.append(10);
    whole.append(10);
    whole.begin_segment(vec![0; LENGTH]);
    whole.append(10);
    whole.mark(Mark::Seal);
    let what = |segments: &[(SegmentHeader, Vec<u8>)]| read(segments).map(|_| ()).map_err(|damage| damage.what);
    let changed = |change: &dyn Fn(&mut Segments)| {
        let mut segments = whole.segments.clone();
        change(&mut segments);
        what(&segments)
    };
    assert_eq!(changed(&|_| {}), Ok(()));

    let lost = |number: usize, block: usize| {
        move |segments: &mut Segments| segments[number].1[block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES].fill(0)
    };
    let later = |sequence, offset: usize, later| What::Batch {
        sequence,
        proof: Proof::Later { offset: (offset * BLOCK_BYTES) as u64, sequence: later },
    };
    assert_eq!(changed(&lost(0, 1)), Err(later(1, 2, 2)), "a frame in the middle");
    assert_eq!(changed(&lost(0, 2)), Err(later(2, 3, 2)), "the last one of a segment, before its close");
    assert_eq!(changed(&lost(1, 1)), Err(later(3, 2, 3)), "the last one of all, before its seal");
    let both = |segments: &mut Vec<_>| {
        lost(0, 2)(segments);
        lost(0, 3)(segments);
    };
    assert_eq!(changed(&both), Err(What::Batch { sequence: 2, proof: Proof::NextSegment { first_sequence: 3 } }));

    assert_eq!(changed(&|segments| _ = segments.pop()), Err(What::Successor));
    assert_eq!(changed(&|segments| _ = segments.remove(0)), Err(What::Predecessors { from: 0, to: 1 }));
    assert_eq!(changed(&|segments| segments[1].1.truncate(9)), Err(What::Length { expected: LENGTH as u64, actual: 9 }));
    assert_eq!(changed(&|segments| segments[1].0.log = [6; 16]), Err(What::Misplaced));
    assert_eq!(changed(&|segments| segments[1].0.number = 7), Err(What::Misplaced));
    assert_eq!(changed(&|segments| segments[1].0.first_sequence = 2), Err(What::State));
    assert_eq!(changed(&|segments| segments[1].0.head = Head::default()), Err(What::State));
}

#[test]
fn a_whole_frame_that_contradicts_what_was_before_is_damage() {
    let mut writer = Writer::new();
    writer.append(10);
    let mut gap = writer.clone();
    gap.contents = Contents::after(&Head { last: Some(LogId { term: 1, index: 8 }), ..Head::default() });
    gap.append(10);
    assert_eq!(gap.read().unwrap_err().what, What::Contradiction { sequence: 2 });
}

#[test]
fn a_segment_that_was_begun_and_not_announced_is_where_the_log_goes_on() {
    let mut writer = Writer::new();
    writer.append(10);
    let announced_at = writer.offset;
    writer.begin_segment(vec![0; LENGTH]);
    writer.segments[0].1[announced_at..announced_at + BLOCK_BYTES].fill(0);
    let (contents, end) = writer.read().unwrap();
    assert_eq!((contents, end.offset, end.sequence), (writer.contents.clone(), BLOCK_BYTES as u64, 2));
}

#[test]
fn people_are_told_what_is_lost() {
    let damage = Damage {
        segment: 3,
        offset: 4096,
        what: What::Batch { sequence: 7, proof: Proof::NextSegment { first_sequence: 9 } },
        last_readable: Some(LogId { term: 2, index: 50 }),
    };
    assert_eq!(
        format!("{}. {}", damage.what, damage.affected()),
        "batch 7 is not readable, though the next segment, which begins with batch 9, was written after it. Entries after 50 (term 2), and \
         votes saved after it, are lost or in doubt; those up to it are readable."
    );
}
