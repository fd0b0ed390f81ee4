//! What can go wrong with the cache's own files.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::space::{FileSystem, is_no_space, needed};

/// The cache could not be read or written. Nothing that counts was changed, and nothing half-written counts.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where the cache is.
    #[error("there is no place for the cache: set HOME or XDG_CACHE_HOME to an absolute path, or name a directory with --cache")]
    NoHome,
    /// The file system of the cache is full, or the user's quota is used up.
    #[error("no space left on the file system {file_system}, where the cache is{}: {NO_SPACE_ADVICE}", needed(*needs))]
    NoSpace {
        /// As it was then.
        file_system: Box<FileSystem>,
        /// How many bytes are needed, if that is known.
        needs: Option<u64>,
        /// What the system said, or the step that met it.
        source: Box<dyn Error + Send + Sync>,
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

/// What to do about a full file system with a cache on it.
pub const NO_SPACE_ADVICE: &str = "free some, run `shoal cache prune`, or name a directory with more space with --cache";

impl CacheError {
    /// An error that comes of a full file system, met when `path` was written.
    pub(crate) fn no_space(path: &Path, error: impl Error + Send + Sync + 'static) -> Self {
        Self::NoSpace { file_system: Box::new(FileSystem::of(path)), needs: None, source: Box::new(error) }
    }

    /// Whether an error or one of its causes says that the cache has no space.
    pub(crate) fn is_told(error: &(dyn Error + 'static)) -> bool {
        matches!(error.downcast_ref(), Some(Self::NoSpace { .. })) || error.source().is_some_and(Self::is_told)
    }

    /// The same with the number of bytes that are needed, from who may know it.
    #[must_use]
    pub fn needing(mut self, bytes: Option<u64>) -> Self {
        if let Self::NoSpace { needs, .. } = &mut self {
            *needs = bytes;
        }
        self
    }

    /// For `map_err`: sorts what the system said into a variant.
    pub(crate) fn during(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            _ if is_no_space(&source) => Self::no_space(&path, source),
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

    #[test]
    fn a_full_disk_is_named_with_what_is_needed_and_what_to_do() {
        let error = CacheError::during("write", Path::new("/proc/f"))(rustix::io::Errno::NOSPC.into()).needing(Some(5 << 20));
        let text = error.to_string();
        for word in ["the file system /proc (", "5 MiB are needed", "shoal cache prune", "--cache"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
