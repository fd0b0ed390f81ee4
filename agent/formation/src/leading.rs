//! What the leader of a cluster does about the cluster: it lets nodes in, seals, dissolves, and keeps the voters as they should be.
//!
//! A seal and a change of the configuration never overlap: a seal is proposed only while the newest configuration is committed and uniform, and the
//! configuration is changed only while no seal is on its way, and gives votes only to nodes that have it. Otherwise one power cut could leave a sealed
//! founder in the middle of a change, with two learners that never heard of the seal, leave, and can never give it its quorum back.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    alarm::Alarm,
    control::{Cause, ControlEntry, Outcome},
    effect::{Change, Effect},
    facts::LogId,
    ids::{NodeId, NodeKey},
    known_bugs::KnownBug,
    machine::{Formation, Phase},
    message::{Standing, Wish},
    now::Now,
    settings::{Medium, Traits},
    timers,
    voters::{Candidate, Hold, Kind, Plan, Situation, target},
};

/// A leader's memory. It begins anew with each term.
#[derive(Debug)]
pub(crate) struct Lead {
    since: Now,
    /// Since when neither another cluster nor anybody blank is in sight.
    unseen_since: Now,
    proposed: Vec<(ControlEntry, Now)>,
    /// The change that was asked for, by what it was decided on.
    changing: Option<(LogId, Now)>,
    plan_at: Now,
    watched: BTreeMap<NodeId, Watched>,
    /// Of dead voters.
    replaced: Vec<Now>,
    few_since: Option<Now>,
    /// Why the voters stay as they are.
    pub(crate) hold: Option<Hold>,
}

/// What the leader remembers of a member.
#[derive(Debug, Clone, Copy)]
struct Watched {
    heard: Now,
    up_since: Option<Now>,
    close_since: Option<Now>,
    lags_since: Option<Now>,
    traits: Option<Traits>,
}

impl Lead {
    fn new(now: Now, replacements: u32) -> Self {
        Self {
            since: now,
            unseen_since: now,
            proposed: Vec::new(),
            changing: None,
            plan_at: now,
            watched: BTreeMap::new(),
            // Nobody knows when those before were replaced: just now, then.
            replaced: (0..replacements).map(|_| now).collect(),
            few_since: None,
            hold: None,
        }
    }

    pub(crate) const fn deadline(&self) -> Now {
        self.plan_at
    }

    /// A proposal was committed: the next one may be made at once.
    pub(crate) fn is_through(&mut self, now: Now, entry: &ControlEntry, outcome: Outcome) {
        if matches!(entry, ControlEntry::Remove(_, Cause::Replaced)) && outcome == Outcome::Done {
            self.replaced.push(now);
        }
        self.proposed.retain(|(proposed, _)| proposed != entry);
        self.plan_at = Now::default();
    }

    fn waits_for(&self, now: Now, entry: &ControlEntry) -> bool {
        self.proposed.iter().any(|(proposed, at)| proposed == entry && now.since(*at) < timers::PROPOSE_AGAIN)
    }
}

impl Formation {
    /// Proposes something, unless it was proposed just now.
    pub(crate) fn propose(&mut self, entry: ControlEntry) {
        let now = self.now;
        let replacements = self.control.replacements();
        let Some(member) = self.member_mut() else { return };
        let lead = member.lead.get_or_insert_with(|| Lead::new(now, replacements));
        if lead.waits_for(now, &entry) {
            return;
        }
        lead.proposed.retain(|(proposed, _)| *proposed != entry);
        lead.proposed.push((entry, now));
        self.effect(Effect::Propose(entry));
    }

    /// Each tick of a member, if it leads.
    pub(crate) fn lead(&mut self) {
        let (now, leads) = (self.now, self.raft.leading.is_some());
        let replacements = self.control.replacements();
        let Some(member) = self.member_mut() else { return };
        if !leads {
            member.lead = None;
            return;
        }
        let lead = member.lead.get_or_insert_with(|| Lead::new(now, replacements));
        if lead.plan_at > now {
            return;
        }
        lead.plan_at = now.plus(timers::PLAN);
        if self.control.dissolved().is_some() || !self.control.has_begun() {
            return;
        }
        self.watch();
        if self.merge() {
            return;
        }
        self.seal();
        self.remove();
        self.configure();
    }

