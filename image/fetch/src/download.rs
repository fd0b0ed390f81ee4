//! Downloads of files whose digest is known, several at once, into the cache.
//!
//! A download that was interrupted goes on where it stopped, in this process or a later one, when the server can do that; otherwise it begins
//! anew. What may pass (a broken connection, a busy server) is tried again after a pause; what will not (a file that is gone, a wrong digest) is
//! tried at the next URL. Nothing counts before its digest was checked.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use shoal_cache::{Cache, CacheError, Digest, FinishError, Partial};

use crate::progress::{Outcome, Progress};
use crate::proxy::Proxies;
use crate::request::{Answer, Client, RequestError};

/// Downloads that run at once. More do not make one mirror faster, and are unkind to it.
const PARALLEL: usize = 4;

/// Pauses between attempts at the same URL. When they are used up, the next URL is tried, and in the end the download fails.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(10)];

/// Largest file whose size is not known beforehand, in bytes. A server that sends more is cut off.
const MAX_UNKNOWN_SIZE: u64 = 4 << 30;

/// Bytes that are read at once. Progress is told as often.
const CHUNK: usize = 128 << 10;

/// A file that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What people call it: a package and its version, a file name.
    pub label: String,
    /// Where it can be had, best first.
    pub urls: Vec<String>,
    /// SHA-256.
    pub sha256: Digest,
    /// Size in bytes, when it is known.
    pub size: Option<u64>,
}

/// Why not all files that were wanted are in the cache. Those that were complete before are; of others the beginning is kept, to be resumed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Files are not in the cache, and nothing may be downloaded.
    #[error("offline, and not in the cache: {}; run the same command once without `--offline`", missing.join(", "))]
    Offline {
        /// Labels of all files that are missing.
        missing: Vec<String>,
    },
    /// A file could not be downloaded from any URL.
    #[error("cannot download {label}")]
    Download {
        /// Its label.
        label: String,
        /// Why, at the last URL that was tried.
        source: Box<DownloadError>,
    },
    /// The cache cannot be read or written.
    #[error("cannot keep {label} in the cache")]
    Cache {
        /// Label of the file.
        label: String,
        /// Why.
        source: CacheError,
    },
}

/// Why a file could not be downloaded from one URL.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// There is no URL to try.
    #[error("no URL is known for it")]
    Nowhere,
    /// The server gave no usable answer, or the connection broke too often.
    #[error("{url}")]
    Request {
        /// The URL.
        url: String,
        /// What happened last.
        source: RequestError,
    },
    /// The server's file is cut off: it has fewer bytes than the server or the lock says.
    #[error("{url} ended after {received} of {expected} bytes, every time it was tried; try another mirror")]
    CutOff {
        /// The URL.
        url: String,
        /// Bytes that came.
        received: u64,
        /// Bytes that should have come.
        expected: u64,
    },
    /// The server's file has another size.
    #[error(
        "{url} has {found} bytes, and {expected} were expected: it is another file; run `shoal lock --update` if it was replaced on purpose"
    )]
    Size {
        /// The URL.
        url: String,
        /// Bytes that should have been there.
        expected: u64,
        /// Bytes that the server has or sent.
        found: u64,
    },
    /// The server sends more than any file may have.
    #[error("{url} has more than {limit} bytes, the most that is accepted for a file whose size is not known")]
    TooLarge {
        /// The URL.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The server's file has another digest. What came was deleted.
    #[error(
        "{url} has SHA-256 {found}, and {expected} was expected: it is another file; run `shoal lock --update` if it was replaced on purpose"
    )]
    Digest {
        /// The URL.
        url: String,
        /// What it should have been.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
}

/// Downloads into a cache.
#[derive(Debug)]
pub struct Downloader<'c> {
    cache: &'c Cache,
    client: Client,
    offline: bool,
    pauses: Vec<Duration>,
}

/// Why a download ended without its file, inside.
enum Failure {
    Download(DownloadError),
    Cache(CacheError),
    /// Another download failed first.
    GivenUp,
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        Self::Cache(error)
    }
}

impl<'c> Downloader<'c> {
    /// A downloader into `cache`, by way of `proxies`. If `offline`, it only finds what the cache has.
    #[must_use]
    pub fn new(cache: &'c Cache, proxies: Proxies, offline: bool) -> Self {
        Self { cache, client: Client::new(proxies), offline, pauses: PAUSES.to_vec() }
    }

    /// The same with other pauses, for tests.
    #[cfg(test)]
    pub(crate) fn with_pauses(self, pauses: Vec<Duration>) -> Self {
        Self { pauses, ..self }
    }

