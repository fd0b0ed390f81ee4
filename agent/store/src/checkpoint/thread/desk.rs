//! Jobs on their way to the thread, and what became of them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::checkpoint::error::{CheckpointFailed, RewriteError};
use crate::checkpoint::files::CheckpointFiles;
use crate::checkpoint::store::Store;
use crate::checkpoint::{Batch, Done, Rewritten};
use crate::threads::Bell;

/// What the thread is to do.
pub(super) enum Job {
    Commit(Batch, Done),
    Rewrite(Rewritten),
    Switch(Store, Sender<Result<(), RewriteError>>),
    Loaded(Sender<Result<(), CheckpointFailed>>),
}

/// What waits, and whether anything is taken any more.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) jobs: VecDeque<Job>,
    /// Commits that wait or are under way.
    pub(super) commits: usize,
    pub(super) closing: bool,
    pub(super) failed: Option<CheckpointFailed>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("jobs", &self.jobs.len()).field("commits", &self.commits).finish_non_exhaustive()
    }
}

/// What handles and the thread share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) queue: Mutex<Queue>,
    pub(super) submitted: Bell,
    pub(super) directory: PathBuf,
}

impl Desk {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn submit(&self, job: Job) -> Result<(), CheckpointFailed> {
        let mut queue = self.queue();
        if let Some(failed) = &queue.failed {
            return Err(failed.clone());
        }
        if queue.closing {
            return Err(self.closed());
        }
        queue.commits += usize::from(matches!(job, Job::Commit(..)));
        queue.jobs.push_back(job);
        drop(queue);
        self.submitted.ring();
        Ok(())
    }

    pub(super) fn closed(&self) -> CheckpointFailed {
        CheckpointFailed { action: "use", path: self.directory.clone(), source: Arc::new(std::io::Error::other("it was closed")) }
    }

    /// Submits a job and waits for its result.
    pub(super) fn wait_for<E: From<CheckpointFailed>>(&self, job: impl FnOnce(Sender<Result<(), E>>) -> Job) -> Result<(), E> {
        let (sender, receiver) = channel();
        self.submit(job(sender))?;
        self.submitted.hurry();
        receiver.recv().unwrap_or_else(|_| Err(self.queue().failed.clone().unwrap_or_else(|| self.closed()).into()))
    }

    /// Does a part of a rewrite, and tells those who wait when it was the last one.
    pub(super) fn step(&self, files: &mut CheckpointFiles, rewritten: &mut Vec<Rewritten>) {
        let result = files.step_rewrite();
        self.note(&result);
        if !files.is_rewriting() {
            for done in rewritten.drain(..) {
                done(result.clone());
            }
        }
    }

    /// Whether there is nothing to do, not even to end.
    #[cfg_attr(not(feature = "simulation"), allow(dead_code, reason = "a thread waits instead"))]
    pub(super) fn is_idle(&self, rewriting: bool) -> bool {
        let queue = self.queue();
        queue.failed.is_none() && queue.jobs.is_empty() && !queue.closing && !rewriting
    }

    /// The next job, or `Some(None)` if there is none and a rewrite shall go on. `None` when the thread shall end.
    pub(super) fn next(&self, rewriting: bool) -> Option<Option<Job>> {
        let mut queue = self.queue();
        loop {
            if queue.failed.is_some() {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(Some(job));
            }
            if queue.closing {
                return None;
            }
            if rewriting {
                return Some(None);
            }
            queue = self.submitted.wait(queue);
        }
    }

    /// Notes what became of a new file, before anybody is told.
    pub(super) fn note(&self, result: &Result<(), RewriteError>) {
        if let Err(RewriteError::Failed(failed)) = result {
            self.settle(&Err(failed.clone()), 0);
        }
    }

    /// Notes what became of commits, before anybody is told.
    pub(super) fn settle(&self, result: &Result<(), CheckpointFailed>, commits: usize) {
        let mut queue = self.queue();
        queue.commits -= commits;
        if let Err(failed) = result {
            queue.failed = Some(failed.clone());
        }
    }
}
