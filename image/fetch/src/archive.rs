//! A Debian archive: its signed release, and the package indices that the release vouches for.

use std::fs;
use std::io::{self, Read};
use std::str::FromStr;

use shoal_cache::{CacheError, Digest};
use shoal_debian::compression::Compression;
use shoal_debian::packages::{Index, IndexError};
use shoal_debian::release::{self, Freshness, Release, ReleaseError};

use crate::download::{Downloader, FetchError, Wanted};
use crate::mirror::{MirrorError, Mirrors};
use crate::progress::Progress;

/// Largest `InRelease` that is read, in bytes. Debian's are below 1 MiB; a server that sends more is not sending one.
const MAX_RELEASE_SIZE: u64 = 16 << 20;

/// Largest package index, unpacked, in bytes. Debian's largest is below 100 MiB.
const MAX_INDEX_SIZE: u64 = 1 << 30;

/// What is wanted of an archive.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveSource<'a> {
    /// What people call it; begins the labels of its downloads.
    pub name: &'a str,
    /// Origin, by which its mirror is found: `debian`.
    pub origin: &'a str,
    /// Suite or code name: `trixie`.
    pub suite: &'a str,
    /// Components: `main`.
    pub components: &'a [String],
    /// Architectures: `amd64`. Packages for all architectures are in the index of each.
    pub architectures: &'a [&'a str],
    /// Pinned OpenPGP keyrings, binary or ASCII-armoured.
    pub keys: &'a [&'a [u8]],
}

/// An archive as it is, or as it was when a lock was written.
#[derive(Debug)]
pub struct FetchedArchive {
    /// The verified release.
    pub release: Release,
    /// SHA-256 of `InRelease`. Differs from the one that was asked for when that one was neither cached nor on the mirror any more.
    pub release_digest: Digest,
    /// Packages of the components and architectures that were wanted.
    pub index: Index,
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It has no mirror.
    #[error("archive {archive} has no mirror")]
    Mirror {
        /// Its name.
        archive: String,
        /// Why.
        source: MirrorError,
    },
    /// A file of it cannot be downloaded.
    #[error("archive {archive} cannot be reached")]
    Fetch {
        /// Its name.
        archive: String,
        /// Why.
        source: FetchError,
    },
    /// Its release is not accepted.
    #[error("the release of archive {archive} is not accepted")]
    Release {
        /// Its name.
        archive: String,
        /// Why.
        source: ReleaseError,
    },
    /// It does not have a component for an architecture.
    #[error("archive {archive} has no component `{component}` for {architecture}; correct the recipe's `components`")]
    NoIndex {
        /// Its name.
        archive: String,
        /// The component.
        component: String,
        /// The architecture.
        architecture: String,
    },
    /// An index cannot be unpacked, although it is what the release vouches for.
    #[error("the package index {path} of archive {archive} cannot be unpacked")]
    Unpack {
        /// The archive's name.
        archive: String,
        /// Path below the release's directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An index cannot be understood.
    #[error("the package index {path} of archive {archive} cannot be used")]
    Index {
        /// The archive's name.
        archive: String,
        /// Path below the release's directory.
        path: String,
        /// Why.
        source: IndexError,
    },
    /// The cache cannot be read or written.
    #[error("the release of archive {archive} cannot be kept in the cache")]
    Cache {
        /// The archive's name.
        archive: String,
        /// Why.
        source: CacheError,
    },
}

impl Downloader<'_> {
    /// Gets an archive's release and indices, verified.
    ///
    /// `pinned` is the release that a lock names: when the cache has it, it is used as it is, however old, and no mirror is asked for it.
    /// Otherwise the mirrors' present release is used, which must not have run out at `now` (seconds since 1970).
    ///
    /// # Errors
    /// When there is no mirror, something cannot be downloaded or is not in the cache offline, or is not what the pinned keys signed.
    pub fn archive(
        &self,
        mirrors: &Mirrors,
        source: &ArchiveSource<'_>,
        pinned: Option<&Digest>,
        now: i64,
        progress: &dyn Progress,
    ) -> Result<FetchedArchive, ArchiveError> {
        let archive = || source.name.to_owned();
        let (release, release_digest) = self.release(mirrors, source, pinned, now)?;
        let mut indices = Vec::new();
        for component in source.components {
            for architecture in source.architectures {
                let index = wanted_index(&release, component, architecture).ok_or_else(|| ArchiveError::NoIndex {
                    archive: archive(),
                    component: component.clone(),
                    architecture: (*architecture).to_owned(),
                })?;
                indices.push(index);
            }
        }
        let mut wanted = Vec::new();
        for index in &indices {
            let mut urls = Vec::new();
            for path in &index.paths {
                // Offline no mirror is needed.
                match mirrors.urls(source.origin, &format!("dists/{}/{path}", source.suite)) {
                    Ok(found) => urls.extend(found),
                    Err(_) if self.is_offline() => {}
                    Err(source) => return Err(ArchiveError::Mirror { archive: archive(), source }),
                }
            }
            let label = format!("{} {} index {}", source.name, source.suite, index.path);
            wanted.push(Wanted { label, urls, sha256: index.sha256, size: Some(index.size) });
        }
        let files = self.fetch(&wanted, progress).map_err(|source| ArchiveError::Fetch { archive: archive(), source })?;
        let mut index = Index::new();
        for (file, IndexFile { path, .. }) in files.iter().zip(indices) {
            let unpacked = fs::File::open(file).and_then(|packed| unpack(&path, packed)).map_err(|source| ArchiveError::Unpack {
                archive: archive(),
                path: path.clone(),
                source,
            })?;
            index.add(unpacked).map_err(|source| ArchiveError::Index { archive: archive(), path, source })?;
        }
        Ok(FetchedArchive { release, release_digest, index })
    }

