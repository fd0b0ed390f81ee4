//! One open cache: what it uses, and where its temporary files lie.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use shoal_teardown::TemporaryDirectory;

use crate::lock;
use crate::tree;

/// File in a session's directory that is locked for the session's life and names, one per line, what it uses.
const HOLDS: &str = "holds";

/// Beginning of the names of sessions' directories.
const PREFIX: &str = "session-";

/// A session: a directory that lives as long as the cache is open. A killed process loses the lock on it, and then it is a leftover, which the next pruning
/// takes.
#[derive(Debug)]
pub(crate) struct Session {
    directory: TemporaryDirectory,
    holds: Mutex<Holds>,
}

#[derive(Debug)]
struct Holds {
    file: File,
    names: BTreeSet<String>,
}

impl Session {
    /// Makes a session's directory in `sessions`. The caller has the gate, so that pruning does not see it before it is locked.
    pub(crate) fn create(sessions: &Path) -> io::Result<Self> {
        let directory = TemporaryDirectory::within(sessions, PREFIX)?;
        let file = OpenOptions::new().create_new(true).append(true).open(directory.path().join(HOLDS))?;
        file.lock()?;
        Ok(Self { directory, holds: Mutex::new(Holds { file, names: BTreeSet::new() }) })
    }

    /// Its directory, for temporary files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes down that `name` (a path below the cache's root) is used from now on. The caller has the gate.
    pub(crate) fn hold(&self, name: &str) -> io::Result<()> {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        if !holds.names.contains(name) {
            let length = holds.file.metadata()?.len();
            if let Err(error) = holds.file.write_all(format!("{name}\n").as_bytes()) {
                // On a full disk half of it may be there, and the next name would be one with it.
                holds.file.set_len(length)?;
                return Err(error);
            }
            holds.names.insert(name.to_owned());
        }
        Ok(())
    }
}

/// The sessions of a cache as pruning sees them.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// What living sessions use.
    pub(crate) held: BTreeSet<String>,
    /// Directories of sessions whose process is gone.
    pub(crate) dead: Vec<PathBuf>,
}

impl Sessions {
    /// Reads them. The caller has the gate alone.
    pub(crate) fn read(sessions: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        for name in tree::names(sessions)? {
            let directory = sessions.join(name);
            let holds = directory.join(HOLDS);
            let living = holds.exists() && lock::try_exclusive(&holds)?.is_none();
            if !living {
                found.dead.push(directory);
                continue;
            }
            let mut text = String::new();
            match File::open(&holds) {
                Ok(mut file) => file.read_to_string(&mut text)?,
                // It ended between the two looks.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            found.held.extend(text.lines().map(str::to_owned));
        }
        Ok(found)
    }
}

/// Marks `path` as used now, which is what pruning by age goes by.
pub(crate) fn touch(path: &Path) -> io::Result<()> {
    File::open(path)?.set_modified(std::time::SystemTime::now())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes a directory and those above it.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}