    /// Remembers who answers and who keeps up.
    fn watch(&mut self) {
        let survey = self.survey();
        let promote_without_seal = self.bug(KnownBug::PromoteWithoutSeal);
        let Self { now, raft, peers, control, phase: Phase::Member(member), settings, .. } = self else { return };
        let (now, own) = (*now, member.node);
        let (Some(lead), Some(leading)) = (&mut member.lead, &raft.leading) else { return };
        if survey.sees_cluster() || survey.blank || survey.founding {
            lead.unseen_since = now;
        }
        let seal = raft.seal.filter(|_| !promote_without_seal);
        lead.watched.retain(|node, _| control.member(*node).is_some());
        for (node, record) in control.members() {
            let since = lead.since;
            let watched = lead.watched.entry(node).or_insert(Watched {
                heard: since,
                up_since: None,
                close_since: None,
                lags_since: None,
                traits: None,
            });
            let progress = leading.progress.iter().find(|progress| progress.node == node);
            let heard = if node == own { Some(now) } else { progress.and_then(|progress| progress.heard) };
            watched.heard = watched.heard.max(heard.unwrap_or_default());
            let known = peers.get(record.admission.key).filter(|known| !known.forgetful);
            let up = node == own || (heard.is_some_and(|heard| now.since(heard) < timers::PEER_SILENT) && known.is_some());
            watched.up_since = if up { watched.up_since.or(Some(now)) } else { None };
            let matched = if node == own { raft.last.index } else { progress.map_or(0, |progress| progress.matched) };
            let close = up && matched + timers::LAG_ENTRIES >= raft.last.index && matched > 0 && seal.is_none_or(|seal| matched >= seal);
            watched.close_since = if close { watched.close_since.or(Some(now)) } else { None };
            watched.lags_since = if up && !close { watched.lags_since.or(Some(now)) } else { None };
            watched.traits = if node == own { Some(settings.traits) } else { known.map(|known| known.hello.traits).or(watched.traits) };
        }
    }

    /// A pristine cluster dissolves into one that is sealed, or that is pristine and has a lower id. The order of ids never changes, so there is no
    /// circle.
    fn merge(&mut self) -> bool {
        let Some(own) = self.cluster() else { return false };
        let survey = self.survey();
        let Some(into) = survey.sealed.or(survey.pristine.filter(|other| *other < own)) else { return false };
        let sealed =
            (self.control.sealed().is_some() || self.raft.seal.is_some()) && !(self.bug(KnownBug::DissolveAfterSeal) && into < own);
        if sealed {
            return false;
        }
        if self.raft.is_at_rest() && !self.is_changing() {
            self.propose(ControlEntry::Dissolve(into));
        }
        !self.bug(KnownBug::SealAfterDissolve)
    }

    /// Lifts the barrier, and seals if somebody wants it.
    fn seal(&mut self) {
        let (now, at_rest) = (self.now, self.raft.is_at_rest() && !self.is_changing());
        let workloads = self.settings.workloads;
        let early = self.bug(KnownBug::SealBeforeBarrier);
        if !self.control.is_born() {
            // Everybody in sight who is a member or may become one, whether or not it has said anything to raft yet.
            let own = self.cluster();
            let in_sight: BTreeSet<NodeKey> = self
                .sightings()
                .filter(|sighting| match sighting.standing {
                    Standing::Virgin | Standing::Joining | Standing::Founding => true,
                    Standing::Member(other) => Some(other.cluster) == own,
                    Standing::ExMember => false,
                })
                .map(|sighting| sighting.peer.key)
                .collect();
            let nodes = self.candidates();
            let unable = self.situation(&nodes).map_or(0, |situation| situation.unable());
            let seen = (in_sight.len() + 1).saturating_sub(unable);
            let complete = target(seen, self.settings.max_voters) == self.raft.configuration.voters.len();
            let Some(lead) = self.member().and_then(|member| member.lead.as_ref()) else { return };
            let late = now.since(lead.since) >= timers::BARRIER;
            let wanted = early && self.member().is_some_and(|member| member.wants(Wish::Seal));
            if at_rest && (complete || late || wanted) {
                self.propose(ControlEntry::Born);
            }
            return;
        }
        let Some(member) = self.member() else { return };
        let Some(lead) = &member.lead else { return };
        // All whom the image expects are in: there is nobody to wait for.
        let complete = self.settings.expect.is_some_and(|expect| self.control.members().count() >= expect as usize);
        let settled = complete || now.since(lead.unseen_since) >= timers::SETTLED;
        if at_rest && self.control.sealed().is_none() && (member.wants(Wish::Seal) || (workloads && settled)) {
            self.propose(ControlEntry::Seal);
        }
    }

