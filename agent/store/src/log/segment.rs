//! Segments as files: how one begins, what fits into it, and what a frame in it counts for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoal_store_format::{BLOCK_BYTES, Frame, RESERVE_BYTES, Record, SegmentHeader};

use super::error::LogFailed;
use super::{LogOptions, names};
use crate::bugs::Bug;
use crate::disk::{Disk, File};
use crate::wear::{Cause, Wear};

/// Bytes of records that fit into one frame of an empty segment.
pub(super) fn record_bytes_max(segment_bytes: u32) -> usize {
    let blocks = segment_bytes as usize - 2 * BLOCK_BYTES - RESERVE_BYTES as usize;
    Frame::records_that_fit(blocks)
}

/// Makes a segment of a spare: the header first, durable, then the name.
pub(super) fn begin_segment(
    disk: &dyn Disk,
    directory: &Path,
    options: &LogOptions,
    wear: &Wear,
    spare: PathBuf,
    mut header: SegmentHeader,
) -> Result<(SegmentHeader, Arc<dyn File>), LogFailed> {
    let failed = |action, path: &Path, source| LogFailed { action, path: path.to_owned(), source: Arc::new(source) };
    header.salt = disk.random().map_err(|error| failed("get random bits for", &spare, error))?;
    header.segment_bytes = options.segment_bytes;
    let file = disk.open(&spare).map_err(|error| failed("open", &spare, error))?;
    let block = header.encode();
    file.write_all_at(0, &block).map_err(|error| failed("write to", &spare, error))?;
    wear.wrote(Cause::Rotation, block.len());
    file.sync_data().map_err(|error| failed("sync", &spare, error))?;
    wear.synced(Cause::Rotation);
    let path = directory.join(names::segment(header.number));
    disk.rename(&spare, &path).map_err(|error| failed("rename", &spare, error))?;
    if !options.bugs.has(Bug::DirectoryNotSynced) {
        disk.sync_directory(directory).map_err(|error| failed("sync", directory, error))?;
        wear.synced(Cause::Rotation);
    }
    Ok((header, file))
}

/// Counts a frame: each record for its own cause, header and padding for the one that would have had to be written anyway. Gives that one.
pub(super) fn count(wear: &Wear, records: &[Record], length: usize) -> Cause {
    let cause_of = |record: &Record| match record {
        Record::Append(_) => Cause::Entries,
        Record::Vote(_) => Cause::Vote,
        Record::Truncate { .. } | Record::Purge { .. } | Record::Committed(_) => Cause::Bookkeeping,
    };
    let main = [Cause::Entries, Cause::Vote].into_iter().find(|main| records.iter().any(|record| cause_of(record) == *main));
    let main = main.unwrap_or(Cause::Bookkeeping);
    let mut rest = length;
    for record in records.iter().filter(|record| cause_of(record) != main) {
        wear.wrote(cause_of(record), record.encoded_bytes());
        rest -= record.encoded_bytes();
    }
    wear.wrote(main, rest);
    main
}