    /// The cache that downloads go to.
    #[must_use]
    pub fn cache(&self) -> &'c Cache {
        self.cache
    }

    /// Whether nothing may be downloaded.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Gets files into the cache; their paths there, in the order in which they were wanted. Of what is there already, nothing is told to
    /// `progress`. When one download fails, the others are given up.
    ///
    /// # Errors
    /// What the first download to fail failed of, or all that is missing offline.
    pub fn fetch(&self, wanted: &[Wanted], progress: &dyn Progress) -> Result<Vec<PathBuf>, FetchError> {
        let mut paths: Vec<_> = wanted.iter().map(|wanted| self.cache.object(&wanted.sha256)).collect();
        let missing: VecDeque<_> = (0..wanted.len()).filter(|number| paths[*number].is_none()).collect();
        if self.offline && !missing.is_empty() {
            return Err(FetchError::Offline { missing: missing.iter().map(|number| wanted[*number].label.clone()).collect() });
        }
        let workers = missing.len().min(PARALLEL);
        let queue = Mutex::new(missing);
        let stop = Stop::default();
        let results = Mutex::new(Vec::new());
        // A function, so that the queue is not locked while a download runs.
        let next = || lock(&queue).pop_front();
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(number) = next() {
                        let wanted = &wanted[number];
                        progress.started(&wanted.label, wanted.size);
                        let result = self.one(wanted, progress, &stop);
                        progress.finished(&wanted.label, if result.is_ok() { Outcome::Fetched } else { Outcome::Failed });
                        if result.is_err() {
                            lock(&queue).clear();
                            stop.set();
                        }
                        lock(&results).push((number, result));
                    }
                });
            }
        });
        // Results are in the order in which downloads ended, so the first error is the one that made the others give up.
        for (number, result) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let label = wanted[number].label.clone();
            match result {
                Ok(path) => paths[number] = Some(path),
                Err(Failure::Download(source)) => return Err(FetchError::Download { label, source: Box::new(source) }),
                Err(Failure::Cache(source)) => {
                    // Who makes room for this file alone meets the next one.
                    let missing: Option<u64> =
                        wanted.iter().map(|wanted| Some(self.cache.missing_bytes(&wanted.sha256, wanted.size?))).sum();
                    return Err(FetchError::Cache { label, source: source.needing(missing) });
                }
                Err(Failure::GivenUp) => {}
            }
        }
        Ok(paths.into_iter().map(|path| path.expect("every download succeeded")).collect())
    }

    /// Gets a small file whose digest is not known: what is signed, or what a lock is being written for. It is not kept in the cache.
    ///
    /// # Errors
    /// When no URL has it, it is larger than `limit` bytes, or nothing may be downloaded.
    pub fn fetch_unpinned(&self, label: &str, urls: &[String], limit: u64) -> Result<Vec<u8>, FetchError> {
        if self.offline {
            return Err(FetchError::Offline { missing: vec![label.to_owned()] });
        }
        let result = self.first_url(urls, &Stop::default(), |url| {
            let answer = self.client.get(url, 0).map_err(|source| request(url, source))?;
            let mut bytes = Vec::new();
            answer.body.take(limit + 1).read_to_end(&mut bytes).map_err(|error| request(url, RequestError::Body(error)))?;
            if bytes.len() as u64 > limit {
                return Err(Failure::Download(DownloadError::TooLarge { url: url.to_owned(), limit }));
            }
            Ok(bytes)
        });
        result.map_err(|failure| match failure {
            Failure::Download(source) => FetchError::Download { label: label.to_owned(), source: Box::new(source) },
            Failure::Cache(source) => FetchError::Cache { label: label.to_owned(), source },
            Failure::GivenUp => unreachable!("nothing stops a download that runs alone"),
        })
    }

    /// Gets one file.
    fn one(&self, wanted: &Wanted, progress: &dyn Progress, stop: &Stop) -> Result<PathBuf, Failure> {
        self.first_url(&wanted.urls, stop, |url| {
            // Taken anew for each attempt: finishing one with a wrong digest ends it.
            let partial = self.cache.partial(&wanted.sha256)?;
            // Whoever had it before may have finished it.
            match self.cache.object(&wanted.sha256) {
                Some(path) => Ok(path),
                None => self.attempt(url, wanted, partial, progress, stop),
            }
        })
    }

    /// Tries URLs in turn, each as often as there are pauses, until one attempt succeeds or fails for good.
    fn first_url<T>(&self, urls: &[String], stop: &Stop, mut attempt: impl FnMut(&str) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut last = DownloadError::Nowhere;
        for url in urls {
            let mut pauses = self.pauses.iter();
            loop {
                let failure = match attempt(url) {
                    Err(Failure::Download(failure)) => failure,
                    done => return done,
                };
                let transient = failure.is_transient();
                last = failure;
                match pauses.next().filter(|_| transient) {
                    Some(pause) if stop.wait(*pause) => return Err(Failure::GivenUp),
                    Some(_) => {}
                    None => break,
                }
            }
        }
        Err(Failure::Download(last))
    }

    /// One request for the rest of a file.
    fn attempt(
        &self,
        url: &str,
        wanted: &Wanted,
        mut partial: Partial<'_>,
        progress: &dyn Progress,
        stop: &Stop,
    ) -> Result<PathBuf, Failure> {
        if wanted.size.is_some_and(|size| partial.len() > size) {
            partial.restart()?;
        }
        let resumed = !partial.is_empty();
        if wanted.size != Some(partial.len()) {
            let answer = match self.client.get(url, partial.len()) {
                // The server has no more: what is there is the whole file, or the beginning of another one.
                Err(RequestError::NothingLeft(total)) if resumed && total != Some(partial.len()) => {
                    partial.restart()?;
                    self.client.get(url, 0)
                }
                Err(RequestError::NothingLeft(_)) if resumed => return finish(url, partial),
                answer => answer,
            };
            receive(url, answer.map_err(|source| request(url, source))?, wanted, &mut partial, progress, stop)?;
        }
        match finish(url, partial) {
            // The beginning may have been another file's: only a file that came in one piece is judged.
            Err(Failure::Download(DownloadError::Digest { .. })) if resumed => {
                let partial = self.cache.partial(&wanted.sha256)?;
                self.attempt(url, wanted, partial, progress, stop)
            }
            finished => finished,
        }
    }
}

