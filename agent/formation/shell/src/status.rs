//! What a node says of itself to whoever shows it.

use shoal_formation::{Alarm, ClusterId, NodeId, Peer, State, why::Reason};

/// The newest, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// This process.
    pub own: Peer,
    /// Where it is.
    pub state: State,
    /// Of which cluster it is a member, and as whom.
    pub member: Option<(ClusterId, NodeId)>,
    /// Whether it hears a leader.
    pub has_leader: bool,
    /// Whether the cluster's birth barrier is lifted.
    pub is_born: bool,
    /// Whether the cluster is sealed.
    pub is_sealed: bool,
    /// Members of the cluster, as far as this node knows.
    pub members: Vec<NodeId>,
    /// Voters of the cluster, as far as this node knows.
    pub voters: Vec<NodeId>,
    /// Why it is not highly available, most important first.
    pub why: Vec<Reason>,
    /// What was raised since the start.
    pub alarms: Vec<Alarm>,
}
