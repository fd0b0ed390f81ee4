//! The crate and the oracle side by side: what one says, the other has to say, too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use shoal_kv::{
    AlarmMember, Applied, Command, LeaseRevokeRequest, Limits, Now, Outcome, RangeRequest, Revision, RevisionBatch, Store,
    checkpoint::{CheckpointHead, CheckpointVersion},
    known_bugs::KnownBug,
    lessor::{Lessor, LessorConfig, RenewError},
    watch::{Hub, HubLimits},
};

use crate::{
    clients::{Checked, Client, Situation},
    operation::Operation,
    oracle::Oracle,
    oracle_txn,
    seen::Seen,
};

/// Small enough that every bound is met all the time.
const HUB_LIMITS: HubLimits = HubLimits {
    stream_bytes: 400,
    recent_bytes: 1500,
    scan_revisions: 3,
    fragment_bytes: 200,
    stream_watchers: 4,
    watchers: 9,
    streams: 3,
    stream_controls: 3,
};
const TXN_OPERATIONS: usize = 6;
const LESSOR: LessorConfig =
    LessorConfig { revocations_at_once: 1, revocation_interval: Duration::from_secs(1), retry_after: Duration::from_secs(1000) };

pub(crate) struct World<'a> {
    seen: &'a Seen,
    oracle: Oracle,
    store: Store,
    /// Another member: the same commands, but it has forgotten less, or more.
    replica: Store,
    hub: Hub,
    unpublished: VecDeque<Arc<RevisionBatch>>,
    clients: Vec<Client>,
    disk: Disk,
    lessor: Lessor,
    now: Now,
    deadlines: BTreeMap<i64, Now>,
    revoking: BTreeSet<i64>,
    bug: Option<KnownBug>,
}

/// What was written down.
struct Disk {
    head: CheckpointHead,
    versions: BTreeMap<Revision, CheckpointVersion>,
    /// What the store has forgotten since.
    forgotten: Vec<Revision>,
    /// The commands since.
    log: Vec<Command>,
}

impl<'a> World<'a> {
    pub(crate) fn new(bug: Option<KnownBug>, seen: &'a Seen) -> Self {
        let mut store = Store::new();
        let mut hub = Hub::new(store.revision(), HUB_LIMITS);
        if let Some(bug) = bug {
            store.put_back(bug);
            hub.put_back(bug);
        }
        let mut lessor = Lessor::new(LESSOR);
        lessor.promote(Now::default(), []);
        Self {
            seen,
            oracle: Oracle::new(),
            disk: Disk { head: store.checkpoint_head(), versions: BTreeMap::new(), forgotten: Vec::new(), log: Vec::new() },
            store,
            replica: Store::new(),
            hub,
            unpublished: VecDeque::new(),
            clients: Vec::new(),
            lessor,
            now: Now::default(),
            deadlines: BTreeMap::new(),
            revoking: BTreeSet::new(),
            bug,
        }
    }

    pub(crate) fn run(mut self, operations: Vec<Operation>) -> Checked {
        for operation in operations {
            let operation = operation.resolve(self.oracle.revision, self.oracle.compacted);
            self.step(operation)?;
        }
        self.finish()
    }

