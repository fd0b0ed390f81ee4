//! The node as a server of the etcd API sees it.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use shoal_kv::{Command, HashKvError, HashKvResponse, Limits, Outcome};
use tokio::sync::{mpsc, watch};

use super::{Inner, Node};
use crate::{
    checkpoint::{CheckpointError, Lent},
    error::{LeaseError, MembershipError, MoveLeaderError, ProposeError, ReadError, StorageError},
    membership::{Member, MemberChange},
    peer::message::{AddMember, Change, UpdateMember},
    replica::{Identity, LeaseTimeToLive, Replica, StoreGuard},
    snapshot::{
        SNAPSHOT_ALIGNMENT_BYTES, SnapshotStream,
        record::{End, MAGIC, Record},
    },
    state::alarm_text,
    status::{Leadership, Metrics, Status},
    watches::Watches,
};

/// Chunks of a snapshot that wait for their reader.
const CHUNKS_QUEUED: usize = 2;

/// How long a reader may take for one chunk. Versions that compaction has taken out stay on the medium as long as a snapshot is read.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(60);

#[async_trait]
impl Replica for Node {
    fn identity(&self) -> Identity {
        self.inner.config.identity
    }

    fn limits(&self) -> Limits {
        self.inner.config.limits
    }

    fn request_timeout(&self) -> Duration {
        self.inner.request_timeout()
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        self.inner.propose_command(command).await
    }

    async fn read_barrier(&self) -> Result<(), ReadError> {
        self.inner.read_barrier().await
    }

    fn store(&self) -> StoreGuard<'_> {
        self.inner.machine.state.guard()
    }

    fn watches(&self) -> &Watches {
        &self.inner.machine.state.watches
    }

    async fn physical_compaction(&self) -> Result<(), StorageError> {
        let compactions = self.inner.machine.state.compactions();
        let wanted = compactions.borrow().wanted;
        let mut done = compactions.subscribe();
        tokio::select! {
            biased;
            () = self.inner.until_ended() => Err(StorageError::Stopped),
            done = done.wait_for(|now| now.done >= wanted) => done.map(|_| ()).map_err(|_| StorageError::Stopped),
        }
    }

    async fn lease_renew(&self, id: i64) -> Result<i64, LeaseError> {
        self.inner.renew_lease(id).await
    }

    async fn lease_time_to_live(&self, id: i64, keys: bool) -> Result<LeaseTimeToLive, LeaseError> {
        self.inner.lease_time_to_live(id, keys).await
    }

    fn members(&self) -> Vec<Member> {
        self.inner.members()
    }

    async fn member_add(&self, peer_urls: Vec<String>, is_learner: bool) -> Result<MemberChange, MembershipError> {
        self.inner.may_be_changed()?;
        self.inner.change_members(Change::Add(AddMember { urls: peer_urls, is_learner })).await
    }

    async fn member_promote(&self, id: u64) -> Result<MemberChange, MembershipError> {
        self.inner.may_be_changed()?;
        self.inner.change_members(Change::Promote(id)).await
    }

    async fn member_update(&self, id: u64, peer_urls: Vec<String>) -> Result<MemberChange, MembershipError> {
        self.inner.may_be_changed()?;
        self.inner.change_members(Change::Update(UpdateMember { id, urls: peer_urls })).await
    }

    async fn member_remove(&self, id: u64) -> Result<MemberChange, MembershipError> {
        self.inner.may_be_changed()?;
        self.inner.change_members(Change::Remove(id)).await
    }

    async fn move_leader(&self, to: u64) -> Result<(), MoveLeaderError> {
        self.inner.move_leader(to).await
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.subscribe()
    }

    fn election_timeout(&self) -> Duration {
        self.inner.config.election_timeout
    }

    fn status(&self) -> Status {
        self.inner.status()
    }

    fn metrics(&self) -> Metrics {
        self.inner.counted()
    }

    async fn snapshot(&self) -> Result<SnapshotStream, StorageError> {
        // Everything that is applied, so that a backup does not lie behind what its maker has read.
        self.inner.machine.checkpointer.write().await?;
        let lent = self.inner.machine.checkpointer.lend().await;
        let size_hint = lent.size_hint();
        let (sender, chunks) = mpsc::channel(CHUNKS_QUEUED);
        tokio::spawn(stream(lent, sender));
        Ok(SnapshotStream { chunks, size_hint })
    }

    async fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, HashKvError> {
        let state = self.inner.machine.state.clone();
        let hashed = crate::blocking::run(move || state.guard().hash_kv(revision)).await;
        hashed.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    async fn defragment(&self) -> Result<(), StorageError> {
        Ok(self.inner.machine.checkpointer.defragment().await?)
    }
}

