//! Bugs that other stores had, or that are easily made: put back, one at a time, to see that the simulation catches them.

use shoal_cluster::known_bugs;
use shoal_store_files::{Bug, Bugs};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBug {
    /// Entries are acknowledged after they were written, before they are synced.
    AcknowledgeBeforeSync,
    /// Whatever is not readable in a log is cut off, also in the middle.
    CutInTheMiddle,
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
    pub const ALL: [Self; 7] = [
        Self::AcknowledgeBeforeSync,
        Self::CutInTheMiddle,
        Self::ReadWithoutIndex,
        Self::SnapshotKeepsKeys,
        Self::AppliedIsBehind,
        Self::ProgressIsAhead,
        Self::LeasesAreNotExtended,
    ];

    /// As a bug of the log.
    pub(crate) fn of_the_files(self) -> Bugs {
        match self {
            Self::AcknowledgeBeforeSync => Bugs::put_back(Bug::AcknowledgeBeforeSync),
            Self::CutInTheMiddle => Bugs::put_back(Bug::CutInTheMiddle),
            _ => Bugs::default(),
        }
    }

    /// As a bug of everything else.
    pub(crate) fn of_the_node(self) -> Option<known_bugs::KnownBug> {
        Some(match self {
            Self::AcknowledgeBeforeSync | Self::CutInTheMiddle => return None,
            Self::ReadWithoutIndex => known_bugs::KnownBug::ReadWithoutIndex,
            Self::SnapshotKeepsKeys => known_bugs::KnownBug::SnapshotKeepsKeys,
            Self::AppliedIsBehind => known_bugs::KnownBug::AppliedIsBehind,
            Self::ProgressIsAhead => known_bugs::KnownBug::ProgressIsAhead,
            Self::LeasesAreNotExtended => known_bugs::KnownBug::LeasesAreNotExtended,
        })
    }
}
