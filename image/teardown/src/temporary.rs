//! Directories for files that nobody wants afterwards.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::list::{self, list};
use crate::unfinished::Unfinished;

/// A new directory of this process alone, with a name that nobody guesses. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct TemporaryDirectory {
    // First, because fields are dropped in order: this one removes read-only directories, too.
    unfinished: Unfinished,
    directory: TempDir,
}

impl TemporaryDirectory {
    /// Makes one where the user wants temporary files (`TMPDIR`), with a name that begins with `prefix`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(prefix: &str) -> io::Result<Self> {
        Self::within(&std::env::temp_dir(), prefix)
    }

    /// Makes one in `place`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn within(place: &Path, prefix: &str) -> io::Result<Self> {
        // Held until the directory is in the list.
        let mut list = list();
        let directory = tempfile::Builder::new().prefix(prefix).tempdir_in(std::path::absolute(place)?)?;
        Ok(Self { unfinished: Unfinished::listed(&mut list, list::Path::Whole(directory.path().to_owned())), directory })
    }

    /// Where it is: an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes out of it what is worth keeping, by `publish`; see [`Unfinished::finish`]. Then removes it.
    ///
    /// # Errors
    /// What `publish` returns.
    pub fn finish<T, E>(self, publish: impl FnOnce(&Path) -> Result<T, E>) -> Result<T, E> {
        let Self { unfinished, directory } = self;
        unfinished.finish(|| publish(directory.path()))
    }
}
