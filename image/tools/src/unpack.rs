//! Unpacking packages into a tool root.

use std::fs::{self, File, Permissions};
use std::io::{self, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use shoal_debian::deb;

use crate::elf;
use crate::links;
use crate::root::{Deb, UnpackError};

/// Directories that Debian has merged into `/usr`: links that the package base-files makes, which no tool depends on.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What no program reads: documentation, translations, and hints for people.
const LEFT_OUT: [&str; 6] =
    ["usr/share/bug/", "usr/share/doc/", "usr/share/info/", "usr/share/lintian/", "usr/share/locale/", "usr/share/man/"];

/// Unpacks `debs` into `directory`, changed so that they run from `root`, where the directory will be.
pub(crate) fn unpack(debs: &[Deb], directory: &Path, root: &str) -> Result<(), UnpackError> {
    let written = |path: &Path, result: io::Result<()>| result.map_err(|source| UnpackError::Write { path: path.to_owned(), source });
    for name in MERGED {
        let merged = directory.join("usr").join(name);
        written(&merged, fs::create_dir_all(&merged).and_then(|()| symlink(format!("usr/{name}"), directory.join(name))))?;
    }
    // Packages never have the same file, so they can be unpacked in any order, and at once.
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(debs.len());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(deb) = debs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = unpack_one(deb, directory, root) {
                        next.store(debs.len(), Ordering::Relaxed);
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// What can be wrong with one entry.
enum EntryError {
    Deb(deb::DebError),
    Unpack(UnpackError),
}

impl From<deb::DebError> for EntryError {
    fn from(error: deb::DebError) -> Self {
        Self::Deb(error)
    }
}

fn unpack_one(deb: &Deb, directory: &Path, root: &str) -> Result<(), UnpackError> {
    let broken = |source| UnpackError::Deb { package: deb.name.clone(), source };
    let file = File::open(&deb.path).map_err(|source| UnpackError::Read { path: deb.path.clone(), source })?;
    let package = deb::Deb::open(BufReader::new(file)).map_err(broken)?;
    let visited = package.visit(|mut entry| {
        // Behind the slash: a directory that is left out is not made either.
        let left_out = |prefix: &&str| entry.path.starts_with(*prefix) || entry.path == prefix.trim_end_matches('/');
        if LEFT_OUT.iter().any(left_out) {
            return Ok(());
        }
        let place = directory.join(entry.path);
        put(&mut entry, &place, directory, root).map_err(|error| match error {
            PutError::Content(source) => EntryError::Deb(deb::DebError::Read(source)),
            PutError::Write(source) => EntryError::Unpack(UnpackError::Write { path: place, source }),
            PutError::Elf(source) => {
                EntryError::Unpack(UnpackError::Elf { package: deb.name.clone(), program: entry.path.to_owned(), source })
            }
        })
    });
    visited.map_err(|error| match error {
        EntryError::Deb(source) => broken(source),
        EntryError::Unpack(error) => error,
    })
}

enum PutError {
    Content(io::Error),
    Write(io::Error),
    Elf(elf::ElfError),
}

fn put(entry: &mut deb::Entry<'_>, place: &Path, directory: &Path, root: &str) -> Result<(), PutError> {
    if let deb::Kind::Directory = entry.kind {
        return fs::create_dir_all(place).map_err(PutError::Write);
    }
    let clear = || {
        fs::create_dir_all(place.parent().unwrap_or(directory))?;
        match fs::remove_file(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    };
    clear().map_err(PutError::Write)?;
    match entry.kind {
        deb::Kind::Directory => Ok(()),
        deb::Kind::Symlink(target) => symlink(links::relative_target(entry.path, target), place).map_err(PutError::Write),
        deb::Kind::HardLink(target) => fs::hard_link(directory.join(target), place).map_err(PutError::Write),
        deb::Kind::File => {
            let mut content = Vec::new();
            entry.content.read_to_end(&mut content).map_err(PutError::Content)?;
            elf::relocate(&mut content, root).map_err(PutError::Elf)?;
            // Nobody runs tools with another user's rights, and nothing in the cache is written twice.
            let mode = if entry.mode & 0o111 == 0 { 0o444 } else { 0o555 };
            fs::write(place, content).and_then(|()| fs::set_permissions(place, Permissions::from_mode(mode))).map_err(PutError::Write)
        }
    }
}
