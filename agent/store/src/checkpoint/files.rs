//! The checkpoint as one owner sees it: blocking, one thing at a time. [`Checkpoint`](super::Checkpoint) puts a thread before it.

mod rewrite;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;

use super::backend::Backend;
use super::error::{CheckpointFailed, OpenCheckpointError, ReadCheckpointError};
use super::place::{CURRENT, Found, Place, failed, io_error, name, pointer_vanished, read_pointer, take_lock};
use super::reader::Reader;
use super::store::{Store, Strength};
use super::use_mark::UseMark;
use super::{Batch, CheckpointOptions, Head, Revision, Verify};
use crate::bugs::Bug;
use crate::disk::{Disk, Lock};
use crate::wear::{Cause, Wear};
use rewrite::Rewriting;

/// A checkpoint on a disk, used by one owner: [`CheckpointFiles::commit`] returns when the batch is durable. For simulations, and for whoever
/// has a thread of their own; everybody else takes [`Checkpoint`](super::Checkpoint).
#[derive(Debug)]
pub struct CheckpointFiles {
    place: Arc<Place>,
    /// Held as long as anything may be written; taken out to outlive the rest.
    lock: Option<Box<dyn Lock>>,
    current: Arc<Store>,
    reader: Reader,
    rewriting: Option<Rewriting>,
    use_mark: UseMark,
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
        if !found.is_left_by_creation(&*disk, directory, &options)? {
            return Err(pointer_vanished(directory));
        }
        found.remove_others(&*disk, directory, None)?;
        let mut id = [0; 16];
        for half in id.chunks_mut(8) {
            half.copy_from_slice(&disk.random().map_err(|error| io_error("get random bits for", directory, error))?.to_le_bytes());
        }
        let place = Arc::new(Place { disk, directory: directory.to_owned(), options, wear, id, next_number: AtomicU64::new(1) });
        let mut store = place.complete(place.draft(Cause::Checkpoint)?)?;
        place.publish(&mut store)?;
        let use_mark = UseMark::default().begin(true);
        use_mark.write(&*place.disk, directory, found.in_use, &place.wear).map_err(|error| io_error("write", directory, error))?;
        Ok(Self::new(place, lock, store, use_mark))
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
            return Err(if found.is_left_by_creation(&*disk, directory, &options)? { missing } else { pointer_vanished(directory) });
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
        let use_mark = UseMark::read(&*disk, directory, found.in_use).map_err(|error| io_error("read", directory, error))?;
        let full = options.verify == Verify::Full || use_mark.is_suspicious();
        let use_mark = use_mark.begin(full);
        use_mark.write(&*disk, directory, found.in_use, &wear).map_err(|error| io_error("write", directory, error))?;
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
        Ok(Self::new(Arc::new(place), lock, store, use_mark))
    }

    fn new(place: Arc<Place>, lock: Box<dyn Lock>, store: Store, use_mark: UseMark) -> Self {
        let current = Arc::new(store);
        let reader = Reader::new(current.clone());
        Self { place, lock: Some(lock), current, reader, rewriting: None, use_mark, failed: None }
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
    pub fn loaded(&mut self) -> Result<(), CheckpointFailed> {
        self.check()?;
        self.use_mark.loaded();
        let Place { disk, directory, wear, .. } = &*self.place;
        let written = self.use_mark.write(&**disk, directory, true, wear).map_err(|error| failed("write", directory, error));
        self.keep(written)
    }

    /// Closes it, so that the next opening is quick.
    ///
    /// # Errors
    /// The checkpoint has failed, now or before.
    pub fn close(mut self) -> Result<(), CheckpointFailed> {
        self.check()?;
        self.give_up_rewrite();
        let (place, _lock) = (self.place.clone(), self.lock.take());
        if self.current.is_damaged() {
            let error = io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
            return Err(failed("close", &self.current.path, error));
        }
        // Readers that are at work keep the file open; it is closed when they are gone.
        drop(self);
        UseMark::remove(&*place.disk, &place.directory, &place.wear).map_err(|error| failed("remove", &place.directory, error))
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
