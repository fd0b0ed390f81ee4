//! The state on the medium: writes checkpoints, restores from them, and lends them to whoever sends a snapshot.
//!
//! A checkpoint is a cut: everything as it was after one applied entry. It is written while commands go on being applied:
//!
//! 1. the head is taken (who leads, leases, revisions), and the list of versions that compaction has taken out so far;
//! 2. versions up to the head's revision are written in pieces, above those of the checkpoint before. Rows that an interrupted attempt left
//!    there are removed first; nobody reads rows above the head that counts;
//! 3. the last piece carries the head, and from then on it counts. What compaction took out is removed with it or after it.
//!
//! Between 1 and 2 nothing is compacted: a version that the head still needs would be missing. A transaction that is applied again after a
//! restart, and reads at an old revision, must find what it found the first time.
//!
//! While somebody reads a snapshot, no row is removed. That is bounded in time and memory: then whoever reads has to begin anew.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use prost::Message;
use shoal_kv::{Revision, Store, checkpoint::CheckpointVersion};
use shoal_store_files::checkpoint::{Batch, Checkpoint, Replacement, Revision as Row};
use tokio::sync::{Mutex, oneshot};

use crate::{
    codec::DecodeError,
    error::StorageError,
    peer::message::SnapshotKey,
    replica::Identity,
    snapshot::record::{HeadMessage, decode_row, encode_row},
    state::{Head, Replicated, State},
};

/// Bytes of rows in one commit of a checkpoint, about. More commits mean more syncs, larger ones more memory.
const COMMIT_BYTES: usize = 4 << 20;

/// Rows removed in one commit.
const COMMIT_REMOVALS: usize = 10_000;

/// Versions read from the state at a time: commands wait as long as that takes.
const READ_VERSIONS: usize = 256;

/// Bytes of rows read at a time for a snapshot or to restore the state.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// Rows that may wait to be removed while snapshots are read: 64 MiB of revisions. When there are more, the readers have to begin anew.
const DEFERRED_REMOVALS: usize = 4 << 20;

const HEAD: &str = "head";
const IDENTITY: &str = "identity";

