//! Replication, commitment, and changes of the configuration through a joint one.

use std::{collections::BTreeSet, sync::Arc};

use shoal_formation::{Configuration, ControlEntry, NodeId, effect::Change, facts::LogId};

use super::{Entry, Follower, HEARTBEAT, Part, Payload, Raft, RaftMessage, Time};

/// Entries in one message.
const BATCH: usize = 256;

impl Raft {
    /// Appends an entry to the own log.
    pub(super) fn write(&mut self, entry: Entry) {
        self.disk.log.push(entry);
        self.took_in(self.disk.log.len() as u64);
    }

    fn took_in(&mut self, index: u64) {
        match self.disk.entry(index).map(|entry| &entry.payload) {
            Some(Payload::Configuration(configuration)) => self.configuration = configuration.clone(),
            Some(Payload::Control(ControlEntry::Seal)) => self.seal = self.seal.or(Some(index)),
            _ => {}
        }
    }

    /// Knows everybody in the newest configuration, and nobody else.
    pub(super) fn follow_configuration(&mut self) {
        let others = self.others();
        self.followers.retain(|node, _| others.contains(node));
        let next = self.disk.log.len() as u64 + 1;
        for node in others {
            self.followers.entry(node).or_insert(Follower { next, matched: 0, heard: None });
        }
    }

    /// A leader's tick: it steps down if no majority has answered, and speaks to everybody.
    pub(super) fn beat(&mut self, now: Time, random: &mut fastrand::Rng) {
        let (own, since) = (self.node(), self.heard_leader);
        let alive =
            |node: NodeId| node == own || Self::within(now, self.followers.get(&node).and_then(|follower| follower.heard.or(Some(since))));
        if !self.configuration.has_quorum(alive) {
            let term = self.disk.term;
            return self.step_down(now, random, term);
        }
        self.due = now + HEARTBEAT;
        self.speak(now, random);
    }

