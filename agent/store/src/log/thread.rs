//! The thread behind a [`Log`](super::Log), and what its handles share with it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use shoal_store_format::{ENTRY_BYTES_MAX, Entry, LogId, RECORD_HEADER_BYTES, Record, RecordRef, VOTE_BYTES_MAX};

use super::error::{LogFailed, OpenLogError, ReadLogError, SubmitError};
use super::files::{FRAME_BYTES_MAX, Shared, lock};
use super::front::{Front, Operation};
use super::{Done, LogFiles, LogOptions, Recovered, Space, Wanted, read};
use crate::disk::Disk;
use crate::threads::{Bell, Step, Work, Worker};
use crate::wear::Wear;

/// What handles and the thread share.
#[derive(Debug)]
struct Desk {
    front: Mutex<Front>,
    /// Something was submitted, or the log shall close.
    submitted: Bell,
}

/// A log with its thread. Dropping it closes the log.
#[derive(Debug)]
pub(super) struct Inner {
    desk: Arc<Desk>,
    durable: Shared,
    directory: PathBuf,
    payload_bytes_max: usize,
    pending_bytes_max: usize,
    worker: Worker,
}

impl Inner {
    pub(super) fn create(disk: Arc<dyn Disk>, directory: &Path, options: LogOptions, wear: Arc<Wear>) -> Result<Self, OpenLogError> {
        let files = LogFiles::create(disk, directory, options.clone(), wear)?;
        Self::start(files, Front::new(options.cache_bytes), &options)
    }

    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
        wear: Arc<Wear>,
        wanted: &Wanted<'_>,
    ) -> Result<(Self, Recovered), OpenLogError> {
        let mut front = Front::new(options.cache_bytes);
        let (files, recovered) = LogFiles::open_if(disk, directory, options.clone(), wear, wanted, &mut |record| match record {
            RecordRef::Append { id, payload } => {
                front.show(Entry { id, payload: Bytes::copy_from_slice(payload) });
                front.all_is_durable();
            }
            // The state comes from what was recovered; here only entries go that do not count.
            RecordRef::Truncate { from } => front.truncate(from, None),
            RecordRef::Purge { to } => front.purge(to),
            RecordRef::Vote(_) | RecordRef::Committed(_) => {}
        })?;
        front.state = recovered.state.clone();
        Ok((Self::start(files, front, &options)?, recovered))
    }

    fn start(files: LogFiles, mut front: Front, options: &LogOptions) -> Result<Self, OpenLogError> {
        front.space = files.space();
        let (durable, directory) = (files.shared.clone(), files.directory.clone());
        let payload_bytes_max = ENTRY_BYTES_MAX.min(files.record_bytes_max() - RECORD_HEADER_BYTES);
        let desk = Arc::new(Desk { front: Mutex::new(front), submitted: Bell::default() });
        let writing = Writing { desk: desk.clone(), files: Some(files) };
        let worker = desk.submitted.start("shoal-log", writing);
        let worker = worker.map_err(|source| OpenLogError::Io { action: "start the thread of", path: directory.clone(), source })?;
        Ok(Self { desk, durable, directory, payload_bytes_max, pending_bytes_max: options.pending_bytes, worker })
    }

    pub(super) fn front(&self) -> MutexGuard<'_, Front> {
        lock(&self.desk.front)
    }

    pub(super) fn append(&self, entries: Vec<Entry>, done: Done) -> Result<(), SubmitError> {
        let bytes: usize = entries.iter().map(|entry| entry.payload.len()).sum();
        let mut front = self.front();
        front.check()?;
        let mut next = front.state.last.map(|last| last.index.saturating_add(1));
        for entry in &entries {
            let expected = next.unwrap_or(entry.id.index);
            if entry.id.index != expected || entry.id.index == u64::MAX {
                return Err(SubmitError::Hole { expected, got: entry.id.index });
            }
            if entry.payload.len() > self.payload_bytes_max {
                return Err(SubmitError::TooLarge { got: entry.payload.len(), most: self.payload_bytes_max });
            }
            next = Some(expected + 1);
        }
        if front.pending_bytes > 0 && front.pending_bytes + bytes > self.pending_bytes_max {
            return Err(SubmitError::Full { pending: front.pending_bytes });
        }
        entries.iter().for_each(|entry| front.show(entry.clone()));
        self.submit(front, entries.into_iter().map(Record::Append).collect(), bytes, done);
        Ok(())
    }

    pub(super) fn truncate_from(&self, from: u64, done: Done) -> Result<(), SubmitError> {
        let mut front = self.front();
        front.check()?;
        if front.state.purged.is_some_and(|purged| from <= purged.index) {
            return Err(SubmitError::Purged { index: from });
        }
        if front.contains(from) {
            let last = from.checked_sub(1).and_then(|index| self.id_in(&front, index));
            front.truncate(from, last);
        }
        self.submit(front, vec![Record::Truncate { from }], 0, done);
        Ok(())
    }

    pub(super) fn purge(&self, to: LogId, done: Done) -> Result<(), SubmitError> {
        let mut front = self.front();
        front.check()?;
        if front.state.purged.is_some_and(|purged| to.index < purged.index) || to.index == u64::MAX {
            return Err(SubmitError::Purged { index: to.index });
        }
        front.purge(to);
        self.submit(front, vec![Record::Purge { to }], 0, done);
        Ok(())
    }

    pub(super) fn save_vote(&self, vote: Bytes, done: Done) -> Result<(), SubmitError> {
        let mut front = self.front();
        front.check()?;
        if vote.len() > VOTE_BYTES_MAX {
            return Err(SubmitError::TooLarge { got: vote.len(), most: VOTE_BYTES_MAX });
        }
        front.state.vote = Some(vote.clone());
        self.submit(front, vec![Record::Vote(vote)], 0, done);
        Ok(())
    }

    pub(super) fn save_committed(&self, committed: Option<LogId>) -> Result<(), SubmitError> {
        let mut front = self.front();
        front.check()?;
        front.committed_changed |= front.state.committed != committed;
        front.state.committed = committed;
        Ok(())
    }

    fn submit(&self, mut front: MutexGuard<'_, Front>, records: Vec<Record>, bytes: usize, done: Done) {
        front.submit(records, bytes, done);
        drop(front);
        self.desk.submitted.ring();
    }

    pub(super) fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, ReadLogError> {
        let mut entries = Vec::new();
        let (mut next, mut left) = (range.start, max_bytes);
        while next < range.end {
            let from_file = {
                let front = self.front();
                if let Some(index) = [range.start, range.end - 1].into_iter().find(|index| !front.contains(*index)) {
                    return Err(ReadLogError::Missing { index });
                }
                while let Some(entry) = front.cached(next).filter(|_| next < range.end) {
                    if entry.payload.len() > left && !entries.is_empty() {
                        return Ok(entries);
                    }
                    left = left.saturating_sub(entry.payload.len());
                    entries.push(entry.clone());
                    next += 1;
                }
                next..range.end.min(front.first_cached().unwrap_or(range.end))
            };
            if from_file.is_empty() {
                continue;
            }
            // What is not in memory was durable when it left it.
            let read = read::read(&self.durable, &self.directory, from_file, left);
            // It may have been purged, and its segment used again, since.
            if !self.front().contains(next) {
                return Err(ReadLogError::Missing { index: next });
            }
            let read = read?;
            for entry in read {
                if entry.payload.len() > left && !entries.is_empty() {
                    return Ok(entries);
                }
                left = left.saturating_sub(entry.payload.len());
                entries.push(entry);
                next += 1;
            }
        }
        Ok(entries)
    }

    pub(super) fn full_bytes(&self) -> u64 {
        // The newest is the one that is being filled.
        lock(&self.durable).segments.values().rev().skip(1).map(|segment| u64::from(segment.bytes)).sum()
    }

    pub(super) fn id_at(&self, index: u64) -> Option<LogId> {
        self.id_in(&self.front(), index)
    }

    fn id_in(&self, front: &Front, index: u64) -> Option<LogId> {
        if front.contains(index) {
            front.cached(index).map(|entry| entry.id).or_else(|| Some(lock(&self.durable).contents.entry(index)?.0))
        } else {
            front.state.purged.filter(|purged| purged.index == index)
        }
    }

    pub(super) fn close(&self) -> Result<(), LogFailed> {
        lock(&self.desk.front).closing = true;
        self.desk.submitted.ring();
        self.worker.join(&self.desk.submitted);
        self.front().failed.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.close();
    }
}

