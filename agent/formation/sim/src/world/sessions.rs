//! How boxes come to speak with each other: beacons, the addresses they remember, sessions, and what travels in them.

use shoal_formation::{Input, Message, Peer};

use super::{Event, MINUTE, Parcel, SECOND, World};
use crate::raft::Time;

/// Discovery asks again after so many seconds each, and then every minute.
const BEACONS: [Time; 6] = [0, 1, 1, 2, 4, 8];

/// How often a box tries the addresses it knows and hears nobody from.
pub(super) const RECONNECT: Time = 4 * SECOND;

/// Addresses that a box remembers.
const BOOK: usize = 64;

impl World {
    /// Says where a box is to everybody who gets it.
    pub(super) fn beacon(&mut self, index: usize) {
        let (life, address) = (self.boxes[index].life, self.boxes[index].address);
        let Some(process) = &mut self.boxes[index].process else { return };
        if !process.leased {
            return;
        }
        process.beacons += 1;
        let next = BEACONS.get(process.beacons as usize).map_or(MINUTE, |seconds| seconds * SECOND);
        self.schedule(self.now + next, Event::Beacon(index, life));
        for other in 0..self.boxes.len() {
            if other != index && self.reaches(index, other) && self.network.multicasts(index, other, &mut self.random) {
                self.learn(other, address);
            }
        }
    }

    /// A box hears of an address.
    pub(crate) fn learn(&mut self, index: usize, address: u32) {
        let computer = &mut self.boxes[index];
        if address == computer.address || computer.stick.book.contains(&address) {
            return;
        }
        if computer.stick.book.len() >= BOOK {
            computer.stick.book.remove(0);
        }
        computer.stick.book.push(address);
        let life = computer.life;
        let delay = self.network.delay(&mut self.random).unwrap_or(SECOND) * 3;
        self.schedule(self.now + delay, Event::Connect(index, life, address));
    }

    /// Tries every address from which nobody is heard.
    pub(super) fn reconnect(&mut self, index: usize) {
        let life = self.boxes[index].life;
        let Some(process) = &self.boxes[index].process else { return };
        if !process.leased {
            return;
        }
        let heard = |address: u32| process.routes.iter().any(|(peer, route)| *route == address && process.core.knows(*peer));
        let silent: Vec<u32> = self.boxes[index].stick.book.iter().copied().filter(|address| !heard(*address)).collect();
        for address in silent {
            let delay = self.random.u64(1000..SECOND / 2);
            self.schedule(self.now + delay, Event::Connect(index, life, address));
        }
        let jitter = self.random.u64(0..SECOND / 4);
        self.schedule(self.now + RECONNECT + jitter, Event::Reconnect(index, life));
    }

    /// Opens a session with whoever is at an address.
    pub(super) fn connect(&mut self, index: usize, address: u32) {
        let Some(other) = self.addresses.get(&address).copied() else { return };
        if other == index || !self.reaches(index, other) || !self.reaches(other, index) {
            return;
        }
        let Some(peer) = self.boxes[other].process.as_ref().map(|process| process.core.peer()) else { return };
        let Some(process) = &mut self.boxes[index].process else { return };
        process.routes.insert(peer, address);
        self.tell(index, Input::Met(peer));
    }

    /// Sends, if there is a session and a way.
    pub(crate) fn send(&mut self, index: usize, to: Peer, parcel: Parcel) {
        let Some(process) = &self.boxes[index].process else { return };
        let Some(address) = process.routes.get(&to).copied() else { return };
        let sender = process.core.peer();
        let Some(other) = self.addresses.get(&address).copied() else { return };
        if !self.reaches(index, other) {
            return;
        }
        if let Some(delay) = self.network.delay(&mut self.random) {
            self.schedule(self.now + delay, Event::Deliver { from: index, sender, address, to, parcel });
        }
    }

    pub(super) fn deliver(&mut self, from: usize, sender: Peer, address: u32, to: Peer, parcel: Parcel) {
        let Some(index) = self.addresses.get(&address).copied() else { return };
        if !self.reaches(from, index) {
            return;
        }
        let return_address = self.boxes[from].address;
        let Some(process) = &mut self.boxes[index].process else { return };
        // Somebody else has this address now, or its process has started again: the handshake fails.
        if process.core.peer() != to {
            return;
        }
        process.routes.insert(sender, return_address);
        self.trace.mix([self.now, 3, (index as u64) << 8 | from as u64]);
        match parcel {
            Parcel::Core(message) => {
                if matches!(message, Message::Hello(_)) {
                    self.exchange_addresses(from, index);
                }
                if !matches!(message, Message::Hello(_)) {
                    self.trace.line(self.now, |line| line.push_str(&format!("box {index} hears from box {from}: {}", brief(&message))));
                }
                self.tell(index, Input::Heard(sender, message));
            }
            Parcel::Raft(cluster, node, own, message) => self.raft_heard(from, index, sender, cluster, node, own, message),
        }
    }

    /// What the product's hello has beside the core's: addresses of those who are in the view.
    fn exchange_addresses(&mut self, from: usize, index: usize) {
        let Some(process) = &self.boxes[from].process else { return };
        if process.routes.len() < 2 {
            return;
        }
        let known: Vec<u32> = process.routes.iter().filter(|(peer, _)| process.core.knows(**peer)).map(|(_, address)| *address).collect();
        self.learn(index, self.boxes[from].address);
        known.into_iter().for_each(|address| self.learn(index, address));
    }
}

/// A message in a line.
fn brief(message: &Message) -> String {
    match message {
        Message::Hello(_) => "hello".into(),
        Message::Solicit(_) => "may I found?".into(),
        Message::Promise(_) => "I promise".into(),
        Message::Decline(_) => "no promise".into(),
        other => format!("{other:?}"),
    }
}
