//! A disk in memory that loses, tears and flips what a real one may. For tests; everything follows from one seed.
//!
//! What it models:
//! - a power cut keeps any part of what was not synced: nothing, all, a prefix, or any set of sectors, in any order; with
//!   [`Cut::torn_sectors`] also sectors of which only one end was written, with [`Cut::garbage`] also sectors that hold neither the old
//!   bytes nor the new ones;
//! - names that were not synced may be kept or lost, each by itself;
//! - a failed sync (`EIO`) drops any part of what it should have written and calls the rest clean, as Linux does: reading gives the new
//!   bytes until they are forgotten, the medium has the old ones;
//! - full disks, short writes, sectors that cannot be read, flipped bits.
//!
//! What it does not: time, and reordering of what was synced.

mod rng;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use rng::Rng;
use state::{NameChange, State};

use super::{Disk, File, Lock};

/// Bytes that a medium writes at once, or not.
pub const SECTOR_BYTES: usize = 512;

/// What happens at some operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes while it is under way. It and all later operations fail until [`SimDisk::restart`].
    PowerCut,
    /// It fails with `EIO`, once. A write may have happened in part; of a sync see the module.
    Error,
}

/// How a power cut treats what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Sectors may be written in part: each byte is the old one or the new one. Media promise more, whole sectors; redb needs no more than
    /// this ("single byte writes are atomic", its design notes).
    pub torn_sectors: bool,
    /// Sectors may be garbage, as those of a medium that loses power while it programs a page and has nothing to make up for it. No database
    /// that writes a header in place can bear that, and redb does not say so; the raft log does.
    pub garbage: bool,
}

/// A simulated disk. Cloning gives another handle to the same one.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State::new(seed))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations (writes, syncs, names) there were so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets something happen at an operation, counted as [`SimDisk::operations`] does; the first one is 1. It takes the place of what was to
    /// happen before.
    pub fn set_fault(&self, fault: Option<(u64, Fault)>) {
        self.state().fault = fault;
    }

    /// Whether the power is on: not after [`Fault::PowerCut`], until [`SimDisk::restart`].
    #[must_use]
    pub fn has_power(&self) -> bool {
        self.state().power().is_ok()
    }

    /// Bytes in all files together.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Limits the bytes in all files together.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Lets writes take only a part of what they are given, at random.
    pub fn set_short_writes(&self, short: bool) {
        self.state().short_writes = short;
    }

    /// Lets reads of a sector fail with `EIO`.
    pub fn make_unreadable(&self, path: &Path, position: u64) {
        self.state().unreadable.insert((path.to_owned(), position / SECTOR_BYTES as u64));
    }

    /// The power is cut, if it is not yet, and comes back: handles and locks from before are gone, and of what was not synced only a part is
    /// left.
    pub fn restart(&self, cut: Cut) {
        self.state().restart(cut);
    }

    /// The process is killed: handles and locks from before are gone, but what was written is in the page cache still.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// Flips one bit on the medium, and in the page cache.
    ///
    /// # Panics
    /// There is no such file, or no such byte.
    pub fn flip(&self, path: &Path, position: usize, bit: u8) {
        self.state().change(path, |bytes| bytes[position] ^= 1 << bit);
    }

    /// Changes what the medium has, and the page cache.
    ///
    /// # Panics
    /// There is no such file.
    pub fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        self.state().change(path, change);
    }

    /// What a file holds, as reading gives it.
    ///
    /// # Panics
    /// There is no such file.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.files[&state.names[path]].live.clone()
    }

    /// All files, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Empties the disk, so that handles which are left somewhere do not keep its memory.
    pub fn empty(&self) {
        self.state().empty();
    }

    /// A copy with the same files, all of them synced, and no faults: for trying several things on one history.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(self.state().fork(seed))))
    }
}

impl Disk for SimDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.state().change_name(NameChange::Directory(path.to_owned()))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.state().list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.new_file();
        state.change_name(NameChange::Create(path.to_owned(), inode))?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, boot: state.boot }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.state();
        state.power()?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, boot: state.boot }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), inode))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.change_name(NameChange::Remove(path.to_owned(), inode))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.state().sync_directory(directory)
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.state().available_bytes(directory)
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.state().rng.next())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut state = self.state();
        state.power()?;
        if !path.parent().is_some_and(|parent| state.directories.contains(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), boot: state.boot }))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    boot: u64,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

/// A handle of a file. It is good until the next restart or kill.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: u64,
    boot: u64,
}

impl SimFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.power()?;
        if state.boot == self.boot { Ok(state) } else { Err(io::Error::other("the process of this handle is gone")) }
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.files[&self.inode].live.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.state()?.set_len(self.inode, length as usize)
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        self.state()?.read(self.inode, position as usize, into)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        self.state()?.write(self.inode, position as usize, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state()?.sync(self.inode)
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.state()?.forget_cached(self.inode);
        Ok(())
    }
}
