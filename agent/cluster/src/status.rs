//! How this member is doing.

use std::time::Duration;

use shoal_store_files::wear::{Cause, Written};
use tokio::sync::watch;

/// Election timeouts without a leader after which etcd ends the streams of clients that require one (`monitorLeader` in interceptor.go):
/// re-creating watches costs much, and most elections are over before.
pub const LEADERLESS_ELECTION_TIMEOUTS: u32 = 3;

/// Who leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; `None` while none is known.
    pub leader: Option<u64>,
    /// The term, for the response header: that of the leader, or of the election under way.
    pub term: u64,
    /// Whether it is this member.
    pub is_self: bool,
}

/// Returns once no leader has been known for [`LEADERLESS_ELECTION_TIMEOUTS`], or the member has stopped.
pub async fn until_leader_is_lost(mut leadership: watch::Receiver<Leadership>, election_timeout: Duration) {
    let patience = election_timeout * LEADERLESS_ELECTION_TIMEOUTS;
    loop {
        if leadership.wait_for(|now| now.leader.is_none()).await.is_err() {
            return;
        }
        match tokio::time::timeout(patience, leadership.wait_for(|now| now.leader.is_some())).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// `StatusResponse`, without the version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Who leads; `None` while none is known (0 in the response).
    pub leader: Option<u64>,
    /// The term.
    pub raft_term: u64,
    /// The index of the last entry known to be committed.
    pub raft_index: u64,
    /// The index of the last entry applied.
    pub raft_applied_index: u64,
    /// What is wrong, one line each: no leader, and each alarm as etcd writes it (`memberID:… alarm:NOSPACE`).
    pub errors: Vec<String>,
    /// Bytes that the checkpoint's file takes, or the memory if there is none.
    pub db_size: u64,
    /// Bytes of all keys and values kept: what the quota is held against.
    pub db_size_in_use: u64,
    /// The quota, in bytes; 0 if there is none.
    pub db_size_quota: u64,
    /// Whether this member has no vote.
    pub is_learner: bool,
}

/// Counters and gauges of this member since it started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Whether a leader is known (`etcd_server_has_leader`).
    pub has_leader: bool,
    /// Whether this member leads (`etcd_server_is_leader`).
    pub is_leader: bool,
    /// Whether this member has no vote (`etcd_server_is_learner`).
    pub is_learner: bool,
    /// Times that another leader was seen (`etcd_server_leader_changes_seen_total`).
    pub leader_changes_seen: u64,
    /// The last committed index known (`etcd_server_proposals_committed_total`).
    pub proposals_committed: u64,
    /// The last applied index (`etcd_server_proposals_applied_total`).
    pub proposals_applied: u64,
    /// Proposals of this member's clients that wait (`etcd_server_proposals_pending`).
    pub proposals_pending: u64,
    /// Proposals that failed (`etcd_server_proposals_failed_total`).
    pub proposals_failed: u64,
    /// Linearizable reads that failed (`etcd_server_read_indexes_failed_total`).
    pub read_indexes_failed: u64,
    /// Leases that expired here (`etcd_server_lease_expired_total`).
    pub leases_expired: u64,
    /// Bytes sent to each peer (`etcd_network_peer_sent_bytes_total`).
    pub peer_sent_bytes: Vec<(u64, u64)>,
    /// Bytes received from each peer (`etcd_network_peer_received_bytes_total`).
    pub peer_received_bytes: Vec<(u64, u64)>,
    /// Snapshots of the state sent to peers.
    pub snapshots_sent: u64,
    /// Snapshots of the state installed.
    pub snapshots_installed: u64,
    /// What was written to the medium, by cause; empty if nothing is.
    pub written: Vec<(Cause, Written)>,
}

impl Metrics {
    /// Bytes and syncs of all causes together.
    #[must_use]
    pub fn written_total(&self) -> Written {
        self.written.iter().fold(Written::default(), |sum, (_, one)| Written { bytes: sum.bytes + one.bytes, syncs: sum.syncs + one.syncs })
    }
}
