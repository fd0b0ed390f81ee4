//! Recent entries, decoded: what followers are sent and what is applied, most of the time.

use std::{collections::VecDeque, ops::Range};

use crate::raft::Entry;

/// Bytes of payload of recent entries kept in memory. A follower that lags by no more costs no reads from the medium.
const RECENT_BYTES: usize = 16 << 20;

/// The last entries, without a hole.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Recent {
    /// Adds an entry. What is here is dropped if the entry does not follow it.
    pub(super) fn push(&mut self, entry: Entry, bytes: usize) {
        if self.entries.back().is_some_and(|(last, _)| last.log_id.index + 1 != entry.log_id.index) {
            *self = Self::default();
        }
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        while self.bytes > RECENT_BYTES && self.entries.len() > 1 {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some((_, bytes)) = self.entries.pop_front() {
            self.bytes -= bytes;
        }
    }

    /// Drops the entries from `index` on.
    pub(super) fn truncate(&mut self, index: u64) {
        while self.entries.back().is_some_and(|(last, _)| last.log_id.index >= index) {
            self.bytes -= self.entries.pop_back().map_or(0, |(_, bytes)| bytes);
        }
    }

    /// Drops the entries up to `index`.
    pub(super) fn purge(&mut self, index: u64) {
        while self.entries.front().is_some_and(|(first, _)| first.log_id.index <= index) {
            self.pop_front();
        }
    }

    /// Entries of `range`, from its start on, up to about `max_bytes`; none if the first is not here.
    pub(super) fn read(&self, range: Range<u64>, max_bytes: usize) -> Vec<Entry> {
        let Some((first, _)) = self.entries.front() else { return Vec::new() };
        let Some(start) = range.start.checked_sub(first.log_id.index) else { return Vec::new() };
        let count = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut fits = |size: usize| {
            let first = bytes == 0;
            bytes += size.max(1);
            first || bytes <= max_bytes
        };
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        self.entries.iter().skip(start).take(count).take_while(|(_, size)| fits(*size)).map(|(entry, _)| entry.clone()).collect()
    }
}
