//! A box, the stick in it, and the process that runs from that stick.

use std::collections::{BTreeMap, VecDeque};

use shoal_formation::{
    BootId, Disk, Effect, Formation, HardwareHint, Identity, Input, NodeId, Now, Peer, RaftFacts, Role, Settings, Standing,
    disk::Floor,
    settings::Medium,
    statement::{PastLife, Verified},
};

use crate::raft::{Raft, RaftDisk, Time, duration};

/// What a stick holds.
#[derive(Debug, Clone)]
pub struct Stick {
    /// Not on the stick: tells copies from originals.
    pub serial: u32,
    /// None before the first boot.
    pub identity: Option<Identity>,
    /// How often this identity has booted.
    pub epoch: u64,
    /// What the node is.
    pub role: Role,
    /// What it was.
    pub past_lives: Vec<Verified<PastLife>>,
    /// What it has heard of others.
    pub floors: BTreeMap<NodeId, Floor>,
    /// Raft's directory.
    pub raft: Option<RaftDisk>,
    /// Addresses at which others were.
    pub book: Vec<u32>,
}

impl Stick {
    /// As it comes from `dd`.
    #[must_use]
    pub const fn blank(serial: u32) -> Self {
        Self {
            serial,
            identity: None,
            epoch: 0,
            role: Role::Virgin,
            past_lives: Vec::new(),
            floors: BTreeMap::new(),
            raft: None,
            book: Vec::new(),
        }
    }

    /// What the process that starts from it finds.
    #[must_use]
    pub fn disk(&self, identity: Identity, settings: &Settings) -> Disk {
        Disk {
            identity,
            epoch: self.epoch,
            role: self.role.clone(),
            past_lives: self.past_lives.clone(),
            floors: self.floors.clone(),
            raft: self.raft.as_ref().map(|raft| raft.facts(settings)),
        }
    }
}

/// A box.
#[derive(Debug)]
pub struct Computer {
    /// What it boots from.
    pub stick: Stick,
    /// What it and its image say.
    pub settings: Settings,
    /// If it is on.
    pub process: Option<Process>,
    /// Counts processes, so that what was meant for an earlier one is dropped.
    pub life: u32,
    /// What DHCP gave it last.
    pub address: u32,
    /// The switch forwards what it sends.
    pub cable: bool,
    /// How long a sync takes, in microseconds.
    pub sync: Time,
    /// How long DHCP takes.
    pub dhcp: Time,
    /// Since when its member has no leader, also while it is off.
    pub leaderless: Option<Time>,
}

impl Computer {
    /// Whether it keeps nothing.
    #[must_use]
    pub fn is_diskless(&self) -> bool {
        self.settings.traits.medium == Medium::Memory
    }

    /// The hardware.
    #[must_use]
    pub const fn hint(&self) -> HardwareHint {
        self.settings.hint
    }
}

/// A process, from a start to a crash.
#[derive(Debug)]
pub struct Process {
    /// The real core.
    pub core: Formation,
    /// The model of raft, while it runs.
    pub raft: Option<Raft>,
    /// When it started: the zero of its clock.
    pub started: Time,
    /// This process.
    pub boot: BootId,
    /// What is still to be done.
    pub effects: VecDeque<Effect>,
    /// What takes time and is being done.
    pub current: Option<Effect>,
    /// What has happened meanwhile.
    pub inbox: VecDeque<Input>,
    /// Where sessions lead to.
    pub routes: BTreeMap<Peer, u32>,
    /// Who spoke last as this member.
    pub members: BTreeMap<NodeId, Peer>,
    /// When the core is to be woken.
    pub wake_at: Time,
    /// When raft is to be woken.
    pub raft_at: Time,
    /// Raft has done something.
    pub raft_changed: bool,
    /// What the core was told of raft.
    pub facts: RaftFacts,
    /// Power is cut at this durable effect, counted down.
    pub crash_at: Option<u32>,
    /// It has an address.
    pub leased: bool,
    /// What its beacons say.
    pub announced: Option<Standing>,
    /// Beacons sent since the link came up.
    pub beacons: u32,
    /// Since when its standing is what it is.
    pub standing_since: Time,
    /// Its standing.
    pub standing: Option<Standing>,
}

impl Process {
    /// Its clock.
    #[must_use]
    pub const fn clock(&self, now: Time) -> Now {
        Now::at(duration(now - self.started))
    }
}
