//! A disk that says how much room it has, whatever it has.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use shoal_store_files::disk::{Disk, File, Lock, RealDisk};

/// The file system, but for what it says is available.
#[derive(Debug, Clone, Default)]
pub(crate) struct FullDisk(Arc<AtomicU64>);

impl FullDisk {
    pub(crate) fn set_available(&self, bytes: u64) {
        self.0.store(bytes, Ordering::SeqCst);
    }
}

impl Disk for FullDisk {
    fn available_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        RealDisk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        RealDisk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_directory(directory)
    }

    fn random(&self) -> io::Result<u64> {
        RealDisk.random()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        RealDisk.lock(path)
    }
}
