//! Who may be where. Bounded, whoever speaks.
//!
//! A *peer* is what one beacon, one line of a peer exchange or one seed is about, with up to [`ADDRESSES_PER_PEER`] addresses. A peer is **proven** when
//! somebody has proven at one of its addresses to be of the fleet, in this boot or an earlier one.
//!
//! # Who has to go
//! There are [`PEERS_MAX`] places. When all are taken and another peer comes:
//!
//! 1. Proven peers stay. A flood can only take the places of other strangers.
//! 2. If one source has brought more strangers than any other, and at least two more than the one that comes now, its oldest goes: who shouts most loses
//!    first, and can never have more places than others that wait.
//! 3. Else the stranger goes that was tried most often in vain, at least once; of several the one that was not heard of for longest. So no place is
//!    held by lies for longer than a turn takes: 256 places at 20 attempts a second, 13 s.
//! 4. Else the one that comes has no place, and is counted. It will be heard again.
//!
//! Within a peer, addresses that were never proven go first, of those the one that was not heard of for longest.

use core::net::{IpAddr, SocketAddr};

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use shoal_trust::{beacon::BootNonce, key::NodeKey};

use crate::{attempt::Budgets, now::Now, timings::Timings};

/// Peers at most: more than a fleet has nodes.
pub const PEERS_MAX: usize = 256;

/// Addresses of one peer at most.
pub const ADDRESSES_PER_PEER: usize = 8;

/// What a peer is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// A node that is known by its key: somebody has proven it, or has told it.
    Node(NodeKey),
    /// Whoever has sent these beacons.
    Boot(BootNonce),
    /// Whoever is at this address.
    Address(SocketAddr),
}

/// Who has brought a peer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The host that has sent a packet.
    Host(IpAddr),
    /// A beacon of which only the node that it is of is known, by what it says. Multicast DNS does not tell who has sent a packet.
    Beacon(BootNonce),
    /// Peers in proven sessions.
    Peers,
    /// Seeds of the image, the search domain, and what was kept from earlier boots.
    Settings,
}

/// One address of a peer.
#[derive(Debug)]
struct Address {
    address: SocketAddr,
    /// When somebody has proven here to be of the fleet.
    proven: Option<Now>,
    heard: Now,
    /// Failed attempts in a row.
    failures: u32,
    /// Not to be tried before.
    next: Now,
    is_being_tried: bool,
}

#[derive(Debug)]
struct Peer {
    name: Name,
    source: Source,
    addresses: Vec<Address>,
    heard: Now,
    is_connected: bool,
    /// It was proven in an earlier boot.
    is_kept: bool,
}

impl Peer {
    fn is_proven(&self) -> bool {
        self.is_kept || self.addresses.iter().any(|address| address.proven.is_some())
    }

    /// Takes an address in, if there is one that may go for it.
    fn hear(&mut self, now: Now, address: SocketAddr) -> &mut Address {
        self.heard = now;
        if let Some(place) = self.addresses.iter().position(|known| known.address == address) {
            self.addresses[place].heard = now;
            return &mut self.addresses[place];
        }
        if self.addresses.len() == ADDRESSES_PER_PEER {
            let oldest = self.addresses.iter().enumerate().min_by_key(|(_, known)| (known.proven, known.heard));
            let (place, _) = oldest.expect("it is full");
            self.addresses.swap_remove(place);
        }
        self.addresses.push(Address { address, proven: None, heard: now, failures: 0, next: now, is_being_tried: false });
        self.addresses.last_mut().expect("it was just put there")
    }

    /// Failed attempts, if all addresses were tried in vain.
    fn failures(&self) -> u32 {
        self.addresses.iter().map(|address| address.failures).min().unwrap_or(u32::MAX)
    }
}

/// Peers and their addresses.
#[derive(Debug, Default)]
pub(crate) struct Table {
    peers: Vec<Peer>,
}

