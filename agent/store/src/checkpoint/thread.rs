//! The thread behind a [`Checkpoint`](super::Checkpoint), and what its handles share with it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{CheckpointFailed, OpenCheckpointError, RewriteError};
use super::files::CheckpointFiles;
use super::place::Place;
use super::reader::Reader;
use super::store::{Store, Strength};
use super::{Batch, Done, Rewritten};
use crate::threads::{Bell, Step, Work, Worker};
use crate::wear::Cause;

enum Job {
    Commit(Batch, Done),
    Rewrite(Rewritten),
    Switch(Store, Sender<Result<(), RewriteError>>),
    Loaded(Sender<Result<(), CheckpointFailed>>),
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Commits that wait or are under way.
    commits: usize,
    closing: bool,
    failed: Option<CheckpointFailed>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("jobs", &self.jobs.len()).field("commits", &self.commits).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Desk {
    queue: Mutex<Queue>,
    submitted: Bell,
    directory: PathBuf,
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, job: Job) -> Result<(), CheckpointFailed> {
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

    fn closed(&self) -> CheckpointFailed {
        CheckpointFailed { action: "use", path: self.directory.clone(), source: Arc::new(std::io::Error::other("it was closed")) }
    }
}

/// A checkpoint with its thread. Dropping it closes the checkpoint.
#[derive(Debug)]
pub(super) struct Inner {
    desk: Arc<Desk>,
    place: Arc<Place>,
    reader: Reader,
    worker: Worker,
}

impl Inner {
    pub(super) fn start(files: CheckpointFiles) -> Result<Self, OpenCheckpointError> {
        let (place, reader) = (files.place(), files.reader());
        let directory = place.directory.clone();
        let desk = Arc::new(Desk { queue: Mutex::default(), submitted: Bell::default(), directory: directory.clone() });
        let committing = Committing { desk: desk.clone(), files: Some(files), rewritten: Vec::new() };
        let worker = desk.submitted.start("shoal-checkpoint", committing);
        let worker =
            worker.map_err(|error| OpenCheckpointError::Io { action: "start the thread of", path: directory, source: Arc::new(error) })?;
        Ok(Self { desk, place, reader, worker })
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    pub(super) fn commit(&self, batch: Batch, done: Done) -> Result<(), CheckpointFailed> {
        self.desk.submit(Job::Commit(batch, done))
    }

    pub(super) fn commit_now(&self, batch: Batch) -> Result<(), CheckpointFailed> {
        self.desk.wait_for(|sender| Job::Commit(batch, Box::new(move |result| drop(sender.send(result)))))
    }

    pub(super) fn rewrite(&self, done: Rewritten) -> Result<(), CheckpointFailed> {
        self.desk.submit(Job::Rewrite(done))
    }

    pub(super) fn loaded(&self) -> Result<(), CheckpointFailed> {
        self.desk.wait_for(Job::Loaded)
    }

    pub(super) fn pending(&self) -> usize {
        self.desk.queue().commits
    }

    pub(super) fn replace(this: &Arc<Self>) -> Result<Replacement, RewriteError> {
        if let Some(failed) = &this.desk.queue().failed {
            return Err(failed.clone().into());
        }
        let draft = this.place.draft(Cause::Rewrite)?;
        Ok(Replacement { checkpoint: this.clone(), draft: Some(draft) })
    }

    pub(super) fn close(&self) -> Result<(), CheckpointFailed> {
        self.desk.queue().closing = true;
        self.desk.submitted.ring();
        self.worker.join(&self.desk.submitted);
        self.desk.queue().failed.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.close();
    }
}

/// A new checkpoint that grows beside the one that counts. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Replacement {
    checkpoint: Arc<Inner>,
    /// Taken out when it is handed over.
    draft: Option<Store>,
}

impl Replacement {
    /// Adds a part of it. Blocks while it writes. Whoever streams a snapshot gives parts of some MiB.
    ///
    /// # Errors
    /// What went wrong with the new file. The old one counts.
    pub fn put(&mut self, batch: &Batch) -> Result<(), RewriteError> {
        let draft = self.draft.as_ref().ok_or(RewriteError::GivenUp)?;
        draft.apply(batch, Strength::Draft).map_err(|fault| fault.draft("write to", &draft.path))
    }