/// Why there is no state in a checkpoint, or it could not be written. The node has to restart, or be restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(transparent)]
    Open(#[from] shoal_store_files::checkpoint::OpenCheckpointError),
    #[error(transparent)]
    Failed(#[from] shoal_store_files::checkpoint::CheckpointFailed),
    #[error(transparent)]
    Read(#[from] shoal_store_files::checkpoint::ReadCheckpointError),
    #[error(transparent)]
    Rewrite(#[from] shoal_store_files::checkpoint::RewriteError),
    #[error("the checkpoint cannot be understood")]
    Decode(#[from] DecodeError),
    #[error("the checkpoint holds no state that a store can have had. Restore this node from its peers, or from a backup if it has none")]
    Restore(#[from] shoal_kv::checkpoint::RestoreError),
    #[error("the checkpoint is of member {:x} of cluster {:x}, not of member {:x} of cluster {:x}", .found.member, .found.cluster, .expected.member, .expected.cluster)]
    Foreign { found: Identity, expected: Identity },
    #[error("the checkpoint was closed")]
    Closed,
}

impl From<CheckpointError> for StorageError {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Closed => Self::Stopped,
            error => Self::Failed(chain(&error)),
        }
    }
}

impl From<CheckpointError> for std::io::Error {
    fn from(error: CheckpointError) -> Self {
        Self::other(chain(&error))
    }
}

/// An error with all its sources, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Writes checkpoints of a state.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    checkpoint: Checkpoint,
    state: Arc<State>,
    identity: Identity,
    /// Held while a checkpoint is written or replaced, while versions are compacted, and while a reader is let in.
    written: Mutex<Written>,
    readers: Arc<Readers>,
    installed: AtomicU64,
    /// Random: tells this life's checkpoints from those of another.
    life: u64,
}

/// What the medium holds.
#[derive(Debug)]
struct Written {
    /// Counts the checkpoints of this life.
    number: u64,
    head: Arc<Head>,
    leases: BTreeMap<i64, i64>,
    /// Rows to remove once nobody reads.
    deferred: Vec<Revision>,
}

#[derive(Debug, Default)]
struct Readers {
    count: AtomicUsize,
    /// Goes up when rows are taken away from under the readers.
    generation: AtomicU64,
}

impl Checkpointer {
    /// Makes an empty checkpoint carry the identity of its owner. Blocks.
    pub(crate) fn create(checkpoint: &Checkpoint, identity: Identity) -> Result<(), CheckpointError> {
        let batch = Batch { put_meta: vec![(IDENTITY.into(), encode_identity(identity))], ..Batch::default() };
        checkpoint.commit_now(batch)?;
        Ok(())
    }

    /// The state in a checkpoint. Blocks while everything is read.
    pub(crate) fn restore(checkpoint: &Checkpoint, identity: Identity) -> Result<Replicated, CheckpointError> {
        let Stored { head, identity: found } = read_head(checkpoint)?;
        if found != identity {
            return Err(CheckpointError::Foreign { found, expected: identity });
        }
        let Head { applied, membership, attributes, store } = head;
        let mut failure = None;
        let rows = Rows::new(checkpoint, store.revision).map_while(|row| row.map_err(|error| failure = Some(error)).ok());
        let store = Store::restore(store, rows);
        if let Some(failure) = failure {
            return Err(failure);
        }
        checkpoint.loaded()?;
        Ok(Replicated { applied, membership, attributes, ..Replicated::new(store?) })
    }

    /// Writes checkpoints of `state`, which was [restored](Self::restore) from this one. Blocks while it reads.
    pub(crate) fn new(checkpoint: Checkpoint, state: Arc<State>, identity: Identity, life: u64) -> Result<Self, CheckpointError> {
        let head = read_head(&checkpoint)?.head;
        let leases = head.store.leases.iter().copied().collect();
        let written = Mutex::new(Written { number: 0, head: Arc::new(head), leases, deferred: Vec::new() });
        Ok(Self { checkpoint, state, identity, written, readers: Arc::default(), installed: AtomicU64::new(0), life })
    }

    /// Writes a checkpoint of everything applied so far, and says up to where it goes.
    pub(crate) async fn write(&self) -> Result<Arc<Head>, CheckpointError> {
        let mut written = self.written.lock().await;
        let (head, mut removals) = {
            let mut replicated = self.state.write();
            (replicated.head(), std::mem::take(&mut replicated.forgotten))
        };
        if head.applied == written.head.applied && removals.is_empty() && written.deferred.is_empty() {
            return Ok(written.head.clone());
        }
        let mut batch = self.write_versions(written.head.store.revision, &head).await?;

        let leases: BTreeMap<i64, i64> = head.store.leases.iter().copied().collect();
        batch.remove_leases = written.leases.keys().filter(|id| !leases.contains_key(id)).copied().collect();
        let changed = leases.iter().filter(|(id, ttl)| written.leases.get(id) != Some(ttl));
        batch.put_leases = changed.map(|(&id, ttl)| (id, Bytes::copy_from_slice(&ttl.to_le_bytes()))).collect();
        batch.put_meta = vec![(HEAD.into(), encode_head(&head))];
        #[cfg(feature = "known-bugs")]
        if self.state.has_bug(crate::known_bugs::KnownBug::AppliedIsBehind)
            && let Some(behind) =
                head.applied.and_then(|last| Some(crate::raft::log_id(crate::raft::term_of(&last), last.index.checked_sub(1)?)))
        {
            batch.put_meta = vec![(HEAD.into(), encode_head(&Head { applied: Some(behind), ..head.clone() }))];
        }

        removals.append(&mut written.deferred);
        let mut rest = if self.may_remove(removals.len()) { removals } else { std::mem::replace(&mut written.deferred, removals) };
        batch.remove = take_rows(&mut rest);
        self.commit(batch).await?;
        written.number += 1;
        written.head = Arc::new(head);
        written.leases = leases;
        while !rest.is_empty() {
            let remove = take_rows(&mut rest);
            self.commit(Batch { remove, ..Batch::default() }).await?;
        }
        Ok(written.head.clone())
    }

    /// Writes the versions above `above` up to the head's revision, and returns what is not committed yet.
    async fn write_versions(&self, above: i64, head: &Head) -> Result<Batch, CheckpointError> {
        let end = head.store.revision;
        let mut above = Revision { main: above, sub: u32::MAX };
        loop {
            let mut batch = Batch::default();
            let (begin, mut bytes, mut last) = (above, 0, false);
            while bytes < COMMIT_BYTES && !last {
                let versions = self.state.read().store.checkpoint_versions(above, end, READ_VERSIONS);
                last = versions.len() < READ_VERSIONS;
                for CheckpointVersion { revision, kv } in versions {
                    above = revision;
                    let row = encode_row(&kv);
                    bytes += row.len();
                    batch.put.push((row_at(revision), row));
                }
                tokio::task::yield_now().await;
            }
            let through = if last { Revision { main: end, sub: u32::MAX } } else { above };
            if begin < through {
                batch.remove_ranges.push(row_after(begin)..row_after(through));
            }
            if last {
                return Ok(batch);
            }
            self.commit(batch).await?;
        }
    }

    /// Whether rows may be removed now; if there are too many of them, the readers are told to begin anew.
    fn may_remove(&self, rows: usize) -> bool {
        if self.readers.count.load(Ordering::SeqCst) == 0 {
            return true;
        }
        if rows > DEFERRED_REMOVALS {
            self.readers.generation.fetch_add(1, Ordering::SeqCst);
            return true;
        }
        false
    }

    async fn commit(&self, batch: Batch) -> Result<(), CheckpointError> {
        let (sender, done) = oneshot::channel();
        self.checkpoint.commit(batch, Box::new(move |result| drop(sender.send(result))))?;
        done.await.map_err(|_| CheckpointError::Closed)??;
        Ok(())
    }

    /// Forgets some versions that compaction made unreachable; not while a checkpoint is written. Returns whether nothing is left to do.
    pub(crate) async fn compact_step(&self) -> bool {
        let _written = self.written.lock().await;
        self.state.compact_step()
    }

    /// The checkpoint that counts, for reading as a snapshot.
    pub(crate) async fn lend(&self) -> Lent {
        let written = self.written.lock().await;
        self.readers.count.fetch_add(1, Ordering::SeqCst);
        let generation = self.readers.generation.load(Ordering::SeqCst);
        let key = SnapshotKey { sender: self.identity.member, life: self.life, checkpoint: written.number };
        Lent { key, head: written.head.clone(), checkpoint: self.checkpoint.clone(), readers: self.readers.clone(), generation }
    }

    /// A new checkpoint that grows beside the one that counts. Blocks.
    pub(crate) fn replacement(&self) -> Result<Replacement, CheckpointError> {
        Ok(self.checkpoint.replace()?)
    }

    /// Puts a complete replacement in the place of everything: first on the medium, then in memory.
    pub(crate) async fn install(&self, replacement: Replacement) -> Result<(), CheckpointError> {
        let mut written = self.written.lock().await;
        self.readers.generation.fetch_add(1, Ordering::SeqCst);
        let (checkpoint, identity) = (self.checkpoint.clone(), self.identity);
        let restored = crate::blocking::run(move || {
            replacement.finish()?;
            Self::restore(&checkpoint, identity)
        });
        let replicated = restored.await.map_err(|_| CheckpointError::Closed)??;
        let head = replicated.head();
        written.number += 1;
        written.leases = head.store.leases.iter().copied().collect();
        written.head = Arc::new(head);
        written.deferred.clear();
        self.state.replace(replicated);
        self.installed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Rewrites the file without holes.
    pub(crate) async fn defragment(&self) -> Result<(), CheckpointError> {
        let (sender, done) = oneshot::channel();
        self.checkpoint.rewrite(Box::new(move |result| drop(sender.send(result))))?;
        done.await.map_err(|_| CheckpointError::Closed)??;
        Ok(())
    }

    /// Which member of which cluster this is.
    pub(crate) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Bytes of the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.checkpoint.size().map_or(0, |size| size.file)
    }

    /// Snapshots installed since the start.
    pub(crate) fn installed(&self) -> u64 {
        self.installed.load(Ordering::Relaxed)
    }

    /// Ends the checkpoint's thread. Blocks.
    pub(crate) fn close(&self) {
        if let Err(error) = self.checkpoint.clone().close() {
            tracing::warn!(error = chain(&error), "the checkpoint was not closed well");
        }
    }
}

/// The part of a replacement that makes it a checkpoint: everything but the rows, and whose it is.
pub(crate) fn head_batch(head: &Head, identity: Identity) -> Batch {
    let lease = |&(id, ttl): &(i64, i64)| (id, Bytes::copy_from_slice(&ttl.to_le_bytes()));
    Batch {
        put_leases: head.store.leases.iter().map(lease).collect(),
        put_meta: vec![(IDENTITY.into(), encode_identity(identity)), (HEAD.into(), encode_head(head))],
        ..Batch::default()
    }
}

/// A part of a replacement that holds rows of a snapshot.
pub(crate) fn rows_batch(rows: Vec<(Revision, Bytes)>) -> Batch {
    Batch { put: rows.into_iter().map(|(at, row)| (row_at(at), row)).collect(), ..Batch::default() }
}

/// A checkpoint that is being read as a snapshot. None of its rows is removed before it is dropped, as long as it is [current](Self::is_current).
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) key: SnapshotKey,
    pub(crate) head: Arc<Head>,
    checkpoint: Checkpoint,
    readers: Arc<Readers>,
    generation: u64,
}

