//! What a seed makes of a formation: how many boxes, what they are, when they come, what goes wrong, and who uses them.

use std::fmt;

use shoal_formation::{
    Settings,
    settings::{MaxVoters, Medium, Traits},
};

use crate::{
    KnownBug,
    faults::Fault,
    raft::Time,
    world::{MINUTE, SECOND, World},
};

/// How boxes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// Within two seconds.
    Together,
    /// One after the other, up to five minutes apart.
    OneByOne,
    /// Anywhere within 400 s.
    Scattered,
    /// Together, and the switch comes up to five minutes later.
    SwitchLate,
    /// Together, and each port forwards 30 to 50 s later (spanning tree).
    SlowPorts,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The boxes are split in two from the beginning, or later, and mended.
    Split,
    /// Power is cut between effects.
    Crashes,
    /// Packets and multicasts are lost, in some directions all of them.
    Loss,
    /// Links go up and down.
    Flaps,
    /// Everything, addresses and sticks included.
    Everything,
}

/// Who uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum People {
    /// Nobody.
    Nobody,
    /// One, through one box.
    One,
    /// Several, through any boxes.
    Several,
}

/// A formation, as a seed makes it.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How many boxes.
    pub boxes: usize,
    /// How they come.
    pub arrival: Arrival,
    /// What goes wrong.
    pub trouble: Trouble,
    /// Who uses it.
    pub people: People,
    /// When all is mended.
    pub healed: Time,
    settings: Vec<Settings>,
    arrivals: Vec<(Time, Time)>,
    faults: Vec<(Time, Fault)>,
}

fn pick<T: Copy>(random: &mut fastrand::Rng, from: &[(u32, T)]) -> T {
    let total: u32 = from.iter().map(|(weight, _)| weight).sum();
    let mut left = random.u32(..total);
    for (weight, value) in from {
        if left < *weight {
            return *value;
        }
        left -= weight;
    }
    from[0].1
}

impl Shape {
    /// What this seed makes.
    #[must_use]
    pub fn new(seed: u64, bug: Option<KnownBug>) -> Self {
        // Another stream than the world's.
        let random = &mut fastrand::Rng::with_seed(seed ^ 0x5ca1_ab1e_0ddb_a115);
        let boxes = pick(random, &[(5, 1), (10, 2), (40, 3), (20, 4), (15, 5), (5, 6), (5, 7)]);
        let arrival = pick(
            random,
            &[
                (40, Arrival::Together),
                (10, Arrival::OneByOne),
                (20, Arrival::Scattered),
                (15, Arrival::SwitchLate),
                (15, Arrival::SlowPorts),
            ],
        );
        let trouble = pick(
            random,
            &[
                (25, Trouble::None),
                (25, Trouble::Split),
                (20, Trouble::Crashes),
                (10, Trouble::Loss),
                (5, Trouble::Flaps),
                (15, Trouble::Everything),
            ],
        );
        let people = pick(random, &[(55, People::Nobody), (35, People::One), (10, People::Several)]);
        let arrivals: Vec<(Time, Time)> = arrivals(random, arrival, boxes);
        let last = arrivals.iter().map(|(on, link)| (*on).max(*link)).max().unwrap_or_default();
        let span = if trouble == Trouble::None { 0 } else { random.u64(20 * SECOND..10 * MINUTE) };
        let healed = last + span;
        let settings = settings(random, boxes, bug);
        let mut shape = Self { boxes, arrival, trouble, people, healed, settings, arrivals, faults: Vec::new() };
        shape.add_faults(random);
        shape.add_people(random);
        shape
    }

