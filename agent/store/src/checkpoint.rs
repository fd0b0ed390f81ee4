//! The state machine's checkpoint in redb.
//!
//! Three tables: revisions by (main, sub), leases by id, and meta by name (the applied entry, the membership, the compaction point, …). All
//! bytes are opaque here.
//!
//! ```text
//! <directory>/current               which file counts, and the id of the checkpoint: also the proof that there was one
//! <directory>/checkpoint-<number>   a redb file; others than the current one are left-overs and are removed
//! <directory>/in-use                since when it was not closed: whether the next opening has reason to check every page
//! <directory>/lock
//! ```
//!
//! One thread commits: [`Checkpoint::commit`] hands a batch over and never waits. A commit is atomic and durable: two-phase, with the
//! allocator's state, so that opening after a crash needs no repair and never falls back to an older commit. Readers use short transactions
//! of their own and are never in its way.
//!
//! **Damage.** redb checks its pages only when it repairs. So each row has a CRC of its own, and each table a count and a sum of them, kept
//! in the same transaction: [`Checkpoint::verify`] finds a row that is missing, changed or too many, and every read checks the rows it
//! gives. Where redb panics on a damaged page, that becomes the same error. A file that is damaged or has vanished is an error that says
//! what to do, never an empty store.
//!
//! **It is never the only copy of anything.** Whoever opens it compares the applied entry in its meta with what the log purged: if the log
//! begins later, the two do not belong together, and the node must be restored. That also finds a checkpoint that went back in time.
//!
//! **Fail-stop.** After a failed commit nothing is tried again, as with the log.

mod backend;
mod error;
mod fault;
mod files;
mod place;
mod pointer;
mod reader;
mod rows;
mod store;
mod tables;
mod thread;
mod use_mark;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use error::{CheckpointFailed, OpenCheckpointError, ReadCheckpointError, RewriteError, Source};

use crate::bugs::Bugs;
use crate::disk::Disk;
use crate::wear::Wear;
pub use files::CheckpointFiles;
use thread::Inner;
pub use thread::Replacement;

/// A revision: (main, sub), ordered so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    /// The revision of the transaction.
    pub main: u64,
    /// The position within the transaction.
    pub sub: u64,
}

/// Called once, on the checkpoint's thread, when the batch is durable or never will be.
pub type Done = Box<dyn FnOnce(Result<(), CheckpointFailed>) + Send>;

/// Called once, on the checkpoint's thread, when the new file is the one that counts, or never will be.
pub type Rewritten = Box<dyn FnOnce(Result<(), RewriteError>) + Send>;

/// What one commit changes. Removals take effect before puts.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Ranges of revisions to remove.
    pub remove_ranges: Vec<Range<Revision>>,
    /// Revisions to remove; one that is not there is ignored.
    pub remove: Vec<Revision>,
    /// Revisions to write. One that is there already is replaced.
    pub put: Vec<(Revision, Bytes)>,
    /// Leases to remove; one that is not there is ignored.
    pub remove_leases: Vec<i64>,
    /// Leases to write.
    pub put_leases: Vec<(i64, Bytes)>,
    /// Names to remove; one that is not there is ignored.
    pub remove_meta: Vec<String>,
    /// Names to write.
    pub put_meta: Vec<(String, Bytes)>,
}

/// What is small and read as a whole: one consistent view of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Names and values, ordered by name.
    pub meta: Vec<(String, Bytes)>,
    /// Leases, ordered by id.
    pub leases: Vec<(i64, Bytes)>,
    /// How many revisions there are.
    pub revisions: u64,
}

/// How much of an opened checkpoint is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Only what is read. Opens in milliseconds, whatever the size; damage is found when reading comes to it. Becomes [`Verify::Full`] when
    /// the last opening did not get as far as [`Checkpoint::loaded`], or the process ended badly twice in a row: damage to redb's own pages,
    /// which no reading of rows finds, makes it panic.
    #[default]
    Quick,
    /// Every page and every row, before anything is used: reads the whole file, and takes about as long as loading it.
    Full,
}

/// How a checkpoint is kept.
#[derive(Debug, Clone)]
pub struct CheckpointOptions {
    /// Bytes of redb's page cache.
    pub cache_bytes: usize,
    /// How much is checked at opening.
    pub verify: Verify,
    /// Known bugs, put back by tests.
    pub bugs: Bugs,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, verify: Verify::default(), bugs: Bugs::default() }
    }
}

/// How large a checkpoint is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// The file.
    pub file: u64,
    /// Keys and values of all rows: about what a rewrite shrinks the file to, without the tree's own pages (some 10 %).
    pub in_use: u64,
}

/// A checkpoint. Cloning gives another handle to the same one; the last one dropped closes it.
#[derive(Debug, Clone)]
pub struct Checkpoint(Arc<Inner>);

