//! Removing directory trees.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes a file or tree, also one with directories that their owner may not write (Go's module cache is made of such). What is gone
/// already is no error.
///
/// # Errors
/// The system refuses.
pub fn remove(path: &Path) -> io::Result<()> {
    let Some(metadata) = or_gone(path.symlink_metadata())? else { return Ok(()) };
    if !metadata.is_dir() {
        return or_gone(fs::remove_file(path)).map(drop);
    }
    const OWNER_ALL: u32 = 0o700;
    let mode = metadata.permissions().mode();
    if mode & OWNER_ALL != OWNER_ALL {
        or_gone(fs::set_permissions(path, fs::Permissions::from_mode(mode | OWNER_ALL)))?;
    }
    for entry in or_gone(fs::read_dir(path))?.into_iter().flatten() {
        remove(&entry?.path())?;
    }
    or_gone(fs::remove_dir(path)).map(drop)
}

/// Nothing, where what was asked about does not exist: somebody else may have removed it a moment ago.
///
/// # Errors
/// Any other of `result`.
pub fn or_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_read_only_directories_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("module");
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/nonexistent", inner.join("dangling")).unwrap();
        for directory in [&inner, &root.join("a"), &root] {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o555)).unwrap();
        }
        remove(&root).unwrap();
        assert!(!root.exists());
        remove(&root).unwrap();
    }

    #[test]
    fn a_link_to_a_directory_is_removed_and_not_what_it_points_to() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("link")).unwrap();
        remove(&tree).unwrap();
        assert!(kept.join("file").exists());
    }
}
