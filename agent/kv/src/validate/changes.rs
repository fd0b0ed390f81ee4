//! Which keys a list of requests changes, and that none is changed twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::TxnError,
    range::FROM_KEY,
    request::{DeleteRangeRequest, RequestOp},
};

/// The keys that a list of requests may change.
#[derive(Default)]
pub(super) struct Changes<'a> {
    puts: BTreeSet<&'a [u8]>,
    /// But for deletions from a key on.
    deletes: Spans<'a>,
}

impl<'a> Changes<'a> {
    pub(super) fn of(ops: &'a [RequestOp]) -> Result<Self, TxnError> {
        let mut changes = Self::default();
        for op in ops {
            if let RequestOp::DeleteRange(delete) = op {
                changes.delete(delete);
            }
        }
        for op in ops {
            if let RequestOp::Txn(txn) = op {
                let success = Self::of(&txn.success)?;
                let failure = Self::of(&txn.failure)?;
                changes.check(&success)?;
                changes.check(&failure)?;
                changes.merge(success);
                changes.merge(failure);
            }
        }
        for op in ops {
            if let RequestOp::Put(put) = op {
                let mut one = Self::default();
                one.puts.insert(&put.key);
                changes.check(&one)?;
                changes.merge(one);
            }
        }
        Ok(changes)
    }

    fn delete(&mut self, delete: &'a DeleteRangeRequest) {
        if delete.range_end.is_empty() {
            self.deletes.insert(&delete.key, End::Through(&delete.key));
        } else if delete.range_end != FROM_KEY && delete.key < delete.range_end {
            self.deletes.insert(&delete.key, End::Before(&delete.range_end));
        }
    }

    /// Whether `other` puts nothing that is put or deleted already.
    fn check(&self, other: &Self) -> Result<(), TxnError> {
        let twice = |key: &&[u8]| self.puts.contains(key) || self.deletes.contains(key);
        if other.puts.iter().any(twice) { Err(TxnError::DuplicateKey) } else { Ok(()) }
    }

    fn merge(&mut self, mut other: Self) {
        // The smaller into the larger: however deep requests are nested, a key moves only O(log n) times.
        if other.puts.len() > self.puts.len() {
            std::mem::swap(&mut self.puts, &mut other.puts);
        }
        self.puts.extend(other.puts);
        if other.deletes.0.len() > self.deletes.0.len() {
            std::mem::swap(&mut self.deletes, &mut other.deletes);
        }
        for (start, end) in other.deletes.0 {
            self.deletes.insert(start, end);
        }
    }
}

/// Whether a put keeps the value or the lease of a key that was deleted before it by a deletion from a key on. `deleted_from` is the smallest key
/// that such a deletion has begun at so far. Returns that after `ops`, whichever branches are taken.
pub(super) fn relies_on_deleted<'a>(ops: &'a [RequestOp], mut deleted_from: Option<&'a [u8]>) -> Result<Option<&'a [u8]>, TxnError> {
    let smaller = |a: Option<&'a [u8]>, b: Option<&'a [u8]>| [a, b].into_iter().flatten().min();
    for op in ops {
        match op {
            RequestOp::DeleteRange(delete) if delete.range_end == FROM_KEY => deleted_from = smaller(deleted_from, Some(&delete.key)),
            RequestOp::Put(put) if put.ignore_value || put.ignore_lease => {
                if deleted_from.is_some_and(|start| start <= &put.key[..]) {
                    return Err(TxnError::DuplicateKey);
                }
            }
            RequestOp::Txn(txn) => {
                let after_success = relies_on_deleted(&txn.success, deleted_from)?;
                deleted_from = smaller(after_success, relies_on_deleted(&txn.failure, deleted_from)?);
            }
            RequestOp::Put(_) | RequestOp::DeleteRange(_) | RequestOp::Range(_) => {}
        }
    }
    Ok(deleted_from)
}

/// A place between two keys, in the order of the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End<'a> {
    /// The place just before a key.
    Before(&'a [u8]),
    /// The place just after a key.
    Through(&'a [u8]),
}

impl<'a> End<'a> {
    const fn order(self) -> (&'a [u8], bool) {
        match self {
            Self::Before(key) => (key, false),
            Self::Through(key) => (key, true),
        }
    }
}

/// A set of keys, as disjoint spans: the first key of each, and where it ends.
#[derive(Default)]
struct Spans<'a>(BTreeMap<&'a [u8], End<'a>>);

impl<'a> Spans<'a> {
    fn insert(&mut self, mut start: &'a [u8], mut end: End<'a>) {
        while let Some((&other_start, &other_end)) = self.0.range(..=end.order().0).next_back() {
            if other_end.order() < (start, false) {
                break;
            }
            self.0.remove(other_start);
            start = start.min(other_start);
            if end.order() < other_end.order() {
                end = other_end;
            }
        }
        self.0.insert(start, end);
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.0.range(..=key).next_back().is_some_and(|(_, end)| end.order() > (key, false))
    }
}