    fn step(&mut self, operation: Operation) -> Checked {
        match operation {
            Operation::Command(command) => self.propose(command),
            Operation::Range(request) => self.range(&request),
            Operation::Batch(revision) => self.batch(revision),
            Operation::CompactStep(budget) => self.compact_step(budget),
            Operation::Hash(revision) => self.hash(revision),
            Operation::Publish(batches) => self.publish(batches),
            Operation::Open => {
                let stream = self.hub.open();
                prop_assert_eq!(stream.is_some(), self.clients.len() < HUB_LIMITS.streams);
                self.clients.extend(stream.map(Client::new));
                Ok(())
            }
            Operation::Close(client) => {
                if client < self.clients.len() {
                    let client = self.clients.remove(client);
                    self.hub.close(client.stream);
                    prop_assert_eq!(self.hub.poll(client.stream, usize::MAX, || &self.store).responses, []);
                }
                Ok(())
            }
            Operation::Watch(client, request) => self.on_stream(client, |hub, client, situation| {
                hub.create(client.stream, &request);
                client.ask_to_watch(&situation, &request);
            }),
            Operation::Cancel(client, watch_id) => self.on_stream(client, |hub, client, situation| {
                hub.cancel(client.stream, watch_id);
                client.ask_to_cancel(situation.revision, watch_id);
            }),
            Operation::RequestProgress(client) => self.on_stream(client, |hub, client, _| {
                hub.request_progress(client.stream);
                client.ask_for_progress();
            }),
            Operation::NotifyProgress(client) => self.on_stream(client, |hub, client, _| {
                hub.notify_progress(client.stream);
            }),
            Operation::Poll(client, budget) => self.poll(client, budget),
            Operation::Reset => {
                self.unpublished.clear();
                self.hub.reset(self.store.revision());
                Ok(())
            }
            Operation::Checkpoint(chunk) => {
                self.checkpoint(chunk);
                Ok(())
            }
            Operation::Restore => self.restore(),
            Operation::Pass(seconds) => self.pass(seconds),
            Operation::KeepAlive(id) => self.keep_alive(id),
            Operation::ChangeLeader => {
                self.lessor.demote();
                prop_assert_eq!(self.lessor.renew(self.now, 1), Err(RenewError::NotPrimary));
                self.lessor.promote(self.now, self.store.leases());
                self.revoking.clear();
                self.deadlines = self.oracle.leases.iter().map(|(&id, &ttl)| (id, self.after(ttl))).collect();
                Ok(())
            }
        }
    }

    /// Everything is published and read, and everybody agrees.
    fn finish(mut self) -> Checked {
        self.publish(usize::MAX)?;
        for client in 0..self.clients.len() {
            for _ in 0..10_000 {
                if !self.poll_once(client, 100)? {
                    break;
                }
            }
            prop_assert!(!self.poll_once(client, usize::MAX)?, "a stream that is polled comes to its end");
        }
        let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
        for revision in self.oracle.compacted.max(1)..=self.oracle.revision {
            self.range(&RangeRequest { revision, ..all.clone() })?;
            self.range(&RangeRequest { revision, limit: 1, ..all.clone() })?;
            self.hash(revision)?;
            self.batch(revision)?;
        }
        self.compact_step(usize::MAX)?;
        self.hash(0)?;
        self.checkpoint(7);
        self.restore()?;
        let kept = self.store.usage();
        self.compact_step(usize::MAX)?;
        prop_assert_eq!(self.store.usage(), kept, "nothing was kept that could be forgotten");
        Ok(())
    }

    /// Validates as the proposer does, and applies what passes.
    fn propose(&mut self, command: Command) -> Checked {
        let limits = Limits { txn_operations: TXN_OPERATIONS, ..Limits::default() };
        let valid = match &command {
            Command::Put(put) => {
                let valid = put.validate(0, &limits).map_err(Into::into);
                prop_assert_eq!(valid, oracle_txn::check_put_fields(put));
                valid.is_ok()
            }
            Command::DeleteRange(delete) => delete.validate(0, &limits).is_ok(),
            Command::Txn(txn) => {
                let valid = txn.validate(0, &limits);
                prop_assert_eq!(valid, oracle_txn::validate(txn, TXN_OPERATIONS));
                self.seen.note_result("validation", &valid);
                if valid.is_ok() && txn.is_read_only() {
                    prop_assert_eq!(self.store.read_txn(txn), self.oracle.clone().txn(txn));
                }
                valid.is_ok()
            }
            _ => true,
        };
        if valid { self.apply(command).map(drop) } else { Ok(()) }
    }

