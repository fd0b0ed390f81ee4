//! A new checkpoint that takes the place of everything.

use std::sync::Arc;

use super::Inner;
use super::desk::Job;
use crate::checkpoint::Batch;
use crate::checkpoint::error::RewriteError;
use crate::checkpoint::store::{Store, Strength};

/// A new checkpoint that grows beside the one that counts. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Replacement {
    pub(super) checkpoint: Arc<Inner>,
    /// Taken out when it is handed over.
    pub(super) draft: Option<Store>,
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