impl Table {
    /// Somebody says that a peer is at these addresses. Says whether there is a place for it.
    pub(crate) fn hear(&mut self, now: Now, name: Name, source: &Source, addresses: impl IntoIterator<Item = SocketAddr>) -> bool {
        let Some(place) = self.place(name).or_else(|| self.make_room(source)) else { return false };
        if place == self.peers.len() {
            let source = source.clone();
            self.peers.push(Peer { name, source, addresses: Vec::new(), heard: now, is_connected: false, is_kept: false });
        }
        let peer = &mut self.peers[place];
        peer.heard = now;
        for address in addresses {
            peer.hear(now, address);
        }
        true
    }

    /// A peer of an earlier boot.
    pub(crate) fn keep(&mut self, now: Now, node: NodeKey, addresses: &[SocketAddr]) {
        if self.hear(now, Name::Node(node), &Source::Settings, addresses.iter().copied())
            && let Some(place) = self.place(Name::Node(node))
        {
            self.peers[place].is_kept = true;
        }
    }

    /// A node has proven itself at an address. What was known of that address is now known of the node.
    pub(crate) fn connected(&mut self, now: Now, node: NodeKey, address: SocketAddr) {
        // Whoever else was thought to be there.
        let mut others: Vec<SocketAddr> = Vec::new();
        self.peers.retain_mut(|peer| {
            let has_it = peer.addresses.iter().any(|known| known.address == address);
            match peer.name {
                Name::Node(key) if key == node => true,
                // Another node had it, in another life of the address.
                Name::Node(_) if has_it => {
                    peer.addresses.retain(|known| known.address != address);
                    true
                }
                Name::Boot(_) | Name::Address(_) if has_it => {
                    others.extend(peer.addresses.iter().map(|known| known.address));
                    false
                }
                _ => true,
            }
        });
        others.retain(|other| *other != address);
        let others_and_this = others.into_iter().take(ADDRESSES_PER_PEER - 1).chain([address]);
        if !self.hear(now, Name::Node(node), &Source::Peers, others_and_this) {
            // All places are taken by peers that are proven, or not yet tried. The one who is here needs one more than they do.
            let least =
                self.peers.iter().enumerate().filter(|(_, peer)| !peer.is_connected).min_by_key(|(_, peer)| (peer.is_proven(), peer.heard));
            let Some((place, _)) = least else { return };
            self.peers.swap_remove(place);
            self.hear(now, Name::Node(node), &Source::Peers, [address]);
        }
        let Some(place) = self.place(Name::Node(node)) else { return };
        let peer = &mut self.peers[place];
        peer.is_connected = true;
        for known in &mut peer.addresses {
            known.is_being_tried = false;
            if known.address == address {
                (known.proven, known.failures, known.next) = (Some(now), 0, now);
            }
        }
    }

    /// There is no session with a node any more. It is tried again, at once.
    pub(crate) fn closed(&mut self, now: Now, node: NodeKey) {
        if let Some(place) = self.place(Name::Node(node)) {
            let peer = &mut self.peers[place];
            peer.is_connected = false;
            peer.addresses.iter_mut().for_each(|known| (known.failures, known.next) = (0, now));
        }
    }

    /// An address was tried in vain.
    pub(crate) fn failed(&mut self, now: Now, address: SocketAddr, timings: &Timings) {
        let all = self.peers.iter_mut().flat_map(|peer| &mut peer.addresses);
        for known in all.filter(|known| known.address == address) {
            let wait = timings.retry_first.saturating_mul(1 << known.failures.min(16)).min(timings.retry_max);
            (known.is_being_tried, known.failures, known.next) = (false, known.failures.saturating_add(1), now + wait);
        }
    }

