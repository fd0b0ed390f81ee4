//! What the fuzz target and the short run of the tests do with bytes: read them as the segments of a log.
//!
//! The input is a row of segments, each as its length (u32, little-endian) and so many bytes; what is missing to the length that its header
//! says are zeros.

use shoal_store_format::{BLOCK_BYTES, Replay, SEGMENT_BYTES_MIN, SegmentHeader};

/// Reads `input` as a log. Says whether it was one, whole.
pub fn read_log(mut input: &[u8]) -> bool {
    let mut segments = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let (bytes, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        let mut bytes = bytes.to_vec();
        input = rest;
        // Reading allocates what a header says a segment has; the shell gives it no more than the file has. Here: the smallest.
        bytes.resize(SEGMENT_BYTES_MIN as usize, 0);
        let Ok(header) = SegmentHeader::parse(&bytes[..BLOCK_BYTES]) else { return false };
        segments.push((header, bytes));
    }
    let Some((first, _)) = segments.first() else { return false };
    let mut replay = Replay::begin(first);
    let mut seen = 0;
    for (number, (header, bytes)) in segments.iter().enumerate() {
        let next = segments.get(number + 1).map(|(header, _)| header);
        if replay.segment(header, bytes, next, &mut |record| seen += 1 + record.payload().len()).is_err() {
            return false;
        }
    }
    assert!(seen <= segments.len() * SEGMENT_BYTES_MIN as usize, "more was read than there is");
    replay.finish().is_ok()
}
