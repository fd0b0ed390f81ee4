//! The core as a whole.

use core::net::SocketAddr;

use alloc::{collections::BTreeMap, vec::Vec};
use shoal_trust::{
    beacon::{Beacon, BeaconError, BootNonce, Standing, UnverifiedBeacon, is_address_of_a_peer},
    key::NodeKey,
    schedule::FleetKeys,
};

use crate::{
    announce::Announcer,
    attempt::Budgets,
    input::{Announcement, Effect, Input, Shout},
    label::Labels,
    link::{LinkIndex, on_link},
    now::Now,
    schedule::{Fallback, Queries},
    statistics::Statistics,
    table::{Name, Source, Table},
    timings::Timings,
};

/// What this node says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Random at each boot.
    pub boot: BootNonce,
    /// Where it listens, TCP.
    pub port: u16,
    /// What it says it is, at first.
    pub standing: Standing,
}

/// A peer of an earlier boot.
#[derive(Debug, Clone)]
pub struct KnownPeer {
    /// Its key.
    pub node: NodeKey,
    /// Where it was found.
    pub addresses: Vec<SocketAddr>,
}

/// Where peers may be found. See the head of this crate.
#[derive(Debug)]
pub struct Discovery {
    keys: FleetKeys,
    identity: Identity,
    timings: Timings,
    labels: Labels,
    announcer: Announcer,
    queries: Queries,
    fallback: Fallback,
    /// What is tried when multicast does not help.
    seeds: Vec<SocketAddr>,
    known: Vec<KnownPeer>,
    table: Table,
    budgets: Budgets,
    statistics: Statistics,
    /// When the table may have something to try: looked for after a change only, since looking means to walk through it.
    next_attempt: Option<Now>,
}

impl Discovery {
    /// One that knows no links yet. `seed` is random; `seeds` and `known` are tried when nothing else helps.
    #[must_use]
    pub fn new(
        now: Now,
        keys: FleetKeys,
        identity: Identity,
        timings: Timings,
        seed: [u8; 32],
        seeds: Vec<SocketAddr>,
        known: Vec<KnownPeer>,
    ) -> Self {
        Self {
            keys,
            identity,
            timings,
            labels: Labels::new(seed),
            announcer: Announcer::new(),
            queries: Queries::default(),
            fallback: Fallback::new(now),
            seeds,
            known,
            table: Table::default(),
            budgets: Budgets::new(now),
            statistics: Statistics::default(),
            next_attempt: None,
        }
    }

    /// What was counted.
    #[must_use]
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The keys with which beacons are made.
    #[must_use]
    pub const fn keys(&self) -> &FleetKeys {
        &self.keys
    }

    /// Nodes that have proven to be of the fleet, and where: what is told to peers, and kept for the next boot.
    #[must_use]
    pub fn proven(&self) -> BTreeMap<NodeKey, Vec<SocketAddr>> {
        self.table.proven()
    }

    /// All peers that may be somewhere: [`crate::table::PEERS_MAX`] at most.
    pub fn peers(&self) -> impl Iterator<Item = (Name, Vec<SocketAddr>)> {
        self.table.peers()
    }