    fn apply(&mut self, command: Command) -> Result<Outcome, TestCaseError> {
        let Applied { outcome, batch } = self.store.apply(command.clone());
        let (expected, events) = self.oracle.apply(&command);
        prop_assert_eq!(&outcome, &expected);
        let on_replica = self.replica.apply(command.clone());
        prop_assert_eq!(&on_replica.outcome, &expected, "the same on every member");
        prop_assert_eq!(&on_replica.batch, &batch);
        self.disk.log.push(command);
        prop_assert_eq!(batch.as_deref().map_or(&[][..], |batch| &batch.events[..]), &events[..]);
        prop_assert_eq!(self.store.revision(), self.oracle.revision);
        if let Some(batch) = batch {
            prop_assert_eq!(batch.revision, self.oracle.revision);
            self.unpublished.push_back(batch);
        }
        match &outcome {
            Outcome::Put(result) => self.seen.note_result("put", result),
            Outcome::DeleteRange(Ok(response)) if response.deleted > 1 => self.seen.note("several keys deleted"),
            Outcome::Txn(result) => self.seen.note_result("txn", result),
            Outcome::Compact(result) => self.seen.note_result("compaction", result),
            Outcome::LeaseGrant(result) => self.seen.note_result("grant", result),
            Outcome::LeaseRevoke(result) => self.seen.note_result("revocation", result),
            _ => {}
        }
        match &outcome {
            Outcome::LeaseGrant(Ok(granted)) => {
                self.lessor.granted(self.now, granted.id, granted.ttl);
                self.deadlines.insert(granted.id, self.after(granted.ttl));
            }
            Outcome::LeaseRevoke(Ok(_)) => {
                let Some(Command::LeaseRevoke(LeaseRevokeRequest { id })) = self.disk.log.last() else { unreachable!() };
                self.lessor.revoked(*id);
                self.deadlines.remove(id);
                self.revoking.remove(id);
            }
            _ => {}
        }
        Ok(outcome)
    }

    fn range(&self, request: &RangeRequest) -> Checked {
        if request.validate().is_err() {
            prop_assert!(request.key.is_empty());
            return Ok(());
        }
        let read = self.store.range(request);
        self.seen.note_result("range", &read);
        if let Ok(response) = &read
            && response.more
        {
            self.seen.note("more than the limit");
        }
        prop_assert_eq!(read, self.oracle.range(request));
        Ok(())
    }

    fn batch(&self, revision: i64) -> Checked {
        let events = if revision < self.oracle.compacted { Vec::new() } else { self.oracle.events(b"", b"\0", revision, revision) };
        let batch = self.store.batch(revision);
        prop_assert_eq!(batch.as_deref().map_or(&[][..], |batch| &batch.events[..]), &events[..]);
        Ok(())
    }

    fn compact_step(&mut self, budget: usize) -> Checked {
        let step = self.store.compact_step(budget);
        if !step.done {
            self.seen.note("a compaction goes on");
        }
        self.disk.forgotten.extend(step.removed);
        Ok(())
    }

    /// A hash is the same on every member, whatever each has forgotten.
    fn hash(&self, revision: i64) -> Checked {
        prop_assert_eq!(self.store.hash_kv(revision), self.replica.hash_kv(revision));
        Ok(())
    }

    fn publish(&mut self, batches: usize) -> Checked {
        for batch in self.unpublished.drain(..batches.min(self.unpublished.len())) {
            let lagging = self.hub.lagging_watchers();
            self.hub.publish(&batch);
            if self.hub.lagging_watchers() > lagging {
                self.seen.note("a stream was too slow");
            }
        }
        Ok(())
    }

