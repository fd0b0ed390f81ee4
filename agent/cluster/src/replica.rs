//! The seam between a server of the etcd API and the replicated store.

use std::{fmt::Debug, ops::Deref, sync::RwLockReadGuard, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use shoal_kv::{Command, HashKvError, HashKvResponse, Limits, Outcome, Store};
use tokio::sync::watch;

use crate::{
    error::{LeaseError, MembershipError, MoveLeaderError, ProposeError, ReadError, StorageError},
    membership::{Member, MemberChange},
    snapshot::SnapshotStream,
    state::Replicated,
    status::{Leadership, Metrics, Status},
    watches::Watches,
};

/// Which member of which cluster this is: the two constant fields of etcd's response header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster.
    pub cluster: u64,
    /// The member.
    pub member: u64,
}

/// Whose files these are: which member of which cluster, and the whole name of the cluster if it has formed itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) identity: Identity,
    /// A cluster that forms itself has a name of 128 bits, of which the identity has a half. The files have both.
    pub(crate) formed: Option<u128>,
}

impl From<Identity> for Owner {
    fn from(identity: Identity) -> Self {
        Self { identity, formed: None }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Identity { cluster, member } = self.identity;
        match self.formed {
            None => write!(formatter, "member {member:x} of cluster {cluster:x}"),
            Some(cluster) => write!(formatter, "node {member} of the self-formed cluster {cluster:032x}"),
        }
    }
}

/// `LeaseTimeToLiveResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTimeToLive {
    /// The time granted, in seconds.
    pub granted_ttl: i64,
    /// What is left of it; nothing if the lease has ended and is being revoked.
    pub remaining: Duration,
    /// The keys attached, in their order; empty if they were not asked for.
    pub keys: Vec<Bytes>,
}

/// The state of this member, for reading. Commands wait to be applied while it is held: read, and let go.
#[derive(Debug)]
pub struct StoreGuard<'a>(pub(crate) RwLockReadGuard<'a, Replicated>);

impl Deref for StoreGuard<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0.store
    }
}

/// One member of a cluster, seen by the server that answers its clients.
///
/// Every method may be called on every member. What only the leader can do is done by asking the leader, except for
/// [`Replica::move_leader`]. No method waits longer than [`Replica::request_timeout`], unless its documentation says so. Dropping a future
/// gives up waiting; a proposal that was on its way may still happen.
#[async_trait]
pub trait Replica: Debug + Send + Sync + 'static {
    /// Which member of which cluster this is.
    fn identity(&self) -> Identity;

    /// The limits that [`Replica::propose`] holds requests to.
    fn limits(&self) -> Limits;

    /// How long a request waits for a decision: etcd's 5 s and two election timeouts.
    fn request_timeout(&self) -> Duration;

    /// Replicates a command, and answers once this member has applied it.
    ///
    /// The command need not be prepared: it is validated against [`Replica::limits`], a lease without an id gets one, and a TTL below the
    /// minimum is raised to it. What fails these checks, and what the quota does not allow, is answered with the error that the store itself
    /// would have given, in the outcome, and takes no place in the log. A write that exceeds the quota raises the alarm NOSPACE first.
    ///
    /// The outcome is of the same variant as the command.
    ///
    /// # Errors
    /// [`ProposeError`] says for each variant whether the command may still happen.
    async fn propose(&self, command: Command) -> Result<Outcome, ProposeError>;

    /// Returns once [`Replica::store`] shows every write that was acknowledged, by whatever member, before the call: the barrier in front of a
    /// linearizable read (raft's ReadIndex). Calls that wait at the same time share one round.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn read_barrier(&self) -> Result<(), ReadError>;

    /// The state of this member, as far as it has applied the log. After [`Replica::read_barrier`] it is good for a linearizable read, without
    /// it for a serializable one. Never hold it across an await.
    fn store(&self) -> StoreGuard<'_>;

    /// Where watch streams are opened.
    fn watches(&self) -> &Watches;

    /// `Compact` with `physical`: returns once this member has forgotten everything that its last compaction made unreachable. May take as long
    /// as that takes.
    ///
    /// # Errors
    /// [`StorageError::Stopped`].
    async fn physical_compaction(&self) -> Result<(), StorageError>;

    /// `LeaseKeepAlive`: the lease begins anew. Returns the seconds it has now.
    ///
    /// # Errors
    /// [`LeaseError`]; whether the lease was renewed is not known unless it is [`LeaseError::NotFound`].
    async fn lease_renew(&self, id: i64) -> Result<i64, LeaseError>;

    /// `LeaseTimeToLive`.
    ///
    /// # Errors
    /// [`LeaseError`].
    async fn lease_time_to_live(&self, id: i64, keys: bool) -> Result<LeaseTimeToLive, LeaseError>;

    /// The members this one knows of, ordered by id. After [`Replica::read_barrier`] it is what the cluster agreed on last.
    fn members(&self) -> Vec<Member>;

    /// `MemberAdd`: a new member that has not started yet.
    ///
    /// # Errors
    /// [`MembershipError`].
    async fn member_add(&self, peer_urls: Vec<String>, is_learner: bool) -> Result<MemberChange, MembershipError>;

    /// `MemberPromote`: gives a learner that has caught up a vote.
    ///
    /// # Errors
    /// [`MembershipError`].
    async fn member_promote(&self, id: u64) -> Result<MemberChange, MembershipError>;

    /// `MemberUpdate`: where its peers reach a member from now on.
    ///
    /// # Errors
    /// [`MembershipError`].
    async fn member_update(&self, id: u64, peer_urls: Vec<String>) -> Result<MemberChange, MembershipError>;

    /// `MemberRemove`. The id is never used again.
    ///
    /// # Errors
    /// [`MembershipError`].
    async fn member_remove(&self, id: u64) -> Result<MemberChange, MembershipError>;

    /// `MoveLeader`: returns once the other member leads.
    ///
    /// # Errors
    /// [`MoveLeaderError`].
    async fn move_leader(&self, to: u64) -> Result<(), MoveLeaderError>;

    /// Who leads, as far as this member knows, and how it changes. [`crate::status::until_leader_is_lost`] waits on it for `WithRequireLeader`.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// How long a member hears nothing of a leader before it stands for election, at least: etcd's `--election-timeout`.
    fn election_timeout(&self) -> Duration;

    /// `Status`.
    fn status(&self) -> Status;

    /// Counters for `/metrics`.
    fn metrics(&self) -> Metrics;

    /// `Maintenance.Snapshot`: the whole state at one applied entry, in this crate's own format, in chunks. Takes as long as the reader takes,
    /// within a bound ([`StorageError::Timeout`]).
    ///
    /// # Errors
    /// [`StorageError`].
    async fn snapshot(&self) -> Result<SnapshotStream, StorageError>;

    /// `HashKV`, and with revision 0 `Hash`: see [`Store::hash_kv`]. Takes time in proportion to the store, on another thread.
    ///
    /// # Errors
    /// [`HashKvError`].
    async fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, HashKvError>;

    /// `Defragment`: rewrites the checkpoint's file without holes while everything goes on. Takes as long as that takes.
    ///
    /// # Errors
    /// [`StorageError`]; the old file is still in use.
    async fn defragment(&self) -> Result<(), StorageError>;
}
