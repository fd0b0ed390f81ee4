//! Downloads that are not complete yet.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::CacheError;
use crate::lock;
use crate::object::object_path;

/// The beginning of a file whose digest is known. Nobody else has it; it outlives the process that writes it, so that the next one goes on
/// where this one was stopped.
#[derive(Debug)]
pub struct Partial<'cache> {
    cache: &'cache Cache,
    expected: Digest,
    path: PathBuf,
    /// Holds the lock, too.
    file: File,
    length: u64,
}

/// A download could not be made an object.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// It has another digest. What was downloaded is deleted: nobody can tell which part of it is wrong.
    #[error("expected a file with SHA-256 {expected}, and got one with {found}")]
    Mismatch {
        /// What it should have been.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The cache cannot be read or written. What was downloaded is kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Cache {
    /// Bytes that are still to be downloaded of the file of `size` bytes whose SHA-256 is `digest`. Another process may be at it.
    #[must_use]
    pub fn missing_bytes(&self, digest: &Digest, size: u64) -> u64 {
        if object_path(self.root(), digest).is_file() {
            return 0;
        }
        let begun = partial_path(self.root(), digest).metadata().map_or(0, |metadata| metadata.len());
        size.saturating_sub(begun)
    }

    /// The beginning of the file whose SHA-256 is `digest`, empty when there is none. Waits while another thread or process has it; that
    /// one may then have finished, so look for the object once more before downloading.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn partial(&self, digest: &Digest) -> Result<Partial<'_>, CacheError> {
        let path = partial_path(self.root(), digest);
        let mut file = lock::exclusive(&path).map_err(CacheError::during("write", &path))?;
        let length = file.seek(SeekFrom::End(0)).map_err(CacheError::during("read", &path))?;
        Ok(Partial { cache: self, expected: *digest, path, file, length })
    }
}

fn partial_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("partial").join(digest.to_string())
}

impl Partial<'_> {
    /// Bytes that are there.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// They cannot be written, and none of them counts.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        let written = self.file.write_all(bytes);
        if let Err(error) = written {
            // Part of them may be in the file. Its end is what a later process resumes from, and every byte before it must be right.
            let _ = self.cut(self.length);
            return Err(CacheError::during("write", &self.path)(error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what is there, for a server that cannot send the rest of a file.
    ///
    /// # Errors
    /// The file cannot be cut.
    pub fn restart(&mut self) -> Result<(), CacheError> {
        self.length = 0;
        self.cut(0).map_err(CacheError::during("write", &self.path))
    }

    /// Checks the digest and makes the file an object; gives its path.
    ///
    /// # Errors
    /// [`FinishError::Mismatch`] when it is not the file that was asked for: then it is deleted.
    pub fn finish(mut self) -> Result<PathBuf, FinishError> {
        let rehash = self.file.rewind().and_then(|()| Digest::of_reader(&self.file));
        let found = rehash.map_err(CacheError::during("read", &self.path))?;
        if found != self.expected {
            fs::remove_file(&self.path).map_err(CacheError::during("remove", &self.path))?;
            return Err(FinishError::Mismatch { expected: self.expected, found });
        }
        Ok(self.cache.publish(&self.expected, &self.file, &self.path)?)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        (directory, cache)
    }

    #[test]
    fn a_download_goes_on_where_it_stopped() {
        let (_directory, cache) = cache();
        let digest = Digest::of(b"abcdef");
        let mut first = cache.partial(&digest).unwrap();
        first.write_all(b"abc").unwrap();
        drop(first);
        assert_eq!(cache.object(&digest), None, "half a file must not count");
        assert_eq!(cache.missing_bytes(&digest, 6), 3);
        let mut second = cache.partial(&digest).unwrap();
        assert_eq!(second.len(), 3);
        second.write_all(b"def").unwrap();
        let path = second.finish().unwrap();
        assert_eq!(cache.missing_bytes(&digest, 6), 0);
        assert_eq!(fs::read(&path).unwrap(), b"abcdef");
        assert_eq!(cache.object(&digest), Some(path));
        assert!(cache.partial(&digest).unwrap().is_empty());
    }

    #[test]
    fn another_file_than_asked_for_is_refused_and_forgotten() {
        let (_directory, cache) = cache();
        let digest = Digest::of(b"right");
        let mut partial = cache.partial(&digest).unwrap();
        partial.write_all(b"wrong").unwrap();
        let error = partial.finish().unwrap_err();
        assert!(matches!(error, FinishError::Mismatch { expected, found } if expected == digest && found == Digest::of(b"wrong")));
        assert_eq!(cache.object(&digest), None);
        assert!(cache.partial(&digest).unwrap().is_empty());
    }

    #[test]
    fn a_restarted_download_begins_anew() {
        let (_directory, cache) = cache();
        let digest = Digest::of(b"new");
        let mut partial = cache.partial(&digest).unwrap();
        partial.write_all(b"something else").unwrap();
        partial.restart().unwrap();
        assert!(partial.is_empty());
        partial.write_all(b"new").unwrap();
        partial.finish().unwrap();
    }

    /// An ordinary user cannot open a file for writing that nobody may write to.
    #[test]
    fn a_download_that_cannot_be_made_an_object_can_be_opened_again() {
        let (directory, cache) = cache();
        let digest = Digest::of(b"abc");
        let object = object_path(directory.path(), &digest);
        let in_the_way = object.parent().unwrap();
        fs::write(in_the_way, "").unwrap();
        let mut partial = cache.partial(&digest).unwrap();
        partial.write_all(b"abc").unwrap();
        assert!(matches!(partial.finish().unwrap_err(), FinishError::Cache(_)));
        let mode = partial_path(directory.path(), &digest).metadata().unwrap().permissions().mode();
        assert_ne!(mode & 0o200, 0, "{mode:o}");
        fs::remove_file(in_the_way).unwrap();
        let partial = cache.partial(&digest).unwrap();
        assert_eq!(partial.len(), 3);
        assert_eq!(partial.finish().unwrap(), object);
    }

    #[test]
    fn whoever_waits_for_a_download_finds_it_done() {
        let (_directory, cache) = cache();
        let digest = Digest::of(b"shared");
        let mut partial = cache.partial(&digest).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let partial = cache.partial(&digest).unwrap();
                (partial.len(), cache.object(&digest).is_some())
            });
            partial.write_all(b"shared").unwrap();
            partial.finish().unwrap();
            // Whether it came before or after the end, it either waited or found the object.
            assert_eq!(waiting.join().unwrap(), (0, true));
        });
    }
}