    fn on_stream(&mut self, client: usize, act: impl FnOnce(&mut Hub, &mut Client, Situation<'_>)) -> Checked {
        let watchers = self.clients.iter().map(Client::watchers).sum();
        prop_assert_eq!(watchers, self.hub.watchers());
        let situation = Situation { oracle: &self.oracle, revision: self.hub.revision(), limits: &HUB_LIMITS, watchers };
        if let Some(client) = self.clients.get_mut(client) {
            act(&mut self.hub, client, situation);
        }
        Ok(())
    }

    fn poll(&mut self, client: usize, budget: usize) -> Checked {
        if client < self.clients.len() { self.poll_once(client, budget).map(drop) } else { Ok(()) }
    }

    fn poll_once(&mut self, client: usize, budget: usize) -> Result<bool, TestCaseError> {
        let watchers = self.clients.iter().map(Client::watchers).sum();
        let client = &mut self.clients[client];
        let recent = self.hub.lagging_watchers();
        let mut history = false;
        let polled = self.hub.poll(client.stream, budget, || {
            history = true;
            &self.store
        });
        if history {
            self.seen.note("history was read");
        }
        if polled.more {
            self.seen.note("a poll left something");
        }
        if self.hub.lagging_watchers() < recent {
            self.seen.note("a watcher has caught up");
        }
        let situation = Situation { oracle: &self.oracle, revision: self.hub.revision(), limits: &HUB_LIMITS, watchers };
        client.read(&situation, &polled, self.seen)?;
        Ok(polled.more)
    }

    fn checkpoint(&mut self, chunk: usize) {
        let head = self.store.checkpoint_head();
        let mut above = Revision { main: self.disk.head.revision, sub: u32::MAX };
        loop {
            let versions = self.store.checkpoint_versions(above, head.revision, chunk);
            let count = versions.len();
            for version in versions {
                above = version.revision;
                self.disk.versions.insert(version.revision, version);
            }
            if count < chunk {
                break;
            }
            // Meanwhile the world goes on.
            self.disk.forgotten.extend(self.store.compact_step(1).removed);
        }
        for revision in self.disk.forgotten.drain(..) {
            self.disk.versions.remove(&revision);
        }
        self.disk.head = head;
        self.disk.log.clear();
    }

    fn restore(&mut self) -> Checked {
        let mut restored =
            Store::restore(self.disk.head.clone(), self.disk.versions.values().cloned()).expect("what was written can be read");
        if let Some(bug) = self.bug {
            restored.put_back(bug);
        }
        for command in &self.disk.log {
            restored.apply(command.clone());
        }
        prop_assert_eq!(restored.revision(), self.store.revision());
        prop_assert_eq!(restored.compact_revision(), self.store.compact_revision());
        prop_assert_eq!(restored.hash_kv(0), self.store.hash_kv(0));
        prop_assert_eq!(restored.usage().keys, self.store.usage().keys);
        prop_assert_eq!(restored.leases().collect::<Vec<_>>(), self.oracle.leases.clone().into_iter().collect::<Vec<_>>());
        for &id in self.oracle.leases.keys() {
            prop_assert_eq!(restored.lease(id, true), self.oracle.lease(id));
            prop_assert_eq!(self.store.lease(id, true), self.oracle.lease(id));
        }
        prop_assert_eq!(restored.alarms().collect::<Vec<AlarmMember>>(), self.oracle.alarms.iter().copied().collect::<Vec<_>>());
        self.store = restored;
        Ok(())
    }

    fn after(&self, seconds: i64) -> Now {
        self.now.plus(Duration::from_secs(seconds.try_into().unwrap()))
    }

    fn pass(&mut self, seconds: u64) -> Checked {
        self.now = self.now.plus(Duration::from_secs(seconds));
        let expired = self.lessor.expired(self.now);
        let now = self.now;
        let over = |deadline: &Now| *deadline <= now;
        let due = self.deadlines.iter().filter(|(id, deadline)| over(deadline) && !self.revoking.contains(id)).count();
        prop_assert_eq!(expired.len(), due.min(LESSOR.revocations_at_once));
        if expired.len() < due {
            self.seen.note("a lease has to wait for its end");
        }
        for id in expired {
            prop_assert!(over(&self.deadlines[&id]), "lease {id} has time left");
            self.revoking.insert(id);
            // One revocation in four is lost on its way.
            if (id + self.oracle.revision) % 4 != 0 {
                self.apply(Command::LeaseRevoke(LeaseRevokeRequest { id }))?;
            }
        }
        Ok(())
    }

    fn keep_alive(&mut self, id: i64) -> Checked {
        let renewed = self.lessor.renew(self.now, id);
        self.seen.note_result("keep-alive", &renewed);
        let expected = match self.deadlines.get(&id) {
            None => Err(RenewError::NotFound),
            Some(&deadline) if deadline <= self.now => Err(RenewError::Expired),
            Some(_) => Ok(self.oracle.leases[&id]),
        };
        prop_assert_eq!(renewed, expected);
        if let Ok(ttl) = renewed {
            self.deadlines.insert(id, self.after(ttl));
        }
        Ok(())
    }
}