    /// Takes out whom somebody wants out, and learners that are somebody else by now.
    fn remove(&mut self) {
        let Self { now, raft, peers, control, phase: Phase::Member(member), .. } = &*self else { return };
        let Some(lead) = &member.lead else { return };
        let votes = |node: NodeId| raft.configuration.votes(node);
        let superseded = control.members().find(|(node, record)| {
            let silent = lead.watched.get(node).is_none_or(|watched| watched.up_since.is_none());
            let silent_for = lead.watched.get(node).map_or_else(Default::default, |watched| now.since(watched.heard));
            let elsewhere = peers
                .get(record.admission.key)
                .is_some_and(|known| matches!(known.hello.standing, Standing::Member(other) if other.cluster != member.cluster));
            let follower = control.members().any(|(other, newer)| other > *node && newer.admission.hint == record.admission.hint);
            let forgotten = follower && (record.admission.medium == Medium::Memory || silent_for >= timers::DEAD);
            !votes(*node) && *node != member.node && (member.statements.contains_key(node) || elsewhere || (silent && forgotten))
        });
        let superseded = superseded.map(|(node, _)| (node, Cause::Superseded));
        let nodes = self.candidates();
        let spare = nodes.iter().any(|candidate| candidate.caught_up && raft.configuration.learners.contains(&candidate.node));
        let wanted = member.wishes().find_map(|wish| match wish {
            Wish::Remove(node, cause) if control.member(node).is_some() && (!votes(node) || spare) => Some((node, cause)),
            _ => None,
        });
        if let Some((node, cause)) = wanted.or(superseded) {
            self.propose(ControlEntry::Remove(node, cause));
        }
    }

    fn is_changing(&self) -> bool {
        let Some(lead) = self.member().and_then(|member| member.lead.as_ref()) else { return false };
        lead.changing.is_some_and(|(at, asked)| at == self.raft.configuration.at && self.now.since(asked) < timers::PROPOSE_AGAIN)
    }

    fn change(&mut self, voters: BTreeSet<NodeId>) {
        let now = self.now;
        let instead_of = self.raft.configuration.at;
        let learners = self.control.members().map(|(node, _)| node).filter(|node| !voters.contains(node)).collect();
        if let Some(lead) = self.member_mut().and_then(|member| member.lead.as_mut()) {
            lead.changing = Some((instead_of, now));
        }
        self.effect(Effect::ChangeConfiguration(Change { instead_of, voters, learners }));
    }

    /// Makes the configuration what it should be, one change after the other.
    fn configure(&mut self) {
        let now = self.now;
        let Some(lead) = self.member().and_then(|member| member.lead.as_ref()) else { return };
        let unsealed = self.raft.seal.is_none_or(|seal| seal <= self.raft.committed) && !lead.waits_for(now, &ControlEntry::Seal);
        if !self.raft.is_at_rest() || self.is_changing() || !unsealed {
            return;
        }
        let configuration = self.raft.configuration.clone();
        let missing = self.control.members().any(|(node, _)| !configuration.contains(node));
        let surplus = configuration.learners.iter().any(|node| self.control.member(*node).is_none());
        if missing || surplus {
            return self.change(configuration.voters.clone());
        }
        let nodes = self.candidates();
        let Some(situation) = self.situation(&nodes) else { return };
        let few = configuration.voters.len() == 5 && (3..=4).contains(&situation.eligible());
        let plan = situation.plan();
        let Some(lead) = self.member_mut().and_then(|member| member.lead.as_mut()) else { return };
        lead.few_since = if few { lead.few_since.or(Some(now)) } else { None };
        lead.hold = None;
        match plan {
            Plan::Change(kind, voters) => {
                if let Kind::Replacement(dead) = kind {
                    // With its tombstone first: whoever leads next goes on from there.
                    return self.propose(ControlEntry::Remove(dead, Cause::Replaced));
                }
                self.change(voters);
            }
            Plan::Hold(hold) => {
                lead.hold = Some(hold);
                if let Hold::NoSpare(voter) = hold
                    && lead.watched.get(&voter).is_none_or(|watched| now.since(watched.heard) >= timers::DEAD)
                {
                    self.raise(Alarm::VoterWithoutReplacement(voter));
                }
            }
        }
        for candidate in nodes.iter().filter(|candidate| candidate.passed_over) {
            self.raise(Alarm::DoesNotCatchUp(candidate.node));
        }
    }

