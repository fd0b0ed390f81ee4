//! What can go wrong with a checkpoint, and errors as one line.

use crate::{codec::DecodeError, error::StorageError, replica::Owner};

/// Why there is no state in a checkpoint, or it could not be written. The node has to restart, or be restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(transparent)]
    Open(#[from] shoal_store_files::checkpoint::OpenCheckpointError),
    #[error(transparent)]
    Failed(#[from] shoal_store_files::checkpoint::CheckpointFailed),
    #[error(transparent)]
    Read(#[from] shoal_store_files::checkpoint::ReadCheckpointError),
    #[error(transparent)]
    Rewrite(#[from] shoal_store_files::checkpoint::RewriteError),
    #[error("the checkpoint cannot be understood")]
    Decode(#[from] DecodeError),
    #[error("the checkpoint holds no state that a store can have had. Restore this node from its peers, or from a backup if it has none")]
    Restore(#[from] shoal_kv::checkpoint::RestoreError),
    #[error("the checkpoint is of {found}, not of {expected}")]
    Foreign { found: Owner, expected: Owner },
    #[error("the checkpoint was closed")]
    Closed,
}

impl From<CheckpointError> for StorageError {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Closed => Self::Stopped,
            error => Self::Failed(chain(&error)),
        }
    }
}

impl From<CheckpointError> for std::io::Error {
    fn from(error: CheckpointError) -> Self {
        Self::other(chain(&error))
    }
}

/// An error with all its sources, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
