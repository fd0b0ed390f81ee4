//! What must hold, whatever goes wrong. One file for each claim. They look at what the boxes have done, from outside; no core is asked what it thinks.

pub mod barrier;
pub mod blanks_wait;
pub mod forgetful;
pub mod histories;
pub mod leaving;
pub mod liveness;
pub mod node_ids;
pub mod one_sealed;
pub mod past_lives;
pub mod seal_or_dissolve;
pub mod sealed_stays;
pub mod truth;
pub mod voters;

use std::collections::BTreeMap;

use shoal_formation::{Alarm, ClusterId, Effect, NodeId, Record, Role, disk::Leaving};

use crate::{
    boxes::{Computer, Process},
    raft::{Entry, RaftDisk, Time},
};
use past_lives::PastLives;
use truth::Truth;

/// Everything that is checked, and what is known for it.
#[derive(Debug, Default)]
pub struct Checks {
    /// What did not hold, and what it was.
    pub violation: Option<String>,
    /// Whatever the boxes have raised: when, which box, what.
    pub alarms: Vec<(Time, usize, Alarm)>,
    /// What is committed, by cluster.
    pub truths: BTreeMap<ClusterId, Truth>,
    /// When the last box got an address.
    pub last_link: Time,
    /// How often something happened.
    pub counts: Counts,
    owners: node_ids::Owners,
    past_lives: PastLives,
}

/// How often something happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Clusters that were founded.
    pub founded: u64,
    /// Clusters that have dissolved.
    pub dissolved: u64,
    /// Clusters that were sealed.
    pub sealed: u64,
    /// Members that left because there was no leader.
    pub abandoned: u64,
    /// Members that left because so many had.
    pub closed: u64,
    /// Members that were removed.
    pub removed: u64,
    /// Nodes that were let in.
    pub admitted: u64,
    /// Changes of the voters.
    pub voters_changed: u64,
}

impl Checks {
    fn hold(&mut self, held: Result<(), String>) {
        if let Err(what) = held {
            self.violation.get_or_insert(what);
        }
    }

    /// A core has handled something.
    pub(crate) fn after_input(&mut self, index: usize, process: &Process) {
        self.hold(seal_or_dissolve::state(index, process.core.control()));
    }

    /// A member of one box takes a message from a member of another.
    pub(crate) fn raft_heard(&mut self, from: (usize, ClusterId), to: (usize, ClusterId)) {
        self.hold(histories::heard(from, to));
    }

    /// A member takes an entry for committed. If all has been calm, so many of the cluster are there.
    pub(crate) fn committed(&mut self, now: Time, present: Option<usize>, index: usize, cluster: ClusterId, at: u64, entry: &Entry) {
        let truth = self.truths.entry(cluster).or_default();
        let known = truth.committed.len() as u64;
        if at <= known {
            let held = histories::agrees(index, cluster, at, entry, &truth.committed[at as usize - 1]);
            return self.hold(held);
        }
        if at > known + 1 {
            return self
                .hold(Err(format!("box {index} takes entry {at} of {cluster} for committed, and nobody has committed {}", known + 1)));
        }
        let held = voters::committed(now, cluster, truth, entry).and_then(|()| barrier::committed(now, present, cluster, truth, entry));
        let event = truth.commit(now, at, entry);
        self.counts.count(event);
        self.hold(held);
        let held = seal_or_dissolve::committed(cluster, &self.truths[&cluster]);
        self.hold(held);
        if event == truth::News::Sealed {
            self.hold(one_sealed::sealed(&self.truths));
        }
    }

    /// Raft starts as a member.
    pub(crate) fn raft_starts(&mut self, index: usize, cluster: ClusterId, node: NodeId, disk: &RaftDisk) {
        self.hold(histories::starts(index, cluster, node, disk));
        self.hold(self.past_lives.starts(index, cluster, node));
    }

    /// Something becomes durable.
    pub(crate) fn write(&mut self, now: Time, network_changed: Time, index: usize, effect: &Effect, boxes: &[Computer]) {
        match effect {
            Effect::Persist(Record::Role(Role::Founding(_))) => self.hold(blanks_wait::founds(now, network_changed, index, boxes)),
            Effect::Persist(Record::Role(Role::Member(cluster, node))) => {
                let held = self.owners.owns(index, boxes[index].stick.serial, *cluster, *node);
                self.hold(held);
            }
            Effect::Persist(Record::Role(Role::Leaving(leaving))) => self.leaves(now, index, leaving, boxes),
            Effect::Persist(Record::PastLives(lives)) => self.past_lives.said(lives),
            Effect::WipeRaft => {
                if let Some(disk) = &boxes[index].stick.raft {
                    let truth = self.truths.get(&disk.cluster);
                    self.hold(sealed_stays::wiped(index, disk, truth));
                }
            }
            _ => {}
        }
    }

    fn leaves(&mut self, now: Time, index: usize, leaving: &Leaving, boxes: &[Computer]) {
        let stick = &boxes[index].stick;
        let Role::Member(cluster, node) = stick.role else { return };
        let Some(truth) = self.truths.get_mut(&cluster) else { return };
        let leaderless = boxes[index].leaderless;
        let held = leaving::leaves(now, index, (cluster, node), leaving, truth, leaderless);
        truth.left.insert(node);
        match leaving.statement.as_ref().map(|statement| statement.get().reason) {
            Some(shoal_formation::statement::Reason::Abandoned) => self.counts.abandoned += 1,
            Some(shoal_formation::statement::Reason::Closed) => self.counts.closed += 1,
            Some(shoal_formation::statement::Reason::Dissolved(_)) => {}
            None => self.counts.removed += 1,
        }
        let stays = sealed_stays::left(cluster, &self.truths[&cluster]);
        self.hold(held);
        self.hold(stays);
    }

    /// A person uses the cluster that a box is in.
    pub fn used(&mut self, cluster: ClusterId) {
        self.truths.entry(cluster).or_default().used = true;
    }
}

impl Counts {
    fn count(&mut self, news: truth::News) {
        match news {
            truth::News::Founded => self.founded += 1,
            truth::News::Dissolved => self.dissolved += 1,
            truth::News::Sealed => self.sealed += 1,
            truth::News::Admitted => self.admitted += 1,
            truth::News::Voters => self.voters_changed += 1,
            truth::News::None => {}
        }
    }

    /// These and those.
    pub fn add(&mut self, other: &Self) {
        self.founded += other.founded;
        self.dissolved += other.dissolved;
        self.sealed += other.sealed;
        self.abandoned += other.abandoned;
        self.closed += other.closed;
        self.removed += other.removed;
        self.admitted += other.admitted;
        self.voters_changed += other.voters_changed;
    }
}
