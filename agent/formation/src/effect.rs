//! What is to be done.

use alloc::collections::BTreeSet;

use crate::{
    alarm::Alarm,
    control::ControlEntry,
    disk::Record,
    facts::LogId,
    ids::{ClusterId, NodeId, Peer},
    message::{Message, Standing},
};

/// What raft is to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// An empty log, and the configuration that has only this node as its first entry.
    Found,
    /// Whatever its directory holds; nothing, for a node that has just been admitted.
    Resume,
}

/// A change of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The configuration that this was decided on. If raft's newest is another, nothing is done.
    pub instead_of: LogId,
    /// Who shall vote.
    pub voters: BTreeSet<NodeId>,
    /// Who shall listen.
    pub learners: BTreeSet<NodeId>,
}

/// Everything that there is to do. Effects are done in their order, and one is begun only when the one before is done: what is sent after
/// something was persisted is sent after it is durable. The next input is handled after the last effect. Power may be cut between any two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Say this, if there is a session. Whether it arrives is not known.
    Send(Peer, Message),
    /// Make this durable.
    Persist(Record),
    /// Delete raft's directory.
    WipeRaft,
    /// Make a new identity durable, as one that has never booted, and answer with [`Input::Minted`](crate::input::Input::Minted).
    Mint,
    /// Start raft.
    StartRaft(ClusterId, NodeId, Begin),
    /// Stop raft, and answer with [`Input::RaftStopped`](crate::input::Input::RaftStopped).
    StopRaft,
    /// Append this, if this node leads. Whether it is committed is not known until it is.
    Propose(ControlEntry),
    /// Change the configuration, if this node leads.
    ChangeConfiguration(Change),
    /// What the beacon says from now on.
    Announce(Standing),
    /// Tell people.
    Raise(Alarm),
}
