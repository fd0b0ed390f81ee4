//! What becomes of a frame: the switch's decisions, without sockets or clocks.
//!
//! | frame is | goes to |
//! |---|---|
//! | for a learnt address | the port it was learnt on (nowhere, when that is the sender's own) |
//! | for an unknown or group address | every other port |
//!
//! Then each copy passes the *link* from its sender to its receiver, which may be cut by a partition, blocked in that one
//! direction, lossy or slow. Learning happens before the link: a box behind a one-way link still has an address.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A learnt address is forgotten after this long without a frame from it: the default of IEEE 802.1D, 5 minutes.
pub const ADDRESS_LIFETIME: Duration = Duration::from_secs(300);

/// Destination and source address and the type: what a frame must have to be a frame.
const HEADER_BYTES: usize = 14;

/// An Ethernet frame without preamble and checksum, shared because flooding delivers one frame many times.
pub type Frame = Arc<[u8]>;

/// A socket of the switch. Numbers are never used again within one switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// The quality of one direction between two ports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Nothing passes.
    pub blocked: bool,
    /// Share of frames that vanish, 0.0 to 1.0.
    pub loss: f64,
    /// Every frame is held at least this long.
    pub delay: Duration,
    /// Up to this much more, drawn anew for each frame; so frames overtake each other.
    pub jitter: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self { blocked: false, loss: 0.0, delay: Duration::ZERO, jitter: Duration::ZERO }
    }
}

/// One copy of a frame on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where it leaves the switch.
    pub to: PortId,
    /// When, on the clock of [`Fabric::handle`]'s `now`.
    pub at: Duration,
    /// The frame.
    pub frame: Frame,
}

/// The table of addresses and links. All chance comes from the seed, so a failing run can be repeated.
#[derive(Debug)]
pub struct Fabric {
    random: Random,
    /// The set each port belongs to; ports of different sets do not hear each other.
    ports: BTreeMap<PortId, u32>,
    learnt: HashMap<[u8; 6], (PortId, Duration)>,
    every_link: Link,
    links: HashMap<(PortId, PortId), Link>,
}

/// The set of ports that no partition names.
const REST: u32 = 0;

impl Fabric {
    /// An empty switch with good links.
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), ports: BTreeMap::new(), learnt: HashMap::new(), every_link: Link::default(), links: HashMap::new() }
    }

    /// Plugs a port in. It belongs to the rest until a partition names it.
    pub fn attach(&mut self, port: PortId) {
        self.ports.insert(port, REST);
    }

    /// Unplugs a port and forgets the addresses learnt on it.
    pub fn detach(&mut self, port: PortId) {
        self.ports.remove(&port);
        self.learnt.retain(|_, (on, _)| *on != port);
        self.links.retain(|(from, to), _| *from != port && *to != port);
    }

    /// Cuts the switch into these sets; ports in none of them form one more. Replaces an earlier partition.
    pub fn partition(&mut self, sets: &[Vec<PortId>]) {
        self.heal();
        for (set, members) in (REST + 1..).zip(sets) {
            for member in members {
                if let Some(of) = self.ports.get_mut(member) {
                    *of = set;
                }
            }
        }
    }

    /// Ends a partition. Links keep their quality.
    pub fn heal(&mut self) {
        self.ports.values_mut().for_each(|set| *set = REST);
    }

    /// Sets one direction; the other is unchanged.
    pub fn set_link(&mut self, from: PortId, to: PortId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// Sets every direction, those set one by one too.
    pub fn set_every_link(&mut self, link: Link) {
        self.links.clear();
        self.every_link = link;
    }

    /// Takes a frame from a port and says where and when its copies leave. A runt, and a frame from a port that is not
    /// plugged in, goes nowhere.
    pub fn handle(&mut self, now: Duration, from: PortId, frame: &Frame) -> Vec<Delivery> {
        if frame.len() < HEADER_BYTES || !self.ports.contains_key(&from) {
            return Vec::new();
        }
        let (destination, source) = (address(frame, 0), address(frame, 6));
        if !is_group(source) {
            self.learnt.insert(source, (from, now));
        }
        let known = (!is_group(destination)).then(|| self.port_of(now, destination)).flatten();
        let receivers: Vec<PortId> = match known {
            Some(port) => vec![port],
            None => self.ports.keys().copied().collect(),
        };
        receivers.into_iter().filter(|to| *to != from).filter_map(|to| self.pass(now, from, to, frame)).collect()
    }

    fn port_of(&self, now: Duration, destination: [u8; 6]) -> Option<PortId> {
        let (port, seen) = self.learnt.get(&destination)?;
        (now.saturating_sub(*seen) < ADDRESS_LIFETIME).then_some(*port)
    }

    fn pass(&mut self, now: Duration, from: PortId, to: PortId, frame: &Frame) -> Option<Delivery> {
        if self.ports.get(&from) != self.ports.get(&to) {
            return None;
        }
        let link = self.links.get(&(from, to)).copied().unwrap_or(self.every_link);
        if link.blocked || (link.loss > 0.0 && self.random.share() < link.loss) {
            return None;
        }
        let extra = if link.jitter.is_zero() { Duration::ZERO } else { link.jitter.mul_f64(self.random.share()) };
        Some(Delivery { to, at: now + link.delay + extra, frame: Arc::clone(frame) })
    }
}