    /// The address that is to be tried now, if there is one; it counts as being tried until its outcome is known. First those that were proven once, then
    /// those that were tried in vain least often; of them the one whose turn has come first.
    pub(crate) fn attempt(&mut self, now: Now, budgets: &mut Budgets) -> Option<SocketAddr> {
        if budgets.ready() > now {
            return None;
        }
        let due = |(place, known): &(usize, &Address)| known.next <= now && budgets.ready_for(&self.peers[*place].source) <= now;
        let rank = |(place, known): &(usize, &Address)| (known.proven.is_none(), known.failures, known.next, *place, known.address);
        let (place, known) = self.waiting().into_iter().filter(due).min_by_key(rank)?;
        let address = known.address;
        budgets.take(now, &self.peers[place].source);
        let all = self.peers.iter_mut().flat_map(|peer| &mut peer.addresses);
        all.filter(|known| known.address == address).for_each(|known| known.is_being_tried = true);
        Some(address)
    }

    /// When [`Table::attempt`] may have something.
    pub(crate) fn deadline(&self, budgets: &Budgets) -> Option<Now> {
        let when = |(place, known): (usize, &Address)| known.next.max(budgets.ready_for(&self.peers[place].source));
        Some(self.waiting().into_iter().map(when).min()?.max(budgets.ready()))
    }

    /// Addresses that could be tried but for the time, with the places of their peers; none where somebody is there is a session with.
    fn waiting(&self) -> Vec<(usize, &Address)> {
        let connected = self.peers.iter().filter(|peer| peer.is_connected).flat_map(|peer| &peer.addresses);
        let taken: BTreeSet<SocketAddr> = connected.filter(|known| known.proven.is_some()).map(|known| known.address).collect();
        let strangers = self.peers.iter().enumerate().filter(|(_, peer)| !peer.is_connected);
        let all = strangers.flat_map(|(place, peer)| peer.addresses.iter().map(move |known| (place, known)));
        all.filter(|(_, known)| !known.is_being_tried && !taken.contains(&known.address)).collect()
    }

    /// Nodes that were proven, and their addresses, the newest first: what is told to peers, and kept for the next boot.
    pub(crate) fn proven(&self) -> BTreeMap<NodeKey, Vec<SocketAddr>> {
        let mut all = BTreeMap::new();
        for peer in self.peers.iter().filter(|peer| peer.is_proven()) {
            let Name::Node(node) = peer.name else { continue };
            let mut addresses: Vec<&Address> = peer.addresses.iter().collect();
            addresses.sort_by_key(|known| core::cmp::Reverse((known.proven, known.heard)));
            all.insert(node, addresses.iter().map(|known| known.address).collect());
        }
        all
    }

    /// All peers, with what they are known by and their addresses.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (Name, Vec<SocketAddr>)> {
        self.peers.iter().map(|peer| (peer.name, peer.addresses.iter().map(|known| known.address).collect()))
    }

    fn place(&self, name: Name) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == name)
    }

    /// The place of a new peer: behind the others. See the head of this module.
    fn make_room(&mut self, source: &Source) -> Option<usize> {
        if self.peers.len() < PEERS_MAX {
            return Some(self.peers.len());
        }
        let mut strangers: BTreeMap<&Source, usize> = BTreeMap::new();
        for peer in self.peers.iter().filter(|peer| !peer.is_proven()) {
            *strangers.entry(&peer.source).or_default() += 1;
        }
        let own = strangers.get(source).copied().unwrap_or(0);
        let loudest = strangers.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count >= own + 2);
        let candidates = self.peers.iter().enumerate().filter(|(_, peer)| !peer.is_proven() && !peer.is_connected);
        let place = match loudest {
            Some((loudest, _)) => candidates.filter(|(_, peer)| peer.source == **loudest).min_by_key(|(_, peer)| peer.heard),
            None => {
                candidates.filter(|(_, peer)| peer.failures() > 0).min_by_key(|(_, peer)| (core::cmp::Reverse(peer.failures()), peer.heard))
            }
        };
        let (place, _) = place?;
        self.peers.swap_remove(place);
        Some(self.peers.len())
    }
}

#[cfg(test)]
mod tests;
