//! What a box does for its core. What is durable takes time, and power may be cut before, in the middle, and after.

use shoal_formation::{Effect, Input, NodeId, Record, effect::Begin};

use crate::{
    boxes::Process,
    raft::{Raft, RaftDisk, Time},
    world::{Event, Parcel, World},
};

/// Whether power cuts before or after this make a difference.
const fn is_durable(effect: &Effect) -> bool {
    matches!(effect, Effect::Persist(_) | Effect::WipeRaft | Effect::Mint | Effect::StartRaft(..) | Effect::StopRaft)
}

impl World {
    /// Begins an effect, and does it if it takes no time.
    pub(crate) fn begin(&mut self, index: usize, effect: Effect) {
        let now = self.now;
        if is_durable(&effect)
            && let Some(process) = &mut self.boxes[index].process
            && let Some(left) = &mut process.crash_at
        {
            if *left == 0 {
                self.trace.line(now, |line| line.push_str(&format!("box {index} was about to {effect:?}")));
                process.current = Some(effect);
                return self.crash_and_come_back(index);
            }
            *left -= 1;
        }
        let computer = &mut self.boxes[index];
        let Some(process) = &mut computer.process else { return };
        match effect {
            Effect::Send(to, message) => self.send(index, to, Parcel::Core(message)),
            Effect::Persist(_) | Effect::WipeRaft | Effect::Mint | Effect::StopRaft => {
                process.current = Some(effect);
                let takes = computer.sync / 2 + self.random.u64(0..computer.sync);
                let life = computer.life;
                self.schedule(now + takes, Event::Done(index, life));
            }
            Effect::StartRaft(cluster, node, begin) => {
                let disk = computer.stick.raft.take();
                process.members.clear();
                process.facts = Default::default();
                computer.leaderless = Some(now);
                let raft = match (begin, disk) {
                    (Begin::Resume, Some(disk)) => Raft::start(disk, now, &mut self.random),
                    (Begin::Resume, None) => Raft::start(RaftDisk::blank(cluster, node), now, &mut self.random),
                    (Begin::Found, _) => Raft::found(cluster, now, &mut self.random),
                };
                self.checks.raft_starts(index, cluster, node, &raft.disk);
                process.raft = Some(raft);
                process.raft_changed = true;
            }
            Effect::Propose(entry) => {
                self.trace.line(now, |line| line.push_str(&format!("box {index} proposes {entry:?}")));
                let Process { raft, raft_changed, .. } = process;
                if let Some(raft) = raft {
                    raft.propose(now, &mut self.random, crate::raft::Payload::Control(entry));
                    *raft_changed = true;
                }
            }
            Effect::ChangeConfiguration(change) => {
                let voters: Vec<NodeId> = change.voters.iter().copied().collect();
                self.trace.line(now, |line| {
                    line.push_str(&format!("box {index} changes the configuration to {voters:?}, {:?}", change.learners))
                });
                let Process { raft, raft_changed, .. } = process;
                if let Some(raft) = raft {
                    raft.change(now, &mut self.random, &change);
                    *raft_changed = true;
                }
            }
            Effect::Announce(standing) => {
                process.announced = Some(standing);
                process.standing = Some(standing);
                process.standing_since = now;
                self.trace.mix([now, 6, index as u64]);
                self.trace.line(now, |line| line.push_str(&format!("box {index} is {standing:?}")));
            }
            Effect::Raise(alarm) => {
                self.trace.line(now, |line| line.push_str(&format!("box {index} raises an alarm: {alarm}")));
                self.checks.alarms.push((now, index, alarm));
            }
        }
    }

    /// Something that takes time is done.
    pub(crate) fn done(&mut self, index: usize) {
        let Some(process) = &mut self.boxes[index].process else { return };
        let Some(effect) = process.current.take() else { return };
        match effect {
            Effect::StopRaft => {
                let started = process.started;
                let facts = process
                    .raft
                    .as_ref()
                    .map(|raft| raft.facts(|at: Time| shoal_formation::Now::at(crate::raft::duration(at.saturating_sub(started)))));
                let Some(mut process) = self.boxes[index].process.take() else { return };
                self.put_back_raft(index, &mut process);
                process.inbox.push_back(Input::RaftStopped(facts.unwrap_or_default()));
                self.boxes[index].process = Some(process);
            }
            Effect::Mint => {
                let (identity, cluster) = (self.mint(), self.random_cluster());
                self.boxes[index].stick.identity = Some(identity);
                self.boxes[index].stick.epoch = 0;
                self.trace.line(self.now, |line| line.push_str(&format!("box {index} is now {}", identity.key)));
                if let Some(process) = &mut self.boxes[index].process {
                    process.inbox.push_front(Input::Minted(identity, cluster));
                }
            }
            effect => self.write(index, &effect),
        }
        self.work(index);
    }

    /// Makes an effect durable.
    pub(crate) fn write(&mut self, index: usize, effect: &Effect) {
        let now = self.now;
        self.checks.write(now, self.network.changed, index, effect, &self.boxes);
        let cut = self.boxes[index].process.is_none();
        let stick = &mut self.boxes[index].stick;
        match effect {
            Effect::Persist(Record::Epoch(epoch)) => stick.epoch = *epoch,
            Effect::Persist(Record::Role(role)) => {
                self.trace.line(now, |line| line.push_str(&format!("box {index} has written {role:?}")));
                stick.role = role.clone();
            }
            Effect::Persist(Record::PastLives(past_lives)) => stick.past_lives.clone_from(past_lives),
            Effect::Persist(Record::Floors(floors)) => stick.floors.clone_from(floors),
            Effect::WipeRaft => stick.raft = None,
            // Power was cut after the new identity was there, and before anybody was told.
            Effect::Mint if cut => {
                let identity = self.mint();
                self.boxes[index].stick.identity = Some(identity);
                self.boxes[index].stick.epoch = 0;
            }
            _ => {}
        }
    }

    fn crash_and_come_back(&mut self, index: usize) {
        self.crash(index);
        let after = self.random.u64(crate::world::SECOND..crate::world::MINUTE);
        self.schedule(self.now + after, Event::Boot(index));
    }
}
