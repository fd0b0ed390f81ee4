//! Reading ranges.

use std::{cmp::Ordering, ops::ControlFlow};

use super::{
    Store,
    history::{Key, Version},
    lease::NO_LEASE,
};
use crate::{
    error::RangeError,
    event::KeyValue,
    request::{RangeRequest, SortOrder, SortTarget},
    response::RangeResponse,
};

impl Store {
    /// `KV.Range`: takes O(log n + page) for the default order without filters, at whatever revision, also for the count.
    ///
    /// # Errors
    /// [`RangeError::Compacted`] and [`RangeError::FutureRevision`]; what [`RangeRequest::validate`] finds is not looked for.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, RangeError> {
        let at = if request.revision > 0 { request.revision } else { self.revision };
        if at > self.revision {
            Err(RangeError::FutureRevision)
        } else if at < self.compact_revision {
            Err(RangeError::Compacted)
        } else {
            Ok(self.range_at(request, at, self.revision))
        }
    }

    /// Reads at a revision that can be read. `revision` is for the header.
    pub(super) fn range_at(&self, request: &RangeRequest, at: i64, revision: i64) -> RangeResponse {
        let range = request.range();
        let count = || i64::try_from(self.index.count(&self.keys, &range, at)).expect("keys are counted in memory");
        if request.count_only {
            return RangeResponse { revision, kvs: Vec::new(), more: false, count: count() };
        }

        // One more than the limit, to know whether there are more. What has to be sorted or filtered is gathered first.
        let limit = usize::try_from(request.limit).ok().filter(|&limit| limit > 0);
        let gather = limit
            .filter(|_| request.has_default_order() && !request.has_revision_filters())
            .map_or(usize::MAX, |limit| limit.saturating_add(1));
        let mut found: Vec<(&Key, &Version)> = Vec::new();
        let mut visited = 0;
        self.index.visit(&self.keys, &range, at, |_, key, version| {
            visited += 1;
            if passes(request, version) {
                found.push((key, version));
            }
            if found.len() == gather { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // Who has seen all of the range has counted it.
        let count = if found.len() < gather { visited } else { count() };
        sort(&mut found, request.sort_order, request.sort_target);
        let more = limit.is_some_and(|limit| found.len() > limit);
        found.truncate(limit.unwrap_or(usize::MAX));

        let kvs: Vec<_> = found
            .into_iter()
            .map(|(key, version)| match (request.keys_only, request.sort_target) {
                (false, _) => version.key_value(&key.name),
                // As in etcd since 3.7, which reads keys from its index, where the leases are not.
                (true, target) if target != SortTarget::Value => KeyValue { lease: NO_LEASE, ..version.key_only(&key.name) },
                (true, _) => version.key_only(&key.name),
            })
            .collect();
        #[cfg(feature = "known-bugs")]
        let count = if self.has_bug(crate::known_bugs::KnownBug::CountIsLimited) { kvs.len() as i64 } else { count };
        RangeResponse { revision, kvs, more, count }
    }
}

/// The filters by revision. A bound of 0 is none.
const fn passes(request: &RangeRequest, version: &Version) -> bool {
    const fn within(revision: i64, min: i64, max: i64) -> bool {
        (min == 0 || min <= revision) && (max == 0 || revision <= max)
    }
    within(version.at.main, request.min_mod_revision, request.max_mod_revision)
        && within(version.create_revision, request.min_create_revision, request.max_create_revision)
}

/// Sorts what comes in the order of the keys. A target without an order is ascending.
fn sort(found: &mut [(&Key, &Version)], order: SortOrder, target: SortTarget) {
    let ascending = |a: &(&Key, &Version), b: &(&Key, &Version)| -> Ordering {
        match target {
            SortTarget::Key => a.0.name.cmp(&b.0.name),
            SortTarget::Version => a.1.version.cmp(&b.1.version),
            SortTarget::Create => a.1.create_revision.cmp(&b.1.create_revision),
            SortTarget::Mod => a.1.at.main.cmp(&b.1.at.main),
            SortTarget::Value => a.1.value.cmp(&b.1.value),
        }
    };
    match order {
        SortOrder::None | SortOrder::Ascend if target == SortTarget::Key => {}
        SortOrder::None | SortOrder::Ascend => found.sort_by(ascending),
        SortOrder::Descend => found.sort_by(|a, b| ascending(b, a)),
    }
}
