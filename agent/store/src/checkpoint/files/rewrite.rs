//! Another file in the place of the one that counts: without holes, or with the state of somebody else.

use std::sync::Arc;

use super::CheckpointFiles;
use crate::checkpoint::error::RewriteError;
use crate::checkpoint::place::failed;
use crate::checkpoint::store::{Store, Strength};
use crate::checkpoint::{Batch, Revision};
use crate::wear::Cause;

/// Bytes of values that one step of a rewrite copies: a commit waits no longer than for so much.
const REWRITE_STEP_BYTES: usize = 4 << 20;

/// The lowest revision above this one.
fn after(revision: Revision) -> Revision {
    match revision.sub.checked_add(1) {
        Some(sub) => Revision { sub, ..revision },
        None => Revision { main: revision.main.saturating_add(1), sub: 0 },
    }
}

/// A rewrite that is under way.
#[derive(Debug)]
pub(super) struct Rewriting {
    pub(super) target: Store,
    /// Revisions from here on are not copied yet,
    from: Revision,
    /// up to this one, the last one when it began: what was committed since is in both files.
    last: Option<Revision>,
    /// A commit could not be written to it.
    pub(super) failed: Option<RewriteError>,
}

impl Rewriting {
    /// Copies a part. Gives whether that was all.
    fn step(&mut self, current: &Store) -> Result<bool, RewriteError> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let Some(end) = self.last.map(after) else { return Ok(true) };
        let rows = current.read(self.from..end, REWRITE_STEP_BYTES).map_err(|fault| fault.draft("read", &current.path))?;
        let Some((last, _)) = rows.last() else { return Ok(true) };
        self.from = after(*last);
        let batch = Batch { put: rows, ..Batch::default() };
        self.target.apply(&batch, Strength::Draft).map_err(|fault| fault.draft("write to", &self.target.path))?;
        Ok(false)
    }
}

impl CheckpointFiles {
    /// Begins to rewrite everything into a new file. One that is under way goes on.
    ///
    /// # Errors
    /// The new file could not be written, or the checkpoint has failed.
    pub fn begin_rewrite(&mut self) -> Result<(), RewriteError> {
        self.check()?;
        if self.rewriting.is_none() {
            let target = self.place.draft(Cause::Rewrite)?;
            let begun = (|| {
                let head = self.current.head().map_err(|fault| fault.draft("read", &self.current.path))?;
                let batch = Batch { put_leases: head.leases, put_meta: head.meta, ..Batch::default() };
                target.apply(&batch, Strength::Draft).map_err(|fault| fault.draft("write to", &target.path))?;
                self.current.last_revision().map_err(|fault| fault.draft("read", &self.current.path))
            })();
            match begun {
                Ok(last) => self.rewriting = Some(Rewriting { target, from: Revision::default(), last, failed: None }),
                Err(error) => {
                    self.place.discard(target);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether a rewrite is under way.
    #[must_use]
    pub fn is_rewriting(&self) -> bool {
        self.rewriting.is_some()
    }

    /// Copies a part. The last step makes the new file count; then [`CheckpointFiles::is_rewriting`] is false.
    ///
    /// # Errors
    /// The new file could not be written, and is given up, or the checkpoint has failed.
    pub fn step_rewrite(&mut self) -> Result<(), RewriteError> {
        self.check()?;
        let Some(mut rewriting) = self.rewriting.take() else { return Ok(()) };
        match rewriting.step(&self.current) {
            Ok(true) => self.switch(rewriting.target)?,
            Ok(false) => self.rewriting = Some(rewriting),
            Err(error) => {
                self.place.discard(rewriting.target);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Gives up a rewrite that is under way.
    pub fn give_up_rewrite(&mut self) {
        if let Some(rewriting) = self.rewriting.take() {
            self.place.discard(rewriting.target);
        }
    }

    /// Makes a draft the file that counts. A rewrite that is under way is given up: it copies what does not count any more.
    pub(in crate::checkpoint) fn switch(&mut self, draft: Store) -> Result<(), RewriteError> {
        self.check()?;
        self.give_up_rewrite();
        let mut target = self.place.complete(draft)?;
        let result = self.place.publish(&mut target);
        self.keep(result)?;
        let old = std::mem::replace(&mut self.current, Arc::new(target));
        self.reader.put(Some(self.current.clone()));
        let removed = self.place.disk.remove(&old.path).map_err(|error| failed("remove", &old.path, error));
        Ok(self.keep(removed)?)
    }

    /// Replaces everything, as [`Checkpoint::replace`](super::Checkpoint::replace) does, by what these batches make.
    ///
    /// # Errors
    /// The new file could not be written, and is given up, or the checkpoint has failed.
    pub fn replace_by(&mut self, batches: &[Batch]) -> Result<(), RewriteError> {
        self.check()?;
        let draft = self.place.draft(Cause::Rewrite)?;
        for batch in batches {
            if let Err(fault) = draft.apply(batch, Strength::Draft) {
                let error = fault.draft("write to", &draft.path);
                self.place.discard(draft);
                return Err(error);
            }
        }
        self.switch(draft)
    }
}