fn address(frame: &[u8], at: usize) -> [u8; 6] {
    let mut address = [0; 6];
    address.copy_from_slice(&frame[at..at + 6]);
    address
}

/// The lowest bit of the first octet marks multicast and broadcast (IEEE 802.3, 3.2.3).
fn is_group(address: [u8; 6]) -> bool {
    address[0] & 1 == 1
}

/// SplitMix64: small, well distributed, and the same on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In 0.0 .. 1.0, with the 53 bits that a double holds.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: PortId = PortId(1);
    const B: PortId = PortId(2);
    const C: PortId = PortId(3);
    const NOW: Duration = Duration::ZERO;
    const BROADCAST: u8 = 0xff;

    fn frame(to: u8, from: u8) -> Frame {
        let first = |last: u8| if last == BROADCAST { 0xff } else { 0x52 };
        let mut bytes = vec![first(to), 0, 0, 0, 0, to, first(from), 0, 0, 0, 0, from, 0x08, 0x00];
        bytes.resize(60, 0);
        bytes.into()
    }

    fn fabric() -> Fabric {
        let mut fabric = Fabric::new(7);
        [A, B, C].into_iter().for_each(|port| fabric.attach(port));
        fabric
    }

    fn receivers(deliveries: &[Delivery]) -> Vec<PortId> {
        deliveries.iter().map(|delivery| delivery.to).collect()
    }

    #[test]
    fn an_unknown_address_is_flooded_and_a_learnt_one_is_not() {
        let mut fabric = fabric();
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(2, 1))), [B, C]);
        assert_eq!(receivers(&fabric.handle(NOW, B, &frame(1, 2))), [A]);
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(2, 1))), [B]);
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(BROADCAST, 1))), [B, C]);
    }

    #[test]
    fn an_address_moves_with_its_box_and_is_forgotten_when_silent_or_unplugged() {
        let mut fabric = fabric();
        fabric.handle(NOW, B, &frame(1, 2));
        fabric.handle(NOW, C, &frame(1, 2));
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(2, 1))), [C]);
        assert_eq!(receivers(&fabric.handle(ADDRESS_LIFETIME, A, &frame(2, 1))), [B, C]);
        fabric.handle(ADDRESS_LIFETIME, C, &frame(1, 2));
        fabric.detach(C);
        assert_eq!(receivers(&fabric.handle(ADDRESS_LIFETIME, A, &frame(2, 1))), [B]);
    }

    #[test]
    fn a_partition_separates_its_sets_and_healing_joins_them() {
        let mut fabric = fabric();
        fabric.partition(&[vec![A]]);
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(BROADCAST, 1))), []);
        assert_eq!(receivers(&fabric.handle(NOW, B, &frame(BROADCAST, 2))), [C]);
        fabric.heal();
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(BROADCAST, 1))), [B, C]);
    }

    #[test]
    fn a_one_way_link_blocks_one_way() {
        let mut fabric = fabric();
        fabric.set_link(A, B, Link { blocked: true, ..Link::default() });
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(BROADCAST, 1))), [C]);
        assert_eq!(receivers(&fabric.handle(NOW, B, &frame(1, 2))), [A]);
        assert_eq!(receivers(&fabric.handle(NOW, A, &frame(2, 1))), [], "a blocked unicast is not flooded instead");
    }

    #[test]
    fn a_slow_link_holds_frames_within_its_bounds() {
        let mut fabric = fabric();
        let (delay, jitter) = (Duration::from_millis(10), Duration::from_millis(5));
        fabric.set_every_link(Link { delay, jitter, ..Link::default() });
        let held: Vec<Duration> = (0..100).flat_map(|_| fabric.handle(NOW, A, &frame(BROADCAST, 1))).map(|delivery| delivery.at).collect();
        assert!(held.iter().all(|at| (delay..delay + jitter).contains(at)));
        assert!(held.windows(2).any(|pair| pair[1] < pair[0]), "jitter lets frames overtake");
    }

    #[test]
    fn loss_is_about_its_share_and_repeats_with_the_seed() {
        let run = |seed| {
            let mut fabric = Fabric::new(seed);
            [A, B].into_iter().for_each(|port| fabric.attach(port));
            fabric.set_every_link(Link { loss: 0.3, ..Link::default() });
            (0..1000).map(|_| fabric.handle(NOW, A, &frame(2, 1)).len()).collect::<Vec<_>>()
        };
        let arrived: usize = run(1).iter().sum();
        assert!((640..760).contains(&arrived), "{arrived} of 1000 arrived");
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_runt_goes_nowhere() {
        assert!(fabric().handle(NOW, A, &Frame::from([0xff; 13])).is_empty());
    }

    proptest! {
        #[test]
        fn no_frame_returns_to_its_sender_or_is_doubled(traffic in prop::collection::vec((0u32..4, 0u8..6, 0u8..6), 1..200)) {
            let mut fabric = fabric();
            for (port, to, from) in traffic {
                let reached = receivers(&fabric.handle(NOW, PortId(port), &frame(to, from)));
                prop_assert!(!reached.contains(&PortId(port)));
                let mut once = reached.clone();
                once.dedup();
                prop_assert_eq!(once, reached);
            }
        }
    }
}
