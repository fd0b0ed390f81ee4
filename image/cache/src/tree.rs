//! Measuring and listing directory trees.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use shoal_teardown::or_gone;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_is_measured_once() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("one"), vec![1; 1 << 20]).unwrap();
        let once = disk_bytes(directory.path()).unwrap();
        fs::hard_link(directory.path().join("one"), directory.path().join("two")).unwrap();
        assert_eq!(disk_bytes(directory.path()).unwrap(), once);
    }
}
