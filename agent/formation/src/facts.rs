//! What raft says of itself. It stays outside: the core takes these facts, and asks for proposals and changes of the configuration.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};

use crate::{ids::NodeId, now::Now};

/// A place in a log, in raft's order: what a later leader wrote is newer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId {
    /// Of the leader that wrote it.
    pub term: u64,
    /// From 1 on.
    pub index: u64,
}

/// Who votes and who listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// The entry.
    pub at: LogId,
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who has voted, and still does in the middle of a change; empty otherwise.
    pub outgoing: BTreeSet<NodeId>,
    /// Who only listens.
    pub learners: BTreeSet<NodeId>,
}

impl Configuration {
    /// Whether no change is in its middle.
    #[must_use]
    pub fn is_uniform(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Whether these are a majority of the voters, in both sets while there are two.
    pub fn has_quorum(&self, mut counts: impl FnMut(NodeId) -> bool) -> bool {
        let mut majority = |set: &BTreeSet<NodeId>| set.iter().filter(|node| counts(**node)).count() * 2 > set.len();
        majority(&self.voters) && (self.outgoing.is_empty() || majority(&self.outgoing))
    }

    /// Whether a node is in it, in whatever way.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.votes(node) || self.learners.contains(&node)
    }

    /// Whether a node votes in it.
    #[must_use]
    pub fn votes(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.outgoing.contains(&node)
    }
}

/// How far a follower or learner is, as the leader knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Who.
    pub node: NodeId,
    /// The last entry that it is known to have.
    pub matched: u64,
    /// When it last answered.
    pub heard: Option<Now>,
}

/// A leader's own account. Only a leader that a majority has answered within an election timeout gives one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leading {
    /// All others of the configuration.
    pub progress: Vec<Progress>,
}

/// What raft says of itself. A new one is handed in whenever something in it has changed; progress may be a second old.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RaftFacts {
    /// The term.
    pub term: u64,
    /// The last entry in the log, committed or not.
    pub last: LogId,
    /// The last entry known to be committed.
    pub committed: u64,
    /// Whom this node follows, heard within an election timeout; itself if it leads.
    pub leader: Option<NodeId>,
    /// If it leads.
    pub leading: Option<Leading>,
    /// The newest configuration in the log, committed or not.
    pub configuration: Arc<Configuration>,
    /// The first `Seal` in the log, committed or not.
    pub seal: Option<u64>,
}

impl RaftFacts {
    /// Whether the newest configuration is committed and no change is in its middle.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.configuration.is_uniform() && self.configuration.at.index <= self.committed
    }
}
