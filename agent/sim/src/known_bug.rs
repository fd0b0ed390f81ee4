//! Bugs that other stores had, or that are easily made: put back, one at a time, to see that the simulation catches them.

use shoal_cluster::{NodeConfig, known_bugs};
use shoal_store_files::{Bug, Bugs};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBug {
    /// Entries are acknowledged after they were written, before they are synced.
    AcknowledgeBeforeSync,
    /// A read sees what this member has applied, without asking anybody whether it still leads.
    ReadWithoutIndex,
    /// A snapshot that is installed leaves the keys that it does not have.
    SnapshotKeepsKeys,
    /// The checkpoint says that less was applied than it holds, so that a restart applies an entry twice.
    AppliedIsBehind,
    /// Progress is answered with the newest revision although events are still to be sent (etcd #15220).
    ProgressIsAhead,
    /// A member that begins to lead ends leases by the deadlines that it has kept itself, although others were told of renewals.
    LeasesAreNotExtended,
}

impl KnownBug {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AcknowledgeBeforeSync,
        Self::ReadWithoutIndex,
        Self::SnapshotKeepsKeys,
        Self::AppliedIsBehind,
        Self::ProgressIsAhead,
        Self::LeasesAreNotExtended,
    ];

    pub(crate) fn put_back(self, config: &mut NodeConfig) {
        match self {
            Self::AcknowledgeBeforeSync => config.storage.log.bugs = Bugs::put_back(Bug::AcknowledgeBeforeSync),
            Self::ReadWithoutIndex => config.bug = Some(known_bugs::KnownBug::ReadWithoutIndex),
            Self::SnapshotKeepsKeys => config.bug = Some(known_bugs::KnownBug::SnapshotKeepsKeys),
            Self::AppliedIsBehind => config.bug = Some(known_bugs::KnownBug::AppliedIsBehind),
            Self::ProgressIsAhead => config.bug = Some(known_bugs::KnownBug::ProgressIsAhead),
            Self::LeasesAreNotExtended => config.bug = Some(known_bugs::KnownBug::LeasesAreNotExtended),
        }
    }
}
