//! What the simulated disk holds: on the medium, in the page cache, and what is still under way between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{Cut, Fault, Rng, SECTOR_BYTES};

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Directory(PathBuf),
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Remove(PathBuf, u64),
}

impl NameChange {
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) | Self::Create(path, _) | Self::Rename(path, _, _) | Self::Remove(path, _) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>, directories: &mut BTreeSet<PathBuf>) {
        match self {
            Self::Directory(path) => {
                directories.insert(path.clone());
            }
            Self::Create(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            // A change that is kept although an earlier one of the same file was lost leaves other files alone.
            Self::Rename(from, to, inode) => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
            Self::Remove(path, inode) => {
                if names.get(path) == Some(inode) {
                    names.remove(path);
                }
            }
        }
    }
}

/// A change to a file that is in the page cache and perhaps not on the medium.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Clone, Default)]
pub(super) struct SimNode {
    /// As reading gives it.
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// How much of what was under way is kept.
#[derive(Debug, Clone, Copy)]
enum Keep {
    Nothing,
    All,
    /// This many sectors, in the order of writing.
    First(usize),
    Some,
}

impl SimNode {
    /// Lets a part of what was under way arrive.
    fn settle(&mut self, rng: &mut Rng, cut: Cut) {
        let sectors: usize =
            self.pending.iter().map(|change| if let Change::Write(_, bytes) = change { bytes.len() / SECTOR_BYTES + 1 } else { 1 }).sum();
        let keep = match rng.below(4) {
            0 => Keep::Nothing,
            1 => Keep::All,
            2 => Keep::First(rng.below(sectors + 1)),
            _ => Keep::Some,
        };
        let mut count = 0;
        for change in std::mem::take(&mut self.pending) {
            let mut kept = |rng: &mut Rng| {
                count += 1;
                match keep {
                    Keep::Nothing => false,
                    Keep::All => true,
                    Keep::First(most) => count <= most,
                    Keep::Some => rng.one_in(2),
                }
            };
            match change {
                Change::Length(length) => {
                    if kept(rng) {
                        self.durable.resize(length, 0);
                    }
                }
                Change::Write(position, bytes) => {
                    for (at, sector) in sectors_of(position, &bytes) {
                        let torn = !matches!(keep, Keep::Nothing | Keep::All) && rng.one_in(8);
                        match (kept(rng), torn) {
                            (true, true) if cut.torn_sectors => {
                                let middle = rng.below(sector.len());
                                if rng.one_in(2) {
                                    put(&mut self.durable, at, &sector[..middle]);
                                } else {
                                    put(&mut self.durable, at + middle, &sector[middle..]);
                                }
                            }
                            (false, true) if cut.garbage => {
                                let garbage: Vec<u8> = sector.iter().map(|_| rng.next() as u8).collect();
                                put(&mut self.durable, at, &garbage);
                            }
                            (true, _) => put(&mut self.durable, at, sector),
                            (false, _) => {}
                        }
                    }
                }
            }
        }
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            apply(&mut self.durable, &change);
        }
    }

    fn forget_cached(&mut self) {
        self.live.clone_from(&self.durable);
        for change in &self.pending {
            apply(&mut self.live, change);
        }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Write(position, written) => put(bytes, *position, written),
    }
}

fn put(bytes: &mut Vec<u8>, position: usize, written: &[u8]) {
    let end = position + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[position..end].copy_from_slice(written);
}

