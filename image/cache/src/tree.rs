//! Measuring and removing directory trees.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Unit of `st_blocks` (POSIX leaves it open, Linux fixes it).
const BLOCK_BYTES: u64 = 512;

/// Bytes of disk that a file or tree takes; a file with several names in it counts once. What vanishes meanwhile counts nothing.
pub(crate) fn disk_bytes(path: &Path) -> io::Result<u64> {
    let mut linked = BTreeSet::new();
    let mut sum = 0;
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Some(metadata) = or_gone(path.symlink_metadata())? else { continue };
        if metadata.nlink() == 1 || metadata.is_dir() || linked.insert((metadata.dev(), metadata.ino())) {
            sum += metadata.blocks() * BLOCK_BYTES;
        }
        if metadata.is_dir() {
            for entry in or_gone(fs::read_dir(&path))?.into_iter().flatten() {
                open.push(entry?.path());
            }
        }
    }
    Ok(sum)
}

/// Removes a file or tree, also one with directories that their owner may not write (Go's module cache is made of such). What is gone
/// already is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
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

/// Names in a directory, sorted; none when there is no such directory.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in or_gone(fs::read_dir(directory))?.into_iter().flatten() {
        // Every name in the cache is ASCII; what is not was put there by somebody else and is left alone.
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn or_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
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

    #[test]
    fn a_file_with_two_names_is_measured_once() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("one"), vec![1; 1 << 20]).unwrap();
        let once = disk_bytes(directory.path()).unwrap();
        fs::hard_link(directory.path().join("one"), directory.path().join("two")).unwrap();
        assert_eq!(disk_bytes(directory.path()).unwrap(), once);
    }
}
