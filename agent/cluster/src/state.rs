//! The state that commands change, with all that hears of it: watch streams and the lessor.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use shoal_kv::{
    AlarmMember, Command, LeaseRevokeRequest, Now, Outcome, Store,
    lessor::{Lessor, LessorConfig, RenewError},
    watch::HubLimits,
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    error::LeaseError,
    replica::{LeaseTimeToLive, StoreGuard},
    watches::Watches,
};

/// Bytes of the versions a [`Store::compact_step`] looks at while nothing else is applied: some hundred microseconds.
pub(crate) const COMPACT_STEP_VERSIONS: usize = 1000;

/// One member's state.
#[derive(Debug)]
pub(crate) struct State {
    store: Arc<RwLock<Store>>,
    pub(crate) watches: Watches,
    lessor: Mutex<Lessor>,
    lessor_changed: Notify,
    zero: Instant,
}

impl State {
    pub(crate) fn new(store: Store, shards: usize, limits: HubLimits) -> Self {
        let store = Arc::new(RwLock::new(store));
        Self {
            watches: Watches::new(store.clone(), shards, limits),
            store,
            lessor: Mutex::new(Lessor::new(LessorConfig::default())),
            lessor_changed: Notify::new(),
            zero: Instant::now(),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().expect("nobody panics while holding the store")
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().expect("nobody panics while holding the store")
    }

    pub(crate) fn guard(&self) -> StoreGuard<'_> {
        StoreGuard(self.read())
    }

    fn lessor(&self) -> MutexGuard<'_, Lessor> {
        self.lessor.lock().expect("nobody panics while holding the lessor")
    }

    fn now(&self) -> Now {
        Now::at(self.zero.elapsed())
    }

    /// Applies commands in their order, then tells everybody. Only one caller at a time.
    pub(crate) fn apply(&self, commands: impl IntoIterator<Item = Command>) -> Vec<Outcome> {
        let mut batches = Vec::new();
        let mut revoked = Vec::new();
        let outcomes: Vec<_> = {
            let mut store = self.write();
            commands
                .into_iter()
                .map(|command| {
                    if let Command::LeaseRevoke(LeaseRevokeRequest { id }) = command {
                        revoked.push(id);
                    }
                    let applied = store.apply(command);
                    batches.extend(applied.batch);
                    applied.outcome
                })
                .collect()
        };
        for batch in &batches {
            self.watches.publish(batch);
        }
        self.tell_lessor(&outcomes, &revoked);
        outcomes
    }

    fn tell_lessor(&self, outcomes: &[Outcome], revoked: &[i64]) {
        let granted = |outcome: &Outcome| matches!(outcome, Outcome::LeaseGrant(Ok(_)));
        if revoked.is_empty() && !outcomes.iter().any(granted) {
            return;
        }
        let now = self.now();
        let mut lessor = self.lessor();
        let mut revoked = revoked.iter();
        for outcome in outcomes {
            match outcome {
                Outcome::LeaseGrant(Ok(grant)) => lessor.granted(now, grant.id, grant.ttl),
                Outcome::LeaseRevoke(_) => revoked.next().into_iter().for_each(|&id| lessor.revoked(id)),
                _ => {}
            }
        }
        drop(lessor);
        self.lessor_changed.notify_waiters();
    }

    /// This member leads from now on.
    pub(crate) fn promote_lessor(&self) {
        // The store first: a grant that is applied between the two is told to a lessor that leads, and counts once.
        let mut lessor = self.lessor();
        let leases: Vec<_> = self.read().leases().collect();
        lessor.promote(self.now(), leases);
        drop(lessor);
        self.lessor_changed.notify_waiters();
    }

    /// This member no longer leads.
    pub(crate) fn demote_lessor(&self) {
        self.lessor().demote();
        self.lessor_changed.notify_waiters();
    }

    /// Renews a lease, on the leader. Waits while a lease that has expired is being revoked.
    pub(crate) async fn renew(&self, id: i64) -> Result<i64, RenewError> {
        loop {
            let changed = self.lessor_changed.notified();
            let renewed = self.lessor().renew(self.now(), id);
            match renewed {
                Ok(ttl) => {
                    // A deadline may have moved away: whoever waits for it finds nothing and waits for the next.
                    return Ok(ttl);
                }
                Err(RenewError::Expired) => changed.await,
                Err(error) => return Err(error),
            }
        }
    }

    /// What is left of a lease, on the leader; `None` if this member does not lead or there is no such lease.
    pub(crate) fn remaining(&self, id: i64) -> Option<Duration> {
        self.lessor().remaining(self.now(), id)
    }

    /// A lease as clients see it, given what the leader says is left of it.
    pub(crate) fn time_to_live(&self, id: i64, keys: bool, remaining: Duration) -> Result<LeaseTimeToLive, LeaseError> {
        let lease = self.read().lease(id, keys).ok_or(LeaseError::NotFound)?;
        Ok(LeaseTimeToLive { granted_ttl: lease.granted_ttl, remaining, keys: lease.keys })
    }

    /// Waits until leases have expired, and names them. Never returns nothing.
    pub(crate) async fn expired(&self) -> Vec<i64> {
        loop {
            let changed = self.lessor_changed.notified();
            let (expired, deadline) = {
                let mut lessor = self.lessor();
                (lessor.expired(self.now()), lessor.deadline())
            };
            if !expired.is_empty() {
                return expired;
            }
            match deadline {
                Some(deadline) => {
                    let _ = tokio::time::timeout_at(self.zero + deadline.since_zero(), changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// Forgets all that the last compaction made unreachable, giving way to others after each step. `removed` gets what is gone.
    pub(crate) async fn compact<F: Future<Output = ()>>(&self, mut removed: impl FnMut(Vec<shoal_kv::Revision>) -> F) {
        loop {
            let step = self.write().compact_step(COMPACT_STEP_VERSIONS);
            if !step.removed.is_empty() {
                removed(step.removed).await;
            }
            if step.done {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// An alarm as etcd's status writes it.
pub(crate) fn alarm_text(alarm: &AlarmMember) -> String {
    let name = match alarm.alarm {
        shoal_kv::Alarm::NoSpace => "NOSPACE",
        shoal_kv::Alarm::Corrupt => "CORRUPT",
    };
    format!("memberID:{} alarm:{name}", alarm.member)
}
