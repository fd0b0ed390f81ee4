//! "Why am I not highly available yet?", answered from the core's own state, in the same words on the screen, the serial line and the command line.

use alloc::vec::Vec;

use crate::{
    disk::Role,
    ids::{ClusterId, NodeId, NodeKey},
    listening::Wait,
    machine::{Formation, Phase},
    settings::Medium,
    voters::{Hold, target},
};

/// One reason. `Display` is what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No usable link.
    #[error("this box has no network yet: no address was given, or the switch does not forward; check the cable and the DHCP server")]
    NoLink,
    /// It listens.
    #[error("this box is looking for others; it forms a cluster in a few seconds")]
    Looking,
    /// Two sealed clusters.
    #[error(
        "two clusters of this fleet are in use, {0} and {1}, and this box joins neither; retire one of them with `shoal cluster retire`"
    )]
    Conflict(ClusterId, ClusterId),
    /// A sleeping cluster.
    #[error(
        "boxes of cluster {0} are here and have no leader: this box waits until more of them are switched on, and forms no second cluster beside them"
    )]
    Sleepers(ClusterId),
    /// Heard of, not heard.
    #[error("another box sees cluster {0} and this one does not: check the network between this box and the members")]
    OutOfReach(ClusterId),
    /// Somebody else founds.
    #[error("box {0} forms the cluster; this one joins it")]
    Founder(NodeKey),
    /// Somebody is founding, or this box asks the others.
    #[error("the cluster is being formed")]
    Forming,
    /// Removed.
    #[error("this box was removed from cluster {0}: it joins a cluster that is there, and never forms one")]
    Removed(ClusterId),
    /// Fewer than expected.
    #[error("{0} of at least {1} boxes are here: the image expects more before a cluster forms; switch on the others")]
    Expected(usize, usize),
    /// It asks to be let in.
    #[error("this box joins cluster {0}")]
    Joining(ClusterId),
    /// It leaves.
    #[error("this box leaves a cluster and starts again as a new node")]
    Leaving,
    /// No leader.
    #[error(
        "there is no leader: {missing} of {needed} voters that are needed do not answer; switch on more of those that were there before"
    )]
    NoLeader {
        /// Voters that are missing for a majority.
        missing: usize,
        /// The majority.
        needed: usize,
    },
    /// A voter that does not answer.
    #[error("voter {0} does not answer; switch it on or check its network")]
    VoterMissing(NodeId),
    /// Too few nodes.
    #[error("{0} of the 3 nodes that high availability needs can vote; boot {more} more from the same image", more = 3 - .0)]
    TooFewNodes(usize),
    /// No disks.
    #[error(
        "this cluster is volatile: its voters keep nothing on a disk, and a power cut loses everything; add boxes that boot from a stick"
    )]
    Volatile,
    /// What the leader waits for.
    #[error("{0}")]
    Voters(Hold),
    /// Only the leader knows.
    #[error("the leader, {0}, adds voters when they have caught up; ask there for more")]
    AskLeader(NodeId),
}

impl Formation {
    /// Why this box is not part of a highly available cluster, most important reason first; none if it is.
    #[must_use]
    pub fn why(&self) -> Vec<Reason> {
        match &self.phase {
            Phase::Listening(listening) => Vec::from([self.why_blank(listening.wait)]),
            Phase::Founding(_) => Vec::from([Reason::Forming]),
            Phase::Joining(joining) => Vec::from([Reason::Joining(joining.cluster)]),
            Phase::Stopping(_) | Phase::Minting(_) => Vec::from([Reason::Leaving]),
            Phase::Member(member) => self.why_member(member.node, self.hold()),
        }
    }

    fn why_blank(&self, wait: Wait) -> Reason {
        match wait {
            Wait::Link => Reason::NoLink,
            Wait::Time => Reason::Looking,
            Wait::Conflict(first, second) => Reason::Conflict(first, second),
            Wait::Sleepers(cluster) => Reason::Sleepers(cluster),
            Wait::OutOfReach(cluster) => Reason::OutOfReach(cluster),
            Wait::Founder(founder) => Reason::Founder(founder),
            Wait::Founding | Wait::Promises => Reason::Forming,
            Wait::Expected(have, need) => Reason::Expected(have, need),
            Wait::Removed => match self.role {
                Role::ExMember(cluster) => Reason::Removed(cluster),
                _ => Reason::Looking,
            },
        }
    }

    fn why_member(&self, own: NodeId, hold: Option<Hold>) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.link.is_none() {
            reasons.push(Reason::NoLink);
        }
        let voters = &self.raft.configuration.voters;
        // It was let in just now, and its log does not go that far: what it knows of the others is not true any more, or nothing.
        if let Some(cluster) = self.cluster()
            && self.control.member(own).is_none()
        {
            reasons.push(Reason::Joining(cluster));
            return reasons;
        }
        let hears = |node: NodeId| {
            node == own
                || self
                    .control
                    .member(node)
                    .is_some_and(|record| self.peers.get(record.admission.key).is_some_and(|known| !known.forgetful))
        };
        let heard = voters.iter().filter(|voter| hears(**voter)).count();
        let needed = voters.len() / 2 + 1;
        match self.raft.leader {
            None if heard < needed => reasons.push(Reason::NoLeader { missing: needed - heard, needed }),
            None => reasons.push(Reason::Forming),
            Some(_) => {}
        }
        reasons.extend(voters.iter().copied().filter(|voter| !hears(*voter)).map(Reason::VoterMissing));
        let memory = |voter: &NodeId| self.control.member(*voter).is_some_and(|record| record.admission.medium == Medium::Memory);
        if voters.iter().any(memory) {
            reasons.push(Reason::Volatile);
        }
        if voters.len() < 3
            && let Some(leader) = self.raft.leader
        {
            let able = self.able();
            match hold {
                _ if able.is_some_and(|able| able < 3 && target(able, self.settings.max_voters) == 1) => {
                    reasons.extend(able.map(Reason::TooFewNodes));
                }
                Some(Hold::AtTarget) | None if leader == own => reasons.push(Reason::Forming),
                Some(hold) => reasons.push(Reason::Voters(hold)),
                None => reasons.push(Reason::AskLeader(leader)),
            }
        }
        reasons
    }
}
