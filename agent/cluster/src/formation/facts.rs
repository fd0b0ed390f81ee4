//! What raft says of itself, for the core.
//!
//! What is in the log is read from the log and the state and not from what openraft says, which may be a moment behind: a core that decides to leave must
//! not miss a seal. How far the log is committed is told only as far as it is durable here: a node that said more, and lost power, would look to others as
//! one that has forgotten something.

use std::{collections::BTreeSet, sync::Arc};

use openraft::{Instant as _, async_runtime::WatchReceiver, type_config::alias::InstantOf};
use prost::Message;
use shoal_formation::{
    Configuration, NodeId, Now, RaftFacts,
    facts::{Leading, LogId, Progress},
};
use tokio::time::{Instant, MissedTickBehavior};

use super::place;
use crate::{
    node::Inner,
    raft::{self, StoredMembership, Types, log::LogStore, term_of, wire::VoteMessage},
    state::Replicated,
    status::Leadership,
};

/// Heartbeats between two facts that differ only in when somebody was heard: a second, with the usual heartbeat.
const HEARD_HEARTBEATS: u32 = 10;

/// The id of an entry at this seam.
pub(super) fn log_id(id: &raft::LogId) -> LogId {
    LogId { term: term_of(id), index: place(id.index) }
}

/// A configuration at this seam.
pub(super) fn configuration(stored: &StoredMembership) -> Configuration {
    let sets = stored.membership().get_joint_config();
    let nodes = |ids: &BTreeSet<u64>| ids.iter().copied().map(NodeId).collect::<BTreeSet<_>>();
    let voters = sets.last().map(nodes).unwrap_or_default();
    let outgoing = if sets.len() > 1 { sets.first().map(nodes).unwrap_or_default() } else { BTreeSet::new() };
    let all = stored.nodes().map(|(id, _)| NodeId(*id));
    let learners = all.filter(|node| !voters.contains(node) && !outgoing.contains(node)).collect();
    Configuration { at: stored.log_id().as_ref().map(log_id).unwrap_or_default(), voters, outgoing, learners }
}

/// What log and state say, at one moment.
pub(super) struct Outline {
    pub(super) last: LogId,
    pub(super) applied: u64,
    /// Everything up to here is on the medium.
    pub(super) durable: u64,
    pub(super) seal: Option<u64>,
    pub(super) configuration: StoredMembership,
}

pub(super) fn outline(log: &LogStore, replicated: impl FnOnce() -> Outlined) -> Outline {
    let last = log.log().state().last.map(|last| LogId { term: last.term, index: place(last.index) });
    // First the log, so that nothing is purged from it before the state is looked at.
    let landmarks = log.landmarks();
    let Outlined { applied, first_seal, membership } = replicated();
    Outline {
        last: last.unwrap_or_default(),
        applied: applied.map_or(0, place),
        durable: landmarks.durable().map_or(0, place),
        seal: first_seal.or_else(|| landmarks.first_seal_behind(applied).map(place)),
        configuration: landmarks.newest_configuration_behind(applied).cloned().unwrap_or(membership),
    }
}

/// What is wanted of the state.
pub(super) struct Outlined {
    applied: Option<u64>,
    first_seal: Option<u64>,
    membership: StoredMembership,
}

impl From<&Replicated> for Outlined {
    fn from(replicated: &Replicated) -> Self {
        Self {
            applied: replicated.applied.map(|last| last.index),
            first_seal: replicated.first_seal,
            membership: replicated.membership.clone(),
        }
    }
}

