//! A box's shell: one input after the other into the core, and its effects in order; raft runs beside it.

use shoal_formation::{ClusterId, ControlEntry, Input, NodeId, Peer};

use crate::{
    raft::{Payload, RaftMessage, Time},
    world::{Event, Parcel, World},
};

impl World {
    /// Something happened to a box.
    pub(crate) fn tell(&mut self, index: usize, input: Input) {
        if let Some(process) = &mut self.boxes[index].process {
            process.inbox.push_back(input);
            self.work(index);
        }
    }

    /// Does whatever can be done at once.
    pub(crate) fn work(&mut self, index: usize) {
        loop {
            let now = self.now;
            let Some(process) = &mut self.boxes[index].process else { return };
            if process.raft_changed {
                process.raft_changed = false;
                self.after_raft(index);
            } else if process.current.is_some() {
                break;
            } else if let Some(effect) = process.effects.pop_front() {
                self.begin(index, effect);
            } else if let Some(input) = process.inbox.pop_front() {
                let clock = process.clock(now);
                process.effects = process.core.handle(clock, input).into();
                self.checks.after_input(index, process);
            } else {
                break;
            }
            if self.is_broken() {
                return;
            }
        }
        self.schedule_wakes(index);
    }

    fn schedule_wakes(&mut self, index: usize) {
        let now = self.now;
        let life = self.boxes[index].life;
        let Some(process) = &mut self.boxes[index].process else { return };
        let mut wakes = [None, None];
        if process.current.is_none()
            && let Some(deadline) = process.core.deadline()
        {
            let at = (process.started + deadline.since_zero().as_micros() as Time).max(now + 1);
            if at < process.wake_at {
                process.wake_at = at;
                wakes[0] = Some((at, Event::Wake(index, life)));
            }
        }
        if let Some(raft) = &process.raft
            && raft.due < process.raft_at
        {
            process.raft_at = raft.due;
            wakes[1] = Some((raft.due, Event::RaftWake(index, life)));
        }
        for (at, event) in wakes.into_iter().flatten() {
            self.schedule(at, event);
        }
    }

    pub(crate) fn woken(&mut self, index: usize) {
        let now = self.now;
        let Some(process) = &mut self.boxes[index].process else { return };
        if process.wake_at > now {
            return;
        }
        process.wake_at = Time::MAX;
        let is_due = process.core.deadline().is_some_and(|deadline| deadline <= process.clock(now));
        if is_due && process.current.is_none() {
            self.trace.mix([now, 4, index as u64]);
            self.tell(index, Input::Wake);
        } else {
            self.schedule_wakes(index);
        }
    }

    pub(crate) fn raft_woken(&mut self, index: usize) {
        let now = self.now;
        let Some(process) = &mut self.boxes[index].process else { return };
        if process.raft_at > now {
            return;
        }
        process.raft_at = Time::MAX;
        if let Some(raft) = &mut process.raft
            && raft.due <= now
        {
            raft.wake(now, &mut self.random);
            process.raft_changed = true;
        }
        self.work(index);
    }

    #[expect(clippy::too_many_arguments, reason = "an envelope")]
    pub(crate) fn raft_heard(
        &mut self,
        from: usize,
        index: usize,
        sender: Peer,
        cluster: ClusterId,
        node: NodeId,
        own: NodeId,
        message: RaftMessage,
    ) {
        let now = self.now;
        let Some(process) = &mut self.boxes[index].process else { return };
        let Some(raft) = &mut process.raft else { return };
        if raft.node() != own || !process.core.hears(cluster, node, sender) {
            return;
        }
        self.checks.raft_heard((from, cluster), (index, raft.disk.cluster));
        process.members.insert(node, sender);
        raft.hear(now, &mut self.random, node, message);
        process.raft_changed = true;
        self.work(index);
    }

    /// What raft has done goes out: messages, facts, entries.
    fn after_raft(&mut self, index: usize) {
        let now = self.now;
        let computer = &mut self.boxes[index];
        let Some(process) = &mut computer.process else { return };
        let Some(raft) = &mut process.raft else { return };
        let (cluster, own) = (raft.disk.cluster, raft.node());
        let mut outgoing = Vec::with_capacity(raft.outbox.len());
        for (node, message) in raft.outbox.drain(..) {
            let session = raft.disk.key_of(node).and_then(|key| process.core.session(key));
            if let Some(peer) = session.or_else(|| process.members.get(&node).copied()) {
                outgoing.push((peer, Parcel::Raft(cluster, own, node, message)));
            }
        }
        let started = process.started;
        let changed = {
            let facts = &process.facts;
            (facts.term, facts.last, facts.committed, facts.leader, facts.seal, facts.configuration.at)
                != (raft.disk.term, raft.disk.last(), raft.commit, raft.leader, raft.disk_seal(), raft.configuration_at())
        };
        if changed || raft.leads() {
            let facts = raft.facts(|at| shoal_formation::Now::at(crate::raft::duration(at.saturating_sub(started))));
            if facts != process.facts {
                process.facts = facts.clone();
                process.inbox.push_back(Input::Raft(facts));
            }
        }
        let leaderless = raft.leader.is_none();
        computer.leaderless = if leaderless { computer.leaderless.or(Some(now)) } else { None };
        let lifts = |raft: &crate::raft::Raft| {
            let new = raft.applied + 1..=raft.commit;
            new.into_iter().any(|at| raft.disk.entry(at).is_some_and(|entry| entry.payload == Payload::Control(ControlEntry::Born)))
        };
        let present = if lifts(raft) { self.present(cluster) } else { None };
        let Some(raft) = self.boxes[index].process.as_mut().and_then(|process| process.raft.as_mut()) else { return };
        let mut applied = Vec::new();
        while raft.applied < raft.commit {
            raft.applied += 1;
            let Some(entry) = raft.disk.entry(raft.applied) else { break };
            self.checks.committed(now, present, index, cluster, raft.applied, entry);
            if let Payload::Control(control) = &entry.payload {
                let control: ControlEntry = *control;
                self.trace.mix([now, 5, raft.applied]);
                self.trace.line(now, |line| line.push_str(&format!("box {index} applies {} of {cluster}: {control:?}", raft.applied)));
                applied.push(Input::Committed(raft.applied, control));
            }
        }
        if let Some(process) = &mut self.boxes[index].process {
            process.inbox.extend(applied);
        }
        for (peer, parcel) in outgoing {
            self.send(index, peer, parcel);
        }
    }
}
