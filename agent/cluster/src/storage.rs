//! A member's files: the raft log and the checkpoint, in one directory.
//!
//! | in the directory | holds |
//! |---|---|
//! | `checkpoint/` | the state after some applied entry; which member of which cluster this is |
//! | `log/` | entries, vote |
//!
//! The log is made last: where there is none, nothing was ever promised to anybody, and making them begins anew.
//!
//! The two belong together, and are [compared](age) before either is used: the log was purged only up to where a checkpoint went, so one that
//! ends before that is not the newest that was here.

mod age;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_kv::watch::HubLimits;
use shoal_store_files::{
    checkpoint::{Checkpoint, CheckpointOptions, OpenCheckpointError},
    disk::{Disk, RealDisk},
    log::{Log, LogOptions, LogState, OpenLogError, Recovered, Wanted},
    wear::Wear,
};

use crate::{
    checkpoint::{CheckpointError, Checkpointer, chain},
    raft::{
        log::{LogStore, options},
        machine::Machine,
    },
    replica::Owner,
    state::State,
};

/// Where and how a member keeps its files.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// The directory; it is made if its parent exists.
    pub directory: PathBuf,
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// How the raft log is kept.
    pub log: LogOptions,
    /// How the checkpoint is kept.
    pub checkpoint: CheckpointOptions,
}

impl StorageConfig {
    /// A directory of the file system, with defaults for a USB stick and a small box.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), disk: Arc::new(RealDisk), log: LogOptions::default(), checkpoint: CheckpointOptions::default() }
    }

    /// Whether a member has kept files here, so that it must be started as the same member again.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.disk.list(&self.directory.join(LOG)).is_ok_and(|names| !names.is_empty())
    }
}

/// A member's files cannot be deleted.
#[derive(Debug, thiserror::Error)]
#[error("cannot delete what is in {}", directory.display())]
pub struct WipeError {
    directory: PathBuf,
    source: std::io::Error,
}

impl StorageConfig {
    /// Deletes a member's files, durably. The member is not running, and whoever calls this has made sure that it is done again if it does not end. The
    /// log goes first: [where there is none](Self::exists), nothing was ever promised. Blocks.
    ///
    /// # Errors
    /// If some of them are left, or may come back after a power cut.
    pub fn wipe(&self) -> Result<(), WipeError> {
        for name in [LOG, CHECKPOINT] {
            let directory = self.directory.join(name);
            let wiped = self.wipe_directory(&directory);
            wiped.map_err(|source| WipeError { directory, source })?;
        }
        Ok(())
    }

    fn wipe_directory(&self, directory: &Path) -> std::io::Result<()> {
        let names = match self.disk.list(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            names => names?,
        };
        for name in names {
            self.disk.remove(&directory.join(name))?;
        }
        self.disk.sync_directory(directory)
    }
}

pub(crate) const LOG: &str = "log";
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// A member's files cannot be opened. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenStorageError(String);

impl OpenStorageError {
    pub(crate) const fn new(text: String) -> Self {
        Self(text)
    }
}

fn cannot(error: &dyn std::error::Error) -> OpenStorageError {
    OpenStorageError(chain(error))
}

impl From<CheckpointError> for OpenStorageError {
    fn from(error: CheckpointError) -> Self {
        cannot(&error)
    }
}

/// A member's files, open, with the state that is in them.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) log: LogStore,
    pub(crate) machine: Arc<Machine>,
    pub(crate) wear: Arc<Wear>,
}

impl Storage {
    /// Opens a member's files, or makes them if it never had any. Blocks while the state is read.
    pub(crate) fn open(
        config: &StorageConfig,
        owner: impl Into<Owner>,
        watch_shards: usize,
        watch_limits: HubLimits,
        seed: u64,
    ) -> Result<Self, OpenStorageError> {
        let owner = owner.into();
        let wear = Arc::new(Wear::default());
        config
            .disk
            .create_directory(&config.directory)
            .map_err(|error| OpenStorageError(format!("cannot make the directory {}: {error}", config.directory.display())))?;
        let is_new = !config.exists();
        let checkpoint = open_checkpoint(config, &config.directory.join(CHECKPOINT), owner, is_new, &wear)?;
        let head = Checkpointer::head(&checkpoint, owner)?;
        let wanted = |log: &LogState| age::compare(&config.directory, owner.identity.member, &head, log.purged);
        let log = open_log(config, &config.directory.join(LOG), is_new, &wear, &wanted)?;
        let replicated = Checkpointer::restore(&checkpoint, owner)?;
        let state = Arc::new(State::new(replicated, watch_shards, watch_limits));
        let checkpointer = Checkpointer::new(checkpoint, state.clone(), owner, seed)?;
        let machine = Arc::new(Machine::new(owner.identity.member, state, checkpointer, seed));
        Ok(Self { log: LogStore::new(log), machine, wear })
    }
}

fn open_checkpoint(
    config: &StorageConfig,
    directory: &Path,
    owner: Owner,
    is_new: bool,
    wear: &Arc<Wear>,
) -> Result<Checkpoint, OpenStorageError> {
    let open = || Checkpoint::open(config.disk.clone(), directory, config.checkpoint.clone(), wear.clone());
    if !is_new {
        return open().map_err(|error| cannot(&error));
    }
    let checkpoint = match Checkpoint::create(config.disk.clone(), directory, config.checkpoint.clone(), wear.clone()) {
        // Making them was interrupted before the log was made.
        Err(OpenCheckpointError::Exists { .. }) => open(),
        created => created,
    };
    let checkpoint = checkpoint.map_err(|error| cannot(&error))?;
    if checkpoint.head().map_err(|error| cannot(&error))?.revisions > 0 {
        return Err(OpenStorageError(format!(
            "the raft log in {} is gone, but the state is there: restore this node from its peers, or from a backup if it has none",
            config.directory.display()
        )));
    }
    Checkpointer::create(&checkpoint, owner)?;
    Ok(checkpoint)
}

fn open_log(
    config: &StorageConfig,
    directory: &Path,
    is_new: bool,
    wear: &Arc<Wear>,
    wanted: &Wanted<'_>,
) -> Result<Log, OpenStorageError> {
    let open = || Log::open_if(config.disk.clone(), directory, options(config.log.clone()), wear.clone(), wanted);
    let create = || Log::create(config.disk.clone(), directory, options(config.log.clone()), wear.clone());
    let opened = match if is_new { Err(OpenLogError::Missing { directory: directory.into() }) } else { open() } {
        // Nothing in it was ever a log: making it was interrupted.
        Err(OpenLogError::Missing { .. }) => return create().map_err(|error| cannot(&error)),
        opened => opened,
    };
    let (log, Recovered { state, torn }) = opened.map_err(|error| cannot(&error))?;
    tracing::info!(last = ?state.last, purged = ?state.purged, ?torn, "opened the raft log");
    Ok(log)
}
