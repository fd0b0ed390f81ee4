//! The naive log that the real one is compared with.

use shoal_store_files::log::{Entry, Head, LogFiles, LogId, ReadLogError, Record};

/// A log as a list. It checks nothing; histories are made so that all of it is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    pub head: Head,
    pub entries: Vec<Entry>,
}

impl Model {
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Append(entry) => self.entries.push(entry.clone()),
            Record::Truncate { from } => self.entries.retain(|entry| entry.id.index < *from),
            Record::Purge { to } => {
                self.head.purged = Some(*to);
                self.entries.retain(|entry| entry.id.index > to.index);
            }
            Record::Vote(vote) => self.head.vote = Some(vote.clone()),
            Record::Committed(id) => self.head.committed = *id,
        }
        self.head.last = self.entries.last().map(|entry| entry.id).or(self.head.purged);
    }

    pub fn next(&self) -> u64 {
        self.head.last.map_or(0, |last| last.index + 1)
    }

    pub fn term(&self) -> u64 {
        self.head.last.map_or(1, |last| last.term)
    }

    /// What a real log holds, all of it read from its files.
    ///
    /// # Errors
    /// A read failed: the disk has no power any more.
    pub fn observe(files: &LogFiles) -> Result<Self, ReadLogError> {
        let head = files.head();
        let first = head.purged.map_or(0, |purged| purged.index + 1);
        let next = head.last.map_or(first, |last| last.index + 1);
        let entries = files.read(first..next, usize::MAX)?;
        assert_eq!(entries.len() as u64, next - first);
        Ok(Self { head, entries })
    }
}

/// Nothing but an id.
pub fn id(term: u64, index: u64) -> LogId {
    LogId { term, index }
}
