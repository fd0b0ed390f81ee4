//! The checkpoint as one owner sees it: blocking, one thing at a time. [`Checkpoint`](super::Checkpoint) puts a thread before it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::backend::Backend;
use super::error::{CheckpointFailed, OpenCheckpointError, ReadCheckpointError, RewriteError, Source};
use super::pointer::{POINTER_BYTES, Pointer};
use super::store::{Store, Strength};
use super::{Batch, CheckpointOptions, Head, Revision, Size, Verify};
use crate::bugs::Bug;
use crate::disk::{Disk, Lock};
use crate::wear::{Cause, Wear};

const CURRENT: &str = "current";
const NEXT_CURRENT: &str = "current.tmp";
const OPENING: &str = "opening";
const LOCK: &str = "lock";
const PREFIX: &str = "checkpoint-";

/// Bytes of values that one step of a rewrite copies: a commit waits no longer than for so much.
const REWRITE_STEP_BYTES: usize = 4 << 20;

/// Below every revision, and above every one that is used.
const ALL: std::ops::Range<Revision> = Revision { main: 0, sub: 0 }..Revision { main: u64::MAX, sub: u64::MAX };

fn name(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

/// The name of a file that is not complete.
fn draft_name(number: u64) -> String {
    format!("{PREFIX}{number:020}.tmp")
}

/// Where files are, and how new ones are made. Shared by the owner and by whoever prepares a replacement.
#[derive(Debug)]
pub(super) struct Place {
    disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    options: CheckpointOptions,
    wear: Arc<Wear>,
    id: [u8; 16],
    next_number: AtomicU64,
}

impl Place {
    /// Makes a new file that does not count yet.
    pub(super) fn draft(&self, cause: Cause) -> Result<Store, RewriteError> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(draft_name(number));
        let file =
            self.disk.create(&path).map_err(|error| RewriteError::Draft { action: "create", path: path.clone(), source: source(error) })?;
        let backend = Backend { file, wear: self.wear.clone(), cause };
        let store = Store::create(backend, path.clone(), number, self.id, self.options.cache_bytes);
        store.map_err(|fault| {
            let _ = self.disk.remove(&path);
            fault.draft("create", &path)
        })
    }

    /// Removes a file that does not count, if that goes: the next opening removes what is left.
    pub(super) fn discard(&self, store: Store) {
        let _ = self.disk.remove(&store.path);
    }

    /// Makes a draft the file that counts: first it is complete and durable, then its name is, then the pointer.
    fn publish(&self, store: &mut Store) -> Result<(), CheckpointFailed> {
        store.apply(&Batch::default(), Strength::Full).map_err(|fault| fault.failed("sync", &store.path))?;
        let path = self.directory.join(name(store.number));
        self.disk.rename(&store.path, &path).map_err(|error| failed("rename", &store.path, error))?;
        store.path = path;
        self.sync_directory()?;
        self.point_to(store.number)
    }

    /// Makes a file count that is durable.
    fn point_to(&self, number: u64) -> Result<(), CheckpointFailed> {
        let (draft, path) = (self.directory.join(NEXT_CURRENT), self.directory.join(CURRENT));
        let written = (|| {
            let file = match self.disk.create(&draft) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.disk.open(&draft)?,
                other => other?,
            };
            file.set_len(0)?;
            file.write_all_at(0, &Pointer { id: self.id, number }.encode())?;
            self.wear.wrote(Cause::Rewrite, POINTER_BYTES);
            self.wear.synced(Cause::Rewrite);
            file.sync_data()?;
            self.disk.rename(&draft, &path)
        })();
        written.map_err(|error| failed("write", &path, error))?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> Result<(), CheckpointFailed> {
        if self.options.bugs.has(Bug::DirectoryNotSynced) {
            return Ok(());
        }
        self.wear.synced(Cause::Rewrite);
        self.disk.sync_directory(&self.directory).map_err(|error| failed("sync", &self.directory, error))
    }
}

/// A rewrite that is under way.
#[derive(Debug)]
struct Rewriting {
    target: Store,
    /// Revisions from here on are not copied yet.
    from: Revision,
    /// A commit could not be written to it.
    failed: Option<RewriteError>,
}

