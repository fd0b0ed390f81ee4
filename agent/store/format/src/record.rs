//! What the log remembers: records, and the ids that order entries.

use bytes::Bytes;

/// Which entry: raft's (term, index). Ordered by term, then by index, as raft compares logs.
///
/// A leader id that is more than a term belongs into the payload; standard raft has one leader for each term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogId {
    /// The term of the leader that proposed the entry.
    pub term: u64,
    /// The position in the log. The first entry of a cluster may have index 0.
    pub index: u64,
}

/// One entry of the raft log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: LogId,
    /// What was proposed, opaque here. Cloning shares the bytes.
    pub payload: Bytes,
}

/// One thing that the log was told. Records take effect in the order in which they were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The next entry. Its index follows the last one's, or the purged one's when the log holds none.
    Append(Entry),
    /// Entries with this index and above are gone, because another leader wrote others in their place.
    Truncate {
        /// The lowest index that goes.
        from: u64,
    },
    /// Entries up to and including this one are not needed any more. It may lie beyond the last entry (a snapshot was installed): then the
    /// log is empty and goes on behind it.
    Purge {
        /// The highest entry that goes.
        to: LogId,
    },
    /// The vote, opaque here, at most [`VOTE_BYTES_MAX`](crate::VOTE_BYTES_MAX) bytes.
    Vote(Bytes),
    /// How far the log is known to be committed. A hint that saves time after a restart, never needed for safety.
    Committed(Option<LogId>),
}
