//! What the log's entries change, with all that hears of it: watch streams and the lessor.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use shoal_formation::{Control, ControlEntry, Settings, control};
use shoal_kv::{
    Alarm, AlarmMember, Command, LeaseRevokeRequest, Now, Outcome, Revision, Store,
    checkpoint::CheckpointHead,
    lessor::{Lessor, LessorConfig, RenewError},
    watch::HubLimits,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    error::LeaseError,
    raft::{LogId, StoredMembership, entry::Attributes},
    replica::{LeaseTimeToLive, StoreGuard},
    watches::Watches,
};

/// Versions that a [`Store::compact_step`] looks at while nothing else is applied: some hundred microseconds.
const COMPACT_STEP_VERSIONS: usize = 1000;

/// Everything that a member must have the same as all others after the same entries.
#[derive(Debug)]
pub(crate) struct Replicated {
    pub(crate) store: Store,
    /// The last entry applied.
    pub(crate) applied: Option<LogId>,
    /// The last configuration applied.
    pub(crate) membership: StoredMembership,
    /// What members say about themselves, by id.
    pub(crate) attributes: BTreeMap<u64, Attributes>,
    /// What entries about the cluster itself have made. Indices in it are those of [`crate::formation`], the first of which is 1.
    pub(crate) control: Control,
    /// The first seal applied, whatever became of it, by the same count.
    pub(crate) first_seal: Option<u64>,
    /// Versions that compaction has taken out, and the checkpoint has not. Not replicated: members forget at their own pace.
    pub(crate) forgotten: Vec<Revision>,
}

impl Replicated {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            applied: None,
            membership: StoredMembership::default(),
            attributes: BTreeMap::new(),
            control: Control::default(),
            first_seal: None,
            forgotten: Vec::new(),
        }
    }

    /// Everything but the versions.
    pub(crate) fn head(&self) -> Head {
        Head {
            applied: self.applied,
            membership: self.membership.clone(),
            attributes: self.attributes.clone(),
            control: self.control.clone(),
            first_seal: self.first_seal,
            store: self.store.checkpoint_head(),
        }
    }
}

/// [`Replicated`] without the versions of keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    pub(crate) applied: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) attributes: BTreeMap<u64, Attributes>,
    pub(crate) control: Control,
    pub(crate) first_seal: Option<u64>,
    pub(crate) store: CheckpointHead,
}

/// One member's state.
#[derive(Debug)]
pub(crate) struct State {
    replicated: Arc<RwLock<Replicated>>,
    pub(crate) watches: Watches,
    lessor: Mutex<Lessor>,
    lessor_changed: Notify,
    compactions: watch::Sender<Compactions>,
    zero: Instant,
    #[cfg(feature = "known-bugs")]
    bug: std::sync::OnceLock<crate::known_bugs::KnownBug>,
}

/// How many compactions were asked for, and how many are over: nothing that they made unreachable is kept any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compactions {
    pub(crate) wanted: u64,
    pub(crate) done: u64,
}

/// Locks the state for reading.
pub(crate) fn read(replicated: &RwLock<Replicated>) -> RwLockReadGuard<'_, Replicated> {
    replicated.read().expect("nobody panics while holding the state")
}

