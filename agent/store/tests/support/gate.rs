//! A disk whose syncs wait until the test lets them pass.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use shoal_store_files::disk::{Disk, File, Lock};

#[derive(Debug, Default)]
struct State {
    closed: bool,
    waiting: usize,
}

/// Closes and opens the way of all syncs of files.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

impl Gate {
    pub fn close(&self) {
        self.0.0.lock().unwrap().closed = true;
    }

    pub fn open(&self) {
        self.0.0.lock().unwrap().closed = false;
        self.0.1.notify_all();
    }

    /// Returns when a sync waits.
    pub fn wait_for_sync(&self) {
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |state| state.waiting == 0).unwrap());
    }

    fn pass(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting += 1;
        self.0.1.notify_all();
        let mut state = self.0.1.wait_while(state, |state| state.closed).unwrap();
        state.waiting -= 1;
    }
}

/// A disk behind a gate.
#[derive(Debug)]
pub struct GatedDisk<D>(pub D, pub Gate);

impl<D: Disk> Disk for GatedDisk<D> {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.0.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(GatedFile(self.0.create(path)?, self.1.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(GatedFile(self.0.open(path)?, self.1.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.0.sync_directory(directory)
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        self.0.available_bytes(directory)
    }

    fn random(&self) -> io::Result<u64> {
        self.0.random()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.0.lock(path)
    }
}

#[derive(Debug)]
struct GatedFile(Arc<dyn File>, Gate);

impl File for GatedFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(position, into)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_at(position, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.0.forget_cached()
    }
}
