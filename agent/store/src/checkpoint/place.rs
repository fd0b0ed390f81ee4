//! The directory of a checkpoint: which files there are, which one counts, and how another comes to count.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::backend::Backend;
use super::error::{CheckpointFailed, OpenCheckpointError, RewriteError, Source};
use super::fault::Fault;
use super::pointer::{POINTER_BYTES, Pointer};
use super::store::{Store, Strength};
use super::{Batch, CheckpointOptions, use_mark};
use crate::bugs::Bug;
use crate::disk::{Disk, Lock};
use crate::wear::{Cause, Wear};

pub(super) const CURRENT: &str = "current";
const NEXT_CURRENT: &str = "current.tmp";
const LOCK: &str = "lock";
const PREFIX: &str = "checkpoint-";

pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

/// The name of a file that is not complete.
fn draft_name(number: u64) -> String {
    format!("{PREFIX}{number:020}.tmp")
}

/// Where files are, and how new ones are made. Shared by the owner and by whoever prepares a replacement.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) options: CheckpointOptions,
    pub(super) wear: Arc<Wear>,
    pub(super) id: [u8; 16],
    pub(super) next_number: AtomicU64,
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

    /// Makes a draft complete and durable. If that fails, it is given up and nothing has happened.
    pub(super) fn complete(&self, draft: Store) -> Result<Store, RewriteError> {
        match draft.apply(&Batch::default(), Strength::Full) {
            Ok(()) => Ok(draft),
            Err(fault) => {
                let error = fault.draft("sync", &draft.path);
                self.discard(draft);
                Err(error)
            }
        }
    }

    /// Makes a complete draft the file that counts: first its name is durable, then the pointer.
    pub(super) fn publish(&self, store: &mut Store) -> Result<(), CheckpointFailed> {
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

    pub(super) fn sync_directory(&self) -> Result<(), CheckpointFailed> {
        if self.options.bugs.has(Bug::DirectoryNotSynced) {
            return Ok(());
        }
        self.wear.synced(Cause::Rewrite);
        self.disk.sync_directory(&self.directory).map_err(|error| failed("sync", &self.directory, error))
    }
}

/// What is in a checkpoint's directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) current: bool,
    pub(super) in_use: bool,
    pub(super) numbers: Vec<u64>,
    drafts: Vec<String>,
}

impl Found {
    pub(super) fn list(disk: &dyn Disk, directory: &Path) -> Result<Self, OpenCheckpointError> {
        let mut found = Self::default();
        for entry in disk.list(directory).map_err(|error| io_error("list", directory, error))? {
            match entry.as_str() {
                CURRENT => found.current = true,
                use_mark::NAME => found.in_use = true,
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
    pub(super) fn is_left_by_creation(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        options: &CheckpointOptions,
    ) -> Result<bool, OpenCheckpointError> {
        for number in &self.numbers {
            let path = directory.join(name(*number));
            let file = disk.open(&path).map_err(|error| io_error("open", &path, error))?;
            let backend = Backend { file, wear: Arc::default(), cause: Cause::Checkpoint };
            let store = Store::open(backend, path.clone(), *number, None, options.cache_bytes, false);
            match store.and_then(|store| store.has_no_rows()) {
                Ok(true) => {}
                Ok(false) | Err(Fault::Damaged(_)) => return Ok(false),
                Err(fault @ Fault::Redb(_)) => return Err(fault.opening("open", &path)),
            }
        }
        Ok(true)
    }

    /// Removes all files but the one that counts.
    pub(super) fn remove_others(&self, disk: &dyn Disk, directory: &Path, current: Option<u64>) -> Result<(), OpenCheckpointError> {
        let others = self.numbers.iter().filter(|number| Some(**number) != current).map(|number| name(*number));
        for other in others.chain(self.drafts.iter().cloned()) {
            let path = directory.join(other);
            disk.remove(&path).map_err(|error| io_error("remove", &path, error))?;
        }
        Ok(())
    }
}

pub(super) fn take_lock(disk: &dyn Disk, directory: &Path) -> Result<Box<dyn Lock>, OpenCheckpointError> {
    disk.lock(&directory.join(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenCheckpointError::Locked { directory: directory.to_owned() },
        io::ErrorKind::NotFound => OpenCheckpointError::Missing { directory: directory.to_owned() },
        _ => io_error("lock", directory, error),
    })
}

pub(super) fn read_pointer(disk: &dyn Disk, path: &Path) -> Result<Pointer, OpenCheckpointError> {
    let file = disk.open(path).map_err(|error| io_error("open", path, error))?;
    let mut bytes = vec![0; POINTER_BYTES + 1];
    let count = file.read_at(0, &mut bytes).map_err(|error| io_error("read", path, error))?;
    Pointer::parse(&bytes[..count])
        .ok_or_else(|| OpenCheckpointError::Damaged { path: path.to_owned(), what: "it does not say which file counts".to_owned() })
}

pub(super) fn pointer_vanished(directory: &Path) -> OpenCheckpointError {
    OpenCheckpointError::Vanished { path: directory.join(CURRENT) }
}

fn source(error: io::Error) -> Source {
    Arc::new(error)
}

pub(super) fn failed(action: &'static str, path: &Path, error: io::Error) -> CheckpointFailed {
    CheckpointFailed { action, path: path.to_owned(), source: source(error) }
}

pub(super) fn io_error(action: &'static str, path: &Path, error: io::Error) -> OpenCheckpointError {
    OpenCheckpointError::Io { action, path: path.to_owned(), source: source(error) }
}
