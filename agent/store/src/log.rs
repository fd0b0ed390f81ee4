//! The raft log in files of its own.
//!
//! [`Log`] is a handle that may be cloned and used from any thread. Behind it one thread writes: it takes everything that waits, writes it
//! as one frame, syncs once, and calls the callbacks, while the next batch gathers. Callbacks come in the order of submission. What was
//! submitted can be read at once, durable or not, as raft wants it; what counts after a crash is what was called back.
//!
//! **Fail-stop.** After a failed write or sync nothing is tried again: every callback that waits gets [`LogFailed`], every later call too,
//! and the process is expected to end. Opening again finds out what the medium really has.
//!
//! **Space.** The next segment is made ready while there is still room in the current one. [`Log::space`] says when that fails, so that the
//! node can refuse writes and purge while the log still works.
//!
//! What the bytes in the files mean, and how a torn tail is told from damage, is said in `shoal_store_format`.

mod error;
mod files;
mod front;
mod names;
mod open;
mod read;
mod segment;
mod spare;
mod thread;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use error::{LogFailed, OpenLogError, ReadLogError, SubmitError};
pub use files::LogFiles;
pub use shoal_store_format::{Entry, Head, LogId, Record, RecordRef};

use crate::bugs::Bugs;
use crate::disk::Disk;
use crate::wear::Wear;
use thread::Inner;

/// Called once, on the log's thread, when the medium has what was submitted (and everything submitted before), or never will. It must be
/// short and must not call back into the log in a way that waits.
pub type Done = Box<dyn FnOnce(Result<(), LogFailed>) + Send>;

/// Whether a log with this in it is to be opened; if not, why, as a sentence for an operator.
pub type Wanted<'a> = dyn Fn(&LogState) -> Result<(), String> + 'a;

/// How a log is kept. The defaults are for a USB stick and a small box.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Bytes in a segment file, a multiple of 4096. Only new segments get it.
    pub segment_bytes: u32,
    /// Bytes of payload kept in memory for reading, at most. Entries that are not durable yet are kept in any case.
    pub cache_bytes: usize,
    /// Bytes of payload that may wait to be written, at most; beyond it [`SubmitError::Full`].
    pub pending_bytes: usize,
    /// Segments that were purged and are kept for reuse, at most; the others are deleted.
    pub spares: usize,
    /// How often the log tries to make the next segment while it has nothing else to do and that has failed.
    pub space_retry: Duration,
    /// Whether segments are made by a thread of their own. A simulation makes them in line, so that everything happens in one order.
    pub background: bool,
    /// Known bugs, put back by tests.
    pub bugs: Bugs,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            // A first segment takes a tenth of a second to write, and a lease each second fills it in about an hour.
            segment_bytes: 16 << 20,
            cache_bytes: 16 << 20,
            pending_bytes: 64 << 20,
            // The next one, and the two or three that a purge sets free at once.
            spares: 4,
            space_retry: Duration::from_secs(10),
            background: true,
            bugs: Bugs::default(),
        }
    }
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The state that counts.
    pub state: LogState,
    /// An interrupted last write that was cut off. Nobody was told that it is durable.
    pub torn: Option<Torn>,
}

/// A tail that an interrupted write left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment's file name.
    pub file: String,
    /// Where it began, in bytes.
    pub offset: u64,
}

/// What the log holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogState {
    /// The last entry that was purged.
    pub purged: Option<LogId>,
    /// The last entry, or what was purged if there is none.
    pub last: Option<LogId>,
    /// The vote saved last.
    pub vote: Option<Bytes>,
    /// The commit hint saved last.
    pub committed: Option<LogId>,
}

/// Whether the log can go on when its current segment is full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Space {
    /// The next segment is ready, or is being made.
    Ready,
    /// The next segment could not be made. The current one still takes some entries: refuse new work, checkpoint and purge, or free space.
    Low {
        /// Bytes left in the current segment.
        left: u64,
        /// Why, in the system's words.
        reason: String,
    },
}

/// A raft log. Cloning gives another handle to the same log; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Log(Arc<Inner>);

impl Log {
    /// Makes a new log in `directory`, which is created if its parent exists.
    ///
    /// # Errors
    /// [`OpenLogError::Exists`] if there is one already, [`OpenLogError::Locked`], or what the system says. What an interrupted creation
    /// leaves is no log for [`Log::open`], or an empty one.
    pub fn create(disk: Arc<dyn Disk>, directory: &Path, options: LogOptions, wear: Arc<Wear>) -> Result<Self, OpenLogError> {
        Inner::create(disk, directory, options, wear).map(|inner| Self(Arc::new(inner)))
    }

