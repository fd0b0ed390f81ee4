//! Opening a cache, and looking things up in it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::CacheError;
use crate::session::{self, Session};

/// Content of `CACHEDIR.TAG`, by which backup programs know that they may leave the directory out (Cache Directory Tagging Specification).
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# Cache of shoal, safe to delete while no build runs.\n";

/// An open cache. What was looked up through it stays until it is dropped, whoever prunes.
///
/// It may be shared between threads; another process opens its own.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    gate: PathBuf,
    session: Session,
}

impl Cache {
    /// The user's cache: `$XDG_CACHE_HOME/shoal`, or `~/.cache/shoal` (XDG Base Directory Specification).
    ///
    /// # Errors
    /// [`CacheError::NoHome`] when the environment names no absolute path.
    pub fn default_dir() -> Result<PathBuf, CacheError> {
        default_dir_from(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")).ok_or(CacheError::NoHome)
    }

    /// Opens the cache in `dir`, making it when there is none.
    ///
    /// # Errors
    /// The directory cannot be made or written.
    pub fn open(dir: &Path) -> Result<Self, CacheError> {
        for name in ["objects", "partial", "steps", "locks", "shared", "sessions"] {
            let directory = dir.join(name);
            session::create_directory(&directory).map_err(CacheError::during("make", &directory))?;
        }
        // Absolute, because steps may change the directory they work in, and tools that are unpacked here name their libraries by it.
        let root = dir.canonicalize().map_err(CacheError::during("find", dir))?;
        let tag = root.join("CACHEDIR.TAG");
        // One that was written while the disk was full may be empty.
        if fs::read(&tag).ok().as_deref() != Some(TAG.as_bytes()) {
            fs::write(&tag, TAG).map_err(CacheError::during("write", &tag))?;
        }
        let gate = root.join("gate");
        let sessions = root.join("sessions");
        let _passed = pass(&gate)?;
        let session = Session::create(&sessions).map_err(CacheError::during("write in", &sessions))?;
        Ok(Self { root, gate, session })
    }

    /// Where it lies: absolute, without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory that several builds use at once and that a tool keeps whole by its own means (Go's module cache, Cargo's target
    /// directory). It may be empty: pruning takes it when no living build asked for it. `name` is letters, digits, `-` and `.`.
    ///
    /// # Errors
    /// It cannot be made.
    ///
    /// # Panics
    /// When `name` is something else: names are written in the program.
    pub fn shared(&self, name: &str) -> Result<PathBuf, CacheError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        assert!(!name.is_empty() && !name.starts_with('.') && name.bytes().all(plain), "{name:?} is no name for a shared directory");
        let _passed = self.pass()?;
        let directory = self.root.join("shared").join(name);
        session::create_directory(&directory).map_err(CacheError::during("make", &directory))?;
        self.use_entry("shared", name, &directory)?;
        Ok(directory)
    }

    /// Passes the gate with others. Pruning waits until the file is dropped.
    pub(crate) fn pass(&self) -> Result<File, CacheError> {
        pass(&self.gate)
    }

    /// Closes the gate: waits until everybody has passed, and keeps others waiting until the file is dropped.
    pub(crate) fn close(&self) -> Result<File, CacheError> {
        let gate = open_gate(&self.gate).and_then(|gate| gate.lock().map(|()| gate));
        gate.map_err(CacheError::during("lock", &self.gate))
    }

    /// Holds `path`, which is `name` in the directory `kind`, and marks it as used. The caller has passed the gate.
    pub(crate) fn use_entry(&self, kind: &str, name: &str, path: &Path) -> Result<(), CacheError> {
        self.session.hold(&hold_name(kind, name)).map_err(CacheError::during("write in", self.session.directory()))?;
        session::touch(path).map_err(CacheError::during("mark as used", path))
    }

    /// This session's directory, for temporary files on the cache's own file system.
    pub(crate) fn temporary(&self) -> &Path {
        self.session.directory()
    }
}

/// How an entry is called in the list of what a session holds.
pub(crate) fn hold_name(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

fn pass(gate: &Path) -> Result<File, CacheError> {
    open_gate(gate).and_then(|gate| gate.lock_shared().map(|()| gate)).map_err(CacheError::during("lock", gate))
}

fn open_gate(gate: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(gate)
}

fn default_dir_from(xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The specification says to ignore relative paths.
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(xdg_cache_home).or_else(|| absolute(home).map(|home| home.join(".cache"))).map(|cache| cache.join("shoal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_directory_follows_the_xdg_specification() {
        let directory = |xdg: Option<&str>, home: Option<&str>| default_dir_from(xdg.map(OsString::from), home.map(OsString::from));
        assert_eq!(directory(Some("/c"), Some("/h")), Some("/c/shoal".into()));
        assert_eq!(directory(None, Some("/h")), Some("/h/.cache/shoal".into()));
        assert_eq!(directory(Some("relative"), Some("/h")), Some("/h/.cache/shoal".into()));
        assert_eq!(directory(Some(""), Some("")), None);
        assert_eq!(directory(None, None), None);
    }

    #[test]
    fn a_cache_that_cannot_be_made_names_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::open(&file).unwrap_err();
        assert!(error.to_string().contains(&*file.to_string_lossy()), "{error}");
    }

    #[test]
    fn a_closed_cache_leaves_no_session() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let sessions = || fs::read_dir(directory.path().join("sessions")).unwrap().count();
        assert_eq!(sessions(), 1);
        drop(cache);
        assert_eq!(sessions(), 0);
    }
}