/// What the thread does.
struct Writing {
    desk: Arc<Desk>,
    /// Gone when it has ended.
    files: Option<LogFiles>,
}

impl Work for Writing {
    fn run(mut self) {
        let Some(files) = &self.files else { return };
        let (desk, space_retry) = (self.desk.clone(), files.options.space_retry);
        let _guard = Guard { desk: &desk, path: files.directory.clone() };
        while let Some(batch) = desk.next_batch(space_retry) {
            if let Err(failed) = self.write(batch) {
                desk.fail(failed);
                return;
            }
        }
        self.end();
    }

    fn step(&mut self) -> Step {
        {
            let front = lock(&self.desk.front);
            if front.queue.is_empty() && !front.closing && front.space == Space::Ready {
                return Step::Idle;
            }
        }
        let Some(batch) = self.desk.next_batch(Duration::ZERO) else {
            self.end();
            return Step::Ended;
        };
        if let Err(failed) = self.write(batch) {
            self.desk.fail(failed);
            return Step::Ended;
        }
        let front = lock(&self.desk.front);
        if front.queue.is_empty() && !front.closing { Step::Idle } else { Step::More }
    }
}

impl Writing {
    fn write(&mut self, batch: Batch) -> Result<(), LogFailed> {
        let Self { desk, files: Some(files) } = self else { return Ok(()) };
        let result = if batch.records.is_empty() { Ok(()) } else { files.commit(&batch.records) };
        if batch.operations.is_empty() {
            files.provide_spare();
        }
        let idle = desk.settle(&batch, &result, files);
        for operation in batch.operations {
            (operation.done)(result.clone());
        }
        result.and_then(|()| if idle { files.seal() } else { Ok(()) })
    }