/// Writes the body of an answer behind what is there.
fn receive(
    url: &str,
    mut answer: Answer,
    wanted: &Wanted,
    partial: &mut Partial<'_>,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<(), Failure> {
    let url = || url.to_owned();
    if let (Some(expected), Some(found)) = (wanted.size, answer.total)
        && expected != found
    {
        return Err(Failure::Download(DownloadError::Size { url: url(), expected, found }));
    }
    if answer.start == 0 && !partial.is_empty() {
        partial.restart()?;
    }
    let limit = wanted.size.unwrap_or(MAX_UNKNOWN_SIZE);
    let mut chunk = vec![0; CHUNK];
    progress.advanced(&wanted.label, partial.len());
    loop {
        if stop.is_set() {
            return Err(Failure::GivenUp);
        }
        let count = answer.body.read(&mut chunk).map_err(|error| request(&url(), RequestError::Body(error)))?;
        if count == 0 {
            break;
        }
        if partial.len() + count as u64 > limit {
            // What is there cannot be the beginning of the right file.
            partial.restart()?;
            return Err(Failure::Download(match wanted.size {
                Some(expected) => DownloadError::Size { url: url(), expected, found: expected + 1 },
                None => DownloadError::TooLarge { url: url(), limit },
            }));
        }
        partial.write_all(&chunk[..count])?;
        progress.advanced(&wanted.label, partial.len());
    }
    match wanted.size.or(answer.total) {
        Some(expected) if partial.len() < expected => {
            Err(Failure::Download(DownloadError::CutOff { url: url(), received: partial.len(), expected }))
        }
        _ => Ok(()),
    }
}

/// Checks the digest, and makes the file one of the cache.
fn finish(url: &str, partial: Partial<'_>) -> Result<PathBuf, Failure> {
    partial.finish().map_err(|error| match error {
        FinishError::Mismatch { expected, found } => Failure::Download(DownloadError::Digest { url: url.to_owned(), expected, found }),
        FinishError::Cache(error) => Failure::Cache(error),
    })
}

fn request(url: &str, source: RequestError) -> Failure {
    Failure::Download(DownloadError::Request { url: url.to_owned(), source })
}

impl DownloadError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Request { source, .. } => source.is_transient(),
            Self::CutOff { .. } => true,
            Self::Nowhere | Self::Size { .. } | Self::TooLarge { .. } | Self::Digest { .. } => false,
        }
    }
}

/// Tells running downloads that another one failed.
#[derive(Default)]
struct Stop {
    set: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn set(&self) {
        *lock(&self.set) = true;
        self.changed.notify_all();
    }

    fn is_set(&self) -> bool {
        *lock(&self.set)
    }

    /// Waits until it is set, at most for a pause; whether it is set.
    fn wait(&self, pause: Duration) -> bool {
        let (set, _) = self.changed.wait_timeout_while(lock(&self.set), pause, |set| !*set).unwrap_or_else(PoisonError::into_inner);
        *set
    }
}

/// A lock whose holders do not leave anything half-done when they panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
