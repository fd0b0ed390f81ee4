//! Files that wait to become segments: filled with zeros ahead of time, or segments that were purged.
//!
//! An append to a file that grows, or into a range that was only allocated, makes the file system write its own metadata at every sync. One
//! into blocks that were written before does not: about two thirds of the time, and half the writes.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::names;
use crate::bugs::{Bug, Bugs};
use crate::disk::Disk;
use crate::wear::{Cause, Wear};

/// Bytes of zeros that are written and synced at once: enough for a medium to be fast, and short enough (some 10 ms) for an append that has
/// to wait for it.
const CHUNK_BYTES: usize = 1 << 20;

/// Makes files of zeros.
#[derive(Debug, Clone)]
pub(super) struct SpareMaker {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) wear: Arc<Wear>,
    pub(super) bytes: u32,
    pub(super) bugs: Bugs,
}

impl SpareMaker {
    /// Makes one. Its name is durable, and so is its content.
    fn make(&self, number: u64) -> io::Result<()> {
        let unfinished = self.directory.join(names::unfinished_spare(number));
        let result = self.fill(number);
        if result.is_err() {
            // On a full disk every byte counts; if this fails, opening the log removes it.
            let _ = self.disk.remove(&unfinished);
        }
        result
    }

    fn fill(&self, number: u64) -> io::Result<()> {
        let unfinished = self.directory.join(names::unfinished_spare(number));
        let file = self.disk.create(&unfinished)?;
        let zeros = vec![0; CHUNK_BYTES.min(self.bytes as usize)];
        let mut at = 0;
        while at < self.bytes as usize {
            let chunk = &zeros[..zeros.len().min(self.bytes as usize - at)];
            file.write_all_at(at as u64, chunk)?;
            self.wear.wrote(Cause::Preallocation, chunk.len());
            file.sync_data()?;
            self.wear.synced(Cause::Preallocation);
            at += chunk.len();
        }
        // The zeros need not stay in memory; and in the large folios that they came in, each frame would dirty a whole one in the kernel's
        // accounting.
        file.forget_cached()?;
        self.disk.rename(&unfinished, &self.directory.join(names::spare(number)))?;
        if !self.bugs.has(Bug::DirectoryNotSynced) {
            self.disk.sync_directory(&self.directory)?;
            self.wear.synced(Cause::Preallocation);
        }
        Ok(())
    }
}

/// The files that wait, and the one that is being made.
#[derive(Debug)]
pub(super) struct Spares {
    maker: SpareMaker,
    ready: BTreeSet<u64>,
    next_number: u64,
    /// Whether spares are made by a thread of their own.
    background: bool,
    job: Option<(u64, JoinHandle<io::Result<()>>)>,
    /// Why the last one could not be made.
    failed: Option<String>,
}

impl Spares {
    pub(super) fn new(maker: SpareMaker, ready: BTreeSet<u64>, background: bool) -> Self {
        let next_number = ready.last().map_or(1, |last| last.saturating_add(1));
        Self { maker, ready, next_number, background, job: None, failed: None }
    }

    pub(super) fn count(&self) -> usize {
        self.ready.len()
    }

    /// Why the last one could not be made, if there is none.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_deref().filter(|_| self.ready.is_empty())
    }

    /// A number for a segment that becomes a spare.
    pub(super) fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// A segment has become a spare; its name is durable.
    pub(super) fn add(&mut self, number: u64) {
        self.ready.insert(number);
        self.failed = None;
    }

    /// Sees to it that there will be one.
    pub(super) fn provide(&mut self) {
        if self.job.as_ref().is_some_and(|(_, job)| job.is_finished()) {
            self.finish_job();
        }
        if !self.ready.is_empty() || self.job.is_some() {
            return;
        }
        let number = self.next_number();
        if self.background && !crate::threads::in_place() {
            let maker = self.maker.clone();
            match std::thread::Builder::new().name("shoal-log-spare".into()).spawn(move || maker.make(number)) {
                Ok(job) => self.job = Some((number, job)),
                Err(error) => self.failed = Some(error.to_string()),
            }
        } else {
            let result = self.maker.make(number);
            self.made(number, result);
        }
    }

    /// Takes one, and waits for it or makes it if need be.
    ///
    /// # Errors
    /// It could not be made. Nothing was changed.
    pub(super) fn take(&mut self) -> io::Result<PathBuf> {
        self.finish_job();
        if self.ready.is_empty() {
            let number = self.next_number();
            let result = self.maker.make(number);
            let failure = result.as_ref().err().map(|error| io::Error::new(error.kind(), error.to_string()));
            self.made(number, result);
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        let number = self.ready.pop_first().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.maker.directory.join(names::spare(number)))
    }

    fn finish_job(&mut self) {
        if let Some((number, job)) = self.job.take() {
            let result = job.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes segments panicked")));
            self.made(number, result);
        }
    }

    fn made(&mut self, number: u64, result: io::Result<()>) {
        match result {
            Ok(()) => self.add(number),
            Err(error) => {
                tracing::warn!(directory = %self.maker.directory.display(), %error, "cannot make the next segment of the raft log: free some space");
                self.failed = Some(error.to_string());
            }
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.finish_job();
    }
}
