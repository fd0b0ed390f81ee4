//! Files by the SHA-256 of their bytes.

use std::fs::{self, File, Metadata, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::CacheError;
use crate::session;

/// Mode of an object: for everybody to read, for nobody to change.
const OBJECT_MODE: u32 = 0o444;

/// The part of `st_mode` that is not the type of the file.
const MODE_BITS: u32 = 0o7777;

/// Objects lie in directories named by this many first digits, so that no directory grows huge.
const PREFIX_DIGITS: usize = 2;

impl Cache {
    /// The file whose SHA-256 is `digest`, if it is there. It stays until this cache is dropped.
    #[must_use]
    pub fn object(&self, digest: &Digest) -> Option<PathBuf> {
        let _passed = self.pass().ok()?;
        let path = object_path(self.root(), digest);
        // Whatever fails here, the answer is that there is none: the caller will make it, and meet the error with a path to name.
        let metadata = path.metadata().ok().filter(Metadata::is_file)?;
        if metadata.mode() & MODE_BITS != OBJECT_MODE {
            // Its writer was killed after it gave the name. In a cache of somebody else it is left as it is.
            let _ = fs::set_permissions(&path, Permissions::from_mode(OBJECT_MODE));
        }
        self.use_entry("objects", &digest.to_string(), &path).is_ok().then_some(path)
    }

    /// Keeps `bytes`; gives their digest and the file that has them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn insert_bytes(&self, bytes: &[u8]) -> Result<(Digest, PathBuf), CacheError> {
        let digest = Digest::of(bytes);
        if let Some(path) = self.object(&digest) {
            return Ok((digest, path));
        }
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(self.temporary())?;
            file.write_all(bytes)?;
            Ok(file.keep()?)
        };
        let (file, path) =
            write().map_err(|error| CacheError::during("write in", self.temporary())(error).needing(Some(bytes.len() as u64)))?;
        Ok((digest, self.publish(&digest, &file, &path)?))
    }

    /// Makes the complete file at `path`, open as `file`, an object: durable first, then by its name.
    ///
    /// It can be written to until it has that name: a partial file has to be opened for writing by whoever waits for it, and by whoever tries again
    /// after a failure or a kill here.
    pub(crate) fn publish(&self, digest: &Digest, file: &File, path: &Path) -> Result<PathBuf, CacheError> {
        file.sync_all().map_err(CacheError::during("write", path))?;
        let object = object_path(self.root(), digest);
        let directory = object.parent().unwrap_or(self.root());
        let _passed = self.pass()?;
        let rename = || {
            session::create_directory(directory)?;
            fs::rename(path, &object)?;
            file.set_permissions(Permissions::from_mode(OBJECT_MODE))?;
            session::sync_directory(directory)
        };
        rename().map_err(CacheError::during("write", &object))?;
        self.use_entry("objects", &digest.to_string(), &object)?;
        Ok(object)
    }
}

/// Where the object with this digest lies, whether it is there or not.
pub(crate) fn object_path(root: &Path, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    root.join("objects").join(&name[..PREFIX_DIGITS]).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_found_by_its_digest_and_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        assert_eq!(cache.object(&Digest::of(b"shoal")), None);
        let (digest, path) = cache.insert_bytes(b"shoal").unwrap();
        assert_eq!(digest, Digest::of(b"shoal"));
        assert_eq!(cache.object(&digest).as_deref(), Some(&*path));
        assert_eq!(fs::read(&path).unwrap(), b"shoal");
        assert_eq!(path.metadata().unwrap().permissions().mode() & MODE_BITS, OBJECT_MODE);
        assert_eq!(cache.insert_bytes(b"shoal").unwrap(), (digest, path));
    }

    #[test]
    fn an_object_whose_writer_was_killed_before_it_was_closed_to_writing_is_closed_when_it_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let (digest, path) = cache.insert_bytes(b"shoal").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(cache.object(&digest).as_deref(), Some(&*path));
        assert_eq!(path.metadata().unwrap().mode() & MODE_BITS, OBJECT_MODE);
    }
}
