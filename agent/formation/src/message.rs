//! What nodes say to each other in authenticated sessions. The session proves the sender's [`Peer`](crate::ids::Peer); what is in here is its word.

use alloc::{sync::Arc, vec::Vec};

use crate::{
    control::{Admission, Refusal},
    ids::{ClusterId, HardwareHint, Incarnation, NodeId, Peer},
    settings::Traits,
    statement::{PastLife, Removed, Verified},
};

/// What a node is, in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Blank.
    Virgin,
    /// It is founding, and nobody may be told of the cluster yet.
    Founding,
    /// Blank, and asking to be let in.
    Joining,
    /// A member.
    Member(Membership),
    /// It was removed, and is blank otherwise.
    ExMember,
}

/// A member in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Of which cluster.
    pub cluster: ClusterId,
    /// As whom.
    pub node: NodeId,
    /// Whether a seal is committed, as far as it knows.
    pub sealed: bool,
    /// Whether it has a leader. Without one it is dark.
    pub live: bool,
}

/// Somebody whom a node hears itself. What it only heard of is never passed on, so that what is gone is forgotten everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Who.
    pub peer: Peer,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// What it is.
    pub standing: Standing,
}

/// What a member says of its raft, so that others notice when it has forgotten something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaftPosition {
    /// Its term.
    pub term: u64,
    /// The index of the last entry in its log.
    pub last: u64,
    /// The last entry it knows to be committed, all of which it has.
    pub committed: u64,
}

/// What a node says of itself to everybody it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Higher with each hello of a process.
    pub sequence: u64,
    /// See [`Incarnation`].
    pub incarnation: Incarnation,
    /// See [`HardwareHint`].
    pub hint: HardwareHint,
    /// See [`Traits`].
    pub traits: Traits,
    /// How often it has booted with this identity; on its disk before anything was said.
    pub epoch: u64,
    /// What it is.
    pub standing: Standing,
    /// If it is a member.
    pub raft: Option<RaftPosition>,
    /// Whom it hears.
    pub view: Vec<Sighting>,
    /// What it was before.
    pub past_lives: Vec<Verified<PastLife>>,
}

/// Why a node is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// The node that was asked is no member of that cluster, or has no leader.
    #[error("the node that was asked is not a member with a leader")]
    NotHere,
    /// The cluster's own rules.
    #[error(transparent)]
    Rules(#[from] Refusal),
}

/// What a member wants of its leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Let this node in.
    Admit(Admission),
    /// Seal.
    Seal,
    /// Take this node out.
    Remove(NodeId, crate::control::Cause),
}

/// What nodes say to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// See [`Hello`].
    Hello(Arc<Hello>),
    /// "I would found: have you seen anybody who should instead?"
    Solicit(Arc<Hello>),
    /// "Found: I will not, and nobody else hears this from me for a while." With what the sender sees.
    Promise(Arc<Hello>),
    /// "No", with what the sender is and sees.
    Decline(Arc<Hello>),
    /// "I do not found after all."
    Release,
    /// "Let me into your cluster."
    Join(ClusterId, Admission),
    /// "You are this member."
    Admitted(ClusterId, NodeId),
    /// "You are not let in."
    Refused(ClusterId, JoinRefusal),
    /// From a member to the one that leads.
    Ask(ClusterId, Wish),
    /// "You were removed."
    Removed(Verified<Removed>),
    /// "Are you still there?"
    Challenge,
    /// "I am."
    Present,
    /// "Somebody with your key is here already."
    Copy,
    /// "You have forgotten what you said to me: none of your votes counts here."
    Forgetful,
}
