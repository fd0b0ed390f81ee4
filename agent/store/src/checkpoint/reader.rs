//! Reads the file that counts, whichever that is at the moment.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::error::ReadCheckpointError;
use super::store::Store;
use super::{Head, Revision, Size};

/// Reads the file that counts. Cloning gives another one.
#[derive(Debug, Clone)]
pub(super) struct Reader(Arc<Mutex<Option<Arc<Store>>>>);

impl Reader {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self(Arc::new(Mutex::new(Some(store))))
    }

    fn store(&self) -> Result<Arc<Store>, ReadCheckpointError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(ReadCheckpointError::Closed)
    }

    /// Lets this one count from now on, or none.
    pub(super) fn put(&self, store: Option<Arc<Store>>) -> Option<Arc<Store>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), store)
    }

    /// See [`Checkpoint::head`](super::Checkpoint::head).
    pub(super) fn head(&self) -> Result<Head, ReadCheckpointError> {
        let store = self.store()?;
        store.head().map_err(|fault| fault.reading(&store.path))
    }

    /// See [`Checkpoint::read`](super::Checkpoint::read).
    pub(super) fn read(&self, range: Range<Revision>, max_bytes: usize) -> Result<Vec<(Revision, Bytes)>, ReadCheckpointError> {
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
