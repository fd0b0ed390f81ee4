//! When leases end. Only the leader knows: a lease's deadline is no part of the replicated state, and a new leader begins every lease anew.
//!
//! | a lease is | until |
//! |---|---|
//! | running | its deadline; a keep-alive moves that |
//! | over | it was handed out by [`Lessor::expired`] |
//! | being revoked | [`Lessor::revoked`], when the revocation was applied; if that takes too long it is handed out again |
//!
//! A lease that is over is not renewed any more: its revocation may be in the log already. All of it is forgotten when this member stops leading.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{error::LeaseGrantError, limits::LEASE_TTL_SECONDS, now::Now, request::LeaseGrantRequest};

/// At most so many revocations are proposed in one [`DEFAULT_REVOCATION_INTERVAL`], etcd's rate. When many leases end together, the others wait:
/// every revocation is a write, and clients have some to do, too.
pub const DEFAULT_REVOCATIONS_AT_ONCE: usize = 500;

/// See [`DEFAULT_REVOCATIONS_AT_ONCE`].
pub const DEFAULT_REVOCATION_INTERVAL: Duration = Duration::from_millis(500);

/// A revocation that was not applied for so long is taken for lost, and proposed again. As long as etcd gives a request with its default
/// election timeout.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(7);

/// How leases end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LessorConfig {
    /// At most so many revocations are handed out within [`Self::revocation_interval`].
    pub revocations_at_once: usize,
    /// See [`Self::revocations_at_once`].
    pub revocation_interval: Duration,
    /// A revocation that has not been applied for so long is handed out again.
    pub retry_after: Duration,
}

impl Default for LessorConfig {
    fn default() -> Self {
        Self {
            revocations_at_once: DEFAULT_REVOCATIONS_AT_ONCE,
            revocation_interval: DEFAULT_REVOCATION_INTERVAL,
            retry_after: DEFAULT_RETRY_AFTER,
        }
    }
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
    /// The lease is over and its revocation is on its way. Answer once it is applied (then a TTL of 0) or this member no longer leads.
    #[error("the lease is over and is being revoked")]
    Expired,
}

impl LeaseGrantRequest {
    /// The request as it is to be replicated: with an id, and with a time to live that is at least `min_ttl` seconds. etcd's minimum is one and a
    /// half election timeouts, rounded up: no lease ends while a new leader is being elected.
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
pub struct Lessor {
    config: LessorConfig,
    primary: bool,
    leases: BTreeMap<i64, Running>,
    /// When something is to be done about which lease: its deadline, or another attempt to revoke it.
    due: BTreeSet<(Now, i64)>,
    /// When the current interval of revocations began, and how many it had.
    interval: (Now, usize),
}

#[derive(Debug, Clone, Copy)]
struct Running {
    ttl: i64,
    deadline: Now,
    /// The lease's entry in `due`.
    due: Now,
}

impl Lessor {
    /// A lessor that does not lead.
    #[must_use]
    pub fn new(config: LessorConfig) -> Self {
        Self { config, primary: false, leases: BTreeMap::new(), due: BTreeSet::new(), interval: (Now::default(), 0) }
    }

    /// This member leads from now on: every lease, given as id and seconds granted, begins anew. Nobody knows what keep-alives the leader before
    /// has answered.
    pub fn promote(&mut self, now: Now, leases: impl IntoIterator<Item = (i64, i64)>) {
        self.demote();
        self.primary = true;
        for (id, ttl) in leases {
            self.granted(now, id, ttl);
        }
    }

    /// This member no longer leads: no lease ends here.
    pub fn demote(&mut self) {
        self.primary = false;
        self.leases.clear();
        self.due.clear();
    }

    /// Whether this member leads.
    #[must_use]
    pub const fn is_primary(&self) -> bool {
        self.primary
    }

    /// A grant was applied. Nothing happens if this member does not lead.
    pub fn granted(&mut self, now: Now, id: i64, ttl: i64) {
        if self.primary {
            self.begin(now, id, ttl);
        }
    }

    /// A revocation was applied. Nothing happens if this member does not lead.
    pub fn revoked(&mut self, id: i64) {
        if let Some(lease) = self.leases.remove(&id) {
            self.due.remove(&(lease.due, id));
        }
    }

    /// `LeaseKeepAlive`: the lease begins anew. Returns the seconds it has now.
    ///
    /// # Errors
    /// [`RenewError`]; the lease is as it was.
    pub fn renew(&mut self, now: Now, id: i64) -> Result<i64, RenewError> {
        if !self.primary {
            return Err(RenewError::NotPrimary);
        }
        let lease = *self.leases.get(&id).ok_or(RenewError::NotFound)?;
        if lease.deadline <= now {
            return Err(RenewError::Expired);
        }
        self.begin(now, id, lease.ttl);
        Ok(lease.ttl)
    }

    /// How much of a lease is left, for `LeaseTimeToLive`: nothing if it is over. `None` if this member does not lead, or there is no such lease.
    #[must_use]
    pub fn remaining(&self, now: Now, id: i64) -> Option<Duration> {
        self.leases.get(&id).map(|lease| lease.deadline.since(now))
    }

    /// All leases, those that end first before the others, as etcd's leader lists them for `LeaseLeases`.
    #[must_use]
    pub fn by_deadline(&self) -> Vec<i64> {
        let mut leases: Vec<_> = self.leases.iter().map(|(&id, lease)| (lease.deadline, id)).collect();
        leases.sort_unstable();
        leases.into_iter().map(|(_, id)| id).collect()
    }

    /// When to call [`Self::expired`] next; `None` if never as things are.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let &(due, _) = self.due.first()?;
        let (begun, handed_out) = self.interval;
        let exhausted = handed_out >= self.config.revocations_at_once;
        Some(if exhausted { due.max(begun.plus(self.config.revocation_interval)) } else { due })
    }

