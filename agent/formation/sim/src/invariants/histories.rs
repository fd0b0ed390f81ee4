//! Each cluster has one history, a log has entries of one cluster, and raft does not listen to another one. (S1, S4)

use shoal_formation::{ClusterId, NodeId};

use crate::raft::{Entry, RaftDisk};

/// Two members take different entries for committed.
pub(crate) fn agrees(index: usize, cluster: ClusterId, at: u64, entry: &Entry, first: &Entry) -> Result<(), String> {
    if entry == first {
        return Ok(());
    }
    Err(format!("box {index} takes {entry:?} for entry {at} of {cluster}; committed before was {first:?}"))
}

/// Raft takes a message.
pub(crate) fn heard(from: (usize, ClusterId), to: (usize, ClusterId)) -> Result<(), String> {
    if from.1 == to.1 {
        return Ok(());
    }
    Err(format!("box {}, a member of {}, listens to box {}, a member of {}", to.0, to.1, from.0, from.1))
}

/// Raft starts from a directory.
pub(crate) fn starts(index: usize, cluster: ClusterId, node: NodeId, disk: &RaftDisk) -> Result<(), String> {
    if (disk.cluster, disk.node) == (cluster, node) {
        return Ok(());
    }
    Err(format!("box {index} starts as {node} of {cluster} from the log of {} of {}", disk.node, disk.cluster))
}