    /// When [`Input::Time`] has to come, if nothing else does before.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let deadlines =
            [self.announcer.deadline(&self.timings), self.queries.deadline(), self.fallback.deadline(&self.timings), self.next_attempt];
        deadlines.into_iter().flatten().min()
    }

    /// Something has happened; what is to be done, in this order.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        match input {
            Input::Time => {}
            Input::Links(links) => self.announcer.set_links(now, links),
            Input::Standing(standing) => {
                if self.identity.standing != standing {
                    self.identity.standing = standing;
                    self.announcer.change(now);
                }
            }
            Input::Need(is_needed) => self.fallback.need(now, is_needed),
            Input::Heard { beacon, link, from } => {
                // A flood of what means nothing must cost no more than finding that out.
                if !self.hear(now, beacon, link, from) {
                    return Vec::new();
                }
            }
            Input::Exchanged { node, addresses } => {
                let addresses = addresses.into_iter().filter(is_peer);
                self.table.hear(now, Name::Node(node), &Source::Peers, addresses.take(crate::table::ADDRESSES_PER_PEER));
            }
            Input::Answered(addresses) => self.hear_settings(now, &addresses),
            Input::Connected { node, address } => self.table.connected(now, node, address),
            Input::Closed(node) => self.table.closed(now, node),
            Input::Failed(address) => self.table.failed(now, address, &self.timings),
            Input::Announced(label) => self.announcer.announced(label),
            Input::Conflict(label) => self.conflict(now, label),
        }
        self.due(now)
    }

    fn conflict(&mut self, now: Now, label: crate::Label) {
        if self.announcer.conflict(now, label, &mut self.labels) {
            self.statistics.conflicts += 1;
            if !self.announcer.probes() {
                self.fallback.hurry();
            }
        }
    }

    /// Says whether something may have changed.
    fn hear(&mut self, now: Now, beacon: UnverifiedBeacon, link: LinkIndex, from: Option<core::net::IpAddr>) -> bool {
        let beacon = match beacon.verify(&self.keys) {
            Ok(beacon) => beacon,
            Err(error) => {
                let count = match error {
                    BeaconError::OtherFleet => &mut self.statistics.other_fleet,
                    BeaconError::OtherGeneration { .. } => &mut self.statistics.other_generation,
                    _ => &mut self.statistics.forged,
                };
                *count += 1;
                return false;
            }
        };
        if beacon.boot == self.identity.boot {
            self.statistics.own += 1;
            return false;
        }
        self.statistics.genuine += 1;
        let source = from.map_or(Source::Beacon(beacon.boot), Source::Host);
        let addresses = beacon.addresses.iter().map(|address| on_link(*address, beacon.port, link));
        if !self.table.hear(now, Name::Boot(beacon.boot), &source, addresses) {
            self.statistics.crowded_out += 1;
            return false;
        }
        true
    }

    /// Addresses from settings are peers of their own: nobody says whose they are.
    fn hear_settings(&mut self, now: Now, addresses: &[SocketAddr]) {
        for address in addresses.iter().filter(|address| is_peer(address)).take(crate::table::PEERS_MAX) {
            self.table.hear(now, Name::Address(*address), &Source::Settings, [*address]);
        }
    }

    /// All that it is time for.
    fn due(&mut self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(label) = self.announcer.overdue(now) {
            self.conflict(now, label);
        }
        if self.announcer.due(now, &self.timings) {
            let announcements = self.announcements(now);
            // Asking without a link would be asking nobody.
            if announcements.is_empty() {
                self.queries.stop();
            } else {
                self.queries.begin(now, &self.timings);
            }
            effects.push(Effect::Announce(announcements));
        }
        if self.queries.due(now, &self.timings) {
            effects.push(Effect::Query);
        }
        let (broadcast, ask) = self.fallback.due(now, &self.timings);
        if broadcast {
            let shouts = self.announcer.links().iter().map(|link| Shout { link: link.index, beacon: self.beacon(link.announced()) });
            let shouts: Vec<Shout> = shouts.filter(|shout| !shout.beacon.addresses.is_empty()).collect();
            if !shouts.is_empty() {
                effects.push(Effect::Broadcast(shouts));
            }
        }
        if ask {
            let (known, seeds) = (core::mem::take(&mut self.known), core::mem::take(&mut self.seeds));
            known.iter().for_each(|peer| self.table.keep(now, peer.node, &peer.addresses));
            self.hear_settings(now, &seeds);
            (self.known, self.seeds) = (known, seeds);
            effects.push(Effect::AskDomain);
        }
        while let Some(address) = self.table.attempt(now, &mut self.budgets) {
            self.statistics.attempts += 1;
            effects.push(Effect::Connect(address));
        }
        self.next_attempt = self.table.deadline(&self.budgets);
        effects
    }

    fn announcements(&mut self, now: Now) -> Vec<Announcement> {
        let probe = self.announcer.probes();
        let places = self.announcer.labels(now, &mut self.labels, &self.timings);
        let announcement =
            |(link, label): (crate::Link, _)| Announcement { link: link.index, label, probe, beacon: self.beacon(link.announced()) };
        places.into_iter().map(announcement).collect()
    }

    fn beacon(&self, addresses: Vec<core::net::IpAddr>) -> Beacon {
        let Identity { boot, port, standing } = self.identity;
        Beacon { fleet: self.keys.fleet().tag(), generation: self.keys.generation(), standing, boot, port, addresses }
    }
}

fn is_peer(address: &SocketAddr) -> bool {
    is_address_of_a_peer(address.ip()) && address.port() != 0
}