    /// Opens the log in `directory`, checks all of it, and cuts off what an interrupted last write left.
    ///
    /// # Errors
    /// [`OpenLogError::Missing`] if there is none, [`OpenLogError::Locked`], [`OpenLogError::Damaged`] if something that was durable is not
    /// readable any more, or what the system says. The files are as they were.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, options: LogOptions, wear: Arc<Wear>) -> Result<(Self, Recovered), OpenLogError> {
        Self::open_if(disk, directory, options, wear, &|_| Ok(()))
    }

    /// [`Log::open`], if `wanted` says so of what is in the log: before anything is changed, so that a log that does not fit to what is
    /// beside it stays as it was found, with what an interrupted write left at its end.
    ///
    /// # Errors
    /// As [`Log::open`], and [`OpenLogError::Unwanted`] with what `wanted` says.
    pub fn open_if(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: LogOptions,
        wear: Arc<Wear>,
        wanted: &Wanted<'_>,
    ) -> Result<(Self, Recovered), OpenLogError> {
        let (inner, recovered) = Inner::open(disk, directory, options, wear, wanted)?;
        Ok((Self(Arc::new(inner)), recovered))
    }

    /// Appends entries. They must follow the last one without a hole; a log that holds nothing and purged nothing takes any first index.
    /// Never waits.
    ///
    /// # Errors
    /// Nothing was accepted, and `done` is not called.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> Result<(), SubmitError> {
        self.0.append(entries, done)
    }

    /// Drops the entries with index `from` and above. Never waits. Entries at or below the purged one cannot be dropped.
    ///
    /// # Errors
    /// Nothing was accepted, and `done` is not called.
    pub fn truncate_from(&self, from: u64, done: Done) -> Result<(), SubmitError> {
        self.0.truncate_from(from, done)
    }

    /// Forgets the entries up to and including `to`, which may lie beyond the last one (a snapshot was installed). Never waits. Whoever
    /// calls it has what they did durable elsewhere.
    ///
    /// # Errors
    /// Nothing was accepted, and `done` is not called.
    pub fn purge(&self, to: LogId, done: Done) -> Result<(), SubmitError> {
        self.0.purge(to, done)
    }

    /// Saves the vote. Never waits; raft must not answer before `done`.
    ///
    /// # Errors
    /// Nothing was accepted, and `done` is not called.
    pub fn save_vote(&self, vote: Bytes, done: Done) -> Result<(), SubmitError> {
        self.0.save_vote(vote, done)
    }

    /// Saves how far the log is known to be committed. It is a hint: it is written with whatever is written next, and costs no sync.
    ///
    /// # Errors
    /// The log has failed, or was closed.
    pub fn save_committed(&self, committed: Option<LogId>) -> Result<(), SubmitError> {
        self.0.save_committed(committed)
    }

    /// Entries with an index in `range`, from its start on without a hole, until the end of the range, or before their payloads together
    /// are more than `max_bytes`; at least one if the range is not empty. Recent ones come from memory; for older ones a file is read, so
    /// this may block.
    ///
    /// # Errors
    /// [`ReadLogError::Missing`] if an entry of the range was purged or is not there yet, or what went wrong with the file.
    pub fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, ReadLogError> {
        self.0.read(range, max_bytes)
    }

    /// The id of the entry with this index, also of the purged one; from memory, never from a file.
    #[must_use]
    pub fn id_at(&self, index: u64) -> Option<LogId> {
        self.0.id_at(index)
    }

    /// What the log holds, with everything submitted, durable or not.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.0.front().state.clone()
    }

    /// Bytes of payload that wait to be written; none when the log has failed, also while the callbacks say so.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.0.front().pending_bytes
    }

    /// Whether the log can go on when its current segment is full.
    #[must_use]
    pub fn space(&self) -> Space {
        self.0.front().space.clone()
    }

    /// Bytes of the segments that are full and hold something that was not purged. What is still waiting to be written is not among them.
    #[must_use]
    pub fn full_bytes(&self) -> u64 {
        self.0.full_bytes()
    }

    /// Writes what waits, marks the end, and ends the thread. Every other handle gets errors from now on.
    ///
    /// # Errors
    /// The log has failed, now or before.
    pub fn close(self) -> Result<(), LogFailed> {
        self.0.close()
    }
}