    fn add_faults(&mut self, random: &mut fastrand::Rng) {
        let (n, end) = (self.boxes, self.healed);
        let any = |random: &mut fastrand::Rng| random.usize(..n);
        let set = |random: &mut fastrand::Rng| random.u64(..1 << n);
        let when = |random: &mut fastrand::Rng| random.u64(..=end);
        let troubles = match self.trouble {
            Trouble::None => return,
            Trouble::Split => {
                let first = if random.bool() { 0 } else { when(random) };
                self.faults.push((first, Fault::Split(set(random))));
                for _ in 0..random.u32(..3) {
                    self.faults.push((when(random), Fault::Split(set(random))));
                }
                return;
            }
            Trouble::Crashes => &[Trouble::Crashes][..],
            Trouble::Loss => &[Trouble::Loss],
            Trouble::Flaps => &[Trouble::Flaps],
            Trouble::Everything => &[Trouble::Split, Trouble::Crashes, Trouble::Loss, Trouble::Flaps, Trouble::Everything],
        };
        for _ in 0..random.u32(2..10) {
            let at = when(random);
            let trouble = troubles[random.usize(..troubles.len())];
            match trouble {
                Trouble::None => {}
                Trouble::Split => self.faults.push((at, Fault::Split(set(random)))),
                Trouble::Crashes if random.u32(..3) > 0 => self.faults.push((at, Fault::CrashAt(any(random), random.u32(..12)))),
                Trouble::Crashes => {
                    let (index, off) = (any(random), random.u64(SECOND..6 * MINUTE));
                    self.faults.push((at, Fault::Crash(index)));
                    self.faults.push((at + off, Fault::PowerOn(index)));
                }
                Trouble::Loss => {
                    let fault = match random.u32(..3) {
                        0 => Fault::Loss(random.u32(..300), random.u32(..600)),
                        1 => Fault::OneWay(any(random), any(random)),
                        _ => Fault::Deaf(any(random), any(random)),
                    };
                    self.faults.push((at, fault));
                }
                Trouble::Flaps => {
                    let (index, down) = (any(random), random.u64(SECOND..MINUTE));
                    self.faults.push((at, Fault::LinkDown(index)));
                    self.faults.push((at + down, Fault::LinkUp(index)));
                }
                Trouble::Everything => {
                    let fault = match random.u32(..5) {
                        0 => Fault::Readdress(any(random)),
                        1 => Fault::SwapSticks(any(random), any(random)),
                        2 => Fault::Rewrite(any(random)),
                        _ => Fault::Remove(any(random), any(random)),
                    };
                    self.faults.push((at, fault));
                }
            }
        }
    }

    fn add_people(&mut self, random: &mut fastrand::Rng) {
        let count = match self.people {
            People::Nobody => 0,
            People::One => 1,
            People::Several => random.u32(2..6),
        };
        for _ in 0..count {
            let at = random.u64(5 * SECOND..self.healed + MINUTE);
            self.faults.push((at, Fault::Use(random.usize(..self.boxes))));
        }
    }

    /// Builds it.
    pub fn build(&self, world: &mut World) {
        for (settings, (on, link)) in self.settings.iter().zip(&self.arrivals) {
            let index = world.add_box(settings.clone());
            world.power_on_at(index, *on);
            if *link > *on {
                world.boxes[index].cable = false;
                world.schedule_fault(*link, Fault::LinkUp(index));
            }
        }
        for (at, fault) in &self.faults {
            world.schedule_fault(*at, fault.clone());
        }
        world.schedule_fault(self.healed, Fault::Heal);
    }
}

fn arrivals(random: &mut fastrand::Rng, arrival: Arrival, boxes: usize) -> Vec<(Time, Time)> {
    let switch = random.u64(MINUTE..5 * MINUTE);
    let mut on = 0;
    (0..boxes)
        .map(|_| match arrival {
            Arrival::Together => (random.u64(..2 * SECOND), 0),
            Arrival::OneByOne => {
                on += random.u64(5 * SECOND..5 * MINUTE);
                (on, 0)
            }
            Arrival::Scattered => (random.u64(..400 * SECOND), 0),
            Arrival::SwitchLate => (random.u64(..30 * SECOND), switch),
            Arrival::SlowPorts => {
                let on = random.u64(..2 * SECOND);
                (on, on + random.u64(30 * SECOND..50 * SECOND))
            }
        })
        .collect()
}

fn settings(random: &mut fastrand::Rng, boxes: usize, bug: Option<KnownBug>) -> Vec<Settings> {
    let expect = (random.u32(..10) == 0 && boxes > 1).then_some(boxes as u32);
    let max_voters = if random.u32(..5) == 0 { MaxVoters::Five } else { MaxVoters::Three };
    let diskless = if random.u32(..10) == 0 { random.u64(..1 << boxes) } else { 0 };
    (0..boxes)
        .map(|index| {
            let medium = if diskless >> index & 1 == 1 { Medium::Memory } else { Medium::Disk };
            let traits = Traits { medium, ..Traits::default() };
            Settings { traits, expect, max_voters, known_bug: bug, ..Settings::default() }
        })
        .collect()
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} boxes, {:?}, {:?}, {:?}", self.boxes, self.arrival, self.trouble, self.people)
    }
}
