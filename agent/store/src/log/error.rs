//! What can go wrong with the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoal_store_format::{Damage, Refused};

use super::names;

/// The log has failed and takes nothing any more. What was called back well is durable; of the rest nothing is certain. End the process:
/// opening the log again finds out what the medium has.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the raft log has failed and the node must restart: cannot {action} {}", path.display())]
pub struct LogFailed {
    /// What was being done, as a verb.
    pub action: &'static str,
    /// To which file.
    pub path: PathBuf,
    /// What the system said.
    pub source: Arc<io::Error>,
}

/// Something was not accepted. The log is as it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The first index does not follow the last one: there would be a hole, or an entry twice.
    #[error("entry {got} does not follow: the next index is {expected}")]
    Hole {
        /// The index that follows.
        expected: u64,
        /// The index that was given.
        got: u64,
    },
    /// Entries that are purged cannot be truncated, and a purge never goes back.
    #[error("entry {index} is purged already")]
    Purged {
        /// The index that was given.
        index: u64,
    },
    /// A payload or a vote is larger than [`ENTRY_BYTES_MAX`](crate::ENTRY_BYTES_MAX), [`VOTE_BYTES_MAX`](crate::VOTE_BYTES_MAX), or what
    /// fits into a segment.
    #[error("{got} bytes are more than the {most} that the log takes at once: limit the size of requests")]
    TooLarge {
        /// Bytes given.
        got: usize,
        /// Bytes at most.
        most: usize,
    },
    /// Too much waits to be written. Try again after a callback.
    #[error("{pending} bytes wait to be written to the raft log already")]
    Full {
        /// Bytes that wait.
        pending: usize,
    },
    /// It failed before.
    #[error(transparent)]
    Failed(#[from] LogFailed),
    /// It was closed.
    #[error("the raft log was closed")]
    Closed,
}

/// Entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadLogError {
    /// An entry was purged, or was never there.
    #[error("the raft log has no entry {index}")]
    Missing {
        /// Which.
        index: u64,
    },
    /// What is in the file is not what was written.
    #[error(
        "{} is damaged at byte {offset}: entry {index} is lost. Take the node out of service and let it be restored from its peers",
        path.display()
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the record is, in bytes.
        offset: u64,
        /// The entry.
        index: u64,
    },
    /// The system could not read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A log could not be opened or created. The files are as they were.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// There is no log.
    #[error("there is no raft log in {}: a node that had one must be restored from its peers, a new one creates it", directory.display())]
    Missing {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// There is a log already.
    #[error("there is a raft log in {} already", directory.display())]
    Exists {
        /// Where.
        directory: PathBuf,
    },
    /// Another process has it.
    #[error("{} is in use by another process: stop it first", directory.display())]
    Locked {
        /// Where.
        directory: PathBuf,
    },
    /// Something that was durable is not readable any more.
    #[error("{} is damaged at byte {offset}: {what}. Nothing was changed. {affected} Restore this node from its peers", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
        /// What is lost by it, as a sentence.
        affected: String,
    },
    /// The medium does not give back a sector.
    #[error("the medium cannot read {}. Nothing was changed. Restore this node from its peers, on another medium", path.display())]
    Unreadable {
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A format that this version does not know.
    #[error("{} has format version {version}, which this version cannot read: use the version that wrote it, or a newer one", path.display())]
    Version {
        /// The segment.
        path: PathBuf,
        /// What it says.
        version: u16,
    },
    /// Whoever opens it cannot use what is in it.
    #[error("{reason}")]
    Unwanted {
        /// Why, in their words.
        reason: String,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenLogError {
    pub(crate) fn damaged(directory: &Path, damage: &Damage) -> Self {
        Self::Damaged {
            path: directory.join(names::segment(damage.segment)),
            offset: damage.offset,
            what: damage.what.to_string(),
            affected: damage.affected(),
        }
    }
}

impl From<Refused> for SubmitError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Hole { expected, got } => Self::Hole { expected, got },
            Refused::Purged { index } => Self::Purged { index },
        }
    }
}
