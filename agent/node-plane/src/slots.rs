//! Places for handshakes. Whoever comes gets one, and when there is none left somebody else loses his: first the oldest of the same address, if that has
//! its share; else the oldest from where no member has ever come; else the oldest. A genuine handshake is over within milliseconds, so what is old is
//! what only holds its place.

use std::{collections::BTreeMap, net::IpAddr};

/// The places.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    max: usize,
    per_source: usize,
    next: u64,
    taken: BTreeMap<u64, Slot<T>>,
    /// The most that were ever taken.
    peak: usize,
}

#[derive(Debug)]
struct Slot<T> {
    source: IpAddr,
    is_known: bool,
    holder: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) const fn new(max: usize, per_source: usize) -> Self {
        Self { max, per_source, next: 0, taken: BTreeMap::new(), peak: 0 }
    }

    /// Takes a place. Gives its number, and who has lost his.
    pub(crate) fn take(&mut self, source: IpAddr, is_known: bool) -> (u64, Option<T>) {
        let loser = self.loser(source);
        let lost = loser.and_then(|loser| self.taken.remove(&loser)).and_then(|slot| slot.holder);
        let number = self.next;
        self.next += 1;
        self.taken.insert(number, Slot { source, is_known, holder: None });
        self.peak = self.peak.max(self.taken.len());
        (number, lost)
    }

    /// Says who holds a place, so that he can be told to go.
    pub(crate) fn hold(&mut self, number: u64, holder: T) {
        if let Some(slot) = self.taken.get_mut(&number) {
            slot.holder = Some(holder);
        }
    }

    pub(crate) fn release(&mut self, number: u64) {
        self.taken.remove(&number);
    }

    /// All who hold one.
    pub(crate) fn empty(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.taken).into_values().filter_map(|slot| slot.holder)
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.len()
    }

    pub(crate) const fn peak(&self) -> usize {
        self.peak
    }

    fn loser(&self, source: IpAddr) -> Option<u64> {
        let oldest = |is_it: &dyn Fn(&Slot<T>) -> bool| self.taken.iter().find(|(_, slot)| is_it(slot)).map(|(number, _)| *number);
        if self.taken.values().filter(|slot| slot.source == source).count() >= self.per_source {
            return oldest(&|slot| slot.source == source);
        }
        if self.taken.len() < self.max {
            return None;
        }
        oldest(&|slot| !slot.is_known).or_else(|| oldest(&|_| true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// Takes a place, and says whose it was.
    fn take(slots: &mut Slots<u64>, from: u8, is_known: bool) -> Option<u64> {
        let (number, lost) = slots.take(source(from), is_known);
        slots.hold(number, number);
        lost
    }

    #[test]
    fn who_has_his_share_pushes_out_himself() {
        let mut slots = Slots::new(10, 2);
        assert_eq!([1, 2, 1, 1, 1].map(|from| take(&mut slots, from, false)), [None, None, None, Some(0), Some(2)]);
        assert_eq!((slots.taken(), slots.peak()), (3, 3));
    }

    #[test]
    fn when_all_are_taken_the_oldest_goes_and_members_go_last() {
        let mut slots = Slots::new(3, 3);
        assert_eq!(take(&mut slots, 1, true), None);
        assert_eq!([2, 3, 4, 5].map(|from| take(&mut slots, from, false)), [None, None, Some(1), Some(2)]);
        assert_eq!(take(&mut slots, 6, true), Some(3));
        assert_eq!(take(&mut slots, 7, true), Some(4));
        assert_eq!(take(&mut slots, 8, false), Some(0), "all are members': the oldest");
        slots.release(5);
        assert_eq!(take(&mut slots, 9, false), None);
        assert_eq!((slots.taken(), slots.empty().count(), slots.taken()), (3, 3, 0));
    }
}
