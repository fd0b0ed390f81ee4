//! What happens.

use alloc::boxed::Box;

use crate::{
    control::{Cause, Control, ControlEntry},
    facts::RaftFacts,
    ids::{ClusterId, Identity, NodeId, Peer},
    message::Message,
};

/// Everything that can happen.
#[derive(Debug, Clone)]
pub enum Input {
    /// The link is usable (a lease or router advertisement was obtained, or the carrier was up for a minute), or no longer. Until then the switch may
    /// still be starting, and time does not count.
    Link(bool),
    /// A session with a peer was opened and authenticated, in whichever direction.
    Met(Peer),
    /// A message, from whom the session proves.
    Heard(Peer, Message),
    /// [`Effect::Mint`](crate::effect::Effect::Mint) is done, and durable.
    Minted(Identity, ClusterId),
    /// Raft's facts have changed.
    Raft(RaftFacts),
    /// [`Effect::StopRaft`](crate::effect::Effect::StopRaft) is done: these facts are the last, and nothing is acknowledged any more.
    RaftStopped(RaftFacts),
    /// The entry at this index was committed. Each index comes once in the life of a process, in order, unless
    /// [`Restored`](Self::Restored) comes in its place.
    Committed(u64, ControlEntry),
    /// Everything that the entries up to some index have made, in place of those that were not handed in: raft has put a leader's snapshot in the
    /// place of its log, or what it started from goes beyond what this core was started with. Entries above that index follow.
    Restored(Box<Control>),
    /// Somebody uses the cluster: a credential is to be issued, a person's write to be taken, a volume to be bound. It is done when the standing says
    /// sealed.
    SealWanted,
    /// The operator takes a member out, with a reason.
    RemoveWanted(NodeId, Cause),
    /// The operator retires this cluster into another one: its nodes become blank and join that. Signed by the operator and checked outside.
    Retired(ClusterId),
    /// The deadline has come.
    Wake,
}
