//! What can go wrong with the cache's own files.

use std::io;
use std::path::{Path, PathBuf};

/// The cache could not be read or written. Nothing that counts was changed, and nothing half-written counts.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where the cache is.
    #[error("there is no place for the cache: set HOME or XDG_CACHE_HOME to an absolute path, or name a directory with --cache")]
    NoHome,
    /// The file system of the cache is full, or the user's quota is used up.
    #[error("no space left for {}: free some, run `shoal cache prune`, or name a directory with more space with --cache", path.display())]
    NoSpace {
        /// File or directory that was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The user may not write there.
    #[error("cannot write {}: make the directory yours, or name another one with --cache", path.display())]
    Unwritable {
        /// File or directory that was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else the system refused.
    #[error("cannot {action} {}: if the cache was damaged, delete it, and the next build fetches what it needs", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl CacheError {
    /// For `map_err`: sorts what the system said into a variant.
    pub(crate) fn during(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Unwritable { path, source },
            _ => Self::Io { action, path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_foreign_directory_are_told_apart_from_the_rest() {
        let error = |number| CacheError::during("write", Path::new("f"))(io::Error::from_raw_os_error(number));
        let number = |error: rustix::io::Errno| error.raw_os_error();
        assert!(matches!(error(number(rustix::io::Errno::NOSPC)), CacheError::NoSpace { .. }));
        assert!(matches!(error(number(rustix::io::Errno::DQUOT)), CacheError::NoSpace { .. }));
        assert!(matches!(error(number(rustix::io::Errno::ACCESS)), CacheError::Unwritable { .. }));
        assert!(matches!(error(number(rustix::io::Errno::ROFS)), CacheError::Unwritable { .. }));
        assert!(matches!(error(number(rustix::io::Errno::IO)), CacheError::Io { .. }));
    }
}
