//! Leases as all members agree on them: which there are, for how long they were granted, and which keys they hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Store;
use crate::{
    error::{LeaseGrantError, LeaseRevokeError},
    event::RevisionBatch,
    index::KeyId,
    request::{LeaseGrantRequest, LeaseRevokeRequest},
    response::{LeaseGrantResponse, LeaseRevokeResponse, LeaseStatus},
};

/// No lease has this id.
pub(crate) const NO_LEASE: i64 = 0;

/// All leases by their ids.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<i64, Lease>);

#[derive(Debug)]
struct Lease {
    ttl: i64,
    keys: BTreeSet<KeyId>,
}

impl Leases {
    pub(super) fn contains(&self, id: i64) -> bool {
        self.0.contains_key(&id)
    }

    pub(super) fn add(&mut self, id: i64, ttl: i64) {
        self.0.insert(id, Lease { ttl, keys: BTreeSet::new() });
    }

    pub(super) fn attach(&mut self, id: i64, key: KeyId) {
        if let Some(lease) = self.0.get_mut(&id) {
            lease.keys.insert(key);
        }
    }

    pub(super) fn detach(&mut self, id: i64, key: KeyId) {
        if let Some(lease) = self.0.get_mut(&id) {
            lease.keys.remove(&key);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, i64)> {
        self.0.iter().map(|(&id, lease)| (id, lease.ttl))
    }
}

impl Store {
    pub(super) fn grant(&mut self, request: LeaseGrantRequest) -> Result<LeaseGrantResponse, LeaseGrantError> {
        let LeaseGrantRequest { id, ttl } = request;
        if self.is_out_of_space() {
            Err(LeaseGrantError::NoSpace)
        } else if id == NO_LEASE {
            Err(LeaseGrantError::LeaseNotFound)
        } else if self.leases.contains(id) {
            Err(LeaseGrantError::LeaseExists)
        } else {
            self.leases.add(id, ttl);
            Ok(LeaseGrantResponse { revision: self.revision, id, ttl })
        }
    }

    pub(super) fn revoke(
        &mut self,
        request: LeaseRevokeRequest,
    ) -> (Result<LeaseRevokeResponse, LeaseRevokeError>, Option<Arc<RevisionBatch>>) {
        let Some(lease) = self.leases.0.remove(&request.id) else { return (Err(LeaseRevokeError::LeaseNotFound), None) };
        let batch = self.delete_keys(lease.keys.into_iter().collect());
        (Ok(LeaseRevokeResponse { revision: self.revision }), batch)
    }

    /// A lease, with its keys if `keys`; `None` if there is no such lease.
    #[must_use]
    pub fn lease(&self, id: i64, keys: bool) -> Option<LeaseStatus> {
        let lease = self.leases.0.get(&id)?;
        let mut names = Vec::new();
        if keys {
            names.extend(lease.keys.iter().map(|&id| self.keys.get(id).name.clone()));
            names.sort_unstable();
        }
        Some(LeaseStatus { granted_ttl: lease.ttl, keys: names })
    }

    /// All leases in the order of their ids, each with the seconds granted.
    pub fn leases(&self) -> impl Iterator<Item = (i64, i64)> {
        self.leases.iter()
    }
}
