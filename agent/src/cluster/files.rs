//! Files that are whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Permissions of directories: what is in them is root's.
const DIRECTORY_MODE: u32 = 0o700;

/// Makes a directory and those above it.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Writes a file with these permissions; whoever opens it sees the old contents or the new ones. It is not flushed: see [`write_durably`].
pub(crate) fn replace(path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    write(&new, mode, contents)?;
    fs::rename(&new, path)
}

/// Writes a new file with these permissions and flushes it. Its name is durable once its directory is flushed: [`flush`].
pub(crate) fn write_durably(path: &Path, mode: u32, contents: &[u8]) -> io::Result<()> {
    write(path, mode, contents)?.sync_all()
}

fn write(path: &Path, mode: u32, contents: &[u8]) -> io::Result<File> {
    // A file that a crash left keeps its old permissions otherwise.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(contents)?;
    Ok(file)
}

/// Flushes a directory: the names in it are durable.
pub(crate) fn flush(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