impl Rewriting {
    /// Copies a part. Gives whether that was all.
    fn step(&mut self, current: &Store) -> Result<bool, RewriteError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let rows = current.read(self.from..ALL.end, REWRITE_STEP_BYTES).map_err(|fault| fault.draft("read", &current.path))?;
        let Some((last, _)) = rows.last() else { return Ok(true) };
        self.from = match last.sub.checked_add(1) {
            Some(sub) => Revision { sub, ..*last },
            None => Revision { main: last.main + 1, sub: 0 },
        };
        let batch = Batch { put: rows, ..Batch::default() };
        self.target.apply(&batch, Strength::Draft).map_err(|fault| fault.draft("write to", &self.target.path))?;
        Ok(false)
    }
}

/// Reads the file that counts. Cloning gives another one.
#[derive(Debug, Clone)]
pub(super) struct Reader(Arc<Mutex<Option<Arc<Store>>>>);

impl Reader {
    fn store(&self) -> Result<Arc<Store>, ReadCheckpointError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(ReadCheckpointError::Closed)
    }

    fn put(&self, store: Option<Arc<Store>>) -> Option<Arc<Store>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), store)
    }

    /// See [`Checkpoint::head`](super::Checkpoint::head).
    pub(super) fn head(&self) -> Result<Head, ReadCheckpointError> {
        let store = self.store()?;
        store.head().map_err(|fault| fault.reading(&store.path))
    }

    /// See [`Checkpoint::read`](super::Checkpoint::read).
    pub(super) fn read(&self, range: std::ops::Range<Revision>, max_bytes: usize) -> Result<Vec<(Revision, Bytes)>, ReadCheckpointError> {
        let store = self.store()?;
        store.read(range, max_bytes).map_err(|fault| fault.reading(&store.path))
    }

    /// See [`Checkpoint::verify`](super::Checkpoint::verify).
    pub(super) fn verify(&self) -> Result<(), ReadCheckpointError> {
        let store = self.store()?;
        store.verify().map_err(|fault| fault.reading(&store.path))
    }

    /// See [`Checkpoint::size`](super::Checkpoint::size).
    pub(super) fn size(&self) -> Result<Size, ReadCheckpointError> {
        let store = self.store()?;
        store.size().map_err(|fault| fault.reading(&store.path))
    }
}

/// A checkpoint on a disk, used by one owner: [`CheckpointFiles::commit`] returns when the batch is durable. For simulations, and for whoever
/// has a thread of their own; everybody else takes [`Checkpoint`](super::Checkpoint).
#[derive(Debug)]
pub struct CheckpointFiles {
    place: Arc<Place>,
    _lock: Box<dyn Lock>,
    current: Arc<Store>,
    reader: Reader,
    rewriting: Option<Rewriting>,
    failed: Option<CheckpointFailed>,
}

impl CheckpointFiles {
    /// See [`Checkpoint::create`](super::Checkpoint::create).
    ///
    /// # Errors
    /// As there.
    pub fn create(disk: Arc<dyn Disk>, directory: &Path, options: CheckpointOptions, wear: Arc<Wear>) -> Result<Self, OpenCheckpointError> {
        disk.create_directory(directory).map_err(|error| io_error("create", directory, error))?;
        if let Some(parent) = directory.parent() {
            disk.sync_directory(parent).map_err(|error| io_error("sync", parent, error))?;
        }
        let lock = take_lock(&*disk, directory)?;
        let found = Found::list(&*disk, directory)?;
        if found.current {
            return Err(OpenCheckpointError::Exists { directory: directory.to_owned() });
        }
        if !found.is_left_by_creation(&*disk, directory, &options) {
            return Err(pointer_vanished(directory));
        }
        found.remove_others(&*disk, directory, None)?;
        let mut id = [0; 16];
        for half in id.chunks_mut(8) {
            half.copy_from_slice(&disk.random().map_err(|error| io_error("get random bits for", directory, error))?.to_le_bytes());
        }
        let place = Arc::new(Place { disk, directory: directory.to_owned(), options, wear, id, next_number: AtomicU64::new(1) });
        let mut store = place.draft(Cause::Checkpoint)?;
        place.publish(&mut store)?;
        Ok(Self::new(place, lock, store))
    }

