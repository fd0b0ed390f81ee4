//! The world: boxes on a segment, and time, which jumps from one event to the next.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use shoal_formation::{
    BootId, ClusterId, Identity, Incarnation, Input, Message, NodeId, NodeKey, Peer, Settings, Standing, settings::VoterLabel,
};

use crate::{
    boxes::{Computer, Process, Stick},
    faults::Fault,
    invariants::Checks,
    network::{BOXES, Network},
    raft::{RaftMessage, Time},
    trace::Trace,
};

mod sessions;

use sessions::RECONNECT;

/// A second.
pub const SECOND: Time = 1_000_000;

/// A minute.
pub const MINUTE: Time = 60 * SECOND;

/// What changed on the network so long ago has been noticed by those who have met: a hello, and some.
const CALM: Time = 5 * SECOND;

/// What travels in a session.
#[derive(Debug, Clone)]
pub(crate) enum Parcel {
    Core(Message),
    Raft(ClusterId, NodeId, NodeId, RaftMessage),
}

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum Event {
    Boot(usize),
    Lease(usize, u32),
    Deliver { from: usize, sender: Peer, address: u32, to: Peer, parcel: Parcel },
    Wake(usize, u32),
    RaftWake(usize, u32),
    Done(usize, u32),
    Beacon(usize, u32),
    Connect(usize, u32, u32),
    Reconnect(usize, u32),
    Fault(Fault),
}

/// See the module.
#[derive(Debug)]
pub struct World {
    /// Since the beginning.
    pub now: Time,
    /// All boxes.
    pub boxes: Vec<Computer>,
    /// The segment.
    pub network: Network,
    /// What must hold.
    pub checks: Checks,
    /// What happened.
    pub trace: Trace,
    pub(crate) random: fastrand::Rng,
    queue: BinaryHeap<Reverse<(Time, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    sequence: u64,
    pub(crate) addresses: BTreeMap<u32, usize>,
    next_address: u32,
    next_serial: u32,
}

impl World {
    /// An empty one. The seed decides everything that is random.
    #[must_use]
    pub fn new(seed: u64, lines: bool) -> Self {
        Self {
            now: 0,
            boxes: Vec::new(),
            network: Network::default(),
            checks: Checks::default(),
            trace: Trace::new(lines),
            random: fastrand::Rng::with_seed(seed),
            queue: BinaryHeap::new(),
            events: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            addresses: BTreeMap::new(),
            next_address: 1,
            next_serial: 1,
        }
    }

    /// A box with a blank stick, switched off.
    pub fn add_box(&mut self, settings: Settings) -> usize {
        let index = self.boxes.len();
        assert!(index < BOXES, "at most {BOXES} boxes");
        let stick = self.blank_stick();
        let (sync, dhcp) = (self.random.u64(1000..30_000), self.random.u64(SECOND / 10..5 * SECOND));
        let settings = Settings { hint: shoal_formation::HardwareHint(index as u64 + 1), ..settings };
        self.boxes.push(Computer { stick, settings, process: None, life: 0, address: 0, cable: true, sync, dhcp, leaderless: None });
        self.readdress(index);
        index
    }

    /// A stick as it comes from `dd`.
    pub fn blank_stick(&mut self) -> Stick {
        self.next_serial += 1;
        Stick::blank(self.next_serial)
    }

    /// A copy of a stick, byte by byte.
    pub fn copy_of(&mut self, stick: &Stick) -> Stick {
        self.next_serial += 1;
        Stick { serial: self.next_serial, ..stick.clone() }
    }

    /// Gives a box an address that nobody has had.
    pub fn readdress(&mut self, index: usize) {
        self.addresses.remove(&self.boxes[index].address);
        self.boxes[index].address = self.next_address;
        self.addresses.insert(self.next_address, index);
        self.next_address += 1;
    }

    /// Two boxes get each other's address.
    pub fn swap_addresses(&mut self, a: usize, b: usize) {
        let (of_a, of_b) = (self.boxes[a].address, self.boxes[b].address);
        self.boxes[a].address = of_b;
        self.boxes[b].address = of_a;
        self.addresses.insert(of_a, b);
        self.addresses.insert(of_b, a);
        self.network.changed = self.now;
    }

