//! `.deb` files: an `ar` archive of `debian-binary`, `control.tar` and `data.tar`. See deb(5).

use std::collections::HashMap;
use std::io::{self, Read};
use std::str;

use crate::compression::Compression;
use crate::deb822::Paragraph;

/// Largest control archive, unpacked, in bytes. The largest in Debian have some MiB of checksums and maintainer scripts.
const MAX_CONTROL_SIZE: u64 = 64 << 20;

/// Largest file, in bytes. Nothing in an image is near it; what claims to be larger is refused before it is read.
const MAX_FILE_SIZE: u64 = 4 << 30;

/// Largest sum of all files of a package, in bytes: a guard against a small package that unpacks without end.
const MAX_TOTAL_SIZE: u64 = 16 << 30;

/// Most entries of a package. The largest packages of Debian have some 100 000.
const MAX_ENTRIES: usize = 1 << 20;

/// A `.deb` whose control part has been read.
pub struct Deb<R: Read> {
    archive: ar::Archive<R>,
    control: String,
}

/// A file, directory or link of a package.
pub struct Entry<'r> {
    /// Where it goes, relative to the root, without `.`, `..` or a slash at either end: `usr/bin/crun`.
    pub path: &'r str,
    /// What it is.
    pub kind: Kind<'r>,
    /// Permission bits with set-user-id, set-group-id and sticky bit: at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Size of the content in bytes; 0 where there is none.
    pub size: u64,
    /// Content of a regular file; empty otherwise. What is left unread is skipped.
    pub content: &'r mut dyn Read,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'r> {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, and what it says: relative to its own directory, or absolute in the image. It may lead anywhere: never follow it on
    /// the build machine.
    Symlink(&'r str),
    /// Another name of a regular file that came before, given by the path under which it came.
    HardLink(&'r str),
}

/// Why a `.deb` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It is cut off or broken.
    #[error("the package is cut off or broken")]
    Read(#[source] io::Error),
    /// It lacks a part, or is no Debian package at all.
    #[error("this is no Debian package of format 2: it has no usable `{0}`")]
    Part(&'static str),
    /// A part is packed in a way that is not supported.
    #[error("the package's `{0}` is compressed in a way that is not supported; gzip, xz and zstd are")]
    Compression(String),
    /// A path leaves the root, or goes through a link.
    #[error("the package has the path `{0}`, which would leave the root file system; do not use it")]
    Escape(String),
    /// A path is no UTF-8 text.
    #[error("the package has a path that is not UTF-8: {0:?}")]
    NotText(Vec<u8>),
    /// An entry is a device or something else that packages do not have.
    #[error("`{path}` in the package is neither file, directory nor link")]
    Unsupported {
        /// Its path.
        path: String,
    },
    /// A hard link leads to something that did not come before.
    #[error("`{path}` in the package is a hard link to `{target}`, which is no file of it")]
    DanglingLink {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// It is larger than anything sensible.
    #[error("the package is too large: {what} is more than {limit}")]
    TooLarge {
        /// What was counted.
        what: String,
        /// The limit it went over.
        limit: u64,
    },
}

impl<R: Read> Deb<R> {
    /// Reads up to and with the control part.
    ///
    /// # Errors
    /// When it is no package of format 2, or its control part cannot be read.
    pub fn open(deb: R) -> Result<Self, DebError> {
        let mut archive = ar::Archive::new(deb);
        let mut version = String::new();
        let mut first = member(&mut archive, "debian-binary")?;
        first.1.by_ref().take(16).read_to_string(&mut version).map_err(DebError::Read)?;
        drop(first);
        // Later minor versions only add members that can be ignored: deb(5).
        if !version.starts_with("2.") {
            return Err(DebError::Part("debian-binary"));
        }
        let (compression, packed) = member(&mut archive, "control.tar")?;
        let control = control(compression.reader(packed).map_err(DebError::Read)?)?;
        Ok(Self { archive, control })
    }

    /// Fields of the package: `Package`, `Version`, `Depends`, ...
    #[must_use]
    pub fn control(&self) -> Paragraph<'_> {
        Paragraph::new(&self.control)
    }

    /// Calls `visit` for each entry, in the order of the package. Directories come before what is in them.
    ///
    /// # Errors
    /// When the package cannot be read or is not to be trusted, and whatever `visit` returns. What was visited before remains visited.
    pub fn visit<E: From<DebError>>(mut self, mut visit: impl FnMut(Entry<'_>) -> Result<(), E>) -> Result<(), E> {
        let (compression, packed) = member(&mut self.archive, "data.tar")?;
        let unpacked = compression.reader(packed).map_err(DebError::Read)?;
        let mut tar = tar::Archive::new(unpacked);
        let mut seen = Seen::default();
        for entry in tar.entries().map_err(DebError::Read)? {
            let mut entry = entry.map_err(DebError::Read)?;
            let Some(path) = relative(&entry.path_bytes())? else {
                continue;
            };
            let header = entry.header();
            let number = |field: io::Result<u64>| field.map_err(DebError::Read);
            let (mode, uid, gid) = (header.mode().map_err(DebError::Read)? & 0o7777, number(header.uid())?, number(header.gid())?);
            let link = entry.link_name_bytes().map(|name| name.into_owned());
            let size = if header.entry_type().is_file() { entry.size() } else { 0 };
            let kind = seen.admit(&path, header.entry_type(), link.as_deref(), size)?;
            let kind = match &kind {
                Admitted::File => Kind::File,
                Admitted::Directory => Kind::Directory,
                Admitted::Symlink(target) => Kind::Symlink(target),
                Admitted::HardLink(target) => Kind::HardLink(target),
            };
            visit(Entry { path: &path, kind, mode, uid, gid, size, content: &mut entry.by_ref().take(size) })?;
        }
        Ok(())
    }
}

/// The next member of the archive, which must have this name, with a compression's extension.
fn member<'a, R: Read>(archive: &'a mut ar::Archive<R>, name: &'static str) -> Result<(Compression, ar::Entry<'a, R>), DebError> {
    let entry = match archive.next_entry() {
        Some(Ok(entry)) => entry,
        // An archive without the magic number at its beginning is something else altogether.
        Some(Err(error)) if error.kind() != io::ErrorKind::InvalidData => return Err(DebError::Read(error)),
        Some(Err(_)) | None => return Err(DebError::Part(name)),
    };
    let found = str::from_utf8(entry.header().identifier()).unwrap_or_default().trim_end_matches('/').to_owned();
    match found.strip_prefix(name) {
        Some("") => Ok((Compression::None, entry)),
        Some(extension) if extension.starts_with('.') => match Compression::of_name(&found) {
            Some(compression) if compression != Compression::None => Ok((compression, entry)),
            _ => Err(DebError::Compression(found)),
        },
        _ => Err(DebError::Part(name)),
    }
}

/// Text of the file `control` in the control archive.
fn control(unpacked: impl Read) -> Result<String, DebError> {
    let mut tar = tar::Archive::new(unpacked.take(MAX_CONTROL_SIZE));
    for entry in tar.entries().map_err(DebError::Read)? {
        let mut entry = entry.map_err(DebError::Read)?;
        if relative(&entry.path_bytes())?.as_deref() == Some("control") {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(DebError::Read)?;
            return Ok(text);
        }
    }
    Err(DebError::Part("control"))
}

/// Cleans a path; none: it is the root itself.
fn relative(path: &[u8]) -> Result<Option<String>, DebError> {
    let path = str::from_utf8(path).map_err(|_| DebError::NotText(path.to_vec()))?;
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") || path.contains('\0') {
        return Err(DebError::Escape(path.to_owned()));
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// What came before, as far as it decides what may come next.
#[derive(Default)]
struct Seen {
    /// Regular files by all their names, with the name under which each came first; symbolic links are none.
    names: HashMap<String, Option<String>>,
    entries: usize,
    total: u64,
}

/// An entry that may be visited.
enum Admitted {
    File,
    Directory,
    Symlink(String),
    HardLink(String),
}

impl Seen {
    fn admit(&mut self, path: &str, kind: tar::EntryType, link: Option<&[u8]>, size: u64) -> Result<Admitted, DebError> {
        self.entries += 1;
        self.total = self.total.saturating_add(size);
        for (what, count, limit) in [
            (path, size, MAX_FILE_SIZE),
            ("the sum of its files", self.total, MAX_TOTAL_SIZE),
            ("the number of its files", self.entries as u64, MAX_ENTRIES as u64),
        ] {
            if count > limit {
                return Err(DebError::TooLarge { what: what.to_owned(), limit });
            }
        }
        // A path through a link or a file of the same package could end up outside the root when it is unpacked.
        if path.match_indices('/').any(|(at, _)| self.names.contains_key(&path[..at])) {
            return Err(DebError::Escape(path.to_owned()));
        }
        let link = || str::from_utf8(link.unwrap_or_default()).map_err(|_| DebError::NotText(link.unwrap_or_default().to_vec()));
        match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                self.names.insert(path.to_owned(), Some(path.to_owned()));
                Ok(Admitted::File)
            }
            tar::EntryType::Directory => Ok(Admitted::Directory),
            tar::EntryType::Symlink => {
                self.names.insert(path.to_owned(), None);
                Ok(Admitted::Symlink(link()?.to_owned()))
            }
            tar::EntryType::Link => {
                let target = link()?;
                let first = relative(target.as_bytes())?.and_then(|target| self.names.get(&target).cloned().flatten());
                let first = first.ok_or_else(|| DebError::DanglingLink { path: path.to_owned(), target: target.to_owned() })?;
                self.names.insert(path.to_owned(), Some(first.clone()));
                Ok(Admitted::HardLink(first))
            }
            _ => Err(DebError::Unsupported { path: path.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests;