    /// The release, verified, and its digest.
    fn release(
        &self,
        mirrors: &Mirrors,
        source: &ArchiveSource<'_>,
        pinned: Option<&Digest>,
        now: i64,
    ) -> Result<(Release, Digest), ArchiveError> {
        let archive = || source.name.to_owned();
        let verify = |bytes: &[u8], freshness| {
            release::verify(bytes, source.keys, source.suite, freshness)
                .map_err(|source| ArchiveError::Release { archive: archive(), source })
        };
        let label = format!("{} {} InRelease", source.name, source.suite);
        if let Some(digest) = pinned {
            // A file that cannot be read is fetched again, like one that is not there.
            if let Some(bytes) = self.cache().object(digest).and_then(|path| fs::read(path).ok()) {
                return Ok((verify(&bytes, Freshness::Pinned)?, *digest));
            }
        }
        if self.is_offline() {
            return Err(ArchiveError::Fetch { archive: archive(), source: FetchError::Offline { missing: vec![label] } });
        }
        let urls = mirrors
            .urls(source.origin, &format!("dists/{}/InRelease", source.suite))
            .map_err(|source| ArchiveError::Mirror { archive: archive(), source })?;
        let bytes =
            self.fetch_unpinned(&label, &urls, MAX_RELEASE_SIZE).map_err(|source| ArchiveError::Fetch { archive: archive(), source })?;
        let release = verify(&bytes, Freshness::At(now))?;
        let (digest, _) = self.cache().insert_bytes(&bytes).map_err(|source| ArchiveError::Cache { archive: archive(), source })?;
        Ok((release, digest))
    }
}

/// An index that a release vouches for.
struct IndexFile {
    /// Path below the release's directory.
    path: String,
    /// Where it can be had below the release's directory, best first.
    paths: Vec<String>,
    sha256: Digest,
    size: u64,
}

/// The index of a component for an architecture, in the smallest form there is.
fn wanted_index(release: &Release, component: &str, architecture: &str) -> Option<IndexFile> {
    ["xz", "gz"].iter().find_map(|extension| {
        let path = format!("{component}/binary-{architecture}/Packages.{extension}");
        let file = release.files.get(&path)?;
        let sha256 = Digest::from_str(&file.sha256).ok()?;
        let by_hash = release.acquire_by_hash.then(|| Release::by_hash(&path, file));
        Some(IndexFile { paths: by_hash.into_iter().chain([path.clone()]).collect(), path, sha256, size: file.size })
    })
}

/// Unpacks an index.
fn unpack(path: &str, packed: impl Read) -> io::Result<Vec<u8>> {
    let compression = Compression::of_name(path).ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "unknown compression"))?;
    let mut unpacked = Vec::new();
    compression.reader(packed)?.take(MAX_INDEX_SIZE + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > MAX_INDEX_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MAX_INDEX_SIZE} bytes")));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests;
