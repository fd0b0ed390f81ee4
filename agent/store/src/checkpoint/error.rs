//! What can go wrong with the checkpoint.

use std::path::PathBuf;
use std::sync::Arc;

/// What went wrong beneath: the file system or redb.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

/// The checkpoint has failed and takes nothing any more. What was called back well is durable. End the process and open it again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the checkpoint {} has failed and the node must restart: cannot {action}", path.display())]
pub struct CheckpointFailed {
    /// What was being done, as a verb.
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub source: Source,
}

/// A new file could not be made of the checkpoint.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RewriteError {
    /// The new file could not be written, for want of space perhaps. The old one counts and takes commits as before.
    #[error("cannot {action} {}; the checkpoint stays as it is", path.display())]
    Draft {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Source,
    },
    /// The checkpoint was closed, or everything was replaced, before it was complete.
    #[error("the rewrite of the checkpoint was given up")]
    GivenUp,
    /// The checkpoint has failed, by this or before.
    #[error(transparent)]
    Failed(#[from] CheckpointFailed),
}

/// Rows could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadCheckpointError {
    /// What is in the file is not what was written.
    #[error("the checkpoint {} is damaged: {what}. Restore this node from its peers, or from a backup if it has none", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It could not be read.
    #[error("cannot read the checkpoint {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: Source,
    },
    /// It was closed, or failed before.
    #[error("the checkpoint was closed")]
    Closed,
}

/// A checkpoint could not be opened or created. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenCheckpointError {
    /// There never was one.
    #[error("there is no checkpoint in {}: a new node creates it", directory.display())]
    Missing {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// There was one, and its file is gone.
    #[error("the checkpoint {} has vanished: restore this node from its peers, or from a backup if it has none", path.display())]
    Vanished {
        /// The file that is gone.
        path: PathBuf,
    },
    /// There is one already.
    #[error("there is a checkpoint in {} already", directory.display())]
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
    /// It is damaged.
    #[error("the checkpoint {} is damaged: {what}. Restore this node from its peers, or from a backup if it has none", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The system or redb refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What went wrong.
        source: Source,
    },
}

impl From<RewriteError> for OpenCheckpointError {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Draft { action, path, source } => Self::Io { action, path, source },
            RewriteError::Failed(failed) => failed.into(),
            RewriteError::GivenUp => Self::Io { action: "write", path: PathBuf::new(), source: Arc::new(error) },
        }
    }
}

impl From<CheckpointFailed> for OpenCheckpointError {
    fn from(failed: CheckpointFailed) -> Self {
        Self::Io { action: failed.action, path: failed.path, source: failed.source }
    }
}
