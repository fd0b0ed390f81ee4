//! Reading entries back from their segments, without their frames: each record has a CRC of its own.

use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use shoal_store_format::{BLOCK_BYTES, Entry, LogId, Place, RECORD_HEADER_BYTES, decode_entry};

use super::error::ReadLogError;
use super::files::{Durable, Segment, lock};
use super::names;

/// Bytes read at once at most, unless one entry alone is larger.
const READ_BYTES_MAX: usize = 1 << 20;

/// Bytes between two entries that are read along rather than read twice: the padding and the header of a frame.
const GAP_BYTES_MAX: u32 = 2 * BLOCK_BYTES as u32;

/// Entries that lie close to each other in one segment.
struct Stretch {
    segment: Segment,
    number: u64,
    entries: Vec<(LogId, Place)>,
}

impl Stretch {
    /// The stretch that begins with the first entry of `range`. It ends before the payloads are more than `max_bytes`, but not before the
    /// first.
    fn find(durable: &Durable, range: Range<u64>, max_bytes: usize) -> Option<Self> {
        let first = durable.contents.entry(range.start)?;
        let number = first.1.segment;
        let segment = durable.segments.get(&number)?.clone();
        let mut entries = vec![first];
        let (mut bytes, mut end) = (first.1.length as usize, end_of(first.1));
        for index in range.skip(1) {
            let Some((id, place)) = durable.contents.entry(index) else { break };
            bytes += place.length as usize;
            let near = place.segment == number && place.offset >= end && place.offset - end <= GAP_BYTES_MAX;
            if !near || bytes > max_bytes.min(READ_BYTES_MAX) {
                break;
            }
            end = end_of(place);
            entries.push((id, place));
        }
        Some(Self { segment, number, entries })
    }
}

fn end_of(place: Place) -> u32 {
    place.offset + RECORD_HEADER_BYTES as u32 + place.length
}

/// Some entries of `range`, from its start on. The caller sees to it that they are durable, and looks afterwards whether they were purged
/// meanwhile.
pub(super) fn read(durable: &Mutex<Durable>, directory: &Path, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, ReadLogError> {
    let index = range.start;
    // The lock is not held while the file is read: the file stays, whatever becomes of its name.
    let stretch = Stretch::find(&lock(durable), range, max_bytes).ok_or(ReadLogError::Missing { index })?;
    let path = directory.join(names::segment(stretch.number));
    let (Some((_, first)), Some((_, last))) = (stretch.entries.first(), stretch.entries.last()) else {
        return Err(ReadLogError::Missing { index });
    };
    let mut buffer = vec![0; (end_of(*last) - first.offset) as usize];
    if let Err(source) = stretch.segment.file.read_exact_at(first.offset.into(), &mut buffer) {
        return Err(ReadLogError::Io { path, source });
    }
    // All payloads share the buffer.
    let buffer = Bytes::from(buffer);
    let decode = |&(id, place): &(LogId, Place)| {
        let record = buffer.slice((place.offset - first.offset) as usize..(end_of(place) - first.offset) as usize);
        match decode_entry(&record, id) {
            Some(_) => Ok(Entry { id, payload: record.slice(RECORD_HEADER_BYTES..) }),
            None => Err(ReadLogError::Damaged { path: path.clone(), offset: place.offset.into(), index: id.index }),
        }
    };
    stretch.entries.iter().map(decode).collect()
}
