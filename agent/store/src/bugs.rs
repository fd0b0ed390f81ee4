//! Known bugs that tests put back, to see that they catch them.

/// A mistake that a log or a checkpoint could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A batch is called durable after it was written, before it is synced.
    AcknowledgeBeforeSync,
    /// A vote is called durable at once, and written with the next batch.
    AnswerBeforeVote,
    /// Whatever is not readable is cut off, also in the middle.
    CutInTheMiddle,
    /// Names of files are not synced.
    DirectoryNotSynced,
    /// What the page cache says is believed at opening, also after a failed sync.
    TrustCache,
    /// A failed sync is tried again.
    RetrySync,
    /// A checkpoint whose file is gone begins anew.
    VanishedIsNew,
}

/// Which bugs are put back. Without the feature `simulation` there is no way to put one in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bugs(u16);

impl Bugs {
    /// One bug.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub const fn put_back(bug: Bug) -> Self {
        Self(1 << bug as u16)
    }

    pub(crate) const fn has(self, bug: Bug) -> bool {
        cfg!(feature = "simulation") && self.0 & (1 << bug as u16) != 0
    }
}