    /// The leases for which a revocation is to be proposed now, those that have waited longest first.
    pub fn expired(&mut self, now: Now) -> Vec<i64> {
        if now.since(self.interval.0) >= self.config.revocation_interval {
            self.interval = (now, 0);
        }
        let mut expired = Vec::new();
        while self.interval.1 < self.config.revocations_at_once
            && let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            self.interval.1 += 1;
            expired.push(id);
            let again = now.plus(self.config.retry_after);
            self.due.pop_first();
            self.due.insert((again, id));
            self.leases.get_mut(&id).expect("only leases are due").due = again;
        }
        expired
    }

    fn begin(&mut self, now: Now, id: i64, ttl: i64) {
        let deadline = now.plus(Duration::from_secs(u64::try_from(ttl).unwrap_or(0)));
        if let Some(before) = self.leases.insert(id, Running { ttl, deadline, due: deadline }) {
            self.due.remove(&(before.due, id));
        }
        self.due.insert((deadline, id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now::at(Duration::from_secs(seconds))
    }

    fn leader(now: Now, leases: &[(i64, i64)]) -> Lessor {
        let mut lessor = Lessor::new(LessorConfig::default());
        lessor.promote(now, leases.iter().copied());
        lessor
    }

    #[test]
    fn a_lease_ends_at_its_deadline_and_not_before() {
        let mut lessor = leader(at(100), &[(1, 10), (2, 5)]);
        assert_eq!(lessor.deadline(), Some(at(105)));
        assert!(lessor.expired(at(104)).is_empty());
        assert_eq!(lessor.expired(at(105)), [2]);
        assert_eq!(lessor.expired(at(110)), [1]);
        assert_eq!(lessor.by_deadline(), [2, 1]);
        lessor.revoked(1);
        lessor.revoked(2);
        assert_eq!(lessor.deadline(), None);
    }

    #[test]
    fn keeping_a_lease_alive_gives_it_its_whole_time_again() {
        let mut lessor = leader(at(0), &[(1, 10)]);
        assert_eq!(lessor.renew(at(9), 1), Ok(10));
        assert!(lessor.expired(at(18)).is_empty());
        assert_eq!(lessor.remaining(at(18), 1), Some(Duration::from_secs(1)));
        assert_eq!(lessor.expired(at(19)), [1]);
    }

    #[test]
    fn a_lease_that_is_over_is_not_renewed() {
        let mut lessor = leader(at(0), &[(1, 10)]);
        assert_eq!(lessor.renew(at(10), 1), Err(RenewError::Expired));
        assert_eq!(lessor.remaining(at(11), 1), Some(Duration::ZERO));
        lessor.revoked(1);
        assert_eq!(lessor.renew(at(11), 1), Err(RenewError::NotFound));
        assert_eq!(lessor.remaining(at(11), 1), None);
    }

    #[test]
    fn a_lost_revocation_is_proposed_again() {
        let mut lessor = leader(at(0), &[(1, 10)]);
        assert_eq!(lessor.expired(at(10)), [1]);
        assert!(lessor.expired(at(16)).is_empty());
        assert_eq!(lessor.deadline(), Some(at(17)));
        assert_eq!(lessor.expired(at(17)), [1]);
    }

    #[test]
    fn many_leases_that_end_together_are_revoked_a_few_at_a_time() {
        let ids: Vec<i64> = (1..=1200).collect();
        let mut lessor = leader(at(0), &ids.iter().map(|&id| (id, 10)).collect::<Vec<_>>());
        let half = Duration::from_millis(500);
        let mut seen = lessor.expired(at(10));
        assert_eq!(seen.len(), 500);
        assert!(lessor.expired(at(10)).is_empty());
        assert_eq!(lessor.deadline(), Some(at(10).plus(half)), "the next interval");
        seen.extend(lessor.expired(at(10).plus(half)));
        assert_eq!(seen.len(), 1000);
        seen.extend(lessor.expired(at(11)));
        assert_eq!(seen, ids);
    }

    #[test]
    fn only_the_leader_ends_leases_and_a_new_one_begins_them_anew() {
        let mut lessor = leader(at(0), &[(1, 10)]);
        assert!(lessor.is_primary());
        lessor.demote();
        assert!(!lessor.is_primary());
        lessor.granted(at(5), 2, 10);
        assert_eq!(lessor.deadline(), None);
        assert!(lessor.expired(at(1000)).is_empty());
        assert_eq!(lessor.renew(at(5), 1), Err(RenewError::NotPrimary));
        lessor.promote(at(1000), [(1, 10), (2, 20)]);
        assert_eq!(lessor.deadline(), Some(at(1010)));
        assert_eq!(lessor.remaining(at(1000), 2), Some(Duration::from_secs(20)));
    }

    #[test]
    fn a_grant_is_prepared_with_an_id_and_the_least_time() {
        let prepare = |id, ttl| LeaseGrantRequest { id, ttl }.prepare(77, 2);
        assert_eq!(prepare(0, 60), Ok(LeaseGrantRequest { id: 77, ttl: 60 }));
        assert_eq!(prepare(5, 0), Ok(LeaseGrantRequest { id: 5, ttl: 2 }));
        assert_eq!(prepare(5, -1), Ok(LeaseGrantRequest { id: 5, ttl: 2 }));
        assert_eq!(prepare(5, LEASE_TTL_SECONDS), Ok(LeaseGrantRequest { id: 5, ttl: LEASE_TTL_SECONDS }));
        assert_eq!(prepare(5, LEASE_TTL_SECONDS + 1), Err(LeaseGrantError::TtlTooLarge));
    }
}
