//! What somebody should look at.

use crate::ids::{ClusterId, NodeId, NodeKey};

/// Something that does not mend itself, or that somebody should know. Raised once for each occasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Alarm {
    /// Two clusters of this fleet are in use.
    #[error("two clusters of this fleet are in use, {0} and {1}: they are never merged; retire one of them with `shoal cluster retire`")]
    ClusterConflict(ClusterId, ClusterId),
    /// Two processes have the same key.
    #[error("two boxes run with the same key {0}: one is a copy of the other's stick; rewrite one of the two")]
    CloneDetected(NodeKey),
    /// A member has forgotten what it said.
    #[error("{0} runs from an old copy of its disk, and none of its votes counts; remove it, and it joins again as a new node")]
    Forgetful(NodeId),
    /// This node has forgotten what it said.
    #[error("this node runs from an old copy of its disk, and none of its votes counts; remove it, and it joins again as a new node")]
    ForgetfulSelf,
    /// A learner does not catch up.
    #[error("{0} does not catch up with the others, and is passed over for a vote; look at its network and its disk")]
    DoesNotCatchUp(NodeId),
    /// A voter is dead, and none takes its place.
    #[error("voter {0} is silent, and no other node can take its place; boot a spare box, or repair it")]
    VoterWithoutReplacement(NodeId),
    /// No leader for too long.
    #[error("there was no leader for ten minutes; `shoal why` names the voters that are missing")]
    NoQuorum,
    /// This node's hardware was revoked.
    #[error("this box was revoked and is not let in; approve it with `shoal node approve`")]
    Revoked,
}
