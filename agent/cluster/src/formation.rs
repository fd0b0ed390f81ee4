//! The seam to `shoal-formation`: a member of a cluster that forms itself, where keys are members and addresses are nobody's business.
//!
//! A node is of such a cluster if it is started with a [`Formed`] ([`NodeConfig::formed`](crate::NodeConfig::formed)). Then
//!
//! | formation's | is here |
//! |---|---|
//! | `Disk::raft` | [`read`]: what the files hold, before anything is started |
//! | `Effect::StartRaft` | [`Node::start`](crate::Node::start) with [`Formed::begin`] |
//! | `Effect::Propose` | [`Handle::propose`] |
//! | `Effect::ChangeConfiguration` | [`Handle::change`] |
//! | `Input::Raft` | [`Handle::facts`] |
//! | `Input::Committed`, `Input::Restored` | [`Handle::committed`], as [`Event`]s |
//! | `Effect::StopRaft`, `Input::RaftStopped` | [`Handle::stop`], which returns the last facts |
//! | `Effect::WipeRaft` | delete the directory of the [`StorageConfig`](crate::storage::StorageConfig), with the node stopped |
//! | `Formation::hears` | [`Formed::hears`]: asked for each connection and for each message on it, in both directions, before raft sees anything of it |
//!
//! **Indices** at this seam count from 1: the first entry, which is the configuration that has only the founder, has index 1 here and 0 in openraft and
//! in [`Status`](crate::Status). So 0 is "nothing", a founder is node 1, and whoever is admitted is the index of the entry that did it; no two are ever
//! the same.
//!
//! **Names.** A cluster that forms itself has a name of 128 bits. Its first half is [`Identity::cluster`](crate::Identity), which clients of etcd's API
//! see; both halves are in each greeting between members and in the files, and a member of such a cluster takes no greeting without.
//!
//! **Connections.** [`Transport::connect_proven`](crate::transport::Transport) is asked for `key:` and 64 hexadecimal digits ([`key_of_url`]), the key
//! in the configuration, unless [`Node::set_address`](crate::Node::set_address) says where a node was found.
//!
//! **Commands** of clients are refused with [`ProposeError::Dissolved`](crate::ProposeError) once the cluster has dissolved, by whoever applies them.
//! Members are not added or removed by etcd's API, nor is anybody given a vote but by [`Handle::change`]. A configuration that is left in the
//! middle of a change is brought to its end by whoever leads.

mod change;
mod committed;
pub(crate) mod facts;
mod propose;
mod read;

use std::{fmt, sync::Arc};

use shoal_formation::{ClusterId, Control, NodeId, NodeKey, Peer, RaftFacts, effect::Begin};
use tokio::{sync::watch, time::Instant};

use crate::node::{Inner, Node};
pub use change::ChangeError;
pub(crate) use committed::Outbox;
pub use committed::{Committed, Event};
pub use propose::ControlError;
pub use read::read;

/// Whether raft may hear, or ask, a peer as a node of a cluster: the core's `hears`. Must not block.
pub type Hears = Arc<dyn Fn(ClusterId, NodeId, Peer) -> bool + Send + Sync>;

/// What a member of a cluster that forms itself is made with.
#[derive(Clone)]
pub struct Formed {
    /// The cluster.
    pub cluster: ClusterId,
    /// This node's key.
    pub key: NodeKey,
    /// Whether it begins the cluster, with no files and as [`NodeId::FOUNDER`], or goes on with whatever files it has.
    pub begin: Begin,
    /// The last index that the core knows what was made of: `committed` of the facts that [`read`] gave it, or of the last [`Event`] it was handed since.
    /// [`Handle::committed`] goes on from there.
    pub after: u64,
    /// The zero of the core's clock.
    pub zero: Instant,
    /// Whom raft hears.
    pub hears: Hears,
}

impl fmt::Debug for Formed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Formed").field("cluster", &self.cluster).field("key", &self.key).finish_non_exhaustive()
    }
}

/// The index at this seam of an entry of openraft's.
pub(crate) const fn place(index: u64) -> u64 {
    index.saturating_add(1)
}

/// The half of a cluster's name that clients see.
pub(crate) const fn first_half(cluster: ClusterId) -> u64 {
    (cluster.0 >> 64) as u64
}

const KEY_SCHEME: &str = "key:";

/// What a transport is asked for when a node's address is nobody's business.
pub(crate) fn key_url(key: [u8; 32]) -> String {
    use fmt::Write as _;
    key.iter().fold(String::from(KEY_SCHEME), |mut url, byte| {
        let _ = write!(url, "{byte:02x}");
        url
    })
}

/// The key in what a transport is asked for; `None` if it is an address.
#[must_use]
pub fn key_of_url(url: &str) -> Option<NodeKey> {
    let digits = url.strip_prefix(KEY_SCHEME).filter(|digits| digits.len() == 64 && digits.is_ascii())?;
    let mut key = [0; 32];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(NodeKey(key))
}

/// A member as formation sees it. Keeps the node's memory, but not the node, alive.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Inner>);

impl Node {
    /// This member as formation sees it, if it is of a cluster that forms itself.
    #[must_use]
    pub fn formation(&self) -> Option<Handle> {
        self.inner.config.formed.is_some().then(|| Handle(self.inner.clone()))
    }

    /// Ends the node in order, and returns raft's last facts: nothing is acknowledged after them. Those of a node that is not of a cluster that forms
    /// itself say nothing.
    pub async fn stop(&self) -> RaftFacts {
        self.shutdown().await;
        let before = self.inner.facts.borrow().clone();
        facts::now(&self.inner, Some(&before))
    }
}

impl Handle {
    /// Facts about raft, a new one whenever something has changed: at once if it is the term, the leader, the configuration or a seal; within a heartbeat
    /// if it is how far the log goes; within ten if it is only when somebody was heard.
    #[must_use]
    pub fn facts(&self) -> watch::Receiver<RaftFacts> {
        self.0.facts.subscribe()
    }

    /// What was committed behind [`Formed::after`], each entry once and in order. There is one such stream of a node: of several handles, each event goes
    /// to one.
    #[must_use]
    pub fn committed(&self) -> Committed {
        Committed(self.0.machine.clone())
    }

    /// The replicated part as far as this member has applied it.
    #[must_use]
    pub fn control(&self) -> Control {
        self.0.machine.state.read().control.clone()
    }

    /// The key of a node, in the newest configuration or among the members.
    #[must_use]
    pub fn key_of(&self, node: NodeId) -> Option<NodeKey> {
        let configured = self.0.effective_membership().get_node(&node.0).and_then(|peer| peer.key).map(NodeKey);
        configured.or_else(|| self.0.machine.state.read().control.member(node).map(|record| record.admission.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_again_in_what_a_transport_is_asked_for() {
        let key: [u8; 32] = std::array::from_fn(|at| at as u8 * 8);
        assert_eq!(key_of_url(&key_url(key)), Some(NodeKey(key)));
        for url in
            ["http://127.0.0.1:1", "key:", "key:00", &key_url(key)[..67], &format!("{}0", key_url(key)), &key_url(key).replace('0', "g")]
        {
            assert_eq!(key_of_url(url), None, "{url}");
        }
    }
}
