//! Who should vote: a pure plan from what the leader sees. Sections 1.10 to 1.12.
//!
//! | nodes that could vote | voters |
//! |---|---|
//! | 1, 2 | 1 |
//! | 3, 4 | 3 |
//! | 5 and more | 3, or 5 if chosen |
//!
//! Every change is one joint change from one odd number to another. Three voters never become one, and nobody is taken out without another in its
//! place, but for five that become three.

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use crate::{
    facts::Configuration,
    ids::NodeId,
    settings::{MaxVoters, Medium, Traits, VoterLabel},
    timers,
};

/// A member, as the leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub node: NodeId,
    /// What it said of itself last; none if it never did to this leader.
    pub traits: Option<Traits>,
    /// Since when it answers; nothing if it does not.
    pub up: Option<Duration>,
    /// Since when it does not.
    pub silent: Duration,
    /// A majority of the live voters do not hear it.
    pub unheard: bool,
    /// It never comes back: it has said so, or was removed, or had no disk and is somebody else now.
    pub gone: bool,
    /// It has followed closely for long enough, and has the seal if there is one.
    pub caught_up: bool,
    /// It did not catch up in time.
    pub passed_over: bool,
}

/// What the leader sees.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Committed, and not in the middle of a change.
    pub configuration: &'a Configuration,
    /// All members.
    pub nodes: &'a [Candidate],
    /// Before the barrier is lifted everybody who is up counts at once.
    pub birth: bool,
    /// Major version of the protocol that this leader speaks.
    pub version: u32,
    /// See [`MaxVoters`].
    pub max_voters: MaxVoters,
    /// How long the leader has had its quorum without a break.
    pub quorum_held: Duration,
    /// Time since the last replacement of a dead voter, if there was one.
    pub since_replacement: Option<Duration>,
    /// Replacements of dead voters within [`timers::REPLACEMENT_PERIOD`].
    pub replacements: usize,
    /// The cluster has just started as a whole.
    pub cold_start: bool,
    /// How long there were only three or four nodes that could vote.
    pub few_for: Duration,
}

/// What a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// More nodes can vote.
    Growth,
    /// A voter that never comes back, or that should not vote, hands over to another.
    HandOver,
    /// A dead voter is replaced by another.
    Replacement(NodeId),
    /// Five become three.
    Shrinking,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// These shall vote.
    Change(Kind, BTreeSet<NodeId>),
    /// Nothing, and why.
    Hold(Hold),
}

/// Why the voters stay as they are. `Display` is what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// They are as they should be.
    #[error("there are as many voters as there should be")]
    AtTarget,
    /// Learners are still catching up; so many are ready, so many are needed.
    #[error("{0} of {1} nodes that are to vote have caught up with the others")]
    CatchingUp(usize, usize),
    /// This voter is dead or gone, and nobody can take its place.
    #[error("voter {0} is gone, and no other node can take its place; boot a spare box from the same image")]
    NoSpare(NodeId),
    /// This voter is silent, but not for long enough, or others hear it.
    #[error("voter {0} does not answer; after ten minutes another node takes its place, if there is one")]
    NotDeadYet(NodeId),
    /// This voter is dead, and is replaced when the leader has been sure of the others for longer.
    #[error("voter {0} is dead; another takes its place when the leader has been in touch with the others for a minute")]
    QuorumTooYoung(NodeId),
    /// This voter is dead, and is replaced when the last replacement is longer ago.
    #[error(
        "voter {0} is dead; another takes its place half an hour after the last replacement, at most as many a day as may fail at once"
    )]
    ReplacedLately(NodeId),
    /// This voter is dead, and is replaced when the cluster is up for longer.
    #[error("voter {0} has not come back since the cluster started; it is given 15 minutes")]
    ColdStart(NodeId),
    /// This voter was taken into maintenance.
    #[error("voter {0} is in maintenance, and keeps its vote")]
    Maintenance(NodeId),
    /// This voter's whole failure domain is silent: that is a network, not a node.
    #[error("voter {0} is silent with its whole rack; that is taken for a network that is down, for six hours")]
    DomainSilent(NodeId),
    /// If this voter were replaced, one more failure would stop the cluster.
    #[error("voter {0} is dead, and so are others; it is replaced when more of them answer")]
    OthersSilent(NodeId),
}

