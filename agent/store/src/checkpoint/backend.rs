//! What redb reads and writes goes through the [`Disk`](crate::disk::Disk) and is counted.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use crate::disk::File;
use crate::wear::{Cause, Wear};

/// A file for redb.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) file: Arc<dyn File>,
    pub(super) wear: Arc<Wear>,
    pub(super) cause: Cause,
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.wear.synced(self.cause);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.wear.wrote(self.cause, data.len());
        self.file.write_all_at(offset, data)
    }
}
