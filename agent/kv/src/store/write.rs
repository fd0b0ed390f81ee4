//! A revision in the making.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Store,
    history::{Key, Version},
};
use crate::{
    event::{Event, EventKind, Revision, RevisionBatch},
    index::KeyId,
    request::{DeleteRangeRequest, PutRequest},
    response::{DeleteRangeResponse, PutResponse},
};

/// Changes of one transaction on their way to become a revision; none, if nothing changes.
///
/// Checks come before: nothing that is done here can fail.
pub(super) struct Write<'a> {
    store: &'a mut Store,
    /// The revision it will be.
    main: i64,
    changed: Vec<KeyId>,
}

impl<'a> Write<'a> {
    pub(super) const fn begin(store: &'a mut Store) -> Self {
        let main = store.revision + 1;
        Self { store, main, changed: Vec::new() }
    }

    pub(super) const fn store(&self) -> &Store {
        self.store
    }

    /// The revision as the transaction itself sees it so far.
    pub(super) const fn revision(&self) -> i64 {
        if self.changed.is_empty() { self.store.revision } else { self.main }
    }

    pub(super) fn put(&mut self, request: PutRequest) -> PutResponse {
        let at = self.next();
        let (store, main) = (&mut *self.store, self.main);
        let existing = store.index.find(&store.keys, &request.key);
        let before = existing.map(|id| store.keys.get(id)).filter(|key| !key.latest().is_deletion());
        let prev_kv = before.filter(|_| request.prev_kv).map(|key| key.latest().key_value(&key.name));
        let before = before.map(Key::latest);
        // A key that is not there any more has no value and no lease to keep: validation does not let such a request pass.
        let value = if request.ignore_value { before.map_or_else(Bytes::new, |before| before.value.clone()) } else { request.value };
        let old_lease = before.map_or(0, |before| before.lease);
        let lease = if request.ignore_lease { old_lease } else { request.lease };
        let born = before.is_none();
        let (create_revision, version) = before.map_or((main, 1), |before| (before.create_revision, before.version + 1));
        let version = Version { at, create_revision, version, lease, value };

        store.usage.add_version(&version);
        let id = match existing {
            Some(id) => {
                store.keys.get_mut(id).push(version);
                if born {
                    store.index.change(&request.key, main, true);
                }
                id
            }
            None => {
                store.usage.add_key(&request.key);
                let id = store.keys.add(Key::new(&request.key, version));
                store.index.insert(&store.keys, id, main, store.compact_revision);
                id
            }
        };
        store.usage.alive += u64::from(born);
        if old_lease != lease {
            store.leases.detach(old_lease, id);
            store.leases.attach(lease, id);
        }
        store.log.insert(at, id);
        self.changed.push(id);
        PutResponse { revision: main, prev_kv }
    }

    pub(super) fn delete_range(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let mut doomed = Vec::new();
        let mut prev_kvs = Vec::new();
        self.store.index.visit(&self.store.keys, &request.range(), self.main, |id, key, version| {
            doomed.push(id);
            if request.prev_kv {
                prev_kvs.push(version.key_value(&key.name));
            }
            std::ops::ControlFlow::Continue(())
        });
        for &id in &doomed {
            self.delete(id);
        }
        DeleteRangeResponse { revision: self.revision(), deleted: doomed.len() as i64, prev_kvs }
    }

    /// Ends the transaction. Returns its events if it has changed anything.
    pub(super) fn commit(self) -> Option<Arc<RevisionBatch>> {
        let Self { store, main, changed } = self;
        if changed.is_empty() {
            return None;
        }
        store.revision = main;
        let events = (0..).zip(&changed).map(|(sub, &id)| event(store.keys.get(id), Revision { main, sub })).collect();
        Some(Arc::new(RevisionBatch { revision: main, events }))
    }

    fn next(&self) -> Revision {
        Revision { main: self.main, sub: u32::try_from(self.changed.len()).expect("a transaction changes far fewer keys") }
    }

    /// Deletes a key that exists.
    pub(super) fn delete(&mut self, id: KeyId) {
        let at = self.next();
        let store = &mut *self.store;
        let key = store.keys.get_mut(id);
        store.leases.detach(key.latest().lease, id);
        let version = Version::deletion(at);
        store.usage.add_version(&version);
        store.usage.alive -= 1;
        key.push(version);
        store.index.change(&store.keys.get(id).name, self.main, false);
        store.log.insert(at, id);
        self.changed.push(id);
    }
}

/// The event that a version is.
pub(super) fn event(key: &Key, at: Revision) -> Event {
    let (version, _) = key.find(at).expect("what is logged is in the key's history");
    let kind = if version.is_deletion() { EventKind::Delete } else { EventKind::Put };
    let created = version.create_revision == at.main;
    let prev_kv = if created { None } else { key.alive_at(at.main - 1).map(|before| before.key_value(&key.name)) };
    Event::new(kind, version.key_value(&key.name), prev_kv)
}

impl Store {
    /// Deletes these keys as one revision, in the order of their names; none if there are none.
    pub(super) fn delete_keys(&mut self, mut ids: Vec<KeyId>) -> Option<Arc<RevisionBatch>> {
        ids.sort_unstable_by(|&a, &b| self.keys.get(a).name.cmp(&self.keys.get(b).name));
        let mut write = Write::begin(self);
        for id in ids {
            write.delete(id);
        }
        write.commit()
    }
}
