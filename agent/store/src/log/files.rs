//! The log as one owner sees it: blocking, one frame and one sync at a time. [`Log`](super::Log) puts a thread before it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_store_format::{BLOCK_BYTES, Contents, Entry, Frame, Head, Mark, RESERVE_BYTES, Record, SegmentHeader, mark};

use super::error::{LogFailed, ReadLogError};
use super::read::read;
use super::segment::{begin_segment, count, record_bytes_max};
use super::spare::Spares;
use super::{LogOptions, Space, names};
use crate::bugs::Bug;
use crate::disk::{Disk, File, Lock};
use crate::wear::{Cause, Wear};

/// Bytes of records in a frame at most, unless one record alone is larger: what waits longer than this writes is better served by two syncs,
/// and the buffer stays small.
pub(super) const FRAME_BYTES_MAX: usize = 4 << 20;

/// Commits between two attempts to make a spare when there was no space: each may write a whole segment before it fails.
const SPARE_RETRY_COMMITS: u64 = 64;

/// What readers need, and the writer changes: where entries are.
#[derive(Debug, Default)]
pub(super) struct Durable {
    pub(super) contents: Contents,
    pub(super) segments: BTreeMap<u64, Segment>,
}

/// A segment that is there.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) file: Arc<dyn File>,
    pub(super) bytes: u32,
}

pub(super) type Shared = Arc<Mutex<Durable>>;

pub(super) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nobody panics between two changes that belong together.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A raft log on a disk, used by one owner: [`LogFiles::commit`] returns when the records are durable. For simulations, and for whoever has
/// a thread of their own; everybody else takes [`Log`](super::Log).
#[derive(Debug)]
pub struct LogFiles {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) options: LogOptions,
    pub(super) wear: Arc<Wear>,
    pub(super) _lock: Box<dyn Lock>,
    pub(super) shared: Shared,
    /// The segment that is written to.
    pub(super) header: SegmentHeader,
    pub(super) file: Arc<dyn File>,
    /// Where the next frame goes.
    pub(super) offset: u64,
    /// Its sequence.
    pub(super) sequence: u64,
    pub(super) frame: Frame,
    pub(super) sealed: bool,
    pub(super) spares: Spares,
    pub(super) commits: u64,
    pub(super) failed: Option<LogFailed>,
    /// Votes that a known bug holds back.
    pub(super) held_back: Vec<Record>,
}

impl LogFiles {
    /// What the log holds, without the entries.
    #[must_use]
    pub fn head(&self) -> Head {
        lock(&self.shared).contents.head()
    }