    pub(crate) fn schedule(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[slot] = Some(event);
        self.queue.push(Reverse((at.max(self.now), self.sequence, slot)));
    }

    /// Something goes wrong, or is mended, at some time.
    pub fn schedule_fault(&mut self, at: Time, fault: Fault) {
        self.schedule(at, Event::Fault(fault));
    }

    /// Whether something did not hold.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.checks.violation.is_some()
    }

    /// Lets time pass until then, or until something does not hold.
    pub fn run_until(&mut self, end: Time) {
        while let Some(Reverse((at, _, _))) = self.queue.peek()
            && *at <= end
            && !self.is_broken()
        {
            self.step();
        }
        if !self.is_broken() {
            self.now = end;
        }
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Time) {
        self.run_until(self.now + time);
    }

    /// Lets time pass until something is so, at most until then. Returns whether it is.
    pub fn run_until_so(&mut self, end: Time, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        // What is due now, boxes that are being switched on for one, comes before the first look.
        self.run_until(self.now);
        while !self.is_broken() {
            if is_so(self) {
                return true;
            }
            let next = (self.now / SECOND + 1) * SECOND;
            if next > end {
                return false;
            }
            self.run_until(next);
        }
        false
    }

    fn step(&mut self) {
        let Some(Reverse((at, _, slot))) = self.queue.pop() else { return };
        self.now = at;
        self.free.push(slot);
        let Some(event) = self.events[slot].take() else { return };
        match event {
            Event::Boot(index) => self.boot(index),
            Event::Lease(index, life) if self.is_live(index, life) => self.leased(index),
            Event::Deliver { from, sender, address, to, parcel } => self.deliver(from, sender, address, to, parcel),
            Event::Wake(index, life) if self.is_live(index, life) => self.woken(index),
            Event::RaftWake(index, life) if self.is_live(index, life) => self.raft_woken(index),
            Event::Done(index, life) if self.is_live(index, life) => self.done(index),
            Event::Beacon(index, life) if self.is_live(index, life) => self.beacon(index),
            Event::Connect(index, life, address) if self.is_live(index, life) => self.connect(index, address),
            Event::Reconnect(index, life) if self.is_live(index, life) => self.reconnect(index),
            Event::Fault(fault) => self.fault(fault),
            _ => {}
        }
    }

    fn is_live(&self, index: usize, life: u32) -> bool {
        self.boxes[index].life == life && self.boxes[index].process.is_some()
    }

    /// Fresh random identity.
    pub(crate) fn mint(&mut self) -> Identity {
        let mut key = [0; 32];
        self.random.fill(&mut key);
        Identity { key: NodeKey(key), incarnation: Incarnation(self.random.u64(..)) }
    }

    pub(crate) fn random_cluster(&mut self) -> ClusterId {
        ClusterId(self.random.u128(..))
    }

    /// Switches a box on.
    pub fn power_on(&mut self, index: usize) {
        self.schedule(self.now, Event::Boot(index));
    }

    /// Switches a box on later.
    pub fn power_on_at(&mut self, index: usize, at: Time) {
        self.schedule(at, Event::Boot(index));
    }

    fn boot(&mut self, index: usize) {
        if self.boxes[index].process.is_some() {
            return;
        }
        if self.boxes[index].is_diskless() {
            let stick = self.blank_stick();
            self.boxes[index].stick = stick;
        }
        if self.boxes[index].stick.identity.is_none() {
            let identity = self.mint();
            self.boxes[index].stick.identity = Some(identity);
        }
        let (boot, cluster) = (BootId(self.random.u64(..)), self.random_cluster());
        let now = self.now;
        let computer = &mut self.boxes[index];
        let Some(identity) = computer.stick.identity else { return };
        let disk = computer.stick.disk(identity, &computer.settings);
        let (core, effects) =
            shoal_formation::Formation::start(shoal_formation::Now::default(), computer.settings.clone(), disk, boot, cluster);
        computer.life += 1;
        let life = computer.life;
        computer.process = Some(Process {
            core,
            raft: None,
            started: now,
            boot,
            effects: effects.into(),
            current: None,
            inbox: Default::default(),
            routes: BTreeMap::new(),
            members: BTreeMap::new(),
            wake_at: Time::MAX,
            raft_at: Time::MAX,
            raft_changed: false,
            facts: Default::default(),
            crash_at: None,
            leased: false,
            announced: None,
            beacons: 0,
            standing_since: now,
            standing: None,
        });
        let (cable, dhcp) = (computer.cable, computer.dhcp);
        self.network.changed = now;
        self.trace.mix([now, 1, index as u64]);
        self.trace.line(now, |line| line.push_str(&format!("box {index} starts as {} {boot:?}", identity.key)));
        if cable {
            self.schedule(now + dhcp, Event::Lease(index, life));
        }
        self.work(index);
    }

