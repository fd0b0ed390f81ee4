//! A member leaves only for one of four reasons, and it is true: the cluster has dissolved; a majority has left; there was no leader for long enough and
//! no seal in its log; it was removed. (S7)

use shoal_formation::{ClusterId, NodeId, disk::Leaving, statement::Reason, timers};

use super::truth::Truth;
use crate::{raft::Time, world::SECOND};

/// Somebody writes down that it leaves.
pub(crate) fn leaves(
    now: Time,
    index: usize,
    (cluster, node): (ClusterId, NodeId),
    leaving: &Leaving,
    truth: &Truth,
    leaderless: Option<Time>,
) -> Result<(), String> {
    // The core counts from when it becomes a member; raft starts once that is written down.
    let abandon = timers::ABANDON.as_micros() as Time - SECOND;
    let why = match leaving.statement.as_ref().map(|statement| statement.get().reason) {
        Some(Reason::Dissolved(into)) if truth.dissolved == Some(into) => return Ok(()),
        Some(Reason::Dissolved(_)) => "it has not dissolved",
        Some(Reason::Abandoned) if leaderless.is_some_and(|since| now - since >= abandon) => return Ok(()),
        Some(Reason::Abandoned) => "it had a leader lately",
        Some(Reason::Closed) if !truth.configuration.has_quorum(|voter| !truth.left.contains(&voter)) => return Ok(()),
        Some(Reason::Closed) => "enough are still there",
        None if truth.removed.contains_key(&node) || truth.retired => return Ok(()),
        None => "nobody has removed it",
    };
    Err(format!("box {index} leaves {cluster} as {node}, and {why}: {leaving:?}"))
}
