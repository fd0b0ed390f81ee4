//! What keeps the files and the memory small.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use shoal_store_files::{log::Space, wear::Cause};

use super::Inner;
use crate::state::Compactions;

/// How often what nobody resumes is looked for, and the space of the log.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// How long a checkpoint may take before it is looked at anew whether one is due.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Bytes that a checkpoint may write for each byte that was applied since the last one: the rows, and the pages around them, of which each is the
/// next power of two of what is in it.
const CHECKPOINT_BYTES_PER_BYTE: u64 = 2;

/// Bytes that it may write for each row that is removed: a page with the rows beside it, and its share of those above. More if there are large
/// rows beside it, and less if several are in one page; but never more than all there is, which is rewritten at most.
const CHECKPOINT_BYTES_PER_REMOVAL: u64 = 8 << 10;

/// Bytes that it may write besides: the head, the leases, and where redb keeps which pages are free.
const CHECKPOINT_BYTES_BESIDES: u64 = 8 << 20;

/// The part of a segment that is applied between two checkpoints which are written only to make room. The first of them frees what there is to be
/// freed: with each further entry another would wear the medium out, and free nothing.
const ROOM_SHARE: u64 = 8;

/// How far a member has come since it was started.
#[derive(Debug, Clone, Copy)]
struct Reached {
    /// Entries of the log that are applied, of all time.
    entries: u64,
    /// Bytes of what was applied.
    applied_bytes: u64,
    /// Bytes of the log's files that were filled, with those that the start found.
    filled_bytes: u64,
}

/// A checkpoint that is written.
#[derive(Debug, Clone, Copy)]
struct Written {
    /// Index of the last entry in it.
    through: u64,
    /// What had been reached when it was begun.
    at: Reached,
}

/// Has checkpoints written when enough was applied, and the log purged when enough was written.
pub(super) async fn checkpoints(inner: Arc<Inner>) {
    // What a start found was filled before, and nobody knows how much of it since the checkpoint that it found: all of it, so that the log stays
    // small however short the lives of its member are.
    let found = inner.log.log().full_bytes();
    let mut last = Reached { entries: inner.machine.checkpoint_index().await, applied_bytes: 0, filled_bytes: 0 };
    let mut written: VecDeque<Written> = last.entries.checked_sub(1).map(|through| Written { through, at: last }).into_iter().collect();
    let (mut is_postponed, mut made_room) = (false, false);
    loop {
        let _ = tokio::time::timeout(LOOK_INTERVAL, inner.machine.applied_more.notified()).await;
        if inner.has_ended() {
            return;
        }
        inner.receiver.forget_old();
        let now = Reached {
            entries: *inner.machine.applied.borrow(),
            applied_bytes: inner.machine.applied_bytes.load(Ordering::Relaxed),
            filled_bytes: found + inner.wear.of(Cause::Entries).bytes,
        };
        let (applied, filled) = (now.applied_bytes - last.applied_bytes, now.filled_bytes - last.filled_bytes);
        let is_new = now.entries > last.entries;
        let lacks_space = matches!(inner.log.log().space(), Space::Low { .. });
        made_room &= lacks_space;
        let room_bytes = u64::from(inner.config.storage.log.segment_bytes) / ROOM_SHARE;
        let due = applied >= inner.config.checkpoint_bytes
            || (filled >= inner.config.log_bytes && is_new)
            || now.entries.saturating_sub(last.entries) >= inner.config.checkpoint_entries
            || (lacks_space && is_new && (!made_room || applied >= room_bytes));
        if !due {
            continue;
        }
        let needed = needed_bytes(applied, inner.machine.checkpointer.removals().await, inner.machine.checkpointer.file_bytes());
        let postpone = !inner.has_space(needed);
        if postpone && !is_postponed {
            tracing::warn!(needed, "there is no room for a checkpoint, which is written when there is some: free some space");
        }
        is_postponed = postpone;
        if postpone {
            continue;
        }
        last = now;
        let Some(through) = inner.write_checkpoint(now.entries).await else { continue };
        written.push_back(Written { through, at: now });
        made_room = lacks_space;
        let (keep, keep_filled) = if lacks_space { (0, 0) } else { (inner.config.kept_log_bytes, inner.config.log_bytes) };
        let mut purge = None;
        while let Some(&Written { through, at }) = written.front()
            && (now.applied_bytes - at.applied_bytes >= keep || now.filled_bytes - at.filled_bytes >= keep_filled)
        {
            purge = Some(through);
            written.pop_front();
        }
        if let Some(index) = purge
            && inner.raft.trigger().purge_log(index).await.is_err()
        {
            return;
        }
    }
}

/// Bytes that a checkpoint may need, about.
///
/// No bound can be told beforehand without redb: how many pages a commit touches follows from how the tree has grown, and which of the free ones are
/// taken from what the commits before have freed. So this is an estimate, by what makes pages be written: rows that are added and rows that are
/// removed. That it is too low is no danger to the data. The commit that does not fit fails; the checkpoint before counts, and the log, which is
/// purged only after a commit, still has everything since. The member ends, as with every write that fails, and when it starts again it applies the
/// log, looks for room anew, and writes the checkpoint when there is some. Held by `agent/cluster/tests/nodes/space.rs`.
fn needed_bytes(applied: u64, removals: u64, file: u64) -> u64 {
    let removing = removals.saturating_mul(CHECKPOINT_BYTES_PER_REMOVAL).min(file);
    applied.saturating_mul(CHECKPOINT_BYTES_PER_BYTE).saturating_add(removing).saturating_add(CHECKPOINT_BYTES_BESIDES)
}

/// Forgets what compactions make unreachable.
pub(super) async fn compaction(inner: Arc<Inner>) {
    let compactions = inner.machine.state.compactions();
    let mut wanted = compactions.subscribe();
    loop {
        let Ok(Compactions { wanted: number, .. }) = wanted.wait_for(|now| now.done < now.wanted).await.map(|now| *now) else { return };
        while !inner.machine.checkpointer.compact_step().await {
            tokio::task::yield_now().await;
        }
        compactions.send_modify(|now| now.done = number);
    }
}

impl Inner {
    /// Whether so many bytes are available. Without a checkpoint this member goes on answering reads, and refuses writes before the log is full.
    fn has_space(&self, needed: u64) -> bool {
        let storage = &self.config.storage;
        // Where the system does not say, it is tried.
        storage.disk.available_bytes(&storage.directory).map_or(true, |available| available >= needed)
    }

    /// Has raft take a snapshot of at least the first `applied` entries, and returns the index of the last entry in it.
    async fn write_checkpoint(&self, applied: u64) -> Option<u64> {
        self.raft.trigger().snapshot().await.ok()?;
        let wait = self.raft.wait(Some(CHECKPOINT_TIMEOUT));
        let covers = |metrics: &openraft::RaftMetrics<crate::raft::Types>| metrics.snapshot.is_some_and(|last| last.index + 1 >= applied);
        let metrics = wait.metrics(covers, "a checkpoint").await.ok()?;
        metrics.snapshot.map(|last| last.index)
    }
}
