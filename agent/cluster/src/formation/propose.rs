//! Entries about the cluster itself: proposed once, by who leads.

use shoal_formation::{ControlEntry, control::Outcome};
use tokio::time::Instant;

use super::Handle;
use crate::{error::ProposeError, proposals::Answer, raft::entry::Content, status::Leadership};

/// Why it is not known what became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// This member does not lead. The entry is in no log and never will be.
    #[error("this member does not lead")]
    NotLeader,
    /// Too many proposals wait. Nothing was done.
    #[error("too many proposals wait")]
    TooMany,
    /// It was not decided in time. It may still be committed, or not; if it is, it comes out of [`Handle::committed`].
    #[error("it is not known yet whether the entry is committed")]
    Unknown,
    /// This member has stopped. The entry may be in its log.
    #[error("this member has stopped")]
    Stopped,
}

impl Handle {
    /// Appends an entry, if this member leads, and waits until it is applied here. It is never proposed again by itself and never handed to another leader:
    /// what was right to propose on one leader's facts may be wrong on the next one's.
    ///
    /// The same outcome follows from the entry when it comes out of [`Self::committed`], which may be before or after this returns.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn propose(&self, entry: ControlEntry) -> Result<Outcome, ControlError> {
        let inner = &self.0;
        let Leadership { term, is_self: true, .. } = *inner.leadership.borrow() else { return Err(ControlError::NotLeader) };
        let deadline = Instant::now() + inner.request_timeout();
        let proposed = tokio::select! {
            biased;
            () = inner.until_ended() => return Err(ControlError::Stopped),
            proposed = inner.propose_in(term, inner.member(), Content::Control(entry), deadline) => proposed,
        };
        match proposed {
            Ok(Some(Answer::Control(outcome))) => Ok(outcome),
            Ok(None) => Err(ControlError::NotLeader),
            // An entry's answer is what became of it.
            Ok(Some(_)) | Err(ProposeError::Stopped) => Err(ControlError::Stopped),
            Err(ProposeError::TooManyRequests) => Err(ControlError::TooMany),
            Err(_) => Err(ControlError::Unknown),
        }
    }
}
