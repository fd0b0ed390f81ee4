//! What a node is made with.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use shoal_formation::NodeId;
use shoal_kv::{Limits, watch::HubLimits};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::{
    formation::{Formed, first_half},
    replica::{Identity, Owner},
    storage::StorageConfig,
};

/// Bytes of entries between two checkpoints: what a restart applies again, at most about a second's work. A checkpoint writes every page it
/// touches anew, some 80 KiB for the least of them, so that frequent ones wear a medium out.
const CHECKPOINT_BYTES: u64 = 32 << 20;

/// Entries between two checkpoints, for entries so small that reading them takes longer than their bytes suggest.
const CHECKPOINT_ENTRIES: u64 = 100_000;

/// Bytes of entries kept in the log although the checkpoint has them: a follower that was away for less needs no snapshot.
const KEPT_LOG_BYTES: u64 = 32 << 20;

/// Bytes of the log's files that are filled between two checkpoints, at most, and as many that are kept besides: two segments of each. Each sync
/// fills a block, whatever little is in it, so a quiet cluster's log grows by 36 MB an hour that hold 5 MB of entries. Purged segments are written
/// again; without that, each of these bytes would be written twice, for a new segment is filled with zeros first.
const LOG_BYTES: u64 = 32 << 20;

/// How a member first comes to its cluster. After that it is all in its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// The cluster begins with these voters, of which this member is one. All of them begin with the same; any of them may begin first.
    Found(BTreeMap<u64, Vec<String>>),
    /// The cluster exists and has, or will have, this member: wait for its leader. With the peer URLs of the members that there were when this one
    /// was introduced, by id: until it has heard of a configuration it has nobody else to ask whether it still belongs to them.
    Join(BTreeMap<u64, Vec<String>>),
}

/// Decides whether certificates belong to the member that shows them.
pub type VerifyPeer = Arc<dyn Fn(u64, &[CertificateDer<'static>]) -> bool + Send + Sync>;

/// What a node is made with.
#[derive(Clone)]
pub struct NodeConfig {
    /// Which member of which cluster.
    pub identity: Identity,
    /// How it comes to its cluster, if it has no files yet.
    pub begin: Begin,
    /// What it calls itself.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Its files.
    pub storage: StorageConfig,
    /// How often a leader is heard, at least.
    pub heartbeat_interval: Duration,
    /// How long a member hears nothing of a leader before it stands for election, at least; at most, twice as long.
    pub election_timeout: Duration,
    /// Limits of requests.
    pub limits: Limits,
    /// Limits of watch streams.
    pub watch_limits: HubLimits,
    /// Bytes of keys and values kept, at most; 0 for no bound.
    pub quota_bytes: u64,
    /// Members without a vote, at most; etcd's `--max-learners`.
    pub max_learners: usize,
    /// Bytes of entries between two checkpoints.
    pub checkpoint_bytes: u64,
    /// Entries between two checkpoints; etcd's `--snapshot-count`.
    pub checkpoint_entries: u64,
    /// Bytes of entries kept in the log although the checkpoint has them, but no more than fit into `log_bytes` of its files.
    pub kept_log_bytes: u64,
    /// Bytes of the log's files that are filled between two checkpoints, at most, and kept although the checkpoint has them.
    pub log_bytes: u64,
    /// Random, another one each time the node is made: numbers that must not come again begin with it.
    pub seed: u64,
    /// If it is of a cluster that forms itself; then `begin` says nothing.
    pub formed: Option<Formed>,
    /// Who may be which member; with `None` whoever the transport lets in may be any.
    pub verify_peer: Option<VerifyPeer>,
    /// A bug to put back.
    #[cfg(feature = "known-bugs")]
    pub bug: Option<crate::known_bugs::KnownBug>,
}

impl fmt::Debug for NodeConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NodeConfig").field("identity", &self.identity).field("name", &self.name).finish_non_exhaustive()
    }
}

impl NodeConfig {
    /// With etcd's timings and limits.
    #[must_use]
    pub fn new(identity: Identity, begin: Begin, storage: StorageConfig, seed: u64) -> Self {
        Self {
            identity,
            begin,
            name: String::new(),
            client_urls: Vec::new(),
            storage,
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_millis(1000),
            limits: Limits::default(),
            watch_limits: HubLimits::default(),
            quota_bytes: 2 << 30,
            max_learners: 1,
            checkpoint_bytes: CHECKPOINT_BYTES,
            checkpoint_entries: CHECKPOINT_ENTRIES,
            kept_log_bytes: KEPT_LOG_BYTES,
            log_bytes: LOG_BYTES,
            seed,
            formed: None,
            verify_peer: None,
            #[cfg(feature = "known-bugs")]
            bug: None,
        }
    }

    /// A node of a cluster that forms itself, with the same timings and limits.
    #[must_use]
    pub fn formed(node: NodeId, formed: Formed, storage: StorageConfig, seed: u64) -> Self {
        let identity = Identity { cluster: first_half(formed.cluster), member: node.0 };
        Self { formed: Some(formed), ..Self::new(identity, Begin::Join(BTreeMap::new()), storage, seed) }
    }

    /// Whose the files are.
    pub(crate) fn owner(&self) -> Owner {
        Owner { identity: self.identity, formed: self.formed.as_ref().map(|formed| formed.cluster.0) }
    }
}
