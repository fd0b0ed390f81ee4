//! The thread behind a [`Checkpoint`](super::Checkpoint), and what its handles share with it.

mod desk;
mod replacement;

use std::sync::{Arc, Mutex};

use desk::{Desk, Job};
pub use replacement::Replacement;

use super::error::{CheckpointFailed, OpenCheckpointError, RewriteError};
use super::files::CheckpointFiles;
use super::place::Place;
use super::reader::Reader;
use super::{Batch, Done, Rewritten};
use crate::threads::{Bell, Step, Work, Worker};
use crate::wear::Cause;

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
