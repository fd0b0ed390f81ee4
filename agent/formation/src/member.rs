//! A member: it answers those who want in, tells removed nodes so, notices who has forgotten something, and knows when it may leave.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    alarm::Alarm,
    control::{Admission, Control, ControlEntry, Outcome},
    disk::{Floor, Record},
    effect::Effect,
    ids::{ClusterId, NodeId, Peer},
    known_bugs::KnownBug,
    leading::Lead,
    leaving::Leave,
    machine::{Formation, Phase},
    message::{Hello, JoinRefusal, Membership, Message, Standing, Wish},
    now::Now,
    statement::{PastLife, Removed, Verified},
    timers,
};

/// Nodes whose admission is waited for; more ask again.
const JOINERS: usize = 64;

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    /// When this process started, if it was a member then.
    pub(crate) started: Option<Now>,
    /// Since when there is no leader although there is a link.
    leaderless: Option<Now>,
    /// Who waits for the answer to its wish to join.
    joiners: Vec<(Peer, Admission)>,
    /// What it wants of its leader.
    wishes: Vec<Wish>,
    ask_at: Now,
    /// Who has left, in their own words.
    pub(crate) statements: BTreeMap<NodeId, Verified<PastLife>>,
    /// When to leave a cluster that has dissolved.
    stay_until: Option<Now>,
    floors_at: Now,
    floors_changed: bool,
    pub(crate) lead: Option<Lead>,
}

impl Member {
    pub(crate) fn new(cluster: ClusterId, node: NodeId, started: Option<Now>) -> Self {
        Self {
            cluster,
            node,
            started,
            leaderless: None,
            joiners: Vec::new(),
            wishes: Vec::new(),
            ask_at: Now::default(),
            statements: BTreeMap::new(),
            stay_until: None,
            floors_at: Now::default(),
            floors_changed: false,
            lead: None,
        }
    }

    pub(crate) fn wants(&self, wish: Wish) -> bool {
        self.wishes.contains(&wish)
    }

    pub(crate) fn wishes(&self) -> impl Iterator<Item = Wish> + '_ {
        self.wishes.iter().copied()
    }

    /// Raft goes on after all.
    pub(crate) fn goes_on(&mut self, now: Now) {
        self.leaderless = Some(now);
    }
}

impl Formation {
    pub(crate) fn member(&self) -> Option<&Member> {
        match &self.phase {
            Phase::Member(member) => Some(member),
            _ => None,
        }
    }

    pub(crate) fn member_mut(&mut self) -> Option<&mut Member> {
        match &mut self.phase {
            Phase::Member(member) => Some(member),
            _ => None,
        }
    }

    pub(crate) fn member_deadline(&self, member: &Member) -> Now {
        let abandon = member.leaderless.map(|since| since.plus(timers::ABANDON)).filter(|time| *time > self.now);
        let asks = (!member.wishes.is_empty() && member.lead.is_none()).then_some(member.ask_at);
        let plan = member.lead.as_ref().map(Lead::deadline);
        let stay = member.stay_until.filter(|time| *time > self.now);
        [abandon, asks, plan, stay].into_iter().flatten().min().unwrap_or(self.now.plus(timers::HELLO))
    }

    /// Each tick of a member.
    pub(crate) fn be_member(&mut self) {
        let (now, linked, leader) = (self.now, self.link.is_some(), self.raft.leader);
        let Some(member) = self.member_mut() else { return };
        match leader {
            None if linked => member.leaderless = member.leaderless.or(Some(now)),
            _ => member.leaderless = None,
        }
        let (leaderless, stay_until, own) = (member.leaderless, member.stay_until, member.node);
        if self.is_out(own) && stay_until.is_none_or(|until| until <= now) {
            return self.leave(Leave::Removed);
        }
        if let Some(into) = self.control.dissolved() {
            if stay_until.is_none_or(|until| until <= now) {
                return self.leave(Leave::Dissolved(into));
            }
        } else if self.may_close() {
            return self.leave(Leave::Closed);
        } else if leaderless.is_some_and(|since| since.plus(timers::ABANDON) <= now) && self.may_abandon() {
            return self.leave(Leave::Abandoned);
        }
        if leaderless.is_some_and(|since| since.plus(timers::NO_QUORUM_ALARM) <= now) {
            self.raise(Alarm::NoQuorum);
        }
        self.see_conflict();
        self.ask_leader();
        self.lead();
        self.write_floors();
    }

    /// Two sealed clusters are for people to decide on.
    fn see_conflict(&mut self) {
        let Some(cluster) = self.cluster().filter(|_| self.control.sealed().is_some()) else { return };
        if let Some(other) = self.survey().sealed {
            self.raise(Alarm::ClusterConflict(cluster.min(other), cluster.max(other)));
        }
    }

    /// Somebody here wants something that the leader decides.
    pub(crate) fn wanted(&mut self, wish: Wish) {
        if let Some(member) = self.member_mut()
            && !member.wants(wish)
        {
            member.wishes.push(wish);
        }
    }