impl Lent {
    fn is_current(&self) -> bool {
        self.readers.generation.load(Ordering::SeqCst) == self.generation
    }

    /// The next rows above `above`, about [`READ_BYTES`] of them; none at the end. Blocks.
    pub(crate) fn read(&self, above: Option<Revision>) -> Result<Vec<(Revision, Bytes)>, StorageError> {
        let begin = above.map_or_else(Row::default, row_after);
        let end = row_after(Revision { main: self.head.store.revision, sub: u32::MAX });
        let rows = self.checkpoint.read(begin..end, READ_BYTES).map_err(CheckpointError::from)?;
        // After the rows, so that none of them was taken away before it was read.
        if !self.is_current() {
            return Err(StorageError::Timeout);
        }
        rows.into_iter().map(|(at, row)| Ok((revision_of(at)?, row))).collect::<Result<_, CheckpointError>>().map_err(Into::into)
    }

    /// About how many bytes the snapshot has.
    pub(crate) fn size_hint(&self) -> u64 {
        self.checkpoint.size().map_or(0, |size| size.in_use)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.readers.count.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The versions in a checkpoint, in order.
struct Rows<'a> {
    checkpoint: &'a Checkpoint,
    piece: std::vec::IntoIter<(Row, Bytes)>,
    next: Row,
    end: Row,
}

impl<'a> Rows<'a> {
    fn new(checkpoint: &'a Checkpoint, revision: i64) -> Self {
        let end = row_after(Revision { main: revision, sub: u32::MAX });
        Self { checkpoint, piece: Vec::new().into_iter(), next: Row::default(), end }
    }