/// The facts as they are, given those before, whose configuration is shared if it is the same.
pub(super) fn now(inner: &Inner, before: Option<&RaftFacts>) -> RaftFacts {
    let metrics = inner.metrics();
    let leadership = *inner.leadership.borrow();
    let outline = outline(&inner.log, || Outlined::from(&*inner.machine.state.read()));
    // The vote that is on the medium; and no less than what was said before.
    let term = metrics.vote.leader_id.term.max(before.map_or(0, |before| before.term));
    let known = metrics.local_committed.map_or(0, |committed| place(committed.index)).max(outline.applied);
    let at = outline.configuration.log_id().as_ref().map(log_id).unwrap_or_default();
    let same = before.filter(|before| before.configuration.at == at).map(|before| before.configuration.clone());
    let configuration = same.unwrap_or_else(|| Arc::new(configuration(&outline.configuration)));
    let Leadership { leader, is_self, .. } = if leadership.term == term { leadership } else { Leadership::default() };
    // Alone, nobody has to be waited for.
    let is_alone = configuration.is_uniform() && configuration.voters.iter().eq([&NodeId(inner.member())]);
    let acknowledged = metrics.last_quorum_acked.as_ref().is_some_and(|at| at.elapsed() < inner.config.election_timeout);
    let leading = (is_self && (is_alone || acknowledged)).then(|| {
        let others = configuration.voters.iter().chain(&configuration.outgoing).chain(&configuration.learners);
        let others: BTreeSet<NodeId> = others.copied().filter(|node| node.0 != inner.member()).collect();
        let progress = |node: NodeId| {
            let matched = metrics.replication.as_ref().and_then(|all| all.get(&node.0).copied().flatten());
            let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(&node.0).copied().flatten());
            Progress { node, matched: matched.map_or(0, |matched| place(matched.index)), heard: heard.map(|at| inner.began.moment(*at)) }
        };
        Leading { progress: others.into_iter().map(progress).collect() }
    });
    RaftFacts {
        term,
        last: outline.last,
        committed: known.min(outline.durable.max(before.map_or(0, |before| before.committed))),
        leader: leader.map(NodeId),
        leading,
        configuration,
        seal: outline.seal,
    }
}

/// The facts that a node begins with: openraft may not have said anything yet, but what is in the files is known.
pub(crate) fn first(inner: &Inner) -> RaftFacts {
    let vote = inner.log.log().state().vote.and_then(|vote| VoteMessage::decode(vote).ok());
    let opened = RaftFacts { term: vote.map_or(0, |vote| vote.term), ..RaftFacts::default() };
    now(inner, Some(&opened))
}

/// One moment on openraft's clock and on the core's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began {
    raft: InstantOf<Types>,
    core: Now,
}

impl Began {
    /// Now, on a core's clock with this zero.
    pub(crate) fn now(zero: Option<Instant>) -> Self {
        Self { raft: InstantOf::<Types>::now(), core: Now::at(zero.map_or_else(Default::default, |zero| zero.elapsed())) }
    }

    /// A later moment of openraft's.
    fn moment(self, at: InstantOf<Types>) -> Now {
        self.core.plus(at - self.raft)
    }
}

/// How much two facts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    Nothing,
    Heard,
    Far,
    Urgent,
}

fn difference(before: &RaftFacts, now: &RaftFacts) -> Difference {
    let urgent = |facts: &RaftFacts| (facts.term, facts.leader, facts.leading.is_some(), facts.configuration.at, facts.seal);
    let is_committed = |facts: &RaftFacts| facts.configuration.at.index <= facts.committed;
    let matched = |facts: &RaftFacts| {
        let progress = facts.leading.iter().flat_map(|leading| leading.progress.clone());
        (facts.last, facts.committed, progress.map(|progress| (progress.node, progress.matched)).collect::<Vec<_>>())
    };
    if urgent(before) != urgent(now) || is_committed(before) != is_committed(now) {
        Difference::Urgent
    } else if matched(before) != matched(now) {
        Difference::Far
    } else if before != now {
        Difference::Heard
    } else {
        Difference::Nothing
    }
}

/// Keeps [`Inner::facts`] as it should be, until raft has ended.
pub(crate) async fn watch(inner: Arc<Inner>) {
    let (mut metrics, mut leadership) = (inner.raft.metrics(), inner.leadership.subscribe());
    let mut ticks = tokio::time::interval(inner.config.heartbeat_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut ticked) = (0, 0_u32);
    loop {
        let before = inner.facts.borrow().clone();
        let now = now(&inner, Some(&before));
        let due = match difference(&before, &now) {
            Difference::Nothing => false,
            Difference::Heard => ticked.wrapping_sub(told) >= HEARD_HEARTBEATS,
            Difference::Far => ticked != told,
            Difference::Urgent => true,
        };
        if due {
            told = ticked;
            inner.facts.send_replace(now);
        }
        let goes_on = tokio::select! {
            biased;
            changed = leadership.changed() => changed.is_ok(),
            _ = ticks.tick() => {
                ticked = ticked.wrapping_add(1);
                true
            }
            changed = metrics.changed() => changed.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}