/// What was written, cut at the boundaries of the medium's sectors.
fn sectors_of(position: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        if start == bytes.len() {
            return None;
        }
        at = bytes.len().min(start + SECTOR_BYTES - (position + start) % SECTOR_BYTES);
        Some((position + start, &bytes[start..at]))
    })
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) rng: Rng,
    on: bool,
    /// Counts restarts and kills.
    pub(super) boot: u64,
    pub(super) operations: u64,
    pub(super) fault: Option<(u64, Fault)>,
    pub(super) capacity: Option<u64>,
    pub(super) short_writes: bool,
    pub(super) unreadable: BTreeSet<(PathBuf, u64)>,
    pub(super) names: BTreeMap<PathBuf, u64>,
    pub(super) directories: BTreeSet<PathBuf>,
    durable_names: BTreeMap<PathBuf, u64>,
    durable_directories: BTreeSet<PathBuf>,
    pending_names: Vec<NameChange>,
    pub(super) files: BTreeMap<u64, SimNode>,
    next_inode: u64,
    pub(super) locks: BTreeSet<PathBuf>,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        let root = BTreeSet::from([PathBuf::from("/")]);
        Self {
            rng: Rng::new(seed),
            on: true,
            boot: 0,
            operations: 0,
            fault: None,
            capacity: None,
            short_writes: false,
            unreadable: BTreeSet::new(),
            names: BTreeMap::new(),
            directories: root.clone(),
            durable_names: BTreeMap::new(),
            durable_directories: root,
            pending_names: Vec::new(),
            files: BTreeMap::new(),
            next_inode: 1,
            locks: BTreeSet::new(),
        }
    }

    pub(super) fn fork(&self, seed: u64) -> Self {
        let mut files = self.files.clone();
        for file in files.values_mut() {
            file.pending.clear();
            file.durable.clone_from(&file.live);
        }
        Self {
            directories: self.directories.clone(),
            durable_directories: self.directories.clone(),
            names: self.names.clone(),
            durable_names: self.names.clone(),
            files,
            next_inode: self.next_inode,
            ..Self::new(seed)
        }
    }

    pub(super) fn empty(&mut self) {
        *self = Self { boot: self.boot + 1, ..Self::new(0) };
    }

    pub(super) fn power(&self) -> io::Result<()> {
        if self.on { Ok(()) } else { Err(io::Error::other("the power is off")) }
    }

    /// Counts an operation and says what happens to it.
    fn operation(&mut self) -> io::Result<Option<Fault>> {
        self.power()?;
        self.operations += 1;
        let fault = self.fault.filter(|(at, _)| *at == self.operations).map(|(_, fault)| fault);
        if fault == Some(Fault::PowerCut) {
            self.on = false;
        }
        Ok(fault)
    }

    pub(super) fn new_file(&mut self) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.files.insert(inode, SimNode::default());
        inode
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.power()?;
        if !self.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = self.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    pub(super) fn change_name(&mut self, change: NameChange) -> io::Result<()> {
        if !change.directory().is_some_and(|directory| self.directories.contains(directory)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if matches!(&change, NameChange::Directory(path) if self.directories.contains(path)) {
            return Ok(());
        }
        let fault = self.operation()?;
        if fault == Some(Fault::Error) {
            return Err(eio());
        }
        change.apply(&mut self.names, &mut self.directories);
        self.pending_names.push(change);
        if fault.is_some() { Err(eio()) } else { Ok(()) }
    }

    pub(super) fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
        if !self.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.operation()?.is_some() {
            return Err(eio());
        }
        let mut pending = std::mem::take(&mut self.pending_names);
        pending.retain(|change| {
            let synced = change.directory() == Some(directory);
            if synced {
                change.apply(&mut self.durable_names, &mut self.durable_directories);
            }
            !synced
        });
        self.pending_names = pending;
        Ok(())
    }

    pub(super) fn read(&self, inode: u64, position: usize, into: &mut [u8]) -> io::Result<usize> {
        let live = &self.files[&inode].live;
        let count = live.len().saturating_sub(position).min(into.len());
        if count == 0 {
            return Ok(0);
        }
        let sectors = position / SECTOR_BYTES..(position + count).div_ceil(SECTOR_BYTES);
        if self.unreadable.iter().any(|(path, sector)| self.names.get(path) == Some(&inode) && sectors.contains(&(*sector as usize))) {
            return Err(eio());
        }
        into[..count].copy_from_slice(&live[position..position + count]);
        Ok(count)
    }

    pub(super) fn write(&mut self, inode: u64, position: usize, bytes: &[u8]) -> io::Result<usize> {
        let fault = self.operation()?;
        let mut bytes = bytes;
        if !bytes.is_empty() && (self.short_writes && self.rng.one_in(2) || fault == Some(Fault::Error)) {
            bytes = &bytes[..1 + self.rng.below(bytes.len())];
        }
        let growth = (position + bytes.len()).saturating_sub(self.files[&inode].live.len());
        if growth > 0 && self.capacity.is_some_and(|capacity| self.used() + growth as u64 > capacity) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
        }
        if let Some(node) = self.files.get_mut(&inode) {
            let change = Change::Write(position, bytes.to_vec());
            apply(&mut node.live, &change);
            node.pending.push(change);
        }
        if fault.is_some() { Err(eio()) } else { Ok(bytes.len()) }
    }

    pub(super) fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.power()?;
        if !self.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used())))
    }

    pub(super) fn used(&self) -> u64 {
        self.names.values().map(|inode| self.files[inode].live.len() as u64).sum()
    }

    pub(super) fn set_len(&mut self, inode: u64, length: usize) -> io::Result<()> {
        let fault = self.operation()?;
        if fault == Some(Fault::Error) {
            return Err(eio());
        }
        let growth = length.saturating_sub(self.files[&inode].live.len()) as u64;
        if growth > 0 && self.capacity.is_some_and(|capacity| self.used() + growth > capacity) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()));
        }
        if let Some(node) = self.files.get_mut(&inode) {
            node.live.resize(length, 0);
            node.pending.push(Change::Length(length));
        }
        if fault.is_some() { Err(eio()) } else { Ok(()) }
    }

    pub(super) fn sync(&mut self, inode: u64) -> io::Result<()> {
        let fault = self.operation()?;
        let Some(node) = self.files.get_mut(&inode) else { return Err(eio()) };
        match fault {
            None => node.sync(),
            // What it could not write is called clean: it is no longer pending, and reading still gives it.
            Some(Fault::Error) => node.settle(&mut self.rng, Cut::default()),
            Some(Fault::PowerCut) => {}
        }
        if fault.is_some() { Err(eio()) } else { Ok(()) }
    }

    pub(super) fn forget_cached(&mut self, inode: u64) {
        if let Some(node) = self.files.get_mut(&inode) {
            node.forget_cached();
        }
    }

    pub(super) fn kill(&mut self) {
        self.boot += 1;
        self.locks.clear();
    }

    pub(super) fn restart(&mut self, cut: Cut) {
        self.kill();
        self.on = true;
        self.fault = None;
        for node in self.files.values_mut() {
            node.settle(&mut self.rng, cut);
            node.live.clone_from(&node.durable);
        }
        let keep_all = self.rng.one_in(3);
        for change in std::mem::take(&mut self.pending_names) {
            if keep_all || self.rng.one_in(2) {
                change.apply(&mut self.durable_names, &mut self.durable_directories);
            }
        }
        // What was in a directory that was lost is lost with it.
        self.durable_names.retain(|path, _| path.parent().is_some_and(|parent| self.durable_directories.contains(parent)));
        self.names.clone_from(&self.durable_names);
        self.directories.clone_from(&self.durable_directories);
        self.files.retain(|inode, _| self.names.values().any(|named| named == inode));
    }

    pub(super) fn change(&mut self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let inode = self.names[path];
        if let Some(node) = self.files.get_mut(&inode) {
            change(&mut node.durable);
            change(&mut node.live);
        }
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}
