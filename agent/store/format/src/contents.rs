//! What a log holds, and where: the result of its records.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::record::{LogId, RecordRef};

/// The state of a log without its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The last entry that was purged.
    pub purged: Option<LogId>,
    /// The last entry, or what was purged if there is none.
    pub last: Option<LogId>,
    /// The vote saved last.
    pub vote: Option<Bytes>,
    /// The commit hint saved last.
    pub committed: Option<LogId>,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment's number.
    pub segment: u64,
    /// Bytes from the beginning of the segment to the record's header.
    pub offset: u32,
    /// Bytes of payload behind the header.
    pub length: u32,
}

/// A record that cannot follow. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There would be a hole, or an entry twice.
    #[error("entry {got} does not follow: the next index is {expected}")]
    Hole {
        /// The index that follows.
        expected: u64,
        /// The index that was given.
        got: u64,
    },
    /// What is purged can neither be truncated nor come back.
    #[error("entry {index} is purged already")]
    Purged {
        /// The index that was given.
        index: u64,
    },
}

/// What a log holds, and where its entries are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    purged: Option<LogId>,
    /// Entries that were there before the first record that was seen: their first and last index. Nothing is known of them but the id of
    /// the last, and that only until it is truncated.
    before: Option<(u64, u64)>,
    last_before: Option<LogId>,
    /// Index of the first of `entries`.
    first: u64,
    entries: VecDeque<(u64, Place)>,
    vote: Option<Bytes>,
    committed: Option<LogId>,
}

impl Contents {
    /// What a log holds whose earlier records are not there any more.
    #[must_use]
    pub fn after(head: &Head) -> Self {
        let before = match (head.purged, head.last) {
            (_, None) => None,
            (None, Some(last)) => Some((0, last.index)),
            (Some(purged), Some(last)) => (purged.index < last.index).then(|| (purged.index + 1, last.index)),
        };
        Self {
            purged: head.purged,
            before,
            last_before: before.and(head.last),
            vote: head.vote.clone(),
            committed: head.committed,
            ..Self::default()
        }
    }

