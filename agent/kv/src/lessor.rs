//! When leases end. Only the leader knows: a lease's deadline is no part of the replicated state, and a new leader begins every lease anew.

use std::time::Duration;

use crate::{error::LeaseGrantError, limits::LEASE_TTL_SECONDS, now::Now, request::LeaseGrantRequest};

/// How leases end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LessorConfig {
    /// At most so many revocations are proposed within [`Self::revocation_interval`].
    pub revocations_at_once: usize,
    /// See [`Self::revocations_at_once`].
    pub revocation_interval: Duration,
    /// A revocation that has not been applied for so long is proposed again.
    pub retry_after: Duration,
}

/// Why a lease was not renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RenewError {
    /// This member does not lead: ask the one that does.
    #[error("not a primary lessor")]
    NotPrimary,
    /// No such lease. `LeaseKeepAlive` answers with a TTL of 0.
    #[error("etcdserver: requested lease not found")]
    NotFound,
    /// The lease has ended and its revocation is on its way. Answer once it is applied (then a TTL of 0) or this member no longer leads.
    #[error("the lease has expired and is being revoked")]
    Expired,
}

impl LeaseGrantRequest {
    /// The request as it is to be replicated: with an id, and with a time to live that is at least `min_ttl`.
    ///
    /// # Errors
    /// [`LeaseGrantError::TtlTooLarge`] above [`LEASE_TTL_SECONDS`].
    pub fn prepare(self, chosen_id: i64, min_ttl: i64) -> Result<Self, LeaseGrantError> {
        if self.ttl > LEASE_TTL_SECONDS {
            return Err(LeaseGrantError::TtlTooLarge);
        }
        Ok(Self { id: if self.id == 0 { chosen_id } else { self.id }, ttl: self.ttl.max(min_ttl) })
    }
}

/// The deadlines of all leases while this member leads.
#[derive(Debug)]
pub struct Lessor {}

impl Lessor {
    /// A lessor that does not lead.
    #[must_use]
    pub fn new(config: LessorConfig) -> Self {
        todo!("{config:?}")
    }

    /// This member leads from now on: every lease, given as id and seconds granted, begins anew.
    pub fn promote(&mut self, now: Now, leases: impl IntoIterator<Item = (i64, i64)>) {
        todo!("{now:?} {}", leases.into_iter().count())
    }

    /// This member no longer leads: no lease ends here.
    pub fn demote(&mut self) {
        todo!()
    }

    /// Whether this member leads.
    #[must_use]
    pub fn is_primary(&self) -> bool {
        todo!()
    }

    /// A grant was applied.
    pub fn granted(&mut self, now: Now, id: i64, ttl: i64) {
        todo!("{now:?} {id} {ttl}")
    }

    /// A revocation was applied.
    pub fn revoked(&mut self, id: i64) {
        todo!("{id}")
    }

    /// `LeaseKeepAlive`: the lease begins anew. Returns the seconds it has now.
    ///
    /// # Errors
    /// [`RenewError`]; the lease is as it was.
    pub fn renew(&mut self, now: Now, id: i64) -> Result<i64, RenewError> {
        todo!("{now:?} {id}")
    }

    /// How much of a lease is left, for `LeaseTimeToLive`: nothing if it is being revoked. `None` if this member does not lead, or there is no
    /// such lease.
    #[must_use]
    pub fn remaining(&self, now: Now, id: i64) -> Option<Duration> {
        todo!("{now:?} {id}")
    }

    /// When to call [`Self::expired`] next; `None` if never as things are.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        todo!()
    }

    /// The leases whose time is over, for which a revocation is to be proposed now; those longest over first.
    pub fn expired(&mut self, now: Now) -> Vec<i64> {
        todo!("{now:?}")
    }
}