impl Inner {
    fn status(&self) -> Status {
        let leadership = *self.leadership.borrow();
        let metrics = self.metrics();
        let member = self.member();
        let db_size = self.machine.checkpointer.file_bytes();
        let replicated = self.machine.state.read();
        let no_leader = leadership.leader.is_none().then(|| ReadError::NoLeader.to_string());
        Status {
            leader: leadership.leader,
            raft_term: metrics.current_term,
            raft_index: metrics.cluster_committed.or(metrics.local_committed).map_or(0, |last| last.index),
            raft_applied_index: replicated.applied.map_or(0, |last| last.index),
            errors: no_leader.into_iter().chain(replicated.store.alarms().map(|alarm| alarm_text(&alarm))).collect(),
            db_size,
            db_size_in_use: replicated.store.usage().bytes,
            db_size_quota: self.config.quota_bytes,
            is_learner: !votes(metrics.membership_config.membership().get_joint_config(), member),
        }
    }

    fn counted(&self) -> Metrics {
        let status = self.status();
        let traffic = self.peers.all_traffic();
        Metrics {
            has_leader: status.leader.is_some(),
            is_leader: self.leadership.borrow().is_self,
            is_learner: status.is_learner,
            leader_changes_seen: self.counters.leader_changes.load(Ordering::Relaxed),
            proposals_committed: status.raft_index,
            proposals_applied: status.raft_applied_index,
            proposals_pending: self.machine.proposals.len() as u64,
            proposals_failed: self.counters.proposals_failed.load(Ordering::Relaxed),
            read_indexes_failed: self.counters.reads_failed.load(Ordering::Relaxed),
            leases_expired: self.counters.leases_expired.load(Ordering::Relaxed),
            peer_sent_bytes: traffic.iter().map(|&(id, sent, _)| (id, sent)).collect(),
            peer_received_bytes: traffic.iter().map(|&(id, _, received)| (id, received)).collect(),
            snapshots_sent: self.peers.snapshots_sent(),
            snapshots_installed: self.machine.checkpointer.installed(),
            written: self.wear.read().to_vec(),
        }
    }
}

/// Reads a checkpoint as a backup, as fast as its reader takes it.
async fn stream(lent: Lent, chunks: mpsc::Sender<Result<Bytes, StorageError>>) {
    let failed = match send(lent, &chunks).await {
        Ok(()) => return,
        Err(error) => error,
    };
    let _ = chunks.send(Err(failed)).await;
}

async fn send(lent: Lent, chunks: &mpsc::Sender<Result<Bytes, StorageError>>) -> Result<(), StorageError> {
    let lent = Arc::new(lent);
    let mut bytes = put(chunks, Bytes::from_static(MAGIC)).await?;
    bytes += put(chunks, Record::Head((*lent.head).clone()).encode()).await?;
    let (mut above, mut rows) = (None, 0);
    loop {
        let source = lent.clone();
        let piece = crate::blocking::run(move || source.read(above)).await.map_err(|_| CheckpointError::Closed)??;
        let Some((last, _)) = piece.last() else { break };
        above = Some(*last);
        rows += piece.len() as u64;
        bytes += put(chunks, Record::Rows(piece).encode()).await?;
    }
    bytes += put(chunks, Record::End(End { rows }).encode()).await?;
    put(chunks, Bytes::from(vec![0; bytes.next_multiple_of(SNAPSHOT_ALIGNMENT_BYTES) - bytes])).await?;
    Ok(())
}

/// Hands a chunk to the reader, and returns its size.
async fn put(chunks: &mpsc::Sender<Result<Bytes, StorageError>>, chunk: Bytes) -> Result<usize, StorageError> {
    let size = chunk.len();
    let sent = tokio::time::timeout(CHUNK_TIMEOUT, chunks.send(Ok(chunk))).await;
    // A reader that is gone wants nothing any more, not even an error.
    sent.map_err(|_| StorageError::Timeout)?.map_err(|_| StorageError::Stopped)?;
    Ok(size)
}

/// Whether a member votes. While a change is under way there are two sets of voters, and each must have a majority: whoever is in one of them only
/// does not add to what the cluster bears, yet or any more.
fn votes(sets: &[BTreeSet<u64>], member: u64) -> bool {
    !sets.is_empty() && sets.iter().all(|voters| voters.contains(&member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_votes_when_no_set_of_voters_is_without_it() {
        let (two, three) = (BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 3]));
        assert!(votes(std::slice::from_ref(&three), 3));
        assert!(!votes(&[two.clone(), three.clone()], 3), "not yet: without 1 or 2 the old set has no majority");
        assert!(votes(&[two.clone(), three], 1));
        assert!(!votes(&[two], 3), "a learner");
        assert!(!votes(&[], 1), "nobody has told it anything yet");
    }
}