    /// Makes the new one durable and switches to it, after all commits that wait: they go with the old one. Blocks until it counts.
    ///
    /// # Errors
    /// The new file could not be completed, and the old one counts; or the checkpoint has failed. A crash leaves the old one or the new one.
    pub fn finish(mut self) -> Result<(), RewriteError> {
        let draft = self.draft.take().ok_or(RewriteError::GivenUp)?;
        self.checkpoint.desk.wait_for(|sender| Job::Switch(draft, sender))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(draft) = self.draft.take() {
            self.checkpoint.place.discard(draft);
        }
    }
}

/// What the thread does.
struct Committing {
    desk: Arc<Desk>,
    /// Gone when it has ended.
    files: Option<CheckpointFiles>,
    /// Those who wait for the end of the rewrite that is under way.
    rewritten: Vec<Rewritten>,
}

impl Work for Committing {
    fn run(mut self) {
        let desk = self.desk.clone();
        let _guard = Guard(&desk);
        while let Some(job) = desk.next(!self.rewritten.is_empty()) {
            self.work(job);
        }
        self.end();
    }

    fn step(&mut self) -> Step {
        if self.desk.is_idle(!self.rewritten.is_empty()) {
            return Step::Idle;
        }
        let Some(job) = self.desk.next(!self.rewritten.is_empty()) else {
            self.end();
            return Step::Ended;
        };
        self.work(job);
        if self.desk.is_idle(!self.rewritten.is_empty()) { Step::Idle } else { Step::More }
    }
}

impl Committing {
    fn work(&mut self, job: Option<Job>) {
        let Self { desk, files: Some(files), rewritten } = self else { return };
        match job {
            Some(Job::Commit(batch, done)) => {
                let result = files.commit(&batch);
                desk.settle(&result, 1);
                done(result);
                // One step after each commit, so that many commits do not keep a rewrite from its end.
                if !rewritten.is_empty() {
                    desk.step(files, rewritten);
                }
            }
            Some(Job::Rewrite(done)) => match files.begin_rewrite() {
                Ok(()) => rewritten.push(done),
                Err(error) => done(Err(error)),
            },
            Some(Job::Switch(store, sender)) => {
                for done in rewritten.drain(..) {
                    done(Err(RewriteError::GivenUp));
                }
                let result = files.switch(store);
                desk.note(&result);
                // Whoever waited has gone if this fails.
                let _ = sender.send(result);
            }
            Some(Job::Loaded(sender)) => _ = sender.send(files.loaded()),
            None => desk.step(files, rewritten),
        }
    }

    fn end(&mut self) {
        let Self { desk, files, rewritten } = self;
        if let Some(Err(failed)) = files.take().map(CheckpointFiles::close) {
            // Also when it had failed before: the first failure stays.
            desk.queue().failed.get_or_insert(failed);
        }
        let rest: Vec<Job> = desk.queue().jobs.drain(..).collect();
        for done in rewritten.drain(..) {
            done(Err(RewriteError::GivenUp));
        }
        for job in rest {
            let failed = desk.queue().failed.clone().unwrap_or_else(|| desk.closed());
            match job {
                Job::Commit(_, done) => done(Err(failed)),
                Job::Rewrite(done) => done(Err(failed.into())),
                Job::Switch(_, sender) => _ = sender.send(Err(failed.into())),
                Job::Loaded(sender) => _ = sender.send(Err(failed)),
            }
        }
    }
}

impl Desk {
    /// Submits a job and waits for its result.
    fn wait_for<E: From<CheckpointFailed>>(&self, job: impl FnOnce(Sender<Result<(), E>>) -> Job) -> Result<(), E> {
        let (sender, receiver) = channel();
        self.submit(job(sender))?;
        self.submitted.hurry();
        receiver.recv().unwrap_or_else(|_| Err(self.queue().failed.clone().unwrap_or_else(|| self.closed()).into()))
    }

    /// Does a part of a rewrite, and tells those who wait when it was the last one.
    fn step(&self, files: &mut CheckpointFiles, rewritten: &mut Vec<Rewritten>) {
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
    fn is_idle(&self, rewriting: bool) -> bool {
        let queue = self.queue();
        queue.failed.is_none() && queue.jobs.is_empty() && !queue.closing && !rewriting
    }

    /// The next job, or `Some(None)` if there is none and a rewrite shall go on. `None` when the thread shall end.
    fn next(&self, rewriting: bool) -> Option<Option<Job>> {
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
    fn note(&self, result: &Result<(), RewriteError>) {
        if let Err(RewriteError::Failed(failed)) = result {
            self.settle(&Err(failed.clone()), 0);
        }
    }

    /// Notes what became of commits, before anybody is told.
    fn settle(&self, result: &Result<(), CheckpointFailed>, commits: usize) {
        let mut queue = self.queue();
        queue.commits -= commits;
        if let Err(failed) = result {
            queue.failed = Some(failed.clone());
        }
    }
}

/// Fails the checkpoint if its thread panics, so that nobody submits what nobody takes.
struct Guard<'a>(&'a Desk);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let source = Arc::new(std::io::Error::other("its thread panicked"));
            self.0.queue().failed = Some(CheckpointFailed { action: "commit to", path: self.0.directory.clone(), source });
        }
    }
}
