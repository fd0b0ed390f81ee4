//! What has to be written down so that a store can be had again.

use crate::{
    event::{KeyValue, Revision},
    response::AlarmMember,
};

/// Everything but the versions, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The newest revision.
    pub revision: i64,
    /// The revision of the last compaction; -1 before the first.
    pub compact_revision: i64,
    /// Id and seconds granted of each lease. Which keys are attached follows from the versions.
    pub leases: Vec<(i64, i64)>,
    /// The alarms raised.
    pub alarms: Vec<AlarmMember>,
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointVersion {
    /// Its place in history.
    pub revision: Revision,
    /// The key-value; its mod revision is `revision.main`. A deletion has version 0, no value, no lease and no create revision.
    pub kv: KeyValue,
}

/// Why there is no store in what was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The head's revisions contradict each other.
    #[error("there is no store at revision {revision} that was compacted at {compact_revision}")]
    ImpossibleHead {
        /// The newest revision.
        revision: i64,
        /// The revision of the last compaction.
        compact_revision: i64,
    },
    /// The versions are not in the order of their revisions, or one comes twice.
    #[error("the version at {at:?} does not come after the one at {after:?}")]
    OutOfOrder {
        /// The version.
        at: Revision,
        /// The version before it.
        after: Revision,
    },
    /// A version's numbers contradict each other or the head.
    #[error("the version at {at:?} has impossible revisions")]
    ImpossibleVersion {
        /// The version.
        at: Revision,
    },
    /// A key is attached to a lease that the head does not have.
    #[error("the key of the version at {at:?} is attached to lease {lease}, which does not exist")]
    UnknownLease {
        /// The version.
        at: Revision,
        /// The lease.
        lease: i64,
    },
}
