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

/// Another disk, but for what it says is available: nothing at first.
#[derive(Debug, Clone)]
pub(crate) struct FullDisk {
    disk: Arc<dyn Disk>,
    available: Arc<AtomicU64>,
}

impl Default for FullDisk {
    fn default() -> Self {
        Self::on(Arc::new(RealDisk))
    }
}

impl FullDisk {
    pub(crate) fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk, available: Arc::default() }
    }

    pub(crate) fn set_available(&self, bytes: u64) {
        self.available.store(bytes, Ordering::SeqCst);
    }
}

impl Disk for FullDisk {
    fn available_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.available.load(Ordering::SeqCst))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.disk.sync_directory(directory)
    }

    fn random(&self) -> io::Result<u64> {
        self.disk.random()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
}