    /// Entries, as [`Log::read`](super::Log::read) gives them.
    ///
    /// # Errors
    /// As there.
    pub fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, ReadLogError> {
        let mut entries: Vec<Entry> = Vec::new();
        let (mut next, mut left) = (range.start, max_bytes);
        while next < range.end {
            let read = read(&self.shared, &self.directory, next..range.end, left)?;
            for entry in read {
                if entry.payload.len() > left && !entries.is_empty() {
                    return Ok(entries);
                }
                left = left.saturating_sub(entry.payload.len());
                next += 1;
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// Bytes of payload and record headers that fit into one frame, and so into one record, at most.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        record_bytes_max(self.options.segment_bytes)
    }

    /// Writes records and syncs them, in one frame if they fit. When it returns well they are durable.
    ///
    /// # Errors
    /// The log has failed, now or before; of these records any number may be durable, in order. If there was no space for a further segment
    /// (`StorageFull`), nothing was written.
    pub fn commit(&mut self, records: &[Record]) -> Result<(), LogFailed> {
        let held_back;
        let mut rest = records;
        if self.options.bugs.has(Bug::AnswerBeforeVote) {
            if records.iter().all(|record| matches!(record, Record::Vote(_))) {
                self.held_back.extend_from_slice(records);
                return Ok(());
            }
            self.held_back.extend_from_slice(records);
            held_back = std::mem::take(&mut self.held_back);
            rest = &held_back;
        }
        let most = FRAME_BYTES_MAX.min(self.record_bytes_max());
        while !rest.is_empty() {
            let mut bytes = 0;
            let fitting = rest.iter().take_while(|record| {
                bytes += record.encoded_bytes();
                bytes <= most
            });
            let (now, later) = rest.split_at(fitting.count().max(1));
            self.write(now)?;
            rest = later;
        }
        Ok(())
    }

    /// Says on the medium, without a sync, that all that was committed is durable. To be called when nothing more waits.
    ///
    /// # Errors
    /// The log has failed, now or before.
    pub fn seal(&mut self) -> Result<(), LogFailed> {
        self.check()?;
        if !self.sealed {
            self.write_mark(Mark::Seal, Cause::Seal)?;
            self.sealed = true;
        }
        Ok(())
    }

    /// Seals and syncs.
    ///
    /// # Errors
    /// The log has failed, now or before.
    pub fn close(mut self) -> Result<(), LogFailed> {
        self.seal()?;
        self.sync(Cause::Seal)
    }

    /// Whether the log can go on when its current segment is full.
    #[must_use]
    pub fn space(&self) -> Space {
        match self.spares.failed() {
            None => Space::Ready,
            Some(reason) => Space::Low { left: self.end_for_entries().saturating_sub(self.offset), reason: reason.to_owned() },
        }
    }

    /// Makes the next segment if there is none, or looks whether it is made; a failure shows in [`LogFiles::space`]. Commits do so by
    /// themselves; with nothing to commit, this is how the log finds out that there is space again.
    pub fn provide_spare(&mut self) {
        self.spares.provide();
    }

    fn check(&self) -> Result<(), LogFailed> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Remembers that the log has failed.
    fn fail(&mut self, action: &'static str, path: PathBuf, source: io::Error) -> LogFailed {
        let failed = LogFailed { action, path, source: Arc::new(source) };
        self.failed = Some(failed.clone());
        failed
    }

    fn path(&self) -> PathBuf {
        self.directory.join(names::segment(self.header.number))
    }

    fn end_for_entries(&self) -> u64 {
        u64::from(self.header.segment_bytes) - BLOCK_BYTES as u64 - u64::from(RESERVE_BYTES)
    }

    /// Writes one frame and syncs it.
    fn write(&mut self, records: &[Record]) -> Result<(), LogFailed> {
        self.check()?;
        self.frame.clear();
        let bytes: usize = records.iter().map(Record::encoded_bytes).sum();
        if bytes > self.record_bytes_max() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, format!("a record of {bytes} bytes does not fit into a segment"));
            return Err(self.fail("append to", self.path(), error));
        }
        let offsets: Vec<u32> = records.iter().map(|record| self.frame.push(record.as_ref())).collect();
        self.make_room(records)?;

        let bytes = self.frame.finish(self.header.salt, self.sequence);
        let length = bytes.len();
        if let Err(error) = self.file.write_all_at(self.offset, bytes) {
            return Err(self.fail("write to", self.path(), error));
        }
        let cause = count(&self.wear, records, length);
        if !self.options.bugs.has(Bug::AcknowledgeBeforeSync) {
            self.sync(cause)?;
        }

        let at = self.offset as u32;
        let mut refused = None;
        let mut shared = lock(&self.shared);
        for (record, offset) in records.iter().zip(offsets) {
            refused = refused.or(shared.contents.apply(record.as_ref(), self.header.number, at + offset).err());
        }
        drop(shared);
        if let Some(refused) = refused {
            // Only a caller that did not check can come here; what is on the medium would be refused by the next start, too.
            return Err(self.fail("append to", self.path(), io::Error::new(io::ErrorKind::InvalidInput, refused)));
        }
        self.offset += length as u64;
        self.sequence += 1;
        self.sealed = false;
        self.commits += 1;
        if records.iter().any(|record| matches!(record, Record::Purge { .. })) {
            self.recycle()?;
        }
        if self.spares.failed().is_none() || self.commits.is_multiple_of(SPARE_RETRY_COMMITS) {
            self.spares.provide();
        }
        Ok(())
    }

