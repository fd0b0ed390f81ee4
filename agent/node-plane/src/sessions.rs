//! Which sessions there are: one for each process of a peer.

use std::collections::{BTreeMap, BTreeSet};

use shoal_formation::{NodeKey, Peer};
use shoal_trust::session::EXPORTER_BYTES;
use tokio::{sync::mpsc, time::Instant};

use crate::limits::{PROCESSES_PER_KEY_MAX, SESSIONS_MAX, SIMULTANEOUS};

/// What is to be written in a session. When it is dropped, the session ends.
pub(crate) type Queue = mpsc::Sender<Vec<u8>>;

/// The sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    strangers_max: usize,
    next: u64,
    table: BTreeMap<Peer, Entry>,
    pub(crate) members: BTreeSet<NodeKey>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    exporter: [u8; EXPORTER_BYTES],
    since: Instant,
    queue: Queue,
}

impl Sessions {
    pub(crate) const fn new(strangers_max: usize) -> Self {
        Self { strangers_max, next: 0, table: BTreeMap::new(), members: BTreeSet::new() }
    }

    /// Whether there would be a place, and the session would be the one that counts; its number if so, and it has the place.
    ///
    /// Two sessions of the same two processes may be made at the same time. Their ends see them in different orders, and both keep the one with the lower
    /// exporter, which both know. A later one takes the place of an earlier.
    pub(crate) fn add(&mut self, now: Instant, peer: Peer, exporter: [u8; EXPORTER_BYTES], queue: Queue) -> Option<u64> {
        if let Some(old) = self.table.get(&peer) {
            let is_simultaneous = now.duration_since(old.since) < SIMULTANEOUS && !old.queue.is_closed();
            if is_simultaneous && old.exporter < exporter {
                return None;
            }
        } else if !self.has_place(peer.key) {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.table.insert(peer, Entry { number, exporter, since: now, queue });
        Some(number)
    }

    fn has_place(&self, key: NodeKey) -> bool {
        let processes = self.table.keys().filter(|peer| peer.key == key).count();
        let strangers = || self.table.keys().filter(|peer| !self.members.contains(&peer.key)).count();
        processes < PROCESSES_PER_KEY_MAX
            && self.table.len() < SESSIONS_MAX
            && (self.members.contains(&key) || strangers() < self.strangers_max)
    }

    /// A session has ended. Says whether it was the one that counts.
    pub(crate) fn remove(&mut self, peer: Peer, number: u64) -> bool {
        let is_it = self.table.get(&peer).is_some_and(|entry| entry.number == number);
        if is_it {
            self.table.remove(&peer);
        }
        is_it
    }

    pub(crate) fn clear(&mut self) -> Vec<Peer> {
        std::mem::take(&mut self.table).into_keys().collect()
    }

    pub(crate) fn queue(&self, peer: Peer) -> Option<&Queue> {
        self.table.get(&peer).map(|entry| &entry.queue)
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = Peer> + '_ {
        self.table.keys().copied()
    }

    pub(crate) fn has_key(&self, key: NodeKey) -> bool {
        self.peers().any(|peer| peer.key == key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shoal_formation::BootId;

    use super::*;

    fn peer(key: u8, boot: u64) -> Peer {
        Peer { key: NodeKey([key; 32]), boot: BootId(boot) }
    }

    fn queue() -> (Queue, mpsc::Receiver<Vec<u8>>) {
        mpsc::channel(1)
    }

    #[test]
    fn of_two_sessions_made_at_the_same_time_both_ends_keep_the_same() {
        let (low, high) = ([1; 32], [2; 32]);
        let now = Instant::now();
        for (first, second) in [(low, high), (high, low)] {
            let mut end = Sessions::new(10);
            let (one, _one) = queue();
            let (two, _two) = queue();
            assert!(end.add(now, peer(1, 1), first, one).is_some());
            assert_eq!(end.add(now, peer(1, 1), second, two).is_some(), second == low);
            assert_eq!(end.table[&peer(1, 1)].exporter, low);
        }
    }

    #[test]
    fn a_later_session_takes_the_place_of_an_earlier_and_the_earlier_ends_alone() {
        let now = Instant::now();
        let mut end = Sessions::new(10);
        let (one, mut ended) = queue();
        let (two, _two) = queue();
        let first = end.add(now, peer(1, 1), [1; 32], one).unwrap();
        let second = end.add(now + SIMULTANEOUS, peer(1, 1), [2; 32], two).unwrap();
        assert!(ended.try_recv().is_err_and(|error| error == mpsc::error::TryRecvError::Disconnected), "it is told to end");
        assert!(!end.remove(peer(1, 1), first), "the one that counts is another");
        assert!(end.remove(peer(1, 1), second));
        // One that has ended without being taken out holds no place against its successor.
        let (three, gone) = queue();
        end.add(now, peer(1, 1), [1; 32], three).unwrap();
        drop(gone);
        assert!(end.add(now + Duration::from_millis(1), peer(1, 1), [2; 32], queue().0).is_some());
    }

    #[test]
    fn strangers_never_take_the_places_of_members() {
        let now = Instant::now();
        let mut end = Sessions::new(2);
        end.members.insert(NodeKey([9; 32]));
        let mut add = |peer| end.add(now, peer, [1; 32], queue().0).is_some();
        assert!(add(peer(1, 1)) && add(peer(2, 1)) && !add(peer(3, 1)));
        assert!(add(peer(9, 1)) && add(peer(9, 2)) && add(peer(9, 3)) && add(peer(9, 4)));
        assert!(!add(peer(9, 5)), "as many processes as anybody has");
    }
}
