//! What can be said of a request without knowing the state: the checks before a write takes a place in the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::{DeleteRangeError, PutError, RangeError, TxnError},
    limits::Limits,
    request::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest},
};

impl RangeRequest {
    /// Checks what can be checked without the state.
    ///
    /// # Errors
    /// [`RangeError::EmptyKey`].
    pub fn validate(&self) -> Result<(), RangeError> {
        if self.key.is_empty() { Err(RangeError::EmptyKey) } else { Ok(()) }
    }
}

impl PutRequest {
    /// Checks what can be checked without the state. `encoded_bytes` is the size of the write in the log.
    ///
    /// # Errors
    /// [`PutError`], but for those of its variants that depend on the state.
    pub fn validate(&self, encoded_bytes: usize, limits: &Limits) -> Result<(), PutError> {
        self.validate_fields()?;
        if encoded_bytes > limits.request_bytes { Err(PutError::RequestTooLarge) } else { Ok(()) }
    }

    fn validate_fields(&self) -> Result<(), PutError> {
        if self.key.is_empty() {
            Err(PutError::EmptyKey)
        } else if self.ignore_value && !self.value.is_empty() {
            Err(PutError::ValueProvided)
        } else if self.ignore_lease && self.lease != 0 {
            Err(PutError::LeaseProvided)
        } else {
            Ok(())
        }
    }
}

impl DeleteRangeRequest {
    /// Checks what can be checked without the state. `encoded_bytes` is the size of the write in the log.
    ///
    /// # Errors
    /// [`DeleteRangeError`].
    pub fn validate(&self, encoded_bytes: usize, limits: &Limits) -> Result<(), DeleteRangeError> {
        self.validate_fields()?;
        if encoded_bytes > limits.request_bytes { Err(DeleteRangeError::RequestTooLarge) } else { Ok(()) }
    }

    fn validate_fields(&self) -> Result<(), DeleteRangeError> {
        if self.key.is_empty() { Err(DeleteRangeError::EmptyKey) } else { Ok(()) }
    }
}

impl TxnRequest {
    /// Checks what can be checked without the state. `encoded_bytes` is the size of the write in the log.
    ///
    /// No branch may change a key twice. The two branches of one transaction exclude each other, so a key may be in both. As in etcd, a deletion
    /// [from a key on](crate::range::FROM_KEY) may delete keys that the same branch puts, and so may a nested transaction those of an earlier
    /// sibling; requests are carried out in their order then. Unlike in etcd, which such a request stops for good, the puts may not rely on what
    /// was deleted (`ignore_value`, `ignore_lease`).
    ///
    /// # Errors
    /// [`TxnError`], but for those of its variants that depend on the state.
    pub fn validate(&self, encoded_bytes: usize, limits: &Limits) -> Result<(), TxnError> {
        self.validate_fields(limits.txn_operations)?;
        // After the check of the number of operations, which bounds how deep transactions are nested.
        Changes::of(&self.success)?;
        Changes::of(&self.failure)?;
        if encoded_bytes > limits.request_bytes { Err(TxnError::RequestTooLarge) } else { Ok(()) }
    }

    fn validate_fields(&self, operations: usize) -> Result<(), TxnError> {
        let most = self.compare.len().max(self.success.len()).max(self.failure.len());
        let left = operations.checked_sub(most).ok_or(TxnError::TooManyOperations)?;
        if self.compare.iter().any(|compare| compare.key.is_empty()) {
            return Err(TxnError::EmptyKey);
        }
        self.success.iter().chain(&self.failure).try_for_each(|op| match op {
            RequestOp::Range(range) => range.validate().map_err(TxnError::from),
            RequestOp::Put(put) => put.validate_fields().map_err(TxnError::from),
            RequestOp::DeleteRange(delete) => delete.validate_fields().map_err(TxnError::from),
            RequestOp::Txn(txn) => txn.validate_fields(left),
        })
    }
}

/// The keys that a list of requests may change.
#[derive(Default)]
struct Changes<'a> {
    puts: BTreeSet<&'a [u8]>,
    /// Those of [`Self::puts`] that keep the value or the lease.
    keeping: BTreeSet<&'a [u8]>,
    deletes: Spans<'a>,
    /// The smallest key from which on everything is deleted.
    deletes_from: Option<&'a [u8]>,
}

impl<'a> Changes<'a> {
    fn of(ops: &'a [RequestOp]) -> Result<Self, TxnError> {
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
                if put.ignore_value || put.ignore_lease {
                    one.keeping.insert(&put.key);
                }
                changes.check(&one)?;
                changes.merge(one);
            }
        }
        Ok(changes)
    }

    fn delete(&mut self, delete: &'a DeleteRangeRequest) {
        if delete.range_end.is_empty() {
            self.deletes.insert(&delete.key, End::Through(&delete.key));
        } else if delete.range_end == crate::range::FROM_KEY {
            self.deletes_from = [self.deletes_from, Some(&delete.key)].into_iter().flatten().min();
        } else if delete.key < delete.range_end {
            self.deletes.insert(&delete.key, End::Before(&delete.range_end));
        }
    }

    /// Whether `other` puts nothing that is put or deleted already.
    fn check(&self, other: &Self) -> Result<(), TxnError> {
        let twice = |key: &&[u8]| self.puts.contains(key) || self.deletes.contains(key);
        let relies = |key: &&[u8]| self.deletes_from.is_some_and(|start| start <= *key);
        if other.puts.iter().any(twice) || other.keeping.iter().any(relies) { Err(TxnError::DuplicateKey) } else { Ok(()) }
    }

    fn merge(&mut self, mut other: Self) {
        // The smaller into the larger: however deep requests are nested, a key moves only O(log n) times.
        if other.puts.len() > self.puts.len() {
            std::mem::swap(&mut self.puts, &mut other.puts);
        }
        self.puts.extend(other.puts);
        if other.keeping.len() > self.keeping.len() {
            std::mem::swap(&mut self.keeping, &mut other.keeping);
        }
        self.keeping.extend(other.keeping);
        if other.deletes.0.len() > self.deletes.0.len() {
            std::mem::swap(&mut self.deletes, &mut other.deletes);
        }
        for (start, end) in other.deletes.0 {
            self.deletes.insert(start, end);
        }
        self.deletes_from = [self.deletes_from, other.deletes_from].into_iter().flatten().min();
    }
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
