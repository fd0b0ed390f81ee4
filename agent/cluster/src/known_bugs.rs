//! Bugs that stores had, to be put back by a simulation that proves that it would notice them.

/// One bug. A node has none unless told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBug {
    /// A read sees what this member has applied, without asking anybody who leads.
    ReadWithoutIndex,
    /// A snapshot is installed on the medium and in the books of raft, but the keys stay as they were.
    SnapshotKeepsKeys,
    /// A checkpoint says that one entry less was applied than it holds.
    AppliedIsBehind,
    /// Progress is answered with the newest revision of the store although events are still to be sent (etcd #15220).
    ProgressIsAhead,
    /// A member that begins to lead takes the deadlines of leases for those of their grants, whatever renewals were answered.
    LeasesAreNotExtended,
}
