//! What etcd would do, written down as plainly as possible: a list of everything that ever happened, and every question answered by going through
//! all of it. Nothing is forgotten, nothing is indexed, nothing is shared with the crate but the types of requests and responses.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use shoal_kv::{
    AlarmAction, AlarmMember, AlarmRequest, AlarmResponse, Command, CompactionError, CompactionResponse, DeleteRangeRequest,
    DeleteRangeResponse, Event, EventKind, KeyValue, LeaseGrantError, LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeError,
    LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, Outcome, PutError, PutRequest, PutResponse, RangeError, RangeRequest,
    RangeResponse, SortOrder, SortTarget,
};

/// One change of one key.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) main: i64,
    pub(crate) deleted: bool,
    pub(crate) kv: KeyValue,
}

#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    /// In the order in which they happened.
    pub(crate) changes: Vec<Change>,
    pub(crate) revision: i64,
    pub(crate) compacted: i64,
    pub(crate) leases: BTreeMap<i64, i64>,
    pub(crate) alarms: BTreeSet<AlarmMember>,
}

pub(crate) fn in_range(key: &[u8], range_end: &[u8], candidate: &[u8]) -> bool {
    match range_end {
        [] => candidate == key,
        [0] => candidate >= key,
        end => candidate >= key && candidate < end,
    }
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self { changes: Vec::new(), revision: 1, compacted: -1, leases: BTreeMap::new(), alarms: BTreeSet::new() }
    }

    /// The keys that exist at a revision, in their order.
    pub(crate) fn alive(&self, at: i64) -> Vec<KeyValue> {
        self.alive_in(b"", b"\0", at)
    }

    pub(crate) fn alive_in(&self, key: &[u8], range_end: &[u8], at: i64) -> Vec<KeyValue> {
        let mut alive: BTreeMap<&Bytes, &KeyValue> = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.main <= at && in_range(key, range_end, &change.kv.key)) {
            if change.deleted {
                alive.remove(&change.kv.key);
            } else {
                alive.insert(&change.kv.key, &change.kv);
            }
        }
        alive.into_values().cloned().collect()
    }

    pub(crate) fn get(&self, key: &[u8], at: i64) -> Option<KeyValue> {
        let last = self.changes.iter().rfind(|change| change.main <= at && change.kv.key == key)?;
        (!last.deleted).then(|| last.kv.clone())
    }

    /// The events of a range from one revision to another, both included.
    pub(crate) fn events(&self, key: &[u8], range_end: &[u8], from: i64, to: i64) -> Vec<Event> {
        let concerns = |change: &&Change| (from..=to).contains(&change.main) && in_range(key, range_end, &change.kv.key);
        self.changes.iter().filter(concerns).map(|change| self.event(change)).collect()
    }

    fn event(&self, change: &Change) -> Event {
        if change.deleted {
            Event::new(EventKind::Delete, change.kv.clone(), self.get(&change.kv.key, change.main - 1))
        } else if change.kv.create_revision == change.main {
            Event::new(EventKind::Put, change.kv.clone(), None)
        } else {
            Event::new(EventKind::Put, change.kv.clone(), self.get(&change.kv.key, change.main - 1))
        }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, RangeError> {
        let at = if request.revision <= 0 { self.revision } else { request.revision };
        if at > self.revision {
            return Err(RangeError::FutureRevision);
        }
        if at < self.compacted {
            return Err(RangeError::Compacted);
        }
        Ok(self.range_at(request, at, self.revision))
    }

    pub(crate) fn range_at(&self, request: &RangeRequest, at: i64, revision: i64) -> RangeResponse {
        let mut kvs = self.alive_in(&request.key, &request.range_end, at);
        let count = kvs.len() as i64;
        if request.count_only {
            return RangeResponse { revision, kvs: Vec::new(), more: false, count };
        }
        let filters = [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
        // etcd sorts only what it has read, and it reads up to the limit if no order was given.
        let sorted_first = filters.iter().any(|&bound| bound != 0)
            || !(request.sort_order == SortOrder::None
                || request.sort_order == SortOrder::Ascend && request.sort_target == SortTarget::Key);
        if request.limit > 0 && !sorted_first {
            kvs.truncate(request.limit as usize + 1);
        }
        kvs.retain(|kv| {
            (request.min_mod_revision == 0 || kv.mod_revision >= request.min_mod_revision)
                && (request.max_mod_revision == 0 || kv.mod_revision <= request.max_mod_revision)
                && (request.min_create_revision == 0 || kv.create_revision >= request.min_create_revision)
                && (request.max_create_revision == 0 || kv.create_revision <= request.max_create_revision)
        });
        let smaller = |a: &KeyValue, b: &KeyValue| match request.sort_target {
            SortTarget::Key => a.key < b.key,
            SortTarget::Version => a.version < b.version,
            SortTarget::Create => a.create_revision < b.create_revision,
            SortTarget::Mod => a.mod_revision < b.mod_revision,
            SortTarget::Value => a.value < b.value,
        };
        // Bubbles: neighbours change places until none are in the wrong order.
        for _ in 0..kvs.len() {
            for i in 1..kvs.len() {
                let wrong = match request.sort_order {
                    SortOrder::None | SortOrder::Ascend => smaller(&kvs[i], &kvs[i - 1]),
                    SortOrder::Descend => smaller(&kvs[i - 1], &kvs[i]),
                };
                if wrong {
                    kvs.swap(i - 1, i);
                }
            }
        }
        let more = request.limit > 0 && kvs.len() > request.limit as usize;
        if more {
            kvs.truncate(request.limit as usize);
        }
        if request.keys_only {
            for kv in &mut kvs {
                kv.value = Bytes::new();
                if request.sort_target != SortTarget::Value {
                    kv.lease = 0;
                }
            }
        }
        RangeResponse { revision, kvs, more, count }
    }

    /// Also says which events there should be: those of the newest revision, if the command took one.
    pub(crate) fn apply(&mut self, command: &Command) -> (Outcome, Vec<Event>) {
        let before = self.revision;
        let outcome = match command {
            Command::Put(request) => Outcome::Put(self.put(request)),
            Command::DeleteRange(request) => Outcome::DeleteRange(Ok(self.delete_range(request))),
            Command::Txn(request) => Outcome::Txn(self.txn(request)),
            Command::Compact(request) => Outcome::Compact(if request.revision <= self.compacted {
                Err(CompactionError::Compacted)
            } else if request.revision > self.revision {
                Err(CompactionError::FutureRevision)
            } else {
                self.compacted = request.revision;
                Ok(CompactionResponse { revision: self.revision })
            }),
            Command::LeaseGrant(request) => Outcome::LeaseGrant(self.grant(request)),
            Command::LeaseRevoke(request) => Outcome::LeaseRevoke(self.revoke(request)),
            Command::Alarm(request) => Outcome::Alarm(self.alarm(request)),
        };
        let events = if self.revision == before { Vec::new() } else { self.events(b"", b"\0", self.revision, self.revision) };
        (outcome, events)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.alarms.iter().any(|alarm| alarm.alarm == shoal_kv::Alarm::NoSpace)
    }

    fn put(&mut self, request: &PutRequest) -> Result<PutResponse, PutError> {
        if self.is_full() {
            return Err(PutError::NoSpace);
        }
        self.check_put(request)?;
        let response = self.put_at(request, self.revision + 1);
        self.revision += 1;
        Ok(response)
    }

    pub(crate) fn check_put(&self, request: &PutRequest) -> Result<(), PutError> {
        if request.lease != 0 && !self.leases.contains_key(&request.lease) {
            return Err(PutError::LeaseNotFound);
        }
        if (request.ignore_lease || request.ignore_value) && self.get(&request.key, self.revision).is_none() {
            return Err(PutError::KeyNotFound);
        }
        Ok(())
    }

    pub(crate) fn put_at(&mut self, request: &PutRequest, main: i64) -> PutResponse {
        let before = self.get(&request.key, main);
        let mut kv = KeyValue {
            key: request.key.clone(),
            value: request.value.clone(),
            create_revision: main,
            mod_revision: main,
            version: 1,
            lease: request.lease,
        };
        if let Some(before) = &before {
            kv.create_revision = before.create_revision;
            kv.version = before.version + 1;
            if request.ignore_value {
                kv.value = before.value.clone();
            }
            if request.ignore_lease {
                kv.lease = before.lease;
            }
        }
        self.changes.push(Change { main, deleted: false, kv });
        PutResponse { revision: main, prev_kv: if request.prev_kv { before } else { None } }
    }

    fn delete_range(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let (response, changed) = self.delete_range_at(request, self.revision + 1);
        if changed {
            self.revision += 1;
        }
        DeleteRangeResponse { revision: self.revision, ..response }
    }

    /// Leaves the revision in the response to the caller.
    pub(crate) fn delete_range_at(&mut self, request: &DeleteRangeRequest, main: i64) -> (DeleteRangeResponse, bool) {
        let doomed = self.alive_in(&request.key, &request.range_end, main);
        for kv in &doomed {
            self.delete(&kv.key, main);
        }
        let deleted = doomed.len() as i64;
        let prev_kvs = if request.prev_kv { doomed } else { Vec::new() };
        (DeleteRangeResponse { revision: 0, deleted, prev_kvs }, deleted > 0)
    }

    fn delete(&mut self, key: &Bytes, main: i64) {
        let kv = KeyValue { key: key.clone(), mod_revision: main, ..KeyValue::default() };
        self.changes.push(Change { main, deleted: true, kv });
    }

    fn grant(&mut self, request: &LeaseGrantRequest) -> Result<LeaseGrantResponse, LeaseGrantError> {
        if self.is_full() {
            return Err(LeaseGrantError::NoSpace);
        }
        if request.id == 0 {
            return Err(LeaseGrantError::LeaseNotFound);
        }
        if self.leases.contains_key(&request.id) {
            return Err(LeaseGrantError::LeaseExists);
        }
        self.leases.insert(request.id, request.ttl);
        Ok(LeaseGrantResponse { revision: self.revision, id: request.id, ttl: request.ttl })
    }

    fn revoke(&mut self, request: &LeaseRevokeRequest) -> Result<LeaseRevokeResponse, LeaseRevokeError> {
        if self.leases.remove(&request.id).is_none() {
            return Err(LeaseRevokeError::LeaseNotFound);
        }
        let attached = self.attached(request.id);
        for key in &attached {
            self.delete(key, self.revision + 1);
        }
        if !attached.is_empty() {
            self.revision += 1;
        }
        Ok(LeaseRevokeResponse { revision: self.revision })
    }

    fn attached(&self, lease: i64) -> Vec<Bytes> {
        self.alive(self.revision).into_iter().filter(|kv| kv.lease == lease).map(|kv| kv.key).collect()
    }

    pub(crate) fn lease(&self, id: i64) -> Option<LeaseStatus> {
        self.leases.get(&id).map(|&granted_ttl| LeaseStatus { granted_ttl, keys: self.attached(id) })
    }

    fn alarm(&mut self, request: &AlarmRequest) -> AlarmResponse {
        let alarm = AlarmMember { member: request.member, alarm: request.alarm };
        let was_raised = self.alarms.contains(&alarm);
        match request.action {
            AlarmAction::Activate => {
                self.alarms.insert(alarm);
                AlarmResponse { alarms: vec![alarm] }
            }
            AlarmAction::Deactivate => {
                self.alarms.remove(&alarm);
                AlarmResponse { alarms: if was_raised { vec![alarm] } else { Vec::new() } }
            }
        }
    }
}