/// How many nodes of so many that could should vote.
#[must_use]
pub const fn target(eligible: usize, max: MaxVoters) -> usize {
    match (eligible, max) {
        (0..=2, _) => 1,
        (3..=4, _) | (_, MaxVoters::Three) => 3,
        (_, MaxVoters::Five) => 5,
    }
}

impl Situation<'_> {
    fn node(&self, node: NodeId) -> Option<&Candidate> {
        self.nodes.iter().find(|candidate| candidate.node == node)
    }

    /// Whether a node may vote at all. One without a disk may only where no node with one is up.
    fn is_suitable(&self, candidate: &Candidate) -> bool {
        let some_disk =
            self.nodes.iter().any(|other| other.up.is_some() && other.traits.is_some_and(|traits| traits.medium == Medium::Disk));
        candidate.traits.is_some_and(|traits| {
            traits.label != VoterLabel::Never && traits.version == self.version && (traits.medium == Medium::Disk || !some_disk)
        })
    }

    /// Whether a node counts for the number of voters.
    fn is_eligible(&self, candidate: &Candidate) -> bool {
        let up = candidate.up.is_some_and(|up| self.birth || up >= timers::UP || self.configuration.votes(candidate.node));
        up && !candidate.gone && !candidate.passed_over && self.is_suitable(candidate)
    }

    /// How many nodes could vote.
    #[must_use]
    pub fn eligible(&self) -> usize {
        self.nodes.iter().filter(|candidate| self.is_eligible(candidate)).count()
    }

    /// How many of those who are up can not vote, however long they are.
    #[must_use]
    pub fn unable(&self) -> usize {
        let unable = |candidate: &&Candidate| candidate.passed_over || (candidate.traits.is_some() && !self.is_suitable(candidate));
        self.nodes.iter().filter(|candidate| candidate.up.is_some()).filter(unable).count()
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|candidate| candidate.up.is_some() && !candidate.gone)
    }

    /// Learners that could vote at once, the best first.
    fn ready(&self) -> Vec<NodeId> {
        let mut ready: Vec<&Candidate> = self
            .nodes
            .iter()
            .filter(|candidate| self.configuration.learners.contains(&candidate.node) && candidate.caught_up && self.is_eligible(candidate))
            .collect();
        let domains: Vec<u32> = self.configuration.voters.iter().filter_map(|voter| self.node(*voter)?.traits?.domain).collect();
        ready.sort_by_key(|candidate| {
            let traits = candidate.traits.unwrap_or_default();
            let preferred = traits.label == VoterLabel::Preferred;
            let elsewhere = traits.domain.is_none_or(|domain| !domains.contains(&domain));
            (!preferred, !elsewhere, core::cmp::Reverse(candidate.up), candidate.node)
        });
        ready.into_iter().map(|candidate| candidate.node).collect()
    }

    /// What to do about the voters.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let voters = &self.configuration.voters;
        let ready = self.ready();
        // Who never comes back first: that is no guess.
        if let Some(voter) = voters.iter().copied().find(|voter| self.node(*voter).is_none_or(|candidate| candidate.gone)) {
            return self.hand_over(voter, &ready);
        }
        // Who should not vote keeps its vote until there is somebody who should.
        let unsuitable = |voter: &NodeId| {
            self.node(*voter).is_some_and(|candidate| candidate.up.is_some() && candidate.traits.is_some() && !self.is_suitable(candidate))
        };
        if let Some(voter) = voters.iter().copied().find(unsuitable).filter(|_| !ready.is_empty()) {
            return self.hand_over(voter, &ready);
        }
        let goal = target(self.eligible(), self.max_voters);
        // A silent voter first: there are more voters only when all there are answer.
        if let Some(dead) = voters.iter().copied().find(|voter| !self.is_up(*voter)) {
            let plan = self.replace(dead, &ready);
            if !matches!(plan, Plan::Hold(Hold::NoSpare(_))) || voters.len() != 5 {
                return plan;
            }
        }
        if goal > voters.len() {
            return self.grow(goal, &ready);
        }
        if voters.len() == 5 && goal == 3 && self.few_for >= timers::SHRINK {
            let mut kept: Vec<NodeId> = voters.iter().copied().collect();
            kept.sort_by_key(|voter| !self.is_up(*voter));
            kept.truncate(3);
            return Plan::Change(Kind::Shrinking, kept.into_iter().collect());
        }
        let silent = voters.iter().copied().find(|voter| !self.is_up(*voter));
        Plan::Hold(silent.map_or(Hold::AtTarget, Hold::NoSpare))
    }

    fn grow(&self, goal: usize, ready: &[NodeId]) -> Plan {
        let voters = &self.configuration.voters;
        // Five are reached by way of three, if only three are ready.
        let wanted = goal - voters.len();
        let added = if ready.len() >= wanted { wanted } else { ready.len() / 2 * 2 };
        if added == 0 {
            return Plan::Hold(Hold::CatchingUp(ready.len(), wanted));
        }
        Plan::Change(Kind::Growth, voters.iter().chain(&ready[..added]).copied().collect())
    }

    fn swap(&self, out: NodeId, spare: NodeId) -> BTreeSet<NodeId> {
        self.configuration.voters.iter().copied().filter(|voter| *voter != out).chain([spare]).collect()
    }

    fn hand_over(&self, voter: NodeId, ready: &[NodeId]) -> Plan {
        let Some(spare) = ready.first() else { return Plan::Hold(Hold::NoSpare(voter)) };
        let voters = self.swap(voter, *spare);
        if voters.iter().filter(|voter| self.is_up(**voter)).count() * 2 <= voters.len() {
            return Plan::Hold(Hold::OthersSilent(voter));
        }
        Plan::Change(Kind::HandOver, voters)
    }

    /// All limits on replacing a voter that is only silent.
    fn replace(&self, dead: NodeId, ready: &[NodeId]) -> Plan {
        let Some(candidate) = self.node(dead) else { return Plan::Hold(Hold::NoSpare(dead)) };
        let domain = candidate.traits.and_then(|traits| traits.domain);
        let domain_is_silent = domain.is_some_and(|domain| {
            self.nodes
                .iter()
                .filter(|other| other.traits.is_some_and(|traits| traits.domain == Some(domain)))
                .all(|other| other.up.is_none())
        });
        let budget = (self.configuration.voters.len() - 1) / 2;
        let rests = self.since_replacement.is_some_and(|since| since < timers::BETWEEN_REPLACEMENTS) || self.replacements >= budget;
        let hold = if candidate.silent < timers::DEAD || !candidate.unheard {
            Hold::NotDeadYet(dead)
        } else if candidate.traits.is_some_and(|traits| traits.maintenance) {
            Hold::Maintenance(dead)
        } else if domain_is_silent && candidate.silent < timers::DOMAIN_SILENT {
            Hold::DomainSilent(dead)
        } else if self.cold_start {
            Hold::ColdStart(dead)
        } else if self.quorum_held < timers::QUORUM_HELD {
            Hold::QuorumTooYoung(dead)
        } else if rests {
            Hold::ReplacedLately(dead)
        } else if let Some(spare) = ready.first() {
            let voters = self.swap(dead, *spare);
            // Not all of them need be up: with two of five dead, the first is replaced while the second is still silent.
            let spare_failures = voters.iter().filter(|voter| self.is_up(**voter)).count().saturating_sub(voters.len() / 2 + 1);
            if spare_failures > 0 {
                return Plan::Change(Kind::Replacement(dead), voters);
            }
            Hold::OthersSilent(dead)
        } else {
            Hold::NoSpare(dead)
        };
        Plan::Hold(hold)
    }
}
