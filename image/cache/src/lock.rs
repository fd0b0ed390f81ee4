//! A lock that is a file, where pruning may take the file away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Opens `path`, creating it, and locks it exclusively; waits for whoever has it.
///
/// The lock belongs to the file, not to its name: while one waits, the owner may have renamed or removed it. Then the lock is one of a
/// file that nobody else will find, and all begins anew with the file that now has the name.
pub(crate) fn exclusive(path: &Path) -> io::Result<File> {
    loop {
        let file = open(path)?;
        file.lock()?;
        if has_name(&file, path)? {
            return Ok(file);
        }
    }
}

/// Like [`exclusive`], but gives nothing when somebody else has the lock or there is no such file.
pub(crate) fn try_exclusive(path: &Path) -> io::Result<Option<File>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(has_name(&file, path)?.then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match path.symlink_metadata() {
        Ok(named) => Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_taken_is_not_waited_for_by_try() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(try_exclusive(&path).unwrap().is_none(), "there is no file to lock");
        let held = exclusive(&path).unwrap();
        assert!(try_exclusive(&path).unwrap().is_none());
        drop(held);
        assert!(try_exclusive(&path).unwrap().is_some());
    }

    #[test]
    fn the_lock_of_a_file_that_lost_its_name_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = exclusive(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(!has_name(&held, &path).unwrap());
        let newer = exclusive(&path).unwrap();
        assert!(has_name(&newer, &path).unwrap());
        assert!(!has_name(&held, &path).unwrap());
    }
}