    /// Cuts a box's power. What it was just writing may be there or not.
    pub fn crash(&mut self, index: usize) {
        let kept = self.random.bool();
        let now = self.now;
        let Some(mut process) = self.boxes[index].process.take() else { return };
        self.boxes[index].life += 1;
        self.network.changed = now;
        self.trace.mix([now, 2, index as u64]);
        self.trace.line(now, |line| {
            line.push_str(&format!("box {index} loses power{}", if process.current.is_some() { " while writing" } else { "" }))
        });
        self.put_back_raft(index, &mut process);
        if let Some(effect) = process.current.take()
            && kept
        {
            self.write(index, &effect);
        }
        if self.boxes[index].is_diskless() {
            let stick = self.boxes[index].stick.clone();
            self.loses(&stick);
        }
    }

    /// Raft's directory is the stick's again.
    pub(crate) fn put_back_raft(&mut self, index: usize, process: &mut Process) {
        if let Some(raft) = process.raft.take() {
            // A checkpoint may be older than what was applied.
            let behind = self.random.u64(0..4);
            let checkpoint = raft.applied.saturating_sub(behind).max(raft.disk.checkpoint);
            self.boxes[index].stick.raft = Some(crate::raft::RaftDisk { checkpoint, ..raft.disk });
        }
    }

    /// Plugs the cable in, or switches the switch's port on; or the reverse.
    pub fn set_cable(&mut self, index: usize, cable: bool) {
        let now = self.now;
        self.network.changed = now;
        self.boxes[index].cable = cable;
        let (life, dhcp) = (self.boxes[index].life, self.boxes[index].dhcp);
        if cable {
            self.schedule(now + dhcp, Event::Lease(index, life));
        } else if let Some(process) = &mut self.boxes[index].process {
            process.leased = false;
            self.tell(index, Input::Link(false));
        }
    }

    fn leased(&mut self, index: usize) {
        let life = self.boxes[index].life;
        if !self.boxes[index].cable {
            return;
        }
        let Some(process) = &mut self.boxes[index].process else { return };
        if process.leased {
            return;
        }
        process.leased = true;
        process.beacons = 0;
        self.network.changed = self.now;
        self.checks.last_link = self.now;
        self.schedule(self.now, Event::Beacon(index, life));
        self.schedule(self.now + RECONNECT / 4, Event::Reconnect(index, life));
        self.tell(index, Input::Link(true));
    }

    /// Whether a packet that one sends reaches the other.
    #[must_use]
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        let has_link = |index: usize| {
            let computer = &self.boxes[index];
            computer.cable && computer.process.as_ref().is_some_and(|process| process.leased)
        };
        has_link(from) && has_link(to) && self.network.passes(from, to)
    }

    /// How many boxes that could vote are members of this cluster, if nothing has changed for a while and everybody who is on reaches everybody else.
    pub(crate) fn present(&self, cluster: ClusterId) -> Option<usize> {
        let has_link = |computer: &Computer| computer.process.as_ref().is_none_or(|process| process.leased);
        let calm = self.now >= self.network.changed + CALM && self.network.is_whole() && self.boxes.iter().all(has_link);
        let is_present = |computer: &&Computer| {
            let member = matches!(computer.stick.role, shoal_formation::Role::Member(of, _) if of == cluster);
            member && computer.process.is_some() && !computer.is_diskless() && computer.settings.traits.label != VoterLabel::Never
        };
        calm.then(|| self.boxes.iter().filter(is_present).count())
    }

    /// The standing of a box that is on.
    #[must_use]
    pub fn standing(&self, index: usize) -> Option<Standing> {
        self.boxes[index].process.as_ref()?.core.standing()
    }
}