    fn read(&mut self) -> Result<Option<CheckpointVersion>, CheckpointError> {
        if self.piece.len() == 0 {
            self.piece = self.checkpoint.read(self.next..self.end, READ_BYTES)?.into_iter();
        }
        let Some((at, row)) = self.piece.next() else { return Ok(None) };
        let revision = revision_of(at)?;
        self.next = row_after(revision);
        Ok(Some(CheckpointVersion { revision, kv: decode_row(revision, row)? }))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<CheckpointVersion, CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[derive(Debug)]
struct Stored {
    head: Head,
    identity: Identity,
}

fn read_head(checkpoint: &Checkpoint) -> Result<Stored, CheckpointError> {
    let stored = checkpoint.head()?;
    let meta = |name: &str| stored.meta.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
    let mut head = match meta(HEAD) {
        Some(bytes) => Head::try_from(HeadMessage::decode(bytes).map_err(DecodeError::from)?)?,
        None => Replicated::new(Store::new()).head(),
    };
    let lease = |(id, ttl): &(i64, Bytes)| {
        let ttl: [u8; 8] = ttl[..].try_into().map_err(|_| DecodeError::Unknown("time to live of a lease"))?;
        Ok::<_, DecodeError>((*id, i64::from_le_bytes(ttl)))
    };
    head.store.leases = stored.leases.iter().map(lease).collect::<Result<_, _>>()?;
    let identity = decode_identity(&meta(IDENTITY).ok_or(DecodeError::Unknown("identity"))?)?;
    Ok(Stored { head, identity })
}

/// The head without its leases, which are rows of their own: few of them change from one checkpoint to the next.
fn encode_head(head: &Head) -> Bytes {
    let mut message = HeadMessage::from(head);
    message.leases.clear();
    message.encode_to_vec().into()
}

fn encode_identity(identity: Identity) -> Bytes {
    [identity.cluster.to_le_bytes(), identity.member.to_le_bytes()].concat().into()
}

fn decode_identity(bytes: &[u8]) -> Result<Identity, DecodeError> {
    let (Some(cluster), Some(member)) = (bytes.first_chunk(), bytes.last_chunk()) else { return Err(DecodeError::Unknown("identity")) };
    Ok(Identity { cluster: u64::from_le_bytes(*cluster), member: u64::from_le_bytes(*member) })
}

fn row_at(revision: Revision) -> Row {
    Row { main: revision.main.cast_unsigned(), sub: revision.sub.into() }
}

/// The first row that may come after this one.
fn row_after(revision: Revision) -> Row {
    let Row { main, sub } = row_at(revision);
    Row { main, sub: sub + 1 }
}

fn revision_of(row: Row) -> Result<Revision, DecodeError> {
    let unknown = DecodeError::Unknown("revision");
    match (i64::try_from(row.main), u32::try_from(row.sub)) {
        (Ok(main), Ok(sub)) => Ok(Revision { main, sub }),
        _ => Err(unknown),
    }
}

fn take_rows(from: &mut Vec<Revision>) -> Vec<Row> {
    let rest = from.len().saturating_sub(COMMIT_REMOVALS);
    from.drain(rest..).map(row_at).collect()
}
