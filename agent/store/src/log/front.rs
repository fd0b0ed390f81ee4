//! What was submitted, durable or not: the state as raft sees it, recent entries, and what waits for the log's thread.

use std::collections::VecDeque;

use shoal_store_format::{Entry, LogId, Record};

use super::error::{LogFailed, SubmitError};
use super::{Done, LogState, Space};

/// Something that waits to be written.
pub(super) struct Operation {
    pub(super) records: Vec<Record>,
    pub(super) payload_bytes: usize,
    /// Operations are numbered from 1 on.
    pub(super) number: u64,
    pub(super) done: Done,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("number", &self.number).field("records", &self.records.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Front {
    pub(super) state: LogState,
    /// Recent entries without a hole, up to the last one, each with the number of the operation that brought it.
    cache: VecDeque<(u64, Entry)>,
    cached_bytes: usize,
    cache_bytes_max: usize,
    pub(super) queue: VecDeque<Operation>,
    pub(super) pending_bytes: usize,
    last_operation: u64,
    durable_operation: u64,
    /// The commit hint changed and was not written yet.
    pub(super) committed_changed: bool,
    pub(super) space: Space,
    pub(super) failed: Option<LogFailed>,
    pub(super) closing: bool,
}

impl Front {
    pub(super) fn new(cache_bytes_max: usize) -> Self {
        Self {
            state: LogState::default(),
            cache: VecDeque::new(),
            cached_bytes: 0,
            cache_bytes_max,
            queue: VecDeque::new(),
            pending_bytes: 0,
            last_operation: 0,
            durable_operation: 0,
            committed_changed: false,
            space: Space::Ready,
            failed: None,
            closing: false,
        }
    }

    pub(super) fn check(&self) -> Result<(), SubmitError> {
        match &self.failed {
            Some(failed) => Err(failed.clone().into()),
            None if self.closing => Err(SubmitError::Closed),
            None => Ok(()),
        }
    }

    /// Puts an operation at the end of the queue.
    pub(super) fn submit(&mut self, records: Vec<Record>, payload_bytes: usize, done: Done) {
        self.last_operation += 1;
        self.pending_bytes += payload_bytes;
        self.queue.push_back(Operation { records, payload_bytes, number: self.last_operation, done });
    }

    /// Shows an entry to readers. During recovery, when all that is seen is durable, and before [`Front::submit`] of what brought it.
    pub(super) fn show(&mut self, entry: Entry) {
        self.state.last = Some(entry.id);
        self.cached_bytes += entry.payload.len();
        self.cache.push_back((self.last_operation + 1, entry));
    }

    /// Operations up to this one are durable.
    pub(super) fn is_durable(&mut self, operation: u64, payload_bytes: usize) {
        self.durable_operation = operation;
        self.pending_bytes -= payload_bytes;
        self.shrink_cache();
    }

    /// Nothing is written any more: neither what waits nor what comes.
    pub(super) fn fail(&mut self, failed: &LogFailed) {
        self.failed = Some(failed.clone());
        // Whoever waits for room would wait for ever.
        self.pending_bytes = 0;
    }

    /// All that is shown is durable.
    pub(super) fn all_is_durable(&mut self) {
        self.last_operation += 1;
        self.durable_operation = self.last_operation;
        self.shrink_cache();
    }

    fn shrink_cache(&mut self) {
        while self.cached_bytes > self.cache_bytes_max
            && let Some((operation, entry)) = self.cache.front()
            && *operation <= self.durable_operation
        {
            self.cached_bytes -= entry.payload.len();
            self.cache.pop_front();
        }
    }

    /// Forgets entries from this index on. `last` is the one before, if there is one.
    pub(super) fn truncate(&mut self, from: u64, last: Option<LogId>) {
        while let Some((_, entry)) = self.cache.back().filter(|(_, entry)| entry.id.index >= from) {
            self.cached_bytes -= entry.payload.len();
            self.cache.pop_back();
        }
        self.state.last = last.or(self.state.purged);
    }

    /// Forgets entries up to this one.
    pub(super) fn purge(&mut self, to: LogId) {
        while let Some((_, entry)) = self.cache.front().filter(|(_, entry)| entry.id.index <= to.index) {
            self.cached_bytes -= entry.payload.len();
            self.cache.pop_front();
        }
        self.state.purged = Some(to);
        if self.state.last.is_none_or(|last| last.index <= to.index) {
            self.state.last = Some(to);
        }
    }

    /// The index of the first cached entry.
    pub(super) fn first_cached(&self) -> Option<u64> {
        self.cache.front().map(|(_, entry)| entry.id.index)
    }

    /// A cached entry.
    pub(super) fn cached(&self, index: u64) -> Option<&Entry> {
        let offset = usize::try_from(index.checked_sub(self.first_cached()?)?).ok()?;
        self.cache.get(offset).map(|(_, entry)| entry)
    }

    /// Whether an entry with this index is in the log.
    pub(super) fn contains(&self, index: u64) -> bool {
        self.state.last.is_some_and(|last| index <= last.index) && self.state.purged.is_none_or(|purged| index > purged.index)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(term: u64, index: u64) -> Entry {
        Entry { id: LogId { term, index }, payload: Bytes::from_static(&[0; 100]) }
    }

    fn submit(front: &mut Front, entries: impl Iterator<Item = Entry>) {
        let mut bytes = 0;
        for entry in entries {
            bytes += entry.payload.len();
            front.show(entry);
        }
        front.submit(Vec::new(), bytes, Box::new(|_| {}));
    }

    #[test]
    fn entries_that_are_not_durable_stay_in_memory_however_many_they_are() {
        let mut front = Front::new(250);
        submit(&mut front, (0..5).map(|index| entry(1, index)));
        submit(&mut front, (5..6).map(|index| entry(1, index)));
        assert_eq!((front.first_cached(), front.pending_bytes), (Some(0), 600));
        front.is_durable(1, 500);
        assert_eq!((front.first_cached(), front.pending_bytes), (Some(4), 100));
    }

    #[test]
    fn an_entry_that_replaces_a_durable_one_is_not_durable_with_it() {
        let mut front = Front::new(0);
        submit(&mut front, (0..2).map(|index| entry(1, index)));
        front.truncate(1, Some(LogId { term: 1, index: 0 }));
        front.submit(Vec::new(), 0, Box::new(|_| {}));
        submit(&mut front, std::iter::once(entry(2, 1)));
        front.is_durable(1, 200);
        assert_eq!(front.cached(1).map(|entry| entry.id.term), Some(2), "the second entry 1 is not durable");
        front.is_durable(3, 100);
        assert_eq!(front.cached(1), None);
    }

    #[test]
    fn a_purge_beyond_the_end_moves_the_end() {
        let mut front = Front::new(1000);
        submit(&mut front, (0..3).map(|index| entry(1, index)));
        front.purge(LogId { term: 1, index: 1 });
        assert_eq!((front.first_cached(), front.state.last), (Some(2), Some(LogId { term: 1, index: 2 })));
        front.purge(LogId { term: 3, index: 9 });
        assert_eq!((front.first_cached(), front.state.last, front.contains(9)), (None, Some(LogId { term: 3, index: 9 }), false));
    }
}