    /// See [`Checkpoint::open`](super::Checkpoint::open).
    ///
    /// # Errors
    /// As there.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, options: CheckpointOptions, wear: Arc<Wear>) -> Result<Self, OpenCheckpointError> {
        let lock = take_lock(&*disk, directory)?;
        // A process that was killed may have left names that are not durable; what is decided now must not depend on them.
        disk.sync_directory(directory).map_err(|error| io_error("sync", directory, error))?;
        let found = Found::list(&*disk, directory)?;
        if !found.current {
            let missing = OpenCheckpointError::Missing { directory: directory.to_owned() };
            return Err(if found.is_left_by_creation(&*disk, directory, &options) { missing } else { pointer_vanished(directory) });
        }
        let pointer_path = directory.join(CURRENT);
        let pointer = read_pointer(&*disk, &pointer_path)?;
        let path = directory.join(name(pointer.number));
        if !found.numbers.contains(&pointer.number) {
            if options.bugs.has(Bug::VanishedIsNew) {
                disk.remove(&pointer_path).map_err(|error| io_error("remove", &pointer_path, error))?;
                drop(lock);
                return Self::create(disk, directory, options, wear);
            }
            return Err(OpenCheckpointError::Vanished { path });
        }
        let full = found.opening || options.verify == Verify::Full;
        if !found.opening {
            let marker = directory.join(OPENING);
            disk.create(&marker).map_err(|error| io_error("create", &marker, error))?;
            disk.sync_directory(directory).map_err(|error| io_error("sync", directory, error))?;
            wear.synced(Cause::Checkpoint);
        }
        let file = disk.open(&path).map_err(|error| io_error("open", &path, error))?;
        // As with the log: what can be made durable is, and then the medium itself is read.
        file.sync_data().map_err(|error| io_error("sync", &path, error))?;
        wear.synced(Cause::Checkpoint);
        file.forget_cached().map_err(|error| io_error("read", &path, error))?;
        let backend = Backend { file, wear: wear.clone(), cause: Cause::Checkpoint };
        let store = Store::open(backend, path.clone(), pointer.number, Some(pointer.id), options.cache_bytes, full)
            .map_err(|fault| fault.opening("open", &path))?;
        found.remove_others(&*disk, directory, Some(pointer.number))?;
        let next_number = found.numbers.iter().max().copied().unwrap_or_default().saturating_add(1);
        let directory = directory.to_owned();
        let place = Place { disk, directory, options, wear, id: pointer.id, next_number: AtomicU64::new(next_number) };
        Ok(Self::new(Arc::new(place), lock, store))
    }

    fn new(place: Arc<Place>, lock: Box<dyn Lock>, store: Store) -> Self {
        let current = Arc::new(store);
        let reader = Reader(Arc::new(Mutex::new(Some(current.clone()))));
        Self { place, _lock: lock, current, reader, rewriting: None, failed: None }
    }

    pub(super) fn reader(&self) -> Reader {
        self.reader.clone()
    }

    pub(super) fn place(&self) -> Arc<Place> {
        self.place.clone()
    }

    /// See [`Checkpoint::loaded`](super::Checkpoint::loaded).
    ///
    /// # Errors
    /// As there.
    pub fn loaded(&self) -> Result<(), CheckpointFailed> {
        let marker = self.place.directory.join(OPENING);
        match self.place.disk.remove(&marker) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("remove", &marker, error)),
            Ok(()) => self.place.sync_directory(),
        }
    }

    /// Commits a batch. When it returns well it is durable, all of it; after a crash all of it is there, or nothing.
    ///
    /// # Errors
    /// The checkpoint has failed, now or before.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), CheckpointFailed> {
        self.check()?;
        let current = self.current.clone();
        self.keep(current.apply(batch, Strength::Full).map_err(|fault| fault.failed("commit to", &current.path)))?;
        if let Some(Rewriting { target, failed, .. }) = &mut self.rewriting {
            // What is not copied yet is copied with it; a row that is written twice is the same.
            let result = target.apply(batch, Strength::Draft).map_err(|fault| fault.draft("write to", &target.path));
            *failed = failed.take().or(result.err());
        }
        Ok(())
    }

    /// Begins to rewrite everything into a new file. One that is under way goes on.
    ///
    /// # Errors
    /// The new file could not be written, or the checkpoint has failed.
    pub fn begin_rewrite(&mut self) -> Result<(), RewriteError> {
        self.check()?;
        if self.rewriting.is_none() {
            let target = self.place.draft(Cause::Rewrite)?;
            let copied = self.current.head().map_err(|fault| fault.draft("read", &self.current.path)).and_then(|head| {
                let batch = Batch { put_leases: head.leases, put_meta: head.meta, ..Batch::default() };
                target.apply(&batch, Strength::Draft).map_err(|fault| fault.draft("write to", &target.path))
            });
            if let Err(error) = copied {
                self.place.discard(target);
                return Err(error);
            }
            self.rewriting = Some(Rewriting { target, from: ALL.start, failed: None });
        }
        Ok(())
    }

    /// Whether a rewrite is under way.
    #[must_use]
    pub fn is_rewriting(&self) -> bool {
        self.rewriting.is_some()
    }

    /// Copies a part. The last step makes the new file count; then [`CheckpointFiles::is_rewriting`] is false.
    ///
    /// # Errors
    /// The new file could not be written, and is given up, or the checkpoint has failed.
    pub fn step_rewrite(&mut self) -> Result<(), RewriteError> {
        self.check()?;
        let Some(mut rewriting) = self.rewriting.take() else { return Ok(()) };
        match rewriting.step(&self.current) {
            Ok(true) => self.switch(rewriting.target)?,
            Ok(false) => self.rewriting = Some(rewriting),
            Err(error) => {
                self.place.discard(rewriting.target);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives up a rewrite that is under way.
    pub fn give_up_rewrite(&mut self) {
        if let Some(rewriting) = self.rewriting.take() {
            self.place.discard(rewriting.target);
        }
    }

    /// Makes a draft the file that counts. A rewrite that is under way is given up: it copies what does not count any more.
    pub(super) fn switch(&mut self, mut target: Store) -> Result<(), CheckpointFailed> {
        self.check()?;
        self.give_up_rewrite();
        let result = self.place.publish(&mut target);
        self.keep(result)?;
        let old = std::mem::replace(&mut self.current, Arc::new(target));
        self.reader.put(Some(self.current.clone()));
        let removed = self.place.disk.remove(&old.path).map_err(|error| failed("remove", &old.path, error));
        self.keep(removed)
    }

    /// Replaces everything, as [`Checkpoint::replace`](super::Checkpoint::replace) does, by what these batches make.
    ///
    /// # Errors
    /// The new file could not be written, and is given up, or the checkpoint has failed.
    pub fn replace_by(&mut self, batches: &[Batch]) -> Result<(), RewriteError> {
        self.check()?;
        let draft = self.place.draft(Cause::Rewrite)?;
        for batch in batches {
            if let Err(fault) = draft.apply(batch, Strength::Draft) {
                let error = fault.draft("write to", &draft.path);
                self.place.discard(draft);
                return Err(error);
            }
        }
        Ok(self.switch(draft)?)
    }

    /// Reads as [`Checkpoint::head`](super::Checkpoint::head) does.
    ///
    /// # Errors
    /// As there.
    pub fn head(&self) -> Result<Head, ReadCheckpointError> {
        self.reader.head()
    }

    /// Reads as [`Checkpoint::read`](super::Checkpoint::read) does.
    ///
    /// # Errors
    /// As there.
    pub fn read(&self, range: std::ops::Range<Revision>, max_bytes: usize) -> Result<Vec<(Revision, Bytes)>, ReadCheckpointError> {
        self.reader.read(range, max_bytes)
    }

    /// Checks as [`Checkpoint::verify`](super::Checkpoint::verify) does.
    ///
    /// # Errors
    /// As there.
    pub fn verify(&self) -> Result<(), ReadCheckpointError> {
        self.reader.verify()
    }

    pub(super) fn check(&self) -> Result<(), CheckpointFailed> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Remembers a failure.
    fn keep<T>(&mut self, result: Result<T, CheckpointFailed>) -> Result<T, CheckpointFailed> {
        if let Err(failed) = &result {
            self.failed = Some(failed.clone());
        }
        result
    }
}

impl Drop for CheckpointFiles {
    fn drop(&mut self) {
        // Readers that are at work keep the file open; others get an error from now on.
        self.reader.put(None);
    }
}

/// What is in a checkpoint's directory.
#[derive(Debug, Default)]
struct Found {
    current: bool,
    opening: bool,
    numbers: Vec<u64>,
    drafts: Vec<String>,
}

impl Found {
    fn list(disk: &dyn Disk, directory: &Path) -> Result<Self, OpenCheckpointError> {
        let mut found = Self::default();
        for entry in disk.list(directory).map_err(|error| io_error("list", directory, error))? {
            match entry.as_str() {
                CURRENT => found.current = true,
                OPENING => found.opening = true,
                other => match other.strip_prefix(PREFIX).map(str::parse) {
                    Some(Ok(number)) => found.numbers.push(number),
                    Some(Err(_)) => found.drafts.push(entry),
                    None => {}
                },
            }
        }
        Ok(found)
    }

    /// Without a pointer: whether an interrupted creation left this. It names its file when that is complete, and writes the pointer next,
    /// so a file that is damaged or has rows has lost its pointer.
    fn is_left_by_creation(&self, disk: &dyn Disk, directory: &Path, options: &CheckpointOptions) -> bool {
        self.numbers.iter().all(|number| {
            let path = directory.join(name(*number));
            let Ok(file) = disk.open(&path) else { return false };
            let backend = Backend { file, wear: Arc::default(), cause: Cause::Checkpoint };
            let store = Store::open(backend, path, *number, None, options.cache_bytes, false);
            store.is_ok_and(|store| store.has_no_rows().unwrap_or(false))
        })
    }

    /// Removes all files but the one that counts.
    fn remove_others(&self, disk: &dyn Disk, directory: &Path, current: Option<u64>) -> Result<(), OpenCheckpointError> {
        let others = self.numbers.iter().filter(|number| Some(**number) != current).map(|number| name(*number));
        for other in others.chain(self.drafts.iter().cloned()) {
            let path = directory.join(other);
            disk.remove(&path).map_err(|error| io_error("remove", &path, error))?;
        }
        Ok(())
    }
}

fn take_lock(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn Lock>, OpenCheckpointError> {
    disk.lock(&directory.join(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenCheckpointError::Locked { directory: directory.to_owned() },
        io::ErrorKind::NotFound => OpenCheckpointError::Missing { directory: directory.to_owned() },
        _ => io_error("lock", directory, error),
    })
}

fn read_pointer(disk: &dyn Disk, path: &Path) -> Result<Pointer, OpenCheckpointError> {
    let file = disk.open(path).map_err(|error| io_error("open", path, error))?;
    let mut bytes = vec![0; POINTER_BYTES + 1];
    let count = file.read_at(0, &mut bytes).map_err(|error| io_error("read", path, error))?;
    Pointer::parse(&bytes[..count])
        .ok_or_else(|| OpenCheckpointError::Damaged { path: path.to_owned(), what: "it does not say which file counts".to_owned() })
}

fn pointer_vanished(directory: &Path) -> OpenCheckpointError {
    OpenCheckpointError::Vanished { path: directory.join(CURRENT) }
}

fn source(error: io::Error) -> Source {
    Arc::new(error)
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> CheckpointFailed {
    CheckpointFailed { action, path: path.to_owned(), source: source(error) }
}

fn io_error(action: &'static str, path: &Path, error: io::Error) -> OpenCheckpointError {
    OpenCheckpointError::Io { action, path: path.to_owned(), source: source(error) }
}

impl From<RewriteError> for OpenCheckpointError {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Draft { action, path, source } => Self::Io { action, path, source },
            RewriteError::Failed(failed) => failed.into(),
            RewriteError::GivenUp => Self::Io { action: "write", path: PathBuf::new(), source: Arc::new(error) },
        }
    }
}

impl From<CheckpointFailed> for OpenCheckpointError {
    fn from(failed: CheckpointFailed) -> Self {
        Self::Io { action: failed.action, path: failed.path, source: failed.source }
    }
}
