//! How much may wait to be replicated.

use tokio::sync::Semaphore;

/// Proposals of this member's clients that wait, at most; further ones are "too many requests". etcd allows as many entries to be committed
/// but not applied.
const PROPOSALS_MAX: usize = 5000;

/// Bytes of proposals that wait, of this member's clients, and again of its peers' clients: twice what the log takes before it waits.
const PROPOSAL_BYTES_MAX: usize = 64 << 20;

/// How many proposals may wait, and how many bytes of them.
#[derive(Debug)]
pub(super) struct Admission {
    proposals: Semaphore,
    bytes: Semaphore,
}

impl Admission {
    pub(super) fn new() -> Self {
        Self { proposals: Semaphore::new(PROPOSALS_MAX), bytes: Semaphore::new(PROPOSAL_BYTES_MAX) }
    }

    /// Room for a proposal, until the value is dropped; `None` if there is none.
    pub(super) fn admit(&self, bytes: usize) -> Option<impl Sized + '_> {
        let bytes = u32::try_from(bytes.min(PROPOSAL_BYTES_MAX)).unwrap_or(u32::MAX);
        Some((self.proposals.try_acquire().ok()?, self.bytes.try_acquire_many(bytes).ok()?))
    }
}
