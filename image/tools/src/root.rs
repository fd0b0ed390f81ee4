//! Tool roots.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use shoal_cache::{Cache, Digest, StepError};
use shoal_debian::deb::DebError;

use crate::elf::ElfError;
use crate::script;
use crate::unpack;

/// Version of what unpacking does to packages: changed whenever the same packages give another root, so that roots made before are not used.
const UNPACK_VERSION: &str = "1";

/// Directories with programs, relative to the root, in the order in which they are searched.
const PROGRAM_DIRECTORIES: [&str; 2] = ["usr/bin", "usr/sbin"];

/// Bytes of a program that are read to see whether it is a script: what the kernel reads, too (`BINPRM_BUF_SIZE`).
const SCRIPT_LINE_BYTES: u64 = 256;

/// A package of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// Name, for messages.
    pub name: String,
    /// The `.deb`.
    pub path: PathBuf,
    /// Its SHA-256.
    pub digest: Digest,
}

/// A tool, unpacked in the cache. It stays there while the cache is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRoot {
    name: String,
    root: PathBuf,
    digest: Digest,
}

/// A tool could not be unpacked. Nothing of it counts.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The path of the cache has a character that has a meaning for the loader, or is no text.
    #[error("tools cannot run from {}: name a directory without `:` and `$` with --cache", path.display())]
    UnusablePath {
        /// Where the tool would be.
        path: PathBuf,
    },
    /// A package cannot be opened.
    #[error("cannot read {}: prune the cache and build again", path.display())]
    Read {
        /// The `.deb`.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A package is broken.
    #[error("cannot unpack the package {package}")]
    Deb {
        /// Its name.
        package: String,
        /// What is wrong with it.
        source: DebError,
    },
    /// A file cannot be written.
    #[error("cannot write {}: see that the cache can be written, or name another one with --cache", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program cannot be made to run from the root.
    #[error("cannot use the program {program} of the package {package}")]
    Elf {
        /// Name of the package.
        package: String,
        /// Path of the program in it.
        program: String,
        /// Why not.
        source: ElfError,
    },
}

/// A tool does not have the program or file that a build needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tool `{tool}` has no {what}: name the package that has it in the recipe's tool `{tool}`")]
pub struct MissingTool {
    /// Name of the tool.
    pub tool: String,
    /// What was looked for.
    pub what: String,
}

impl ToolRoot {
    /// Unpacks the packages of a tool, and all they depend on, unless that has been done. `name` is for messages.
    ///
    /// # Errors
    /// A package cannot be read, or the cache cannot be written.
    pub fn unpack(cache: &Cache, name: &str, debs: &[Deb]) -> Result<Self, StepError<UnpackError>> {
        // Programs name the directory in which they are, so the same packages in another cache are another root.
        let digests: Vec<_> = debs.iter().map(|deb| deb.digest.as_bytes().as_slice()).collect();
        let place = cache.root().as_os_str().as_encoded_bytes();
        let fields = [b"tool root".as_slice(), UNPACK_VERSION.as_bytes(), place];
        let key = Digest::of_fields(fields.into_iter().chain(digests.iter().copied()));
        let root = cache.step_dir(&key);
        let step = cache.step(&key, &format!("tool {name}"), |directory| match root.to_str() {
            Some(text) if !text.contains([':', '$']) => unpack::unpack(debs, directory, text),
            _ => Err(UnpackError::UnusablePath { path: root.clone() }),
        })?;
        Ok(Self { name: name.to_owned(), root: step.dir, digest: Digest::of_fields(digests) })
    }

    /// A root that was made by hand.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { name: "test".to_owned(), root: root.to_owned(), digest: Digest::of(b"") }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digest of its packages, the same in every cache: what keys of steps that use it are made of.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where it lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a file or directory in it, by its path relative to the root (`usr/share/qemu`).
    ///
    /// # Errors
    /// There is none.
    pub fn path(&self, relative: &str) -> Result<PathBuf, MissingTool> {
        let path = self.root.join(relative);
        if path.exists() { Ok(path) } else { Err(self.missing(format!("file `{relative}`"))) }
    }

    /// The path of a program in it, by its name (`mkfs.erofs`).
    ///
    /// # Errors
    /// There is none.
    pub fn program(&self, program: &str) -> Result<PathBuf, MissingTool> {
        let places = PROGRAM_DIRECTORIES.map(|directory| self.root.join(directory).join(program));
        places.into_iter().find(|path| path.is_file()).ok_or_else(|| self.missing(format!("program `{program}`")))
    }

    /// A command that runs a program of it, with nothing of the caller's environment but `TMPDIR`: `PATH` has only the root's programs, `LC_ALL` is `C`,
    /// `TZ` is `UTC`. `SOURCE_DATE_EPOCH` is not set either: mkfs.erofs gives other bytes with it than without, and who wants it sets it.
    ///
    /// # Errors
    /// There is no such program.
    pub fn command(&self, program: &str) -> Result<Command, MissingTool> {
        let path = self.program(program)?;
        let mut command = self.interpreted(&path).unwrap_or_else(|| Command::new(&path));
        command.env_clear().env("PATH", self.search_path()).env("LC_ALL", "C").env("TZ", "UTC");
        command.envs(temporary_directory());
        // Python would write what it compiled beside the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    /// Value of `PATH` with the root's programs and nothing else.
    pub(crate) fn search_path(&self) -> String {
        // The root is text without `:`, or it would not have been unpacked.
        PROGRAM_DIRECTORIES.map(|directory| self.root.join(directory).to_string_lossy().into_owned()).join(":")
    }

    pub(crate) fn missing(&self, what: String) -> MissingTool {
        MissingTool { tool: self.name.clone(), what }
    }

    /// A script of an interpreter that is in the root, too, is run by that one, not by the host's.
    fn interpreted(&self, path: &Path) -> Option<Command> {
        let mut beginning = Vec::new();
        File::open(path).ok()?.take(SCRIPT_LINE_BYTES).read_to_end(&mut beginning).ok()?;
        let (interpreter, argument) = script::interpreter(&beginning)?;
        let own = self.root.join(interpreter.trim_start_matches('/'));
        if !own.is_file() {
            return None;
        }
        let mut command = Command::new(own);
        command.args(argument).arg(path);
        Some(command)
    }
}

/// Where the user wants temporary files: the default may be too small for what a linker writes. It has no influence on results.
pub(crate) fn temporary_directory() -> Option<(&'static str, OsString)> {
    env::var_os("TMPDIR").map(|directory| ("TMPDIR", directory))
}
