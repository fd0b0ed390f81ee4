//! What goes wrong.

use shoal_formation::{Input, NodeId, Standing, control::Cause};

use crate::{boxes::Stick, world::World};

/// Something that goes wrong, or that people do.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Power is cut.
    Crash(usize),
    /// And comes back.
    PowerOn(usize),
    /// Power is cut at the so-manieth durable effect from now on, and comes back within a minute.
    CrashAt(usize, u32),
    /// Those in the set do not reach the others, by bits.
    Split(u64),
    /// One direction is cut.
    OneWay(usize, usize),
    /// One direction of multicasts is cut.
    Deaf(usize, usize),
    /// So many thousandths of packets, and of multicasts, are lost.
    Loss(u32, u32),
    /// The port goes down.
    LinkDown(usize),
    /// And comes up.
    LinkUp(usize),
    /// DHCP gives another address.
    Readdress(usize),
    /// The stick is rewritten while the box is off.
    Rewrite(usize),
    /// The sticks of two boxes are exchanged while both are off.
    SwapSticks(usize, usize),
    /// A person uses the cluster through this box.
    Use(usize),
    /// The operator removes the member in this box, through another one.
    Remove(usize, usize),
    /// All is mended, and everything that is off is switched on.
    Heal,
}

impl World {
    /// Does it.
    pub fn fault(&mut self, fault: Fault) {
        let now = self.now;
        self.trace.mix([now, 7, 0]);
        self.trace.line(now, |line| line.push_str(&format!("-- {fault:?}")));
        match fault {
            Fault::Crash(index) => self.crash(index),
            Fault::PowerOn(index) => self.power_on(index),
            Fault::CrashAt(index, effects) => {
                if let Some(process) = &mut self.boxes[index].process {
                    process.crash_at = Some(effects);
                }
            }
            Fault::Split(set) => self.split(set),
            Fault::OneWay(from, to) => self.network.set_cut(now, from, to, true),
            Fault::Deaf(from, to) => self.network.set_deaf(now, from, to, true),
            Fault::Loss(packets, multicasts) => {
                self.network.loss = packets;
                self.network.multicast_loss = multicasts;
                self.network.changed = now;
            }
            Fault::LinkDown(index) => self.set_cable(index, false),
            Fault::LinkUp(index) => self.set_cable(index, true),
            Fault::Readdress(index) => self.readdress(index),
            Fault::Rewrite(index) => self.rewrite(index),
            Fault::SwapSticks(a, b) => self.swap_sticks(a, b),
            Fault::Use(index) => self.use_cluster(index),
            Fault::Remove(index, through) => self.remove(index, through),
            Fault::Heal => self.heal(),
        }
    }

    /// Cuts those whose bits are set off from the others.
    pub fn split(&mut self, set: u64) {
        let now = self.now;
        for a in 0..self.boxes.len() {
            for b in 0..self.boxes.len() {
                let apart = (set >> a & 1) != (set >> b & 1);
                self.network.set_cut(now, a, b, apart);
            }
        }
    }

    /// Mends the network and switches on what is off.
    pub fn heal(&mut self) {
        self.network.heal(self.now);
        for index in 0..self.boxes.len() {
            if !self.boxes[index].cable {
                self.set_cable(index, true);
            }
            if let Some(process) = &mut self.boxes[index].process {
                process.crash_at = None;
            } else {
                self.power_on(index);
            }
        }
    }

    /// A box that is off gets a stick as it comes from `dd`.
    pub fn rewrite(&mut self, index: usize) {
        self.crash(index);
        let blank = self.blank_stick();
        let old = std::mem::replace(&mut self.boxes[index].stick, blank);
        self.loses(&old);
    }

    /// What the simulation does to a member's disk may cost a cluster its quorum.
    pub(crate) fn loses(&mut self, stick: &Stick) {
        if let shoal_formation::Role::Member(cluster, node) = stick.role
            && let Some(truth) = self.checks.truths.get_mut(&cluster)
        {
            truth.damaged = true;
            truth.destroyed.insert(node);
        }
    }

    /// Two boxes that are off get each other's stick.
    pub fn swap_sticks(&mut self, a: usize, b: usize) {
        if a == b || self.boxes[a].is_diskless() || self.boxes[b].is_diskless() {
            return;
        }
        self.crash(a);
        self.crash(b);
        let of_a = std::mem::replace(&mut self.boxes[a].stick, Stick::blank(0));
        self.boxes[a].stick = std::mem::replace(&mut self.boxes[b].stick, of_a);
    }

    /// A person wants a credential of the cluster that this box is in, if it is in one.
    pub fn use_cluster(&mut self, index: usize) {
        if let Some(Standing::Member(member)) = self.standing(index) {
            self.checks.used(member.cluster);
            self.tell(index, Input::SealWanted);
        }
    }

    /// The operator removes the member that is in one box, through the member that is in another.
    pub fn remove(&mut self, index: usize, through: usize) {
        self.remove_because(index, through, Cause::Operator);
    }

    /// The same, for a reason.
    pub fn remove_because(&mut self, index: usize, through: usize, cause: Cause) {
        if let Some((cluster, node)) = self.member_of(index)
            && self.member_of(through).is_some_and(|(other, _)| other == cluster)
        {
            self.tell(through, Input::RemoveWanted(node, cause));
        }
    }

    /// The operator retires a cluster: every member that is on is told.
    pub fn retire(&mut self, retired: shoal_formation::ClusterId, into: shoal_formation::ClusterId) {
        if let Some(truth) = self.checks.truths.get_mut(&retired) {
            truth.retired = true;
        }
        for index in 0..self.boxes.len() {
            if self.member_of(index).is_some_and(|(cluster, _)| cluster == retired) {
                self.tell(index, Input::Retired(into));
            }
        }
    }

    /// Which member a box's stick is, on or off.
    #[must_use]
    pub fn member_of(&self, index: usize) -> Option<(shoal_formation::ClusterId, NodeId)> {
        match self.boxes[index].stick.role {
            shoal_formation::Role::Member(cluster, node) => Some((cluster, node)),
            _ => None,
        }
    }
}
