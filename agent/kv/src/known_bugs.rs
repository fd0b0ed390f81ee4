//! Bugs that etcd and other stores had, to be put back by tests that prove that they would be noticed.

/// One bug. A store or a hub has none unless told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBug {
    /// `count` is the number of keys in the response, so that clients think the last page was reached.
    CountIsLimited,
    /// Compaction takes what the first revision that can still be watched needs: its deletions and previous values (etcd #18089, #19179).
    CompactionTakesOneMore,
    /// Comparisons of a nested transaction see what the outer one has done before.
    NestedComparesSeeChanges,
    /// Progress is answered with the newest revision of the store although events are still to be sent (etcd #15220, k8s-dqlite #263).
    ProgressIsAhead,
    /// A watcher with a start revision in the future is sent older events (etcd #20221).
    FutureWatchersHearTheirPast,
    /// A stream that was too slow goes on with the newest events, not with those it has missed.
    SlowStreamsMissEvents,
    /// The events of one revision are split where a response is full, fragments wanted or not.
    RevisionsAreSplit,
}
