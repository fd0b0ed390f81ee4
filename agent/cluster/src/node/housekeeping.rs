//! What keeps the files and the memory small.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use shoal_store_files::log::Space;

use super::Inner;
use crate::state::Compactions;

/// How often what nobody resumes is looked for, and the space of the log.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// How long a checkpoint may take before it is looked at anew whether one is due.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Bytes that a checkpoint may write for each byte that was applied since the last one: the rows, and the pages around them.
const CHECKPOINT_BYTES_PER_BYTE: u64 = 2;

/// Bytes that it may write besides: pages that hold what is removed, the head, and where redb keeps which pages are free.
const CHECKPOINT_BYTES_BESIDES: u64 = 8 << 20;

/// Has checkpoints written when enough was applied, and the log purged when enough was written.
pub(super) async fn checkpoints(inner: Arc<Inner>) {
    // Where checkpoints go to, and how many bytes had been applied by then.
    let mut written: VecDeque<(u64, u64)> = VecDeque::new();
    let (mut last_bytes, mut last_index) = (0, inner.machine.checkpoint_index().await);
    let mut is_postponed = false;
    loop {
        let _ = tokio::time::timeout(LOOK_INTERVAL, inner.machine.applied_more.notified()).await;
        if inner.has_ended() {
            return;
        }
        inner.receiver.forget_old();
        let bytes = inner.machine.applied_bytes.load(Ordering::Relaxed);
        let applied = *inner.machine.applied.borrow();
        let lacks_space = matches!(inner.log.log().space(), Space::Low { .. });
        let due = bytes - last_bytes >= inner.config.checkpoint_bytes
            || applied.saturating_sub(last_index) >= inner.config.checkpoint_entries
            || (lacks_space && applied > last_index);
        if !due {
            continue;
        }
        let needed = (bytes - last_bytes).saturating_mul(CHECKPOINT_BYTES_PER_BYTE).saturating_add(CHECKPOINT_BYTES_BESIDES);
        let postpone = !inner.has_space(needed);
        if postpone && !is_postponed {
            tracing::warn!(needed, "there is no room for a checkpoint, which is written when there is some: free some space");
        }
        is_postponed = postpone;
        if postpone {
            continue;
        }
        (last_bytes, last_index) = (bytes, applied);
        let Some(through) = inner.write_checkpoint(applied).await else { continue };
        written.push_back((through, bytes));
        let keep = if lacks_space { 0 } else { inner.config.kept_log_bytes };
        let mut purge = None;
        while let Some(&(index, at)) = written.front()
            && bytes - at >= keep
        {
            purge = Some(index);
            written.pop_front();
        }
        if let Some(index) = purge
            && inner.raft.trigger().purge_log(index).await.is_err()
        {
            return;
        }
    }
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
    /// Whether a checkpoint of so many bytes is likely to fit. One that fails in the middle ends this member, and would again at its next start;
    /// without a checkpoint it goes on answering reads, and refuses writes before the log is full.
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
