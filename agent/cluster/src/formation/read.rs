//! What a node's files hold, before anything is started.

use std::sync::Arc;

use openraft::entry::EntryPayload;
use prost::Message;
use shoal_formation::{ClusterId, Control, ControlEntry, NodeId, RaftFacts, Settings};
use shoal_kv::watch::HubLimits;

use super::{
    facts::{Outlined, configuration, outline},
    first_half, place,
};
use crate::{
    checkpoint::chain,
    raft::{entry::Content, log::LogStore, wire::VoteMessage},
    replica::{Identity, Owner},
    state::Replicated,
    storage::{OpenStorageError, Storage, StorageConfig},
};

/// Whose the files of a node of a cluster that forms itself are.
pub(crate) const fn owner(cluster: ClusterId, node: NodeId) -> Owner {
    Owner { identity: Identity { cluster: first_half(cluster), member: node.0 }, formed: Some(cluster.0) }
}

/// What the files of a node hold: the core's `Disk::raft`. Entries are applied as far as they are known to be committed, which is what `committed` of the
/// facts says, and what [`Formed::after`](super::Formed::after) has to be if the node is started next. `None` if there are no files. Blocks while
/// everything is read, which it is again when the node is started: a second for a large store.
///
/// # Errors
/// [`OpenStorageError`], also if the files are of another cluster or node.
pub fn read(storage: &StorageConfig, cluster: ClusterId, node: NodeId) -> Result<Option<(RaftFacts, Control)>, OpenStorageError> {
    if !storage.exists() {
        return Ok(None);
    }
    let Storage { log, machine, .. } = Storage::open(storage, owner(cluster, node), 1, HubLimits::default(), 0)?;
    let read = facts_and_control(&log, &machine.state.read());
    machine.checkpointer.close();
    let closed = log.log().clone().close();
    let read = read.map_err(|error| OpenStorageError::new(chain(&error)))?;
    closed.map_err(|error| OpenStorageError::new(chain(&error)))?;
    Ok(Some(read))
}

fn facts_and_control(log: &LogStore, replicated: &Replicated) -> std::io::Result<(RaftFacts, Control)> {
    let applied = replicated.applied.map(|last| last.index);
    log.find_landmarks(applied)?;
    let state = log.log().state();
    let mut control = replicated.control.clone();
    // What was noted as committed is; and what is applied was.
    let committed = state.committed.min(state.last).map(|committed| committed.index).max(applied);
    for (index, entry) in control_entries(log, applied, committed)? {
        let _ = control.apply(index, &entry, &Settings::default());
    }
    let vote = state.vote.map(VoteMessage::decode).transpose().map_err(std::io::Error::other)?;
    let outline = outline(log, || Outlined::from(replicated));
    let facts = RaftFacts {
        term: vote.map_or(0, |vote| vote.term),
        last: outline.last,
        committed: committed.map_or(0, place),
        leader: None,
        leading: None,
        configuration: Arc::new(configuration(&outline.configuration)),
        seal: outline.seal,
    };
    Ok((facts, control))
}

/// Entries about the cluster itself behind `applied` up to `committed`, with their indices at this seam.
fn control_entries(log: &LogStore, applied: Option<u64>, committed: Option<u64>) -> std::io::Result<Vec<(u64, ControlEntry)>> {
    let (mut found, mut failed) = (Vec::new(), None);
    log.read_from(applied.map_or(0, |applied| applied + 1), |entry| {
        if let EntryPayload::Normal(proposal) = &entry.payload
            && committed.is_some_and(|committed| entry.log_id.index <= committed)
        {
            match proposal.decode() {
                Ok((_, Content::Control(control))) => found.push((place(entry.log_id.index), control)),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
    })?;
    failed.map_or(Ok(found), |error| Err(std::io::Error::other(error)))
}
