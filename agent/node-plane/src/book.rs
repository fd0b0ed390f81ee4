//! Which addresses to try, and when. It keeps those where somebody has proven to be of the fleet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use shoal_formation::NodeKey;
use tokio::time::Instant;

use crate::limits::{ADDRESSES_MAX, FAILURES_MAX, Limits};

/// The addresses.
#[derive(Debug)]
pub(crate) struct Book {
    limits: Limits,
    entries: BTreeMap<SocketAddr, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Who has proven to be there, or has said so in a session.
    node: Option<NodeKey>,
    /// Whether a session was ever opened there.
    is_proven: bool,
    failures: u32,
    next: Instant,
    is_being_tried: bool,
}

impl Book {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { limits, entries: BTreeMap::new() }
    }

    /// Somebody may be there. One that waits is tried at once: there is a reason why it is heard of now.
    pub(crate) fn hear(&mut self, now: Instant, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            if entry.failures == 0 {
                entry.next = entry.next.min(now);
            }
        } else if self.make_room() {
            self.insert(now, address, None);
        }
    }

    /// A node says, in its session, that it listens there.
    pub(crate) fn told(&mut self, now: Instant, address: SocketAddr, node: NodeKey) {
        if let Some(entry) = self.entries.get_mut(&address) {
            if !entry.is_proven {
                entry.node = Some(node);
            }
        } else if self.make_room() {
            self.insert(now, address, Some(node));
        }
    }

    /// Somebody was there in an earlier life of this process.
    pub(crate) fn remember(&mut self, now: Instant, address: SocketAddr, node: NodeKey) {
        self.told(now, address, node);
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.is_proven = true;
        }
    }

    fn insert(&mut self, now: Instant, address: SocketAddr, node: Option<NodeKey>) {
        self.entries.insert(address, Entry { node, is_proven: false, failures: 0, next: now, is_being_tried: false });
    }

    fn make_room(&mut self) -> bool {
        if self.entries.len() < ADDRESSES_MAX {
            return true;
        }
        // Who has failed most often goes, of those where nobody was ever; and of those where somebody was and is not any more, only when there are no others.
        let worst = self.entries.iter().filter(|(_, entry)| !entry.is_being_tried && (!entry.is_proven || entry.failures > 0));
        let worst = worst.max_by_key(|(_, entry)| (!entry.is_proven, entry.failures)).map(|(address, _)| *address);
        worst.is_some_and(|worst| self.entries.remove(&worst).is_some())
    }

    /// What is to be tried now; each of them is from here on. Nobody is tried whom there is a session with.
    pub(crate) fn due(&mut self, now: Instant, most: usize, has_session: impl Fn(NodeKey) -> bool) -> Vec<SocketAddr> {
        let is_due = |entry: &Entry| !entry.is_being_tried && entry.next <= now && !entry.node.is_some_and(&has_session);
        let mut due: Vec<_> = self.entries.iter_mut().filter(|(_, entry)| is_due(entry)).collect();
        due.sort_by_key(|(_, entry)| entry.next);
        due.truncate(most);
        due.iter_mut().for_each(|(_, entry)| entry.is_being_tried = true);
        due.into_iter().map(|(address, _)| *address).collect()
    }

    /// When something will be due.
    pub(crate) fn deadline(&self, has_session: impl Fn(NodeKey) -> bool) -> Option<Instant> {
        let waits = |entry: &&Entry| !entry.is_being_tried && !entry.node.is_some_and(&has_session);
        self.entries.values().filter(waits).map(|entry| entry.next).min()
    }

    /// A session was opened there.
    pub(crate) fn connected(&mut self, now: Instant, address: SocketAddr, node: NodeKey) {
        if !self.entries.contains_key(&address) && self.make_room() {
            self.insert(now, address, None);
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            // If the session is lost, the first attempt comes after the shortest pause.
            *entry = Entry { node: Some(node), is_proven: true, failures: 0, next: now + self.limits.backoff_min, is_being_tried: false };
        }
    }

    /// None could be opened.
    pub(crate) fn failed(&mut self, now: Instant, address: SocketAddr) {
        let Limits { backoff_min, backoff_max, .. } = self.limits;
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.is_being_tried = false;
        entry.next = now + backoff(entry.failures, backoff_min, backoff_max);
        entry.failures = entry.failures.saturating_add(1);
        if !entry.is_proven && entry.failures >= FAILURES_MAX {
            self.entries.remove(&address);
        }
    }

    /// This node itself is there.
    pub(crate) fn forget(&mut self, address: SocketAddr) {
        self.entries.remove(&address);
    }

    /// Who is where, as far as it is known.
    pub(crate) fn nodes(&self) -> BTreeMap<NodeKey, BTreeSet<SocketAddr>> {
        self.nodes_where(|_| true)
    }

    /// Who was where, as this node has seen itself.
    pub(crate) fn proven(&self) -> BTreeMap<NodeKey, BTreeSet<SocketAddr>> {
        self.nodes_where(|entry| entry.is_proven)
    }

    fn nodes_where(&self, counts: impl Fn(&Entry) -> bool) -> BTreeMap<NodeKey, BTreeSet<SocketAddr>> {
        let mut nodes: BTreeMap<NodeKey, BTreeSet<SocketAddr>> = BTreeMap::new();
        for (address, entry) in self.entries.iter().filter(|(_, entry)| counts(entry)) {
            if let Some(node) = entry.node {
                nodes.entry(node).or_default().insert(*address);
            }
        }
        nodes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn backoff(failures: u32, min: Duration, max: Duration) -> Duration {
    min.saturating_mul(1 << failures.min(16)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u16) -> SocketAddr {
        ([10, 0, (number >> 8) as u8, number as u8], 1).into()
    }

    const NODE: NodeKey = NodeKey([1; 32]);

    #[test]
    fn pauses_grow_and_who_never_answered_is_forgotten() {
        let (start, limits) = (Instant::now(), Limits::default());
        let mut book = Book::new(limits);
        book.hear(start, address(1));
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..FAILURES_MAX {
            assert_eq!(book.due(now, 10, |_| false), [address(1)]);
            assert_eq!((book.due(now, 10, |_| false), book.deadline(|_| false)), (vec![], None), "not twice at the same time");
            book.failed(now, address(1));
            let Some(next) = book.deadline(|_| false) else { break };
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!((pauses, book.len()), (vec![1, 2, 4, 8], 0));
    }

    #[test]
    fn where_somebody_was_is_tried_for_ever_and_not_while_there_is_a_session() {
        let (now, limits) = (Instant::now(), Limits::default());
        let mut book = Book::new(limits);
        book.connected(now, address(1), NODE);
        assert_eq!(book.due(now + limits.backoff_max, 10, |node| node == NODE), []);
        let mut now = now + limits.backoff_min;
        for _ in 0..100 {
            assert_eq!(book.due(now, 10, |_| false), [address(1)]);
            book.failed(now, address(1));
            now += limits.backoff_max;
        }
        assert_eq!(book.nodes()[&NODE], [address(1)].into());
    }

    #[test]
    fn where_somebody_was_in_an_earlier_life_is_tried_for_ever() {
        let mut now = Instant::now();
        let mut book = Book::new(Limits::default());
        book.remember(now, address(1), NODE);
        for _ in 0..100 {
            assert_eq!(book.due(now, 10, |_| false), [address(1)]);
            book.failed(now, address(1));
            now += Limits::default().backoff_max;
        }
        assert_eq!(book.proven()[&NODE], [address(1)].into());
    }

    #[test]
    fn lies_take_no_place_from_who_was_there() {
        let now = Instant::now();
        let mut book = Book::new(Limits::default());
        (0..300).for_each(|number| book.connected(now, address(number), NODE));
        (300..2000).for_each(|number| book.hear(now, address(number)));
        assert_eq!((book.len(), book.nodes()[&NODE].len()), (ADDRESSES_MAX, 300));
    }

    #[test]
    fn where_nobody_is_any_more_makes_room_when_nothing_else_does() {
        let now = Instant::now();
        let mut book = Book::new(Limits::default());
        (0..ADDRESSES_MAX as u16).for_each(|number| book.connected(now, address(number), NODE));
        book.hear(now, address(9999));
        assert!(!book.entries.contains_key(&address(9999)), "all of them may still be there");
        book.failed(now, address(7));
        book.hear(now, address(9999));
        assert!(book.entries.contains_key(&address(9999)) && !book.entries.contains_key(&address(7)));
    }

    #[test]
    fn what_somebody_says_of_an_address_does_not_outdo_what_was_proven_there() {
        let now = Instant::now();
        let mut book = Book::new(Limits::default());
        book.connected(now, address(1), NODE);
        book.told(now, address(1), NodeKey([2; 32]));
        assert!(book.nodes().contains_key(&NODE) && book.nodes().len() == 1);
    }
}
