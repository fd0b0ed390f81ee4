//! What can be said of a request without knowing the state: the checks before a write takes a place in the log.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::{DeleteRangeError, PutError, RangeError, TxnError},
    limits::Limits,
    range::FROM_KEY,
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
    /// [from a key on](FROM_KEY) may delete keys that the same branch puts, and so may a nested transaction those of an earlier sibling; requests are
    /// carried out in their order then. But a put may not keep the value or the lease (`ignore_value`, `ignore_lease`) of a key deleted like that
    /// before: etcd lets such a request pass, and crashes when it applies it.
    ///
    /// # Errors
    /// [`TxnError`], but for those of its variants that depend on the state.
    pub fn validate(&self, encoded_bytes: usize, limits: &Limits) -> Result<(), TxnError> {
        self.validate_fields(limits.txn_operations)?;
        // After the check of the number of operations, which bounds how deep transactions are nested.
        for branch in [&self.success, &self.failure] {
            Changes::of(branch)?;
            relies_on_deleted(branch, None)?;
        }
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
    /// But for deletions from a key on.
    deletes: Spans<'a>,
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
fn relies_on_deleted<'a>(ops: &'a [RequestOp], mut deleted_from: Option<&'a [u8]>) -> Result<Option<&'a [u8]>, TxnError> {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::request::{Compare, CompareResult, CompareTarget};

    fn put(key: &'static str) -> RequestOp {
        RequestOp::Put(PutRequest { key: key.into(), ..PutRequest::default() })
    }

    fn keep(key: &'static str) -> RequestOp {
        RequestOp::Put(PutRequest { key: key.into(), ignore_value: true, ..PutRequest::default() })
    }

    fn delete(key: &'static str, range_end: &'static str) -> RequestOp {
        RequestOp::DeleteRange(DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false })
    }

    fn txn(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
        RequestOp::Txn(TxnRequest { compare: Vec::new(), success, failure })
    }

    fn validate(success: Vec<RequestOp>) -> Result<(), TxnError> {
        let request = TxnRequest { compare: Vec::new(), success, failure: Vec::new() };
        let mirrored = TxnRequest { compare: Vec::new(), success: Vec::new(), failure: request.success.clone() };
        let limits = Limits::default();
        let outcome = request.validate(0, &limits);
        assert_eq!(mirrored.validate(0, &limits), outcome, "both branches are checked alike");
        outcome
    }

    #[test]
    fn no_branch_changes_a_key_twice() {
        let duplicates = [
            vec![put("a"), put("a")],
            vec![put("b"), delete("b", "")],
            vec![put("b"), delete("a", "c")],
            vec![delete("a", "c"), put("b")],
            vec![put("a"), txn(vec![put("a")], vec![])],
            vec![put("a"), txn(vec![], vec![put("a")])],
            vec![put("b"), txn(vec![delete("a", "c")], vec![])],
            vec![delete("a", "c"), txn(vec![], vec![put("b")])],
            vec![txn(vec![put("a")], vec![]), txn(vec![], vec![put("a")])],
            vec![txn(vec![delete("a", "")], vec![]), txn(vec![put("a")], vec![])],
            vec![txn(vec![txn(vec![put("a")], vec![])], vec![]), put("a")],
            vec![delete("a", "d"), delete("b", "c"), put("c")],
            vec![delete("b", "c"), delete("a", "d"), put("c")],
            vec![delete("c", "d"), delete("a", "b"), delete("b", "c"), put("b")],
        ];
        for ops in duplicates {
            assert_eq!(validate(ops.clone()), Err(TxnError::DuplicateKey), "{ops:?}");
        }
    }

    #[test]
    fn what_etcd_lets_pass_passes() {
        let fine = [
            vec![put("a"), put("b"), delete("c", "d")],
            vec![delete("a", "c"), delete("b", "d"), put("d")],
            vec![txn(vec![put("a")], vec![put("a")])],
            vec![txn(vec![put("a")], vec![delete("a", "")])],
            vec![put("a"), put("c"), delete("c", "a")],
            // Carried out in their order.
            vec![delete("a", "\0"), put("b")],
            vec![txn(vec![put("a")], vec![]), txn(vec![delete("a", "")], vec![])],
            vec![keep("b"), delete("a", "\0")],
            vec![delete("c", "\0"), keep("b")],
        ];
        for ops in fine {
            assert_eq!(validate(ops.clone()), Ok(()), "{ops:?}");
        }
    }

    #[test]
    fn nothing_is_kept_of_a_key_that_is_gone() {
        let gone = [
            vec![delete("a", "\0"), keep("b")],
            vec![txn(vec![], vec![delete("a", "\0")]), keep("b")],
            vec![delete("a", "\0"), txn(vec![txn(vec![keep("b")], vec![])], vec![])],
        ];
        for ops in gone {
            assert_eq!(validate(ops.clone()), Err(TxnError::DuplicateKey), "{ops:?}");
        }
    }

    #[test]
    fn operations_are_counted_along_each_path() {
        let limits = Limits { txn_operations: 4, ..Limits::default() };
        let validate = |request: &TxnRequest| request.validate(0, &limits);
        let puts = |keys: &[&'static str]| keys.iter().map(|key| put(key)).collect::<Vec<_>>();
        let three = TxnRequest { success: puts(&["a", "b", "c"]), ..TxnRequest::default() };
        let nest = |inner: TxnRequest| TxnRequest { success: vec![RequestOp::Txn(inner)], ..TxnRequest::default() };
        assert_eq!(validate(&three), Ok(()));
        assert_eq!(validate(&nest(three.clone())), Ok(()));
        assert_eq!(validate(&nest(nest(three.clone()))), Err(TxnError::TooManyOperations));
        let beside = TxnRequest { success: vec![RequestOp::Txn(three.clone()), put("d")], ..TxnRequest::default() };
        assert_eq!(validate(&beside), Err(TxnError::TooManyOperations));
        let compare = Compare { key: "a".into(), range_end: Bytes::new(), result: CompareResult::Equal, target: CompareTarget::Version(0) };
        let compares = TxnRequest { compare: vec![compare; 5], ..TxnRequest::default() };
        assert_eq!(validate(&compares), Err(TxnError::TooManyOperations));
    }

    #[test]
    fn requests_without_a_key_or_with_contradictions_are_refused() {
        let limits = Limits::default();
        let request = PutRequest { key: "a".into(), ..PutRequest::default() };
        let table = [
            (PutRequest::default(), Err(PutError::EmptyKey)),
            (PutRequest { ignore_value: true, value: "v".into(), ..request.clone() }, Err(PutError::ValueProvided)),
            (PutRequest { ignore_lease: true, lease: 1, ..request.clone() }, Err(PutError::LeaseProvided)),
            (PutRequest { ignore_value: true, ignore_lease: true, ..request.clone() }, Ok(())),
        ];
        for (put, outcome) in table {
            assert_eq!(put.validate(0, &limits), outcome, "{put:?}");
            assert_eq!(validate(vec![RequestOp::Put(put)]), outcome.map_err(TxnError::from));
        }
        assert_eq!(validate(vec![delete("", "a")]), Err(TxnError::EmptyKey));
        assert_eq!(validate(vec![RequestOp::Range(RangeRequest::default())]), Err(TxnError::EmptyKey));
        let largest = limits.request_bytes;
        assert_eq!(request.validate(largest, &limits), Ok(()));
        assert_eq!(request.validate(largest + 1, &limits), Err(PutError::RequestTooLarge));
        let request = DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() };
        assert_eq!(request.validate(largest, &limits), Ok(()));
        assert_eq!(request.validate(largest + 1, &limits), Err(DeleteRangeError::RequestTooLarge));
        assert_eq!(TxnRequest::default().validate(largest, &limits), Ok(()));
        assert_eq!(TxnRequest::default().validate(largest + 1, &limits), Err(TxnError::RequestTooLarge));
    }

    #[test]
    fn requests_nested_as_deep_as_they_may_be_are_checked_in_a_moment() {
        // A hundred levels, each of which passes on what all below it change.
        let level = |inner: Option<TxnRequest>, depth: usize| {
            let own = (0..20).map(|number| RequestOp::Put(PutRequest { key: format!("{depth}/{number}").into(), ..PutRequest::default() }));
            TxnRequest { success: own.chain(inner.map(RequestOp::Txn)).collect(), ..TxnRequest::default() }
        };
        let nested = (0..100).fold(None, |inner, depth| Some(level(inner, depth))).unwrap();
        assert_eq!(nested.validate(0, &Limits { txn_operations: 100 * 21, ..Limits::default() }), Ok(()));
    }
}
