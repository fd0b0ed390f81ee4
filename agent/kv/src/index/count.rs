//! How many keys of a subtree exist, now and at earlier revisions.

/// A count with its history. It costs one entry for each revision at which it changed since the last compaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    now: u32,
    /// For each revision at which the count changed, in their order: what it was before.
    past: Vec<(i64, u32)>,
}

impl Count {
    /// The count of something that has changed by `deltas`, each at a revision, and has come to `now`. What happened at `floor` and before is
    /// of no interest.
    pub(super) fn from_deltas(now: u32, mut deltas: Vec<(i64, i64)>, floor: i64) -> Self {
        deltas.retain(|&(revision, _)| revision > floor);
        deltas.sort_unstable_by_key(|&(revision, _)| revision);
        let mut past = Vec::with_capacity(deltas.len());
        let mut count = i64::from(now);
        // Backwards from what is known, which is how things are now.
        while let Some((revision, delta)) = deltas.pop() {
            let mut delta = delta;
            while let Some(&(same, more)) = deltas.last()
                && same == revision
            {
                delta += more;
                deltas.pop();
            }
            if delta != 0 {
                count -= delta;
                past.push((revision, u32::try_from(count).expect("no subtree ever had less than no keys")));
            }
        }
        past.reverse();
        past.shrink_to_fit();
        Self { now, past }
    }

    /// The count of several subtrees together.
    pub(super) fn sum<'a>(parts: impl Iterator<Item = &'a Self>, floor: i64) -> Self {
        let mut now = 0;
        let mut deltas = Vec::new();
        for part in parts {
            now += part.now;
            deltas.extend(part.deltas());
        }
        Self::from_deltas(now, deltas, floor)
    }

    fn deltas(&self) -> impl Iterator<Item = (i64, i64)> {
        let after = self.past.iter().skip(1).map(|&(_, before)| before).chain(std::iter::once(self.now));
        self.past.iter().zip(after).map(|(&(revision, before), after)| (revision, i64::from(after) - i64::from(before)))
    }

    /// The count at a revision, which must not lie below the last compaction.
    pub(super) fn at(&self, revision: i64) -> u32 {
        let unchanged = self.past.partition_point(|&(changed, _)| changed <= revision);
        self.past.get(unchanged).map_or(self.now, |&(_, before)| before)
    }

    /// A key more or less from `revision` on, which is the newest there is.
    pub(super) fn change(&mut self, revision: i64, alive: bool) {
        if self.past.last().is_none_or(|&(last, _)| last < revision) {
            self.past.push((revision, self.now));
        }
        if alive {
            self.now += 1;
        } else {
            self.now -= 1;
        }
    }

    /// Forgets what was before `floor`.
    pub(super) fn trim(&mut self, floor: i64) {
        let stale = self.past.partition_point(|&(changed, _)| changed <= floor);
        self.past.drain(..stale);
        if self.past.capacity() > 4 * self.past.len() {
            self.past.shrink_to(2 * self.past.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count() -> Count {
        let mut count = Count::default();
        for (revision, alive) in [(2, true), (3, true), (5, true), (5, false), (5, true), (7, false)] {
            count.change(revision, alive);
        }
        count
    }

    fn at(count: &Count) -> Vec<u32> {
        (1..=8).map(|revision| count.at(revision)).collect()
    }

    #[test]
    fn a_count_remembers_what_it_was_at_each_revision() {
        assert_eq!(at(&count()), [0, 1, 2, 2, 3, 3, 2, 2]);
    }

    #[test]
    fn deltas_rebuild_the_count_and_its_past() {
        let count = count();
        let rebuilt = Count::from_deltas(2, count.deltas().collect(), 0);
        assert_eq!(rebuilt, count);
        assert_eq!(at(&Count::sum([&count, &count].into_iter(), 0)), [0, 2, 4, 4, 6, 6, 4, 4]);
    }

    #[test]
    fn trimming_keeps_everything_from_the_floor_on() {
        let mut trimmed = count();
        trimmed.trim(5);
        assert_eq!(at(&trimmed)[4..], at(&count())[4..]);
        assert_eq!(trimmed.past.len(), 1);
    }
}