    fn end(&mut self) {
        let Some(mut files) = self.files.take() else { return };
        let committed = {
            let mut front = lock(&self.desk.front);
            std::mem::take(&mut front.committed_changed).then(|| Record::Committed(front.state.committed))
        };
        let result = committed.map_or(Ok(()), |committed| files.commit(&[committed])).and_then(|()| files.close());
        if let Err(failed) = result {
            self.desk.fail(failed);
        }
    }
}

impl Desk {
    /// What waits, as much as one frame takes; nothing if it is time to look for space. `None` when nothing waits and the log shall close.
    fn next_batch(&self, space_retry: Duration) -> Option<Batch> {
        let mut front = lock(&self.front);
        let mut waited = false;
        while front.queue.is_empty() && !waited {
            if front.closing {
                return None;
            }
            (front, waited) = if front.space == Space::Ready && !space_retry.is_zero() {
                (self.submitted.wait(front), false)
            } else {
                self.submitted.wait_timeout(front, space_retry)
            };
        }
        let mut batch = Batch { operations: Vec::new(), records: Vec::new() };
        let mut bytes = 0;
        while let Some(operation) = front.queue.front() {
            bytes += operation.records.iter().map(Record::encoded_bytes).sum::<usize>();
            if !batch.operations.is_empty() && bytes > FRAME_BYTES_MAX {
                break;
            }
            let Some(mut operation) = front.queue.pop_front() else { break };
            batch.records.append(&mut operation.records);
            batch.operations.push(operation);
        }
        if !batch.records.is_empty() && std::mem::take(&mut front.committed_changed) {
            batch.records.push(Record::Committed(front.state.committed));
        }
        Some(batch)
    }

    /// Notes what became of a batch, before anybody is told. Gives whether nothing waits.
    fn settle(&self, batch: &Batch, result: &Result<(), LogFailed>, files: &LogFiles) -> bool {
        let mut front = lock(&self.front);
        match result {
            Ok(()) => {
                for operation in &batch.operations {
                    front.is_durable(operation.number, operation.payload_bytes);
                }
                front.space = files.space();
            }
            Err(failed) => front.fail(failed),
        }
        front.queue.is_empty()
    }

    /// From now on everything fails, and so does what waits.
    fn fail(&self, failed: LogFailed) {
        let rest: Vec<Operation> = {
            let mut front = lock(&self.front);
            front.fail(&failed);
            front.queue.drain(..).collect()
        };
        for operation in rest {
            (operation.done)(Err(failed.clone()));
        }
    }
}

/// Fails the log if its thread panics, so that nobody waits for what will not come.
struct Guard<'a> {
    desk: &'a Desk,
    path: PathBuf,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let source = Arc::new(std::io::Error::other("the thread of the log panicked"));
            self.desk.fail(LogFailed { action: "write to", path: self.path.clone(), source });
        }
    }
}

/// Operations that are written together.
struct Batch {
    operations: Vec<Operation>,
    records: Vec<Record>,
}
