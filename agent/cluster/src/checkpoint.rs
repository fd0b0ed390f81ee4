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

mod error;
mod lent;
mod rows;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use shoal_kv::{Revision, Store, checkpoint::CheckpointVersion};
use shoal_store_files::checkpoint::{Batch, Checkpoint, Replacement, Revision as Row};
use tokio::sync::{Mutex, oneshot};

use crate::{
    peer::message::SnapshotKey,
    replica::Owner,
    snapshot::record::encode_row,
    state::{Head, Replicated, State},
};
pub(crate) use error::{CheckpointError, chain};
pub(crate) use lent::Lent;
use lent::Readers;
use rows::{HEAD, IDENTITY, Rows, Stored, encode_head, encode_owner, read_head, row_after, row_at};
pub(crate) use rows::{head_batch, rows_batch};

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

/// Writes checkpoints of a state.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    checkpoint: Checkpoint,
    state: Arc<State>,
    owner: Owner,
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

impl Checkpointer {
    /// Makes an empty checkpoint carry the identity of its owner. Blocks.
    pub(crate) fn create(checkpoint: &Checkpoint, owner: impl Into<Owner>) -> Result<(), CheckpointError> {
        let batch = Batch { put_meta: vec![(IDENTITY.into(), encode_owner(owner.into()))], ..Batch::default() };
        checkpoint.commit_now(batch)?;
        Ok(())
    }

    /// What is small in a checkpoint, which must be this member's. Blocks while it is read.
    pub(crate) fn head(checkpoint: &Checkpoint, owner: impl Into<Owner>) -> Result<Head, CheckpointError> {
        let (Stored { head, owner: found }, expected) = (read_head(checkpoint)?, owner.into());
        if found != expected {
            return Err(CheckpointError::Foreign { found, expected });
        }
        Ok(head)
    }

    /// The state in a checkpoint. Blocks while everything is read.
    pub(crate) fn restore(checkpoint: &Checkpoint, owner: impl Into<Owner>) -> Result<Replicated, CheckpointError> {
        let Head { applied, membership, attributes, control, first_seal, store } = Self::head(checkpoint, owner)?;
        let mut failure = None;
        let rows = Rows::new(checkpoint, store.revision).map_while(|row| row.map_err(|error| failure = Some(error)).ok());
        let store = Store::restore(store, rows);
        if let Some(failure) = failure {
            return Err(failure);
        }
        checkpoint.loaded()?;
        Ok(Replicated { applied, membership, attributes, control, first_seal, ..Replicated::new(store?) })
    }

    /// Writes checkpoints of `state`, which was [restored](Self::restore) from this one. Blocks while it reads.
    pub(crate) fn new(checkpoint: Checkpoint, state: Arc<State>, owner: impl Into<Owner>, life: u64) -> Result<Self, CheckpointError> {
        let head = read_head(&checkpoint)?.head;
        let leases = head.store.leases.iter().copied().collect();
        let written = Mutex::new(Written { number: 0, head: Arc::new(head), leases, deferred: Vec::new() });
        Ok(Self { checkpoint, state, owner: owner.into(), written, readers: Arc::default(), installed: AtomicU64::new(0), life })
    }

    /// Writes a checkpoint of everything applied so far, and says up to where it goes.
    ///
    /// Whoever waits for it may give up: it is written to its end all the same. Left in the middle, the medium could have what `written` does not
    /// know of, and the next one would not take back what this one has put there.
    pub(crate) async fn write(self: &Arc<Self>) -> Result<Arc<Head>, CheckpointError> {
        let this = self.clone();
        tokio::spawn(async move { this.write_to_the_end().await }).await.map_err(|_| CheckpointError::Closed)?
    }

    async fn write_to_the_end(&self) -> Result<Arc<Head>, CheckpointError> {
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
        let key = SnapshotKey { sender: self.owner.identity.member, life: self.life, checkpoint: written.number };
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
        let (checkpoint, owner) = (self.checkpoint.clone(), self.owner);
        let restored = crate::blocking::run(move || {
            replacement.finish()?;
            Self::restore(&checkpoint, owner)
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

    /// Whose it is.
    pub(crate) const fn owner(&self) -> Owner {
        self.owner
    }

    /// How many rows the next checkpoint removes.
    pub(crate) async fn removals(&self) -> u64 {
        let deferred = self.written.lock().await.deferred.len();
        (self.state.read().forgotten.len() + deferred) as u64
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

fn take_rows(from: &mut Vec<Revision>) -> Vec<Row> {
    let rest = from.len().saturating_sub(COMMIT_REMOVALS);
    from.drain(rest..).map(row_at).collect()
}