    fn sync(&mut self, cause: Cause) -> Result<(), LogFailed> {
        let mut result = self.file.sync_data();
        if result.is_err() && self.options.bugs.has(Bug::RetrySync) {
            result = self.file.sync_data();
        }
        self.wear.synced(cause);
        result.map_err(|error| self.fail("sync", self.path(), error))
    }

    fn write_mark(&mut self, kind: Mark, cause: Cause) -> Result<(), LogFailed> {
        let block = mark(kind, self.header.salt, self.sequence - 1);
        if let Err(error) = self.file.write_all_at(self.offset, &block) {
            return Err(self.fail("write to", self.path(), error));
        }
        self.wear.wrote(cause, block.len());
        Ok(())
    }

    /// Sees to it that the frame fits, by going on in the next segment if need be. If that cannot be made and nothing but the reserve is
    /// left, frames with entries fail, before anything was written; others use the reserve.
    fn make_room(&mut self, records: &[Record]) -> Result<(), LogFailed> {
        let end = self.offset + self.frame.padded_bytes() as u64;
        if end <= self.end_for_entries() {
            return Ok(());
        }
        let spare = match self.spares.take() {
            Ok(spare) => spare,
            Err(error) => {
                let has_entries = records.iter().any(|record| matches!(record, Record::Append(_)));
                if !has_entries && end <= self.end_for_entries() + u64::from(RESERVE_BYTES) {
                    return Ok(());
                }
                return Err(self.fail("make room for a further segment in", self.directory.clone(), error));
            }
        };
        let head = lock(&self.shared).contents.head();
        let next = SegmentHeader { number: self.header.number + 1, first_sequence: self.sequence, head, ..self.header.clone() };
        let (header, file) = match begin_segment(&*self.disk, &self.directory, &self.options, &self.wear, spare, next) {
            Ok(begun) => begun,
            Err(failed) => {
                self.failed = Some(failed.clone());
                return Err(failed);
            }
        };
        // The new one is durable under its name; now the old one may announce it.
        self.write_mark(Mark::Close, Cause::Rotation)?;
        self.sync(Cause::Rotation)?;
        lock(&self.shared).segments.insert(header.number, Segment { file: file.clone(), bytes: header.segment_bytes });
        (self.header, self.file, self.offset) = (header, file, BLOCK_BYTES as u64);
        Ok(())
    }

    /// Lets segments go in which nothing counts any more.
    pub(super) fn recycle(&mut self) -> Result<(), LogFailed> {
        let gone: Vec<(u64, Segment)> = {
            let mut shared = lock(&self.shared);
            let oldest = shared.contents.oldest_segment().unwrap_or(self.header.number);
            let kept = shared.segments.split_off(&oldest);
            std::mem::replace(&mut shared.segments, kept).into_iter().collect()
        };
        self.let_go(gone.into_iter().map(|(number, segment)| (number, segment.bytes)).collect())
    }

    /// Makes spares of files of segments, or removes them. A file is not written to before its new name is durable.
    pub(super) fn let_go(&mut self, gone: Vec<(u64, u32)>) -> Result<(), LogFailed> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut new_spares = Vec::new();
        for (number, bytes) in gone {
            let path = self.directory.join(names::segment(number));
            let result = if bytes == self.options.segment_bytes && self.spares.count() + new_spares.len() < self.options.spares {
                let spare = self.spares.next_number();
                new_spares.push(spare);
                self.disk.rename(&path, &self.directory.join(names::spare(spare)))
            } else {
                self.disk.remove(&path)
            };
            if let Err(error) = result {
                return Err(self.fail("let go of", path, error));
            }
        }
        if !self.options.bugs.has(Bug::DirectoryNotSynced) {
            if let Err(error) = self.disk.sync_directory(&self.directory) {
                return Err(self.fail("sync", self.directory.clone(), error));
            }
            self.wear.synced(Cause::Rotation);
        }
        new_spares.into_iter().for_each(|spare| self.spares.add(spare));
        Ok(())
    }
}