impl State {
    pub(crate) fn new(replicated: Replicated, shards: usize, limits: HubLimits) -> Self {
        let replicated = Arc::new(RwLock::new(replicated));
        Self {
            watches: Watches::new(replicated.clone(), shards, limits),
            replicated,
            lessor: Mutex::new(Lessor::new(LessorConfig::default())),
            lessor_changed: Notify::new(),
            // What was restored may hold what a compaction before that made unreachable.
            compactions: watch::Sender::new(Compactions { wanted: 1, done: 0 }),
            zero: Instant::now(),
            #[cfg(feature = "known-bugs")]
            bug: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Replicated> {
        read(&self.replicated)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Replicated> {
        self.replicated.write().expect("nobody panics while holding the state")
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

    /// Applies some changes while nobody reads, then tells everybody who hears of them. Only one caller at a time.
    pub(crate) fn apply<T>(&self, change: impl FnOnce(&mut Applying<'_>) -> T) -> T {
        let mut applying =
            Applying { replicated: self.write(), batches: Vec::new(), granted: Vec::new(), revoked: Vec::new(), compacted: false };
        let result = change(&mut applying);
        let Applying { replicated, batches, granted, revoked, compacted } = applying;
        drop(replicated);
        for batch in &batches {
            self.watches.publish(batch);
        }
        if compacted {
            self.compactions.send_modify(|compactions| compactions.wanted += 1);
        }
        if !granted.is_empty() || !revoked.is_empty() {
            let now = self.now();
            let mut lessor = self.lessor();
            granted.into_iter().for_each(|(id, ttl)| lessor.granted(now, id, ttl));
            revoked.into_iter().for_each(|id| lessor.revoked(id));
            drop(lessor);
            self.lessor_changed.notify_waiters();
        }
        result
    }

    /// Puts another state in the place of this one: that of a snapshot. Only one caller at a time, and not while applying.
    pub(crate) fn replace(&self, replicated: Replicated) {
        #[cfg(feature = "known-bugs")]
        let replicated = if self.has_bug(crate::known_bugs::KnownBug::SnapshotKeepsKeys) {
            let store = std::mem::replace(&mut self.write().store, Store::new());
            Replicated { store, ..replicated }
        } else {
            replicated
        };
        let revision = replicated.store.revision();
        // What was there is taken apart after the lock is free again: there may be much of it.
        let before = std::mem::replace(&mut *self.write(), replicated);
        self.watches.reset(revision);
        self.compactions.send_modify(|compactions| compactions.wanted += 1);
        drop(before);
    }

    /// This member leads from now on.
    pub(crate) fn promote_lessor(&self) {
        // Both at once: a grant that is applied later is told to a lessor that leads already.
        let mut lessor = self.lessor();
        let leases: Vec<_> = self.read().store.leases().collect();
        #[cfg(feature = "known-bugs")]
        let leases = if self.has_bug(crate::known_bugs::KnownBug::LeasesAreNotExtended) {
            leases.into_iter().map(|(id, _)| (id, 0)).collect()
        } else {
            leases
        };
        lessor.promote(self.now(), leases);
        drop(lessor);
        self.lessor_changed.notify_waiters();
    }

    /// This member no longer leads.
    pub(crate) fn demote_lessor(&self) {
        self.lessor().demote();
        self.lessor_changed.notify_waiters();
    }

    /// Whether this member ends leases.
    pub(crate) fn is_primary_lessor(&self) -> bool {
        self.lessor().is_primary()
    }

    /// Renews a lease, on the leader. Waits while a lease that has expired is being revoked.
    pub(crate) async fn renew(&self, id: i64) -> Result<i64, RenewError> {
        loop {
            let changed = self.lessor_changed.notified();
            let renewed = self.lessor().renew(self.now(), id);
            match renewed {
                Err(RenewError::Expired) => changed.await,
                renewed => return renewed,
            }
        }
    }

    /// What is left of a lease, on the leader; `None` if this member does not lead or there is no such lease.
    pub(crate) fn remaining(&self, id: i64) -> Option<Duration> {
        self.lessor().remaining(self.now(), id)
    }

    /// A lease as clients see it, given what the leader says is left of it.
    pub(crate) fn time_to_live(&self, id: i64, keys: bool, remaining: Duration) -> Result<LeaseTimeToLive, LeaseError> {
        let lease = self.read().store.lease(id, keys).ok_or(LeaseError::NotFound)?;
        Ok(LeaseTimeToLive { granted_ttl: lease.granted_ttl, remaining, keys: lease.keys })
    }

    /// Waits until leases have expired, and names them: at least one.
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

    /// Which compactions are wanted, and which are done.
    pub(crate) const fn compactions(&self) -> &watch::Sender<Compactions> {
        &self.compactions
    }

    /// Forgets some of what the last compaction made unreachable. Returns whether nothing is left to do.
    pub(crate) fn compact_step(&self) -> bool {
        let mut replicated = self.write();
        let step = replicated.store.compact_step(COMPACT_STEP_VERSIONS);
        replicated.forgotten.extend(step.removed);
        step.done
    }
}

#[cfg(feature = "known-bugs")]
impl State {
    /// Puts a bug back.
    pub(crate) fn put_back(&self, bug: Option<crate::known_bugs::KnownBug>) {
        let Some(bug) = bug else { return };
        let _ = self.bug.set(bug);
        if bug == crate::known_bugs::KnownBug::ProgressIsAhead {
            self.watches.put_back(shoal_kv::known_bugs::KnownBug::ProgressIsAhead);
        }
    }

    pub(crate) fn has_bug(&self, bug: crate::known_bugs::KnownBug) -> bool {
        self.bug.get() == Some(&bug)
    }
}

/// The state while it is being changed.
#[derive(Debug)]
pub(crate) struct Applying<'a> {
    pub(crate) replicated: RwLockWriteGuard<'a, Replicated>,
    batches: Vec<Arc<shoal_kv::RevisionBatch>>,
    granted: Vec<(i64, i64)>,
    revoked: Vec<i64>,
    compacted: bool,
}

impl Applying<'_> {
    /// An entry about the cluster itself, at `index` by the count of [`crate::formation`].
    pub(crate) fn control(&mut self, index: u64, entry: &ControlEntry) -> control::Outcome {
        if *entry == ControlEntry::Seal {
            self.replicated.first_seal.get_or_insert(index);
        }
        self.replicated.control.apply(index, entry, &Settings::default())
    }

    pub(crate) fn command(&mut self, command: Command) -> Outcome {
        if let Command::LeaseRevoke(LeaseRevokeRequest { id }) = command {
            self.revoked.push(id);
        }
        let applied = self.replicated.store.apply(command);
        if let Outcome::LeaseGrant(Ok(grant)) = &applied.outcome {
            self.granted.push((grant.id, grant.ttl));
            // A lease that was revoked and granted anew in between is told of as it is now.
            self.revoked.retain(|&id| id != grant.id);
        }
        self.compacted |= matches!(applied.outcome, Outcome::Compact(Ok(_)));
        self.batches.extend(applied.batch);
        applied.outcome
    }
}

/// An alarm as etcd's status writes it.
pub(crate) fn alarm_text(alarm: &AlarmMember) -> String {
    let name = match alarm.alarm {
        Alarm::NoSpace => "NOSPACE",
        Alarm::Corrupt => "CORRUPT",
    };
    format!("memberID:{} alarm:{name}", alarm.member)
}