    /// Asks the leader for what is wanted here, until it is so.
    fn ask_leader(&mut self) {
        let (now, sealed) = (self.now, self.control.sealed().is_some());
        let Self { control, phase: Phase::Member(member), .. } = self else { return };
        if member.wishes.is_empty() {
            return;
        }
        member.wishes.retain(|wish| match wish {
            Wish::Seal => !sealed,
            Wish::Remove(node, _) => control.tombstone(*node).is_none(),
            Wish::Admit(_) => false,
        });
        if member.lead.is_some() || member.ask_at > now {
            return;
        }
        member.ask_at = now.plus(timers::ASK_AGAIN);
        let (cluster, wishes) = (member.cluster, member.wishes.clone());
        let Some(leader) = self.leader_peer() else { return };
        for wish in wishes {
            self.send(leader, Message::Ask(cluster, wish));
        }
    }

    /// The leader's session.
    fn leader_peer(&self) -> Option<Peer> {
        let leader = self.raft.leader?;
        self.peers
            .iter()
            .find(|(_, known)| matches!(known.hello.standing, Standing::Member(member) if Some(member.cluster) == self.cluster() && member.node == leader))
            .map(|(peer, _)| peer)
    }

    /// A blank node wants in.
    pub(crate) fn join_asked(&mut self, from: Peer, cluster: ClusterId, admission: Admission) {
        let here = self.member().is_some_and(|member| member.cluster == cluster) && self.raft.leader.is_some();
        // Its session says who it is.
        if !here || admission.key != from.key || admission.boot != from.boot {
            return self.send(from, Message::Refused(cluster, JoinRefusal::NotHere));
        }
        match self.control.may_admit(&admission, &self.settings) {
            Outcome::Already(node) => self.send(from, Message::Admitted(cluster, node)),
            Outcome::Refused(refusal) => self.send(from, Message::Refused(cluster, refusal.into())),
            Outcome::Done => {
                if let Some(member) = self.member_mut()
                    && member.joiners.len() < JOINERS
                    && !member.joiners.contains(&(from, admission))
                {
                    member.joiners.push((from, admission));
                }
                self.pass_to_leader(cluster, Wish::Admit(admission));
            }
        }
    }

    fn pass_to_leader(&mut self, cluster: ClusterId, wish: Wish) {
        if self.raft.leading.is_some() {
            self.asked(cluster, wish);
        } else if let Some(leader) = self.leader_peer() {
            self.send(leader, Message::Ask(cluster, wish));
        }
    }

    /// A member wants something of this leader.
    pub(crate) fn asked(&mut self, cluster: ClusterId, wish: Wish) {
        if self.cluster() != Some(cluster) || self.raft.leading.is_none() {
            return;
        }
        match wish {
            Wish::Admit(admission) if self.control.may_admit(&admission, &self.settings) == Outcome::Done => {
                self.propose(ControlEntry::Admit(admission));
            }
            Wish::Admit(_) => {}
            Wish::Seal | Wish::Remove(..) => self.wanted(wish),
        }
    }

    /// An entry was committed.
    pub(crate) fn committed(&mut self, index: u64, entry: &ControlEntry) {
        if !matches!(self.phase, Phase::Founding(_) | Phase::Member(_)) {
            return;
        }
        let outcome = self.control.apply(index, entry, &self.settings);
        if let Phase::Founding(founding) = &self.phase {
            let cluster = founding.cluster;
            if self.control.has_begun() {
                self.become_founder(cluster);
            }
            return;
        }
        let now = self.now;
        let leads = self.raft.leading.is_some();
        let Some(member) = self.member_mut() else { return };
        if let Some(lead) = &mut member.lead {
            lead.is_through(now, entry, outcome);
        }
        let (cluster, own) = (member.cluster, member.node);
        match entry {
            ControlEntry::Admit(admission) => {
                let (answered, waiting) = core::mem::take(&mut member.joiners).into_iter().partition(|joiner| joiner.1 == *admission);
                member.joiners = waiting;
                let answer = match outcome {
                    Outcome::Done => Message::Admitted(cluster, NodeId(index)),
                    Outcome::Already(node) => Message::Admitted(cluster, node),
                    Outcome::Refused(refusal) => Message::Refused(cluster, refusal.into()),
                };
                let answered: Vec<(Peer, Admission)> = answered;
                answered.into_iter().for_each(|(peer, _)| self.send(peer, answer.clone()));
            }
            ControlEntry::Dissolve(_) if outcome == Outcome::Done => {
                member.stay_until = leads.then_some(now.plus(timers::LINGER));
            }
            ControlEntry::Remove(node, _) if *node == own && outcome == Outcome::Done => {
                // A leader has to tell the others first.
                member.stay_until = leads.then_some(now.plus(timers::LINGER));
            }
            _ => {}
        }
    }

