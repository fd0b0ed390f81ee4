//! Full file systems: which one, and how full.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The unit that sizes are told in: what is too little by less is as good as enough.
const MEBIBYTE: u64 = 1 << 20;

/// A file system as people know it, and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its highest directory.
    pub top: PathBuf,
    /// Bytes that this user may still write.
    pub available: u64,
    /// Files that this user may still make; none where the file system has no such limit.
    pub available_files: Option<u64>,
}

impl FileSystem {
    /// The one that `path` is on, or would be.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let existing = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok()).unwrap_or_else(|| PathBuf::from("/"));
        let device = |directory: &Path| directory.metadata().map(|metadata| metadata.dev()).ok();
        let own = device(&existing);
        let top = existing.ancestors().take_while(|ancestor| device(ancestor) == own).last().unwrap_or(&existing).to_owned();
        match rustix::fs::statvfs(&existing) {
            Ok(room) => Self {
                available: room.f_bavail.saturating_mul(room.f_frsize),
                // Some count no files, and say that there are none of none.
                available_files: (room.f_files > 0).then_some(room.f_favail),
                top,
            },
            Err(_) => Self { top, available: 0, available_files: None },
        }
    }
}

impl FileSystem {
    /// Whether nothing of any size can be written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.available < MEBIBYTE || self.available_files == Some(0)
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let top = self.top.display();
        match self.available_files {
            Some(0) => write!(formatter, "{top} (no further file can be made)"),
            _ => write!(formatter, "{top} ({} MiB available)", self.available / MEBIBYTE),
        }
    }
}

/// A size as part of a sentence about what is missing: `; 12 MiB are needed`. Nothing where it is not known.
#[must_use]
pub fn needed(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!("; {} MiB are needed", bytes.div_ceil(MEBIBYTE)))
}

/// Whether an error comes, by whatever way, of a full file system or a used-up quota.
#[must_use]
pub fn is_no_space(error: &(dyn Error + 'static)) -> bool {
    let is_full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // What it was made of is not its source: that is the source of what it was made of.
        return is_full(error.kind()) || error.get_ref().is_some_and(|inner| is_no_space(inner));
    }
    error.downcast_ref::<Errno>().is_some_and(|errno| is_full(io::Error::from(*errno).kind())) || error.source().is_some_and(is_no_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_is_on_the_file_system_of_what_is() {
        let directory = tempfile::tempdir().unwrap();
        let there = FileSystem::of(directory.path());
        let not_there = FileSystem::of(&directory.path().join("no/such/file"));
        assert_eq!(there.top, not_there.top);
        assert!(directory.path().canonicalize().unwrap().starts_with(&there.top));
        assert_eq!(FileSystem::of(Path::new("/proc/self/status")).top, Path::new("/proc"));
    }

    #[test]
    fn sizes_are_told_such_that_following_them_suffices() {
        let system = |available, available_files| FileSystem { top: "/x".into(), available, available_files };
        assert_eq!(system(MEBIBYTE - 1, None).to_string(), "/x (0 MiB available)");
        assert_eq!(system(5 * MEBIBYTE, Some(1)).to_string(), "/x (5 MiB available)");
        assert_eq!(system(5 * MEBIBYTE, Some(0)).to_string(), "/x (no further file can be made)");
        assert_eq!(needed(Some(MEBIBYTE + 1)), "; 2 MiB are needed");
        assert_eq!(needed(None), "");
    }

    #[test]
    fn a_full_file_system_is_seen_through_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Box<dyn Error>);
        let is = |error: Box<dyn Error>| is_no_space(&Outer(Box::new(Outer(error))));
        assert!(is(Box::new(io::Error::from(Errno::NOSPC))));
        assert!(is(Box::new(Errno::DQUOT)));
        assert!(is(Box::new(io::Error::other(io::Error::from(Errno::NOSPC)))));
        assert!(!is(Box::new(io::Error::from(Errno::IO))));
    }
}