    fn speak(&mut self, now: Time, random: &mut fastrand::Rng) {
        let nodes: Vec<NodeId> = self.followers.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.send_entries(node));
        self.commit_what_is(now, random);
    }

    fn send_entries(&mut self, node: NodeId) {
        let Some(follower) = self.followers.get(&node) else { return };
        let previous = follower.next - 1;
        let term = self.disk.term_at(previous).unwrap_or_default();
        let from = (previous as usize).min(self.disk.log.len());
        let to = (from + BATCH).min(self.disk.log.len());
        let entries: Arc<[Entry]> = self.disk.log[from..to].into();
        let message = RaftMessage::Append { term: self.disk.term, previous: LogId { term, index: previous }, entries, commit: self.commit };
        self.outbox.push((node, message));
    }

    /// Appends, if this node leads.
    pub fn propose(&mut self, now: Time, random: &mut fastrand::Rng, payload: Payload) -> Option<u64> {
        if !self.leads() {
            return None;
        }
        let term = self.disk.term;
        self.write(Entry { term, payload });
        self.follow_configuration();
        let index = self.disk.log.len() as u64;
        self.speak(now, random);
        Some(index)
    }

    /// Changes the configuration, if this node leads and the newest is the one that the change was decided on.
    pub fn change(&mut self, now: Time, random: &mut fastrand::Rng, change: &Change) {
        if change.instead_of != self.configuration.at || !self.configuration.is_uniform() || self.configuration.at.index > self.commit {
            return;
        }
        let voters_stay = change.voters == self.configuration.voters;
        let outgoing = if voters_stay { BTreeSet::new() } else { self.configuration.voters.clone() };
        // Who votes no more listens on until the change is through.
        let learners = change.learners.difference(&outgoing).copied().collect();
        self.propose_configuration(now, random, change.voters.clone(), outgoing, learners);
    }

    fn propose_configuration(
        &mut self,
        now: Time,
        random: &mut fastrand::Rng,
        voters: BTreeSet<NodeId>,
        outgoing: BTreeSet<NodeId>,
        learners: BTreeSet<NodeId>,
    ) {
        let at = LogId { term: self.disk.term, index: self.disk.log.len() as u64 + 1 };
        let configuration = Configuration { at, voters, outgoing, learners };
        self.propose(now, random, Payload::Configuration(Arc::new(configuration)));
    }

    /// Commits what a majority has, of its own term; and ends a joint change that is committed.
    fn commit_what_is(&mut self, now: Time, random: &mut fastrand::Rng) {
        if !self.leads() {
            return;
        }
        let before = self.commit;
        let own = self.node();
        for index in (before + 1..=self.disk.log.len() as u64).rev() {
            if self.disk.term_at(index) != Some(self.disk.term) {
                break;
            }
            let has = |node: NodeId| node == own || self.followers.get(&node).is_some_and(|follower| follower.matched >= index);
            if self.configuration.has_quorum(has) {
                self.commit = index;
                break;
            }
        }
        if self.commit == before || self.configuration.at.index > self.commit {
            return;
        }
        if !self.configuration.is_uniform() {
            let configuration = self.configuration.clone();
            self.propose_configuration(now, random, configuration.voters.clone(), BTreeSet::new(), configuration.learners.clone());
        } else if !self.configuration.votes(own) {
            // A leader that votes no more goes once that is committed, and says so first.
            let term = self.disk.term;
            let nodes: Vec<NodeId> = self.followers.keys().copied().collect();
            nodes.into_iter().for_each(|node| self.send_entries(node));
            self.step_down(now, random, term);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a message of raft, with who hears it when")]
    pub(super) fn append(
        &mut self,
        now: Time,
        random: &mut fastrand::Rng,
        from: NodeId,
        term: u64,
        previous: LogId,
        entries: &[Entry],
        commit: u64,
    ) {
        if term < self.disk.term {
            let last = self.disk.log.len() as u64;
            return self.outbox.push((from, RaftMessage::Appended { term: self.disk.term, matches: false, last }));
        }
        if term > self.disk.term || self.part != Part::Follower {
            self.step_down(now, random, term);
        }
        self.leader = Some(from);
        self.heard_leader = now;
        self.wait(now, random);
        if self.disk.term_at(previous.index) != Some(previous.term) {
            let last = (self.disk.log.len() as u64).min(previous.index.saturating_sub(1));
            return self.outbox.push((from, RaftMessage::Appended { term, matches: false, last }));
        }
        let mut cut = false;
        for (place, entry) in entries.iter().enumerate() {
            let index = previous.index + 1 + place as u64;
            match self.disk.term_at(index) {
                Some(had) if had == entry.term => continue,
                Some(_) => {
                    self.disk.log.truncate(index as usize - 1);
                    cut = true;
                }
                None => {}
            }
            self.disk.log.push(entry.clone());
            self.took_in(index);
        }
        if cut {
            self.configuration = self.disk.configuration();
            self.seal = self.disk.seal();
        }
        let matched = previous.index + entries.len() as u64;
        self.commit = self.commit.max(commit.min(matched));
        self.outbox.push((from, RaftMessage::Appended { term, matches: true, last: matched }));
    }

    pub(super) fn appended(&mut self, now: Time, random: &mut fastrand::Rng, from: NodeId, term: u64, matches: bool, last: u64) {
        if term > self.disk.term {
            return self.step_down(now, random, term);
        }
        if !self.leads() || term < self.disk.term {
            return;
        }
        let length = self.disk.log.len() as u64;
        let commit = self.commit;
        let Some(follower) = self.followers.get_mut(&from) else { return };
        follower.heard = Some(now);
        if matches {
            let news = last > follower.matched;
            follower.matched = follower.matched.max(last);
            follower.next = follower.matched + 1;
            if news {
                self.commit_what_is(now, random);
                let behind = self.followers.get(&from).is_some_and(|follower| follower.matched < length);
                if behind && self.leads() {
                    self.send_entries(from);
                }
                if self.commit > commit && self.leads() {
                    // So that everybody applies it now, not with the next heartbeat.
                    let nodes: Vec<NodeId> = self.followers.keys().copied().collect();
                    nodes.into_iter().for_each(|node| self.send_entries(node));
                }
            }
        } else {
            follower.next = (last + 1).min(follower.next.saturating_sub(1)).max(1);
            self.send_entries(from);
        }
    }
}
