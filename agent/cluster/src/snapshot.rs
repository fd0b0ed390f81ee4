//! The whole state as a stream of bytes.

pub(crate) mod record;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::StorageError;

/// The bytes of all chunks together are a multiple of this: clients of etcd take what is more than that for the checksum that follows
/// (`clientv3/snapshot`).
pub const SNAPSHOT_ALIGNMENT_BYTES: usize = 512;

/// A snapshot that is being read. Dropping it ends the reading.
///
/// The format is this crate's own, see `docs/design/`; it carries its own checksums, and pads itself to
/// [`SNAPSHOT_ALIGNMENT_BYTES`]. The server appends the SHA-256 of everything, as etcd does.
#[derive(Debug)]
pub struct SnapshotStream {
    pub(crate) chunks: mpsc::Receiver<Result<Bytes, StorageError>>,
    pub(crate) size_hint: u64,
}

impl SnapshotStream {
    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// [`StorageError`]; nothing follows.
    pub async fn next(&mut self) -> Option<Result<Bytes, StorageError>> {
        self.chunks.recv().await
    }

    /// About how many bytes there are, for `remaining_bytes`.
    #[must_use]
    pub const fn size_hint(&self) -> u64 {
        self.size_hint
    }
}
