//! Transactions: compare, check everything, then do it.

use std::{cmp::Ordering, ops::ControlFlow, sync::Arc};

use super::{Store, history::Version, lease::NO_LEASE, write::Write};
use crate::{
    error::{PutError, RangeError, TxnError},
    event::RevisionBatch,
    request::{Compare, CompareResult, CompareTarget, PutRequest, RangeRequest, RequestOp, TxnRequest},
    response::{ResponseOp, TxnResponse},
};

/// Which branch of a transaction is taken, and of each nested one in that branch, in their order. All of it is decided before anything changes.
struct Path {
    succeeded: bool,
    nested: Vec<Path>,
}

impl Path {
    fn branch(&self, request: TxnRequest) -> Vec<RequestOp> {
        if self.succeeded { request.success } else { request.failure }
    }

    const fn branch_ref<'a>(&self, request: &'a TxnRequest) -> &'a Vec<RequestOp> {
        if self.succeeded { &request.success } else { &request.failure }
    }
}

impl Store {
    pub(super) fn txn(&mut self, request: TxnRequest) -> (Result<TxnResponse, TxnError>, Option<Arc<RevisionBatch>>) {
        if self.is_out_of_space() && has_put(&request) {
            return (Err(TxnError::NoSpace), None);
        }
        let path = self.path(&request, self.revision);
        if let Err(error) = self.check(&request, &path) {
            return (Err(error), None);
        }
        let mut write = Write::begin(self);
        let mut response = execute(&mut write, request, path);
        response.revision = write.revision();
        (Ok(response), write.commit())
    }

    /// A transaction that [only reads](TxnRequest::is_read_only), at the newest revision.
    ///
    /// # Errors
    /// As for a transaction that is applied.
    ///
    /// # Panics
    /// If it does not only read.
    pub fn read_txn(&self, request: &TxnRequest) -> Result<TxnResponse, TxnError> {
        let path = self.path(request, self.revision);
        self.check(request, &path)?;
        let read = |op: &RequestOp| match op {
            RequestOp::Range(range) => ResponseOp::Range(self.range_in_txn(range, self.revision)),
            _ => panic!("a transaction that changes something has to go through the log"),
        };
        let responses = path.branch_ref(request).iter().map(read).collect();
        Ok(TxnResponse { revision: self.revision, succeeded: path.succeeded, responses })
    }

    fn path(&self, request: &TxnRequest, at: i64) -> Path {
        let mut path = Path { succeeded: request.compare.iter().all(|compare| self.holds(compare, at)), nested: Vec::new() };
        for op in path.branch_ref(request) {
            if let RequestOp::Txn(txn) = op {
                path.nested.push(self.path(txn, at));
            }
        }
        path
    }

    fn holds(&self, compare: &Compare, at: i64) -> bool {
        let mut any = false;
        let mut all = true;
        self.index.visit(&self.keys, &compare.range(), at, |_, _, version| {
            any = true;
            all = holds_for(compare, Some(version));
            if all { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if any { all } else { holds_for(compare, None) }
    }

    /// Whether everything on the path can be done. Looks at the state before the transaction, as etcd does.
    fn check(&self, request: &TxnRequest, path: &Path) -> Result<(), TxnError> {
        let mut nested = path.nested.iter();
        for op in path.branch_ref(request) {
            match op {
                RequestOp::Range(range) => self.check_range(range)?,
                RequestOp::Put(put) => self.check_put(put)?,
                RequestOp::DeleteRange(_) => {}
                RequestOp::Txn(txn) => self.check(txn, nested.next().expect("each nested transaction has its path"))?,
            }
        }
        Ok(())
    }

    pub(super) fn check_put(&self, request: &PutRequest) -> Result<(), PutError> {
        if request.lease != NO_LEASE && !self.leases.contains(request.lease) {
            return Err(PutError::LeaseNotFound);
        }
        if request.ignore_value || request.ignore_lease {
            let id = self.index.find(&self.keys, &request.key).ok_or(PutError::KeyNotFound)?;
            if self.keys.get(id).latest().is_deletion() {
                return Err(PutError::KeyNotFound);
            }
        }
        Ok(())
    }

    /// Unlike outside of a transaction, a negative revision is not the newest one: it lies below any compaction.
    fn check_range(&self, request: &RangeRequest) -> Result<(), RangeError> {
        if request.revision == 0 {
            Ok(())
        } else if request.revision > self.revision {
            Err(RangeError::FutureRevision)
        } else if request.revision < self.compact_revision {
            Err(RangeError::Compacted)
        } else {
            Ok(())
        }
    }

    /// `revision` is the newest as the transaction sees it.
    fn range_in_txn(&self, request: &RangeRequest, revision: i64) -> crate::response::RangeResponse {
        self.range_at(request, if request.revision > 0 { request.revision } else { revision }, revision)
    }
}

fn execute(write: &mut Write<'_>, request: TxnRequest, path: Path) -> TxnResponse {
    let succeeded = path.succeeded;
    let branch = path.branch(request);
    let mut nested = path.nested.into_iter();
    let responses = branch
        .into_iter()
        .map(|op| match op {
            RequestOp::Range(range) => ResponseOp::Range(write.store().range_in_txn(&range, write.revision())),
            RequestOp::Put(put) => ResponseOp::Put(write.put(put)),
            RequestOp::DeleteRange(delete) => ResponseOp::DeleteRange(write.delete_range(&delete)),
            RequestOp::Txn(txn) => {
                let path = nested.next().expect("each nested transaction has its path");
                #[cfg(feature = "known-bugs")]
                let path = if write.store().has_bug(crate::known_bugs::KnownBug::NestedComparesSeeChanges) {
                    write.store().path(&txn, write.revision())
                } else {
                    path
                };
                ResponseOp::Txn(execute(write, txn, path))
            }
        })
        .collect();
    TxnResponse { revision: 0, succeeded, responses }
}

/// Whether a transaction may put something, in whichever branch.
fn has_put(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|op| match op {
        RequestOp::Put(_) => true,
        RequestOp::Txn(txn) => has_put(txn),
        RequestOp::Range(_) | RequestOp::DeleteRange(_) => false,
    })
}

/// Whether a comparison holds for one key, or for one that does not exist.
fn holds_for(compare: &Compare, version: Option<&Version>) -> bool {
    let number = |field: fn(&Version) -> i64, operand: i64| version.map_or(0, field).cmp(&operand);
    let order = match &compare.target {
        CompareTarget::Version(operand) => number(|version| version.version, *operand),
        CompareTarget::CreateRevision(operand) => number(|version| version.create_revision, *operand),
        CompareTarget::ModRevision(operand) => number(|version| version.at.main, *operand),
        CompareTarget::Lease(operand) => number(|version| version.lease, *operand),
        CompareTarget::Value(operand) => match version {
            Some(version) => version.value.cmp(operand),
            // An empty value and none at all cannot be told apart in the request.
            None => return false,
        },
        CompareTarget::Unrecognized => Ordering::Equal,
    };
    match compare.result {
        CompareResult::Equal => order.is_eq(),
        CompareResult::Greater => order.is_gt(),
        CompareResult::Less => order.is_lt(),
        CompareResult::NotEqual => order.is_ne(),
        CompareResult::Unrecognized => true,
    }
}
