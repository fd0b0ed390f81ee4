//! What the fuzz target and the short run of the tests do with bytes: read them as the segments of a log.
//!
//! The input is one byte (1: CRCs are put right first, so that what stands behind them is reached), and a row of segments, each as its
//! length (u32, little-endian) and so many bytes; what is missing to the length of a segment are zeros.

use shoal_store_format::{BLOCK_BYTES, Replay, SEGMENT_BYTES_MIN, SegmentHeader};

/// Reads `input` as a log. Says whether it was one, whole or torn.
pub(crate) fn read_log(input: &[u8]) -> bool {
    let Some((mode, mut input)) = input.split_first() else { return false };
    let mut segments = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let (bytes, rest) = rest.split_at(rest.len().min(u32::from_le_bytes(*length) as usize));
        let mut bytes = bytes.to_vec();
        input = rest;
        // Reading allocates what a header says a segment has; the shell gives it no more than the file has. Here: the smallest.
        bytes.resize(SEGMENT_BYTES_MIN as usize, 0);
        if *mode == 1 {
            put_crcs_right(&mut bytes);
        }
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

/// Gives a segment's header, and every frame that begins like one, the CRCs of what they hold. The layout is that of the format's modules
/// `segment` and `frame`.
fn put_crcs_right(segment: &mut [u8]) {
    segment[8..12].fill(0);
    let crc = crc32c::crc32c(&segment[..512]);
    segment[8..12].copy_from_slice(&crc.to_le_bytes());
    for at in (BLOCK_BYTES..segment.len()).step_by(BLOCK_BYTES) {
        let frame = &mut segment[at..];
        if &frame[..4] != b"SHLF" {
            continue;
        }
        let length = u32::from_le_bytes(frame[24..28].try_into().unwrap_or_default()) as usize;
        if let Some(body) = frame.get(40..40_usize.saturating_add(length)) {
            let crc = crc32c::crc32c(body);
            frame[28..32].copy_from_slice(&crc.to_le_bytes());
        }
        let crc = crc32c::crc32c(&frame[8..40]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    }
}
