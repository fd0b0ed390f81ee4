//! Files that are whole or not there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Permissions of directories: what is in them is root's.
const DIRECTORY_MODE: u32 = 0o700;

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Writes a file with these permissions; whoever opens it sees the old contents or the new ones. It is not flushed.
pub(crate) fn replace(path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    write(&new, mode, contents)?;
    fs::rename(&new, path)
}

fn write(path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    // A file that a crash left keeps its old permissions otherwise.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(contents)
}
