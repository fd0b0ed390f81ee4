//! A sealed cluster is never wiped: no node whose log has the seal deletes it, unless it was removed, and what is left always holds a quorum. (S5)

use shoal_formation::{ClusterId, ControlEntry};

use super::truth::Truth;
use crate::raft::{Payload, RaftDisk};

/// A log is deleted.
pub(crate) fn wiped(index: usize, disk: &RaftDisk, truth: Option<&Truth>) -> Result<(), String> {
    let Some(truth) = truth else { return Ok(()) };
    let Some((_, at)) = truth.sealed else { return Ok(()) };
    let has_it = disk.entry(at).is_some_and(|entry| entry.payload == Payload::Control(ControlEntry::Seal));
    if has_it && !truth.retired && !truth.removed.contains_key(&disk.node) {
        return Err(format!("box {index} wipes {} of the sealed cluster {}", disk.node, disk.cluster));
    }
    Ok(())
}

/// A member has left.
pub(crate) fn left(cluster: ClusterId, truth: &Truth) -> Result<(), String> {
    if truth.sealed.is_none() || truth.retired || truth.damaged {
        return Ok(());
    }
    let stays = truth.configuration.has_quorum(|node| !truth.left.contains(&node));
    if stays { Ok(()) } else { Err(format!("so many have left the sealed cluster {cluster} that it has no quorum: {:?}", truth.left)) }
}