    /// The state without the entries.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { purged: self.purged, last: self.last(), vote: self.vote.clone(), committed: self.committed }
    }

    /// The last entry, or what was purged if there is none.
    #[must_use]
    pub fn last(&self) -> Option<LogId> {
        match self.entries.back() {
            Some((term, _)) => Some(LogId { term: *term, index: self.first + self.entries.len() as u64 - 1 }),
            None => self.last_before.or(self.purged),
        }
    }

    /// The index of the entry that follows; `None` if any may.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        if self.entries.is_empty() {
            // A last index of u64::MAX has no successor; nothing follows it, and what is given is refused as a hole.
            self.before.map(|(_, last)| last).or(self.purged.map(|id| id.index)).map(|index| index.saturating_add(1))
        } else {
            Some((self.first + (self.entries.len() as u64 - 1)).saturating_add(1))
        }
    }

    /// Whether this is what a segment that begins here says, and learns from it the one thing that may not be known: the id of the last entry
    /// when entries were truncated whose records were not seen.
    pub(crate) fn agrees_with(&mut self, head: &Head) -> bool {
        if let (Some((_, last)), None, true) = (self.before, self.last_before, self.entries.is_empty()) {
            self.last_before = head.last.filter(|id| id.index == last);
        }
        self.head() == *head
    }

    /// Entries that should be there but whose records were not seen: their first and last index.
    #[must_use]
    pub fn missing(&self) -> Option<(u64, u64)> {
        self.before
    }

    /// The vote saved last.
    #[must_use]
    pub fn vote(&self) -> Option<&Bytes> {
        self.vote.as_ref()
    }

    /// The id and the place of an entry.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<(LogId, Place)> {
        let offset = usize::try_from(index.checked_sub(self.first)?).ok()?;
        let (term, place) = self.entries.get(offset)?;
        Some((LogId { term: *term, index }, *place))
    }

    /// The lowest segment that still has an entry that counts.
    #[must_use]
    pub fn oldest_segment(&self) -> Option<u64> {
        // Segments are written in order, so the first entry's is the lowest.
        self.entries.front().map(|(_, place)| place.segment)
    }

    /// Lets a record take effect.
    ///
    /// # Errors
    /// It cannot follow what was before.
    pub fn apply(&mut self, record: RecordRef<'_>, segment: u64, offset: u32) -> Result<(), Refused> {
        match record {
            RecordRef::Append { id, payload } => {
                let expected = self.next().unwrap_or(id.index);
                // The highest index has no successor and would make the next one ambiguous.
                if id.index != expected || id.index == u64::MAX {
                    return Err(Refused::Hole { expected, got: id.index });
                }
                if self.entries.is_empty() {
                    self.first = id.index;
                }
                self.entries.push_back((id.term, Place { segment, offset, length: payload.len() as u32 }));
            }
            RecordRef::Truncate { from } => self.truncate(from)?,
            RecordRef::Purge { to } => self.purge(to)?,
            RecordRef::Vote(vote) => self.vote = Some(Bytes::copy_from_slice(vote)),
            RecordRef::Committed(id) => self.committed = id,
        }
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<(), Refused> {
        if self.purged.is_some_and(|purged| from <= purged.index) {
            return Err(Refused::Purged { index: from });
        }
        let keep = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.truncate(keep);
        if let Some((first, last)) = self.before
            && from <= last
        {
            self.last_before = None;
            self.before = (first < from).then(|| (first, from - 1));
        }
        Ok(())
    }

    fn purge(&mut self, to: LogId) -> Result<(), Refused> {
        // The highest index has no successor: the log could never go on.
        if self.purged.is_some_and(|purged| to.index < purged.index) || to.index == u64::MAX {
            return Err(Refused::Purged { index: to.index });
        }
        self.purged = Some(to);
        if let Some((_, last)) = self.before {
            self.before = (to.index < last).then(|| (to.index + 1, last));
            self.last_before = self.before.and(self.last_before);
        }
        while !self.entries.is_empty() && self.first <= to.index {
            self.entries.pop_front();
            self.first += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(contents: &mut Contents, term: u64, index: u64) -> Result<(), Refused> {
        contents.apply(RecordRef::Append { id: LogId { term, index }, payload: b"x" }, 1, index as u32)
    }

    fn filled(range: std::ops::RangeInclusive<u64>) -> Contents {
        let mut contents = Contents::default();
        range.for_each(|index| append(&mut contents, 1, index).unwrap());
        contents
    }

    #[test]
    fn entries_follow_without_a_hole() {
        let mut contents = filled(5..=7);
        assert_eq!(append(&mut contents, 1, 9), Err(Refused::Hole { expected: 8, got: 9 }));
        assert_eq!(append(&mut contents, 1, 7), Err(Refused::Hole { expected: 8, got: 7 }));
        assert_eq!(append(&mut contents, 2, 8), Ok(()));
        assert_eq!(contents.last(), Some(LogId { term: 2, index: 8 }));
        assert_eq!(append(&mut Contents::default(), 1, u64::MAX), Err(Refused::Hole { expected: u64::MAX, got: u64::MAX }));
    }

    #[test]
    fn truncated_entries_are_replaced_by_others() {
        let mut contents = filled(0..=3);
        contents.apply(RecordRef::Truncate { from: 2 }, 1, 0).unwrap();
        assert_eq!(contents.last(), Some(LogId { term: 1, index: 1 }));
        append(&mut contents, 2, 2).unwrap();
        assert_eq!(contents.entry(2).unwrap().0, LogId { term: 2, index: 2 });
        assert_eq!(contents.entry(3), None);
        contents.apply(RecordRef::Truncate { from: 0 }, 1, 0).unwrap();
        assert_eq!((contents.last(), contents.next()), (None, None));
    }

    #[test]
    fn purged_entries_do_not_come_back() {
        let mut contents = filled(0..=5);
        contents.apply(RecordRef::Purge { to: LogId { term: 1, index: 3 } }, 1, 0).unwrap();
        assert_eq!((contents.entry(3), contents.entry(4).map(|found| found.0.index)), (None, Some(4)));
        assert_eq!(contents.apply(RecordRef::Truncate { from: 3 }, 1, 0), Err(Refused::Purged { index: 3 }));
        assert_eq!(contents.apply(RecordRef::Purge { to: LogId { term: 1, index: 2 } }, 1, 0), Err(Refused::Purged { index: 2 }));
        contents.apply(RecordRef::Truncate { from: 4 }, 1, 0).unwrap();
        assert_eq!(contents.last(), Some(LogId { term: 1, index: 3 }));
    }

    #[test]
    fn a_purge_beyond_the_end_lets_the_log_go_on_behind_it() {
        let mut contents = filled(0..=5);
        contents.apply(RecordRef::Purge { to: LogId { term: 4, index: 100 } }, 1, 0).unwrap();
        assert_eq!((contents.last(), contents.next()), (Some(LogId { term: 4, index: 100 }), Some(101)));
        append(&mut contents, 5, 101).unwrap();
        assert_eq!(contents.entry(101).unwrap().0.term, 5);
    }

    #[test]
    fn entries_from_before_are_missing_until_they_are_purged_or_truncated() {
        let id = |index| LogId { term: 1, index };
        let head = Head { purged: Some(id(10)), last: Some(id(20)), ..Head::default() };
        let begin = Contents::after(&head);
        assert_eq!((begin.head(), begin.missing(), begin.next()), (head, Some((11, 20)), Some(21)));

        let mut purged = begin.clone();
        append(&mut purged, 2, 21).unwrap();
        purged.apply(RecordRef::Purge { to: id(15) }, 1, 0).unwrap();
        assert_eq!(purged.missing(), Some((16, 20)));
        purged.apply(RecordRef::Purge { to: id(20) }, 1, 0).unwrap();
        assert_eq!((purged.missing(), purged.last()), (None, Some(LogId { term: 2, index: 21 })));

        let mut truncated = begin;
        truncated.apply(RecordRef::Truncate { from: 18 }, 1, 0).unwrap();
        let head = Head { purged: Some(id(10)), last: Some(id(17)), ..Head::default() };
        assert!(!truncated.agrees_with(&Head { last: Some(id(16)), ..head.clone() }));
        assert!(truncated.agrees_with(&head), "the id of entry 17 is learnt from the next segment");
        truncated.apply(RecordRef::Truncate { from: 15 }, 1, 0).unwrap();
        append(&mut truncated, 2, 15).unwrap();
        assert_eq!(truncated.missing(), Some((11, 14)));
        truncated.apply(RecordRef::Truncate { from: 11 }, 1, 0).unwrap();
        assert_eq!((truncated.missing(), truncated.last()), (None, Some(id(10))));
    }
}
