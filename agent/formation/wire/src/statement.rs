//! The core's statements and those that are signed.
//!
//! A [`PastLife`] that is signed names the configuration by its term, index and voters. Learners are not in it: nothing follows from them.

use alloc::sync::Arc;

use shoal_formation::{
    ClusterId, Configuration, NodeId,
    facts::LogId,
    statement::{PastLife, Reason, Removed},
};
use shoal_trust::{fleet, key::NodeSecret, statement as signed};

/// A cluster's id as it is signed.
#[must_use]
pub const fn cluster_id(cluster: ClusterId) -> fleet::ClusterId {
    fleet::ClusterId(cluster.0.to_be_bytes())
}

const fn from_cluster_id(cluster: fleet::ClusterId) -> ClusterId {
    ClusterId(u128::from_be_bytes(cluster.0))
}

/// What a node signs of a life that ends.
#[must_use]
pub fn to_be_signed(past_life: &PastLife) -> signed::PastLife {
    let PastLife { cluster, node, configuration, reason } = past_life;
    let ids = |nodes: &alloc::collections::BTreeSet<NodeId>| nodes.iter().map(|node| fleet::NodeId(node.0)).collect();
    signed::PastLife {
        cluster: cluster_id(*cluster),
        node: fleet::NodeId(node.0),
        config_term: configuration.at.term,
        config_index: configuration.at.index,
        voters: ids(&configuration.voters),
        outgoing: ids(&configuration.outgoing),
        leaving: match reason {
            Reason::Dissolved(into) => signed::Leaving::Dissolved(cluster_id(*into)),
            Reason::Abandoned => signed::Leaving::Abandoned,
            Reason::Closed => signed::Leaving::Followed,
        },
    }
}

/// The core's view of what was signed. It says nothing of whether it was.
pub(crate) fn past_life(past_life: &signed::PastLife) -> PastLife {
    let ids = |nodes: &[fleet::NodeId]| nodes.iter().map(|node| NodeId(node.0)).collect();
    let configuration = Configuration {
        at: LogId { term: past_life.config_term, index: past_life.config_index },
        voters: ids(&past_life.voters),
        outgoing: ids(&past_life.outgoing),
        learners: Default::default(),
    };
    PastLife {
        cluster: from_cluster_id(past_life.cluster),
        node: NodeId(past_life.node.0),
        configuration: Arc::new(configuration),
        reason: match past_life.leaving {
            signed::Leaving::Dissolved(into) => Reason::Dissolved(from_cluster_id(into)),
            signed::Leaving::Abandoned => Reason::Abandoned,
            signed::Leaving::Followed => Reason::Closed,
        },
    }
}

/// The core's view of what was signed.
pub(crate) fn removed(removed: &signed::Removed) -> Removed {
    Removed { cluster: from_cluster_id(removed.cluster), node: NodeId(removed.node.0), index: removed.index }
}

/// Signs that a member was removed.
#[must_use]
pub fn sign_removed(secret: &NodeSecret, removed: &Removed) -> signed::Signed<signed::Removed> {
    let statement = signed::Removed { cluster: cluster_id(removed.cluster), node: fleet::NodeId(removed.node.0), index: removed.index };
    secret.state(statement).signed().clone()
}
