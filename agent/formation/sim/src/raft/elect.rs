//! Elections: a pre-vote first, so that a member that was away does not disturb; and nobody votes while it hears a leader.

use shoal_formation::{NodeId, facts::LogId};

use super::{ELECTION, Entry, Part, Payload, Raft, RaftMessage, Time};

impl Raft {
    /// No leader was heard for too long.
    pub(super) fn campaign(&mut self, now: Time, random: &mut fastrand::Rng) {
        self.wait(now, random);
        self.leader = None;
        if !self.configuration.votes(self.node()) {
            self.part = Part::Follower;
            return;
        }
        self.part = Part::PreCandidate;
        self.ask(now, random, true);
    }

    fn ask(&mut self, now: Time, random: &mut fastrand::Rng, pre: bool) {
        self.votes = [self.node()].into();
        let (term, last) = (self.disk.term + u64::from(pre), self.disk.last());
        for node in self.others().into_iter().filter(|node| self.configuration.votes(*node)) {
            self.outbox.push((node, RaftMessage::Vote { pre, term, last }));
        }
        self.count(now, random);
    }

    fn count(&mut self, now: Time, random: &mut fastrand::Rng) {
        if !self.configuration.has_quorum(|node| self.votes.contains(&node)) {
            return;
        }
        match self.part {
            Part::PreCandidate => {
                self.part = Part::Candidate;
                self.disk.term += 1;
                self.disk.voted = Some(self.node());
                self.ask(now, random, false);
            }
            Part::Candidate => self.lead(now, random),
            Part::Follower | Part::Leader => {}
        }
    }

    fn lead(&mut self, now: Time, random: &mut fastrand::Rng) {
        self.part = Part::Leader;
        self.leader = Some(self.node());
        self.heard_leader = now;
        self.followers.clear();
        self.follow_configuration();
        let term = self.disk.term;
        self.write(Entry { term, payload: Payload::Blank });
        self.beat(now, random);
    }

    pub(super) fn asked_for_vote(&mut self, now: Time, random: &mut fastrand::Rng, from: NodeId, pre: bool, term: u64, last: LogId) {
        // Heard from its leader, or leads itself: whoever asks was away.
        let hears_leader = self.leads() || (self.leader.is_some() && now - self.heard_leader < ELECTION);
        let newer = last >= self.disk.last();
        if pre {
            let granted = !hears_leader && term > self.disk.term && newer;
            return self.outbox.push((from, RaftMessage::Voted { pre, term: if granted { term } else { self.disk.term }, granted }));
        }
        if hears_leader {
            return;
        }
        if term > self.disk.term {
            self.step_down(now, random, term);
        }
        let granted = term == self.disk.term && newer && self.disk.voted.is_none_or(|voted| voted == from);
        if granted {
            self.disk.voted = Some(from);
            self.wait(now, random);
        }
        self.outbox.push((from, RaftMessage::Voted { pre, term: self.disk.term, granted }));
    }

    pub(super) fn got_vote(&mut self, now: Time, random: &mut fastrand::Rng, from: NodeId, pre: bool, term: u64, granted: bool) {
        if !granted {
            if term > self.disk.term {
                self.step_down(now, random, term);
            }
            return;
        }
        let counts = match self.part {
            Part::PreCandidate => pre && term == self.disk.term + 1,
            Part::Candidate => !pre && term == self.disk.term,
            Part::Follower | Part::Leader => false,
        };
        if counts {
            self.votes.insert(from);
            self.count(now, random);
        }
    }
}
