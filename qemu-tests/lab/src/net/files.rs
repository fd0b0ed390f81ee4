//! What TFTP and HTTP serve: names and their bytes, changeable while guests read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// The files of a server. Clones share them. A leading `/` of a name does not count.
#[derive(Debug, Clone, Default)]
pub struct Files(Arc<RwLock<BTreeMap<String, Content>>>);

#[derive(Debug, Clone)]
enum Content {
    Bytes(Arc<[u8]>),
    Path(PathBuf),
}

impl Files {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves these bytes under `name`, instead of what it was before.
    pub fn put(&self, name: &str, bytes: impl Into<Arc<[u8]>>) {
        self.insert(name, Content::Bytes(bytes.into()));
    }

    /// Serves a file of the host under `name`. It is opened anew for each request.
    pub fn put_file(&self, name: &str, path: impl Into<PathBuf>) {
        self.insert(name, Content::Path(path.into()));
    }

    /// Serves `name` no more.
    pub fn remove(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key(name));
    }

    fn insert(&self, name: &str, content: Content) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key(name).to_owned(), content);
    }

    /// Opens a file; `None` when there is none of that name.
    pub(crate) fn open(&self, name: &str) -> io::Result<Option<Reader>> {
        let content = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key(name)).cloned();
        Ok(match content {
            None => None,
            Some(Content::Bytes(bytes)) => Some(Reader { length: bytes.len() as u64, source: Source::Bytes(bytes) }),
            Some(Content::Path(path)) => {
                let file = File::open(path)?;
                Some(Reader { length: file.metadata()?.len(), source: Source::File(file) })
            }
        })
    }
}

fn key(name: &str) -> &str {
    name.trim_start_matches('/')
}

/// One open file.
#[derive(Debug)]
pub(crate) struct Reader {
    length: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Bytes(Arc<[u8]>),
    File(File),
}

impl Reader {
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Up to `bytes` bytes from `offset`; fewer only at the end. Reads of this size from a file that is in the page cache, as boot
    /// files are, take microseconds, so they are made in place.
    pub(crate) fn read(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = bytes.min(left);
        match &self.source {
            Source::Bytes(all) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
                Ok(all[start..start + bytes].to_vec())
            }
            Source::File(file) => {
                let mut buffer = vec![0; bytes];
                file.read_exact_at(&mut buffer, offset)?;
                Ok(buffer)
            }
        }
    }
}