impl Checkpoint {
    /// Makes a new, empty checkpoint in `directory`, which is created if its parent exists. What an interrupted creation left is removed.
    ///
    /// # Errors
    /// [`OpenCheckpointError::Exists`] if there is one already, or what the system says.
    pub fn create(disk: Arc<dyn Disk>, directory: &Path, options: CheckpointOptions, wear: Arc<Wear>) -> Result<Self, OpenCheckpointError> {
        Inner::start(CheckpointFiles::create(disk, directory, options, wear)?).map(|inner| Self(Arc::new(inner)))
    }

    /// Opens the checkpoint in `directory`.
    ///
    /// # Errors
    /// [`OpenCheckpointError::Missing`] if there never was one, [`OpenCheckpointError::Vanished`] if there was,
    /// [`OpenCheckpointError::Damaged`], [`OpenCheckpointError::Locked`], or what the system says.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, options: CheckpointOptions, wear: Arc<Wear>) -> Result<Self, OpenCheckpointError> {
        Inner::start(CheckpointFiles::open(disk, directory, options, wear)?).map(|inner| Self(Arc::new(inner)))
    }

    /// Says that everything needed could be read, so that the next opening may be quick. Blocks until that is durable.
    ///
    /// # Errors
    /// What the system says.
    pub fn loaded(&self) -> Result<(), CheckpointFailed> {
        self.0.loaded()
    }

    /// Hands a batch over. Never waits; commits happen in order, one transaction each. The batch stays in memory until then, so whoever
    /// commits looks at [`Checkpoint::pending`] first.
    ///
    /// # Errors
    /// It failed before, or was closed; `done` is not called.
    pub fn commit(&self, batch: Batch, done: Done) -> Result<(), CheckpointFailed> {
        self.0.commit(batch, done)
    }

    /// Batches that wait or are being committed.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.pending()
    }

    /// Meta and leases as of the last commit. Blocks while it reads.
    ///
    /// # Errors
    /// What went wrong with the file.
    pub fn head(&self) -> Result<Head, ReadCheckpointError> {
        self.0.reader().head()
    }

    /// The next revisions of `range`, in order, until their values together reach `max_bytes`; at least one if there is one. Empty means
    /// the end. Every call is a short read transaction of its own, so nothing is pinned between calls, and rows that a commit removes
    /// between two calls are missing. Blocks while it reads.
    ///
    /// Streaming a snapshot: take [`Checkpoint::head`] first, read all revisions up to its current one, then take the head again: of the
    /// second one only the compaction point counts, since what was removed meanwhile lies below it. If everything was replaced meanwhile
    /// ([`Checkpoint::replace`]), begin anew: the applied entry went forward without a commit of the caller.
    ///
    /// # Errors
    /// What went wrong with the file.
    pub fn read(&self, range: Range<Revision>, max_bytes: usize) -> Result<Vec<(Revision, Bytes)>, ReadCheckpointError> {
        self.0.reader().read(range, max_bytes)
    }

    /// Reads every row and compares their number and their sums with those kept at each commit. Blocks while it reads.
    ///
    /// # Errors
    /// [`ReadCheckpointError::Damaged`] if a row is missing, changed or too many.
    pub fn verify(&self) -> Result<(), ReadCheckpointError> {
        self.0.reader().verify()
    }

    /// Rewrites everything into a new file, without holes, and switches to it. Commits go on meanwhile, each between two steps of it.
    /// `done` is called when the new file is the one that counts; a crash at any moment leaves the old one or the new one. Never waits.
    ///
    /// # Errors
    /// It failed before, or was closed; `done` is not called.
    pub fn rewrite(&self, done: Rewritten) -> Result<(), CheckpointFailed> {
        self.0.rewrite(done)
    }

    /// Begins a replacement of everything, for a snapshot that is installed. Nothing changes before [`Replacement::finish`].
    ///
    /// # Errors
    /// What went wrong with the new file, or the checkpoint has failed.
    pub fn replace(&self) -> Result<Replacement, RewriteError> {
        Inner::replace(&self.0)
    }

    /// [`Checkpoint::commit`], and waits until the batch is durable.
    ///
    /// # Errors
    /// It never will be.
    pub fn commit_now(&self, batch: Batch) -> Result<(), CheckpointFailed> {
        self.0.commit_now(batch)
    }

    /// How large it is.
    ///
    /// # Errors
    /// What went wrong with the file.
    pub fn size(&self) -> Result<Size, ReadCheckpointError> {
        self.0.reader().size()
    }

    /// Commits what waits and ends the thread. A rewrite that is under way is given up. Every other handle gets errors from now on.
    ///
    /// # Errors
    /// It has failed, now or before.
    pub fn close(self) -> Result<(), CheckpointFailed> {
        self.0.close()
    }
}