    /// All members, and voters that are no members any more.
    fn candidates(&self) -> Vec<Candidate> {
        let Some(Phase::Member(member)) = Some(&self.phase) else { return Vec::new() };
        let Some(lead) = &member.lead else { return Vec::new() };
        let live_voters: Vec<NodeId> = self
            .raft
            .configuration
            .voters
            .iter()
            .copied()
            .filter(|node| lead.watched.get(node).is_some_and(|watched| watched.up_since.is_some()))
            .collect();
        let hears = |voter: NodeId, key: NodeKey| {
            if voter == member.node {
                return self.peers.get(key).is_some();
            }
            let known = self.control.member(voter).and_then(|record| self.peers.get(record.admission.key));
            known.is_some_and(|known| known.hello.view.iter().any(|sighting| sighting.peer.key == key))
        };
        let candidate = |(node, record): (NodeId, &crate::control::MemberRecord)| {
            let watched = lead.watched.get(&node).copied();
            let watched =
                watched.unwrap_or(Watched { heard: lead.since, up_since: None, close_since: None, lags_since: None, traits: None });
            let key = record.admission.key;
            let up = watched.up_since.map(|since| self.now.since(since));
            let unheard = up.is_none() && live_voters.iter().filter(|voter| !hears(**voter, key)).count() * 2 > live_voters.len();
            let again = record.admission.medium == Medium::Memory
                && up.is_none()
                && self.control.members().any(|(other, newer)| other > node && newer.admission.hint == record.admission.hint);
            Candidate {
                node,
                traits: watched.traits,
                up,
                silent: self.now.since(watched.heard),
                unheard,
                gone: again || member.statements.contains_key(&node),
                caught_up: watched.close_since.is_some_and(|since| self.now.since(since) >= timers::CAUGHT_UP),
                passed_over: watched.lags_since.is_some_and(|since| self.now.since(since) >= timers::CATCH_UP),
            }
        };
        self.control.members().map(candidate).collect()
    }

    /// How many nodes could vote, if this node leads.
    pub(crate) fn able(&self) -> Option<usize> {
        let nodes = self.candidates();
        self.situation(&nodes).map(|situation| situation.eligible())
    }

    fn situation<'a>(&'a self, nodes: &'a [Candidate]) -> Option<Situation<'a>> {
        let member = self.member()?;
        let lead = member.lead.as_ref()?;
        let recent = |at: &&Now| self.now.since(**at) < timers::REPLACEMENT_PERIOD;
        let unlimited = self.bug(KnownBug::ReplaceWithoutRest);
        Some(Situation {
            configuration: &self.raft.configuration,
            nodes,
            birth: !self.control.is_born(),
            version: self.settings.traits.version,
            max_voters: self.settings.max_voters,
            quorum_held: self.now.since(lead.since),
            since_replacement: lead.replaced.last().filter(|_| !unlimited).map(|at| self.now.since(*at)),
            replacements: if unlimited { 0 } else { lead.replaced.iter().filter(recent).count() },
            cold_start: member.started.is_some_and(|started| self.now.since(started) < timers::COLD_START),
            few_for: lead.few_since.map_or_else(Default::default, |since| self.now.since(since)),
        })
    }
}
