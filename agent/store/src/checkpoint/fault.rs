//! What can go wrong beneath: redb's many errors, and its panics, as two cases.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use super::error::{CheckpointFailed, OpenCheckpointError, ReadCheckpointError, RewriteError, Source};

/// Something went wrong inside.
#[derive(Debug)]
pub(super) enum Fault {
    /// What is there is not what was written.
    Damaged(String),
    /// redb or the disk beneath it refused.
    Redb(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        match error.into() {
            redb::Error::Corrupted(what) => Self::Damaged(what),
            redb::Error::Io(error) if error.kind() == InvalidData => Self::Damaged(error.to_string()),
            redb::Error::Io(error) if error.kind() == UnexpectedEof => Self::Damaged("the file is too short".to_owned()),
            // No release of this store has written another format or other tables, so far: these bits are not what was written.
            error @ (redb::Error::UpgradeRequired(_)
            | redb::Error::TableDoesNotExist(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableIsNotMultimap(_)) => Self::Damaged(error.to_string()),
            error => Self::Redb(error),
        }
    }
}

impl Fault {
    fn source(self) -> Source {
        match self {
            Self::Damaged(what) => Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(what)),
            Self::Redb(error) => Arc::new(error),
        }
    }

    pub(super) fn failed(self, action: &'static str, path: &Path) -> CheckpointFailed {
        CheckpointFailed { action, path: path.to_owned(), source: self.source() }
    }

    pub(super) fn draft(self, action: &'static str, path: &Path) -> RewriteError {
        RewriteError::Draft { action, path: path.to_owned(), source: self.source() }
    }

    pub(super) fn reading(self, path: &Path) -> ReadCheckpointError {
        match self {
            Self::Damaged(what) => ReadCheckpointError::Damaged { path: path.to_owned(), what },
            error @ Self::Redb(_) => ReadCheckpointError::Unreadable { path: path.to_owned(), source: error.source() },
        }
    }

    pub(super) fn opening(self, action: &'static str, path: &Path) -> OpenCheckpointError {
        match self {
            Self::Damaged(what) => OpenCheckpointError::Damaged { path: path.to_owned(), what },
            error @ Self::Redb(_) => OpenCheckpointError::Io { action, path: path.to_owned(), source: error.source() },
        }
    }
}

/// Makes an error of a panic: redb panics on some damaged pages.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    // What a panic leaves half-way is not used any more: the caller gives up the store.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Fault::Damaged(format!("redb gave up: {}", message.unwrap_or("it did not say why"))))
    })
}