    /// Entries were applied elsewhere, and this is what they made.
    pub(crate) fn restored(&mut self, control: Control) {
        if !matches!(self.phase, Phase::Founding(_) | Phase::Member(_)) {
            return;
        }
        self.control = control;
        if let Phase::Founding(founding) = &self.phase {
            let cluster = founding.cluster;
            if self.control.has_begun() {
                self.become_founder(cluster);
            }
            return;
        }
        // Whoever waits for an answer gets it now: the entry that would have brought it does not come. Nobody leads who is sent a snapshot, so that
        // there is nothing else to do at once.
        let Some(member) = self.member_mut() else { return };
        let cluster = member.cluster;
        for (peer, admission) in core::mem::take(&mut member.joiners) {
            match self.control.may_admit(&admission, &self.settings) {
                Outcome::Already(node) => self.send(peer, Message::Admitted(cluster, node)),
                Outcome::Refused(refusal) => self.send(peer, Message::Refused(cluster, refusal.into())),
                Outcome::Done => self.member_mut().into_iter().for_each(|member| member.joiners.push((peer, admission))),
            }
        }
    }

    /// A peer has proven that this member was removed.
    pub(crate) fn told_removed(&mut self, removed: &Verified<Removed>) {
        let removed = removed.get();
        if self.member().is_some_and(|member| member.cluster == removed.cluster && member.node == removed.node) {
            self.leave(Leave::Removed);
        }
    }

    /// The operator retires this cluster.
    pub(crate) fn retired(&mut self, into: ClusterId) {
        if self.member().is_some_and(|member| member.cluster != into) {
            self.leave(Leave::Retired);
        }
    }

    /// What a hello means to a member. Returns whether the sender counts.
    pub(crate) fn examine(&mut self, from: Peer) -> bool {
        let Some(own) = self.cluster() else { return true };
        let Some(hello) = self.peers.get(from.key).map(|known| known.hello.clone()) else { return false };
        if let Some(member) = self.member_mut() {
            for statement in hello.past_lives.iter().filter(|statement| statement.get().cluster == own) {
                member.statements.entry(statement.get().node).or_insert_with(|| statement.clone());
            }
        }
        match hello.standing {
            Standing::Member(other) if other.cluster == own => self.examine_member(from, &hello, other),
            _ => true,
        }
    }

    fn examine_member(&mut self, from: Peer, hello: &Hello, other: Membership) -> bool {
        if self.is_out(other.node)
            && let Some(tombstone) = self.control.tombstone(other.node)
        {
            let proof = Removed { cluster: other.cluster, node: other.node, index: tombstone.index };
            self.send(from, Message::Removed(Verified::by_signature(proof)));
            return false;
        }
        if self.control.member(other.node).is_some_and(|record| record.admission.key != from.key) {
            return false;
        }
        let Some(raft) = hello.raft else { return true };
        let heard = Floor { epoch: hello.epoch, boot: from.boot, term: raft.term, committed: raft.committed };
        let floor = self.floors.get(&other.node).copied();
        let forgot = floor.is_some_and(|floor| {
            let older = heard.epoch < floor.epoch || (heard.epoch == floor.epoch && heard.boot != floor.boot);
            older || heard.term < floor.term || raft.last < floor.committed
        });
        let known = self.peers.get_mut(from.key);
        if forgot {
            if let Some(known) = known {
                known.forgetful = true;
            }
            self.send(from, Message::Forgetful);
            self.raise(Alarm::Forgetful(other.node));
            return true;
        }
        if floor != Some(heard) {
            let restarted = floor.is_none_or(|floor| floor.boot != heard.boot);
            // Older words may come later.
            let committed = floor.map_or(heard.committed, |floor| floor.committed.max(heard.committed));
            self.floors.insert(other.node, Floor { committed, ..heard });
            if let Some(member) = self.member_mut() {
                member.floors_changed = true;
                if restarted {
                    member.floors_at = Now::default();
                }
            }
        }
        true
    }

    /// Whether a node was removed and does not vote any more. A voter that is to go is first voted out: refused before, it would take its vote with it,
    /// and with that maybe the quorum that has to vote it out.
    pub(crate) fn is_out(&self, node: NodeId) -> bool {
        let votes = self.raft.configuration.votes(node) || !self.raft.is_at_rest();
        self.control.tombstone(node).is_some() && (!votes || self.bug(KnownBug::RefuseVotersAtOnce))
    }

    /// Writes down what the others are, seldom.
    fn write_floors(&mut self) {
        let now = self.now;
        let Some(member) = self.member_mut() else { return };
        if member.floors_changed && member.floors_at <= now {
            member.floors_changed = false;
            member.floors_at = now.plus(timers::FLOORS);
            let floors = self.floors.clone();
            self.effect(Effect::Persist(Record::Floors(floors)));
        }
    }

    /// Whether a rule is switched off; never outside tests.
    pub(crate) fn bug(&self, bug: KnownBug) -> bool {
        self.settings.breaks(bug)
    }
}
